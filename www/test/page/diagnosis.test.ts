// What the page says is wrong with a network, against the network's numbers, and remedies that change it.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { accessible, browsing, pause, PHONE, ribbon, trained } from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();

const run = (page: Page) => page.getByRole("button", { name: "Run", exact: true }).click();
const finding = (page: Page, title: string) => page.getByRole("article", { name: title });

/** Whether every number of a lane's last frame that training makes is finite: its losses are where the task scores. */
const isFinite = (page: Page): Promise<boolean> =>
  page.evaluate(() => {
    const median = window.unroll?.frame(0)?.header.rows[0]?.ribbons[0];
    const data = window.unroll?.frame(0)?.data;
    if (median === undefined || data === undefined) return false;
    return [...new Float32Array(data, 4 * median.offset, 25)].every((value) => Number.isFinite(value));
  });

test("page_diagnosis_names_a_vanishing_gradient_with_its_numbers_and_an_lstm_takes_the_lane", async () => {
  const { page, errors } = await open("#v=1&lanes=1&pause-at-goal=off");
  await expect.poll(() => page.getByTestId("diagnosis").textContent()).toContain("Nothing wrong is seen");
  await run(page);
  const vanishing = finding(page, "Lane A: Vanishing gradient");
  await vanishing.waitFor();
  await pause(page);
  const { median } = await ribbon(page, 0);
  const part = (median.at(-1) ?? 0) / (median[0] ?? 1);
  const said = async (): Promise<number> =>
    Number(/receives 1\/([\d,]+) of the signal/.exec((await vanishing.textContent()) ?? "")?.[1]?.replaceAll(",", ""));
  await expect.poll(async () => Math.abs((await said()) / part - 1)).toBeLessThan(0.06);
  await vanishing.getByRole("button", { name: "Use an LSTM" }).click();
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.rows[0]?.ribbons.some(({ id }) => id === "c"));
  expect(new URL(page.url()).hash).toContain("a.model=lstm");
  expect(await page.evaluate(() => window.unroll?.steps())).toEqual([0]);
  await expect.poll(() => page.getByTestId("diagnosis").textContent()).toContain("Nothing wrong is seen");
  // It learns what the Elman network could not.
  await run(page);
  await page.getByText(/solved at step/).waitFor();
  expect(errors).toEqual([]);
});

test("page_diagnosis_of_what_is_not_finite_rewinds_to_a_network_that_trains_on", async () => {
  const { page, errors } = await open(
    "#v=1&lanes=1&pause-at-goal=off&task=adding&task.length=25&a.nonlinearity=relu&a.init=identity&optimiser=sgd&optimiser.lr=0.001&clip=off&a.engine=cpu",
  );
  await run(page);
  await trained(page, 300);
  // A learning rate that no network survives, while it runs.
  const rate = page.getByRole("textbox", { name: "Learning rate" });
  await rate.fill("10");
  await rate.press("Enter");
  const broken = finding(page, "Lane A: Not finite");
  await broken.waitFor();
  expect(await page.evaluate(() => window.unroll?.isRunning())).toBe(false);
  const [stopped = 0] = (await page.evaluate(() => window.unroll?.steps())) ?? [];
  await broken.getByRole("button", { name: /^Rewind to step [\d,]+, clip at 1$/ }).waitFor();
  await rate.fill("0.001");
  await rate.press("Enter");
  await broken.getByRole("button", { name: /^Rewind to step [\d,]+, clip at 1$/ }).click();
  await page.waitForFunction((step) => (window.unroll?.frame(0)?.header.step ?? step) < step, stopped);
  expect(await isFinite(page)).toBe(true);
  expect(new URL(page.url()).hash).not.toContain("clip=off");
  await expect.poll(() => broken.count()).toBe(0);
  await run(page);
  await trained(page, stopped + 200);
  await pause(page);
  expect(await isFinite(page)).toBe(true);
  expect(errors).toEqual([]);
});

test("page_diagnosis_can_be_dismissed_and_has_no_fault_that_axe_finds", async () => {
  const { page } = await open("#v=1&lanes=1", PHONE);
  await run(page);
  const vanishing = finding(page, "Lane A: Vanishing gradient");
  await vanishing.waitFor();
  await pause(page);
  await page.getByTestId("diagnosis").getByText("What do I see?").click();
  await page.evaluate(() => {
    window.scrollTo(0, 0);
  });
  await accessible(page);
  await page.getByRole("button", { name: "Do not show this for lane A" }).click();
  await expect.poll(() => vanishing.count()).toBe(0);
});
