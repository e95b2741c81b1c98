/**
 * U7, the pipe: how much of the memory at each timestep reaches the end past all weights.
 *
 * The pipe is as high at t as the mean over the units of Π keep over the later steps says, on a linear scale from 0 to 1;
 * the lighter hull behind it is the 90 % quantile. A valve stands at every step, as far shut as its keep gate; bars below
 * let new content in, bars above let the memory out. A cell without a keep gate has the gain of its steps in the gate's
 * place, no taps, and a pipe that may be wider than 1.
 */

import { drawCursors, drawTimeTicks, NO_CURSORS, type PanelOptions, plotBox, timeAxis, type TimeAxis } from "./axis.js";
import {
  type Box,
  type Canvas2D,
  drawText,
  fillBox,
  FONT,
  horizontal,
  pixelRatioOf,
  snap,
  textWidth,
} from "./canvas.js";
import type { InspectionView } from "./inspection.js";
import { laneOf, type Palette, rampColour, withAlpha } from "./palette.js";

export interface PipeOptions extends PanelOptions {
  lane: number;
}

/** Height of the strips with the taps. */
const TAP = 26;

/** Draws the pipe of a view. */
export function drawPipe(ctx: Canvas2D, box: Box, view: InspectionView, palette: Palette, options: PipeOptions): void {
  const pixelRatio = pixelRatioOf(ctx);
  const axis = timeAxis(view.nSteps, box);
  const plot = plotBox(box, axis, options);
  const [width, keep, admit, emit] = ["width", "keep", "admit", "emit"].map((id) => view.series.get(id));
  const n = view.nSteps;
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const above = emit === undefined ? 0 : TAP;
  const below = admit === undefined ? 0 : TAP;
  const pipe = { ...plot, y: plot.y + above, height: Math.max(1, plot.height - above - below) };
  const middle = pipe.y + pipe.height / 2;
  const half = (value: number): number => (Math.min(1, Math.max(0, value || 0)) * (pipe.height - 6)) / 2;
  const lane = laneOf(palette, options.lane).colour;

  // The walls of a pipe of width 1.
  fillBox(
    ctx,
    { x: axis.x0, y: middle - half(1), width: axis.x1 - axis.x0, height: 2 * half(1) },
    palette.grid,
    pixelRatio,
  );
  horizontal(ctx, axis.x0, axis.x1, middle, 1, withAlpha(palette.line, 0.5), pixelRatio);
  if (width !== undefined) {
    // Without a gate there is no spread over the units, and the numbers are NaN.
    if (keep !== undefined)
      fillBand(ctx, axis, n, (t) => half(width.values[2 * n + t] ?? 0), middle, withAlpha(lane, 0.28));
    fillBand(ctx, axis, n, (t) => half(width.values[t] ?? 0), middle, withAlpha(lane, 0.85));
    drawOver(ctx, axis, width.values, n, middle, half(1), palette);
  }
  if (keep !== undefined) drawValves(ctx, axis, keep.values, middle, half(1), palette, pixelRatio);
  if (emit !== undefined) drawTaps(ctx, axis, emit.values, plot.y, TAP - 4, true, palette, pixelRatio);
  if (admit !== undefined)
    drawTaps(ctx, axis, admit.values, pipe.y + pipe.height + 4, TAP - 4, false, palette, pixelRatio);

  const style = { colour: palette.inkSoft, size: FONT.tick, align: "right", baseline: "middle" } as const;
  const end = axis.x0 - 6;
  drawText(ctx, "1", end, middle - half(1) + 4, style);
  drawText(ctx, "0", end, middle, style);
  if (emit !== undefined) drawText(ctx, `out ${emit.title}`, end, plot.y + TAP / 2, style);
  // Without its spaces "1 − f" has room in the margin.
  if (admit !== undefined)
    drawText(ctx, `in ${admit.title.replaceAll(" ", "")}`, end, pipe.y + pipe.height + TAP / 2, {
      ...style,
      maxWidth: axis.x0 - box.x - 6,
    });
  const side = {
    size: FONT.tick,
    baseline: "middle",
    colour: palette.inkSoft,
    maxWidth: box.x + box.width - axis.x1 - 8,
  } as const;
  if (width !== undefined) drawText(ctx, width.title, axis.x1 + 6, middle, { ...side, colour: palette.ink });
  if (keep !== undefined) {
    const named = `valve ${keep.title}`;
    const fits = textWidth(ctx, named, FONT.tick) <= side.maxWidth;
    drawText(ctx, fits ? named : keep.title, axis.x1 + 6, middle + 16, side);
  }

  const cursors = options.cursors ?? NO_CURSORS;
  drawCursors(ctx, axis, plot.y, plot.y + plot.height, cursors, palette, pixelRatio);
  if (options.ticks === true) drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio, cursors);
  ctx.restore();
}

