// The truncation window: its bracket is dragged, and the ribbons are those of the package with that window.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { browsing, isRunning, pause, ribbon, SOFTWARE_GPU, steps, trained } from "./browser";
import { ribbonOf, twin } from "./package";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();
const onGpu = browsing(SOFTWARE_GPU);

const hash = (page: Page): string => new URL(page.url()).hash;
const handle = (page: Page, lane: string) => page.getByRole("slider", { name: `Truncation window of lane ${lane}` });
const inForce = (page: Page, lane: number, length: number | undefined): Promise<unknown> =>
  page.waitForFunction(([at, of]) => window.unroll?.frame(at)?.header.window === of, [lane, length] as const);

/** Drags the left end of a bracket by some timesteps to the right. */
async function drag(page: Page, lane: string, by: number): Promise<void> {
  await handle(page, lane).scrollIntoViewIfNeeded();
  const graph = await page.locator(".graph").first().boundingBox();
  const box = await handle(page, lane).boundingBox();
  if (box === null || graph === null) throw new Error("the handle has no box");
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const width = (graph.width - (graph.width < 520 ? 108 : 138)) / 25;
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x + by * width, y, { steps: 5 });
  await page.mouse.up();
}

test("page_bracket_is_dragged_and_the_ribbon_is_that_of_the_package_with_this_window", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off&lanes=3&b.layers=2");
  for (const [at, lane] of ["A", "B", "C"].entries()) {
    await drag(page, lane, 15);
    await inForce(page, at, 10);
    expect(hash(page)).toContain(`${lane.toLowerCase()}.window=10`);
    const session = await twin(page, at);
    const { median } = await ribbon(page, at);
    expect(median).toEqual(await ribbonOf(session));
    session.free();
    expect(median.map((value) => value > 0)).toEqual(median.map((_, t) => t >= 15));
    await page.getByTestId("sentence").filter({ hasText: "steps 1–15 are cut off by the window" }).nth(at).waitFor();
  }
  // Nobody need begin anew.
  expect(await page.getByRole("button", { name: /Apply/ }).count()).toBe(0);
  // All the way to the left: none.
  await drag(page, "A", -20);
  await inForce(page, 0, undefined);
  expect(hash(page)).not.toContain("a.window");
  const session = await twin(page, 0);
  expect((await ribbon(page, 0)).median).toEqual(await ribbonOf(session));
  session.free();
  expect(errors).toEqual([]);
});

test("page_window_moves_by_keys_and_by_touch_while_training_goes_on", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off&lanes=2&a.window=5", {
    viewport: { width: 390, height: 844 },
    hasTouch: true,
  });
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 20);
  await handle(page, "A").focus();
  await page.keyboard.press("ArrowLeft");
  await inForce(page, 0, 6);
  expect(await handle(page, "A").getAttribute("aria-valuetext")).toBe("the last 6 of 25 timesteps");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await inForce(page, 0, 4);
  await page.keyboard.press("Home");
  await inForce(page, 0, 1);
  await page.keyboard.press("End");
  await inForce(page, 0, undefined);
  await drag(page, "A", 12);
  await inForce(page, 0, 13);
  expect(await isRunning(page)).toBe(true);
  const [before = 0] = await steps(page);
  await trained(page, before + 10);
  await pause(page);
  const { median } = await ribbon(page, 0);
  expect(median.slice(0, 12).every((value) => value === 0)).toBe(true);
  expect(median.slice(12).every((value) => value > 0)).toBe(true);
  expect((await ribbon(page, 1)).median[0]).toBeGreaterThan(0);
  // The field of the lane's card says the same, and changes it too.
  await page.locator("#lane-chip-0").click();
  const card = page.getByRole("dialog", { name: "Settings of lane A" });
  const field = card.getByLabel("Truncation window");
  expect(await field.inputValue()).toBe("13");
  await field.fill("7");
  await field.press("Enter");
  await inForce(page, 0, 7);
  expect(await steps(page)).not.toContain(0);
  expect(errors).toEqual([]);
});

test("page_window_of_a_lane_on_webgpu_moves_and_the_lane_stays_there", async () => {
  const { page, errors } = await onGpu.open("#v=1&pause-at-goal=off&lanes=1&a.engine=webgpu");
  const badge = page.locator(".engine summary");
  await expect.poll(() => badge.textContent(), { timeout: 30_000 }).toBe("WebGPU");
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 5);
  await handle(page, "A").focus();
  await page.keyboard.press("Home");
  await inForce(page, 0, 1);
  const [before = 0] = await steps(page);
  await trained(page, before + 5);
  await pause(page);
  await expect.poll(() => badge.textContent(), { timeout: 30_000 }).toBe("WebGPU");
  const { median } = await ribbon(page, 0);
  expect(median.slice(0, 24).every((value) => value === 0)).toBe(true);
  expect(errors).toEqual([]);
}, 180_000);
