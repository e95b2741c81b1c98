// The stream: what the panel shows is what the package says when it reads the same signal one timestep after the other.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { accessible, browsing, PHONE } from "./browser";
import { twin } from "./package";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();

const panel = (page: Page) => page.locator("[data-panel=stream]");
const read = (page: Page, lane: number) =>
  panel(page)
    .getByTestId("stream-read")
    .nth(lane)
    .evaluate((line) => [Number(line.getAttribute("data-read")), Number(line.getAttribute("data-handed-on"))]);
const reads = async (page: Page, n: number) => {
  for (let at = 0; at < n; at += 1) {
    await panel(page).getByRole("button", { name: "One timestep" }).click();
    await expect.poll(async () => (await read(page, 0))[0]).toBe(at + 1);
  }
};

test("page_stream_says_what_the_package_says_symbol_by_symbol", async () => {
  const { page, errors } = await open("#v=1&task=reber&panels=stream&stream-of=hand&a.engine=cpu&b.engine=cpu");
  await expect.poll(() => page.evaluate(() => window.unroll?.frame(1) !== null)).toBe(true);
  const symbols = ["B", "T", "B", "P"];
  const hand = panel(page).getByRole("group", { name: "The signal by hand" });
  for (const [at, name] of symbols.entries()) {
    await hand.getByRole("button", { name, exact: true }).click();
    await expect.poll(async () => (await read(page, 1))[0]).toBe(at + 1);
  }
  for (const lane of [0, 1]) {
    const session = await twin(page, lane);
    const { header } = await session.frame();
    let last = await session.stream(null);
    for (const name of symbols) last = await session.stream(header.probe.input.names.indexOf(name));
    session.free();
    const said = [...(last?.output ?? [])];
    const best = said.indexOf(Math.max(...said));
    const line = panel(page).getByTestId("stream-read").nth(lane);
    expect(await read(page, lane)).toEqual([symbols.length, last?.handedOn]);
    await expect
      .poll(() => line.textContent())
      .toMatch(new RegExp(`says ${header.probe.target.names[best] ?? ""}, p = ${(said[best] ?? 0).toPrecision(2)}`));
  }

  // Forgetting begins anew, and nothing is handed on any more.
  await panel(page).getByRole("button", { name: "Forget all" }).click();
  await expect.poll(() => panel(page).getByText("Nothing read yet.").count()).toBe(2);
  await hand.getByRole("button", { name: "B", exact: true }).click();
  await expect.poll(async () => (await read(page, 0))[0]).toBe(1);
  expect(errors).toEqual([]);
});

test("page_stream_flows_on_its_own_answers_and_holds_as_many_numbers_as_at_its_beginning", async () => {
  const { page, errors } = await open("#v=1&task=sine&panels=stream&stream-of=own", PHONE);
  await expect.poll(() => page.evaluate(() => window.unroll?.frame(1) !== null)).toBe(true);
  await reads(page, 2);
  const [, before] = await read(page, 1);
  await panel(page).getByRole("button", { name: "Let it flow" }).click();
  await expect.poll(async () => (await read(page, 1))[0]).toBeGreaterThan(8);
  await panel(page).getByRole("button", { name: "Hold the stream" }).click();
  expect((await read(page, 1))[1]).toBe(before);
  await accessible(page);
  expect(errors).toEqual([]);
});

test("page_stream_says_why_a_network_that_reads_both_ways_has_none", async () => {
  const { page, errors } = await open("#v=1&a.bidirectional=on&panels=stream");
  await expect.poll(() => page.evaluate(() => window.unroll?.frame(1) !== null)).toBe(true);
  await panel(page).getByRole("button", { name: "One timestep" }).click();
  await expect.poll(() => panel(page).getByRole("alert").textContent()).toContain("in one direction");
  await expect.poll(async () => (await read(page, 0))[0]).toBe(1);
  expect(errors).toEqual([]);
});