/** A band around the middle, stepwise, a column for each timestep. */
function fillBand(
  ctx: Canvas2D,
  axis: TimeAxis,
  n: number,
  half: (t: number) => number,
  middle: number,
  colour: string,
): void {
  ctx.beginPath();
  ctx.moveTo(axis.x0, middle);
  for (let t = 0; t < n; t += 1) {
    ctx.lineTo(axis.left(t), middle - half(t));
    ctx.lineTo(axis.left(t + 1), middle - half(t));
  }
  for (let t = n - 1; t >= 0; t -= 1) {
    ctx.lineTo(axis.left(t + 1), middle + half(t));
    ctx.lineTo(axis.left(t), middle + half(t));
  }
  ctx.closePath();
  ctx.fillStyle = colour;
  ctx.fill();
}

/** Marks where the pipe is wider than 1, which only a cell without a keep gate can be. */
function drawOver(
  ctx: Canvas2D,
  axis: TimeAxis,
  width: Float32Array,
  n: number,
  middle: number,
  full: number,
  palette: Palette,
): void {
  ctx.fillStyle = palette.zones.exploding.ink;
  for (let t = 0; t < n; t += 1) {
    if ((width[t] ?? 0) <= 1.0005) continue;
    for (const y of [middle - full - 3, middle + full])
      ctx.fillRect(axis.left(t), y, axis.left(t + 1) - axis.left(t), 3);
  }
}

/** Two plates that close the pipe from above and below, at the left edge of the step that they guard. */
function drawValves(
  ctx: Canvas2D,
  axis: TimeAxis,
  keep: Float32Array,
  middle: number,
  full: number,
  palette: Palette,
  pixelRatio: number,
): void {
  const every = Math.max(1, Math.ceil(5 / axis.stepWidth));
  ctx.fillStyle = palette.ink;
  const thick = Math.max(1 / pixelRatio, Math.min(3, axis.stepWidth / 3));
  for (let t = every; t < keep.length; t += every) {
    const value = keep[t] ?? Number.NaN;
    if (Number.isNaN(value)) continue;
    const plate = full * (1 - Math.min(1, Math.max(0, value)));
    const x = snap(axis.left(t) - thick / 2, 0, pixelRatio);
    ctx.fillRect(x, middle - full, thick, plate);
    ctx.fillRect(x, middle + full - plate, thick, plate);
  }
}

/** Bars of a gate, 0 to 1: outlets stand on the pipe, inlets hang below it. */
function drawTaps(
  ctx: Canvas2D,
  axis: TimeAxis,
  gate: Float32Array,
  top: number,
  height: number,
  isOutlet: boolean,
  palette: Palette,
  pixelRatio: number,
): void {
  fillBox(ctx, { x: axis.x0, y: top, width: axis.x1 - axis.x0, height }, palette.grid, pixelRatio);
  const gap = axis.stepWidth >= 5 ? 1 : 0;
  gate.forEach((value, t) => {
    if (Number.isNaN(value)) return;
    const bar = height * Math.min(1, Math.max(0, value));
    ctx.fillStyle = rampColour(palette.gate, 0.35 + 0.65 * value, 0, 1, palette.line);
    ctx.fillRect(axis.left(t) + gap, isOutlet ? top + height - bar : top, axis.stepWidth - 2 * gap, bar);
  });
}
