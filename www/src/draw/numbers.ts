/** How numbers are written for teachers. Pure text; knows nothing about frames or canvases. */

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** An integer as superscript, such as ⁻¹². */
export function superscript(n: number): string {
  const digits = Array.from(String(Math.abs(Math.trunc(n))), (d) => SUPERSCRIPTS[Number(d)] ?? "").join("");
  return n < 0 ? `⁻${digits}` : digits;
}

/** A power of ten: 10⁻⁹. */
export function powerOfTen(exponent: number): string {
  return `10${superscript(exponent)}`;
}

/** A whole number with commas: 12,480. */
export function count(n: number): string {
  const digits = String(Math.abs(Math.round(n)));
  const grouped = digits.replace(/\B(?=(?:\d{3})+$)/g, ",");
  return n < 0 && digits !== "0" ? `−${grouped}` : grouped;
}

/** `x` = mantissa · 10^exponent, the mantissa rounded to `digits` significant digits and in [1, 10). */
function scientific(x: number, digits: number): [string, number] {
  const [mantissa = "0", exponent = "0"] = x.toExponential(digits - 1).split("e");
  return [mantissa, Number(exponent)];
}

/** A number with `digits` significant digits, as 0.42, −3.1, 12,480 or 4.2·10⁻⁹; −, not a hyphen. */
export function significant(x: number, digits = 2): string {
  if (Number.isNaN(x)) return "not a number";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const sign = x < 0 ? "−" : "";
  const [mantissa, exponent] = scientific(Math.abs(x), digits);
  if (exponent < -4 || exponent >= 7) return `${sign}${mantissa === "1" ? "" : `${mantissa}·`}${powerOfTen(exponent)}`;
  const rounded = Number(`${mantissa}e${String(exponent)}`);
  if (exponent >= digits - 1) return `${sign}${count(rounded)}`;
  return `${sign}${rounded.toFixed(digits - 1 - exponent)}`;
}

/** The end of a range on a legend: at most two decimals, no trailing zeros, + on positive ends of a signed range. */
export function rangeEnd(x: number, signed: boolean): string {
  const text =
    Math.abs(x) >= 1e-3 && Math.abs(x) < 1e4 ? String(Number(x.toPrecision(3))).replace("-", "−") : significant(x, 2);
  return signed && x > 0 ? `+${text}` : text;
}

/**
 * A factor per step back: ×0.42, ×0.0031, ×1.27, ×12. Near 1 a third decimal is shown, because ×0.99 and ×1.00 part ways
 * within a hundred steps.
 */
export function factor(x: number): string {
  if (x >= 0.9 && x < 1.1) return `×${x.toFixed(3)}`;
  return `×${significant(x, x > 1 && x < 10 ? 3 : 2)}`;
}

/**
 * A share of the signal: "94 %", "1/3,100", "1/2,000,000", "1.2·10⁻²⁴", "none", and above 1 "×4,100".
 *
 * Fractions have two significant digits in the denominator; from one in 10¹² on nobody reads the zeros, and a power of
 * ten says more.
 */
export function share(x: number): string {
  if (Number.isNaN(x)) return "not a number";
  if (x <= 0) return "none";
  if (x >= 1.995) return `×${significant(x, 2)}`;
  if (x >= 0.095) return `${String(Math.round(x * 100))} %`;
  if (x < 1e-12) return significant(x, 2);
  return `1/${count(Number((1 / x).toPrecision(2)))}`;
}

/** A number of timesteps: 3.7 steps, 1 step, 120 steps. */
export function steps(n: number): string {
  const text = n < 9.95 ? String(Number(n.toFixed(1))) : significant(n, n < 99.5 ? 2 : 3);
  return `${text} ${text === "1" ? "step" : "steps"}`;
}
