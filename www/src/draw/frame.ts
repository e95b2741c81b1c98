/**
 * Typed read access to a frame. Offsets and shapes are checked once, here; drawings then read plain arrays.
 *
 * This is the only file of the drawings that imports the package's types; the others take them from here.
 */

import type { Channel, Fit, Frame, FrameHeader, Ribbon } from "unroll-types";

export type { Fit, Frame, FrameHeader };

export interface ChannelView {
  id: string;
  title: string;
  role: Channel["role"];
  /** What the colours span, or null when the channel has no bound. */
  range: readonly [number, number] | null;
  nSteps: number;
  units: number;
  /** [T, units]. */
  values: Float32Array;
  /** ∂L/∂channel, [T, units]; null when it is not taken. */
  gradients: Float32Array | null;
}

/** B·‖∂L/∂s_t‖₂ over the probe sequences, each array [T]. */
export interface RibbonView {
  id: string;
  title: string;
  median: Float32Array;
  /** 10 % quantile. */
  lower: Float32Array;
  /** 90 % quantile. */
  upper: Float32Array;
  fit: Fit | null;
  /** True when the row reads from the last timestep to the first. */
  reverse: boolean;
  /**
   * The last timestep, in the row's own reading order, that receives any gradient: where the last loss enters. The zones of
   * the ribbon are relative to its value, and beyond it no loss follows. −1 when the gradient is zero everywhere.
   */
  reference: number;
  /** W, where a truncation window cuts the way back; absent where it does not. */
  window?: number;
  /** Timesteps that the row reads first and that it cuts off: nothing reaches them. */
  cut?: number;
}

export interface RowView {
  id: string;
  title: string;
  layer: number;
  reverse: boolean;
  units: number;
  channels: readonly ChannelView[];
  ribbons: readonly RibbonView[];
}

export interface ProbeView {
  /** Symbols are [T], features [T, size]. */
  input: { kind: "symbols" | "features"; names: readonly string[]; size: number; values: Float32Array };
  /** Classes are [T] with −1 where none is asked, values [T, size]. */
  target: { kind: "class" | "value"; names: readonly string[]; size: number; values: Float32Array };
  /** [T, size of the target]: probabilities for classes. */
  outputs: Float32Array;
  /** [T]: 1 where the loss counts. */
  mask: Float32Array;
  /** [T]: NaN where there is no target. */
  losses: Float32Array;
  /** Timesteps where the loss counts, ascending. */
  scored: readonly number[];
  /** S: the first S timesteps are a source, the others its answer; null where there is none. */
  source: number | null;
  /** [T − S]: the class that the network says at each step of the answer when it reads what it said before; empty without a source. */
  said: Float32Array;
}

export interface FrameView {
  header: FrameHeader;
  nSteps: number;
  rows: readonly RowView[];
  probe: ProbeView;
  /** Below this, f32 has no normal number. */
  floor: number;
}

/** Reads floats of a buffer at an offset; complains about what does not lie in it, and names `whole` and what was read. */
export function reader(
  data: ArrayBuffer,
  whole = "frame",
): (offset: number, shape: readonly number[], what: string) => Float32Array {
  if (data.byteLength % 4 !== 0)
    throw new Error(`${whole}: data has ${String(data.byteLength)} bytes, expected a multiple of 4`);
  const held = data.byteLength / 4;
  return (offset, shape, what) => {
    const length = shape.reduce((product, n) => product * n, 1);
    const sound =
      Number.isInteger(offset) && offset >= 0 && Number.isInteger(length) && length >= 0 && offset + length <= held;
    if (!sound) {
      throw new Error(
        `${whole}: ${what} is [${shape.join(", ")}] at ${String(offset)}, expected within ${String(held)} floats`,
      );
    }
    return new Float32Array(data, offset * 4, length);
  };
}

/** The last timestep in reading order whose median is above zero, or −1. */
function referenceOf(median: Float32Array, reverse: boolean): number {
  const n = median.length;
  for (let k = 0; k < n; k += 1) {
    const t = reverse ? k : n - 1 - k;
    const value = median[t] ?? 0;
    if (value > 0 || Number.isNaN(value)) return t;
  }
  return -1;
}

/** Timesteps, in reading order, that receive nothing, when the first that receives anything stands at a window's start; else 0. */
function cutOf(median: Float32Array, window: number, reverse: boolean): number {
  const isReached = (value: number): boolean => value !== 0;
  const first = reverse ? median.length - 1 - median.findLastIndex(isReached) : median.findIndex(isReached);
  return first > 0 && first < median.length && (median.length - first) % window === 0 ? first : 0;
}

