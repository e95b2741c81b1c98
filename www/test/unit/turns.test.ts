/** Pictures draw in turns: within the budget of a frame, in the order in which they asked, and each of them in the end. */

import { expect, test } from "vitest";
import { BUDGET_MS, Turns, type Turn } from "../../src/ui/turns";

/** A clock that only drawing moves, and pictures of known cost that want to be drawn again at once. */
function machine(costs: readonly number[]) {
  let now = 0;
  let frame: (() => void) | null = null;
  const turns = new Turns({
    now: () => now,
    nextFrame: (callback) => {
      expect(frame).toBeNull();
      frame = callback;
    },
  });
  const drawn: number[] = [];
  const pictures = costs.map((cost, at): Turn & { ask: () => void } => ({
    ms: 0,
    ask() {
      turns.take(this, () => {
        now += cost;
        drawn.push(at);
      });
    },
    resume() {
      this.ask();
    },
  }));
  const next = (): { drawn: number[]; ms: number } => {
    const before = now;
    drawn.length = 0;
    const callback = frame;
    frame = null;
    callback?.();
    return { drawn: [...drawn], ms: now - before };
  };
  return { turns, pictures, drawn, next, isIdle: () => frame === null };
}

test("pictures_that_fit_into_a_frame_are_drawn_in_it", () => {
  const { pictures, drawn } = machine([1, 1, 1.5]);
  for (const picture of pictures) picture.ask();
  expect(drawn).toEqual([0, 1, 2]);
});

test("a_frame_never_draws_longer_than_its_budget_and_nobody_is_left_out", () => {
  const { pictures, next } = machine([2, 3, 1, 2, 6, 1]);
  // Each knows its cost after it was drawn once.
  for (const picture of pictures) picture.ask();
  for (let frame = 0; frame < 10; frame += 1) next();
  const times = pictures.map(() => 0);
  for (let frame = 0; frame < 60; frame += 1) {
    for (const picture of pictures) picture.ask();
    const { drawn, ms } = next();
    expect(ms <= BUDGET_MS || drawn.length === 1).toBe(true);
    for (const at of drawn) times[at] = (times[at] ?? 0) + 1;
  }
  expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(1);
  expect(Math.min(...times)).toBeGreaterThan(10);
});

test("who_asks_twice_while_it_waits_is_drawn_once", () => {
  const { pictures, drawn, next } = machine([3, 3]);
  for (const picture of pictures) picture.ask();
  pictures[1]?.ask();
  pictures[1]?.ask();
  expect(drawn).toEqual([0, 1]);
  for (const picture of pictures) picture.ask();
  for (const picture of pictures) picture.ask();
  const all = [next(), next(), next()].flatMap((frame) => frame.drawn);
  // The second waits since before.
  expect(all).toEqual([1, 0]);
});

test("who_is_gone_is_not_drawn_and_holds_nobody_up", () => {
  const { turns, pictures, next, isIdle } = machine([3, 3, 3]);
  for (let round = 0; round < 2; round += 1) for (const picture of pictures) picture.ask();
  const gone = pictures[1];
  if (gone !== undefined) turns.drop(gone);
  const all = [next(), next(), next(), next()].flatMap((frame) => frame.drawn);
  expect(all).not.toContain(1);
  expect(all).toContain(2);
  expect(isIdle()).toBe(true);
});
