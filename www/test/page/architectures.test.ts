// Networks of residual blocks: they train from the page on both engines, and what the page shows of them is what the package says.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { InspectionQuery } from "unroll-types";
import type { Session } from "../../../pkg/unroll.js";
import { accessible, browsing, pause, PHONE, ribbon, SOFTWARE_GPU, stepped, steps, trained } from "./browser";
import { ribbonOf, twin } from "./package";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();
const { open: openOnDevice } = browsing(SOFTWARE_GPU);

const MODELS = ["transformer", "mamba", "retnet", "rwkv"] as const;

/** An address with a lane for each of them. */
const lanes = (engine: string, more: string): string =>
  `#v=1&lanes=${String(MODELS.length)}&task=adding&task.length=8&batch=4&pause-at-goal=off&${more}&` +
  MODELS.map((model, at) => {
    const letter = "abcd".charAt(at);
    return `${letter}.model=${model}&${letter}.hidden=8&${letter}.engine=${engine}`;
  }).join("&");

const panel = (page: Page, id: string) => page.locator(`[data-panel=${id}]`);

/** The series of what the package says to a panel. */
async function said(session: Session, query: InspectionQuery): Promise<Record<string, number[]>> {
  const { header, data } = await session.inspect(query);
  return Object.fromEntries(
    header.series.map(({ id, shape, offset }) => {
      const length = shape.reduce((product, n) => product * n, 1);
      return [id, [...new Float32Array(data, 4 * offset, length)]];
    }),
  );
}

test("page_blocks_train_in_a_race_and_their_ribbons_and_attention_are_the_packages", async () => {
  const { page, errors } = await open(lanes("cpu", "panels=credit,factors,spectrum&credit-of=attention"));
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 12);
  await pause(page);
  const [step = 0, ...others] = await steps(page);
  expect(others).toEqual(others.map(() => step));
  for (const [lane] of MODELS.entries()) {
    const session = await twin(page, lane);
    await session.advance(step);
    const { median } = await ribbon(page, lane);
    expect(median).toEqual(await ribbonOf(session));
    expect(Math.max(...median)).toBeGreaterThan(0);
    await page.waitForFunction(([at, n]) => window.unroll?.panel("credit", at)?.step === n, [lane, step] as const);
    const shown = await page.evaluate((at) => window.unroll?.panel("credit", at)?.series["matrix"] ?? [], lane);
    expect(shown).toEqual((await said(session, { panel: "attention" }))["matrix"]);
    // Panels without a meaning say what takes the place of their picture.
    for (const id of ["factors", "spectrum"] as const) {
      const { header } = await session.inspect({ panel: id });
      expect(header.absent).toMatch(/\.$/);
      // Subscripts and exponents may be set as such.
      const plain = (text: string | null | undefined) => text?.replaceAll(/[_^{}]/g, "");
      expect(plain(await panel(page, id).getByTestId("absent").nth(lane).textContent())).toBe(plain(header.absent));
    }
    session.free();
  }
  expect(errors).toEqual([]);
});

test.each(MODELS)("page_%s_trains_on_webgpu_as_on_the_cpu", async (model) => {
  const { page, errors } = await openOnDevice(
    `#v=1&lanes=1&task=adding&task.length=8&batch=4&pause-at-goal=off&a.model=${model}&a.hidden=8&a.engine=webgpu`,
  );
  const badge = page.locator(".engine summary");
  await expect.poll(() => badge.textContent(), { timeout: 60_000 }).toBe("WebGPU");
  const step = await stepped(page, 3);
  const session = await twin(page, 0);
  await session.advance(step);
  const expected = await ribbonOf(session);
  session.free();
  const { median } = await ribbon(page, 0);
  const apart = median.map((value, t) => Math.abs(value - (expected[t] ?? 0)));
  expect(Math.max(...apart) / Math.max(...expected)).toBeLessThan(5e-3);
  expect(await badge.textContent()).toBe("WebGPU");
  expect(errors).toEqual([]);
});

