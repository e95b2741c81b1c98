/**
 * A ribbon drawn by hand, and the true one over it: log₁₀ of the share of the last timestep's gradient, on the same zones as U3.
 */

import { drawTimeTicks, plotBox, type TimeAxis, timeAxis } from "./axis.js";
import { type Box, type Canvas2D, drawText, fillBox, FONT, horizontal, pixelRatioOf, withClip } from "./canvas.js";
import { powerOfTen } from "./numbers.js";
import { laneOf, type Palette, withAlpha } from "./palette.js";
import { ZONE_SHARES } from "./ribbon.js";

export interface DrawnOptions {
  /** Exponents at the lower and upper end. */
  domain: readonly [number, number];
  /** The lane whose ribbon it is. */
  lane: number;
  /** Timesteps that can be moved, from 0. */
  handles: readonly number[];
}

interface Plot {
  axis: TimeAxis;
  box: Box;
  yOf: (exponent: number) => number;
}

const GUTTER = { left: 44, right: 22 };

function plotOf(box: Box, nSteps: number, [low, high]: readonly [number, number]): Plot {
  const axis = timeAxis(nSteps, box, GUTTER);
  const plot = plotBox(box, axis, { ticks: true });
  const yOf = (exponent: number): number => plot.y + plot.height * (1 - (exponent - low) / (high - low));
  return { axis, box: plot, yOf };
}

/** The handle nearest to a point, by index, and the exponent there. */
export function predictionAt(
  box: Box,
  nSteps: number,
  options: DrawnOptions,
  x: number,
  y: number,
): { handle: number; exponent: number } {
  const { axis, box: plot } = plotOf(box, nSteps, options.domain);
  const distances = options.handles.map((step) => Math.abs(axis.centre(step) - x));
  const [low, high] = options.domain;
  const exponent = high - ((y - plot.y) / plot.height) * (high - low);
  return { handle: distances.indexOf(Math.min(...distances)), exponent: Math.min(high, Math.max(low, exponent)) };
}

/** Draws a prediction (exponents at all timesteps) and, once it is known, the truth. */
export function drawPrediction(
  ctx: Canvas2D,
  box: Box,
  predicted: readonly number[],
  truth: readonly number[] | null,
  palette: Palette,
  options: DrawnOptions,
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const { axis, box: plot, yOf } = plotOf(box, predicted.length, options.domain);
  const [low, high] = options.domain;
  const width = axis.x1 - axis.x0;
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const edges = [
    low,
    Math.log10(ZONE_SHARES.dead),
    Math.log10(ZONE_SHARES.fading),
    Math.log10(ZONE_SHARES.exploding),
    high,
  ];
  for (const [at, zone] of (["dead", "fading", "usable", "exploding"] as const).entries()) {
    const [from, to] = [Math.max(low, edges[at] ?? low), Math.min(high, edges[at + 1] ?? high)];
    if (to <= from) continue;
    fillBox(ctx, { x: axis.x0, y: yOf(to), width, height: yOf(from) - yOf(to) }, palette.zones[zone].fill, pixelRatio);
    drawText(ctx, zone, axis.x1 - 6, yOf(from) - 4, {
      colour: palette.zones[zone].ink,
      size: FONT.tick,
      align: "right",
    });
  }
  for (let exponent = Math.ceil(low / 3) * 3; exponent <= high; exponent += 3) {
    horizontal(ctx, axis.x0, axis.x1, yOf(exponent), 1, withAlpha(palette.line, 0.28), pixelRatio);
    const y = Math.min(Math.max(yOf(exponent), plot.y + 6), plot.y + plot.height - 5);
    const style = { colour: palette.inkSoft, size: FONT.tick, align: "right", baseline: "middle" } as const;
    drawText(ctx, exponent === 0 ? "1" : powerOfTen(exponent), axis.x0 - 6, y, style);
  }
  withClip(ctx, { ...plot, x: plot.x - 6, y: plot.y - 6, width: plot.width + 12, height: plot.height + 12 }, () => {
    if (truth !== null) drawLine(ctx, axis, truth, yOf, laneOf(palette, options.lane).colour, [], 3);
    drawLine(ctx, axis, predicted, yOf, palette.ink, [6, 4], 2);
    if (truth === null) {
      for (const step of options.handles) {
        ctx.beginPath();
        ctx.arc(axis.centre(step), yOf(predicted[step] ?? 0), 6, 0, 2 * Math.PI);
        ctx.fillStyle = palette.background;
        ctx.fill();
        ctx.strokeStyle = palette.ink;
        ctx.lineWidth = 2;
        ctx.stroke();
      }
    }
  });
  horizontal(ctx, axis.x0, axis.x1, plot.y + plot.height, 1, palette.line, pixelRatio);
  drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio);
  ctx.restore();
}

function drawLine(
  ctx: Canvas2D,
  axis: TimeAxis,
  exponents: readonly number[],
  yOf: (exponent: number) => number,
  colour: string,
  dash: readonly number[],
  width: number,
): void {
  ctx.beginPath();
  exponents.forEach((exponent, t) => {
    ctx.lineTo(axis.centre(t), yOf(exponent));
  });
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.lineJoin = "round";
  ctx.setLineDash([...dash]);
  ctx.stroke();
  ctx.setLineDash([]);
}
