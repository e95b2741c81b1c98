// Links with parts hidden, slides, and files: opened, downloaded, compared with the numbers of the page.

import { readFileSync } from "node:fs";
import type { BrowserContextOptions, Page } from "playwright-core";
import { expect, test } from "vitest";
import { accessible, browsing, isRunning, pause, PHONE, ready, ribbon, steps, trained } from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open } = browsing();

const share = (page: Page): Promise<void> => page.getByRole("button", { name: "Share" }).click();

async function saved(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: button, exact: true }).click(),
  ]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

test("page_share_makes_a_link_that_hides_parts_and_the_link_does_it", async () => {
  const { page } = await open("#v=1&seed=5", { permissions: ["clipboard-read", "clipboard-write"] });
  await page.getByRole("button", { name: "Share" }).focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Share" });
  for (const part of ["Task and training settings", "Legend", "Lessons, Share and Help"]) {
    await dialog.getByRole("checkbox", { name: part }).focus();
    await page.keyboard.press("Space");
  }
  await dialog.getByRole("button", { name: "Copy the link" }).click();
  await dialog.getByRole("button", { name: "Copied" }).waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toBe(`${page.url().split("#")[0] ?? ""}#v=1&seed=5&hide=task,legend,tools`);
  // The page itself is as before.
  await page.keyboard.press("Escape");
  await page.getByLabel("Task", { exact: true }).waitFor();

  await page.goto("about:blank");
  await page.goto(link);
  await ready(page);
  expect(await page.getByLabel("Task", { exact: true }).count()).toBe(0);
  expect(await page.getByRole("heading", { name: "Legend" }).count()).toBe(0);
  expect(await page.getByRole("button", { name: "Share" }).count()).toBe(0);
  expect(await page.getByRole("heading", { name: /^Answers/ }).count()).toBe(1);
  expect(await page.locator(".ribbon canvas:visible").count()).toBe(2);
});

test("page_hides_the_pictures_that_the_address_names_and_notes_what_it_does_not_know", async () => {
  const { page } = await open("#v=1&hide=graph,states,charts,panels,lane-settings,counters,engine");
  expect(await page.locator(":is(.graph, .heat, .loss, .panels, .counters, .engine):visible").count()).toBe(0);
  expect(await page.locator(".ribbon canvas:visible").count()).toBe(2);
  expect(await page.getByRole("button", { name: "Add a lane" }).count()).toBe(0);
  await page.evaluate(() => {
    location.hash = "#v=1&hide=sidebar";
  });
  await page.getByText("hide: expected some of task, lane-settings", { exact: false }).waitFor();
  await page.locator(".graph canvas").first().waitFor();
});

test.each([
  [960, 540, 1],
  [960, 540, 2],
  [960, 540, 4],
  [640, 360, 1],
  [640, 360, 2],
])("page_for_a_slide_fits_a_frame_of_%i_by_%i_with_%i_lanes", async (width, height, lanes) => {
  const { page, errors } = await open(`#v=1&embed=1&pause-at-goal=off&lanes=${lanes}`, { viewport: { width, height } });
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 20);
  const over = await page.evaluate(() => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    return [scrollWidth - window.innerWidth, scrollHeight - window.innerHeight];
  });
  expect(over).toEqual([0, 0]);
  const boxes = await page
    .locator(".ribbon canvas")
    .evaluateAll((all) => all.map((one) => one.getBoundingClientRect().height));
  expect(boxes).toHaveLength(lanes);
  for (const one of boxes) expect(one).toBeGreaterThan(60);
  expect(await page.getByRole("link", { name: "Open in Unroll" }).getAttribute("href")).not.toContain("embed");
  expect(await page.locator("aside").count()).toBe(0);
  await pause(page);
  const [before = 0] = await steps(page);
  await page.getByRole("button", { name: /step \(S\)|^Step$/ }).click();
  await page.waitForFunction((n) => window.unroll?.steps().every((step) => step === n + 1), before);
  expect(errors).toEqual([]);
});

