// A browser and a page at the address UNROLL_URL, and what tests keep asking of it.

import { AxeBuilder } from "@axe-core/playwright";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { afterAll, afterEach, expect } from "vitest";
import type { Frame } from "unroll-types";

export const address = (): string => {
  const url = process.env["UNROLL_URL"];
  if (url === undefined) throw new Error("set UNROLL_URL to the address of the built page");
  return url.endsWith("/") ? url : `${url}/`;
};

/** Arguments that give the browser WebGPU in software. */
export const SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"] as const;

/** A browser; `gpu` are the arguments that give it WebGPU. */
export function launch(gpu: readonly string[] = ["--disable-gpu"]): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    // The sandbox needs an unprivileged user, which a build machine may not have; the page under test is our own.
    args: [
      "--no-sandbox",
      ...gpu,
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

export interface Visit {
  page: Page;
  /** Addresses of all requests that did not go to the page's own origin. */
  strangers: string[];
  /** Uncaught errors and messages of the console's error level. */
  errors: string[];
}

/** Opens the page and waits until the first picture of every lane is there. `before` prepares the empty page. */
export async function visit(
  browser: Browser,
  hash = "",
  options: BrowserContextOptions = {},
  before: (page: Page) => Promise<void> = () => Promise.resolve(),
): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  await before(page);
  const strangers: string[] = [];
  const errors: string[] = [];
  const { origin } = new URL(address());
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.origin !== origin) strangers.push(request.url());
  });
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(address() + hash);
  await ready(page);
  return { page, strangers, errors };
}

/** A phone, for `open`. */
export const PHONE = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
} as const satisfies BrowserContextOptions;

/**
 * One browser for all tests of a file, started when the first one asks; what a test has opened is closed behind it. With WebGPU each test has its
 * own: what a page leaves behind on a device in software may keep the next one waiting.
 */
export function browsing(gpu?: readonly string[]): {
  browser: () => Promise<Browser>;
  /** As `visit`. */
  open: (hash?: string, options?: BrowserContextOptions, before?: (page: Page) => Promise<void>) => Promise<Visit>;
} {
  let launched: Promise<Browser> | undefined;
  const browser = (): Promise<Browser> => (launched ??= launch(gpu));
  const close = async (): Promise<void> => {
    const closing = launched;
    launched = undefined;
    await (await closing)?.close();
  };
  afterEach(async () => {
    if (gpu !== undefined) await close();
    for (const context of (await launched)?.contexts() ?? []) await context.close();
  });
  afterAll(close);
  return { browser, open: async (hash, options, before) => visit(await browser(), hash, options, before) };
}

/** Fails on any fault of WCAG 2.2 AA that axe finds, and on a page that is wider than its window. */
export async function accessible(page: Page): Promise<void> {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const { violations } = await new AxeBuilder({ page }).withTags(tags).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0);
}

export async function ready(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const { unroll } = window;
    return (
      unroll !== undefined &&
      unroll.steps().length > 0 &&
      unroll.steps().every((_, lane) => unroll.frame(lane) !== null)
    );
  });
}

export const steps = (page: Page): Promise<number[]> => page.evaluate(() => window.unroll?.steps() ?? []);

export const isRunning = (page: Page): Promise<boolean> => page.evaluate(() => window.unroll?.isRunning() ?? false);

/** Waits until every lane has done so many steps. */
export async function trained(page: Page, n: number): Promise<void> {
  await page.waitForFunction((least) => (window.unroll?.steps() ?? [0]).every((step) => step >= least), n);
}

/** Trains the first lane for `n` counted steps, and gives n: the longer two engines train, the further roundings lead them apart. */
export async function stepped(page: Page, n: number): Promise<number> {
  for (let step = 1; step <= n; step += 1) {
    await page.getByRole("button", { name: "Step", exact: true }).click();
    await page.waitForFunction((at) => window.unroll?.steps()[0] === at, step);
  }
  return n;
}

/** Pauses, and waits until lanes stand still and their last pictures are drawn. */
export async function pause(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Pause" }).click();
  await page.waitForFunction(() => {
    const { unroll } = window;
    if (unroll === undefined || unroll.isRunning()) return false;
    return unroll.steps().every((step, lane) => unroll.frame(lane)?.header.step === step);
  });
}

export interface PlainRibbon {
  floor: number;
  median: number[];
}

/** The median of a lane's first ribbon, read from the last drawn frame's bytes. */
export function ribbon(page: Page, lane: number): Promise<PlainRibbon> {
  return page.evaluate((at) => {
    const frame: Frame | null | undefined = window.unroll?.frame(at);
    const first = frame?.header.rows[0]?.ribbons[0];
    if (frame === null || frame === undefined || first === undefined) throw new Error("the lane has no ribbon");
    const floats = new Float32Array(frame.data, 4 * first.offset, frame.header.nSteps);
    return { floor: frame.header.floor, median: [...floats] };
  }, lane);
}

/** ln median_t = ln a + (T − 1 − t)·ln factor, least squares where the median is above the floor. */
export function fitFactor({ floor, median }: PlainRibbon): number {
  const points = median
    .map((value, step) => ({ back: median.length - 1 - step, log: Math.log(value), value }))
    .filter((point) => point.value > floor);
  const mean = (of: (point: (typeof points)[number]) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const back = mean((point) => point.back);
  const log = mean((point) => point.log);
  const covariance = mean((point) => (point.back - back) * (point.log - log));
  return Math.exp(covariance / mean((point) => (point.back - back) ** 2));
}
