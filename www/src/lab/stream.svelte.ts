// A stream: all lanes read the same signal, one timestep after the other, and hand on nothing but what they carry.
//
// It runs beside training, with the weights of now. It must not know elements.

import { SvelteMap } from "svelte/reactivity";
import type { StreamStep } from "unroll-types";
import type { FrameView } from "../draw/frame.js";
import type { Lane } from "./lane.svelte";

/** Timesteps that are remembered for the picture; the network remembers what is in its state. */
export const SHOWN = 32;

/** Timesteps a second while it plays. */
const PER_SECOND = 8;

/** Where the signal comes from: a task's example over and over, the hand, or the network's own answers. */
export type StreamSource = "task" | "hand" | "own";

/** One timestep: what was read, what was answered, h of the layer that is shown. */
export interface Read {
  x: readonly number[];
  output: Float32Array;
  hidden: Float32Array[];
}

/** Where a lane's stream is. */
export interface Reading {
  /** Which network of the lane it is of. */
  generation: number;
  /** Timesteps read since it began. */
  read: number;
  /** Numbers that were handed on behind each timestep. */
  handedOn: readonly number[];
  /** The most timesteps that it can read; null where there is no end. */
  longest: number | null;
  /** The last timesteps, the newest at the end. */
  steps: readonly Read[];
  /** Why the network cannot be streamed, or reads no further. */
  failure: string | null;
}

/** What a stream needs of the lab. */
export interface StreamHost {
  readonly lanes: readonly Lane[];
  readonly streamSource: StreamSource;
  /** Seed of what is drawn from a network's own answers. */
  readonly seed: number;
}

/** True when an answer of a network can be what it reads next. */
export function canReadItself(frame: FrameView, isAhead: boolean): boolean {
  const { input, target } = frame.probe;
  return (
    isAhead && (input.kind === "symbols") === (target.kind === "class") && input.names.length === target.names.length
  );
}

/** A number from 0 to 1 for each timestep, the same for the same seed: one round of SplitMix32. */
function uniform(seed: number, at: number): number {
  let z = (Math.imul(seed | 0, 0x9e3779b9) + Math.imul(at + 1, 0x85ebca6b)) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
}

/** A class, drawn by its probability. */
export function drawn(probabilities: ArrayLike<number>, share: number): number {
  let left = share;
  for (let at = 0; at < probabilities.length; at += 1) {
    left -= probabilities[at] ?? 0;
    if (left < 0) return at;
  }
  return probabilities.length - 1;
}

export class Stream {
  /** By key of the lane. */
  readonly readings = new SvelteMap<number, Reading>();
  isPlaying = $state(false);
  /** What the hand gives: the features, or one symbol. */
  hand = $state.raw<readonly number[]>([]);
  private isBusy = false;
  private timer: ReturnType<typeof setInterval> | null = null;

  constructor(private readonly host: StreamHost) {}

  play(): void {
    this.isPlaying = true;
    this.timer ??= setInterval(() => void this.step(), 1000 / PER_SECOND);
  }

  pause(): void {
    this.isPlaying = false;
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  /** All lanes forget what they have read. */
  begin(): void {
    this.readings.clear();
  }

  /** One timestep of every lane; nothing while the last one is under way. */
  async step(): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      await Promise.all(this.host.lanes.map((lane) => this.read(lane)));
    } finally {
      this.isBusy = false;
    }
  }

  private async read(lane: Lane): Promise<void> {
    const { client, frame, generation } = lane;
    if (client === null || frame === null || lane.status !== "ready") return;
    const last = this.readings.get(lane.key);
    const reading: Reading =
      last?.generation === generation
        ? last
        : { generation, read: 0, handedOn: [], longest: null, steps: [], failure: null };
    if (reading.failure !== null) return;
    try {
      if (reading.read === 0) await client.call("stream", { x: null });
      const x = this.next(frame, reading);
      const one = frame.probe.input.kind === "symbols" ? (x[0] ?? 0) : Float32Array.from(x);
      const said: StreamStep | null = await client.call("stream", { x: one });
      if (said === null || lane.generation !== generation) return;
      const steps = [...reading.steps, { x, output: said.output, hidden: said.hidden }].slice(-SHOWN);
      const handedOn = [...reading.handedOn, said.handedOn];
      this.readings.set(lane.key, { ...reading, read: said.read, handedOn, longest: said.longest, steps });
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      this.readings.set(lane.key, { ...reading, failure });
    }
  }

  /** What a lane reads next. */
  private next(frame: FrameView, { read, steps }: Reading): readonly number[] {
    const { input, target } = frame.probe;
    const size = input.kind === "symbols" ? 1 : input.size;
    const last = steps.at(-1);
    const source = this.host.streamSource;
    if (source === "hand" && this.hand.length === size) return this.hand;
    if (source === "own" && last !== undefined) {
      if (target.kind === "value") return [...last.output];
      return [drawn(last.output, uniform(this.host.seed, read))];
    }
    const from = (read % frame.nSteps) * size;
    return [...input.values.subarray(from, from + size)];
  }
}
