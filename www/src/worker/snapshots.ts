// The states of a lane along its training, in bounded memory: when they are too many, every second one goes.
//
// Knows nothing of what is in a snapshot. Times are training steps; sizes are bytes.

/** At most so many for a lane: more could not be told apart on a chart. */
export const MAX_SNAPSHOTS = 48;
/** Together they take at most this much for a lane; the first and the last are kept even if those two take more. */
export const MAX_SNAPSHOT_BYTES = 32 * 2 ** 20;
/** Training steps between the first snapshots; doubles whenever they are thinned. */
export const FIRST_SPACING = 50;
/** The share of the worker's time that snapshots may take. One that comes too early is left out. */
export const SNAPSHOT_SHARE = 0.02;
/** Nor closer in time than this: a slice ends where a snapshot is taken, and on WebGPU that is dear. */
export const SNAPSHOT_MS = { cpu: 0, webgpu: 250 } as const;

export interface Snapshot {
  step: number;
  bytes: Uint8Array;
}

/**
 * Snapshots at multiples of a spacing that doubles. The steps depend on sizes and not on times, so that lanes that train side by side take theirs
 * at the same steps.
 */
export class Snapshots {
  private kept: Snapshot[] = [];
  private spacing = FIRST_SPACING;

  constructor(
    private readonly most = MAX_SNAPSHOTS,
    private readonly mostBytes = MAX_SNAPSHOT_BYTES,
  ) {}

  /** Steps of what is kept, ascending. */
  get steps(): number[] {
    return this.kept.map(({ step }) => step);
  }

  /** Whether one is wanted at a step. */
  wants(step: number): boolean {
    return step % this.spacing === 0 && step > (this.kept.at(-1)?.step ?? -1);
  }

  /** The first step after this one at which one is wanted. */
  next(step: number): number {
    return step - (step % this.spacing) + this.spacing;
  }

  /** Adds the latest one. */
  add(snapshot: Snapshot): void {
    this.kept.push(snapshot);
    while (this.isTooMuch()) {
      const last = this.kept.length - 1;
      this.spacing *= 2;
      this.kept = this.kept.filter(({ step }, at) => at === 0 || at === last || step % this.spacing === 0);
    }
  }

  private isTooMuch(): boolean {
    const bytes = this.kept.reduce((sum, one) => sum + one.bytes.byteLength, 0);
    return this.kept.length > 2 && (this.kept.length > this.most || bytes > this.mostBytes);
  }

  /** Forgets what came after a step, which is to be trained again. */
  forgetAfter(step: number): void {
    this.kept = this.kept.filter((one) => one.step <= step);
  }

  /** The one nearest to a step, `other` among them; the earlier of two. */
  nearest(step: number, other: Snapshot): Snapshot {
    const all = [...this.kept, other];
    return all.reduce((best, one) => (Math.abs(one.step - step) < Math.abs(best.step - step) ? one : best));
  }
}
