// Panels on demand: opened and closed, remembered in the address, and their numbers against those of the frame.

import { readFileSync } from "node:fs";
import type { BrowserContextOptions, Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { accessible, browsing, pause, PHONE, ready, ribbon, trained } from "./browser";
import init, { cliff as cliffOf, Session, type CliffQuery } from "../../../pkg/unroll.js";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";
import type { PanelId } from "../../src/settings";

const { open } = browsing();
beforeAll(async () => {
  await init({ module_or_path: readFileSync(new URL("../../../pkg/unroll_bg.wasm", import.meta.url)) });
});

const ALL = "factors,spectrum,pipe,ledger,credit,poke,portrait,stream,pace,history,cliff,horizon,proof";

/** The numbers of a panel, once they are there. */
async function numbers(page: Page, panel: PanelId, lane: number): Promise<Record<string, number[]>> {
  await page.waitForFunction(([id, at]) => window.unroll?.panel(id, at) !== null, [panel, lane] as const);
  return page.evaluate(([id, at]) => window.unroll?.panel(id, at)?.series ?? {}, [panel, lane] as const);
}

const hash = (page: Page): string => new URL(page.url()).hash;
const panel = (page: Page, id: PanelId) => page.locator(`[data-panel=${id}]`);

test("page_panels_open_and_close_and_the_address_brings_them_back", async () => {
  const { page, errors } = await open("");
  expect(await page.locator("[data-panel]").count()).toBe(0);
  await page.locator(".panels summary").first().focus();
  // With the keyboard alone.
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await panel(page, "factors").waitFor();
  await page.getByRole("button", { name: "Credit", exact: true }).click();
  await panel(page, "credit").locator("canvas").first().waitFor();
  expect(hash(page)).toBe("#v=1&panels=factors,credit");
  await page.reload();
  await ready(page);
  await panel(page, "credit").locator("canvas").first().waitFor();
  expect(await page.locator("[data-panel]").count()).toBe(2);
  expect(await page.getByRole("button", { name: "Factors", exact: true }).getAttribute("aria-pressed")).toBe("true");
  await page.getByRole("button", { name: "Close Factors" }).click();
  await page.getByRole("button", { name: "Credit", exact: true }).click();
  await expect.poll(() => page.locator("[data-panel]").count()).toBe(0);
  expect(hash(page)).toBe("");
  expect(errors).toEqual([]);
});

test("page_credit_matrix_has_the_ribbon_as_its_last_row_and_says_the_number_under_the_pointer", async () => {
  const { page, errors } = await open(
    "#v=1&lanes=3&b.layers=2&panels=credit&credit-of=loss&loss-at=last&panel-layer=1",
  );
  for (const lane of [0, 1, 2]) {
    const { matrix = [], rows = [] } = await numbers(page, "credit", lane);
    const { median } = await ribbon(page, lane);
    expect(rows).toEqual([24]);
    median.forEach((value, t) => {
      expect(Math.abs((matrix[t] ?? 0) - value)).toBeLessThanOrEqual(1e-5 * value);
    });
  }
  const picture = panel(page, "credit").locator("canvas").first();
  await page.getByLabel("Credit for").selectOption("output");
  await page.waitForFunction(() => (window.unroll?.panel("credit", 0)?.series["rows"] ?? []).length === 25);
  const { matrix = [] } = await numbers(page, "credit", 0);
  for (let t = 0; t < 25; t++) {
    // Nothing reads the future.
    expect(matrix.slice(25 * t + t + 1, 25 * (t + 1)).every((value) => value === 0)).toBe(true);
    expect(matrix[25 * t + t]).toBeGreaterThan(0);
  }
  const box = await picture.boundingBox();
  if (box === null) throw new Error("the matrix has no box");
  await picture.hover({ position: { x: box.width / 2, y: box.height - 24 } });
  const read = panel(page, "credit").locator(".read").first();
  await expect.poll(() => read.textContent()).toMatch(/∂y25\/∂h1\d‖/);
  const k = Number(/∂h(\d+)/.exec((await read.textContent()) ?? "")?.[1]) - 1;
  const shown = (await read.locator("b").textContent()) ?? "";
  const said = Number(
    shown.replace(/·10⁻(\d)$/, "e-$1").replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹]/g, (d) => String("⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(d))),
  );
  const value = matrix[24 * 25 + k] ?? Number.NaN;
  expect(Math.abs(said / value - 1)).toBeLessThan(0.01);
  expect(errors).toEqual([]);
});

test("page_factor_chain_says_numbers_whose_product_is_the_gain", async () => {
  const { page } = await open("#v=1&pause-at-goal=off&panels=factors");
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 30);
  await pause(page);
  await page.waitForFunction(() => window.unroll?.panel("factors", 0)?.step === window.unroll?.steps()[0]);
  const { step = [], weight = [], saturation = [], means = [] } = await numbers(page, "factors", 0);
  for (let t = 1; t < 25; t++) expect((weight[t] ?? 0) * (saturation[t] ?? 0)).toBeCloseTo(step[t] ?? Number.NaN, 5);
  for (const [at, id] of ["step", "weight", "saturation", "slope"].entries()) {
    const said = Number(
      ((await panel(page, "factors").locator(`[data-series=${id}]`).first().textContent()) ?? "").replace("×", ""),
    );
    expect(Math.abs(said / (means[at] ?? Number.NaN) - 1), id).toBeLessThan(0.02);
  }
  const gated = await numbers(page, "factors", 1);
  expect(Object.keys(gated).sort()).toEqual(["gate", "means", "rest", "step"]);
  // The table says the same.
  await page.getByText("Factors as a table").click();
  const rows = page.getByRole("region", { name: "Lane A, factors" }).locator("tbody tr");
  await expect.poll(() => rows.count()).toBe(25);
  expect(Number(await rows.nth(24).locator("td").first().textContent())).toBeCloseTo(step[24] ?? Number.NaN, 2);
});

