// What a number is: a click on it, or a key, says its name and formula; the help lists them all.

import type { BrowserContextOptions } from "playwright-core";
import { expect, test } from "vitest";
import { GLOSSARY } from "../../src/glossary";
import { accessible, browsing, PHONE } from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();

test("page_numbers_say_what_they_are_by_click_and_by_key", async () => {
  const { page, errors } = await open("#v=1&panels=spectrum,factors,ledger");
  const number = page.getByTestId("radius").first();
  await number.waitFor();
  const before = await number.textContent();
  await number.click();
  const said = page.getByRole("dialog", { name: "Spectral radius ρ" });
  await said.getByText("ρ = max |λi|, Whh vi = λi vi").waitFor();
  expect(await said.locator("sub").allTextContents()).toEqual(["i", "hh", "i", "i", "i"]);
  // Nothing has changed by it; Escape leads back to the number.
  await page.keyboard.press("Escape");
  await expect.poll(() => said.count()).toBe(0);
  expect(await number.textContent()).toBe(before);
  expect(await page.evaluate(() => document.activeElement?.querySelector("[data-testid=radius]") !== null)).toBe(true);

  // The sentence has two numbers of its own.
  const sentence = page.getByTestId("sentence").first();
  const [factor, share] = await sentence.getByRole("button").allTextContents();
  expect(await sentence.textContent()).toContain(`${factor ?? ""} a step back; step 1 receives ${share ?? ""}`);
  await sentence.getByRole("button").first().press("Enter");
  const definition = page.getByRole("dialog", { name: "Factor a step back, κ" });
  await definition.waitFor();
  // A click elsewhere closes it.
  await page.mouse.click(5, 880);
  await expect.poll(() => definition.count()).toBe(0);
  await sentence.getByRole("button").nth(1).press("Space");
  await page.getByRole("dialog", { name: "Share of the signal" }).getByRole("button", { name: "Close" }).press("Enter");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe(share);

  await page.keyboard.press("?");
  await page.getByText("Glossary: what the numbers are").click();
  const names = await page.locator("dialog dt").allTextContents();
  expect(names).toEqual(Object.values(GLOSSARY).map(({ name }) => name));
  expect(errors).toEqual([]);
});

test("page_numbers_of_slow_motion_proof_and_horizon_say_what_they_are", async () => {
  const { page, errors } = await open("#v=1&lanes=1&panels=proof,horizon", { reducedMotion: "reduce" });
  const says = async (number: string, within: string, name: string): Promise<void> => {
    await page.locator(within).getByRole("button", { name: number, exact: true }).first().click();
    const said = page.getByRole("dialog", { name, exact: true });
    await said.waitFor();
    await page.keyboard.press("Escape");
    await expect.poll(() => said.count()).toBe(0);
  };
  await page.getByTestId("proof-parameters").waitFor();
  await says("3", "[data-panel=proof]", GLOSSARY.seed.name);
  await says("relative difference", "[data-panel=proof]", GLOSSARY.check.name);
  await says("right answers", "[data-panel=horizon]", GLOSSARY.accuracy.name);
  await page.getByRole("button", { name: "Slow" }).click();
  await page.waitForFunction(() => window.unroll?.update(0) !== null);
  await page.keyboard.press("Space");
  const loss = await page.evaluate(() => window.unroll?.update(0)?.series["loss"]?.[0] ?? Number.NaN);
  await says(loss.toPrecision(4), ".slow", GLOSSARY.loss.name);
  expect(errors).toEqual([]);
});

test.each([
  ["light", {}],
  ["phone in the dark", { ...PHONE, colorScheme: "dark" }],
] satisfies [string, BrowserContextOptions][])(
  "page_definitions_have_no_fault_that_axe_finds_%s",
  async (_, options) => {
    const { page } = await open("#v=1&lanes=1&panels=pipe", options);
    const number = page.getByTestId("pipe-width");
    await number.scrollIntoViewIfNeeded();
    await number.click();
    const dialog = page.getByRole("dialog", { name: "Width of the pipe" });
    const box = await dialog.boundingBox();
    const view = page.viewportSize();
    if (box === null || view === null) throw new Error("the definition has no box");
    expect(box.x).toBeGreaterThanOrEqual(0);
    expect(box.x + box.width).toBeLessThanOrEqual(view.width);
    expect(box.y).toBeGreaterThanOrEqual(0);
    expect(box.y + box.height).toBeLessThanOrEqual(view.height);
    await accessible(page);
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByText("Glossary: what the numbers are").click();
    await accessible(page);
  },
);
