// The whole tour with the keyboard alone: every stop of Tab can be seen, and every action takes effect. The pointer is never touched.

import type { Locator, Page } from "playwright-core";
import { expect, test } from "vitest";
import { browsing, isRunning, PHONE, steps, trained } from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";
import type { PanelId } from "../../src/settings";

const { open } = browsing();

/** What is wrong with the element that has the focus: it cannot be seen, or has no ring; empty when nothing is. */
const fault = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const element = document.activeElement;
    if (!(element instanceof HTMLElement) || element === document.body) return "";
    const name = `${element.tagName} ${element.getAttribute("aria-label") ?? element.textContent?.trim().slice(0, 40) ?? ""}`;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    if (outlineStyle === "none" || parseFloat(outlineWidth) < 2) return `${name} has no ring`;
    const box = element.getBoundingClientRect();
    const [left, right] = [Math.max(0, box.left), Math.min(innerWidth, box.right)];
    const [top, bottom] = [Math.max(0, box.top), Math.min(innerHeight, box.bottom)];
    if (right - left < 1 || bottom - top < 1) return `${name} lies outside of the window`;
    // Some point of it is not covered by anything else.
    const isSeen = [0.05, 0.5, 0.95].some((down) =>
      [0.05, 0.5, 0.95].some((along) => {
        const hit = document.elementFromPoint(left + along * (right - left), top + down * (bottom - top));
        return hit !== null && (element.contains(hit) || hit.contains(element));
      }),
    );
    return isSeen ? "" : `${name} is covered`;
  });

/** Presses Tab until an element has the focus, which must be seen at every stop. */
async function tabTo(page: Page, target: Locator): Promise<void> {
  for (let n = 0; n < 400; n++) {
    await page.keyboard.press("Tab");
    expect(await fault(page)).toBe("");
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`no way with Tab to ${String(target)}`);
}

async function enter(page: Page, target: Locator): Promise<void> {
  await tabTo(page, target);
  await page.keyboard.press("Enter");
}

const hash = (page: Page): string => new URL(page.url()).hash;
const panel = (page: Page, id: PanelId): Locator => page.locator(`[data-panel=${id}]`);
const button = (within: Page | Locator, name: string | RegExp): Locator =>
  within.getByRole("button", { name, exact: true }).first();
const first = (page: Page, id: PanelId, series: string): Promise<number | undefined> =>
  page.evaluate(([of, name]) => window.unroll?.panel(of, 0)?.series[name]?.[0], [id, series] as const);

const ALL = "factors,spectrum,pipe,ledger,credit,poke,portrait,history,cliff,horizon,proof";

test("page_tour_of_running_and_the_panels_goes_by_keyboard_alone", async () => {
  const { page, errors } = await open("#v=1&lanes=1&a.model=lstm&pause-at-goal=off&in-step=off");
  await enter(page, button(page, "Run"));
  await trained(page, 120);
  await page.keyboard.press("Enter");
  expect(await isRunning(page)).toBe(false);
  const [before = 0] = await steps(page);
  await enter(page, button(page, "Step"));
  await expect.poll(async () => (await steps(page))[0]).toBeGreaterThan(before);

  // The window of truncation, on the graph itself.
  await tabTo(page, page.getByRole("slider", { name: "Truncation window of lane A" }));
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.window === 24);
  await page.keyboard.press("End");
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.window === undefined);

  // Every panel is opened by its button.
  await enter(page, page.locator(".panels summary").first());
  for (const id of ALL.split(",")) {
    const title = id.charAt(0).toUpperCase() + id.slice(1);
    await enter(page, button(page, title));
    await panel(page, id as PanelId).waitFor();
  }
  expect(hash(page)).toContain(`panels=${ALL}`);

  // The timestep cursor: factors, ledger and poke follow it.
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  await page.getByText("t 24", { exact: true }).first().waitFor();
  await page.waitForFunction(() => (window.unroll?.panel("ledger", 0)?.series["product"]?.length ?? 0) > 0);
  await page.waitForFunction(() => window.unroll?.panel("poke", 0)?.series["at"]?.[0] === 23);

  // Each panel's own control, one after the other down the page.
  await tabTo(page, panel(page, "factors").getByText("What do I see?"));
  await page.keyboard.press("Enter");
  await panel(page, "factors").getByText("On its way from t to t−1").waitFor();
  await tabTo(page, panel(page, "spectrum").getByRole("slider"));
  await page.keyboard.press("End");
  await expect.poll(() => first(page, "spectrum", "radius")).toBeCloseTo(2, 3);
  await tabTo(page, panel(page, "pipe").getByRole("slider"));
  await page.keyboard.press("End");
  await expect.poll(() => first(page, "pipe", "bias")).toBeGreaterThan(7.9);
  await tabTo(page, panel(page, "credit").getByRole("combobox", { name: "Credit for" }));
  await page.keyboard.press("ArrowDown");
  await expect.poll(() => hash(page)).toContain("credit-of=loss");
  await tabTo(page, panel(page, "poke").getByRole("combobox", { name: "Poke" }));
  await page.keyboard.press("ArrowDown");
  await expect.poll(() => hash(page)).toContain("poke-of=state");
  await tabTo(page, panel(page, "portrait").getByRole("combobox", { name: "State" }));
  await page.keyboard.press("ArrowDown");
  await panel(page, "portrait").getByText("of the variance of c").waitFor();
  await tabTo(page, panel(page, "history").getByRole("slider", { name: "Training step" }));
  await page.keyboard.press("Home");
  await enter(page, panel(page, "history").getByRole("button", { name: "Look back at step 0" }));
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.step === 0);
  await tabTo(page, panel(page, "cliff").getByRole("slider", { name: "Clip norm at, slider" }));
  await page.keyboard.press("ArrowLeft");
  await expect.poll(() => hash(page)).toContain("cliff-threshold=");
  await enter(page, button(panel(page, "horizon"), "Start the sweep"));
  await panel(page, "horizon").getByRole("progressbar").first().waitFor();
  await page.keyboard.press("Enter");
  await button(panel(page, "horizon"), "Start the sweep").waitFor();
  await enter(page, panel(page, "proof").getByRole("button", { name: /^Compare the engines now/ }));
  await panel(page, "proof")
    .getByText(/Nothing is compared/)
    .waitFor();

  // The time machine: it has looked back since the history's button.
  await tabTo(page, page.getByRole("slider", { name: "Training step shown" }));
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => (window.unroll?.frame(0)?.header.step ?? 0) > 0);
  await enter(page, button(page, /^Return to/));
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.step === window.unroll?.steps()[0]);

  for (const id of ["proof", "factors"] as const) {
    await enter(page, button(page, `Close ${id.charAt(0).toUpperCase()}${id.slice(1)}`));
    await expect.poll(() => panel(page, id).count()).toBe(0);
  }
  expect(errors).toEqual([]);
}, 300_000);