test("page_pipe_widens_when_its_slider_moves_the_bias_of_the_running_network", async () => {
  const { page } = await open("#v=1&pause-at-goal=off&lanes=3&b.layers=2&panels=pipe");
  const before = [await numbers(page, "pipe", 1), await numbers(page, "pipe", 2)];
  const share = before[0]?.["width"]?.[0] ?? Number.NaN;
  const kept = (before[0]?.["width"] ?? [])[24];
  expect(kept).toBe(1);
  // An Elman network has no gate, and no slider.
  expect(await panel(page, "pipe").getByRole("slider").count()).toBe(2);
  expect(Object.keys(await numbers(page, "pipe", 0)).sort()).toEqual(["step", "width"]);
  for (const [at, lane] of [1, 2].entries()) {
    await panel(page, "pipe").getByRole("slider").nth(at).fill("6");
    await page.waitForFunction((one) => (window.unroll?.panel("pipe", one)?.series["bias"]?.[0] ?? 0) > 5.9, lane);
    const { width = [] } = await numbers(page, "pipe", lane);
    expect(width[0]).toBeGreaterThan(10 * (before[at]?.["width"]?.[0] ?? Number.NaN));
    expect(width[0]).toBeGreaterThan(0.5);
  }
  // In both layers, and the ribbon follows.
  await page.getByRole("combobox", { name: "Layer" }).selectOption("2");
  await page.waitForFunction(() => (window.unroll?.panel("pipe", 1)?.series["bias"]?.[0] ?? 0) > 5.9);
  expect(hash(page)).toContain("panel-layer=2");
  expect(share).toBeLessThan(0.1);
  // Training goes on from there: the bias stays near, and moves.
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 20);
  await pause(page);
  await page.waitForFunction(() => window.unroll?.panel("pipe", 1)?.step === window.unroll?.steps()[1]);
  const bias = (await numbers(page, "pipe", 1))["bias"]?.[0] ?? 0;
  expect(Math.abs(bias - 6)).toBeLessThan(0.5);
  expect(bias).not.toBe(6);
});

