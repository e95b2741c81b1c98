// The history of the ribbon: every row is the package's ribbon at that training step; pointed at, read, gone back to.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { accessible, browsing, pause, PHONE, ribbon, steps, trained } from "./browser";
import { ribbonOf, twin } from "./package";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();

const panel = (page: Page) => page.locator("[data-panel=history]");
const history = (page: Page, lane: number, row = 0) =>
  page.evaluate(([of, at]) => window.unroll?.history(of, at) ?? { steps: [], medians: [] }, [lane, row] as const);
/** What a lane's line says: training step and timestep from its data, the number from its text. */
async function said(page: Page, lane: number): Promise<{ step: number; t: number; value: number }> {
  const line = page.getByTestId("history-read").nth(lane);
  const text = ((await line.locator("b").textContent()) ?? "")
    .replace(/·10⁻/, "e-")
    .replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹]/g, (digit) => String("⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(digit)));
  const [step, t] = await Promise.all(["data-step", "data-t"].map((name) => line.getAttribute(name)));
  return { step: Number(step), t: Number(t), value: Number(text) };
}

test("page_history_has_the_packages_ribbon_of_every_training_step_and_leads_back_there", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off&a.engine=cpu&b.engine=cpu&b.layers=2&panels=history");
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 260);
  await pause(page);
  const [now = 0] = await steps(page);
  for (const [lane, row] of [
    [0, 0],
    [1, 1],
  ] as const) {
    const { steps: moments, medians } = await history(page, lane, row);
    expect(moments[0]).toBe(0);
    expect(moments.length).toBeGreaterThan(5);
    const session = await twin(page, lane);
    const some = [0, Math.floor(moments.length / 2), moments.length - 1];
    let done = 0;
    for (const at of some) {
      const step = moments[at] ?? 0;
      if (step > done) await session.advance(step - done);
      done = step;
      expect(medians[at], `lane ${String(lane)}, step ${String(step)}`).toEqual(await ribbonOf(session, row));
    }
    session.free();
  }
  // The last row is the ribbon.
  const { median } = await ribbon(page, 0);
  expect((await history(page, 0)).medians.at(-1)).toEqual(median);

  // Pointing says the training step, the timestep and the number.
  const picture = panel(page).locator("canvas").first();
  await picture.scrollIntoViewIfNeeded();
  const box = await picture.boundingBox();
  if (box === null) throw new Error("the history has no box");
  await picture.hover({ position: { x: box.width * 0.7, y: box.height * 0.3 } });
  await expect.poll(async () => (await said(page, 0)).t).toBeGreaterThan(10);
  const { steps: moments, medians } = await history(page, 0);
  const pointed = await said(page, 0);
  const value = medians[moments.indexOf(pointed.step)]?.[pointed.t] ?? Number.NaN;
  expect(pointed.step).toBeGreaterThan(0);
  expect(pointed.step).toBeLessThan(now);
  expect(Math.abs(pointed.value / value - 1)).toBeLessThan(0.01);

  // The keyboard marks a row, and the time machine goes to the snapshot nearest to it.
  await page.mouse.move(5, 5);
  const slider = panel(page).getByRole("slider", { name: "Training step" });
  await slider.focus();
  await page.keyboard.press("Home");
  await expect.poll(async () => (await said(page, 0)).step).toBe(0);
  await page.keyboard.press("ArrowRight");
  await expect.poll(async () => (await said(page, 0)).step).toBe(moments[1]);
  await page.keyboard.press("Home");
  await panel(page).getByRole("button", { name: "Look back at step 0" }).press("Enter");
  await page.waitForFunction(() => [0, 1].every((lane) => window.unroll?.frame(lane)?.header.step === 0));
  // Looking back changes nothing in what is remembered.
  expect(await history(page, 0)).toEqual({ steps: moments, medians });

  // Layers, the tall picture, and the numbers as a table.
  await panel(page).getByRole("combobox", { name: "Layer" }).selectOption("2");
  await panel(page).getByText("LSTM, layer 2").waitFor();
  await panel(page).getByRole("combobox", { name: "Shows" }).selectOption("tall");
  await expect.poll(async () => (await picture.boundingBox())?.height).toBeGreaterThan(4 * box.height - 8);
  expect(new URL(page.url()).hash).toContain("panels=history&panel-layer=2&history-size=tall");
  await page.getByText("History as a table").click();
  const rows = page.getByRole("region", { name: "Lane A, history" }).locator("tbody tr");
  await expect.poll(() => rows.first().locator("th").textContent()).toBe("0");
  const cell = Number(await rows.first().locator("td").last().textContent());
  expect(Math.abs(cell / (medians[0]?.at(-1) ?? Number.NaN) - 1)).toBeLessThan(0.01);
  expect(errors).toEqual([]);
});

test("page_history_goes_on_in_a_fork_and_is_forgotten_where_training_is_repeated", async () => {
  const { page } = await open("#v=1&pause-at-goal=off&lanes=1&a.engine=cpu&panels=history");
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 400);
  await pause(page);
  const slider = page.getByRole("slider", { name: "Training step shown" });
  await slider.fill("200");
  await page.getByRole("button", { name: "Fork A" }).click();
  await page.waitForFunction(() => (window.unroll?.steps().length ?? 0) === 2 && window.unroll?.frame(1) !== null);
  const all = await history(page, 0);
  const from = (await steps(page))[1] ?? 0;
  expect(all.steps.at(-1)).toBeGreaterThan(from);
  const forked = await history(page, 1);
  expect(forked.steps.length).toBeGreaterThan(0);
  expect(forked.steps.filter((step) => step !== from)).toEqual(all.steps.filter((step) => step < from));
  await page.keyboard.press("r");
  await expect.poll(async () => (await history(page, 0)).steps).toEqual([0]);
});

test("page_history_fits_a_phone_and_axe_finds_no_fault", async () => {
  const { page } = await open("#v=1&lanes=1&panels=history&history-size=tall", { ...PHONE, colorScheme: "dark" });
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 50);
  await pause(page);
  await page.getByText("History as a table").click();
  await accessible(page);
});
