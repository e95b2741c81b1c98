// Slow motion: six stages of one update, whose numbers are those of the step that the package then makes.

import type { BrowserContextOptions, Page } from "playwright-core";
import type { Progress } from "unroll-types";
import { expect, test } from "vitest";
import { accessible, browsing, isRunning, PHONE, steps, trained } from "./browser";
import { twin } from "./package";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();

type Update = { stage: string; step: number; names: readonly string[]; series: Record<string, number[]> };

/** What slow motion knows of a lane, once it does. */
async function update(page: Page, lane: number): Promise<Update> {
  await page.waitForFunction((at) => window.unroll?.update(at) !== null, lane);
  const found = await page.evaluate((at) => window.unroll?.update(at) ?? null, lane);
  if (found === null) throw new Error("slow motion was left");
  return found;
}

const sentence = async (page: Page, lane: number): Promise<string> =>
  (await page.getByTestId("slow-sentence").nth(lane).textContent()) ?? "";
const current = (page: Page) => page.locator(".slow [aria-current=step]");

test("page_slow_motion_tells_the_numbers_of_the_step_that_it_then_makes", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off&lanes=3&b.layers=2&clip.at=0.1", {
    reducedMotion: "reduce",
  });
  const expected: Progress[] = [];
  for (const lane of [0, 1, 2]) {
    const session = await twin(page, lane);
    expected.push(await session.advance(1));
    session.free();
  }
  await page.getByRole("button", { name: "Slow" }).click();
  const told: Update[] = [];
  for (const lane of [0, 1, 2]) told.push(await update(page, lane));
  told.forEach(({ step, series, names }, lane) => {
    const { loss, accuracy, gradientNorm: norm, clipCoefficient: coefficient } = expected[lane] ?? {};
    expect(step).toBe(0);
    expect(names).toHaveLength(lane === 1 ? 10 : 6);
    const f32 = (value = Number.NaN): number => Math.fround(value);
    expect([series["loss"]?.[0], series["accuracy"]?.[0]]).toEqual([f32(loss), f32(accuracy)]);
    expect([series["norm"], series["coefficient"]]).toEqual([[f32(norm)], [f32(coefficient)]]);
    expect(series["clipped"]).toEqual([1]);
  });
  const titles = ["Forward", "Loss", "Backward", "Ledger", "Clip", "Weights move"];
  const says = [
    /^A 16 sequences of batch 1 run through 25 timesteps/,
    new RegExp(`L = ${(expected[0]?.loss ?? 0).toPrecision(4)}`),
    /∂L\/∂h runs back: .* at t 25/,
    /‖∂L\/∂W_hh‖ = .*, of which t 25 pays/,
    new RegExp(
      `${(expected[0]?.gradientNorm ?? 0).toPrecision(3)}, is above 0\\.100: all are multiplied by ${(expected[0]?.clipCoefficient ?? 0).toPrecision(3)}`,
    ),
    /on the same batch L goes from .* Step 1 is done/,
  ];
  for (const [at, title] of titles.entries()) {
    await expect.poll(() => current(page).textContent()).toBe(`${String(at + 1)} ${title}`);
    await expect.poll(() => sentence(page, 0)).toMatch(says[at] ?? /^$/);
    expect(await steps(page)).toEqual(at < 5 ? [0, 0, 0] : [1, 1, 1]);
    // The focus stands on the button: Space is the keyboard's way on.
    await page.keyboard.press("Space");
    if (at === 4) await page.waitForFunction(() => (window.unroll?.steps() ?? []).every((step) => step === 1));
  }
  // The sixth press begins the next update, which starts where the last one was said to end.
  await expect.poll(() => sentence(page, 0)).toContain("batch 2");
  await expect.poll(async () => (await update(page, 0)).step).toBe(1);
  await page.keyboard.press("Escape");
  await expect.poll(() => page.locator(".slow").count()).toBe(0);
  expect(await isRunning(page)).toBe(false);
  expect(await steps(page)).toEqual([1, 1, 1]);
  expect(errors).toEqual([]);
});

test("page_slow_motion_shows_the_next_batch_stands_and_is_left_by_run", async () => {
  const { page } = await open("#v=1&pause-at-goal=off&lanes=2&batch=5");
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 20);
  await page.keyboard.press("m");
  for (const lane of [0, 1]) {
    const { step } = await update(page, lane);
    expect(await steps(page)).toContain(step);
    await page.waitForFunction((at) => window.unroll?.frame(at)?.header.nSequences === 5, lane);
  }
  expect(await isRunning(page)).toBe(false);
  // Nothing shifts from stage to stage.
  const places = async (): Promise<unknown[]> => {
    const boxes = await page.locator(".lane canvas").all();
    return Promise.all(boxes.map((box) => box.boundingBox()));
  };
  const before = await places();
  for (let at = 0; at < 5; at++) {
    await page.keyboard.press("Space");
    await page.waitForFunction(
      (stage) => document.querySelector(".slow [aria-current]")?.textContent.startsWith(stage),
      String(at + 2),
    );
    expect(await places()).toEqual(before);
  }
  await page.getByRole("button", { name: "Run" }).click();
  await expect.poll(() => page.locator(".slow").count()).toBe(0);
  const [from = 0] = await steps(page);
  await trained(page, from + 5);
  // Pictures are of the probe again.
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.nSequences === 16);
});

test.each([
  ["light", {}],
  ["dark", { colorScheme: "dark" }],
  ["phone", PHONE],
] satisfies [string, BrowserContextOptions][])(
  "page_slow_motion_has_no_fault_that_axe_finds_%s",
  async (_, options) => {
    const { page } = await open("#v=1&lanes=3&b.layers=2", { ...options, reducedMotion: "reduce" });
    await page.getByRole("button", { name: "Slow" }).click();
    for (const lane of [0, 1, 2]) await update(page, lane);
    for (let at = 0; at < 5; at++) await page.keyboard.press("Space");
    await page
      .getByText(/Step 1 is done/)
      .first()
      .waitFor();
    await accessible(page);
  },
);
