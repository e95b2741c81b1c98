/**
 * Colours, as data: light, dark and high contrast.
 *
 * Three ramps that cannot be taken for one another: *signed* values orange–grey–blue, *gates* green from 0 to 1, *gradient
 * magnitude* violet, for a logarithmic scale. Low gradient fades into the background: what does not arrive is not seen.
 * Lanes carry a dash pattern and a marker besides their colour.
 */

import type { Marker } from "./canvas.js";

/** Colours along 0 to 1. */
export interface Ramp {
  /** `#rrggbb`, evenly spaced. */
  stops: readonly string[];
  /** 256 pixels, little-endian RGBA, opaque. */
  pixels: Uint32Array;
  /** The same 256 as CSS colours. */
  css: readonly string[];
}

export interface Lane {
  name: string;
  colour: string;
  dash: readonly number[];
  marker: Marker;
}

/** A zone of the ribbon: its fill behind the curves, and its label's colour on the background. */
export interface ZoneColours {
  fill: string;
  ink: string;
}

export interface Palette {
  name: "light" | "dark" | "contrast";
  background: string;
  /** Text and strong lines. */
  ink: string;
  /** Secondary text. */
  inkSoft: string;
  /** Forward edges, outlines. */
  line: string;
  grid: string;
  /** Cursors cross every colour, so they are drawn in ink on a halo. */
  cursor: string;
  cursorHalo: string;
  /** Right and wrong answers; always with a tick or a cross. */
  right: string;
  wrong: string;
  /** Another run kept to compare. */
  ghost: string;
  zones: { usable: ZoneColours; fading: ZoneColours; dead: ZoneColours; exploding: ZoneColours };
  lanes: readonly [Lane, Lane, Lane, Lane];
  signed: Ramp;
  gate: Ramp;
  gradient: Ramp;
}

export type Rgb = readonly [number, number, number];