test("page_saves_figures_and_their_numbers_are_those_of_the_frame", async () => {
  const { page, errors } = await open("#v=1&pause-at-goal=off&panels=credit");
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 50);
  await pause(page);
  await page.waitForFunction(() => window.unroll?.panel("credit", 1) !== null);
  const [step = 0] = await steps(page);
  await share(page);

  const csv = await saved(page, "Save Gradient, lane A as CSV");
  expect(csv.name).toBe(`unroll-first-symbol-a-gradient-step-${step}.csv`);
  const rows = csv.bytes
    .toString()
    .trimEnd()
    .split("\r\n")
    .slice(1)
    .map((line) => line.split(","));
  const { median } = await ribbon(page, 0);
  expect(rows.map((cells) => Number(cells[3]))).toEqual(median);
  expect(rows.every(([lane, at]) => lane === "A" && Number(at) === step)).toBe(true);

  const svg = await saved(page, "Save Gradient, lane A as SVG");
  const texts = await page.evaluate((source) => {
    const file = new DOMParser().parseFromString(source, "image/svg+xml");
    if (file.querySelector("parsererror") !== null) return ["no SVG"];
    return [...file.querySelectorAll("text")].map((text) => text.textContent);
  }, svg.bytes.toString());
  expect(texts).toContain("Gradient, lane A");
  expect(texts).toContain("usable");

  const png = await saved(page, "Save Unrolled graph, lane B as PNG");
  expect(png.bytes.subarray(1, 4).toString()).toBe("PNG");
  const canvas = await page.locator(".graph canvas").nth(1).boundingBox();
  expect(png.bytes.readUInt32BE(16)).toBe(2 * Math.round((canvas?.width ?? 0) + 24));

  const matrix = await saved(page, "Save Credit, lane B as CSV");
  const shown = await page.evaluate(() => window.unroll?.panel("credit", 1)?.series["matrix"] ?? []);
  const cells = matrix.bytes
    .toString()
    .trimEnd()
    .split("\r\n")
    .slice(1)
    .flatMap((line) => line.split(",").slice(3));
  expect(cells.map(Number)).toEqual(shown);
  // A legend has no numbers.
  expect(await page.getByRole("button", { name: "Save Legend as CSV" }).isDisabled()).toBe(true);
  expect(errors).toEqual([]);
});

test("page_saves_a_network_and_a_program_that_names_its_file", async () => {
  const { page } = await open("#v=1&lanes=1&a.model=gru&a.hidden=6&a.layers=2");
  await share(page);
  const weights = await saved(page, "Save the weights of lane A");
  expect(weights.name).toBe("unroll-first-symbol-a-gru-step-0.safetensors");
  const length = Number(weights.bytes.readBigUInt64LE(0));
  const header = JSON.parse(weights.bytes.subarray(8, 8 + length).toString()) as Record<string, { shape: number[] }>;
  expect(header["rnn.weight_hh_l1"]?.shape).toEqual([18, 6]);
  const program = (await saved(page, "Save the PyTorch program for lane A")).bytes.toString();
  expect(program).toContain(`load_file("${weights.name}")`);
  expect(program).toContain(`torch.nn.GRU(${header["rnn.weight_ih_l0"]?.shape[1] ?? 0}, 6, num_layers=2)`);
  expect(await isRunning(page)).toBe(false);
});

test.each([
  ["dialog", "#v=1", { colorScheme: "dark" }],
  ["dialog on a phone", "#v=1", PHONE],
  ["slide", "#v=1&embed=1", { viewport: { width: 640, height: 360 } }],
] satisfies [string, string, BrowserContextOptions][])(
  "page_share_has_no_fault_that_axe_finds_%s",
  async (_, hash, options) => {
    const { page } = await open(hash, options);
    if (!hash.includes("embed")) {
      await share(page);
      await page.getByLabel("For a slide").check();
    }
    await accessible(page);
  },
);
