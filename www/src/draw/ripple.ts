/**
 * U10, the ripple of a poke: how far two runs are apart at each timestep after a change at k, on a logarithmic axis.
 *
 * It runs to the right, where the ribbon runs to the left: information and credit.
 */

import { drawCursors, drawTimeTicks, NO_CURSORS, type PanelOptions, plotBox, timeAxis } from "./axis.js";
import { type Box, type Canvas2D, drawText, fillBox, FONT, horizontal, pixelRatioOf, vertical } from "./canvas.js";
import { type InspectionView, timed } from "./inspection.js";
import { powerOfTen } from "./numbers.js";
import { type Palette, withAlpha } from "./palette.js";
import { type Domain, steady } from "./ribbon.js";
import { drawSeries, heightIn } from "./series.js";

export interface RippleOptions extends PanelOptions {
  domain: Domain;
  lane: number;
}

/** A difference below this share of the largest one is rounding in 32-bit numbers. */
const LEAST = -9;

/** Whole decades that cover all ripples, shared by all lanes; it lets go of decades only when two of them are empty. */
export function rippleDomain(views: readonly InspectionView[], previous: Domain | null): Domain {
  let low = -2;
  let high = -1;
  for (const view of views) {
    for (const { values } of timed(view)) {
      for (const value of values) {
        if (!(value > 0) || !Number.isFinite(value)) continue;
        low = Math.min(low, Math.max(LEAST, Math.floor(Math.log10(value))));
        high = Math.max(high, Math.ceil(Math.log10(value)));
      }
    }
  }
  return steady([low, high], previous, 2);
}

/** Draws the series of a view that have a number for each timestep. */
export function drawRipple(
  ctx: Canvas2D,
  box: Box,
  view: InspectionView,
  palette: Palette,
  options: RippleOptions,
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const axis = timeAxis(view.nSteps, box);
  const plot = plotBox(box, axis, options);
  const [low, high] = options.domain;
  const yOf = heightIn(plot, options.domain);
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const every = Math.max(1, Math.ceil(16 / (plot.height / (high - low))));
  for (let exponent = Math.ceil(low / every) * every; exponent <= high; exponent += every) {
    const y = yOf(10 ** exponent);
    horizontal(ctx, axis.x0, axis.x1, y, 1, withAlpha(palette.line, 0.28), pixelRatio);
    const inside = Math.min(Math.max(y, plot.y + 5), plot.y + plot.height - 5);
    const style = { colour: palette.inkSoft, size: FONT.tick, align: "right", baseline: "middle" } as const;
    drawText(ctx, powerOfTen(exponent), axis.x0 - 6, inside, style);
  }
  const k = view.series.get("at")?.values[0] ?? 0;
  const x = axis.centre(k);
  vertical(ctx, x, plot.y, plot.y + plot.height, 2, palette.wrong, pixelRatio);
  const isLate = x > (axis.x0 + axis.x1) / 2;
  drawText(ctx, "poked here", x + (isLate ? -6 : 6), plot.y + plot.height - 8, {
    colour: palette.wrong,
    weight: 600,
    align: isLate ? "right" : "left",
    halo: palette.background,
  });
  drawSeries(ctx, axis, plot, view, yOf, palette, options.lane);
  const cursors = options.cursors ?? NO_CURSORS;
  drawCursors(ctx, axis, plot.y, plot.y + plot.height, cursors, palette, pixelRatio);
  horizontal(ctx, axis.x0, axis.x1, plot.y + plot.height, 1, palette.line, pixelRatio);
  if (options.ticks === true) drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio, cursors);
  ctx.restore();
}
