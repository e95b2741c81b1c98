/**
 * Ours beside the peers: builds the pages, serves them, drives one headless Chromium, prints tables.
 *
 * Started by `cargo xtask bench`, which installs and builds what it needs. For each workload every engine gets a fresh
 * page in a browser context of its own; all train on the same weights and batches for five compared steps; then the
 * timed samples go round the engines, so that what else the machine does falls on all of them alike. With `--gpu` the
 * engines are those on WebGPU, beside ours on the processor, and their calls of WebGPU are counted. `--table` measures the
 * shapes and cells of the README's table and writes it there. `--scaling`, `--start`, `--panels` and `--profile` look at ours alone.
 * Ends with status 1 when an engine fails whose losses are compared, losses disagree, or a verdict is not kept.
 */

import { readFile, readdir, rm, mkdir, copyFile, cp, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { availableParallelism, cpus, loadavg } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { openPage, pageDriver, torchDriver } from "./drivers.mjs";
import { panels } from "./panels.mjs";
import { median, table } from "./print.mjs";
import { readmeTable, writeReadme } from "./readme.mjs";
import { scaling } from "./scaling.mjs";
import { start } from "./start.mjs";

/** @typedef {import("playwright-core").Browser} Browser */
/** @typedef {import("./drivers.mjs").Driver} Driver */
/** @typedef {import("./src/workload.ts").Workload} Workload */
/** @typedef {import("./src/workload.ts").CellId} CellId */
/** @typedef {(typeof bench.engines)[number] & { native?: boolean }} Engine */
/** @typedef {import("./src/webgpu-calls.ts").WebgpuCalls} WebgpuCalls */
/** @typedef {import("./src/engine.ts").Dispatch} Dispatch */

/**
 * @typedef {object} WebgpuRun
 * @property {NonNullable<WebgpuCalls["adapter"]>} adapter
 * @property {Record<string, number>} perStep calls a training step, after warm-up
 * @property {readonly Dispatch[] | null} dispatches of a training step, where the engine can tell
 */

/**
 * What is known about one engine on one workload.
 * @typedef {object} Run
 * @property {string} engine
 * @property {boolean} peer not ours
 * @property {string} version
 * @property {boolean} native outside the browser
 * @property {string | null} own why its losses are not compared
 * @property {number[]} losses of the compared steps
 * @property {number} createMs
 * @property {number} firstStepMs
 * @property {number} stepsPerSample
 * @property {number} nSamples how many are planned
 * @property {number[]} samples milliseconds a step, by the page's clock
 * @property {number} cpuMs milliseconds a step of processor time, the page's process and the GPU's, over all samples
 * @property {{ flop: number, limit: number } | null} limit operations of a step, and GFLOP/s that registers alone reach;
 * null where the engine cannot tell
 * @property {WebgpuRun | null} webgpu null where it computes elsewhere
 * @property {string | null} skipped why it was left out, without fault
 * @property {number} slowMs the step for which it was left out
 * @property {string | null} failure where and why it stopped
 */

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ROOT = path.resolve(HERE, "../..");
const DIST = path.join(HERE, "dist");

const COMPARED_STEPS = 5;
const WARM_UP_STEPS = 10;
/** Losses of a step may differ by this, relative to the smallest. */
const TOLERANCE = 1e-3;
/** A timed sample lasts at least this long, against the browser's clock of 0.1 ms. */
const SAMPLE_MS = 400;
/** A peer whose first step takes longer is left out of the mean: it compiles for longer than a visitor waits. */
const SLOW_FIRST_STEP_MS = 5000;
/** An engine whose steps take longer is warmed up by the compared steps alone, and gives few samples. */
const SLOW_STEP_MS = 1000;
const FEW_SAMPLES = 3;
/** A peer is skipped as soon as one step takes longer; for the table, as soon as its first step is too slow for the mean. */
const LONGEST_STEP_MS = 30_000;
const CALL_TIMEOUT_MS = 300_000;

const BROWSER_ARGUMENTS = [
  "--disable-background-networking",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-component-update",
  "--disable-renderer-backgrounding",
  "--disable-sync",
  "--no-first-run",
];

/** For `--gpu`: `software` is the same on every machine, `system` is what Chromium finds. */
const ADAPTER_ARGUMENTS = new Map([
  ["software", ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]],
  ["system", ["--enable-unsafe-webgpu"]],
]);

