// The loss over all of training in bounded memory: when the sheet is full, neighbours are averaged.
//
// Knows nothing of lanes or charts. Times are training steps.

/** Points of a curve, oldest first. */
export interface Curve {
  readonly steps: Float64Array;
  readonly values: Float64Array;
}

/** Mean of a quantity over spans of equally many steps. */
export class History {
  private readonly steps: Float64Array;
  private readonly values: Float64Array;
  private length = 0;
  /** Training steps behind each point; doubles when the sheet is full. */
  private span = 1;
  private sum = 0;
  private count = 0;

  constructor(private readonly capacity = 2048) {
    this.steps = new Float64Array(capacity);
    this.values = new Float64Array(capacity);
  }

  /** Adds the value of one training step. A value that is not finite ends nothing and counts for nothing. */
  add(step: number, value: number): void {
    if (!Number.isFinite(value)) return;
    this.sum += value;
    this.count += 1;
    if (this.count < this.span) return;
    this.steps[this.length] = step;
    this.values[this.length] = this.sum / this.count;
    this.length += 1;
    this.sum = 0;
    this.count = 0;
    if (this.length === this.capacity) this.halve();
  }

  /** Forgets what came after a step, which is to be trained again. A span that the step cuts is forgotten as a whole. */
  rewind(step: number): void {
    while (this.length > 0 && (this.steps[this.length - 1] ?? 0) > step) this.length -= 1;
    this.sum = 0;
    this.count = 0;
  }

  /** The same up to a step, as a sheet of its own. */
  until(step: number): History {
    const copy = new History(this.capacity);
    copy.steps.set(this.steps);
    copy.values.set(this.values);
    copy.length = this.length;
    copy.span = this.span;
    copy.rewind(step);
    return copy;
  }

  /** The curve so far, the span that is still being filled included. */
  curve(lastStep: number): Curve {
    const isOpen = this.count > 0;
    const n = this.length + (isOpen ? 1 : 0);
    const steps = new Float64Array(n);
    const values = new Float64Array(n);
    steps.set(this.steps.subarray(0, this.length));
    values.set(this.values.subarray(0, this.length));
    if (isOpen) {
      steps[this.length] = lastStep;
      values[this.length] = this.sum / this.count;
    }
    return { steps, values };
  }

  private halve(): void {
    const half = this.length >> 1;
    for (let at = 0; at < half; at++) {
      this.steps[at] = this.steps[2 * at + 1] ?? 0;
      this.values[at] = ((this.values[2 * at] ?? 0) + (this.values[2 * at + 1] ?? 0)) / 2;
    }
    this.length = half;
    this.span *= 2;
  }
}
