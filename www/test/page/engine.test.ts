// The page with WebGPU, in the browser's own software: lanes on either engine side by side, and what is shown when the device is lost.

import type { BrowserContextOptions, Page } from "playwright-core";
import { expect, test } from "vitest";
import { accessible, browsing, isRunning, pause, ribbon, SOFTWARE_GPU, steps, trained, type Visit } from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { open: visit } = browsing(SOFTWARE_GPU);

/** Destroys the devices of a page's workers. */
const LOSE = "lose the device";

/** Before the worker's own code: it keeps its devices within reach of a channel. The page itself is as it is built. */
const REACH = `{
  const devices = [];
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...descriptor) {
    const device = await request.apply(this, descriptor);
    devices.push(device);
    return device;
  };
  new BroadcastChannel("${LOSE}").onmessage = () => devices.splice(0).forEach((device) => device.destroy());
}
`;

const open = (hash: string, options: BrowserContextOptions = {}): Promise<Visit> =>
  visit(hash, options, async (page) => {
    await page.route(/\/assets\/worker-[^/]+\.js$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: REACH + (await response.text()) });
    });
  });

/** One small network, twice, on the engines of lanes A and B. */
const twins = (a: string, b: string): string =>
  `#v=1&pause-at-goal=off&task.length=20&batch=8&a.engine=${a}&b.model=elman&b.init=pytorch&b.engine=${b}`;

const run = (page: Page): Promise<void> => page.getByRole("button", { name: "Run" }).click();
const badge = (page: Page) => page.locator(".engine summary");

/** Waits until the badge says so: software takes seconds to compile the shaders. */
async function engines(page: Page, text: string): Promise<void> {
  await expect.poll(() => badge(page).textContent(), { timeout: 30_000 }).toBe(text);
}

test("page_lanes_on_webgpu_and_on_the_cpu_learn_the_same", async () => {
  const { page, errors } = await open(twins("webgpu", "cpu"));
  await engines(page, "WebGPU + CPU");
  await badge(page).click();
  const reasons = page.locator(".engine .reason");
  expect(await reasons.nth(0).textContent()).toMatch(/^A WebGPU on .+, as chosen\.$/);
  expect(await reasons.nth(1).textContent()).toMatch(/^B The CPU \(WebAssembly SIMD\), as chosen\.$/);
  await run(page);
  await trained(page, 20);
  await pause(page);
  await page.waitForFunction(() => {
    const steps = [0, 1].map((lane) => window.unroll?.frame(lane)?.header.step);
    return new Set([...steps, ...(window.unroll?.steps() ?? [])]).size === 1;
  });

  const [gpu, cpu] = [await ribbon(page, 0), await ribbon(page, 1)];
  expect(gpu.median).toHaveLength(20);
  const isCompared = gpu.median.map((value, at) => {
    const wanted = cpu.median[at] ?? Number.NaN;
    if (Math.max(value, wanted) <= 1e-30) return false;
    expect(Math.abs(value - wanted) / wanted, `timestep ${at.toString()}`).toBeLessThanOrEqual(1e-2);
    return true;
  });
  expect(isCompared.filter(Boolean).length).toBeGreaterThan(10);
  const factors = await page
    .getByTestId("sentence")
    .evaluateAll((sentences) => sentences.map((sentence) => Number(sentence.getAttribute("data-factor"))));
  expect(factors).toHaveLength(2);
  expect((factors[0] ?? 0) / (factors[1] ?? 0)).toBeCloseTo(1, 2);
  expect(errors).toEqual([]);
});

test("page_goes_on_on_the_cpu_when_the_device_is_lost_and_says_so", async () => {
  const { page, errors } = await open(twins("webgpu", "cpu"));
  await run(page);
  await trained(page, 60);
  const before = Math.min(...(await steps(page)));
  await page.evaluate((name) => {
    new BroadcastChannel(name).postMessage(null);
  }, LOSE);
  const note = page.locator(".note");
  await note.waitFor();
  expect(await note.textContent()).toMatch(
    /Lane A trains without WebGPU\. The CPU \(WebAssembly SIMD\) since step \d+, because WebGPU is not available: .+\./,
  );
  expect(await note.count()).toBe(1);
  await engines(page, "CPU");
  expect(await isRunning(page)).toBe(true);
  await trained(page, before + 200);
  await pause(page);
  await page.waitForFunction(() => new Set(window.unroll?.steps()).size === 1);

  // Nothing was forgotten: the network is still the same as the one that was on the CPU all the time.
  const [fallen, cpu] = [await ribbon(page, 0), await ribbon(page, 1)];
  fallen.median.forEach((value, at) => {
    const wanted = cpu.median[at] ?? Number.NaN;
    if (wanted > 1e-30)
      expect(Math.abs(value - wanted) / wanted, `timestep ${at.toString()}`).toBeLessThanOrEqual(2e-2);
  });
  expect(await page.locator("#lane-chip-0").textContent()).toContain("on CPU");

  // From the beginning, WebGPU is tried again.
  await page.getByRole("button", { name: "Reset" }).click();
  await engines(page, "WebGPU + CPU");
  expect(errors).toEqual([]);
});

test.each([
  ["phone", { viewport: { width: 390, height: 844 } }],
  ["dark", { colorScheme: "dark" }],
] satisfies [string, BrowserContextOptions][])("page_explains_engines_within_the_screen_%s", async (_, options) => {
  const { page } = await open(twins("webgpu", "cpu"), options);
  await engines(page, "WebGPU + CPU");
  await badge(page).click();
  await page.locator("#lane-chip-0").press("Enter");
  await page.getByRole("dialog", { name: "Settings of lane A" }).waitFor();
  const [counters, pill, popover] = await Promise.all(
    [".counters", ".engine summary", ".engine .popover"].map((selector) => page.locator(selector).boundingBox()),
  );
  if (!counters || !pill || !popover) throw new Error("the bar is incomplete");
  expect(popover.x).toBeGreaterThanOrEqual(0);
  expect(popover.x + popover.width).toBeLessThanOrEqual(page.viewportSize()?.width ?? 0);
  // The badge does not need a line of its own.
  expect(pill.y).toBeLessThan(counters.y + counters.height);
  await accessible(page);
});

test("page_moves_a_lane_to_another_engine_from_its_settings", async () => {
  const { page } = await open("#v=1&lanes=1&task.length=12&batch=4");
  expect(await badge(page).textContent()).toBe("CPU");
  await page.locator("#lane-chip-0").click();
  const card = page.getByRole("dialog", { name: "Settings of lane A" });
  expect(await card.getByLabel("Engine").inputValue()).toBe("auto");
  await card.getByLabel("Engine").selectOption("webgpu");
  await engines(page, "WebGPU");
  await card.getByText("Engine: WebGPU on").waitFor();
  expect(new URL(page.url()).hash).toContain("a.engine=webgpu");
  expect(await page.locator(".note").count()).toBe(0);
});

test("page_tells_what_the_automatic_choice_has_found", async () => {
  const { page } = await open("#v=1&lanes=1&pause-at-goal=off&task.length=12&batch=4");
  await badge(page).click();
  const reason = page.locator(".engine .reason");
  expect((await reason.textContent())?.trim()).toBe("The CPU (WebAssembly SIMD), until WebGPU has been measured.");
  await run(page);
  await expect.poll(() => reason.textContent(), { timeout: 30_000 }).toContain("computes on the same processor");
  expect(await badge(page).textContent()).toBe("CPU");
  expect(await page.locator(".note").count()).toBe(0);
});