test("page_tour_of_lanes_slow_motion_lessons_share_and_help_goes_by_keyboard_alone", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off");
  // A lane's settings, and a lane more.
  await enter(page, page.locator("#lane-chip-0"));
  const card = page.getByRole("dialog", { name: "Settings of lane A" });
  await tabTo(page, card.getByLabel("Hidden units"));
  await page.keyboard.press("Control+a");
  await page.keyboard.type("12");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.rows[0]?.units === 12);
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("lane-chip-0");
  await enter(page, page.getByRole("button", { name: "Add a lane" }));
  await page.waitForFunction(() => window.unroll?.frame(2) !== null && window.unroll?.steps().length === 3);

  // Slow motion, stage by stage.
  await enter(page, button(page, "Slow"));
  await page.waitForFunction(() => window.unroll?.update(0)?.stage === "forward");
  await page.keyboard.press("Space");
  await page.waitForFunction(() => window.unroll?.update(0)?.stage === "loss");
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => window.unroll?.update(0) === null);

  // Numbers as a table.
  await tabTo(page, page.getByText("Gradients as a table"));
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "Lane A, Layer 1" }).waitFor();

  // A link and its dialog; the focus stays inside and comes back.
  await enter(page, button(page, "Share"));
  const dialog = page.getByRole("dialog", { name: "Share" });
  await tabTo(page, dialog.getByRole("checkbox", { name: "Legend" }));
  await page.keyboard.press("Space");
  await expect.poll(() => dialog.getByRole("checkbox", { name: "Legend" }).isChecked()).toBe(true);
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press("Tab");
    expect(await fault(page)).toBe("");
    expect(
      await page.evaluate(
        () => document.activeElement === document.body || document.activeElement?.closest("dialog") !== null,
      ),
    ).toBe(true);
  }
  await page.keyboard.press("Escape");
  await expect.poll(() => dialog.count()).toBe(0);
  expect(await button(page, "Share").evaluate((element) => element === document.activeElement)).toBe(true);

  await enter(page, page.getByRole("button", { name: "Help" }));
  await page.getByRole("heading", { name: "How far back does learning reach?" }).waitFor();
  await enter(page, button(page, "Close"));
  await expect.poll(() => page.getByRole("heading", { name: "How far back does learning reach?" }).count()).toBe(0);

  // A lesson with its prediction.
  await tabTo(page, page.locator("details.lessons summary"));
  await page.keyboard.press("Enter");
  await enter(page, button(page, "Unrolling"));
  await page.getByRole("heading", { name: "Unrolling" }).waitFor();
  await tabTo(page, page.getByRole("radio").first());
  await page.keyboard.press("ArrowDown");
  await enter(page, button(page, "That is my prediction"));
  await expect.poll(() => page.getByTestId("truth").textContent()).toMatch(/Right|Not so/);
  await enter(page, button(page, "Close the lesson"));
  await expect.poll(() => page.locator(".lesson").count()).toBe(0);
  expect(errors).toEqual([]);
}, 300_000);

test("page_on_a_phone_has_no_stop_of_tab_that_cannot_be_seen", async () => {
  const { page } = await open(`#v=1&panels=${ALL}`, PHONE);
  await panel(page, "proof").getByTestId("proof-fingerprint").first().waitFor();
  let last = "";
  let stops = 0;
  for (let n = 0; n < 150; n++) {
    await page.keyboard.press("Tab");
    expect(await fault(page)).toBe("");
    const now = await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 300) ?? "");
    if (now !== last) stops += 1;
    last = now;
  }
  expect(stops).toBeGreaterThan(60);
});
