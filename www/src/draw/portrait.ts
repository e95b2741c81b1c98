/**
 * U14, the state portrait: the way of the state through a sequence, on the plane of two units or of the first two principal
 * components; for two units with the flow of the layer's map and its fixed points.
 *
 * One unit of state is as long in both directions, and the axes are printed.
 */

import { type Cursors, NO_CURSORS } from "./axis.js";
import {
  type Box,
  type Canvas2D,
  drawMarker,
  drawText,
  fillBox,
  FONT,
  horizontal,
  pixelRatioOf,
  snap,
  vertical,
  withClip,
} from "./canvas.js";
import type { InspectionView, SeriesView } from "./inspection.js";
import { drawVerticalBar } from "./legend.js";
import { rangeEnd } from "./numbers.js";
import { laneOf, mix, type Palette, ramp, rampColour, withAlpha } from "./palette.js";

/** A way through the plane: a point for each timestep. */
export interface Way {
  x: ArrayLike<number>;
  y: ArrayLike<number>;
}

export interface FixedPoint {
  x: number;
  y: number;
  /** The largest modulus of an eigenvalue of the map's Jacobian; below 1 the point attracts. */
  modulus: number;
}

/** A portrait, its numbers by name. */
export interface Portrait {
  nSteps: number;
  /** The sequence shown. */
  way: Way;
  others: readonly Way[];
  /** Titles of the axes, and their shares of the variance where they are components. */
  axes: readonly [string, string];
  share: readonly [number, number] | null;
  /** [n, 4]: h and F(h); null where the layer has no flow in this plane. */
  flow: Float32Array | null;
  fixed: readonly FixedPoint[];
  /** The timestep whose input the flow meets, from 0; null without a flow. */
  at: number | null;
  /** The largest coordinate. */
  reach: number;
}

export function portraitOf(view: InspectionView): Portrait | null {
  const { nSteps } = view;
  const [x, y, others] = ["x", "y", "others"].map((id) => view.series.get(id));
  if (x === undefined || y === undefined || others === undefined) return null;
  const [first, second] = view.series.get("share")?.values ?? [];
  const fixed = view.series.get("fixed")?.values ?? new Float32Array();
  return {
    nSteps,
    way: { x: x.values, y: y.values },
    others: Array.from({ length: others.shape[0] ?? 0 }, (_, n) => ({
      x: others.values.subarray(2 * n * nSteps, (2 * n + 1) * nSteps),
      y: others.values.subarray((2 * n + 1) * nSteps, (2 * n + 2) * nSteps),
    })),
    axes: [x.title, y.title],
    share: first === undefined || second === undefined ? null : [first, second],
    flow: view.series.get("flow")?.values ?? null,
    fixed: Array.from({ length: fixed.length / 3 }, (_, n) => {
      const [px = 0, py = 0, modulus = 0] = fixed.subarray(3 * n, 3 * n + 3);
      return { x: px, y: py, modulus };
    }),
    at: view.series.get("at")?.values[0] ?? null,
    reach: view.series.get("reach")?.values[0] ?? 1,
  };
}

/**
 * A view whose components point where those of the former view point: signs and order of principal components are nobody's choice,
 * and a picture must not flip from one training step to the next. Where the axes are units, the view as it is.
 */
