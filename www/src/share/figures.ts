// The figures that are on the page now, so that they can be saved. A picture enters itself; knows nothing of what it shows.

import { getContext, setContext } from "svelte";
import type { Box, Canvas2D } from "../draw/canvas.js";
import type { Sheet } from "./sheets";

/** What a figure is of: its name, its lane, its numbers. */
export interface Subject {
  title: string;
  /** The lane it belongs to, from 0; null when it shows all. */
  lane: number | null;
  /** Training steps done when its numbers were taken. */
  step: () => number;
  /** The numbers that it is drawn from, or null when it has none. */
  sheet: () => Sheet | null;
}

export interface Figure extends Subject {
  canvas: HTMLCanvasElement;
  draw: (ctx: Canvas2D, box: Box) => void;
}

/** The figures of a page. */
export class Figures {
  private readonly all = new Set<Figure>();

  /** Enters a figure; gives a function that takes it out. */
  enter(figure: Figure): () => void {
    this.all.add(figure);
    return () => {
      this.all.delete(figure);
    };
  }

  /** Those that can be seen, in the order of the document. */
  list(): Figure[] {
    const seen = [...this.all].filter(({ canvas }) => canvas.clientWidth > 0);
    return seen.sort((a, b) =>
      (a.canvas.compareDocumentPosition(b.canvas) & Node.DOCUMENT_POSITION_FOLLOWING) === 0 ? 1 : -1,
    );
  }
}

const FIGURES = Symbol("figures");
const SUBJECT = Symbol("subject");

export function provideFigures(): Figures {
  return setContext(FIGURES, new Figures());
}

/** Null outside of a page. */
export function figures(): Figures | null {
  return getContext<Figures | undefined>(FIGURES) ?? null;
}

/** Says what the pictures below a component are of. */
export function provideSubject(subject: () => Subject): void {
  setContext(SUBJECT, subject);
}

export function subject(): (() => Subject) | null {
  return getContext<(() => Subject) | undefined>(SUBJECT) ?? null;
}
