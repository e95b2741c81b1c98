import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { accessible, browsing, pause, ready, trained } from "./browser";
import { counted } from "./package";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();

const hash = (page: Page): string => new URL(page.url()).hash;
const units = (page: Page): Promise<number[]> =>
  page.evaluate(
    () => window.unroll?.steps().map((_, lane) => window.unroll?.frame(lane)?.header.rows[0]?.units ?? 0) ?? [],
  );

/** The numbers of parameters that the page shows, lane by lane. */
async function shown(page: Page): Promise<number[]> {
  const numbers = page.getByTestId("race-parameters").locator("b");
  return (await numbers.allTextContents()).map((text) => Number(text.replaceAll(",", "")));
}

test("race_with_the_same_number_of_parameters_runs_and_its_address_brings_the_same_networks_back", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off&lanes=3&a.hidden=30&c.model=transformer&c.heads=4");
  expect(await units(page)).toEqual([30, 16, 16]);
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 50);

  // A restart setting: it says that it waits, and training goes on.
  await page.getByText("Race settings").click();
  const match = page.getByLabel("Size of the lanes");
  await match.selectOption("parameters");
  const waiting = page.getByText("Changed:").locator("..");
  await page.getByText("Hidden units").first().waitFor();
  expect(await waiting.textContent()).toContain("Size of the lanes, Hidden units");
  expect(await units(page)).toEqual([30, 16, 16]);
  await page.getByRole("button", { name: "Apply and restart" }).click();
  await page.waitForFunction(() => window.unroll?.frame(1)?.header.rows[0]?.units !== 16);
  await trained(page, 20);
  await pause(page);

  // The networks that run have the numbers of parameters that the page shows, as the package counts them.
  const networks = await units(page);
  const parameters = await shown(page);
  expect(parameters).toEqual(await counted(page, networks));
  const [target = 0] = parameters;
  expect(networks[0]).toBe(30);
  expect((networks[2] ?? 1) % 4).toBe(0);
  // One lane is near; no Transformer of four heads is, and the page says so.
  expect(Math.abs((parameters[1] ?? 0) - target)).toBeLessThan(0.1 * target);
  expect(await page.locator("#lane-chip-1").textContent()).toContain(
    `${String(networks[1])} units, ${(parameters[1] ?? 0).toLocaleString("en")} parameters, A has ${target.toLocaleString("en")}`,
  );
  const isFar = Math.abs((parameters[2] ?? 0) - target) > 0.1 * target;
  expect(await page.getByTestId("race-misfit").textContent()).toMatch(
    isFar ? /^No size of lane C's Transformer comes within 10 % of lane A's/ : /^$/,
  );
  await page.locator("#lane-chip-1").click();
  const card = page.getByRole("dialog", { name: "Settings of lane B" });
  const hidden = card.getByLabel("Hidden units");
  expect(await hidden.isEditable()).toBe(false);
  expect(await hidden.inputValue()).toBe(String(networks[1]));
  await card.getByText("Not free").waitFor();
  await accessible(page);
  await card.getByRole("button", { name: "Done" }).click();

  // The address has the mode, not what follows from it.
  expect(hash(page)).toContain("match=parameters");
  expect(hash(page)).not.toContain("b.hidden");
  await page.reload();
  await ready(page);
  expect(await units(page)).toEqual(networks);
  expect(await shown(page)).toEqual(parameters);

  // Another network, at step 0: its units follow by themselves.
  await page.locator("#lane-chip-1").click();
  await card.getByLabel("Network").selectOption("mingru");
  await page.waitForFunction(
    (before) => (window.unroll?.frame(1)?.header.rows[0]?.units ?? 0) > before,
    networks[1] ?? 0,
  );
  await card.getByRole("button", { name: "Done" }).click();
  expect(await shown(page)).toEqual(await counted(page, await units(page)));

  // Back to sizes: the units of lane A, which can be set again.
  await match.selectOption("size");
  await page.waitForFunction(() => window.unroll?.frame(1)?.header.rows[0]?.units === 30);
  expect(hash(page)).toContain("b.hidden=30");
  expect(errors).toEqual([]);
});
