/**
 * U15, the loss cliff: the loss of a network of one unit over its two parameters, with the ways of plain and of clipped
 * descent, and a cross-section that shows why there is a wall.
 *
 * The surface is grey, so that neither a state nor a gradient is taken for a loss; its gradient's norm has the ribbon's ramp.
 */

import type { Cliff, CliffQuery } from "unroll-types";
import {
  type Box,
  type Canvas2D,
  drawMarker,
  drawText,
  fillBox,
  FONT,
  horizontal,
  type Marker,
  pixelRatioOf,
  type Scratch,
  scratchOf,
  snap,
  textWidth,
  vertical,
  withClip,
} from "./canvas.js";
import { MISSING_PIXEL } from "./heatmap.js";
import { drawVerticalBar, gradientScale, type Scale } from "./legend.js";
import { mix, type Palette, ramp, rampIndex, withAlpha } from "./palette.js";

export type { Cliff, CliffQuery };

/** The network after some updates. */
export interface CliffPoint {
  w: number;
  b: number;
  loss: number;
  /** ‖(∂L/∂w, ∂L/∂b)‖. */
  norm: number;
}

/** A cliff, its numbers by name. */
export interface CliffView {
  w: readonly [number, number];
  b: readonly [number, number];
  rows: number;
  columns: number;
  /** [rows, columns], b grows with the rows. */
  loss: Float64Array;
  norm: Float64Array;
  section: readonly { b: number; state: number; loss: number }[];
  fixed: readonly { b: number; state: number; isStable: boolean }[];
  folds: readonly { b: number; state: number }[];
  /** The b where h_50 jumps, or null. */
  wall: number | null;
  plain: readonly CliffPoint[];
  clipped: readonly CliffPoint[];
}

/** Rows of `n` numbers. */
function rowsOf<Row>(values: Float64Array, n: number, row: (at: (column: number) => number) => Row): Row[] {
  return Array.from({ length: Math.floor(values.length / n) }, (_, r) =>
    row((column) => values[r * n + column] ?? NaN),
  );
}

export function viewCliff(cliff: Cliff): CliffView {
  const [w0 = 0, w1 = 1, b0 = 0, b1 = 1] = cliff.window;
  const [rows = 0, columns = 0] = cliff.grid;
  const way = (values: Float64Array): CliffPoint[] =>
    rowsOf(values, 4, (at) => ({ w: at(0), b: at(1), loss: at(2), norm: at(3) }));
  return {
    w: [w0, w1],
    b: [b0, b1],
    rows,
    columns,
    loss: cliff.loss,
    norm: cliff.norm,
    section: rowsOf(cliff.section, 3, (at) => ({ b: at(0), state: at(1), loss: at(2) })),
    fixed: rowsOf(cliff.fixed, 3, (at) => ({ b: at(0), state: at(1), isStable: at(2) < 1 })),
    folds: rowsOf(cliff.marks.subarray(0, 4), 2, (at) => ({ b: at(0), state: at(1) })),
    wall: cliff.marks[4] ?? null,
    plain: way(cliff.plain),
    clipped: way(cliff.clipped),
  };
}

/** The longest step of a way: from which point it starts, counted from 0, and how long it is; null without a step. */
export function longestStep(way: readonly CliffPoint[]): { from: number; length: number } | null {
  let longest: { from: number; length: number } | null = null;
  way.slice(1).forEach((to, from) => {
    const before = way[from] ?? to;
    const length = Math.hypot(to.w - before.w, to.b - before.b);
    if (longest === null || length > longest.length) longest = { from, length };
  });
  return longest;
}

export interface WayStyle {
  colour: string;
  dash: readonly number[];
  marker: Marker;
}

/** How a way is drawn: colour, line and marks all differ. */
export function wayStyle(palette: Palette, way: "plain" | "clipped"): WayStyle {
  return way === "plain"
    ? { colour: palette.zones.exploding.ink, dash: [6, 3], marker: "square" }
    : { colour: palette.signed.stops[2] ?? palette.ink, dash: [], marker: "circle" };
}

export interface SurfaceOptions {
  show: "loss" | "gradient";
}

/** Decades of the gradient's norm that colours span. */
const DECADES = [-3, 2] as const;
/** What |σ(h_50) − 0.7| cannot exceed. Colours follow this error, the root of the loss, so that the gentle side has some too. */
const LARGEST = 0.7;

const GUTTER = { left: 46, right: 62, top: 16, bottom: 34 } as const;

