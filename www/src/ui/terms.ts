// Which number's definition is asked for: numbers anywhere on the page tell the one popover that shows it.

import { getContext, setContext } from "svelte";
import type { TermId } from "../glossary";

export type Ask = (id: TermId, beside: HTMLElement) => void;

const TERMS = Symbol("terms");

export function provideTerms(ask: Ask): void {
  setContext(TERMS, ask);
}

/** Null outside of a page. */
export function terms(): Ask | null {
  return getContext<Ask | undefined>(TERMS) ?? null;
}
