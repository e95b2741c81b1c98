// Sessions of the package beside the page, here in Node: what the page shows is compared with what they compute.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import type { SessionConfig } from "unroll-types";
import init, { catalog, countParameters, Session } from "../../../pkg/unroll.js";
import { fromHash, sessionConfig } from "../../src/settings";

let loading: Promise<unknown> | undefined;
const load = (): Promise<unknown> =>
  (loading ??= init({ module_or_path: readFileSync(new URL("../../../pkg/unroll_bg.wasm", import.meta.url)) }));

/** A session on the CPU as a lane of the page at this address has it. */
export async function twin(page: Page, lane: number, change: Partial<SessionConfig["model"]> = {}): Promise<Session> {
  await load();
  const tables = catalog();
  const { values } = fromHash(tables, new URL(page.url()).hash);
  const config = sessionConfig(tables, values, lane);
  return Session.create({ ...config, model: { ...config.model, ...change }, backend: "cpu" });
}

/** How many parameters the networks of the page at this address have with so many units each, lane by lane. */
export async function counted(page: Page, units: readonly number[]): Promise<number[]> {
  await load();
  const tables = catalog();
  const { values } = fromHash(tables, new URL(page.url()).hash);
  return units.map((hidden, lane) => {
    const config = sessionConfig(tables, values, lane);
    return countParameters({ ...config, model: { ...config.model, hidden } });
  });
}

/** The median of the first ribbon of a row of a session. */
export async function ribbonOf(session: Session, row = 0): Promise<number[]> {
  const { header, data } = await session.frame();
  return [...new Float32Array(data, 4 * (header.rows[row]?.ribbons[0]?.offset ?? 0), header.nSteps)];
}
