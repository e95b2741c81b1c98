// The proof panel: what it shows is what the package computes, equal runs have equal fingerprints, and both engines agree.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { browsing, pause, SOFTWARE_GPU, trained } from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();
const onGpu = browsing(SOFTWARE_GPU);

/** The package's numbers of the newest step, once the panel shows them. */
async function numbers(page: Page, lane: number): Promise<{ names: readonly string[]; of: Record<string, number[]> }> {
  await page.waitForFunction((at) => {
    const step = window.unroll?.steps()[at];
    const shown = document.querySelectorAll("[data-testid=proof-fingerprint]")[at]?.closest("dd")?.textContent;
    const isShown = shown?.includes(`at step ${String(step?.toLocaleString("en-US"))}`) === true;
    return isShown && window.unroll?.panel("proof", at)?.step === step;
  }, lane);
  return page.evaluate((at) => {
    const view = window.unroll?.panel("proof", at);
    return { names: view?.names ?? [], of: view?.series ?? {} };
  }, lane);
}

const print = (page: Page, lane: number): Promise<string> =>
  page
    .getByTestId("proof-fingerprint")
    .nth(lane)
    .textContent()
    .then((text) => text ?? "");

/** A number as the page writes it. */
function read(text: string): number {
  const [mantissa = "", power = ""] = text.replace("−", "-").split("·10");
  const exponent = power.replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹]/g, (digit) => String("⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(digit))).replace("⁻", "-");
  return Number(exponent === "" ? mantissa : `${mantissa}e${exponent}`);
}

async function compareWithTheTable(page: Page, lane: number): Promise<number[]> {
  const { names, of } = await numbers(page, lane);
  expect(names).toHaveLength(lane === 1 ? 10 : 6);
  const region = page.getByRole("region", { name: `Gradient check of lane ${"ABC".charAt(lane)}` });
  for (const [at, name] of names.entries()) {
    const row = region.locator(`[data-parameter="${name}"]`);
    const [verdict = "", gradient = "", relative = ""] = await row.locator("td").allInnerTexts();
    const [above = "", below = ""] = gradient.split("\n").map((line) => line.trim());
    expect(read(above) / (of["backpropagation"]?.[at] ?? Number.NaN)).toBeCloseTo(1, 3);
    expect(read(below) / (of["differences"]?.[at] ?? Number.NaN)).toBeCloseTo(1, 3);
    expect(read(relative.split("\n")[0]?.trim() ?? "") / (of["relative"]?.[at] ?? Number.NaN)).toBeCloseTo(1, 0.9);
    expect(verdict).toContain((of["verdict"]?.[at] ?? 0) > 0 ? "agrees" : "too small to tell");
    const [g = 0, d = 0] = [of["backpropagation"]?.[at], of["differences"]?.[at]];
    const apart = Math.abs(g - d) / Math.max(Math.abs(g), Math.abs(d));
    expect(apart).toBeLessThanOrEqual((of["tolerance"]?.[at] ?? 0) + 1e-6);
  }
  const elements = (of["sizes"] ?? []).reduce((sum, size) => sum + size, 0);
  const said = await page.getByTestId("proof-parameters").nth(lane).textContent();
  expect(Number(said?.replaceAll(",", ""))).toBe(elements);
  return of["verdict"] ?? [];
}

test("page_proof_shows_the_gradient_check_of_the_package_and_no_parameter_differs", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off&lanes=3&b.layers=2&c.window=4&panels=proof");
  for (const lane of [0, 1, 2]) expect(new Set(await compareWithTheTable(page, lane))).toEqual(new Set([1]));
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 20);
  await pause(page);
  for (const lane of [0, 1, 2]) expect(await compareWithTheTable(page, lane)).not.toContain(-1);
  expect(errors).toEqual([]);
});