function plotOf(box: Box): Box {
  return {
    x: box.x + GUTTER.left,
    y: box.y + GUTTER.top,
    width: Math.max(1, box.width - GUTTER.left - GUTTER.right),
    height: Math.max(1, box.height - GUTTER.top - GUTTER.bottom),
  };
}

type Range = readonly [number, number];
const along = (value: number, [low, high]: Range): number => (value - low) / (high - low);

/** The parameters at a point of the surface drawn in `box`, to two decimals, or null beside it. */
export function parametersAt(box: Box, view: CliffView, x: number, y: number): { w: number; b: number } | null {
  const plot = plotOf(box);
  const [right, up] = [(x - plot.x) / plot.width, 1 - (y - plot.y) / plot.height];
  if (right < 0 || right > 1 || up < 0 || up > 1) return null;
  const between = ([low, high]: Range, at: number): number => Math.round(100 * (low + (high - low) * at)) / 100;
  return { w: between(view.w, right), b: between(view.b, up) };
}

/** Draws the surface with both ways. Returns the scratch picture to pass in again, as the heatmap does. */
export function drawCliff(
  ctx: Canvas2D,
  box: Box,
  view: CliffView,
  palette: Palette,
  options: SurfaceOptions,
  scratch: Scratch | null,
): Scratch | null {
  const pixelRatio = pixelRatioOf(ctx);
  const plot = plotOf(box);
  const xOf = (w: number): number => plot.x + plot.width * along(w, view.w);
  const yOf = (b: number): number => plot.y + plot.height * (1 - along(b, view.b));
  const isLoss = options.show === "loss";
  const scale: Scale = isLoss
    ? {
        ramp: ramp(mix(palette.background, palette.ink, 0.02), mix(palette.background, palette.ink, 0.6)),
        low: "0",
        middle: String((LARGEST / 2) ** 2).slice(0, 4),
        high: (LARGEST ** 2).toFixed(2),
        title: "L",
      }
    : gradientScale(palette, DECADES, "‖∇L‖");
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const picture = scratchOf(scratch, Math.max(1, view.columns), Math.max(1, view.rows));
  if (picture !== null) {
    picture.pixels.forEach((_, n) => {
      // The highest b stands on top.
      const row = view.rows - 1 - Math.floor(n / view.columns);
      const cell = row * view.columns + (n % view.columns);
      const at = isLoss
        ? rampIndex(Math.sqrt(view.loss[cell] ?? Number.NaN), 0, LARGEST)
        : rampIndex(Math.log10(view.norm[cell] ?? Number.NaN), ...DECADES);
      picture.pixels[n] = at === null ? MISSING_PIXEL : (scale.ramp.pixels[at] ?? MISSING_PIXEL);
    });
    picture.ctx.putImageData(picture.image, 0, 0);
    withClip(ctx, plot, () => {
      ctx.imageSmoothingEnabled = true;
      ctx.drawImage(picture.canvas, plot.x, plot.y, plot.width, plot.height);
    });
  }
  withClip(ctx, plot, () => {
    for (const of of ["plain", "clipped"] as const) drawWay(ctx, view[of], wayStyle(palette, of), xOf, yOf, palette);
    const leap = longestStep(view.plain);
    const from = view.plain[leap?.from ?? -1];
    const to = view.plain[(leap?.from ?? -2) + 1];
    if (from !== undefined && to !== undefined) {
      drawArrow(ctx, [xOf(from.w), yOf(from.b)], [xOf(to.w), yOf(to.b)], wayStyle(palette, "plain").colour, palette);
    }
    const start = view.plain[0];
    if (start !== undefined) {
      // Where the cross-section goes.
      ctx.setLineDash([2, 4]);
      vertical(ctx, xOf(start.w), plot.y, plot.y + plot.height, 1, palette.ink, pixelRatio);
      ctx.setLineDash([]);
      drawMarker(ctx, "diamond", xOf(start.w), yOf(start.b), 6, palette.background, palette.ink);
    }
  });
  drawFrame(ctx, plot, palette, pixelRatio);
  drawTicks(ctx, plot, view.w, 1, "w", xOf, palette, pixelRatio);
  for (let b = Math.ceil(view.b[0] * 2) / 2; b <= view.b[1]; b += 0.5) {
    label(ctx, decimal(b), plot.x - 6, yOf(b), palette, "right");
  }
  label(ctx, "b", box.x + 8, plot.y + plot.height / 2, palette, "left");
  const bar = { x: plot.x + plot.width, y: plot.y, width: GUTTER.right, height: plot.height };
  drawVerticalBar(ctx, bar, scale, palette);
  label(ctx, scale.title, plot.x + plot.width + 8, box.y + 7, palette, "left");
  ctx.restore();
  return picture;
}

