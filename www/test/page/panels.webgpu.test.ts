// Panels while a lane trains on WebGPU, in the browser's own software: their numbers are those that the package computes on the CPU.

import { expect, test } from "vitest";
import type { InspectionQuery } from "unroll-types";
import { browsing, SOFTWARE_GPU, stepped } from "./browser";
import { ribbonOf, twin } from "./package";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";
import type { PanelId } from "../../src/settings";

const { open } = browsing(SOFTWARE_GPU);

/** What each panel asks the package for, and the series that are compared where not all have an order of their own. */
const PANELS: readonly { id: PanelId; query: InspectionQuery; series?: readonly string[] }[] = [
  { id: "factors", query: { panel: "factors" } },
  { id: "spectrum", query: { panel: "spectrum" }, series: ["radius", "singular", "block"] },
  { id: "pipe", query: { panel: "pipe" } },
  { id: "ledger", query: { panel: "ledger" } },
  { id: "credit", query: { panel: "credit" } },
  { id: "poke", query: { panel: "poke-input", unit: 0, by: 1 } },
  { id: "portrait", query: { panel: "portrait" }, series: ["share", "mean"] },
  { id: "proof", query: { panel: "proof" }, series: ["backpropagation"] },
];

/** Largest difference of two lists, as a share of the largest number; where one is not a number, neither may be the other. */
function apart(one: readonly number[], other: readonly number[]): number {
  expect(one).toHaveLength(other.length);
  expect(one.map(Number.isNaN)).toEqual(other.map(Number.isNaN));
  const largest = Math.max(1e-12, ...other.filter((value) => !Number.isNaN(value)).map(Math.abs));
  return Math.max(
    0,
    ...one.map((value, at) => (Number.isNaN(value) ? 0 : Math.abs(value - (other[at] ?? 0)) / largest)),
  );
}

test.each(["elman", "lstm", "gru"])(
  "page_panels_of_%s_on_webgpu_show_the_numbers_of_the_package",
  async (model) => {
    const { page, errors } = await open(
      `#v=1&pause-at-goal=off&lanes=1&task.length=10&batch=4&a.model=${model}&a.init=pytorch&a.hidden=5&a.layers=2&a.engine=webgpu` +
        `&panel-layer=2&panels=${[...PANELS.map(({ id }) => id), "history"].join(",")}`,
    );
    const badge = page.locator(".engine summary");
    await expect.poll(() => badge.textContent(), { timeout: 60_000 }).toBe("WebGPU");
    const step = await stepped(page, 6);
    const session = await twin(page, 0);
    const moments = await page.evaluate(() => window.unroll?.history(0, 1));
    // Moments of the history on the way, then the last one.
    let done = 0;
    for (const at of [...(moments?.steps ?? []), step].filter((one, n, all) => n === all.indexOf(one)).slice(-4)) {
      if (at > done) await session.advance(at - done);
      done = at;
      const median = moments?.medians[moments.steps.indexOf(at)];
      if (median !== undefined) expect(apart(median, await ribbonOf(session, 1))).toBeLessThan(1e-3);
    }
    expect(done).toBe(step);
    for (const { id, query, series } of PANELS) {
      await page.waitForFunction(([of, n]) => window.unroll?.panel(of, 0)?.step === n, [id, step] as const);
      const shown = await page.evaluate((of) => window.unroll?.panel(of, 0)?.series ?? {}, id);
      const row = id === "proof" ? {} : { row: 1, sequence: 0 };
      const { header, data } = await session.inspect({ ...query, ...row });
      const compared = header.series.filter((one) => series?.includes(one.id) ?? true);
      expect(compared.length, id).toBeGreaterThan(0);
      for (const { id: name, shape, offset } of compared) {
        const expected = [
          ...new Float32Array(
            data,
            4 * offset,
            shape.reduce((product, n) => product * n, 1),
          ),
        ];
        expect(apart(shown[name] ?? [], expected), `${id}: ${name}`).toBeLessThan(2e-3);
      }
    }
    session.free();
    // A change by hand reaches the network on the device: training goes on there, from what was changed.
    if (model !== "elman") {
      await page.getByTestId("keep-bias").waitFor();
      const slider = page.locator("[data-panel=pipe]").getByRole("slider");
      await slider.focus();
      await page.keyboard.press("End");
      await page.waitForFunction(() => (window.unroll?.panel("pipe", 0)?.series["bias"]?.[0] ?? 0) > 7.9);
      await page.getByRole("button", { name: "Step", exact: true }).click();
      await page.waitForFunction((n) => window.unroll?.panel("pipe", 0)?.step === n + 1, step);
      expect(await page.evaluate(() => window.unroll?.panel("pipe", 0)?.series["bias"]?.[0])).toBeCloseTo(8, 1);
      expect(await badge.textContent()).toBe("WebGPU");
    }
    expect(errors).toEqual([]);
  },
  180_000,
);
