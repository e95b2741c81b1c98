/** The lines of a panel: whatever series a view has with a number for each timestep, the first one strong. */

import type { TimeAxis } from "./axis.js";
import { type Box, type Canvas2D, withClip } from "./canvas.js";
import { type InspectionView, type SeriesView, timed } from "./inspection.js";
import { laneOf, type Palette } from "./palette.js";
import type { Domain } from "./ribbon.js";

/** Dashes of the series, in order; the first one is solid and strong. */
const DASHES = [[], [9, 4], [2.5, 3.5], [11, 4, 2.5, 4]] as const;

/** How a series is drawn, for the picture and for its legend. */
export function seriesStyle(
  palette: Palette,
  at: number,
  lane: number,
): { colour: string; dash: readonly number[]; width: number } {
  const dash = DASHES[at % DASHES.length] ?? [];
  if (at === 0) return { colour: laneOf(palette, lane).colour, dash, width: 3 };
  return { colour: at === 1 ? palette.ink : palette.inkSoft, dash, width: at === 3 ? 1.5 : 2 };
}

/** Heights of positive numbers in a plot with a logarithmic axis; others lie at its lower edge. */
export function heightIn(plot: Box, [low, high]: Domain): (value: number) => number {
  return (value) => {
    const log = value > 0 ? Math.log10(value) : low;
    return plot.y + plot.height * (1 - Math.min(1, Math.max(0, (log - low) / (high - low))));
  };
}

/** Draws them, the strong one last, on top. */
export function drawSeries(
  ctx: Canvas2D,
  axis: TimeAxis,
  plot: Box,
  view: InspectionView,
  yOf: (value: number) => number,
  palette: Palette,
  lane: number,
): void {
  const clip = { x: axis.x0, y: plot.y - 1, width: axis.x1 - axis.x0, height: plot.height + 2 };
  withClip(ctx, clip, () => {
    const all = timed(view).map((series, at) => ({ series, at }));
    for (const { series, at } of all.reverse()) {
      drawLine(ctx, series, (t) => axis.centre(t), yOf, seriesStyle(palette, at, lane));
    }
  });
}

/** A curve through the centres of the columns; numbers that are not defined interrupt it. */
function drawLine(
  ctx: Canvas2D,
  series: SeriesView,
  xOf: (t: number) => number,
  yOf: (value: number) => number,
  style: { colour: string; dash: readonly number[]; width: number },
): void {
  ctx.beginPath();
  let isOpen = false;
  series.values.forEach((value, t) => {
    if (Number.isNaN(value)) {
      isOpen = false;
      return;
    }
    if (isOpen) ctx.lineTo(xOf(t), yOf(value));
    else ctx.moveTo(xOf(t), yOf(value));
    isOpen = true;
  });
  ctx.setLineDash([...style.dash]);
  ctx.lineWidth = style.width;
  ctx.lineJoin = "round";
  ctx.strokeStyle = style.colour;
  ctx.stroke();
  ctx.setLineDash([]);
}
