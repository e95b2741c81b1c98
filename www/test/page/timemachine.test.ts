// Looking back along training: pictures against the package's own numbers, going on from there, and a fork.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { Frame, FrameOptions, SessionConfig } from "unroll-types";
import { accessible, browsing, pause, PHONE, steps, trained } from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { browser, open } = browsing();

const slider = (page: Page) => page.getByRole("slider", { name: "Training step shown" });
const run = (page: Page) => page.getByRole("button", { name: "Run", exact: true }).click();

/** Pauses, and waits until the slower lane has come up to the same step. */
async function meet(page: Page): Promise<void> {
  await pause(page);
  await expect
    .poll(async () => {
      const all = [...(await steps(page)), ...(await pictures(page)).map(({ step }) => step)];
      return new Set(all).size;
    })
    .toBe(1);
}

/** Steps and numbers of the last drawn frames of all lanes. */
function pictures(page: Page): Promise<{ step: number; numbers: number[] }[]> {
  return page.evaluate(() =>
    (window.unroll?.steps() ?? []).map((_, lane) => {
      const frame: Frame | null | undefined = window.unroll?.frame(lane);
      if (frame === null || frame === undefined) throw new Error("no frame");
      return { step: frame.header.step, numbers: [...new Float32Array(frame.data)] };
    }),
  );
}

/** Drags to a step and waits until all lanes show the same one; gives it. */
async function look(page: Page, step: number): Promise<number> {
  await slider(page).fill(String(step));
  await expect.poll(() => page.getByTestId("looking").textContent()).toMatch(/^Looking back at step/);
  const shown = async (): Promise<number> => Number(await slider(page).inputValue());
  await expect
    .poll(async () => {
      const at = await shown();
      return (await pictures(page)).every((picture) => picture.step === at);
    })
    .toBe(true);
  return shown();
}

/** The part of the package that is compared with. */
interface Package {
  default: () => Promise<unknown>;
  Session: {
    create(config: SessionConfig): Promise<{
      advance(steps: number): Promise<unknown>;
      frame(options: FrameOptions): Promise<Frame>;
    }>;
  };
}

/** What the package itself draws of this configuration after so many steps. */
async function trainedAlone(config: SessionConfig, n: number): Promise<number[]> {
  const url = process.env["UNROLL_PACKAGE_URL"];
  if (url === undefined) throw new Error("set UNROLL_PACKAGE_URL to the address of the built package");
  const page = await (await (await browser()).newContext()).newPage();
  await page.goto(new URL("package.json", url).href);
  // In words, because the test runner would turn an import of its own into something else.
  const unroll = await page.evaluateHandle<Package>(`import(${JSON.stringify(new URL("unroll.js", url).href)})`);
  const numbers = await page.evaluate(
    async ([{ default: init, Session }, config, n]) => {
      await init();
      const session = await Session.create(config);
      await session.advance(n);
      return [...new Float32Array((await session.frame({ sequence: 0, lossAt: "task" })).data)];
    },
    [unroll, config, n] as const,
  );
  await page.context().close();
  return numbers;
}

test("page_looks_back_with_the_packages_numbers_and_going_on_repeats_training_exactly", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off&a.engine=cpu&b.engine=cpu");
  await run(page);
  await trained(page, 900);
  await meet(page);
  const [last = 0] = await steps(page);
  const newest = await pictures(page);
  const later = await look(page, 700);
  const atLater = await pictures(page);
  const earlier = await look(page, 300);
  const atEarlier = await pictures(page);
  expect(earlier).toBeGreaterThan(200);
  expect(later).toBeGreaterThan(earlier);
  expect(await page.getByTestId("step").textContent()).toBe(String(earlier));
  expect(atEarlier[0]?.numbers).toEqual(
    await trainedAlone(
      {
        task: { id: "first-symbol", length: 25, distractors: 16 },
        model: { id: "elman", hidden: 16 },
        optimiser: { id: "adam", lr: 0.0005 },
        clip: { kind: "norm", at: 1 },
        batch: 16,
        seed: 3,
        backend: "cpu",
      },
      earlier,
    ),
  );
  await page.getByRole("button", { name: /^Return to/ }).click();
  await expect.poll(() => pictures(page)).toEqual(newest);
  expect(await steps(page)).toEqual([last, last]);

  await look(page, earlier);
  await page.getByRole("button", { name: "Continue from here" }).click();
  await page.waitForFunction((most) => (window.unroll?.steps() ?? [most]).every((step) => step < most), last);
  await page.waitForFunction((least) => (window.unroll?.steps() ?? []).every((step) => step > least), later + 100);
  await meet(page);
  expect(await look(page, later)).toBe(later);
  expect(await pictures(page)).toEqual(atLater);
  expect(errors).toEqual([]);
});

test("page_looks_back_with_the_keyboard_and_forks_a_lane_that_another_clipping_leads_elsewhere", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off&lanes=1&clip.at=0.05&a.engine=cpu");
  await run(page);
  await trained(page, 600);
  await slider(page).focus();
  await page.keyboard.press("Home");
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.step === 0);
  expect(await page.evaluate(() => window.unroll?.isRunning())).toBe(false);
  const [last = 0] = await steps(page);
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => (window.unroll?.frame(0)?.header.step ?? 0) > 0);
  const from = await look(page, 300);
  const [parent] = await pictures(page);
  expect(await slider(page).getAttribute("aria-valuetext")).toBe(`step ${from} of ${last.toLocaleString("en")}`);
  await page.getByRole("button", { name: "Fork A" }).click();
  await page.waitForFunction((step) => window.unroll?.frame(1)?.header.step === step, from);
  await page.waitForFunction((step) => window.unroll?.frame(0)?.header.step === step, last);
  const [newest, forked] = await pictures(page);
  expect(forked).toEqual(parent);
  expect(await steps(page)).toEqual([last, from]);
  // The fork comes up to its parent; with the same settings it is its parent again, with others it is not.
  await page.getByRole("button", { name: "Step", exact: true }).click();
  await page.waitForFunction((step) => window.unroll?.frame(1)?.header.step === step, last + 1);
  const [same, again] = await pictures(page);
  expect(again).toEqual(same);
  expect(same).not.toEqual(newest);
  await look(page, from);
  await page.getByLabel("Clip gradients").selectOption("off");
  await page.getByRole("button", { name: "Fork A" }).click();
  await page.waitForFunction((step) => window.unroll?.frame(2)?.header.step === step, from);
  await page.getByRole("button", { name: "Step", exact: true }).click();
  await page.waitForFunction((step) => window.unroll?.frame(2)?.header.step === step, last + 2);
  const [clipped, , free] = await pictures(page);
  expect(free?.numbers).not.toEqual(clipped?.numbers);
  expect(errors).toEqual([]);
});

test("page_looking_back_has_no_fault_that_axe_finds_and_fits_a_phone", async () => {
  const { page } = await open("#v=1&lanes=1", PHONE);
  await run(page);
  await trained(page, 200);
  await look(page, 100);
  await accessible(page);
});
