// The gradient ribbons over all of training in bounded memory: of frames that come too close, only the first is kept, and the distance grows.
//
// Knows nothing of lanes or pictures. Times are training steps.

import type { FrameView } from "../draw/frame.js";
import type { RibbonHistory } from "../draw/history.js";

/** Moments that are kept at most: a picture has hardly more rows of pixels. */
const MOST_MOMENTS = 512;
/** Numbers that are kept at most, all rows of the network together: 1 MiB. */
const MOST_NUMBERS = 2 ** 18;

/** Medians of every row's first ribbon at one training step, row after row, each [T]. */
interface Moment {
  step: number;
  medians: Float32Array;
}

/** The medians of ribbons, moment by moment. */
export class Ribbons {
  private moments: Moment[] = [];
  /** Least distance of two moments, in training steps; doubles when they are too many. */
  private spacing = 1;
  /** What the moments are of; another network, sequence length or kind of loss begins anew. */
  private key = "";

  constructor(
    private readonly mostMoments = MOST_MOMENTS,
    private readonly mostNumbers = MOST_NUMBERS,
  ) {}

  /** Takes in a frame; true when it is kept. One that is earlier than what is kept shows the past, and leaves everything as it is. */
  take(frame: FrameView): boolean {
    const { step, lossAt } = frame.header;
    const key = [lossAt, frame.nSteps, ...frame.rows.map(({ id }) => id)].join();
    if (key !== this.key) {
      this.key = key;
      this.moments = [];
      this.spacing = 1;
    }
    const last = this.moments.at(-1);
    if (last !== undefined && step !== last.step && step < last.step + this.spacing) return false;
    const medians = new Float32Array(frame.nSteps * frame.rows.length);
    frame.rows.forEach(({ ribbons: [ribbon] }, row) => {
      if (ribbon !== undefined) medians.set(ribbon.median, row * frame.nSteps);
    });
    // The same step again: the network was changed by hand.
    if (last?.step === step) this.moments.pop();
    this.moments.push({ step, medians });
    while (
      this.moments.length > Math.max(16, Math.min(this.mostMoments, Math.floor(this.mostNumbers / medians.length)))
    )
      this.thin();
    return true;
  }

  /** Keeps moments that are twice as far apart; the last one always stays. */
  private thin(): void {
    this.spacing *= 2;
    const kept: Moment[] = [];
    this.moments.forEach((moment, at) => {
      const before = kept.at(-1);
      const isFar = before === undefined || moment.step >= before.step + this.spacing;
      if (isFar || at === this.moments.length - 1) kept.push(moment);
    });
    this.moments = kept;
  }

  /** Forgets what came after a step, which is to be trained again. */
  rewind(step: number): void {
    this.moments = this.moments.filter((moment) => moment.step <= step);
  }

  /** The same up to a step, as memory of its own. */
  until(step: number): Ribbons {
    const copy = new Ribbons(this.mostMoments, this.mostNumbers);
    copy.key = this.key;
    copy.spacing = this.spacing;
    copy.moments = this.moments.filter((moment) => moment.step <= step);
    return copy;
  }

  /** The history of one row of a network; null before there is any. */
  of(frame: FrameView, row: number): RibbonHistory | null {
    const ribbon = frame.rows[row]?.ribbons[0];
    if (ribbon === undefined || this.moments.length === 0) return null;
    const { nSteps, floor } = frame;
    return {
      nSteps,
      floor,
      state: ribbon.id,
      steps: this.moments.map(({ step }) => step),
      medians: this.moments.map(({ medians }) => medians.subarray(row * nSteps, (row + 1) * nSteps)),
    };
  }
}
