/**
 * U9, the credit matrix: row t, column k, how strongly what the network says at t depends on its state at k.
 *
 * The ramp is that of the ribbon, logarithmic and absolute, shared by all lanes. An entry that is exactly zero is left
 * blank: the future, what a truncation window cuts off, and what is below the floor of f32. Columns lie on the time axis.
 */

import { drawColumns, drawCursors, drawTimeTicks, NO_CURSORS, type PanelOptions, plotBox, timeAxis } from "./axis.js";
import {
  type Box,
  type Canvas2D,
  drawText,
  fillBox,
  FONT,
  pixelRatioOf,
  type Scratch,
  scratchOf,
  snap,
} from "./canvas.js";
import { MISSING_PIXEL } from "./heatmap.js";
import type { InspectionView } from "./inspection.js";
import { drawVerticalBar, gradientScale } from "./legend.js";
import { type Palette, rampIndex } from "./palette.js";
import { type Domain, steady } from "./ribbon.js";

/** The matrix of a view, or of one of its heads: rows of `nSteps` columns, and the timestep of each row. */
export interface Matrix {
  nSteps: number;
  nRows: number;
  values: Float32Array;
  times: Float32Array;
}

/** How many heads the matrix of a view has; 0 where it is no attention. */
export function headsOf(view: InspectionView): number {
  const shape = view.series.get("matrix")?.shape ?? [];
  return shape.length === 3 ? (shape[0] ?? 0) : 0;
}

/** The matrix of head number `head`, or of the last one when there are fewer. */
export function matrixOf(view: InspectionView, head = 0): Matrix | null {
  const matrix = view.series.get("matrix");
  const rows = view.series.get("rows");
  if (matrix === undefined || rows === undefined) return null;
  const size = rows.values.length * view.nSteps;
  const first = size * Math.max(0, Math.min(head, headsOf(view) - 1));
  const values = matrix.values.subarray(first, first + size);
  return { nSteps: view.nSteps, nRows: rows.values.length, values, times: rows.values };
}

/** Decades that the colours of a credit matrix span at most, and those of attention, whose small weights say nothing. */
export const SPAN = { credit: 10, attention: 3 } as const;

/**
 * Whole decades that cover the magnitudes of all matrices, at most `span` of them from the largest entry down.
 *
 * Steady: it grows at once, and shrinks only when more than two decades have become empty.
 */
export function creditDomain(
  matrices: readonly Pick<Matrix, "values">[],
  previous: Domain | null,
  span: number = SPAN.credit,
): Domain {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { values } of matrices) {
    for (const entry of values) {
      const value = Math.abs(entry);
      if (!(value > 0) || !Number.isFinite(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return previous ?? [-6, 0];
  // Not −0.
  const top = Math.ceil(Math.log10(high)) + 0;
  const bottom = Math.min(top - 3, Math.max(top - span, Math.floor(Math.log10(low))));
  return steady([bottom, top], previous, 2);
}

export interface CreditOptions extends PanelOptions {
  domain: Domain;
  title: string;
}

/** An entry of the matrix. */
export interface CreditHit {
  /** Row and column as timesteps, from 0. */
  t: number;
  k: number;
  value: number;
}

/** What lies at a point of the matrix drawn in `box`, or null. */
export function creditHit(box: Box, matrix: Matrix, options: CreditOptions, x: number, y: number): CreditHit | null {
  const axis = timeAxis(matrix.nSteps, box);
  const plot = plotBox(box, axis, options);
  const k = axis.stepAt(x);
  const row = Math.floor(((y - plot.y) / plot.height) * matrix.nRows);
  const t = matrix.times[row];
  const value = matrix.values[row * matrix.nSteps + (k ?? 0)];
  return k === null || t === undefined || value === undefined ? null : { t, k, value };
}

/** Draws the matrix. Returns the scratch picture to pass in again, as the heatmap does. */
export function drawCredit(
  ctx: Canvas2D,
  box: Box,
  matrix: Matrix,
  palette: Palette,
  options: CreditOptions,
  scratch: Scratch | null,
): Scratch | null {
  const pixelRatio = pixelRatioOf(ctx);
  const { nSteps, nRows, values, times } = matrix;
  const axis = timeAxis(nSteps, box);
  const plot = plotBox(box, axis, options);
  const [low, high] = options.domain;
  const scale = gradientScale(palette, options.domain, options.title);
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const top = snap(plot.y, 0, pixelRatio);
  const height = snap(plot.y + plot.height, 0, pixelRatio) - top;

  const picture = scratchOf(scratch, axis.nColumns, Math.max(1, nRows));
  if (picture !== null && nRows > 0) {
    for (let r = 0; r < nRows; r += 1) {
      for (let column = 0; column < axis.nColumns; column += 1) {
        // Several timesteps a column: the largest of them.
        let most = 0;
        for (let k = column * axis.perColumn; k < Math.min((column + 1) * axis.perColumn, nSteps); k += 1) {
          const value = Math.abs(values[r * nSteps + k] ?? 0);
          if (Number.isNaN(value) || value > most) most = value;
        }
        const at = rampIndex(Math.log10(most), low, high);
        const pixel = at === null ? MISSING_PIXEL : (scale.ramp.pixels[at] ?? MISSING_PIXEL);
        picture.pixels[r * axis.nColumns + column] = most === 0 ? 0 : pixel;
      }
    }
  }
  drawColumns(ctx, axis, top, height, picture, palette, pixelRatio);

  const style = { colour: palette.inkSoft, size: FONT.tick, align: "right" } as const;
  const rowHeight = height / Math.max(1, nRows);
  const inside = (y: number): number => Math.min(Math.max(y, top + 6), top + height - 6);
  const labels = new Set([0, Math.floor((nRows - 1) / 2), nRows - 1]);
  for (const r of labels) {
    const t = times[r];
    if (t === undefined || (r > 0 && r < nRows - 1 && height < 60)) continue;
    const y = inside(top + (r + 0.5) * rowHeight);
    drawText(ctx, `t ${String(t + 1)}`, axis.x0 - 6, y, { ...style, baseline: "middle" });
  }
  const gutter = { x: axis.x1, y: top + 1, width: box.x + box.width - axis.x1, height: height - 2 };
  drawVerticalBar(ctx, gutter, scale, palette);

  const cursors = options.cursors ?? NO_CURSORS;
  drawCursors(ctx, axis, top, top + height, cursors, palette, pixelRatio);
  if (options.ticks === true) drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio, cursors);
  ctx.restore();
  return picture;
}