/** A way as a line with a mark for every update. */
function drawWay(
  ctx: Canvas2D,
  way: readonly CliffPoint[],
  style: WayStyle,
  xOf: (w: number) => number,
  yOf: (b: number) => number,
  palette: Palette,
): void {
  for (const [colour, width, dash] of [
    [palette.background, 3.5, []],
    [style.colour, 1.75, style.dash],
  ] as const) {
    ctx.beginPath();
    way.forEach(({ w, b }) => {
      ctx.lineTo(xOf(w), yOf(b));
    });
    ctx.setLineDash([...dash]);
    ctx.lineJoin = "round";
    ctx.lineWidth = width;
    ctx.strokeStyle = colour;
    ctx.stroke();
  }
  for (const { w, b } of way) drawMarker(ctx, style.marker, xOf(w), yOf(b), 2, style.colour, style.colour);
}

/** The step that goes farthest. */
function drawArrow(
  ctx: Canvas2D,
  [x0, y0]: readonly [number, number],
  [x1, y1]: readonly [number, number],
  colour: string,
  palette: Palette,
): void {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length < 14) return;
  const [dx, dy] = [(x1 - x0) / length, (y1 - y0) / length];
  for (const [stroke, width] of [
    [palette.background, 6],
    [colour, 3],
  ] as const) {
    ctx.beginPath();
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1 - 8 * dx, y1 - 8 * dy);
    ctx.setLineDash([]);
    ctx.lineWidth = width;
    ctx.strokeStyle = stroke;
    ctx.stroke();
  }
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x1 - 11 * dx - 5 * dy, y1 - 11 * dy + 5 * dx);
  ctx.lineTo(x1 - 11 * dx + 5 * dy, y1 - 11 * dy - 5 * dx);
  ctx.closePath();
  ctx.fillStyle = colour;
  ctx.fill();
}

/** h_0. */
const FIRST = 0.5;
/** States that the cross-section has room for. */
const STATES: Range = [-4.5, 6];

/**
 * Draws the cross-section at the start's w: above, the fixed points h = w σ(h) + b (stable ones solid, the others dashed) and h_50
 * itself; below, the loss. The folds and the wall go through both.
 */
