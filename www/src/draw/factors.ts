/**
 * U5, the factor chain: for each step back, the gain of its Jacobian and what it is made of, on a logarithmic axis.
 *
 * Draws whatever series a view has, the first one strong. ×1 is marked: a step above it makes gradients grow, below it
 * they shrink.
 */

import { drawCursors, drawTimeTicks, NO_CURSORS, type PanelOptions, plotBox, timeAxis } from "./axis.js";
import { type Box, type Canvas2D, drawText, fillBox, FONT, horizontal, pixelRatioOf } from "./canvas.js";
import { type InspectionView, timed } from "./inspection.js";
import { type Palette, withAlpha } from "./palette.js";
import type { Domain } from "./ribbon.js";
import { drawSeries, heightIn } from "./series.js";

/** Gains below this are drawn at the lower edge. */
const LEAST = -2;

/** log₁₀ of gains: at least from ×0.1 to ×2, in steps that do not jitter; shared by all lanes. */
export function factorDomain(views: readonly InspectionView[], previous: Domain | null): Domain {
  let low = -1;
  let high = 0.3;
  for (const view of views) {
    for (const { values } of timed(view)) {
      for (const value of values) {
        if (Number.isNaN(value)) continue;
        const log = Math.log10(value);
        low = Math.min(low, Math.max(LEAST, Math.floor(log)));
        high = Math.max(high, log > 0.29 ? Math.min(4, Math.ceil(log * 2) / 2) : high);
      }
    }
  }
  if (previous === null) return [low, high];
  // Room that was needed once is kept until a whole decade is free.
  return [
    low < previous[0] || low > previous[0] + 1 ? low : previous[0],
    high > previous[1] || high < previous[1] - 1 ? high : previous[1],
  ];
}

export interface FactorOptions extends PanelOptions {
  domain: Domain;
  lane: number;
}

const MARKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 100, 1000, 10000];

/** Draws the series of a view that have a number for each timestep. */
export function drawFactors(
  ctx: Canvas2D,
  box: Box,
  view: InspectionView,
  palette: Palette,
  options: FactorOptions,
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const axis = timeAxis(view.nSteps, box);
  const plot = plotBox(box, axis, options);
  const [low, high] = options.domain;
  const yOf = heightIn(plot, options.domain);
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const one = yOf(1);
  const width = axis.x1 - axis.x0;
  fillBox(ctx, { x: axis.x0, y: plot.y, width, height: one - plot.y }, palette.zones.exploding.fill, pixelRatio);
  let lastY = Number.POSITIVE_INFINITY;
  for (const mark of MARKS) {
    const y = yOf(mark);
    if (Math.log10(mark) < low - 1e-9 || Math.log10(mark) > high + 1e-9) continue;
    const isOne = mark === 1;
    // ×1 is always there; others give way to it and to each other.
    if (!isOne && (lastY - y < 13 || Math.abs(y - one) < 13)) continue;
    if (!isOne || lastY - y >= 13) lastY = y;
    horizontal(
      ctx,
      axis.x0,
      axis.x1,
      y,
      isOne ? 1.5 : 1,
      isOne ? palette.ink : withAlpha(palette.line, 0.28),
      pixelRatio,
    );
    const inside = Math.min(Math.max(y, plot.y + 5), plot.y + plot.height - 5);
    drawText(ctx, `×${String(mark)}`, axis.x0 - 6, inside, {
      colour: isOne ? palette.ink : palette.inkSoft,
      size: FONT.tick,
      align: "right",
      baseline: "middle",
    });
  }
  const side = { size: FONT.tick, baseline: "middle", maxWidth: box.x + box.width - axis.x1 - 8 } as const;
  if (one - plot.y >= 12)
    drawText(ctx, "grows", axis.x1 + 6, (plot.y + one) / 2, { ...side, colour: palette.zones.exploding.ink });
  drawText(ctx, "shrinks", axis.x1 + 6, Math.min(one + 22, plot.y + plot.height - 6), {
    ...side,
    colour: palette.inkSoft,
  });

  drawSeries(ctx, axis, plot, view, yOf, palette, options.lane);
  const cursors = options.cursors ?? NO_CURSORS;
  drawCursors(ctx, axis, plot.y, plot.y + plot.height, cursors, palette, pixelRatio);
  horizontal(ctx, axis.x0, axis.x1, plot.y + plot.height, 1, palette.line, pixelRatio);
  if (options.ticks === true) drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio, cursors);
  ctx.restore();
}
