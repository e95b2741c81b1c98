import { describe, expect, it } from "vitest";
import { numbers } from "../src/draw/index.js";

const { count, factor, powerOfTen, rangeEnd, share, significant, steps, superscript } = numbers;

describe("numbers for teachers", () => {
  it.each([
    [0, "0"],
    [7, "7"],
    [999, "999"],
    [1000, "1,000"],
    [12480, "12,480"],
    [2000000, "2,000,000"],
    [-1234, "−1,234"],
    [0.4, "0"],
    [-0.4, "0"],
  ])("count %s", (x, text) => {
    expect(count(x)).toBe(text);
  });

  it.each([
    [0, 2, "0"],
    [0.4216, 2, "0.42"],
    [0.4216, 3, "0.422"],
    [0.0995, 2, "0.10"],
    [1, 2, "1.0"],
    [-3.14, 2, "−3.1"],
    [9.96, 2, "10"],
    [12480, 3, "12,500"],
    [0.00031, 2, "0.00031"],
    [0.000031, 2, "3.1·10⁻⁵"],
    [1e-9, 1, "10⁻⁹"],
    [4.2e12, 2, "4.2·10¹²"],
    [Number.POSITIVE_INFINITY, 2, "∞"],
    [Number.NEGATIVE_INFINITY, 2, "−∞"],
    [Number.NaN, 2, "not a number"],
  ])("significant %s to %s digits", (x, digits, text) => {
    expect(significant(x, digits)).toBe(text);
  });

  it.each([
    [0.83, "×0.83"],
    [0.4219, "×0.42"],
    [0.0912, "×0.091"],
    [0.98312, "×0.983"],
    [0.99996, "×1.000"],
    [1, "×1.000"],
    [1.0712, "×1.071"],
    [1.274, "×1.27"],
    [12.4, "×12"],
    [0.00000123, "×1.2·10⁻⁶"],
    [0, "×0"],
  ])("factor %s", (x, text) => {
    expect(factor(x)).toBe(text);
  });

  it.each([
    [1, "100 %"],
    [0.936, "94 %"],
    [0.1, "10 %"],
    [0.0951, "10 %"],
    [0.09, "1/11"],
    [1 / 3123, "1/3,100"],
    [1 / 1_987_000, "1/2,000,000"],
    [1.234e-24, "1.2·10⁻²⁴"],
    [0, "none"],
    [1.3, "130 %"],
    [4133, "×4,100"],
    [Number.NaN, "not a number"],
  ])("share %s", (x, text) => {
    expect(share(x)).toBe(text);
  });

  it.each([
    [3.72, "3.7 steps"],
    [1.02, "1 step"],
    [0.26, "0.3 steps"],
    [9.96, "10 steps"],
    [14.6, "15 steps"],
    [123.4, "123 steps"],
    [69314, "69,300 steps"],
  ])("steps %s", (x, text) => {
    expect(steps(x)).toBe(text);
  });

  it("writes exponents and ends of ranges", () => {
    expect(superscript(-38)).toBe("⁻³⁸");
    expect(powerOfTen(0)).toBe("10⁰");
    expect(rangeEnd(1, true)).toBe("+1");
    expect(rangeEnd(-1.5, true)).toBe("−1.5");
    expect(rangeEnd(0, true)).toBe("0");
    expect(rangeEnd(0.5, false)).toBe("0.5");
    expect(rangeEnd(2e-6, true)).toBe("+2.0·10⁻⁶");
  });
});
