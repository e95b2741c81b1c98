// How long the page's own scripts take for each frame on its thread, with four lanes of H 64 and T 100. It says the numbers and judges none: they
// belong to the machine.

import { expect, test } from "vitest";
import { PANELS } from "../../src/settings";
import { browsing, trained } from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { browser, open } = browsing();

/** The part of Chromium's trace events that is read; times in microseconds. */
interface TraceEvent {
  name: string;
  ph: string;
  ts: number;
  dur?: number;
  /** Of the processor, without what else ran on it meanwhile. */
  tts?: number;
  tdur?: number;
  pid: number;
  tid: number;
  args?: { name?: string; data?: { functionName?: string; url?: string } };
}

/** What runs scripts; one inside another counts once. */
const SCRIPTS = new Set([
  "FunctionCall",
  "FireAnimationFrame",
  "TimerFire",
  "RunMicrotasks",
  "EvaluateScript",
  "EventDispatch",
]);

/** Milliseconds of scripts for each frame of the page's thread that has any. */
function scriptingOf(events: readonly TraceEvent[]): number[] {
  const threads = events.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain");
  // The page is the one that draws most frames; blank pages have a thread, too.
  const frames = threads
    .map(({ pid, tid }) => events.filter((one) => one.pid === pid && one.tid === tid))
    .sort(
      (one, other) =>
        other.filter(({ name }) => name === "FireAnimationFrame").length -
        one.filter(({ name }) => name === "FireAnimationFrame").length,
    )[0];
  const own = (frames ?? []).filter(({ ph }) => ph === "X").sort((one, other) => one.ts - other.ts);
  const begins = own.filter(({ name }) => name === "FireAnimationFrame").map(({ ts }) => ts);
  const spent = new Map<number, number>();
  let end = 0;
  let frame = 0;
  for (const { name, ts, dur = 0, tdur = 0 } of own) {
    // Scripts nest and never overlap otherwise.
    if (!SCRIPTS.has(name) || ts + dur <= end) continue;
    while (frame + 1 < begins.length && (begins[frame + 1] ?? 0) <= ts) frame += 1;
    spent.set(frame, (spent.get(frame) ?? 0) + tdur / 1000);
    end = ts + dur;
  }
  // Callbacks of one frame follow each other at once.
  const merged: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  begins.forEach((ts, at) => {
    const ms = spent.get(at) ?? 0;
    if (ts - last < 8000 && merged.length > 0) merged[merged.length - 1] = (merged.at(-1) ?? 0) + ms;
    else {
      merged.push(ms);
      last = ts;
    }
  });
  return merged;
}

const at = (sorted: readonly number[], quantile: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(quantile * sorted.length))] ?? Number.NaN;

test.each([
  ["without panels", ""],
  ["with every panel", `&panels=${PANELS.map(({ id }) => id).join(",")}`],
])("page_scripting_of_four_lanes_is_measured_%s", async (what, panels) => {
  const lanes = ["a", "b", "c", "d"].map((lane) => `&${lane}.hidden=64&${lane}.engine=cpu`).join("");
  const { page, errors } = await open(`#v=1&pause-at-goal=off&task.length=100&lanes=4${lanes}${panels}`);
  await page.getByRole("button", { name: "Run" }).click();
  await trained(page, 10);
  const chromium = await browser();
  await chromium.startTracing(page, { categories: ["devtools.timeline", "disabled-by-default-devtools.timeline"] });
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 5000)));
  const trace = JSON.parse((await chromium.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const frames = scriptingOf(trace.traceEvents).sort((one, other) => one - other);
  expect(frames.length).toBeGreaterThan(10);
  expect(frames.every(Number.isFinite)).toBe(true);
  const [median, most] = [at(frames, 0.5), at(frames, 0.95)].map((ms) => ms.toFixed(1));
  console.log(
    `scripting per frame, in time of the processor, ${what}, four lanes, H 64, T 100: median ${median ?? ""} ms, 95 % ${most ?? ""} ms, ` +
      `longest ${at(frames, 1).toFixed(1)} ms, ${String(frames.length)} frames in 5 s`,
  );
  expect(errors).toEqual([]);
});
