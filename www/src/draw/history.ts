/**
 * The history of the gradient ribbon (U3): one row for each training step, one column for each timestep, log₁₀ of the ribbon's median.
 *
 * The ramp is the ribbon's, absolute and shared by all lanes. Zero is left blank: beyond the last loss, behind a window's cut, and below
 * the floor of f32.
 */

import { drawColumns, drawCursors, drawTimeTicks, NO_CURSORS, type PanelOptions, plotBox, timeAxis } from "./axis.js";
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
import { MISSING_PIXEL } from "./heatmap.js";
import { drawVerticalBar, gradientScale } from "./legend.js";
import { count } from "./numbers.js";
import { type Palette, rampIndex } from "./palette.js";
import type { Domain } from "./ribbon.js";

/** Medians of a ribbon at moments of the training. */
export interface RibbonHistory {
  nSteps: number;
  /** Below this, f32 has no normal number. */
  floor: number;
  /** Id of the state whose gradient it is. */
  state: string;
  /** Training steps of the moments, ascending. */
  steps: readonly number[];
  /** B·‖∂L/∂s_t‖₂, median over the probe sequences, one array [T] for each moment. */
  medians: readonly Float32Array[];
}

/** Index of the last moment at or before a training step; 0 before the first one. */
export function momentAt({ steps }: RibbonHistory, step: number): number {
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((steps[middle] ?? 0) <= step) low = middle;
    else high = middle - 1;
  }
  return low;
}

export interface HistoryOptions extends PanelOptions {
  domain: Domain;
  title: string;
  /** The training step at the lower end of the picture. */
  lastStep: number;
  /** The training step that the network has come to: the last moment lasts until then. */
  now: number;
  /** Training steps that are marked by a line across. */
  marks: readonly number[];
}

/** Rows of the first moment's picture, so that there is something to see at step 0. */
const LEAST_ROWS = 3;

/** What lies at a point of the history drawn in `box`, or null: a moment of it and a timestep. */
export function historyHit(
  box: Box,
  history: RibbonHistory,
  options: HistoryOptions,
  x: number,
  y: number,
): { moment: number; t: number; trainingStep: number } | null {
  const axis = timeAxis(history.nSteps, box);
  const plot = plotBox(box, axis, options);
  const t = axis.stepAt(x);
  if (t === null || y < plot.y || y >= plot.y + plot.height) return null;
  const trainingStep = Math.min(options.now, Math.round(((y - plot.y) / plot.height) * options.lastStep));
  return { moment: momentAt(history, trainingStep), t, trainingStep };
}

/** Draws the history. Returns the scratch picture to pass in again, as the heatmap does. */
export function drawHistory(
  ctx: Canvas2D,
  box: Box,
  history: RibbonHistory,
  palette: Palette,
  options: HistoryOptions,
  scratch: Scratch | null,
): Scratch | null {
  const pixelRatio = pixelRatioOf(ctx);
  const { nSteps, floor, steps, medians } = history;
  const { lastStep, now } = options;
  const axis = timeAxis(nSteps, box);
  const plot = plotBox(box, axis, options);
  const [low, high] = options.domain;
  const scale = gradientScale(palette, options.domain, options.title);
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const top = snap(plot.y, 0, pixelRatio);
  const height = snap(plot.y + plot.height, 0, pixelRatio) - top;

  const nRows = Math.max(1, Math.round(height));
  const picture = scratchOf(scratch, axis.nColumns, nRows);
  if (picture !== null) {
    picture.pixels.fill(0);
    const shown = Math.min(nRows, Math.max(LEAST_ROWS, Math.ceil((now / lastStep) * nRows)));
    for (let row = 0; row < shown && steps.length > 0; row += 1) {
      // Several moments a row of pixels: the last one of them.
      const median = medians[momentAt(history, ((row + 1) / nRows) * lastStep)];
      for (let column = 0; column < axis.nColumns; column += 1) {
        // Several timesteps a column: the largest of them.
        let most = 0;
        for (let t = column * axis.perColumn; t < Math.min((column + 1) * axis.perColumn, nSteps); t += 1) {
          const value = median?.[t] ?? 0;
          if (Number.isNaN(value) || value > most) most = value;
        }
        if (most < floor) continue;
        const at = Number.isFinite(most) ? rampIndex(Math.log10(most), low, high) : null;
        picture.pixels[row * axis.nColumns + column] =
          (at === null ? undefined : scale.ramp.pixels[at]) ?? MISSING_PIXEL;
      }
    }
  }
  drawColumns(ctx, axis, top, height, picture, palette, pixelRatio);

  const yOf = (step: number): number => top + Math.min(1, step / lastStep) * height;
  const labels = Math.max(1, Math.min(4, Math.floor(height / 40)));
  for (let at = 0; at <= labels; at += 1) {
    const step = Math.round((at / labels) * lastStep);
    const y = Math.min(Math.max(yOf(step), top + 6), top + height - 6);
    const style = { colour: palette.inkSoft, size: FONT.tick, align: "right", baseline: "middle" } as const;
    drawText(ctx, count(step), axis.x0 - 5, y, { ...style, maxWidth: axis.x0 - box.x - 5 });
  }
  const gutter = { x: axis.x1, y: top + 1, width: box.x + box.width - axis.x1, height: height - 2 };
  drawVerticalBar(ctx, gutter, scale, palette);

  for (const step of options.marks) {
    if (step > lastStep) continue;
    const y = Math.min(yOf(step), top + height - 1);
    horizontal(ctx, axis.x0, axis.x1, y, 4, palette.cursorHalo, pixelRatio);
    horizontal(ctx, axis.x0, axis.x1, y, 1.5, palette.cursor, pixelRatio);
  }
  const cursors = options.cursors ?? NO_CURSORS;
  drawCursors(ctx, axis, top, top + height, cursors, palette, pixelRatio);
  if (options.ticks === true) drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio, cursors);
  ctx.restore();
  return picture;
}