/** Checks a frame and gives typed views of its numbers, without copying them. Throws an `Error` that names what is wrong. */
export function viewFrame(frame: Frame): FrameView {
  const { header, data } = frame;
  const { nSteps } = header;
  if (!Number.isInteger(nSteps) || nSteps < 1) {
    throw new Error(`frame: nSteps is ${String(nSteps)}, expected a positive whole number`);
  }
  const read = reader(data);

  /** The output of a row has as many units as the row; what else a block keeps may have more. */
  const channelView = (channel: Channel, row: string, expected: number | null): ChannelView => {
    const what = `${row}.${channel.id}`;
    const [t, units] = channel.shape;
    if (t !== nSteps || (expected !== null && units !== expected)) {
      const shape = [nSteps, expected ?? units].join(", ");
      throw new Error(`frame: ${what} is [${String(t)}, ${String(units)}], expected [${shape}]`);
    }
    return {
      id: channel.id,
      title: channel.title,
      role: channel.role,
      range: channel.range,
      nSteps,
      units,
      values: read(channel.offset, channel.shape, what),
      gradients:
        channel.gradientOffset === null ? null : read(channel.gradientOffset, channel.shape, `gradient of ${what}`),
    };
  };

  const ribbonView = (ribbon: Ribbon, row: string, reverse: boolean): RibbonView => {
    const all = read(ribbon.offset, [3, nSteps], `ribbon ${row}.${ribbon.id}`);
    const median = all.subarray(0, nSteps);
    return {
      id: ribbon.id,
      title: ribbon.title,
      median,
      lower: all.subarray(nSteps, 2 * nSteps),
      upper: all.subarray(2 * nSteps),
      fit: ribbon.fit,
      reverse,
      reference: referenceOf(median, reverse),
      ...(header.window === undefined || header.window >= nSteps
        ? {}
        : { window: header.window, cut: cutOf(median, header.window, reverse) }),
    };
  };

  const { input, target } = header.probe;
  const inputSize = input.kind === "symbols" ? 1 : input.names.length;
  const targetSize = target.kind === "class" ? 1 : target.names.length;
  const mask = read(header.probe.maskOffset, [nSteps], "probe.mask");
  return {
    header,
    nSteps,
    floor: header.floor,
    rows: header.rows.map((row) => ({
      id: row.id,
      title: row.title,
      layer: row.layer,
      reverse: row.reverse,
      units: row.units,
      channels: row.channels.map((channel, at) => channelView(channel, row.id, at === 0 ? row.units : null)),
      ribbons: row.ribbons.map((ribbon) => ribbonView(ribbon, row.id, row.reverse)),
    })),
    probe: {
      input: {
        kind: input.kind,
        names: input.names,
        size: inputSize,
        values: read(input.offset, [nSteps, inputSize], "probe.input"),
      },
      target: {
        kind: target.kind,
        names: target.names,
        size: targetSize,
        values: read(target.offset, [nSteps, targetSize], "probe.target"),
      },
      outputs: read(header.probe.outputOffset, [nSteps, target.names.length], "probe.output"),
      mask,
      losses: read(header.probe.lossOffset, [nSteps], "probe.loss"),
      scored: Array.from({ length: nSteps }, (_, t) => t).filter((t) => (mask[t] ?? 0) > 0),
      source: header.probe.source ?? null,
      said:
        header.probe.saidOffset === undefined
          ? new Float32Array()
          : read(header.probe.saidOffset, [nSteps - (header.probe.source ?? 0)], "probe.said"),
    },
  };
}

/** A row's channel by id, or null. */
export function channelOf(row: RowView, id: string): ChannelView | null {
  return row.channels.find((channel) => channel.id === id) ?? null;
}

/** A row's ribbon by id, or null. */
export function ribbonOf(row: RowView, id: string): RibbonView | null {
  return row.ribbons.find((ribbon) => ribbon.id === id) ?? null;
}

/** The channel that is shown first: the row's first state. */
export function stateOf(row: RowView): ChannelView | null {
  return row.channels.find((channel) => channel.role === "state") ?? row.channels[0] ?? null;
}

/** Index of the largest entry of row `t` of a [T, n] array; −1 when there is none. */
export function argmax(values: Float32Array, t: number, n: number): number {
  let best = -1;
  let most = Number.NEGATIVE_INFINITY;
  for (let k = 0; k < n; k += 1) {
    const value = values[t * n + k] ?? Number.NaN;
    if (value > most) {
      most = value;
      best = k;
    }
  }
  return best;
}