export function aligned(view: InspectionView, former: InspectionView | undefined): InspectionView {
  const axes = view.series.get("axes");
  const old = former?.series.get("axes");
  if (axes === undefined || old?.values.length !== axes.values.length) return view;
  const h = axes.values.length / 2;
  const along = (now: number, then: number): number => {
    let sum = 0;
    for (let k = 0; k < h; k += 1) sum += (axes.values[now * h + k] ?? 0) * (old.values[then * h + k] ?? 0);
    return sum;
  };
  // Components trade places only while they are about as large; else the larger one keeps the first axis.
  const [large = 1, small = 0] = view.series.get("share")?.values ?? [];
  const isSwapped =
    1.5 * small > large &&
    Math.abs(along(0, 1)) + Math.abs(along(1, 0)) > Math.abs(along(0, 0)) + Math.abs(along(1, 1));
  /** Which component becomes each of the two axes, and its sign. */
  const [first, second] = isSwapped ? ([1, 0] as const) : ([0, 1] as const);
  const signs = [along(first, 0) < 0 ? -1 : 1, along(second, 1) < 0 ? -1 : 1] as const;
  const series = new Map(view.series);
  /** Halves of each part of a series, in the new order and with the new signs. */
  const turn = (id: string, part: number, bySign: boolean): void => {
    const of = view.series.get(id);
    if (of === undefined) return;
    const values = of.values.slice();
    for (let n = 0; n < values.length; n += 1) {
      const axis = Math.floor(n / part) % 2 === 0 ? 0 : 1;
      const from = axis === 0 ? first : second;
      values[n] = (of.values[n + (from - axis) * part] ?? 0) * (bySign ? signs[axis] : 1);
    }
    series.set(id, { ...of, values });
  };
  turn("axes", h, true);
  turn("others", view.nSteps, true);
  turn("share", 1, false);
  ["x", "y"].forEach((id, axis) => {
    const of = view.series.get(["x", "y"][axis === 0 ? first : second] ?? id);
    if (of !== undefined) series.set(id, { ...of, id, values: of.values.map((value) => value * (signs[axis] ?? 1)) });
  });
  return { ...view, series };
}

/** States [T, H] of another moment on the axes of a view. */
export function onAxes(view: InspectionView, states: ArrayLike<number>, units: number): Way {
  const axes: SeriesView | undefined = view.series.get("axes");
  const mean = view.series.get("mean")?.values;
  const place = (axis: number): Float32Array =>
    Float32Array.from({ length: states.length / units }, (_, t) => {
      if (axes === undefined) return axis < units ? (states[t * units + axis] ?? 0) : 0;
      let sum = 0;
      for (let k = 0; k < units; k += 1) {
        sum += (axes.values[axis * units + k] ?? 0) * ((states[t * units + k] ?? 0) - (mean?.[k] ?? 0));
      }
      return sum;
    });
  return { x: place(0), y: place(1) };
}

/** What the axes reach: room for everything, in steps of an eighth; it shrinks only when a quarter has become empty. */
export function portraitReach(portrait: Portrait, previous: number | null): number {
  const wanted = 1.06 * 2 ** (Math.ceil(6 * Math.log2(Math.max(portrait.reach, 1e-6))) / 6);
  return previous === null || wanted > previous || wanted < 0.75 * previous ? wanted : previous;
}

export interface PortraitOptions {
  lane: number;
  /** What the axes reach, see {@link portraitReach}. */
  reach: number;
  cursors?: Cursors;
  /** Ways of former training steps, drawn behind. */
  ghosts?: readonly Way[];
}

interface Plane {
  plot: Box;
  xOf: (x: number) => number;
  yOf: (y: number) => number;
}

/** The square plane in the middle, room for numbers left and below, for the colours of time at its right. */
function planeOf(box: Box, reach: number): Plane {
  const side = Math.max(20, Math.min(box.height - 46, box.width - 112));
  const plot = { x: box.x + 50, y: box.y + 8, width: side, height: side };
  const scale = side / 2 / reach;
  return {
    plot,
    xOf: (x) => plot.x + side / 2 + x * scale,
    yOf: (y) => plot.y + side / 2 - y * scale,
  };
}

/** The timestep whose state lies nearest to a point of the picture, or null when none is near. */
export function portraitHit(box: Box, portrait: Portrait, reach: number, x: number, y: number): number | null {
  const { xOf, yOf } = planeOf(box, reach);
  let nearest: number | null = null;
  let least = 16;
  for (let t = 0; t < portrait.nSteps; t += 1) {
    const away = Math.hypot(xOf(portrait.way.x[t] ?? 0) - x, yOf(portrait.way.y[t] ?? 0) - y);
    if (away < least) [nearest, least] = [t, away];
  }
  return nearest;
}