export function drawSection(ctx: Canvas2D, box: Box, view: CliffView, palette: Palette): void {
  const pixelRatio = pixelRatioOf(ctx);
  const whole = plotOf({ ...box, width: box.width + GUTTER.right - 14 });
  const upper = { ...whole, y: whole.y + 14, height: 0.6 * whole.height - 14 };
  const lower = { ...whole, y: upper.y + upper.height + 14, height: whole.height - upper.height - 28 };
  const xOf = (b: number): number => whole.x + whole.width * along(b, view.b);
  const inside = (plot: Box, range: Range) => (value: number) => plot.y + plot.height * (1 - along(value, range));
  const hOf = inside(upper, STATES);
  const lossOf = inside(lower, [0, 0.5]);
  const strong = palette.ink;
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  for (const h of [-4, 0, 4]) {
    horizontal(ctx, upper.x, upper.x + upper.width, hOf(h), 1, withAlpha(palette.line, 0.28), pixelRatio);
    label(ctx, decimal(h), upper.x - 6, hOf(h), palette, "right");
  }
  for (const loss of [0, 0.5]) label(ctx, String(loss), lower.x - 6, lossOf(loss), palette, "right");
  label(ctx, "h", box.x + 8, upper.y + upper.height / 2, palette, "left");
  label(ctx, "L", box.x + 8, lower.y + lower.height / 2, palette, "left");

  if (view.wall !== null) {
    vertical(ctx, xOf(view.wall), upper.y, lower.y + lower.height, 5, withAlpha(palette.wrong, 0.45), pixelRatio);
  }
  // The state that every run begins with.
  horizontal(ctx, upper.x, upper.x + upper.width, hOf(FIRST), 1, palette.inkSoft, pixelRatio);
  drawText(ctx, "h₀ = 0.5", upper.x + upper.width - 4, hOf(FIRST) + 12, {
    colour: palette.inkSoft,
    size: FONT.tick,
    align: "right",
  });
  withClip(ctx, upper, () => {
    for (const isStable of [true, false]) {
      ctx.beginPath();
      let isOpen = false;
      view.fixed.forEach((point, n) => {
        // A piece also reaches the first point of the next one, so that none is missing between them.
        const isPart = point.isStable === isStable || view.fixed[n - 1]?.isStable === isStable;
        if (!isPart) isOpen = false;
        else if (isOpen) ctx.lineTo(xOf(point.b), hOf(point.state));
        else ctx.moveTo(xOf(point.b), hOf(point.state));
        isOpen ||= isPart;
      });
      ctx.setLineDash(isStable ? [] : [4, 4]);
      ctx.lineWidth = isStable ? 6 : 2;
      ctx.strokeStyle = isStable ? withAlpha(palette.line, 0.55) : palette.inkSoft;
      ctx.stroke();
    }
  });
  for (const [plot, yOf] of [
    [upper, (at: number) => hOf(view.section[at]?.state ?? 0)],
    [lower, (at: number) => lossOf(view.section[at]?.loss ?? 0)],
  ] as const) {
    withClip(ctx, plot, () => {
      ctx.beginPath();
      view.section.forEach(({ b }, n) => {
        ctx.lineTo(xOf(b), yOf(n));
      });
      ctx.setLineDash([]);
      ctx.lineJoin = "round";
      ctx.lineWidth = 2;
      ctx.strokeStyle = strong;
      ctx.stroke();
    });
    drawFrame(ctx, plot, palette, pixelRatio);
  }
  const start = view.plain[0];
  const folds = view.folds.filter(({ b }) => b >= view.b[0] && b <= view.b[1]);
  for (const { b, state } of folds) {
    vertical(ctx, xOf(b), upper.y, lower.y + lower.height, 1, withAlpha(palette.inkSoft, 0.8), pixelRatio);
    drawMarker(ctx, "circle", xOf(b), hOf(state), 4, palette.background, palette.ink);
  }
  if (start !== undefined) {
    drawMarker(ctx, "diamond", xOf(start.b), lossOf(start.loss), 5, palette.background, palette.ink);
  }
  // The names of these lines stand above them: the wall lies between the folds.
  const size = FONT.tick;
  if (view.wall !== null) {
    const text = `wall ${decimal(view.wall, 3)}`;
    const half = textWidth(ctx, text, size, 600) / 2;
    const x = Math.min(Math.max(xOf(view.wall), whole.x + half), whole.x + whole.width - half);
    drawText(ctx, text, x, box.y + 12, { colour: palette.wrong, size, weight: 600, align: "center" });
  }
  for (const { b, state } of folds) {
    const text = `fold ${decimal(b, 3)}`;
    const width = textWidth(ctx, text, size);
    // The fold with the higher state is the left one.
    const x = xOf(b) + (state > 0 ? -5 - width : 5);
    const y = whole.y + 10;
    drawText(ctx, text, Math.min(Math.max(x, whole.x), whole.x + whole.width - width), y, {
      colour: palette.inkSoft,
      size,
    });
  }
  drawTicks(ctx, lower, view.b, 0.5, "b", xOf, palette, pixelRatio);
  ctx.restore();
}

function drawFrame(ctx: Canvas2D, plot: Box, palette: Palette, pixelRatio: number): void {
  ctx.setLineDash([]);
  ctx.strokeStyle = palette.line;
  ctx.lineWidth = 1;
  ctx.strokeRect(snap(plot.x, 1, pixelRatio), snap(plot.y, 1, pixelRatio), plot.width, plot.height);
}

/** Numbers below a plot, and the name of the axis below them. */
function drawTicks(
  ctx: Canvas2D,
  plot: Box,
  [low, high]: Range,
  every: number,
  name: string,
  xOf: (value: number) => number,
  palette: Palette,
  pixelRatio: number,
): void {
  const bottom = plot.y + plot.height;
  for (let at = Math.ceil(low / every) * every; at <= high; at += every) {
    vertical(ctx, xOf(at), bottom, bottom + 4, 1, palette.line, pixelRatio);
    label(ctx, decimal(at), xOf(at), bottom + 12, palette, "center");
  }
  label(ctx, name, plot.x + plot.width / 2, bottom + 26, palette, "center");
}

function label(
  ctx: Canvas2D,
  text: string,
  x: number,
  y: number,
  palette: Palette,
  align: "left" | "center" | "right",
): void {
  drawText(ctx, text, x, y, { colour: palette.inkSoft, size: FONT.tick, align, baseline: "middle" });
}

/** With a proper minus; as many decimals as asked for, else as few as needed. */
export function decimal(x: number, digits?: number): string {
  const text = digits === undefined ? String(Number(x.toFixed(2))) : x.toFixed(digits);
  return text.replace("-", "−");
}