/** @param {string[]} args */
function parseOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      chromium: { type: "string", default: "/usr/bin/chromium" },
      gpu: { type: "boolean", default: false },
      adapter: { type: "string", default: "software" },
      engines: { type: "string", multiple: true },
      shapes: { type: "string", multiple: true },
      cells: { type: "string", multiple: true },
      table: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      scaling: { type: "boolean", default: false },
      start: { type: "boolean", default: false },
      panels: { type: "boolean", default: false },
      samples: { type: "string", default: "9" },
      profile: { type: "boolean", default: false },
      json: { type: "string" },
    },
  });
  const samples = Number(values.samples);
  if (!Number.isInteger(samples) || samples < 7)
    throw new Error(`--samples: expected a whole number from 7, got ${values.samples}`);
  const adapterArguments = ADAPTER_ARGUMENTS.get(values.adapter);
  if (!adapterArguments) throw new Error(`--adapter: expected software or system, got ${values.adapter}`);
  const browserArguments = [...BROWSER_ARGUMENTS, ...(values.gpu ? adapterArguments : ["--disable-gpu"])];
  return { ...values, samples, browserArguments };
}

/** Bundles the page and the workloads, and puts beside them the binaries that peers fetch. */
async function buildPages() {
  await rm(DIST, { recursive: true, force: true });
  await mkdir(path.join(DIST, "tfjs"), { recursive: true });
  await build({
    entryPoints: [path.join(HERE, "src/page.ts"), path.join(HERE, "src/workload.ts")],
    outdir: DIST,
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    target: "es2022",
    logLevel: "error",
  });
  const binaries = path.join(HERE, "node_modules/@tensorflow/tfjs-backend-wasm/dist");
  for (const name of await readdir(binaries)) {
    if (name.endsWith(".wasm")) await copyFile(path.join(binaries, name), path.join(DIST, "tfjs", name));
  }
  await cp(path.join(HERE, "burn/pkg"), path.join(DIST, "burn"), { recursive: true, force: true }).catch(
    () => undefined,
  );
  await writeFile(
    path.join(DIST, "index.html"),
    '<!doctype html><meta charset="utf-8"><title>bench</title><script type="module" src="page.js"></script>',
  );
}

const TYPES = new Map([
  [".html", "text/html"],
  [".css", "text/css"],
  [".js", "text/javascript"],
  [".json", "application/json"],
  [".wasm", "application/wasm"],
]);

/** Serves the pages, the package under `/pkg/` and the built page under `/www/dist/`. No COOP or COEP header: no thread, as on any static host. */
async function serve() {
  const server = createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    const folder = name.startsWith("/pkg/") || name.startsWith("/www/dist/") ? ROOT : DIST;
    const file = path.join(folder, path.normalize(name.endsWith("/") ? `${name}index.html` : name));
    readFile(file).then(
      (body) =>
        response
          .writeHead(200, { "content-type": TYPES.get(path.extname(file)) ?? "application/octet-stream" })
          .end(body),
      () => response.writeHead(name === "/favicon.ico" ? 204 : 404).end(),
    );
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return { origin: `http://127.0.0.1:${address.port}`, close: () => server.close() };
}

/**
 * @template T
 * @param {Promise<T>} call
 * @returns {Promise<T>}
 */
