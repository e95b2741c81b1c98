// Lessons: predicted, unlocked, laid over with the truth, and challenges that check themselves.

import type { BrowserContextOptions, Page } from "playwright-core";
import { expect, test } from "vitest";
import { accessible, browsing, isRunning, PHONE, ready, ribbon, steps, trained } from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();

const hash = (page: Page): string => new URL(page.url()).hash;

/** Presses Tab until the focused element has the role and a name that begins so. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press("Tab");
    const shown = await page.evaluate(() => {
      const element = document.activeElement;
      return element?.getAttribute("aria-label") ?? element?.textContent?.trim() ?? "";
    });
    if (shown.startsWith(name)) return;
  }
  throw new Error(`no way with Tab to ${name}`);
}

test("page_lesson_is_walked_through_with_the_keyboard_alone", async () => {
  const { page, errors } = await open("");
  await tabTo(page, "Lessons");
  await page.keyboard.press("Enter");
  await tabTo(page, "The vanishing gradient");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "The vanishing gradient" }).waitFor();
  await page.waitForFunction(() => window.unroll?.steps().length === 1 && window.unroll.frame(0) !== null);
  expect(hash(page)).toBe("#v=1&lesson=vanishing");

  // Until there is a prediction nothing runs and the answer is hidden.
  const runs = page.getByRole("button", { name: "Run", exact: true });
  expect(await runs.isDisabled()).toBe(true);
  await page.keyboard.press("Space");
  await page.keyboard.press("s");
  expect(await isRunning(page)).toBe(false);
  expect(await steps(page)).toEqual([0]);
  expect(await page.locator(":is(.ribbon, .graph):visible").count()).toBe(0);

  // Halves at each step back would be 2⁻²⁴ at step 1; this draws 10⁻³, and a straight line from there.
  const drawn = [-3, -2, -1.5, -1];
  for (const [at, step] of [1, 7, 13, 19].entries()) {
    await tabTo(page, `Share of the gradient that arrives at step ${step}`);
    for (let n = 0; n < -2 * (drawn[at] ?? 0); n++) await page.keyboard.press("ArrowDown");
  }
  await tabTo(page, "That is my prediction");
  await page.keyboard.press("Enter");
  const truth = page.getByTestId("decades");
  await truth.waitFor();
  expect(await page.locator(".ribbon canvas:visible").count()).toBe(1);

  // The number is the mean distance between the drawn line and the page's own ribbon, in powers of ten.
  const { median } = await ribbon(page, 0);
  const last = median.at(-1) ?? Number.NaN;
  const corners = [...drawn, 0];
  const off = median.map((value, t) => {
    const at = Math.min(3, Math.floor(t / 6));
    const line = (corners[at] ?? 0) + (((corners[at + 1] ?? 0) - (corners[at] ?? 0)) * (t - 6 * at)) / 6;
    return Math.abs(Math.log10(value / last) - line);
  });
  const mean = off.reduce((sum, one) => sum + one, 0) / off.length;
  expect(Math.abs(Number(await truth.textContent()) - mean)).toBeLessThan(0.06);

  // The space bar runs from here, and an operation in the text begins anew.
  await page.keyboard.press("Space");
  await trained(page, 20);
  await page.keyboard.press("Space");
  await tabTo(page, "ask for only ten symbols");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.nSteps === 10 && window.unroll.steps()[0] === 0);
  expect(hash(page)).toBe("#v=1&task.length=10&lesson=vanishing");
  await tabTo(page, "Exploding gradients");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Exploding gradients and clipping" }).waitFor();
  expect(await runs.isDisabled()).toBe(true);
  expect(errors).toEqual([]);
});

test("page_lesson_draws_with_the_pointer_and_lays_the_truth_over_it", async () => {
  const { page } = await open("#v=1&lesson=gru");
  const predict = page.getByRole("button", { name: "That is my prediction" });
  expect(await predict.isDisabled()).toBe(true);
  const chart = page.locator(".question canvas");
  const box = await chart.boundingBox();
  if (box === null) throw new Error("the chart has no box");
  await page.mouse.move(box.x + 48, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + 48, box.y + 120, { steps: 3 });
  await page.mouse.up();
  const value = await page.getByRole("slider", { name: /step 1$/ }).inputValue();
  expect(Number(value)).toBeLessThan(-2);
  await predict.click();
  await page.getByTestId("decades").waitFor();
  expect(await page.getByRole("slider", { name: /arrives at step/ }).count()).toBe(0);
});

test("page_lesson_judges_a_choice_by_what_the_networks_do", async () => {
  const { page } = await open("#v=1&lesson=recurrence&pause-at-goal=off");
  await page.getByLabel("Both").check();
  await page.getByRole("button", { name: "That is my prediction" }).click();
  expect(await page.getByTestId("truth").textContent()).toContain("at step 900 at the latest");
  await page.keyboard.press("Space");
  await trained(page, 900);
  await page.getByText("✗ Not so").waitFor();
  expect(await page.getByTestId("truth").textContent()).toContain("Only A");
  await page.getByRole("button", { name: "Predict again" }).click();
  await page.waitForFunction(() => window.unroll?.steps().every((step) => step === 0));
  expect(await page.getByRole("button", { name: "Run", exact: true }).isDisabled()).toBe(true);
});

test("page_lesson_about_directions_is_judged_and_one_about_attention_opens_the_alignment", async () => {
  const { page } = await open("#v=1&lesson=directions&pause-at-goal=off");
  await page.getByLabel("Only B, in both directions").check();
  await page.getByRole("button", { name: "That is my prediction" }).click();
  await page.keyboard.press("Space");
  await page.getByText("✓ Right").waitFor({ timeout: 60_000 });
  await page.getByRole("button", { name: "Encoder–decoder and attention" }).first().click();
  await page.getByRole("heading", { name: "Encoder–decoder and attention" }).waitFor();
  await page.getByLabel("Only B, with attention").check();
  await page.getByRole("button", { name: "That is my prediction" }).click();
  await page.getByRole("button", { name: "Open the alignment" }).click();
  await page.waitForFunction(() => window.unroll?.panel("credit", 1)?.series["matrix"] !== undefined);
  expect(await page.getByLabel("Credit for").inputValue()).toBe("attention");
  // The decoder without attention has none to show.
  await page.locator("[data-panel=credit]").getByTestId("absent").waitFor();
});

test("page_lesson_counts_parameters_and_names_a_verdict", async () => {
  const { page } = await open("#v=1&lesson=unrolling");
  await page.getByLabel("610", { exact: true }).check();
  await page.getByRole("button", { name: "That is my prediction" }).click();
  await page.getByText("Right", { exact: false }).first().waitFor();
  await page.evaluate(() => {
    location.hash = "#v=1&lesson=exploding";
  });
  await page.getByLabel("It shrinks").check();
  await page.getByRole("button", { name: "That is my prediction" }).click();
  await page.getByText("It grows more than a thousandfold”").waitFor();
});

test("page_challenge_checks_itself_and_its_receipt_is_verified", async () => {
  const { page } = await open("#v=1&lesson=initialisation&task.length=60&a.init=identity");
  await page.getByRole("slider", { name: /step 1$/ }).press("ArrowDown");
  await page.getByRole("button", { name: "That is my prediction" }).click();
  await page.getByRole("button", { name: "Run", exact: true }).click();
  const said = page.getByTestId("challenge");
  await page.getByText(/Lane A has 95 % at step \d+/).waitFor();
  const step = Number(/at step (\d+)/.exec((await said.textContent()) ?? "")?.[1]);
  expect(step).toBeLessThanOrEqual(2000);
  const receipt = await page.getByLabel("Receipt").inputValue();
  expect(receipt).toContain(`reached=${step}`);

  const other = await open(new URL(receipt).hash);
  await other.page.getByText(`the challenge was reached at step ${step}`, { exact: false }).waitFor();
  await other.page.getByRole("button", { name: "Run", exact: true }).click();
  await other.page.getByText("The receipt is verified.").waitFor();
  // A receipt belongs to its settings.
  await other.page.getByLabel("Length", { exact: true }).first().fill("50");
  await other.page.getByLabel("Length", { exact: true }).first().press("Enter");
  expect(hash(other.page)).not.toContain("reached");
});

test("page_challenge_does_not_count_a_run_that_was_changed_by_hand", async () => {
  const { page } = await open("#v=1&lesson=bptt&pause-at-goal=off");
  await page.getByLabel("Neither").check();
  await page.getByRole("button", { name: "That is my prediction" }).click();
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await trained(page, 20);
  await page.getByLabel("Learning rate", { exact: true }).fill("0.001");
  await page.getByLabel("Learning rate", { exact: true }).press("Enter");
  await page.getByText("You changed the running networks").waitFor();
});

test("page_lesson_opens_by_its_address_and_closes", async () => {
  const { page } = await open("#v=1&lesson=lstm");
  expect(await page.locator("#lane-chip-0").textContent()).toContain("LSTM");
  await page.getByRole("button", { name: "Close the lesson" }).click();
  await expect.poll(() => hash(page)).toBe("#v=1&a.model=lstm");
  expect(await page.getByRole("button", { name: "Run", exact: true }).isDisabled()).toBe(false);
  await page.reload();
  await ready(page);
  expect(await page.locator("#lane-chip-0").textContent()).toContain("LSTM");
});

test.each([
  ["light", "vanishing", {}],
  ["dark", "lstm", { colorScheme: "dark" }],
  ["phone", "exploding", PHONE],
  ["phone with attention", "attention", { ...PHONE, colorScheme: "dark" }],
] satisfies [string, string, BrowserContextOptions][])(
  "page_lessons_have_no_fault_that_axe_finds_%s",
  async (_, id, options) => {
    const { page } = await open(`#v=1&lesson=${id}`, options);
    await accessible(page);
    const radio = page.getByRole("radio").first();
    if ((await radio.count()) > 0) await radio.check();
    else await page.getByRole("slider", { name: /step 1$/ }).press("ArrowDown");
    await page.getByRole("button", { name: "That is my prediction" }).click();
    await page.getByTestId("truth").waitFor();
    await page.locator("details.lessons summary").click();
    await accessible(page);
  },
);
