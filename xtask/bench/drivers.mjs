/**
 * What the bench measures, behind one interface: a page of the browser that trains one engine, or PyTorch in a process of
 * its own.
 */

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

/** @typedef {import("playwright-core").Browser} Browser */
/** @typedef {import("./src/workload.ts").Workload} Workload */
/** @typedef {import("./src/webgpu-calls.ts").WebgpuCalls} WebgpuCalls */
/** @typedef {import("./src/engine.ts").Dispatch} Dispatch */
/** @typedef {import("./src/engine.ts").Profile} Profile */

/**
 * @typedef {object} Driver
 * @property {(workload: Workload) => Promise<string>} create resolves to the engine's version
 * @property {(k: number) => Promise<{ loss: number, ms: number }>} step training step k on batch k
 * @property {(count: number) => Promise<number>} train milliseconds of so many steps
 * @property {() => Promise<number>} processorTime milliseconds so far, of the engine and of what computes for it
 * @property {(steps: number) => Promise<Profile | null>} profile where the time goes, where the engine can tell
 * @property {() => Promise<WebgpuCalls | null>} webgpu calls so far; null where it computes elsewhere
 * @property {() => Promise<readonly Dispatch[] | null>} dispatches of a training step
 * @property {() => Promise<void>} close
 */

const HERE = path.dirname(fileURLToPath(import.meta.url));

/**
 * A fresh page in a browser context of its own.
 * @param {Browser} browser
 * @param {string} origin
 */
export async function openPage(browser, origin) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(origin);
  await page.waitForFunction(() => "bench" in globalThis);
  return page;
}

/**
 * @param {Browser} browser
 * @param {string} origin
 * @param {string} engine
 * @returns {Promise<Driver>}
 */
export async function pageDriver(browser, origin, engine) {
  const page = await openPage(browser, origin);
  const ofPage = await page.context().newCDPSession(page);
  await ofPage.send("Performance.enable");
  const ofBrowser = await browser.newBrowserCDPSession();
  return {
    create: (workload) =>
      page.evaluate(([e, w]) => bench.create(e, w), /** @type {[string, Workload]} */ ([engine, workload])),
    step: (k) => page.evaluate((k) => bench.step(k), k),
    train: (count) => page.evaluate((count) => bench.train(count), count),
    // Of the page's process and of the GPU's, where WebGPU computes if the adapter is a software one. In steps of 10 ms.
    async processorTime() {
      const { metrics } = await ofPage.send("Performance.getMetrics");
      const { processInfo } = await ofBrowser.send("SystemInfo.getProcessInfo");
      const seconds = metrics.find(({ name }) => name === "ProcessTime")?.value ?? NaN;
      return 1000 * (seconds + (processInfo.find(({ type }) => type === "GPU")?.cpuTime ?? 0));
    },
    profile: (steps) => page.evaluate((steps) => bench.profile(steps), steps),
    webgpu: () => page.evaluate(() => bench.webgpu()),
    dispatches: () => page.evaluate(() => bench.dispatches()),
    close: () => page.context().close(),
  };
}

/**
 * PyTorch on one thread, in the Python that the variable PYTHON names, else `python3`; null where that has none.
 * @param {string} dist where the bundled workloads lie
 * @returns {Promise<Driver | null>}
 */
export async function torchDriver(dist) {
  const script = await readFile(path.join(HERE, "torch_cpu.py"), "utf8");
  const child = spawn(process.env["PYTHON"] ?? "python3", ["-c", script], { stdio: ["pipe", "pipe", "ignore"] });
  // It is told by the end of its answers that a program is missing or has ended.
  child.on("error", () => undefined);
  child.stdin.on("error", () => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("PyTorch ended without an answer");
    return /** @type {Record<string, number> & { version: string }} */ (JSON.parse(value));
  };
  /** @param {object} question */
  const ask = (question) => {
    child.stdin.write(`${JSON.stringify(question)}\n`);
    return answer();
  };
  let version = "";
  try {
    ({ version } = await answer());
  } catch {
    return null;
  }
  const { batch, initialWeights } = /** @type {typeof import("./src/workload.ts")} */ (
    await import(pathToFileURL(path.join(dist, "workload.js")).href)
  );
  /** @param {Float32Array | Uint32Array} values */
  const base64 = ({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength).toString("base64");
  const N_BATCHES = 16;
  return {
    async create(workload) {
      const weights = Object.fromEntries(
        Object.entries(initialWeights(workload)).map(([name, values]) => [name, base64(values)]),
      );
      await ask({ do: "create", workload, weights });
      for (let k = 0; k < N_BATCHES; k++) {
        const { x, y } = batch(workload, k);
        await ask({ do: "batch", x: base64(x), y: base64(y) });
      }
      return version;
    },
    async step(k) {
      const { loss = NaN, ms = NaN } = await ask({ do: "train", from: k, count: 1 });
      return { loss, ms };
    },
    async train(count) {
      const { loss = NaN, ms = NaN } = await ask({ do: "train", from: 0, count });
      if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss} while it was timed`);
      return ms;
    },
    processorTime: async () => (await ask({ do: "time" }))["ms"] ?? NaN,
    profile: () => Promise.resolve(null),
    webgpu: () => Promise.resolve(null),
    dispatches: () => Promise.resolve(null),
    async close() {
      child.stdin.end();
      if (child.exitCode === null) await new Promise((resolve) => child.once("exit", resolve));
    },
  };
}