test.each([
  ["cpu", open],
  ["webgpu", openOnDevice],
] as const)("page_decoders_with_luongs_and_bahdanaus_attention_show_their_alignment_on_%s", async (engine, openOn) => {
  const decoders = ["luong", "bahdanau"];
  const { page, errors } = await openOn(
    "#v=1&lanes=2&task=reversal&task.length=10&batch=4&pause-at-goal=off&panels=credit&credit-of=attention&" +
      decoders
        .map((decoder, at) => {
          const letter = "ab".charAt(at);
          return `${letter}.model=gru&${letter}.hidden=8&${letter}.decoder=${decoder}&${letter}.engine=${engine}`;
        })
        .join("&"),
  );
  const badge = page.locator(".engine summary");
  const name = { cpu: "CPU", webgpu: "WebGPU" }[engine];
  await expect.poll(() => badge.allTextContents(), { timeout: 60_000 }).toEqual([name]);
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 6);
  await pause(page);
  // Both end at the same step.
  await expect.poll(async () => new Set(await steps(page)).size).toBe(1);
  const [step = 0] = await steps(page);
  for (const lane of decoders.keys()) {
    const session = await twin(page, lane);
    await session.advance(step);
    const expected = (await said(session, { panel: "attention" }))["matrix"] ?? [];
    session.free();
    await page.waitForFunction(([at, n]) => window.unroll?.panel("credit", at)?.step === n, [lane, step] as const);
    const shown = await page.evaluate((at) => window.unroll?.panel("credit", at)?.series["matrix"] ?? [], lane);
    expect(shown).toHaveLength(expected.length);
    const apart = shown.map((weight, at) => Math.abs(weight - (expected[at] ?? Number.NaN)));
    expect(Math.max(...apart)).toBeLessThanOrEqual(engine === "cpu" ? 0 : 1e-4);
    // Each step of the answer looks at the whole source, with weights that add up to 1.
    expect(shown.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(5, 3);
  }
  expect(errors).toEqual([]);
});

test("page_pace_shows_the_counts_of_the_package_and_times_that_it_measures", async () => {
  const address = lanes("cpu", "panels=pace")
    .replace("task.length=8", "task.length=40")
    .replace("b.model=mamba", "b.model=gru&b.layers=2");
  const { page, errors } = await open(address);
  const pace = panel(page, "pace");
  const text = (lane: number, row: string) =>
    pace.getByTestId("pace").nth(lane).locator(`[data-row=${row}] td:not(.growth)`).allTextContents();
  for (const lane of [0, 1, 2]) {
    await pace.getByTestId("pace").nth(lane).waitFor();
    const session = await twin(page, lane);
    const expected = await said(session, { panel: "pace" });
    for (const row of ["depth", "tree", "apart", "work", "memory"]) {
      const numbers = (await text(lane, row)).map((cell) => Number(cell.replaceAll(",", "")));
      expect(numbers, row).toEqual(expected[row]?.map(Math.round));
      expect(numbers).toHaveLength(3);
    }
    for (const ms of await text(lane, "time")) expect(Number(ms.replaceAll(",", ""))).toBeGreaterThan(0);
    session.free();
  }
  // Attention reads any position at once, a state is handed on step by step; memory the other way round.
  expect(await text(0, "apart")).toEqual(["1", "1", "1"]);
  expect(await text(1, "apart")).toEqual(["9", "19", "39"]);
  expect(new Set(await text(0, "depth")).size).toBe(1);
  const growth = (lane: number, row: string) => pace.getByTestId("pace").nth(lane).locator(`[data-row=${row}] .growth`);
  expect(await growth(0, "memory").textContent()).toContain("×4.0");
  expect(await growth(1, "memory").textContent()).toContain("×1.0");
  await accessible(page);
  // By keyboard: it closes, and the address forgets it.
  await pace.getByRole("button", { name: "Close Pace" }).focus();
  await page.keyboard.press("Enter");
  await expect.poll(() => pace.count()).toBe(0);
  expect(new URL(page.url()).hash).not.toContain("panels=");
  expect(errors).toEqual([]);
});

test("page_stream_of_blocks_says_what_grows_and_where_it_ends", async () => {
  const { page, errors } = await open(lanes("cpu", "panels=stream"), PHONE);
  const length = await page.evaluate(() => window.unroll?.frame(0)?.header.nSteps ?? 0);
  const stream = panel(page, "stream");
  const read = (lane: number) =>
    stream
      .getByTestId("stream-read")
      .nth(lane)
      .evaluate((line) => [Number(line.getAttribute("data-read")), Number(line.getAttribute("data-handed-on"))]);
  for (let at = 1; at <= length + 1; at += 1) {
    await stream.getByRole("button", { name: "One timestep" }).click();
    await expect.poll(async () => (await read(2))[0]).toBe(at);
  }
  for (const [lane] of MODELS.entries()) {
    const session = await twin(page, lane);
    await session.stream(null);
    const first = await session.stream(new Float32Array([0.5, 1]));
    const [n = 0, handedOn = 0] = await read(lane);
    expect(first?.longest).toBe(lane === 0 ? length : null);
    expect(n).toBe(first?.longest ?? length + 1);
    expect(handedOn).toBe((first?.handedOn ?? 0) * (lane === 0 ? n : 1));
    session.free();
  }
  const end = await stream.getByRole("status").allTextContents();
  expect(end.map((text) => text.trim())).toEqual([
    `All ${String(length)} positions are used: it can read no further. “Forget all” begins anew.`,
  ]);
  expect(await stream.getByRole("alert").count()).toBe(0);
  await accessible(page);
  await stream.getByRole("button", { name: "Forget all" }).click();
  await stream.getByRole("button", { name: "One timestep" }).click();
  await expect.poll(async () => (await read(0))[0]).toBe(1);
  expect(errors).toEqual([]);
});