export function drawPortrait(
  ctx: Canvas2D,
  box: Box,
  portrait: Portrait,
  palette: Palette,
  options: PortraitOptions,
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const { plot, xOf, yOf } = planeOf(box, options.reach);
  const lane = laneOf(palette, options.lane);
  const { way, nSteps } = portrait;
  const times = ramp(mix(palette.background, lane.colour, 0.25), lane.colour);
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  withClip(ctx, plot, () => {
    horizontal(ctx, plot.x, plot.x + plot.width, yOf(0), 1, palette.grid, pixelRatio);
    vertical(ctx, xOf(0), plot.y, plot.y + plot.height, 1, palette.grid, pixelRatio);
    if (portrait.flow !== null) drawFlow(ctx, portrait.flow, xOf, yOf, palette);
    for (const other of portrait.others) {
      line(ctx, other, xOf, yOf, withAlpha(palette.line, 0.35), 1);
      const [x, y] = [other.x[nSteps - 1] ?? 0, other.y[nSteps - 1] ?? 0];
      ctx.beginPath();
      ctx.arc(xOf(x), yOf(y), 3, 0, 2 * Math.PI);
      ctx.fillStyle = palette.line;
      ctx.fill();
    }
    ctx.setLineDash([3, 3]);
    for (const ghost of options.ghosts ?? []) line(ctx, ghost, xOf, yOf, withAlpha(palette.ghost, 0.7), 1);
    ctx.setLineDash([]);
    line(ctx, way, xOf, yOf, palette.background, 4);
    line(ctx, way, xOf, yOf, withAlpha(lane.colour, 0.55), 1.5);
    for (let t = 0; t < nSteps; t += 1) {
      ctx.beginPath();
      ctx.arc(xOf(way.x[t] ?? 0), yOf(way.y[t] ?? 0), nSteps > 100 ? 2 : 3.5, 0, 2 * Math.PI);
      ctx.fillStyle = rampColour(times, t, 0, Math.max(1, nSteps - 1), palette.ink);
      ctx.fill();
    }
    for (const t of nSteps > 1 ? [0, nSteps - 1] : [0]) mark(ctx, t, 6, t > 0 ? lane.colour : palette.background);
    for (const { x, y, modulus } of portrait.fixed) {
      const attracts = modulus < 1;
      drawMarker(
        ctx,
        "diamond",
        xOf(x),
        yOf(y),
        6,
        attracts ? palette.ink : palette.background,
        attracts ? palette.background : palette.ink,
      );
    }
    const { hover, pins } = options.cursors ?? NO_CURSORS;
    for (const t of new Set([...pins, ...(hover === null ? [] : [hover])])) {
      if (t >= 0 && t < nSteps) mark(ctx, t, 8, null);
    }
  });
  /** A state with a ring around it, and its timestep beside it. */
  function mark(at: Canvas2D, t: number, size: number, fill: string | null): void {
    const [x, y] = [xOf(way.x[t] ?? 0), yOf(way.y[t] ?? 0)];
    if (fill !== null) drawMarker(at, lane.marker, x, y, size, fill, t > 0 ? palette.background : lane.colour);
    else {
      for (const [colour, width] of [
        [palette.cursorHalo, 4],
        [palette.cursor, 2],
      ] as const) {
        at.beginPath();
        at.arc(x, y, size, 0, 2 * Math.PI);
        at.strokeStyle = colour;
        at.lineWidth = width;
        at.stroke();
      }
    }
    const isRight = x > plot.x + plot.width - 40;
    drawText(at, `t ${String(t + 1)}`, x + (isRight ? -10 : 10), y < plot.y + 18 ? y + 15 : y - 7, {
      colour: palette.ink,
      size: FONT.tick,
      weight: 600,
      align: isRight ? "right" : "left",
      halo: palette.background,
    });
  }
  ctx.setLineDash([]);
  ctx.strokeStyle = palette.line;
  ctx.lineWidth = 1;
  ctx.strokeRect(snap(plot.x, 1, pixelRatio), snap(plot.y, 1, pixelRatio), plot.width, plot.height);
  drawAxes(ctx, box, plot, portrait, options.reach, xOf, yOf, palette);
  const bar = { x: plot.x + plot.width, y: plot.y, width: 60, height: plot.height };
  const scale = { ramp: times, low: "t 1", middle: "", high: `t ${String(nSteps)}`, title: "timestep" };
  drawVerticalBar(ctx, bar, scale, palette);
  ctx.restore();
}

