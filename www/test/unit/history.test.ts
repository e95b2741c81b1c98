import { describe as group, expect, test } from "vitest";
import { History } from "../../src/lab/history";

group("history", () => {
  test("history_keeps_every_step_while_there_is_room", () => {
    const history = new History(16);
    [3, 2, 1].forEach((loss, at) => {
      history.add(at + 1, loss);
    });
    const { steps, values } = history.curve(3);
    expect([...steps]).toEqual([1, 2, 3]);
    expect([...values]).toEqual([3, 2, 1]);
  });

  test("history_averages_neighbours_when_full_and_forgets_nothing", () => {
    const history = new History(16);
    for (let step = 1; step <= 1000; step++) history.add(step, step);
    const { steps, values } = history.curve(1000);
    expect(steps.length).toBeLessThanOrEqual(16);
    expect(steps.at(-1)).toBe(1000);
    // Spans of 64 steps: the first is the mean of 1 … 64 and ends at step 64.
    expect(values[0]).toBe(32.5);
    expect(steps[0]).toBe(64);
    for (let at = 1; at < steps.length; at++) expect(steps[at]).toBeGreaterThan(steps[at - 1] ?? 0);
  });

  test("history_rewound_goes_on_from_an_earlier_step", () => {
    const history = new History(16);
    for (let step = 1; step <= 40; step++) history.add(step, step);
    history.rewind(30);
    for (let step = 31; step <= 60; step++) history.add(step, step);
    const { steps, values } = history.curve(60);
    for (let at = 1; at < steps.length; at++) expect(steps[at]).toBeGreaterThan(steps[at - 1] ?? 0);
    expect(steps.at(-1)).toBe(60);
    expect(values.at(-1)).toBeGreaterThan(50);
    history.rewind(0);
    expect(history.curve(0).steps).toHaveLength(0);
  });

  test("history_leaves_out_what_is_not_a_number", () => {
    const history = new History(16);
    history.add(1, 5);
    history.add(2, Number.NaN);
    history.add(3, 7);
    expect([...history.curve(3).values]).toEqual([5, 7]);
  });
});
