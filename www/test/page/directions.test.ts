// Layers that read in both directions: each panel shows the row that was chosen, with the package's numbers, and where a window cuts it.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { InspectionQuery } from "unroll-types";
import { browsing } from "./browser";
import { twin } from "./package";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";
import type { PanelId } from "../../src/settings";

const { open } = browsing();

/** The panels that choose a layer, and what each asks the package for. */
const CHOOSING: readonly [PanelId, InspectionQuery["panel"]][] = [
  ["factors", "factors"],
  ["spectrum", "spectrum"],
  ["pipe", "pipe"],
  ["ledger", "ledger"],
  ["credit", "credit"],
  ["poke", "poke-input"],
  ["portrait", "portrait"],
];

/** Waits until every panel shows the package's numbers about a row. */
async function show(page: Page, row: number): Promise<void> {
  const session = await twin(page, 0);
  for (const [id, panel] of CHOOSING) {
    const poke = panel === "poke-input" ? { unit: 0, by: 1 } : {};
    const { header, data } = await session.inspect({ panel, row, sequence: 0, ...poke });
    const shown = () => page.evaluate((of) => window.unroll?.panel(of, 0)?.series ?? {}, id);
    // The page turns the axes of a portrait after those of the picture before; what they hold stays.
    const compared = header.series.filter((one) => id !== "portrait" || ["share", "mean"].includes(one.id));
    expect(compared.length).toBeGreaterThan(0);
    for (const { id: series, shape, offset } of compared) {
      const expected = [
        ...new Float32Array(
          data,
          4 * offset,
          shape.reduce((product, n) => product * n, 1),
        ),
      ];
      await expect.poll(async () => (await shown())[series], { message: `${id}: ${series}` }).toEqual(expected);
    }
  }
  session.free();
}

test("page_panels_show_the_row_that_reads_backwards_with_the_packages_numbers", async () => {
  const { page, errors } = await open(
    `#v=1&lanes=2&a.model=lstm&a.bidirectional=on&b.layers=2&panels=${CHOOSING.map(([id]) => id).join(",")}&panel-direction=backward`,
  );
  await show(page, 1);
  const box = page.locator("[data-panel=factors]");
  const menu = box.getByRole("combobox", { name: "Layer" });
  expect(await menu.locator("option").allTextContents()).toEqual(["1 →", "1 ←", "2 →"]);
  await box.getByText("layer 1 ←, step 0").waitFor();
  await menu.selectOption({ label: "1 →" });
  expect(new URL(page.url()).hash).not.toContain("panel-direction");
  await show(page, 0);
  // Lane B has a second layer, lane A shows its last one.
  await menu.selectOption({ label: "2 →" });
  await box.getByText("layer 2").waitFor();
  await box.getByText("layer 1 →, step 0").waitFor();
  await menu.selectOption({ label: "1 ←" });
  await show(page, 1);
  expect(errors).toEqual([]);
});

test("page_window_cuts_a_row_that_reads_backwards_at_its_own_end", async () => {
  const { page, errors } = await open("#v=1&lanes=1&a.bidirectional=on&a.window=10");
  const medians = await page.evaluate(() =>
    (window.unroll?.frame(0)?.header.rows ?? []).map(({ ribbons }) => {
      const data = window.unroll?.frame(0)?.data ?? new ArrayBuffer(0);
      return [...new Float32Array(data, 4 * (ribbons[0]?.offset ?? 0), 25)];
    }),
  );
  const reached = medians.map((median) => median.map((value) => value > 0));
  const all = Array.from({ length: 25 }, (_, t) => t);
  expect(reached).toEqual([all.map((t) => t >= 15), all.map((t) => t < 10)]);
  await page.getByTestId("sentence").filter({ hasText: "steps 1–15 are cut off by the window" }).waitFor();
  await page.getByTestId("sentence").filter({ hasText: "steps 11–25 are cut off by the window" }).waitFor();
  expect(errors).toEqual([]);
});
