import { describe as group, expect, test } from "vitest";
import { FIRST_SPACING, MAX_SNAPSHOTS, Snapshots } from "../../src/worker/snapshots";

/** What is kept after training up to a step. */
function after(last: number, bytes: number, sheet = new Snapshots()): Snapshots {
  for (let step = 0; step <= last; step++) {
    if (sheet.wants(step)) sheet.add({ step, bytes: new Uint8Array(bytes) });
  }
  return sheet;
}

group("snapshots", () => {
  test("snapshots_are_bounded_and_span_all_of_training", () => {
    for (const last of [100, 5000, 123456]) {
      const { steps } = after(last, 8);
      expect(steps.length).toBeLessThanOrEqual(MAX_SNAPSHOTS);
      expect(steps[0]).toBe(0);
      const gaps = steps.slice(1).map((step, at) => step - (steps[at] ?? 0));
      expect(Math.max(...gaps)).toBeLessThanOrEqual(2 * Math.min(...gaps));
      expect(last - (steps.at(-1) ?? 0)).toBeLessThanOrEqual(Math.max(...gaps));
      if (last > 5000) expect(steps.length).toBeGreaterThanOrEqual(MAX_SNAPSHOTS / 2);
    }
  });

  test("snapshots_keep_within_their_bytes_and_always_the_first_and_the_last", () => {
    const sheet = after(5000, 100, new Snapshots(48, 1000));
    expect(sheet.steps.length).toBeLessThanOrEqual(10);
    expect(sheet.steps.length).toBeGreaterThanOrEqual(5);
    const few = after(1000, 100, new Snapshots(48, 50)).steps;
    expect(few).toHaveLength(2);
    expect(few[0]).toBe(0);
  });

  test("snapshots_of_a_large_and_a_small_network_are_at_the_same_steps", () => {
    const small = after(20000, 1).steps;
    const large = after(20000, 100, new Snapshots(48, 1000)).steps;
    expect(large.filter((step) => !small.includes(step))).toEqual([]);
  });

  test("snapshots_nearest_counts_the_newest_state_and_what_came_after_a_step_can_be_forgotten", () => {
    const sheet = after(10 * FIRST_SPACING, 8);
    const newest = { step: 10 * FIRST_SPACING + 7, bytes: new Uint8Array(8) };
    expect(sheet.nearest(FIRST_SPACING + 1, newest).step).toBe(FIRST_SPACING);
    expect(sheet.nearest(1e9, newest)).toBe(newest);
    sheet.forgetAfter(3 * FIRST_SPACING + 1);
    expect(sheet.steps).toEqual([0, 1, 2, 3].map((n) => n * FIRST_SPACING));
    expect(sheet.wants(3 * FIRST_SPACING)).toBe(false);
    expect(sheet.wants(sheet.next(3 * FIRST_SPACING))).toBe(true);
  });
});
