// Pictures draw in turns, so that drawing stays within its share of a frame whatever the machine: what finds no time in this frame draws
// in a later one, first come, first served, with the numbers of then.

import { getContext, setContext } from "svelte";

/** What turns need of the browser. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  nextFrame(callback: () => void): void;
}

/** A picture that asks for turns. */
export interface Turn {
  /** Milliseconds that its last drawing took. */
  ms: number;
  /** Its time has come: it may ask again. */
  resume: () => void;
}

/** Milliseconds of drawing in a frame; a longer picture has a frame of its own. */
export const BUDGET_MS = 4;

export class Turns {
  private spent = 0;
  private isCounting = false;
  private waiting: Turn[] = [];
  private readonly granted = new Set<Turn>();

  constructor(private readonly clock: Clock) {}

  /** Draws if there is time left in this frame and nobody waits; otherwise resumes `turn` when there is. */
  take(turn: Turn, draw: () => void): void {
    const isGranted = this.granted.delete(turn);
    if (!isGranted && (this.waiting.length > 0 || !this.fits(turn))) {
      if (!this.waiting.includes(turn)) this.waiting.push(turn);
      this.count();
      return;
    }
    const before = this.clock.now();
    draw();
    const ms = this.clock.now() - before;
    this.spent += isGranted ? ms - turn.ms : ms;
    turn.ms = ms;
    this.count();
  }

  /** Forgets a picture that is gone. */
  drop(turn: Turn): void {
    this.waiting = this.waiting.filter((other) => other !== turn);
    this.granted.delete(turn);
  }

  private fits({ ms }: Turn): boolean {
    return this.spent <= 0 || this.spent + ms <= BUDGET_MS;
  }

  /** Begins anew with the next frame. */
  private count(): void {
    if (this.isCounting) return;
    this.isCounting = true;
    this.clock.nextFrame(() => {
      this.isCounting = false;
      this.spent = 0;
      this.granted.clear();
      for (let turn = this.waiting[0]; turn !== undefined && this.fits(turn); turn = this.waiting[0]) {
        this.waiting.shift();
        this.granted.add(turn);
        this.spent += turn.ms;
        turn.resume();
      }
      if (this.waiting.length > 0) this.count();
    });
  }
}

const TURNS = Symbol("turns");

export function provideTurns(clock: Clock): void {
  setContext(TURNS, new Turns(clock));
}

/** Null outside of a page. */
export function turns(): Turns | null {
  return getContext<Turns | undefined>(TURNS) ?? null;
}