test("page_spectrum_rescales_the_recurrent_matrix_of_the_running_network", async () => {
  const { page } = await open("#v=1&lanes=3&b.layers=2&panels=spectrum");
  for (const [lane, block] of [
    [0, 0],
    [1, 2],
    [2, 2],
  ] as const) {
    const { eigenvalues = [], radius = [], block: shown } = await numbers(page, "spectrum", lane);
    const moduli = Array.from({ length: 16 }, (_, n) =>
      Math.hypot(eigenvalues[2 * n] ?? 0, eigenvalues[2 * n + 1] ?? 0),
    );
    expect(Math.max(...moduli)).toBeCloseTo(radius[0] ?? Number.NaN, 5);
    expect(shown).toEqual([block]);
    await panel(page, "spectrum").getByRole("slider").nth(lane).fill("1.5");
    await page.waitForFunction(
      (at) => Math.abs((window.unroll?.panel("spectrum", at)?.series["radius"]?.[0] ?? 0) - 1.5) < 1e-4,
      lane,
    );
  }
  // The handle in the plane does the same: towards the middle.
  const picture = panel(page, "spectrum").locator("canvas").first();
  await picture.scrollIntoViewIfNeeded();
  const box = await picture.boundingBox();
  if (box === null) throw new Error("the plane has no box");
  const half = Math.max(10, Math.min(box.height, box.width * 0.62) / 2 - 4);
  const middle = { x: box.x + half + 4, y: box.y + box.height / 2 };
  await page.mouse.move(middle.x + 0.6 * half, middle.y);
  await page.mouse.down();
  await page.mouse.move(middle.x + 0.15 * half, middle.y, { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction(() => (window.unroll?.panel("spectrum", 0)?.series["radius"]?.[0] ?? 2) < 0.9);
  // Another block of the gated networks.
  await page.getByLabel("Block of Whh").selectOption("f");
  await page.waitForFunction(() => window.unroll?.panel("spectrum", 1)?.series["block"]?.[0] === 1);
  expect(hash(page)).toContain("spectrum-block=f");
});

test("page_ledger_adds_up_to_the_norm_and_a_pin_shows_its_outer_product", async () => {
  const { page } = await open("#v=1&lanes=3&b.layers=2&panels=ledger");
  for (const lane of [0, 1, 2]) {
    const { segments = [], norm = [], product } = await numbers(page, "ledger", lane);
    const sum = segments.reduce((all, value) => all + value, 0);
    expect(Math.abs(sum / (norm[0] ?? Number.NaN) - 1)).toBeLessThan(1e-4);
    expect(product).toBeUndefined();
    const said = await panel(page, "ledger").getByTestId("ledger-norm").nth(lane).textContent();
    expect(said).not.toBe("");
  }
  const picture = panel(page, "ledger").locator("canvas").first();
  const box = await picture.boundingBox();
  if (box === null) throw new Error("the ledger has no box");
  await picture.click({ position: { x: box.width * 0.8, y: box.height / 2 } });
  await page.waitForFunction(() => [0, 1, 2].every((lane) => window.unroll?.panel("ledger", lane)?.series["product"]));
  const { product = [], segments = [], size = [], step = [] } = await numbers(page, "ledger", 0);
  expect(product).toHaveLength(16 * 16);
  const norm = Math.hypot(...product);
  expect(norm).toBeCloseTo(size[0] ?? Number.NaN, 5);
  expect(Math.abs(segments[step[0] ?? -1] ?? Number.NaN)).toBeLessThanOrEqual(norm * 1.0001);
  await page
    .getByText("t " + String((step[0] ?? 0) + 1), { exact: false })
    .first()
    .waitFor();
});

test("page_poke_ripples_to_the_right_of_the_pinned_timestep", async () => {
  const { page } = await open("#v=1&lanes=3&b.layers=2&panels=poke");
  for (const lane of [0, 1, 2]) {
    const { ripple = [], at } = await numbers(page, "poke", lane);
    expect(at).toEqual([0]);
    expect(ripple.every((value) => value >= 0)).toBe(true);
    expect(ripple[0]).toBeGreaterThan(0);
  }
  await page
    .locator(".ribbon canvas")
    .first()
    .click({ position: { x: 200, y: 30 } });
  await page.waitForFunction(() =>
    [0, 1, 2].every((lane) => (window.unroll?.panel("poke", lane)?.series["at"]?.[0] ?? 0) > 0),
  );
  await page.getByRole("combobox", { name: "Poke" }).selectOption("state");
  const by = page.getByRole("spinbutton", { name: "by" });
  await by.fill("0.5");
  await by.press("Tab");
  await page.waitForFunction(() => {
    const { at = [0], ripple = [] } = window.unroll?.panel("poke", 0)?.series ?? {};
    return Math.abs((ripple[at[0] ?? 0] ?? 0) - 0.5) < 1e-6;
  });
  const { at = [0], ripple = [] } = await numbers(page, "poke", 0);
  expect(ripple.slice(0, at[0]).every(Number.isNaN)).toBe(true);
  expect(hash(page)).toContain("poke-of=state");
  expect(hash(page)).toContain("poke-by=0.5");
});

test("page_portrait_says_what_its_components_hold_and_a_pin_sets_the_input_of_the_flow", async () => {
  const { page, errors } = await open(
    "#v=1&pause-at-goal=off&lanes=4&c.hidden=2&c.layers=2&d.hidden=2&panels=portrait",
  );
  const portrait = panel(page, "portrait");
  for (const [at, lane] of [0, 1].entries()) {
    const { share = [], axes = [], x = [], others = [] } = await numbers(page, "portrait", lane);
    expect([x.length, others.length % 50]).toEqual([25, 0]);
    const [first = 0, second = 0] = [axes.slice(0, 16), axes.slice(16)].map((axis) => Math.hypot(...axis));
    expect(first).toBeCloseTo(1, 4);
    expect(second).toBeCloseTo(1, 4);
    const text = await portrait.getByTestId("portrait-share").nth(at).textContent();
    expect(Number(text?.replace(" %", ""))).toBeCloseTo(100 * ((share[0] ?? 0) + (share[1] ?? 0)), -0.5);
  }
  for (const [at, lane] of [2, 3].entries()) {
    const { fixed = [], flow = [], at: shown } = await numbers(page, "portrait", lane);
    expect(flow).toHaveLength(4 * 225);
    expect(shown).toEqual([24]);
    const attracting = fixed.filter((value, n) => n % 3 === 2 && value < 1).length;
    expect(await portrait.getByTestId("portrait-attract").nth(at).textContent()).toBe(String(attracting));
  }
  // A pin sets the timestep whose input the flow meets; here in the portrait itself.
  const { x = [], y = [] } = await numbers(page, "portrait", 3);
  const picture = portrait.locator("canvas").nth(3);
  await picture.scrollIntoViewIfNeeded();
  const box = await picture.boundingBox();
  if (box === null) throw new Error("the portrait has no box");
  const side = Math.min(box.height - 46, box.width - 112);
  const place = (value = 0): number => (side / 2) * (value / 1.06);
  await picture.click({ position: { x: 50 + side / 2 + place(x[6]), y: 8 + side / 2 - place(y[6]) } });
  await page.waitForFunction(() => window.unroll?.panel("portrait", 3)?.series["at"]?.[0] !== 24);
  const pinned = (await numbers(page, "portrait", 3))["at"]?.[0] ?? 0;
  expect(Math.hypot((x[pinned] ?? 9) - (x[6] ?? 0), (y[pinned] ?? 9) - (y[6] ?? 0))).toBeLessThan(0.1);
  await portrait
    .getByText(`For the input of t ${String(pinned + 1)},`)
    .first()
    .waitFor();
  // Layers, c of the LSTM, and the numbers as a table.
  await page.getByRole("combobox", { name: "Layer" }).selectOption("2");
  await page.getByRole("combobox", { name: "State", exact: true }).selectOption("memory");
  expect(hash(page)).toContain("portrait-of=memory");
  await portrait.getByText("of the variance of c.").waitFor();
  await page.getByText("Portrait as a table").click();
  const row = page.getByRole("region", { name: "Lane B, portrait" }).locator("tbody tr").nth(24);
  const { x: c = [] } = await numbers(page, "portrait", 1);
  const cell = ((await row.locator("td").first().textContent()) ?? "").replace("−", "-");
  expect(Math.abs(Number(cell) / (c[24] ?? 0) - 1)).toBeLessThan(0.01);
  // While it trains, former steps stay as dashed lines.
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 60);
  await pause(page);
  await portrait.getByText("Dashed: step").first().waitFor();
  expect(errors).toEqual([]);
});

/** A number as the page writes it. */
const said = async (page: Page, id: string): Promise<number> =>
  Number(((await page.getByTestId(id).textContent()) ?? "").replace("−", "-").replace(",", ""));

test("page_cliff_says_the_package's_numbers_and_what_its_threshold_changes", async () => {
  const { page, errors } = await open("#v=1&panels=cliff&cliff-w=5&cliff-b=-2&cliff-rate=0.5");
  const cliff = panel(page, "cliff");
  await cliff.locator("canvas").first().waitFor();
  const picture = cliff.getByRole("img", { name: "Cross-section at w 5" });
  expect(await picture.getAttribute("aria-label")).toContain("folds at −2.656 and −2.344 and the wall at −2.612");
  /** What the package says of a descent: its largest norm, its longest step and its last loss. */
  const expected = (query: CliffQuery, way: "plain" | "clipped") => {
    const points = cliffOf(query)[way];
    let [norm, step] = [0, 0];
    for (let n = 0; n + 4 < points.length; n += 4) {
      const [w0 = 0, b0 = 0, , norm0 = 0, w1 = 0, b1 = 0] = points.subarray(n, n + 6);
      [norm, step] = [Math.max(norm, norm0), Math.max(step, Math.hypot(w1 - w0, b1 - b0))];
    }
    return { norm, step, loss: points.at(-2) ?? 0 };
  };
  const check = async (query: CliffQuery): Promise<void> => {
    for (const way of ["plain", "clipped"] as const) {
      const numbers = expected(query, way);
      for (const name of ["norm", "step", "loss"] as const) {
        // As the new answer may still be under way.
        await expect
          .poll(async () => Math.abs((await said(page, `${way}-${name}`)) / numbers[name] - 1))
          .toBeLessThan(0.01);
      }
    }
  };
  await check({ w: 5, b: -2, rate: 0.5, threshold: 0.1 });
  expect(await said(page, "plain-step")).toBeGreaterThan(0.6);
  expect(await said(page, "clipped-step")).toBe(0.05);
  // A threshold above every norm clips nothing.
  const threshold = cliff.getByRole("textbox", { name: "Clip norm at" });
  await threshold.fill("1000");
  await threshold.press("Enter");
  await expect.poll(() => said(page, "clipped-step")).toBe(await said(page, "plain-step"));
  await threshold.fill("0");
  await threshold.press("Enter");
  await cliff.getByText("Expected a number from 0.001 to 1000.").waitFor();
  await cliff.getByRole("slider", { name: "Clip norm at, slider" }).press("ArrowLeft");
  expect(hash(page)).toContain("cliff-threshold=9");
  // A click on the surface is another start.
  const surface = cliff.locator("canvas").first();
  const box = await surface.boundingBox();
  if (box === null) throw new Error("the surface has no box");
  await surface.click({ position: { x: box.width / 2, y: box.height / 3 } });
  const values = new URLSearchParams(hash(page).slice(1));
  const query = { w: Number(values.get("cliff-w")), b: Number(values.get("cliff-b")), rate: 0.5, threshold: 0 };
  expect(query.w).toBeGreaterThan(5.2);
  expect(query.b).toBeGreaterThan(-2.6);
  await check({ ...query, threshold: Number(values.get("cliff-threshold")) });
  await page.getByRole("combobox", { name: "Surface of" }).selectOption("gradient");
  expect(hash(page)).toContain("cliff-shows=gradient");
  await page.getByText("Cliff as a table").click();
  const rows = page.getByRole("region", { name: "Descents on the cliff" }).locator("tbody tr");
  await expect.poll(() => rows.count()).toBe(81);
  expect(Number(await rows.first().locator("td").first().textContent())).toBeCloseTo(query.w, 2);
  expect(errors).toEqual([]);
});

test.each([
  ["light", {}],
  ["dark", { colorScheme: "dark" }],
  ["phone", PHONE],
] satisfies [string, BrowserContextOptions][])("page_panels_have_no_fault_that_axe_finds_%s", async (_, options) => {
  const { page } = await open(`#v=1&lanes=3&b.layers=2&panels=${ALL}`, options);
  for (const id of ALL.split(",").filter(
    (one) => !["stream", "history", "cliff", "horizon"].includes(one),
  ) as PanelId[])
    for (const lane of [0, 1, 2]) await numbers(page, id, lane);
  await page.evaluate(() => {
    for (const details of document.querySelectorAll<HTMLDetailsElement>("[data-panel] details")) details.open = true;
  });
  await page.getByRole("region", { name: "Lane C, poke" }).waitFor();
  await accessible(page);
});

test("page_horizon_sweep_fills_in_with_the_numbers_of_the_package_and_a_cell_opens_its_run", async () => {
  const { page, errors } = await open("#v=1&panels=horizon&horizon-steps=60&task.length=6&seed=4");
  const horizon = panel(page, "horizon");
  await horizon.getByRole("button", { name: "Start the sweep" }).click();
  const first = horizon.locator("tbody tr").first().locator("td button").first();
  await first.waitFor({ timeout: 60_000 });
  const third = horizon.locator("tbody tr").nth(2).locator("td button").first();
  await third.waitFor({ timeout: 60_000 });
  await horizon.getByRole("button", { name: "Stop the sweep" }).click();
  const length = Number(await horizon.locator("thead th").nth(1).textContent());
  const title = (await horizon.locator("tbody th").nth(2).textContent()) ?? "";
  expect(title).toBe("LSTM, PyTorch default");
  // The same network, trained here.
  const session = await Session.create({
    task: { id: "first-symbol", length, distractors: 16 },
    model: { id: "lstm", hidden: 16 },
    optimiser: { id: "adam", lr: 0.0005 },
    clip: { kind: "norm", at: 1 },
    batch: 16,
    seed: 4,
    backend: "cpu",
  });
  let evaluation = await session.evaluate();
  while (evaluation.step < 60 && !evaluation.solved) {
    await session.advance(evaluation.step < 50 ? 50 - evaluation.step : 10);
    evaluation = await session.evaluate();
  }
  expect(await third.textContent()).toContain(`${String(Math.round(100 * evaluation.accuracy))} %`);
  session.free();
  await third.click();
  await page.waitForFunction(() => window.unroll?.steps().every((step) => step === 0));
  expect(hash(page)).toContain(`task.length=${String(length)}`);
  expect(hash(page)).toContain("b.init=pytorch");
  expect(errors).toEqual([]);
});
