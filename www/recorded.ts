// Makes `recorded.json` while the page is built: trains the networks of the page's default settings with the package and keeps one
// moment of each. Nothing of it is committed.

import { readFileSync } from "node:fs";
import type { Plugin } from "vite";
import init, { catalog as realCatalog, Session } from "../pkg/unroll.js";
import { viewFrame } from "./src/draw/frame.js";
import { record, type Recorded } from "./src/lab/recording";
import { fromHash, sessionConfig } from "./src/settings";

/** Enough for the LSTM to have learnt and for the Elman network to have failed. */
const STEPS = 400;

/** The lanes of a fresh page after some training. */
export async function recordRun(steps: number): Promise<Recorded[]> {
  await init({ module_or_path: readFileSync(new URL("../pkg/unroll_bg.wasm", import.meta.url)) });
  const catalog = realCatalog();
  const { values } = fromHash(catalog, "");
  const lanes: Recorded[] = [];
  for (let lane = 0; lane < Number(values["lanes"]); lane += 1) {
    const config = sessionConfig(catalog, values, lane);
    const task = catalog.tasks.find(({ id }) => id === config.task.id)?.title ?? "";
    const title = catalog.architectures.find(({ id }) => id === config.model.id)?.title ?? "";
    const session = await Session.create({ ...config, backend: "cpu" });
    await session.advance(steps);
    lanes.push(record(viewFrame(await session.frame({ sequence: 0, lossAt: "task" })), task, title));
    session.free();
  }
  return lanes;
}

export function recordedRun(): Plugin {
  return {
    name: "recorded-run",
    apply: "build",
    async generateBundle() {
      this.emitFile({ type: "asset", fileName: "recorded.json", source: JSON.stringify(await recordRun(STEPS)) });
    },
  };
}