test("page_proof_computes_a_network_all_at_once_in_chunks_and_one_by_one", async () => {
  const { page, errors } = await open(
    "#v=1&pause-at-goal=off&task=sine&task.length=50&lanes=3&a.model=retnet&b.model=mamba&c.model=transformer&panels=proof",
  );
  const compare = async (): Promise<void> => {
    for (const lane of [0, 1, 2]) {
      const { of } = await numbers(page, lane);
      expect(of["chunks"]).toEqual([1, 2, 4, 8, 16, 32]);
      const region = page.getByRole("region", { name: `Forms of lane ${"ABC".charAt(lane)}` });
      for (const [at, chunk] of [1, 2, 4, 8, 16, 32].entries()) {
        const row = region.locator(`[data-chunk="${chunk}"]`);
        const [verdict = "", carried = "", apart = ""] = await row.locator("td").allInnerTexts();
        const difference = of["apart"]?.[at] ?? Number.NaN;
        expect(difference).toBeLessThan(1e-5);
        expect(verdict).toContain("agrees");
        expect(Number(carried.replaceAll(",", ""))).toBe(of["carried"]?.[at]);
        expect(Math.abs(read(apart.trim()) - difference)).toBeLessThanOrEqual(0.06 * difference);
      }
      // A loop does the same sums in the same order; retention does others.
      if (lane === 0) expect(Math.max(...(of["apart"] ?? []))).toBeGreaterThan(0);
      expect(await page.getByTestId("proof-forms").nth(lane).textContent()).toContain("All forms agree");
    }
  };
  await compare();
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 20);
  await pause(page);
  await compare();
  await page.goto(page.url().replace("a.model=retnet", "a.model=gru&a.bidirectional=on").replace("sine", "adding"));
  await page.getByText("There is one form only").waitFor();
  expect(errors).toEqual([]);
});

test("page_equal_runs_have_equal_fingerprints_and_others_have_others", async () => {
  const { page } = await open(
    "#v=1&pause-at-goal=off&lanes=3&b.model=elman&b.init=pytorch&c.model=elman&c.init=orthogonal&panels=proof",
  );
  const prints = async (): Promise<string[]> => {
    for (const lane of [0, 1, 2]) await numbers(page, lane);
    return [await print(page, 0), await print(page, 1), await print(page, 2)];
  };
  const afterThreeSteps = async (): Promise<string[]> => {
    for (let n = 1; n <= 3; n++) {
      await page.getByRole("button", { name: "Step" }).click();
      await page.waitForFunction((step) => (window.unroll?.steps() ?? []).every((one) => one === step), n);
    }
    return prints();
  };
  const first = await prints();
  expect(first[0]).toMatch(/^([\da-f]{4} ){3}[\da-f]{4}$/);
  const then = await afterThreeSteps();
  for (const [a, b, c] of [first, then]) {
    expect(b).toBe(a);
    expect(c).not.toBe(a);
  }
  expect(then[0]).not.toBe(first[0]);
  await page.getByRole("button", { name: "Reset" }).click();
  await page.waitForFunction(() => (window.unroll?.steps() ?? [1]).every((one) => one === 0));
  expect(await prints()).toEqual(first);
  expect(await afterThreeSteps()).toEqual(then);
  // Another seed gives other weights.
  await page.goto(page.url().replace("v=1&", "v=1&seed=4&"));
  await expect.poll(() => print(page, 0)).not.toBe(then[0]);
  expect(await prints()).not.toContain(first[0]);
});

test("page_without_webgpu_says_why_nothing_is_compared", async () => {
  const { page } = await open("#v=1&lanes=1&panels=proof");
  await numbers(page, 0);
  await page.getByText("no second engine is in use").waitFor();
  await page.getByRole("button", { name: "Compare the engines now" }).click();
  await page.getByText(/Nothing is compared: WebGPU is not available/).waitFor();
});

test("page_compares_webgpu_with_the_cpu_on_the_next_step_and_changes_nothing", async () => {
  const { page, errors } = await onGpu.open("#v=1&lanes=2&a.engine=webgpu&b.engine=cpu&a.layers=2&panels=proof");
  for (const lane of [0, 1]) {
    await numbers(page, lane);
    const before = await print(page, lane);
    const result = page.locator(".engines").nth(lane);
    await result.getByRole("button").click();
    const text = result.getByTestId("proof-engines");
    await text.waitFor({ timeout: 60_000 });
    expect(await text.textContent()).toContain("They agree");
    const worst = read((await text.locator("b").textContent()) ?? "");
    expect(worst).toBeGreaterThanOrEqual(0);
    expect(worst).toBeLessThan(1e-4);
    expect(await print(page, lane)).toBe(before);
  }
  await page.getByRole("button", { name: "Step" }).click();
  await page.waitForFunction(() => (window.unroll?.steps() ?? []).every((step) => step === 1));
  expect(errors).toEqual([]);
}, 180_000);
