import { describe, expect, it } from "vitest";
import {
  type Fit,
  factorText,
  fitLine,
  halfLifeText,
  horizonText,
  type RibbonView,
  sentence,
  viewFrame,
} from "../src/draw/index.js";
import { fit as fitOf, FLOOR, firstSymbol, frameOf, network } from "./support/tiny.js";

/** A ribbon with this median, fitted as the package does. */
function ribbon(median: number[], reverse = false): RibbonView {
  const values = Float32Array.from(median, (v) => (v < FLOOR ? 0 : v));
  const order = reverse ? Array.from(values.keys()) : Array.from(values.keys()).reverse();
  const reference = order.find((t) => !((values[t] ?? 0) <= 0)) ?? -1;
  const finite = values.every((v) => Number.isFinite(v));
  return {
    id: "h",
    title: "h",
    median: values,
    lower: values,
    upper: values,
    fit: finite ? fitOf(values, reverse) : null,
    reverse,
    reference,
  };
}

const powers = (rho: number, n: number, last = 0.5): number[] =>
  Array.from({ length: n }, (_, t) => last * rho ** (n - 1 - t));

describe("the sentence", () => {
  it("names the factor and what step 1 receives", () => {
    const said = sentence(ribbon(powers(0.42, 18)), FLOOR);
    // 0.42^17 = 3.94e-7 = 1/2,540,000.
    expect(said.short).toBe("×0.42 a step back; step 1 receives 1/2,500,000 of the signal.");
    expect(said.spoken).toBe(
      "Gradient falls 58 % a step back, half-life 0.8 steps; step 1 receives 1/2,500,000 of the signal.",
    );
    expect(said.verdict).toBe("vanishing");
  });

  it("speaks of fading while a thousandth arrives", () => {
    const said = sentence(ribbon(powers(0.83, 12)), FLOOR);
    expect(said.short).toBe("×0.83 a step back; step 1 receives 13 % of the signal.");
    expect(said.spoken).toContain("falls 17 % a step back, half-life 3.7 steps");
    expect(said.verdict).toBe("fading");
  });

  it("uses a power of ten where nobody reads the zeros", () => {
    expect(sentence(ribbon(powers(0.5, 100)), FLOOR).short).toBe(
      "×0.50 a step back; step 1 receives 1.6·10⁻³⁰ of the signal.",
    );
  });

  it("says which steps receive nothing that f32 can hold", () => {
    const median = powers(0.1, 60);
    const said = sentence(ribbon(median), FLOOR);
    const silent = median.filter((v) => v < FLOOR).length;
    expect(silent).toBe(22);
    expect(said.short).toBe("×0.10 a step back; steps 1–22 receive nothing that f32 can hold.");
    expect(said.verdict).toBe("vanishing");
    expect(sentence(ribbon(powers(0.1, 39)), FLOOR).short).toContain("step 1 receives nothing that f32 can hold");
  });

  it("says steady within a factor of two", () => {
    const said = sentence(ribbon(powers(1, 40)), FLOOR);
    expect(said.short).toBe("×1.000 a step back: steady; step 1 receives 100 % of the signal.");
    expect(said.spoken).toBe("Gradient holds steady; step 1 receives 100 % of the signal.");
    expect(sentence(ribbon(powers(0.99, 40)), FLOOR).verdict).toBe("steady");
    expect(sentence(ribbon(powers(0.99, 200)), FLOOR).verdict).toBe("fading");
  });

  it("says growing, and exploding above a thousand", () => {
    expect(sentence(ribbon(powers(1.1, 26)), FLOOR).short).toBe(
      "×1.10 a step back: growing; step 1 receives 11 times the signal.",
    );
    const said = sentence(ribbon(powers(1.4, 26)), FLOOR);
    expect(said.short).toBe("×1.40 a step back: exploding; step 1 receives 4,500 times the signal.");
    expect(said.spoken).toBe(
      "Gradient grows 40 % a step back, doubles every 2.1 steps; step 1 receives 4,500 times the signal.",
    );
    expect(said.verdict).toBe("exploding");
    expect(sentence(ribbon(powers(3, 31)), FLOOR).spoken).toBe(
      "Gradient grows 3.0 times a step back, doubles every 0.6 steps; step 1 receives 2.1·10¹⁴ times the signal.",
    );
  });

  it("says when the numbers are no longer finite", () => {
    for (const broken of [Number.POSITIVE_INFINITY, Number.NaN]) {
      const said = sentence(ribbon([broken, 1, 0.5]), FLOOR);
      expect(said.verdict).toBe("broken");
      expect(said.short).toBe("The gradient is no longer a finite number.");
    }
  });

  it("has words for no gradient, one timestep, and two", () => {
    expect(sentence(ribbon([0, 0, 0]), FLOOR).short).toBe("No gradient: the loss does not depend on any state here.");
    expect(sentence(ribbon([0.5]), FLOOR).short).toBe("The loss enters at step 1: there is no step to go back.");
    expect(sentence(ribbon([0.25, 0.5]), FLOOR).short).toBe(
      "×0.50 a step back; step 1 receives 50 % of the signal.".replace("back;", "back: steady;"),
    );
    expect(sentence(ribbon([0.1, 0.5]), FLOOR).short).toBe("×0.20 a step back; step 1 receives 20 % of the signal.");
  });

  it("has words for a missing fit", () => {
    const alone = ribbon([0, 0, 0, 0.5]);
    expect(alone.fit).toBeNull();
    expect(sentence(alone, FLOOR).short).toBe("Only step 4 is above the floor of f32; steps 1–3 receive nothing.");
    expect(sentence({ ...ribbon([0.1, 0.5]), fit: null }, FLOOR).verdict).toBe("none");
  });

  it("counts from the end of what is asked, not of the sequence", () => {
    const cut = ribbon([0.05, 0.1, 0.2, 0.4, 0, 0]);
    expect(cut.reference).toBe(3);
    expect(sentence(cut, FLOOR).short).toBe(
      "×0.50 a step back; step 1 receives 1/8 of the signal.".replace("1/8", "13 %"),
    );
    expect(sentence(ribbon([0.5, 0, 0]), FLOOR).short).toBe("The loss enters at step 1: there is no step to go back.");
  });

  it("speaks of the last step in a row that reads backwards", () => {
    const backwards = ribbon([...powers(0.5, 20)].reverse(), true);
    expect(backwards.reference).toBe(0);
    expect(sentence(backwards, FLOOR).short).toBe("×0.50 a step back; step 20 receives 1/520,000 of the signal.");
    const far = ribbon([...powers(0.1, 60)].reverse(), true);
    expect(sentence(far, FLOOR).short).toBe("×0.10 a step back; steps 39–60 receive nothing that f32 can hold.");
  });

  it("says the numbers of a real network", () => {
    const row = viewFrame(frameOf(network(firstSymbol(30, 4), "elman", 12, 3), 1, 5, 0)).rows[0];
    const real = row?.ribbons[0];
    if (real === undefined || real.fit === null) throw new Error("no fit");
    const said = sentence(real, FLOOR);
    expect(said.short).toContain(`×${real.fit.factor.toFixed(2)} a step back`);
    expect(said.verdict).toBe("vanishing");
  });
});