/** `#rrggbb` as three numbers from 0 to 255. */
export function rgb(hex: string): Rgb {
  const n = Number.parseInt(hex.slice(1), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}

const hex = (c: Rgb): string => `#${c.map((v) => Math.round(v).toString(16).padStart(2, "0")).join("")}`;

/** A colour between two, `at` from 0 to 1, in gamma-encoded sRGB as CSS mixes them. */
export function mix(a: string, b: string, at: number): string {
  const from = rgb(a);
  const to = rgb(b);
  return hex([from[0] + (to[0] - from[0]) * at, from[1] + (to[1] - from[1]) * at, from[2] + (to[2] - from[2]) * at]);
}

/** The same colour with an alpha. */
export function withAlpha(colour: string, alpha: number): string {
  const [r, g, b] = rgb(colour);
  return `rgba(${String(r)}, ${String(g)}, ${String(b)}, ${String(alpha)})`;
}

/** A ramp through some colours. */
export function ramp(...stops: string[]): Ramp {
  const css = Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(at), stops.length - 2);
    return mix(stops[below] ?? "#000000", stops[below + 1] ?? "#000000", at - below);
  });
  const pixels = Uint32Array.from(css, (c) => {
    const [r, g, b] = rgb(c);
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
  return { stops, css, pixels };
}

/** Index into a ramp for a value in a range; outside it the end colours stand. NaN has none: null. */
export function rampIndex(value: number, low: number, high: number): number | null {
  if (Number.isNaN(value)) return null;
  const at = (value - low) / (high - low);
  return at <= 0 ? 0 : at >= 1 ? 255 : Math.round(at * 255);
}

/** The CSS colour of a value. */
export function rampColour(colours: Ramp, value: number, low: number, high: number, missing: string): string {
  const at = rampIndex(value, low, high);
  return at === null ? missing : (colours.css[at] ?? missing);
}

/** WCAG 2.2 relative luminance. */
export function luminance(colour: string): number {
  const linear = (v: number): number => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = rgb(colour);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** WCAG 2.2 contrast ratio, 1 to 21. */
export function contrast(a: string, b: string): number {
  const one = luminance(a) + 0.05;
  const other = luminance(b) + 0.05;
  return Math.max(one, other) / Math.min(one, other);
}

/** Black or white, whichever reads better on a colour. */
export function inkOn(colour: string): string {
  return contrast(colour, "#000000") > contrast(colour, "#ffffff") ? "#000000" : "#ffffff";
}

const DASHES = [[], [9, 4], [2.5, 3.5], [11, 4, 2.5, 4]] as const;
const MARKERS = ["circle", "square", "triangle", "diamond"] as const;

function lanes(a: string, b: string, c: string, d: string): Palette["lanes"] {
  return [
    { name: "A", colour: a, dash: DASHES[0], marker: MARKERS[0] },
    { name: "B", colour: b, dash: DASHES[1], marker: MARKERS[1] },
    { name: "C", colour: c, dash: DASHES[2], marker: MARKERS[2] },
    { name: "D", colour: d, dash: DASHES[3], marker: MARKERS[3] },
  ];
}

export const light: Palette = {
  name: "light",
  background: "#ffffff",
  ink: "#1b2025",
  inkSoft: "#56616c",
  line: "#8b96a1",
  grid: "#e4e8eb",
  cursor: "#1b2025",
  cursorHalo: "#ffffff",
  right: "#12704a",
  wrong: "#b3261e",
  ghost: "#6f7a85",
  zones: {
    usable: { fill: "#eaf6ef", ink: "#17693f" },
    fading: { fill: "#fdf4dc", ink: "#7b5600" },
    dead: { fill: "#edeff1", ink: "#56616c" },
    exploding: { fill: "#fde8e4", ink: "#a8281c" },
  },
  lanes: lanes("#2f13a9", "#b3580d", "#008366", "#925eaf"),
  signed: ramp("#f59322", "#e8eaeb", "#0877bd"),
  gate: ramp("#f1f4f1", "#bfe0c6", "#72ba90", "#2c8762", "#0a4d3c"),
  gradient: ramp("#efe8f3", "#d8b6de", "#b968bb", "#8a2d90", "#460b58"),
};

export const dark: Palette = {
  name: "dark",
  background: "#14181c",
  ink: "#e9edf0",
  inkSoft: "#a5afb9",
  line: "#6d7883",
  grid: "#272e34",
  cursor: "#ffffff",
  cursorHalo: "#14181c",
  right: "#63d29b",
  wrong: "#ff8b7e",
  ghost: "#8b96a1",
  zones: {
    usable: { fill: "#16281f", ink: "#7ad6a2" },
    fading: { fill: "#2b2513", ink: "#e2bb5c" },
    dead: { fill: "#1e2328", ink: "#a5afb9" },
    exploding: { fill: "#351c1a", ink: "#ff9d90" },
  },
  lanes: lanes("#7e79fc", "#f9912a", "#4cffb3", "#ecbeff"),
  signed: ramp("#f9a03c", "#2c3238", "#42a8f0"),
  gate: ramp("#242a2b", "#22503f", "#2f8662", "#69c190", "#dcf7e2"),
  gradient: ramp("#2a2330", "#583263", "#994ea6", "#d988d8", "#ffe6fc"),
};

export const highContrast: Palette = {
  name: "contrast",
  background: "#ffffff",
  ink: "#000000",
  inkSoft: "#2b2b2b",
  line: "#4d4d4d",
  grid: "#b8b8b8",
  cursor: "#000000",
  cursorHalo: "#ffffff",
  right: "#00522f",
  wrong: "#94000f",
  ghost: "#4d4d4d",
  zones: {
    usable: { fill: "#ffffff", ink: "#004d2a" },
    fading: { fill: "#fff0c2", ink: "#5c3f00" },
    dead: { fill: "#d9dcdf", ink: "#2b2b2b" },
    exploding: { fill: "#ffd6d1", ink: "#8a0000" },
  },
  lanes: lanes("#10069f", "#b4450c", "#007757", "#861a7a"),
  signed: ramp("#b84a00", "#ffffff", "#00468f"),
  gate: ramp("#ffffff", "#9fd1ae", "#3f9c70", "#0a6b4a", "#00301f"),
  gradient: ramp("#ffffff", "#cf9fd8", "#a044a6", "#6e1076", "#2d0039"),
};

export const palettes = { light, dark, contrast: highContrast } as const;

/** The lane's look at an index; a fifth lane would begin again. */
export function laneOf(palette: Palette, index: number): Lane {
  return palette.lanes[((index % 4) + 4) % 4] ?? palette.lanes[0];
}