function inTime(call) {
  /** @type {NodeJS.Timeout} */
  let timer;
  /** @type {Promise<never>} */
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${CALL_TIMEOUT_MS / 1000} s`)), CALL_TIMEOUT_MS);
  });
  return Promise.race([call, late]).finally(() => clearTimeout(timer));
}

/**
 * One workload: all engines side by side.
 * @param {Browser} browser
 * @param {string} origin
 * @param {Workload} workload
 * @param {Engine[]} engines
 * @param {number} nSamples
 * @param {number} longestStepMs a peer is skipped as soon as a step takes longer
 * @returns {Promise<Run[]>}
 */
async function measure(browser, origin, workload, engines, nSamples, longestStepMs) {
  /** @type {{ run: Run, driver: Driver, warmUp: WebgpuCalls | null }[]} */
  const rows = [];
  for (const { id, peer, own, native = false } of engines) {
    const driver = native ? await torchDriver(DIST) : await pageDriver(browser, origin, id);
    if (!driver) continue;
    /** @type {Run} */
    const run = {
      engine: id,
      peer,
      native,
      own,
      version: "",
      losses: [],
      createMs: NaN,
      firstStepMs: NaN,
      stepsPerSample: 0,
      nSamples,
      samples: [],
      cpuMs: 0,
      limit: null,
      webgpu: null,
      skipped: null,
      slowMs: 0,
      failure: null,
    };
    rows.push({ run, driver, warmUp: null });
  }

  /**
   * @param {(typeof rows)[number]} row
   * @param {string} stage
   * @param {() => Promise<void>} work
   */
  const attempt = async ({ run }, stage, work) => {
    if (run.failure !== null || run.skipped !== null) return;
    try {
      await inTime(work());
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      run.failure = `${stage}: ${message
        .replace(/^page\.evaluate: /, "")
        .split("\n")
        .slice(0, 2)
        .join(" ")}`;
    }
  };

  for (const row of rows) {
    const { run, driver } = row;
    await attempt(row, "create", async () => {
      const start = performance.now();
      run.version = await driver.create(workload);
      run.createMs = performance.now() - start;
    });
    let stepMs = NaN;
    for (let k = 0; k < COMPARED_STEPS; k++) {
      await attempt(row, `step ${k + 1}`, async () => {
        const { loss, ms } = await driver.step(k);
        run.losses.push(loss);
        stepMs = ms;
        if (k === 0) run.firstStepMs = ms;
        if (run.peer && ms > longestStepMs) {
          run.slowMs = ms;
          run.skipped = `step ${k + 1} took ${(ms / 1000).toFixed(1)} s`;
        }
      });
    }
    await attempt(row, "warm-up", async () => {
      if (stepMs > SLOW_STEP_MS) run.nSamples = FEW_SAMPLES;
      else stepMs = (await driver.train(WARM_UP_STEPS)) / WARM_UP_STEPS;
      run.stepsPerSample = Math.max(1, Math.ceil(SAMPLE_MS / stepMs));
      row.warmUp = await driver.webgpu();
    });
  }

  for (let sample = 0; sample < nSamples; sample++) {
    for (let k = 0; k < rows.length; k++) {
      // Another engine begins each round.
      const row = rows[(sample + k) % rows.length];
      // Few samples are spread over all rounds.
      if (!row || sample % Math.ceil(nSamples / row.run.nSamples) !== 0) continue;
      await attempt(row, `sample ${sample + 1}`, async () => {
        const { run, driver } = row;
        const start = await driver.processorTime();
        const ms = await driver.train(run.stepsPerSample);
        run.samples.push(ms / run.stepsPerSample);
        run.cpuMs += ((await driver.processorTime()) - start) / run.stepsPerSample / run.nSamples;
      });
    }
  }
  for (const row of rows) {
    await attempt(row, "profile", async () => {
      const profile = await row.driver.profile(1);
      if (profile)
        row.run.limit = { flop: profile.calls.reduce((sum, { flop }) => sum + flop, 0), limit: profile.limit };
    });
    await attempt(row, "WebGPU calls", async () => {
      const { run, driver, warmUp } = row;
      const total = await driver.webgpu();
      if (!total || !warmUp) return;
      if (!total.adapter) throw new Error("no device was asked for");
      const dispatches = await driver.dispatches();
      run.webgpu = { adapter: total.adapter, perStep: {}, dispatches };
      for (const [name, calls] of Object.entries(total.calls)) {
        const sinceWarmUp = calls - (warmUp.calls[name] ?? 0);
        run.webgpu.perStep[name] = sinceWarmUp / (run.nSamples * run.stepsPerSample);
      }
    });
  }
  for (const { driver } of rows) await driver.close();
  return rows.map(({ run }) => run);
}

/**
 * The largest relative distance between two engines' losses, and the step where it is.
 * @param {Run[]} runs
 */
function disagreement(runs) {
  const compared = runs.filter(({ own }) => own === null);
  let worst = { step: 0, distance: 0 };
  for (let k = 0; k < COMPARED_STEPS; k++) {
    const losses = compared.filter(({ losses }) => losses.length > k).map(({ losses }) => losses[k] ?? NaN);
    const [low, high] = [Math.min(...losses), Math.max(...losses)];
    const distance = (high - low) / Math.abs(low);
    // A loss of 0 or NaN is a disagreement too.
    if (!(distance <= worst.distance)) worst = { step: k + 1, distance };
  }
  return worst;
}

/**
 * The peers' distance to ours in one number, as a line.
 * @param {Run} ours
 * @param {Run[]} runs
 */
function mean(ours, runs) {
  const peers = runs.filter(({ peer, native, samples }) => peer && !native && samples.length > 0);
  /** @param {Run} peer */
  const isSlow = ({ firstStepMs }) => firstStepMs > SLOW_FIRST_STEP_MS;
  const quick = peers.filter((peer) => !isSlow(peer));
  const logs = quick.map(({ samples }) => Math.log(median(samples) / median(ours.samples)));
  const value = Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
  const names = (/** @type {Run[]} */ some) => some.map(({ engine }) => engine).join(", ");
  const line = quick.length > 0 ? `${value.toFixed(2)} (geometric, ${names(quick)})` : "none";
  const slow = peers.filter(isSlow);
  const left = slow.length > 0 ? `; without ${names(slow)}: first step over ${SLOW_FIRST_STEP_MS / 1000} s` : "";
  return `mean of × median, peers in the browser: ${line}${left}`;
}

/**
 * The second table: what the engines on WebGPU ask of it.
 * @param {Run[]} runs
 */
function reportWebgpu(runs) {
  /** @type {string[][]} */
  const rows = [];
  for (const { engine, webgpu } of runs) {
    if (!webgpu) continue;
    const { adapter, perStep } = webgpu;
    if (rows.length === 0) rows.push(["engine", "adapter", ...Object.keys(perStep)]);
    const counts = Object.values(perStep).map((count) => String(Number(count.toFixed(2))));
    rows.push([engine, `${adapter.name}${adapter.software ? " (software)" : ""}`, ...counts]);
  }
  if (rows.length > 0) console.log(`\nWebGPU calls a training step, after warm-up\n\n${table(rows)}\n`);
  for (const { engine, webgpu } of runs) {
    if (!webgpu?.dispatches) continue;
    const heads = ["dispatch", "grid", "workgroups", "KB"];
    const of = webgpu.dispatches.map(({ label, workgroups, bytes }) => {
      const occupied = workgroups.reduce((product, n) => product * n, 1);
      return [label, workgroups.join(" × "), String(occupied), (bytes / 1000).toFixed(1)];
    });
    console.log(`Dispatches of a training step of ${engine}; KB of operands, once for reading and once for writing\n`);
    console.log(`${table([heads, ...of])}\n`);
  }
}

/**
 * @param {{ id: string, title: string }} workload
 * @param {Run[]} runs
 * @returns {boolean} whether all is well
 */
function report(workload, runs) {
  const [first] = runs;
  const base = first && first.samples.length > 0 ? first : null;
  /** @param {number} value */
  const ms = (value) => (Number.isFinite(value) ? value.toFixed(value < 10 ? 2 : 1) : "–");
  /** @param {number} value */
  const times = (value) => (Number.isFinite(value) ? value.toFixed(2) : "–");
  const heads = ["engine", "version", "median ms", "min ms", "cpu ms", "× median", "× min", "× cpu"];
  const rows = [[...heads, "samples", "steps a sample", "first step ms"]];
  for (const run of runs) {
    const [middle, least] = [median(run.samples), Math.min(...run.samples)];
    rows.push([
      run.engine,
      run.version,
      ms(middle),
      ms(least),
      run.samples.length > 0 ? ms(run.cpuMs) : "–",
      times(base ? middle / median(base.samples) : NaN),
      times(base ? least / Math.min(...base.samples) : NaN),
      times(base && run.samples.length > 0 ? run.cpuMs / base.cpuMs : NaN),
      String(run.samples.length),
      String(run.stepsPerSample),
      `${ms(run.firstStepMs)}${run.firstStepMs > SLOW_FIRST_STEP_MS ? " (slow)" : ""}`,
    ]);
  }
  console.log(`\n${workload.id}: ${workload.title}\n\n${table(rows)}\n`);
  if (base && !base.peer) console.log(mean(base, runs));
  for (const { engine, skipped, own } of runs) {
    if (skipped) console.log(`skipped: ${engine}, ${skipped}`);
    if (own) console.log(`${engine}: ${own}; its losses are not compared`);
  }
  for (const { engine, limit, samples } of runs) {
    if (!limit || samples.length === 0) continue;
    const rate = limit.flop / 1e6 / median(samples);
    const share = `${((100 * rate) / limit.limit).toFixed(0)} % of ${limit.limit.toFixed(1)}`;
    console.log(`${engine}: ${rate.toFixed(1)} GFLOP/s, ${share}, the limit of registers alone`);
  }
  reportWebgpu(runs);
  for (const { engine, losses } of runs)
    console.log(`losses  ${engine.padEnd(14)} ${losses.map((loss) => loss.toPrecision(7)).join("  ")}`);

  const { step, distance } = disagreement(runs);
  const agree = distance <= TOLERANCE;
  const compared = runs.filter(({ losses, own }) => own === null && losses.length === COMPARED_STEPS).length;
  if (!agree)
    console.log(`FAILED: at step ${step} losses differ by ${distance.toExponential(1)}, more than ${TOLERANCE}`);
  else if (compared < 2) console.log("losses: nothing to compare with");
  else
    console.log(`losses of ${compared} engines agree within ${distance.toExponential(1)} over ${COMPARED_STEPS} steps`);
  const failures = runs.filter(({ failure }) => failure !== null);
  for (const { engine, failure } of failures) console.log(`FAILED: ${engine}, ${failure}`);
  // One that trains in its own way may diverge in its own way.
  return agree && failures.every(({ own }) => own !== null);
}

/**
 * What was asked for, in the order of the table.
 * @param {string[] | undefined} wanted
 * @param {string[]} known
 * @param {string} option
 * @param {string[]} unasked taken where nothing was asked for
 */
function choose(wanted, known, option, unasked = known) {
  const names = wanted?.flatMap((list) => list.split(",")) ?? unasked;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`--${option}: expected one of ${known.join(", ")}, got ${unknown}`);
  return known.filter((name) => names.includes(name));
}

/**
 * Without `--gpu` all that need no WebGPU; with it those that do, and ours that does not: its losses judge theirs.
 * @param {string[] | undefined} wanted
 * @param {Engine[]} known
 * @param {boolean} gpu
 */
function chooseEngines(wanted, known, gpu) {
  const unasked = known.filter(({ peer, webgpu }) => webgpu === gpu || (gpu && !peer));
  /** @param {Engine[]} engines */
  const ids = (engines) => engines.map(({ id }) => id);
  const names = choose(wanted, ids(known), "engines", ids(unasked));
  const engines = known.filter(({ id }) => names.includes(id));
  const without = engines.find(({ webgpu }) => webgpu && !gpu);
  if (without) throw new Error(`--engines: ${without.id} needs --gpu`);
  return engines;
}

const TORCH = "pytorch";

/** The workloads, bundled for Node. */
const workloadModule = () =>
  /** @type {Promise<typeof import("./src/workload.ts")>} */ (
    import(pathToFileURL(path.join(DIST, "workload.js")).href)
  );

/**
 * Shapes times cells: for the table all of them, else the LSTM on the first shape and on W0.
 * @param {{ shapes?: string[] | undefined, cells?: string[] | undefined, table: boolean }} options
 * @returns {Promise<Workload[]>}
 */
async function chooseWorkloads({ shapes, cells, table }) {
  const { FIRST_SHAPE, GATES, TABLE_SHAPES, W0, workloadOf } = await workloadModule();
  const known = [FIRST_SHAPE, ...TABLE_SHAPES];
  const ids = choose(
    shapes,
    known.map(({ id }) => id),
    "shapes",
    (table ? TABLE_SHAPES : [FIRST_SHAPE, W0]).map(({ id }) => id),
  );
  const chosen = choose(cells, Object.keys(GATES), "cells", table ? Object.keys(GATES) : ["lstm"]);
  return known
    .filter(({ id }) => ids.includes(id))
    .flatMap((shape) => chosen.map((cell) => workloadOf(/** @type {CellId} */ (cell), shape)));
}

/** Steps that a profile is the mean of: the browser rounds its clock to 0.1 ms, and a step has many calls. */
const PROFILED_STEPS = 200;

/**
 * Where a training step of our CPU engine goes, call by call.
 * @param {Browser} browser
 * @param {string} origin
 * @param {Workload} workload
 */
async function profile(browser, origin, workload) {
  const driver = await pageDriver(browser, origin, "unroll");
  await driver.create(workload);
  await driver.train(WARM_UP_STEPS);
  const profile = await driver.profile(PROFILED_STEPS);
  await driver.close();
  if (!profile) throw new Error("the engine cannot tell where its time goes");
  const { limit, calls } = profile;
  const sum = (/** @type {(call: (typeof calls)[number]) => number} */ of) =>
    calls.reduce((total, call) => total + of(call), 0);
  const total = { label: "all", writes: "", ms: sum(({ ms }) => ms), flop: sum(({ flop }) => flop) };
  const rows = [...calls, total].map(({ label, writes, ms, flop }) => {
    const rate = flop / 1e6 / ms;
    const fraction = flop > 0 ? [rate.toFixed(1), `${((100 * rate) / limit).toFixed(0)} %`] : ["", ""];
    return [
      label,
      writes,
      ms.toFixed(3),
      `${((100 * ms) / total.ms).toFixed(1)} %`,
      (flop / 1e6).toFixed(1),
      ...fraction,
    ];
  });
  const heads = ["call", "writes", "ms", "share", "MFLOP", "GFLOP/s", "of the limit"];
  console.log(`\n${workload.id}: ${workload.title}\n\n${table([heads, ...rows])}\n`);
  console.log(
    `limit: ${limit.toFixed(1)} GFLOP/s, products and sums in registers alone, one thread; mean of ${PROFILED_STEPS} steps`,
  );
}

const load = () =>
  loadavg()
    .map((value) => value.toFixed(1))
    .join(" ");

/**
 * @param {string[]} args
 * @returns {Promise<boolean>} whether all is well
 */
async function main(args) {
  const options = parseOptions(args);
  await buildPages();
  const server = await serve();
  const browser = await chromium.launch({
    executablePath: options.chromium,
    chromiumSandbox: false,
    args: options.browserArguments,
  });
  try {
    const catalogue = await openPage(browser, server.origin);
    const inBrowser = await catalogue.evaluate(() => bench.engines);
    await catalogue.context().close();
    const workloads = await chooseWorkloads(options);
    /** @type {Engine[]} */
    const known = [...inBrowser, { id: TORCH, peer: true, webgpu: false, own: null, native: true }];
    let engines = chooseEngines(options.engines, known, options.gpu);
    const machine = `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores`;
    const threads = options.gpu ? "one thread for each engine not on WebGPU" : "one thread for each engine";
    console.log(`Chromium ${browser.version()}, ${machine}, ${threads}; load ${load()}`);
    const samples = `${options.samples} samples (${FEW_SAMPLES} where a step takes over ${SLOW_STEP_MS / 1000} s)`;
    console.log(`${samples}, engines in turn; × is the ratio to the first row; cpu is processor time`);
    if (options.panels) return await panels(browser, server.origin);
    if (options.start) return await start(browser, server.origin, workloads);
    if (options.scaling) return await scaling(browser, server.origin, await workloadModule(), options.samples);
    if (options.profile) {
      for (const workload of workloads) await profile(browser, server.origin, workload);
      return true;
    }
    if (engines.some(({ native }) => native)) {
      const torch = await torchDriver(DIST);
      if (torch) await torch.close();
      else {
        console.log("pytorch: not installed (PYTHON names a Python that has it)");
        engines = engines.filter(({ native }) => !native);
      }
    }
    let allWell = true;
    /** @type {(Workload & { runs: Run[] })[]} */
    const results = [];
    for (const workload of workloads) {
      const longest = options.table ? SLOW_FIRST_STEP_MS : LONGEST_STEP_MS;
      const runs = await measure(browser, server.origin, workload, engines, options.samples, longest);
      allWell = report(workload, runs) && allWell;
      results.push({ ...workload, runs });
    }
    if (options.table) {
      const lines = readmeTable(results, `Chromium ${browser.version()}, ${machine}`, options.samples);
      console.log(`\n${lines.join("\n")}\n`);
      const isWhole = !options.shapes && !options.cells && !options.engines;
      if (allWell && (isWhole || options.write)) await writeReadme(path.join(ROOT, "README.md"), lines);
      else
        console.log(`README.md is left as it was: ${allWell ? "a part is written with --write" : "not all is well"}`);
    }
    const software = results.some(({ runs }) => runs.some(({ webgpu }) => webgpu?.adapter.software));
    if (software) console.log("\nA software adapter's times are not those of a graphics card.");
    console.log(`\nload at the end ${load()}`);
    if (options.json)
      await writeFile(options.json, `${JSON.stringify({ chromium: browser.version(), machine, results }, null, 1)}\n`);
    return allWell;
  } finally {
    await browser.close();
    server.close();
  }
}

try {
  process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
