/**
 * U8, the ledger: which timestep pays for the update of W_hh.
 *
 * Columns on the time axis are the signed shares ⟨G_t, G⟩/‖G‖, on a linear scale that is printed. Above them the same
 * shares stacked to one bar: those that pull along G from the left, late ones strong, those against it from the right. What
 * is left between them is ‖G‖.
 */

import { drawCursors, drawTimeTicks, NO_CURSORS, type PanelOptions, plotBox, timeAxis } from "./axis.js";
import {
  type Box,
  type Canvas2D,
  drawText,
  fillBox,
  FONT,
  horizontal,
  pixelRatioOf,
  type Scratch,
  scratchOf,
  snap,
} from "./canvas.js";
import { MISSING_PIXEL, symmetricRange } from "./heatmap.js";
import type { InspectionView, SeriesView } from "./inspection.js";
import { channelScale, drawVerticalBar } from "./legend.js";
import { rangeEnd, significant } from "./numbers.js";
import { type Palette, rampColour, rampIndex } from "./palette.js";

/** Height of the stacked bar with its label. */
const STACK = 34;

export interface LedgerOptions extends PanelOptions {
  /** The vertical axis reaches from −reach to +reach. */
  reach: number;
  /** Shares are there from this timestep on: slow motion adds one after another. */
  from?: number;
}

/** A reach of 1, 1.5, 2, 3, 5, 7 × 10ⁿ that covers all shares; it stays until they need less than a third of it. */
export function ledgerReach(views: readonly InspectionView[], previous: number | null): number {
  const segments = views.flatMap((view) => view.series.get("segments") ?? []);
  return symmetricRange(segments, previous === null ? null : [-previous, previous])[1];
}

/** Draws the shares of a view. */
export function drawLedger(
  ctx: Canvas2D,
  box: Box,
  view: InspectionView,
  palette: Palette,
  options: LedgerOptions,
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const axis = timeAxis(view.nSteps, box);
  const plot = plotBox(box, axis, options);
  const segments = view.series.get("segments")?.values ?? new Float32Array();
  const norm = view.series.get("norm")?.values[0] ?? 0;
  const columns = { ...plot, y: plot.y + STACK, height: Math.max(1, plot.height - STACK) };
  const zero = columns.y + columns.height / 2;
  const yOf = (value: number): number => zero - (Math.max(-1, Math.min(1, value / options.reach)) * columns.height) / 2;
  const [backwards, , forwards] = palette.signed.stops;
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const { from = 0 } = options;
  drawStack(ctx, { ...plot, height: 16 }, segments, norm, from, palette, pixelRatio);

  const gap = axis.stepWidth >= 5 ? 1 : 0;
  segments.forEach((value, t) => {
    if (!Number.isFinite(value) || t < from) return;
    ctx.fillStyle = (value < 0 ? backwards : forwards) ?? palette.line;
    const y = yOf(value);
    ctx.fillRect(axis.left(t) + gap, Math.min(y, zero), Math.max(axis.stepWidth - 2 * gap, 0.5), Math.abs(y - zero));
  });
  horizontal(ctx, axis.x0, axis.x1, zero, 1, palette.line, pixelRatio);
  const style = { colour: palette.inkSoft, size: FONT.tick, align: "right", baseline: "middle" } as const;
  drawText(ctx, "0", axis.x0 - 6, zero, style);
  // Inside, where a power of ten has room.
  const inside = { ...style, align: "left", halo: palette.background } as const;
  drawText(ctx, rangeEnd(options.reach, true), axis.x0 + 5, columns.y + 7, inside);
  drawText(ctx, rangeEnd(-options.reach, true), axis.x0 + 5, columns.y + columns.height - 7, inside);
  const side = { size: FONT.tick, baseline: "middle", maxWidth: box.x + box.width - axis.x1 - 8 } as const;
  drawText(ctx, "along G", axis.x1 + 6, columns.y + columns.height * 0.25, { ...side, colour: palette.inkSoft });
  drawText(ctx, "against", axis.x1 + 6, columns.y + columns.height * 0.75, { ...side, colour: palette.inkSoft });

  const cursors = options.cursors ?? NO_CURSORS;
  drawCursors(ctx, axis, columns.y, columns.y + columns.height, cursors, palette, pixelRatio);
  if (options.ticks === true) drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio, cursors);
  ctx.restore();
}

