import { describe, expect, it } from "vitest";
import {
  contrast,
  inkOn,
  luminance,
  mix,
  type Palette,
  palettes,
  rampColour,
  rampIndex,
  rgb,
} from "../src/draw/index.js";

/** Linear sRGB of a colour seen without one kind of cone: Machado, Oliveira and Fernandes 2009 (doi:10.1109/TVCG.2009.113), severity 1. */
const BLINDNESS = {
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
} as const;

type Triple = [number, number, number];

function linear(colour: string): Triple {
  const f = (v: number): number => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = rgb(colour);
  return [f(r), f(g), f(b)];
}

function seen([r, g, b]: Triple, m: readonly number[]): Triple {
  const row = (i: number): number =>
    Math.min(1, Math.max(0, (m[i] ?? 0) * r + (m[i + 1] ?? 0) * g + (m[i + 2] ?? 0) * b));
  return [row(0), row(3), row(6)];
}

/** CIE L*a*b*, D65. */
function lab([r, g, b]: Triple): Triple {
  const f = (t: number): number => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047);
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

const apart = (a: Triple, b: Triple): number => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

describe.each(Object.values(palettes))("palette $name", (palette: Palette) => {
  const zones = Object.values(palette.zones);

  it("has text of at least 4.5 to 1 wherever it stands", () => {
    const fills = [palette.background, ...zones.map((zone) => zone.fill)];
    for (const fill of fills) {
      expect(contrast(palette.ink, fill)).toBeGreaterThanOrEqual(4.5);
      expect(contrast(palette.inkSoft, fill)).toBeGreaterThanOrEqual(4.5);
    }
    for (const text of [
      palette.right,
      palette.wrong,
      ...zones.map((zone) => zone.ink),
      ...palette.lanes.map((lane) => lane.colour),
    ]) {
      expect(contrast(text, palette.background)).toBeGreaterThanOrEqual(4.5);
    }
    // Names of lanes and of ghosts stand in the ribbon.
    for (const zone of zones) {
      for (const lane of palette.lanes) expect(contrast(lane.colour, zone.fill)).toBeGreaterThanOrEqual(3.9);
    }
    expect(contrast(palette.cursor, palette.cursorHalo)).toBeGreaterThanOrEqual(7);
  });

  it("has lines of at least 3 to 1 that carry meaning", () => {
    for (const colour of [palette.ghost, ...palette.lanes.map((lane) => lane.colour)]) {
      for (const zone of zones) expect(contrast(colour, zone.fill)).toBeGreaterThanOrEqual(3);
    }
  });

  it("has four lanes that differ for every eye, and without colour", () => {
    for (const matrix of [null, ...Object.values(BLINDNESS)]) {
      const seenLanes = palette.lanes.map(({ colour }) =>
        lab(matrix === null ? linear(colour) : seen(linear(colour), matrix)),
      );
      seenLanes.forEach((one, i) => {
        for (const other of seenLanes.slice(i + 1)) expect(apart(one, other)).toBeGreaterThan(25);
      });
    }
    expect(new Set(palette.lanes.map(({ dash }) => dash.join())).size).toBe(4);
    expect(new Set(palette.lanes.map(({ marker }) => marker)).size).toBe(4);
  });

  it("has a signed ramp whose ends differ for every eye, with a centre between", () => {
    const [low = "", middle = "", high = ""] = palette.signed.stops;
    for (const matrix of Object.values(BLINDNESS)) {
      const of = (colour: string): Triple => lab(seen(linear(colour), matrix));
      expect(apart(of(low), of(high))).toBeGreaterThan(40);
      expect(apart(of(low), of(middle))).toBeGreaterThan(20);
      expect(apart(of(high), of(middle))).toBeGreaterThan(20);
    }
  });

  it("has sequential ramps that get steadily farther from the background", () => {
    for (const ramp of [palette.gate, palette.gradient]) {
      const steps = ramp.css.filter((_, i) => i % 15 === 0).map((colour) => contrast(colour, palette.background));
      steps.slice(1).forEach((value, i) => {
        expect(value).toBeGreaterThan(steps[i] ?? Number.POSITIVE_INFINITY);
      });
    }
  });

  it("cannot have a gradient taken for an activation", () => {
    for (let i = 64; i < 256; i += 16) {
      const gradient = lab(linear(palette.gradient.css[i] ?? ""));
      for (const activation of palette.signed.css) expect(apart(gradient, lab(linear(activation)))).toBeGreaterThan(12);
    }
  });

  it("has the pixels of its colours", () => {
    for (const ramp of [palette.signed, palette.gate, palette.gradient]) {
      const bytes = new Uint8Array(ramp.pixels.slice().buffer);
      ramp.css.forEach((colour, i) => {
        expect([...bytes.subarray(4 * i, 4 * i + 4)]).toEqual([...rgb(colour), 255]);
      });
    }
  });
});

describe("colours", () => {
  it("has the agreed signed ramp", () => {
    expect(palettes.light.signed.stops).toEqual(["#f59322", "#e8eaeb", "#0877bd"]);
    expect(rampColour(palettes.light.signed, -1, -1, 1, "")).toBe("#f59322");
    expect(rampColour(palettes.light.signed, 1, -1, 1, "")).toBe("#0877bd");
  });

  it("clamps outside the range, and has no colour for what is not a number", () => {
    expect(rampIndex(7, -1, 1)).toBe(255);
    expect(rampIndex(Number.NEGATIVE_INFINITY, -1, 1)).toBe(0);
    expect(rampIndex(Number.NaN, -1, 1)).toBeNull();
  });

  it("computes contrast as WCAG does", () => {
    expect(contrast("#000000", "#ffffff")).toBeCloseTo(21, 10);
    expect(contrast("#777777", "#ffffff")).toBeCloseTo(4.478, 3);
    expect(luminance("#ff0000")).toBeCloseTo(0.2126, 6);
    expect(inkOn("#460b58")).toBe("#ffffff");
    expect(inkOn("#e8eaeb")).toBe("#000000");
    expect(mix("#000000", "#ffffff", 0.5)).toBe("#808080");
  });
});
