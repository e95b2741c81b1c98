// What the page and a lane's worker say to each other: one union each way.
//
// Every request carries an id and gets exactly one answer, also when it fails or is cancelled. Reports come unasked.
// Must not know Svelte, the canvas or the package's functions.

import type {
  Catalog,
  Change,
  Cliff,
  CliffQuery,
  Diverged,
  Evaluation,
  Frame,
  FrameOptions,
  Hyper,
  Inspection,
  InspectionQuery,
  Progress,
  SessionConfig,
  StreamStep,
} from "unroll-types";
import type { Size, SizesAsked } from "./sizes";
import type { Snapshot } from "./snapshots";

/** What trains a lane, and one sentence that says why. */
export interface Engine {
  backend: "cpu" | "webgpu";
  reason: string;
}

/** What can be asked, and what the answer carries. */
export interface Calls {
  /** The tables of the package. */
  catalog: { ask: object; answer: Catalog };
  /** A new session in place of the old one; it starts paused at step 0. */
  create: { ask: { config: SessionConfig }; answer: Engine };
  /** Train until told otherwise. Answered at once. */
  run: { ask: object; answer: object };
  /** One port to each lane to keep in step with, in place of all former ones. Over them goes `PeerMessage`. */
  peers: { ask: { ports: MessagePort[] }; answer: object };
  /** Answered when training stands still. */
  pause: { ask: object; answer: { step: number } };
  /** Trains up to a step and stands still; answered then. */
  trainTo: { ask: { step: number }; answer: { step: number } };
  /** A picture, when the budget allows it; at once when paused. */
  frame: { ask: { options: FrameOptions }; answer: Frame };
  /** What a panel shows, when the panel's own budget allows it; at once when paused. A newer one for the same panel takes its place. */
  inspect: { ask: { query: InspectionQuery }; answer: Inspection };
  /** A change of the running network by hand. Answered when it is made. */
  edit: { ask: { change: Change }; answer: object };
  /** The loss cliff; no network is asked. */
  cliff: { ask: { query: CliffQuery }; answer: Cliff };
  /** How many parameters networks have; no session is asked. */
  sizes: { ask: SizesAsked; answer: Size[] };
  /** The gradient of the next step by both engines, now. */
  compare: { ask: object; answer: Inspection };
  /** One timestep of a stream, a symbol or the features; null begins it anew. */
  stream: { ask: { x: number | Float32Array | null }; answer: StreamStep | null };
  /** The weights as they are, a safetensors file. */
  weights: { ask: object; answer: Uint8Array };
  /** Held-out data, now. */
  evaluate: { ask: object; answer: Evaluation };
  /** Live settings. */
  hyper: { ask: { hyper: Hyper }; answer: object };
  /**
   * Stands still and goes to the snapshot nearest to a step; with null back to the newest state, which is kept until training goes on. Live settings
   * are those given, or those of the snapshot. Answers with the step that the session then stands at.
   */
  look: { ask: { step: number | null; hyper: Hyper | null }; answer: { step: number } };
  /** The state that is looked at is the newest one from now on: what came later is forgotten. Answers with its step. */
  keep: { ask: object; answer: { step: number } };
  /** The state that the session stands at. */
  snapshot: { ask: object; answer: Snapshot };
  /** Goes on from the state of another session of this configuration. */
  adopt: { ask: { snapshot: Snapshot; hyper: Hyper | null }; answer: object };
}

export type CallName = keyof Calls;

export type Request = { [Name in CallName]: { type: Name; id: number } & Calls[Name]["ask"] }[CallName];

/** An error as it crosses: the fields of an `UnrollError`, or why nothing came. */
export interface Failure {
  kind: "refused" | "cancelled" | "crashed";
  message: string;
  field?: string;
  expected?: string;
  got?: string;
}

export type Answer =
  | { [Name in CallName]: { type: "answer"; id: number; call: Name; value: Calls[Name]["answer"] } }[CallName]
  | { type: "failure"; id: number; failure: Failure };

/** What a training lane tells about its way, at most about thirty times a second. */
export interface ProgressReport {
  step: number;
  stepsPerSecond: number;
  /** Mean loss and accuracy over the steps since the last report. */
  loss: number;
  accuracy: number;
  gradientNorm: number;
  clipCoefficient: number;
  clipped: boolean;
  /**
   * The loss of each step since the last report; the last one is that of `step`. They reach back behind the last report where a lost device took
   * steps along and they were trained again.
   */
  losses: Float32Array;
}

export type Report =
  | ({ type: "progress" } & ProgressReport)
  | { type: "evaluation"; evaluation: Evaluation }
  | { type: "diverged"; diverged: Diverged }
  /** Engine or reason have changed. The session stands at `step`: less than before when a lost device took steps along. */
  | ({ type: "engine"; step: number } & Engine)
  /** Steps that can be looked back at, ascending. */
  | { type: "snapshots"; steps: number[] }
  | { type: "crashed"; message: string };

export type FromWorker = Answer | Report;

/** What lanes in step tell each other: how far they are, or null when they stand still and nobody need wait for them. */
export type PeerMessage = { step: number; stepsPerSecond: number } | null;

/** What must move rather than be copied. */
export function transferables(message: FromWorker): Transferable[] {
  if (message.type === "progress") return [message.losses.buffer];
  if (
    message.type === "answer" &&
    (message.call === "frame" || message.call === "inspect" || message.call === "compare")
  )
    return [message.value.data];
  if (message.type === "answer" && message.call === "cliff")
    return Object.values(message.value as unknown as Record<string, Float64Array>).map(({ buffer }) => buffer);
  if (message.type === "answer" && message.call === "weights") return [message.value.buffer];
  return [];
}

/** An error of the package, or anything else that was thrown, as it crosses. */
export function toFailure(error: unknown, kind: Failure["kind"] = "refused"): Failure {
  const failure: Failure = { kind, message: error instanceof Error ? error.message : String(error) };
  if (typeof error === "object" && error !== null) {
    for (const key of ["field", "expected", "got"] as const) {
      const value: unknown = Reflect.get(error, key);
      if (typeof value === "string") failure[key] = value;
    }
  }
  return failure;
}

/** A failed call, as the page sees it. */
export class CallFailed extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message);
    this.name = "CallFailed";
  }
}

/** The part of `Progress` that the worker's loop uses. */
export type StepResult = Pick<
  Progress,
  "step" | "loss" | "accuracy" | "gradientNorm" | "clipCoefficient" | "clipped" | "losses" | "diverged"
>;
