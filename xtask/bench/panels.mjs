/** How much training every open panel costs: steps a second of one lane with all panels open against none, in turns. */

import { median, table } from "./print.mjs";

/** @typedef {import("playwright-core").Browser} Browser */

const LEAST_RATIO = 0.9;
const ROUNDS = 5;
/** Before the window: every panel has been looked at once, and the code is compiled. */
const WARM_MS = 5000;
const WINDOW_MS = 20_000;
const LANE = "#v=1&pause-at-goal=off&task.length=100&lanes=1&a.hidden=64&a.engine=cpu";

/**
 * Steps a second of the built page, as its visitor has them.
 * @param {Browser} browser
 * @param {string} origin
 * @param {boolean} withPanels
 * @returns {Promise<number>}
 */
async function stepsPerSecond(browser, origin, withPanels) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  await page.goto(`${origin}/www/dist/${LANE}`);
  if (withPanels) {
    await page.getByText("closer looks at the running networks").click();
    for (const toggle of await page.getByRole("group", { name: "Panels to show" }).getByRole("button").all())
      await toggle.click();
  }
  await page.getByRole("button", { name: "Run" }).click();
  const rate = await page.evaluate(async ([warm, window]) => {
    const unroll = /** @type {{ unroll: { steps(): number[] } }} */ (/** @type {unknown} */ (globalThis)).unroll;
    const moment = () => ({ step: unroll.steps()[0] ?? 0, ms: performance.now() });
    const wait = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
    await wait(warm);
    const start = moment();
    await wait(window);
    const end = moment();
    return (1000 * (end.step - start.step)) / (end.ms - start.ms);
  }, /** @type {const} */ ([WARM_MS, WINDOW_MS]));
  await context.close();
  return rate;
}

/**
 * @param {Browser} browser
 * @param {string} origin
 * @returns {Promise<boolean>} whether the verdict holds
 */
export async function panels(browser, origin) {
  const rows = [];
  /** @type {number[]} */
  const ratios = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const none = await stepsPerSecond(browser, origin, false);
    const all = await stepsPerSecond(browser, origin, true);
    ratios.push(all / none);
    rows.push([`round ${round}`, "", none.toFixed(1), all.toFixed(1), (all / none).toFixed(2)]);
  }
  console.log(`\none lane, H 64, T 100: training steps a second over ${WINDOW_MS / 1000} s, desktop\n`);
  console.log(`${table([["", "", "no panel", "every panel", "ratio"], ...rows])}\n`);
  const ratio = median(ratios);
  const holds = ratio >= LEAST_RATIO;
  console.log(
    `${holds ? "HOLDS" : "FAILED"}: every panel open leaves ${ratio.toFixed(2)} of the steps (median), ${LEAST_RATIO} at least`,
  );
  return holds;
}
