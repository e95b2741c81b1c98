/** How soon a visitor's first training step is done, and how long a session of our CPU engine takes to create. */

import { openPage } from "./drivers.mjs";
import { median, table } from "./print.mjs";

/** @typedef {import("playwright-core").Browser} Browser */
/** @typedef {import("./src/workload.ts").Workload} Workload */

/** From opening the page to the end of the first training step. */
const FIRST_STEP_MS = 1000;
const CREATE_MS = 100;
const VISITS = 7;

/** @typedef {{ ready: number, first: number }} Opening milliseconds since the page was asked for */

/**
 * The built page with an empty cache, Run pressed as soon as it can be.
 * @param {Browser} browser
 * @param {string} origin
 * @returns {Promise<Opening>}
 */
async function visit(browser, origin) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  // The page's own clock starts when it is asked for. It is looked at every other millisecond.
  await page.addInitScript(() => {
    const seen = { ready: NaN, first: NaN };
    Object.assign(globalThis, { seen });
    const look = setInterval(() => {
      const page = /** @type {{ unroll?: { steps(): number[] } }} */ (globalThis);
      const run = document.querySelector("button[title^='Run']");
      if (Number.isNaN(seen.ready) && run instanceof HTMLButtonElement && !run.disabled && page.unroll) {
        seen.ready = performance.now();
        run.click();
      }
      if ((page.unroll?.steps() ?? []).some((step) => step > 0)) {
        seen.first = performance.now();
        clearInterval(look);
      }
    }, 2);
  });
  await page.goto(`${origin}/www/dist/`);
  await page.waitForFunction(() =>
    Number.isFinite(/** @type {{ seen?: Opening }} */ (/** @type {unknown} */ (globalThis)).seen?.first),
  );
  const seen = await page.evaluate(() => /** @type {{ seen: Opening }} */ (/** @type {unknown} */ (globalThis)).seen);
  await context.close();
  return seen;
}

/**
 * @param {Browser} browser
 * @param {string} origin
 * @param {Workload[]} workloads
 * @returns {Promise<boolean>} whether both verdicts hold
 */
export async function start(browser, origin, workloads) {
  /** @type {Opening[]} */
  const visits = [];
  for (let k = 0; k < VISITS; k++) visits.push(await visit(browser, origin));
  const firsts = visits.map(({ first }) => first);
  const first = median(firsts);
  const rows = visits.map(({ ready, first }, k) => [`visit ${k + 1}`, "", ready.toFixed(0), first.toFixed(0)]);
  console.log(`\nthe built page from this machine, empty cache, milliseconds since it was asked for\n`);
  console.log(`${table([["", "", "Run can be pressed", "first training step done"], ...rows])}\n`);
  const isSoon = first <= FIRST_STEP_MS;
  const range = `${Math.min(...firsts).toFixed(0)} to ${Math.max(...firsts).toFixed(0)}`;
  console.log(
    `${isSoon ? "HOLDS" : "FAILED"}: first step after ${first.toFixed(0)} ms (median, ${range}), ${FIRST_STEP_MS} allowed`,
  );

  let slowest = 0;
  const created = [];
  for (const workload of workloads) {
    /** @type {number[]} */
    const samples = [];
    for (let k = 0; k < VISITS; k++) {
      const page = await openPage(browser, origin);
      samples.push(
        await page.evaluate(async (workload) => {
          await bench.create("unroll", workload);
          return bench.createdMs() ?? NaN;
        }, workload),
      );
      await page.context().close();
    }
    slowest = Math.max(slowest, median(samples));
    created.push([
      workload.id,
      "",
      median(samples).toFixed(1),
      Math.min(...samples).toFixed(1),
      Math.max(...samples).toFixed(1),
    ]);
  }
  console.log(`\n${table([["session", "", "create, median ms", "min", "max"], ...created])}\n`);
  const isQuick = slowest <= CREATE_MS;
  console.log(
    `${isQuick ? "HOLDS" : "FAILED"}: a session is created in ${slowest.toFixed(1)} ms (largest median), ${CREATE_MS} allowed`,
  );
  return isSoon && isQuick;
}
