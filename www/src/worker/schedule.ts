// How a worker divides its time: slices of training, pictures in between, reports now and then.
//
// Pure arithmetic on times that are passed in, in milliseconds; knows neither a clock nor the package.

/**
 * A slice of training may take this long, so that pause acts within 100 ms. On WebGPU every slice ends with a wait for the device, and the device
 * waits for the next one: longer slices lose less to that.
 */
export const SLICE_MS = { cpu: 8, webgpu: 50 } as const;
/** The share of the worker's time that pictures may take: they slow down before the training does. */
export const FRAME_SHARE = 0.08;
/** The share of the worker's time that all open panels may take together, beside the pictures. A dear panel is shown less often. */
export const PANELS_SHARE = 0.04;
/** Nor more often than this, however cheap it is: numbers that change faster cannot be read, and the page would draw for nothing. */
export const PANEL_MS = 250;
/** Reports are at least this far apart. */
export const REPORT_MS = 33;
/** The share of training time that held-out evaluation may take. */
export const EVALUATION_SHARE = 0.05;
/** Evaluations are a multiple of this many steps apart. */
const EVALUATION_STEPS = 50;
/** A forward pass costs about a third of a training step. */
const FORWARD_SHARE = 1 / 3;

/** How many steps fit a slice. */
export class SliceSize {
  /** Milliseconds a step takes, smoothed; null before the first slice. */
  private stepMs: number | null = null;

  constructor(private readonly sliceMs: number = SLICE_MS.cpu) {}

  /** Steps of the next slice: one until a step has been timed, and never more than twice those of the slice before. */
  next(): number {
    return this.steps;
  }

  private steps = 1;

  /** Tells how long `steps` steps took. */
  record(steps: number, elapsedMs: number): void {
    if (steps <= 0) return;
    const perStep = Math.max(elapsedMs, 0) / steps;
    this.stepMs = this.stepMs === null ? perStep : 0.7 * this.stepMs + 0.3 * perStep;
    // The slower of the two times counts, so that one slow slice shortens the next at once.
    const careful = Math.max(this.stepMs, perStep);
    const fitting = careful > 0 ? Math.floor(this.sliceMs / careful) : Number.POSITIVE_INFINITY;
    this.steps = Math.max(1, Math.min(fitting, 2 * this.steps));
  }
}

/** Decides when a picture may be taken while training runs. */
export class FrameBudget {
  private notBefore = Number.NEGATIVE_INFINITY;

  /** `everyMs`: pictures are at least this far apart, whatever they cost. */
  constructor(
    private readonly share: number = FRAME_SHARE,
    private readonly everyMs = 0,
  ) {}

  /** True when a picture taken now keeps pictures within their share. */
  allows(nowMs: number): boolean {
    return nowMs >= this.notBefore;
  }

  /** Tells that a picture was taken, and how many have to live on this share. */
  record(startMs: number, endMs: number, among = 1): void {
    const cost = Math.max(endMs - startMs, 0);
    // cost / (cost + pause) = share / among
    this.notBefore = Math.max(endMs + cost * (among / this.share - 1), startMs + this.everyMs);
  }
}

/** Lets something happen at most once every `intervalMs`. */
export class Throttle {
  private last = Number.NEGATIVE_INFINITY;

  constructor(private readonly intervalMs: number) {}

  /** True, and counted, when it is time. */
  due(nowMs: number): boolean {
    if (nowMs - this.last < this.intervalMs) return false;
    this.last = nowMs;
    return true;
  }
}

/**
 * Training steps between two evaluations of `nSequences` sequences, for batches of `batch`. It depends on sizes, not on
 * times, so that "solved at step N" is the same on every machine.
 */
export function evaluationInterval(nSequences: number, batch: number): number {
  const steps = (nSequences * FORWARD_SHARE) / (batch * EVALUATION_SHARE);
  return EVALUATION_STEPS * Math.max(1, Math.ceil(steps / EVALUATION_STEPS));
}

/** Steps a second, over a window of about a second. */
export class Speed {
  private steps = 0;
  private ms = 0;

  record(steps: number, elapsedMs: number): void {
    this.steps += steps;
    this.ms += elapsedMs;
    if (this.ms > 1000) {
      this.steps /= 2;
      this.ms /= 2;
    }
  }

  perSecond(): number {
    return this.ms > 0 ? (1000 * this.steps) / this.ms : 0;
  }

  reset(): void {
    this.steps = 0;
    this.ms = 0;
  }
}

/** A lane in step may be ahead of the slowest one by this much of the slowest one's training: more than a slice of its own. */
export const LEAD_MS = { cpu: 40, webgpu: 100 } as const;

/**
 * How far a lane may go when lanes are in step: as far as the slowest of the others, and a little further, so that
 * nobody waits for a message. Without others that train there is no limit.
 */
export function stepLimit(
  others: readonly { step: number; stepsPerSecond: number }[],
  leadMs: number = LEAD_MS.cpu,
): number {
  let limit = Number.POSITIVE_INFINITY;
  for (const { step, stepsPerSecond } of others) {
    limit = Math.min(limit, step + Math.max(1, Math.ceil((stepsPerSecond * leadMs) / 1000)));
  }
  return limit;
}
