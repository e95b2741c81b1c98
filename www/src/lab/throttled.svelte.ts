// A value that is shown at most so often: numbers that change sixty times a second cannot be read.

export class Throttled<T> {
  shown: T = $state.raw() as T;
  private waiting: { value: T } | null = null;
  private isClosed = false;

  constructor(
    first: T,
    private readonly intervalMs: number,
  ) {
    this.shown = first;
  }

  /** Shows the value now or when the interval is over; `isFinal` shows it at once. */
  offer(value: T, isFinal = false): void {
    if (this.isClosed && !isFinal) {
      this.waiting = { value };
      return;
    }
    this.waiting = null;
    this.shown = value;
    if (this.isClosed) return;
    this.isClosed = true;
    setTimeout(() => {
      this.isClosed = false;
      const { waiting } = this;
      if (waiting !== null) this.offer(waiting.value);
    }, this.intervalMs);
  }
}
