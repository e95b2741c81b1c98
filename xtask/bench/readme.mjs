/** The table of the README: made of one run of all its workloads, and written by nobody else. */

import { readFile, writeFile } from "node:fs/promises";
import { median } from "./print.mjs";

/** @typedef {import("./bench.mjs").Run} Run */
/** @typedef {import("./src/workload.ts").Workload} Workload */

/** The table stands between these two lines. */
const BEGIN = "<!-- written by `cargo xtask bench --table`: begin -->";
const END = "<!-- written by `cargo xtask bench --table`: end -->";

/** Longest line outside the table. */
const COLUMNS = 130;

/** How the table calls the engines. */
const TITLES = new Map([
  ["unroll", "Unroll"],
  ["unroll-webgpu", "Unroll, WebGPU"],
  ["burn-flex", "Burn, flex"],
  ["jax-js-wasm", "jax-js, wasm"],
  ["jax-js-webgpu", "jax-js, WebGPU"],
  ["tfjs-wasm", "tfjs, wasm"],
  ["tfjs-webgpu", "tfjs, WebGPU"],
  ["brain-js", "brain.js"],
  ["pytorch", "PyTorch"],
]);

/**
 * Three digits.
 * @param {number} value
 */
const digits = (value) => value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.9995 ? 2 : 3);

/** @param {number[]} values */
const geometricMean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/**
 * Breaks text into lines.
 * @param {string} text
 */
function wrapped(text) {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/**
 * What an engine did on a workload: milliseconds, and how many times as long as ours.
 * @param {Run | undefined} run
 * @param {number} ours median milliseconds
 */
function cell(run, ours) {
  if (!run) return "–";
  if (run.failure !== null) return run.own === null ? "failed" : "diverged";
  if (run.samples.length === 0) return run.slowMs > 0 ? `a step of ${digits(run.slowMs / 1000)} s` : "–";
  const middle = median(run.samples);
  return run.peer ? `${digits(middle)} (${digits(middle / ours)}×)` : digits(middle);
}

/**
 * The lines between the marks.
 * @param {(Workload & { runs: Run[] })[]} results the first run of each is ours
 * @param {string} where
 * @param {number} nSamples
 */
export function readmeTable(results, where, nSamples) {
  const engines = [...new Map(results.flatMap(({ runs }) => runs).map((run) => [run.engine, run])).values()];
  const title = (/** @type {Run} */ run) => {
    const version = run.peer ? ` ${run.version.split(/[,+]/)[0] ?? ""}` : "";
    return `${TITLES.get(run.engine) ?? run.engine}${version}${run.own ? "*" : ""}`;
  };
  const [first] = engines;
  if (!first) throw new Error("there is nothing to write");
  const peers = engines.slice(1);
  /** @type {number[]} */
  const shares = [];
  // One machine has one limit, and whatever else it did while a limit was measured made it look lower.
  const limit = Math.max(...results.flatMap(({ runs }) => runs.flatMap((run) => run.limit?.limit ?? [])));
  const ratios = new Map(peers.map(({ engine }) => [engine, /** @type {number[]} */ ([])]));
  const rows = results.map(({ cell: id, H, T, B, id: workload, runs }) => {
    const ours = runs.find(({ engine }) => engine === first.engine);
    const middle = ours ? median(ours.samples) : NaN;
    const share = ours?.limit ? ours.limit.flop / 1e6 / middle / limit : NaN;
    if (Number.isFinite(share)) shares.push(share);
    const others = peers.map(({ engine }) => {
      const run = runs.find((run) => run.engine === engine);
      if (run && run.samples.length > 0) ratios.get(engine)?.push(median(run.samples) / middle);
      return cell(run, middle);
    });
    const name = `${id === "elman" ? "Elman" : id.toUpperCase()}, H ${H}, T ${T}, B ${B}${workload.endsWith("w0") ? " (W0)" : ""}`;
    return [name, cell(ours, middle), Number.isFinite(share) ? `${(100 * share).toFixed(0)} %` : "–", ...others];
  });
  const means = peers.map(({ engine }) => {
    const of = ratios.get(engine) ?? [];
    return of.length > 0 ? `${digits(geometricMean(of))}× (${of.length})` : "–";
  });
  const meanShare = shares.length > 0 ? `${(100 * geometricMean(shares)).toFixed(0)} %` : "–";
  const lines = [
    ["workload", title(first), "of the limit", ...peers.map(title)],
    ["---", ...Array.from({ length: 2 + peers.length }, () => "---:")],
    ...rows,
    ["geometric mean (of how many)", "", meanShare, ...means],
  ].map((row) => `| ${row.join(" | ")} |`);
  const owns = peers
    .filter(({ own }) => own)
    .map((run) => `\\* ${TITLES.get(run.engine) ?? run.engine}: ${run.own ?? ""}.`);
  const intro =
    `${where}; one thread for each engine. Milliseconds of a whole training step (forward, backward, Adam, the loss read), the median of ` +
    `${nSamples} samples, fewer where a step takes long; in brackets how many times as long as ours. The limit is what products and ` +
    `sums in registers alone reach on this machine, the largest of one measurement a row. A peer is left out of a row and of its mean when one of its first steps takes over 5 s.`;
  return [...wrapped(intro), "", ...lines, ...(owns.length > 0 ? ["", ...owns] : [])];
}

/**
 * Puts the lines between the marks.
 * @param {string} file
 * @param {string[]} lines
 */
export async function writeReadme(file, lines) {
  const text = await readFile(file, "utf8");
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${file}: expected the lines\n${BEGIN}\n${END}`);
  await writeFile(file, `${text.slice(0, begin)}${BEGIN}\n\n${lines.join("\n")}\n\n${text.slice(end)}`);
  console.log("README.md has the new table");
}
