import { describe as group, expect, test } from "vitest";
import { evaluationInterval, FrameBudget, SliceSize, Speed, stepLimit, Throttle } from "../../src/worker/schedule";

/** Trains `n` slices with a given time a step; gives the length of each slice in milliseconds. */
function slices(size: SliceSize, n: number, stepMs: (slice: number) => number): number[] {
  return Array.from({ length: n }, (_, slice) => {
    const steps = size.next();
    const elapsed = steps * stepMs(slice);
    size.record(steps, elapsed);
    return elapsed;
  });
}

group("schedule", () => {
  test("slice_size_grows_to_fill_eight_milliseconds_and_no_more", () => {
    const lengths = slices(new SliceSize(), 30, () => 0.1);
    expect(lengths[0]).toBe(0.1);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(8 + 1e-9);
    expect(lengths.at(-1)).toBeGreaterThan(6);
  });

  test("slice_size_is_one_step_when_a_step_is_longer_than_a_slice", () => {
    const size = new SliceSize();
    slices(size, 5, () => 300);
    expect(size.next()).toBe(1);
  });

  test("slice_size_shrinks_at_once_when_steps_get_slow", () => {
    const size = new SliceSize();
    const lengths = slices(size, 40, (slice) => (slice < 20 ? 0.1 : 1));
    expect(lengths[20]).toBeGreaterThan(50);
    expect(Math.max(...lengths.slice(21))).toBeLessThanOrEqual(8 + 1e-9);
  });

  test("slice_size_survives_a_clock_that_stands_still", () => {
    const size = new SliceSize();
    slices(size, 10, () => 0);
    expect(size.next()).toBe(1024);
  });

  test("frame_budget_keeps_pictures_within_their_share", () => {
    const budget = new FrameBudget(0.08);
    let now = 0;
    let pictures = 0;
    while (now < 10_000) {
      if (budget.allows(now)) {
        budget.record(now, now + 3);
        pictures += 3;
        now += 3;
      }
      now += 8;
    }
    expect(pictures / now).toBeLessThanOrEqual(0.081);
    expect(pictures / now).toBeGreaterThan(0.05);
  });

  test("budgets_that_share_keep_to_it_together", () => {
    const budgets = [2, 10, 30].map((cost) => ({ cost, budget: new FrameBudget(0.04) }));
    let now = 0;
    let pictures = 0;
    while (now < 60_000) {
      const next = budgets.find(({ budget }) => budget.allows(now));
      if (next !== undefined) {
        next.budget.record(now, now + next.cost, budgets.length);
        pictures += next.cost;
        now += next.cost;
      }
      now += 8;
    }
    expect(pictures / now).toBeLessThanOrEqual(0.041);
    expect(pictures / now).toBeGreaterThan(0.03);
  });

  test("throttle_lets_one_through_per_interval", () => {
    const throttle = new Throttle(33);
    const times = [0, 10, 32, 33, 40, 66, 67];
    expect(times.filter((time) => throttle.due(time))).toEqual([0, 33, 66]);
  });

  test("evaluation_takes_a_twentieth_of_the_work_and_comes_at_round_steps", () => {
    expect(evaluationInterval(256, 32)).toBe(100);
    expect(evaluationInterval(64, 32)).toBe(50);
    expect(evaluationInterval(256, 1) % 50).toBe(0);
    expect(evaluationInterval(256, 1)).toBeGreaterThan(1500);
  });

  test("speed_is_steps_a_second_of_recent_time", () => {
    const speed = new Speed();
    expect(speed.perSecond()).toBe(0);
    for (let at = 0; at < 100; at++) speed.record(10, 20);
    expect(speed.perSecond()).toBeCloseTo(500);
    for (let at = 0; at < 300; at++) speed.record(1, 20);
    expect(speed.perSecond()).toBeCloseTo(50, 0);
  });

  test("step_limit_lets_the_slowest_lane_go_on_and_holds_the_others", () => {
    const [fast, slow] = [
      { step: 100, stepsPerSecond: 1000 },
      { step: 40, stepsPerSecond: 500 },
    ];
    expect(stepLimit([fast, slow], 100)).toBe(90);
    expect(stepLimit([{ step: 7, stepsPerSecond: 0 }])).toBe(8);
    expect(stepLimit([])).toBe(Number.POSITIVE_INFINITY);
  });
});
