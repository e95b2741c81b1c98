import { readFileSync } from "node:fs";
import { beforeAll, describe as group, expect, test } from "vitest";
import init, { catalog, countParameters, Session } from "../../../pkg/unroll.js";
import type { SessionConfig } from "unroll-types";
import { misfit, sizeInWords, sizesAsked, withSizes } from "../../src/lab/race";
import { changed, describe, fromHash, sessionConfig, toHash } from "../../src/settings";
import { shapesOf } from "../../src/share/pytorch";
import { closest, sizesOf } from "../../src/worker/sizes";

beforeAll(async () => {
  await init({ module_or_path: readFileSync(new URL("../../../pkg/unroll_bg.wasm", import.meta.url)) });
});

/** The sizes of the lanes of an address. */
function race(hash: string) {
  const { values } = fromHash(catalog(), hash);
  const { asked, key } = sizesAsked(catalog(), values);
  const sizes = sizesOf(countParameters, asked);
  return { values, key, sizes, matched: withSizes(values, sizes) };
}

/** Which size of all comes closest, looked for one by one. */
function scanned(config: SessionConfig, target: number, most: number): number {
  let best = { hidden: 0, distance: Number.POSITIVE_INFINITY };
  for (let hidden = 1; hidden <= most; hidden++) {
    try {
      const distance = Math.abs(countParameters({ ...config, model: { ...config.model, hidden } }) - target);
      if (distance < best.distance) best = { hidden, distance };
    } catch {
      // A size that does not fit.
    }
  }
  return best.hidden;
}

group("race", () => {
  test("race_search_is_the_closest_size_also_between_sizes_that_do_not_fit", () => {
    for (const step of [1, 3, 7, 16]) {
      const count = (hidden: number): number | null => (hidden % step === 0 ? 2 * hidden * hidden + 5 : null);
      for (const target of [1, 7, 400, 405, 2000, 19_999, 1e9]) {
        const fits = Array.from({ length: 128 }, (_, at) => at + 1).filter((hidden) => hidden % step === 0);
        const distance = (hidden: number): number => Math.abs((count(hidden) ?? 0) - target);
        const best = fits.reduce((one, other) => (distance(other) < distance(one) ? other : one));
        expect(closest(count, target, 128)).toEqual({ hidden: best, parameters: count(best) });
      }
    }
    // Of two that are equally far, the smaller one; and nothing where nothing fits.
    expect(closest((hidden) => 10 * hidden, 15, 100)).toEqual({ hidden: 1, parameters: 10 });
    expect(closest(() => null, 15, 1024)).toBeNull();
  });

  test("race_sizes_of_every_architecture_are_the_closest_there_are_and_found_quickly", () => {
    for (const { id, options } of catalog().architectures) {
      const heads = options.some(({ name }) => name === "heads") ? "&b.heads=3" : "";
      const { sizes, matched } = race(`#v=1&match=parameters&a.model=lstm&a.hidden=64&b.model=${id}${heads}`);
      const config = sessionConfig(catalog(), matched, 1);
      const target = countParameters(sessionConfig(catalog(), matched, 0));
      expect(sizes[0]).toEqual({ hidden: 64, parameters: target });
      expect(sizes[1]).toEqual({
        hidden: scanned(config, target, catalog().limits.hidden),
        parameters: countParameters(config),
      });
      expect(misfit("B", id, sizes[1] ?? { hidden: 0, parameters: 0 }, target)).toBeNull();
    }
    const four = "#v=1&match=parameters&lanes=4&a.model=lstm&b.model=transformer&b.heads=2&c.model=mamba&d.model=rwkv";
    const { asked } = sizesAsked(catalog(), fromHash(catalog(), four).values);
    const times = Array.from({ length: 5 }, () => {
      const before = performance.now();
      sizesOf(countParameters, asked);
      return performance.now() - before;
    });
    expect(Math.min(...times)).toBeLessThan(50);
  });

  test("race_parameters_are_those_of_the_networks", async () => {
    for (const { id } of catalog().architectures) {
      const { matched, sizes } = race(`#v=1&match=parameters&lanes=3&b.model=${id}&c.model=gru&c.layers=2`);
      for (const [lane, { parameters }] of sizes.entries()) {
        const session = await Session.create({ ...sessionConfig(catalog(), matched, lane), backend: "cpu" });
        const shapes = [...shapesOf(await session.weights()).values()];
        session.free();
        expect(shapes.reduce((sum, shape) => sum + shape.reduce((product, n) => product * n, 1), 0)).toBe(parameters);
      }
    }
  });

  test("race_mode_is_in_the_address_and_derived_units_are_not", () => {
    const { matched, key } = race("#v=1&match=parameters&a.hidden=30");
    const hash = toHash(catalog(), matched);
    expect(hash).toBe("#v=1&match=parameters&a.hidden=30");
    expect(race(hash).matched).toEqual(matched);
    // Found units change nothing of what they hang on.
    expect(sizesAsked(catalog(), matched).key).toBe(key);
    const units = fromHash(catalog(), "#v=1&match=parameters&b.hidden=20");
    expect(units.notes).toEqual(['The address sets "b.hidden", which is no setting here; it is left out.']);
    const unknown = fromHash(catalog(), "#v=1&match=flops");
    expect(unknown.notes).toEqual(['match: expected one of size, parameters, got "flops"; size is used.']);
    expect(unknown.values["match"]).toBe("size");
    expect(toHash(catalog(), unknown.values)).toBe("");
  });

  test("race_of_refused_or_unreachable_sizes_says_so", () => {
    // Seven heads do not divide 16 units: without lane A's number the other lane keeps its own units.
    const refused = race("#v=1&match=parameters&a.model=transformer&a.heads=7");
    expect(refused.sizes[0]).toEqual({ hidden: 16, parameters: null });
    expect(refused.sizes[1]?.hidden).toBe(16);
    const far = race("#v=1&match=parameters&a.hidden=1&b.model=transformer");
    const [first, second] = far.sizes;
    expect(second?.hidden).toBe(1);
    expect(misfit("B", "Transformer", second ?? { hidden: 0, parameters: 0 }, first?.parameters ?? 0)).toBe(
      `No size of lane B's Transformer comes within 10 % of lane A's ${String(first?.parameters)} parameters: the closest is 1 unit with ${String(second?.parameters)}.`,
    );
    expect(misfit("B", "Transformer", { hidden: 5, parameters: 110 }, 100)).toBeNull();
    expect(misfit("B", "Transformer", { hidden: 5, parameters: 111 }, 100)).not.toBeNull();
    expect(sizeInWords(30, 4193, 4162)).toBe("30 units, 4,193 parameters, A has 4,162");
    expect(sizeInWords(1, null, null)).toBe("1 unit");
  });

  test("race_that_ends_gives_the_lanes_the_units_of_lane_a", () => {
    const { values, matched } = race("#v=1&match=parameters&a.hidden=30&lanes=3");
    expect(matched["b.hidden"]).not.toBe(30);
    const ended = describe(catalog(), changed(matched, "match", "size")).values;
    expect([ended["a.hidden"], ended["b.hidden"], ended["c.hidden"]]).toEqual([30, 30, 30]);
    // Other changes leave units alone, and so does the race's beginning.
    expect(changed(values, "seed", 4)).toEqual({ ...values, seed: 4 });
    const apart = fromHash(catalog(), "#v=1&b.hidden=24").values;
    expect(changed(apart, "match", "parameters")["b.hidden"]).toBe(24);
  });
});