/** The shares as one bar. */
function drawStack(
  ctx: Canvas2D,
  box: Box,
  segments: Float32Array,
  norm: number,
  from: number,
  palette: Palette,
  pixelRatio: number,
): void {
  const along = segments.reduce((sum, value) => sum + (value > 0 ? value : 0), 0);
  fillBox(ctx, box, palette.grid, pixelRatio);
  if (!(along > 0) || !Number.isFinite(along)) return;
  const scale = box.width / along;
  let left = box.x;
  let right = box.x + box.width;
  segments.forEach((value, t) => {
    const width = Math.abs(value) * scale;
    const isThere = t >= from;
    if (value > 0) {
      ctx.fillStyle = rampColour(
        palette.gradient,
        0.15 + (0.85 * t) / Math.max(1, segments.length - 1),
        0,
        1,
        palette.line,
      );
      if (isThere) ctx.fillRect(left, box.y, width, box.height);
      left += width;
      if (isThere && width >= 3)
        fillBox(ctx, { x: left - 1, y: box.y, width: 1, height: box.height }, palette.background, pixelRatio);
    } else if (value < 0) {
      right -= width;
      ctx.fillStyle = palette.signed.stops[0] ?? palette.line;
      if (isThere) ctx.fillRect(right, box.y + box.height * 0.5, width, box.height * 0.5);
    }
  });
  drawText(ctx, `‖G‖ = ${significant(norm, 3)}, from t 1 to the last`, box.x, box.y + box.height + 11, {
    colour: palette.inkSoft,
    size: FONT.tick,
    maxWidth: box.width,
  });
}

/** Room for the scale of an outer product, whose ends may be powers of ten. */
const SCALE = 92;

/** Draws an outer product, signed, with its absolute scale. Returns the scratch picture, as the heatmap does. */
export function drawProduct(
  ctx: Canvas2D,
  box: Box,
  product: SeriesView,
  range: readonly [number, number],
  palette: Palette,
  scratch: Scratch | null,
): Scratch | null {
  const pixelRatio = pixelRatioOf(ctx);
  const [rows = 1, columns = 1] = product.shape;
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const plot = {
    x: box.x + 46,
    y: box.y + 2,
    width: Math.max(1, box.width - 46 - SCALE),
    height: Math.max(1, box.height - 18),
  };
  const picture = scratchOf(scratch, columns, rows);
  if (picture !== null) {
    for (let at = 0; at < product.values.length; at += 1) {
      const index = rampIndex(product.values[at] ?? Number.NaN, range[0], range[1]);
      picture.pixels[at] = index === null ? MISSING_PIXEL : (palette.signed.pixels[index] ?? MISSING_PIXEL);
    }
    picture.ctx.putImageData(picture.image, 0, 0);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(picture.canvas, plot.x, plot.y, plot.width, plot.height);
  }
  ctx.strokeStyle = palette.line;
  ctx.lineWidth = 1;
  ctx.strokeRect(snap(plot.x, 1, pixelRatio), snap(plot.y, 1, pixelRatio), plot.width, plot.height);
  const style = { colour: palette.inkSoft, size: FONT.tick } as const;
  drawText(ctx, "to unit", plot.x - 5, plot.y + plot.height / 2, { ...style, align: "right", baseline: "middle" });
  const from = product.title.split(", ").at(-1) ?? "";
  drawText(ctx, from, plot.x + plot.width / 2, plot.y + plot.height + 12, { ...style, align: "center" });
  const gutter = { x: plot.x + plot.width, y: plot.y + 1, width: SCALE, height: plot.height - 2 };
  drawVerticalBar(ctx, gutter, channelScale(palette, "state", range, product.title), palette);
  ctx.restore();
  return picture;
}