describe("texts of a fit", () => {
  const vanishing: Fit = {
    factor: 0.8300000000000001,
    halfLife: 3.72,
    horizon: 5.37,
    ratio: 1 / 3123,
    from: 0,
    to: 43,
    atTo: 0.1,
  };

  it("gives the factor to machines without rounding", () => {
    expect(Number(factorText(vanishing))).toBe(vanishing.factor);
    expect(factorText(null)).toBe("");
  });

  it("names half-life and horizon, and neither where there is none", () => {
    expect(halfLifeText(vanishing)).toBe("half-life 3.7 steps");
    expect(horizonText(vanishing)).toBe("horizon 5.4 steps");
    const flat: Fit = { ...vanishing, factor: 1, halfLife: null, horizon: null, ratio: 1 };
    expect(halfLifeText(flat)).toBe("");
    expect(horizonText(flat)).toBe("");
    expect(halfLifeText({ ...vanishing, factor: 1.33, halfLife: 2.43 })).toBe("doubles every 2.4 steps");
  });

  it("fits on one line", () => {
    expect(fitLine(vanishing, false, 44)).toBe(
      "×0.83 per step back · half-life 3.7 steps · step 1 receives 1/3,100 of the signal",
    );
    expect(fitLine({ ...vanishing, ratio: 0 }, true, 44)).toContain("step 44 receives less than 10⁻³⁸");
  });
});