/** Numbers and names of both axes. */
function drawAxes(
  ctx: Canvas2D,
  box: Box,
  plot: Box,
  portrait: Portrait,
  reach: number,
  xOf: (x: number) => number,
  yOf: (y: number) => number,
  palette: Palette,
): void {
  const style = { colour: palette.inkSoft, size: FONT.tick } as const;
  const end = tick(reach);
  const bottom = plot.y + plot.height;
  for (const value of [-end, 0, end]) {
    const text = rangeEnd(value, true);
    drawText(ctx, text, xOf(value), bottom + 13, { ...style, align: "center" });
    drawText(ctx, text, plot.x - 5, yOf(value), { ...style, align: "right", baseline: "middle" });
  }
  const name = (axis: 0 | 1): string => {
    const share = portrait.share?.[axis];
    return portrait.axes[axis] + (share === undefined ? "" : ` (${String(Math.round(100 * share))} %)`);
  };
  drawText(ctx, name(0), plot.x + plot.width / 2, bottom + 29, { ...style, align: "center", maxWidth: box.width - 20 });
  ctx.save();
  ctx.translate(box.x + 10, plot.y + plot.height / 2);
  ctx.rotate(-Math.PI / 2);
  drawText(ctx, name(1), 0, 0, { ...style, align: "center", baseline: "middle", maxWidth: plot.height });
  ctx.restore();
}

/** The largest of 1, 2 and 5 times a power of ten that the axes have room for. */
function tick(reach: number): number {
  const power = 10 ** Math.floor(Math.log10(reach));
  return power * ([5, 2].find((factor) => factor * power <= 0.95 * reach) ?? 1);
}

function line(
  ctx: Canvas2D,
  { x, y }: Way,
  xOf: (x: number) => number,
  yOf: (y: number) => number,
  colour: string,
  width: number,
): void {
  ctx.beginPath();
  for (let t = 0; t < x.length; t += 1) ctx.lineTo(xOf(x[t] ?? 0), yOf(y[t] ?? 0));
  ctx.lineJoin = "round";
  ctx.lineWidth = width;
  ctx.strokeStyle = colour;
  ctx.stroke();
}

/** An arrow from each state towards where it goes; long ones are cut to the mesh of the grid. */
function drawFlow(
  ctx: Canvas2D,
  flow: Float32Array,
  xOf: (x: number) => number,
  yOf: (y: number) => number,
  palette: Palette,
): void {
  const side = Math.sqrt(flow.length / 4);
  const mesh = Math.abs(xOf(flow[4] ?? 0) - xOf(flow[0] ?? 0));
  if (!(side >= 2) || !(mesh > 0)) return;
  ctx.strokeStyle = palette.line;
  ctx.lineWidth = 1;
  ctx.setLineDash([]);
  ctx.beginPath();
  for (let n = 0; n < flow.length; n += 4) {
    const [x0, y0] = [xOf(flow[n] ?? 0), yOf(flow[n + 1] ?? 0)];
    const [dx, dy] = [xOf(flow[n + 2] ?? 0) - x0, yOf(flow[n + 3] ?? 0) - y0];
    const length = Math.hypot(dx, dy);
    if (!(length > 0.5)) continue;
    const shown = Math.min(length, 0.85 * mesh);
    const [ux, uy] = [dx / length, dy / length];
    const [x1, y1] = [x0 + ux * shown, y0 + uy * shown];
    const head = Math.min(4, shown / 2);
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1, y1);
    ctx.moveTo(x1 - head * (ux + 0.6 * uy), y1 - head * (uy - 0.6 * ux));
    ctx.lineTo(x1, y1);
    ctx.lineTo(x1 - head * (ux - 0.6 * uy), y1 - head * (uy + 0.6 * ux));
  }
  ctx.stroke();
}
