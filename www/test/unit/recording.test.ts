/** The recorded run: what the build writes is the package's own scene, rounded, and reads back as pictures take it. */

import { beforeAll, expect, test } from "vitest";
import { catalog, Session } from "../../../pkg/unroll.js";
import { recordRun } from "../../recorded";
import { channelOf, viewFrame } from "../../src/draw/frame.js";
import { viewRecorded, type Recorded } from "../../src/lab/recording";
import { fromHash, sessionConfig } from "../../src/settings";

const STEPS = 20;
let lanes: Recorded[] = [];
beforeAll(async () => {
  lanes = await recordRun(STEPS);
});

test("a_recorded_run_has_the_packages_numbers_of_the_default_lanes", async () => {
  const { values } = fromHash(catalog(), "");
  expect(lanes).toHaveLength(Number(values["lanes"]));
  for (const [lane, recorded] of lanes.entries()) {
    const session = await Session.create({ ...sessionConfig(catalog(), values, lane), backend: "cpu" });
    await session.advance(STEPS);
    const frame = viewFrame(await session.frame({ sequence: 0, lossAt: "task" }));
    session.free();
    const { rows, channel, step, nSteps, title } = viewRecorded(recorded);
    expect(step).toBe(STEPS);
    expect(nSteps).toBe(frame.nSteps);
    expect(catalog().architectures.map((one) => one.title)).toContain(title);
    const row = frame.rows[0];
    const [told, ribbon] = [rows[0].ribbons[0], row?.ribbons[0]];
    if (row === undefined || ribbon === undefined || told === undefined) throw new Error("no ribbon");
    const truth = channelOf(row, "h");
    expect(channel.values).toHaveLength(truth?.values.length ?? -1);
    channel.values.forEach((value, at) => {
      const exact = truth?.values[at] ?? Number.NaN;
      expect(Math.abs(value - exact)).toBeLessThanOrEqual(0.051 * Math.abs(exact));
    });
    told.median.forEach((value, at) => {
      const exact = ribbon.median[at] ?? Number.NaN;
      expect(Math.abs(value - exact)).toBeLessThanOrEqual(0.0051 * exact);
    });
  }
});

test("a_recorded_run_is_small_beside_the_package", () => {
  expect(JSON.stringify(lanes).length).toBeLessThan(40_000);
});
