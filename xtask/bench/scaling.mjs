/** How the cost of a training step of our CPU engine grows with the timesteps and with the batch. */

import { pageDriver } from "./drivers.mjs";
import { median, table } from "./print.mjs";

/** @typedef {import("playwright-core").Browser} Browser */
/** @typedef {import("./src/workload.ts").Shape} Shape */

const [H, T, B] = [64, 100, 32];
const LENGTHS = [8, 16, 32, 64, 128, 256, 512, 1024];
const BATCHES = [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256];
/** The smallest batch that fills the tiles of the products; a smaller one must not cost more. */
const TILE = 8;

const SAMPLE_MS = 200;
/** Largest distance between a measured and a fitted cost, as a share of the measured one. */
const RESIDUAL = 0.1;
/** What two measurements of the same cost may differ by. */
const NOISE = 0.03;

/**
 * Median milliseconds of a step for each shape; samples go round the shapes.
 * @param {Browser} browser
 * @param {string} origin
 * @param {import("./src/workload.ts").Workload[]} workloads
 * @param {number} nSamples
 */
async function costs(browser, origin, workloads, nSamples) {
  const rows = [];
  for (const workload of workloads) {
    const driver = await pageDriver(browser, origin, "unroll");
    await driver.create(workload);
    await driver.train(10);
    const stepMs = (await driver.train(20)) / 20;
    rows.push({ driver, steps: Math.max(1, Math.ceil(SAMPLE_MS / stepMs)), samples: /** @type {number[]} */ ([]) });
  }
  for (let sample = 0; sample < nSamples; sample++) {
    for (const { driver, steps, samples } of rows) samples.push((await driver.train(steps)) / steps);
  }
  for (const { driver } of rows) await driver.close();
  return rows.map(({ samples }) => median(samples));
}

/**
 * a + b·x with the least sum of squared relative residuals.
 * @param {number[]} xs
 * @param {number[]} ys
 */
function fit(xs, ys) {
  let [s, sx, sxx, sy, sxy] = [0, 0, 0, 0, 0];
  xs.forEach((x, k) => {
    const y = ys[k] ?? NaN;
    const weight = 1 / (y * y);
    s += weight;
    sx += weight * x;
    sxx += weight * x * x;
    sy += weight * y;
    sxy += weight * x * y;
  });
  const b = (s * sxy - sx * sy) / (s * sxx - sx * sx);
  return { a: (sy - b * sx) / s, b };
}

/**
 * One table: measured, fitted, residual.
 * @param {string} letter
 * @param {number[]} xs
 * @param {number[]} ys
 * @param {number} from the fit takes the sizes from here on
 */
function judge(letter, xs, ys, from) {
  const fitted = xs.map((x, k) => ({ x, y: ys[k] ?? NaN })).filter(({ x }) => x >= from);
  const { a, b } = fit(
    fitted.map(({ x }) => x),
    fitted.map(({ y }) => y),
  );
  let worst = 0;
  const rows = xs.map((x, k) => {
    const y = ys[k] ?? NaN;
    const residual = (y - a - b * x) / y;
    if (x < from) return [String(x), "", y.toFixed(3), ((1000 * y) / x).toFixed(1), "", ""];
    worst = Math.max(worst, Math.abs(residual));
    return [
      String(x),
      "",
      y.toFixed(3),
      ((1000 * y) / x).toFixed(1),
      (a + b * x).toFixed(3),
      `${(100 * residual).toFixed(1)} %`,
    ];
  });
  console.log(`\n${table([[letter, "", "ms a step", `µs a step and ${letter}`, "fitted", "residual"], ...rows])}\n`);
  console.log(`${a.toFixed(4)} ms + ${(1000 * b).toFixed(2)} µs · ${letter}, least squares of relative residuals`);
  const holds = worst <= RESIDUAL;
  console.log(
    `${holds ? "HOLDS" : "FAILED"}: largest residual ${(100 * worst).toFixed(1)} %, ${100 * RESIDUAL} % allowed`,
  );
  return holds;
}

/**
 * @param {Browser} browser
 * @param {string} origin
 * @param {typeof import("./src/workload.ts")} workloads
 * @param {number} nSamples
 * @returns {Promise<boolean>} whether all verdicts hold
 */
export async function scaling(browser, origin, { adding, workloadOf }, nSamples) {
  /** @param {Shape[]} shapes */
  const measure = (shapes) =>
    costs(
      browser,
      origin,
      shapes.map((shape) => workloadOf("lstm", shape)),
      nSamples,
    );
  console.log(`\nadding problem, LSTM, H ${H}, B ${B}: linear in T`);
  const ofLengths = await measure(LENGTHS.map((length) => adding(H, length, B)));
  const isLinear = judge("T", LENGTHS, ofLengths, 0);

  console.log(`\nadding problem, LSTM, H ${H}, T ${T}: affine in B from ${TILE} on`);
  const ofBatches = await measure(BATCHES.map((batch) => adding(H, T, batch)));
  const isAffine = judge("B", BATCHES, ofBatches, TILE);
  const atTile = ofBatches[BATCHES.indexOf(TILE)] ?? NaN;
  const dearer = BATCHES.filter((batch, k) => batch < TILE && !((ofBatches[k] ?? NaN) <= (1 + NOISE) * atTile));
  const verdict = `B below ${TILE} is never dearer than B = ${TILE} (${100 * NOISE} % for noise)`;
  console.log(dearer.length === 0 ? `HOLDS: ${verdict}` : `FAILED: ${verdict}, but B = ${dearer.join(", ")} is`);
  return isLinear && isAffine && dearer.length === 0;
}
