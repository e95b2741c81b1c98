/**
 * U2, the hidden-state heatmap: units × time, for any channel of a row.
 *
 * The colour scale is absolute and printed beside the picture. A channel without a bound gets a symmetric range from the
 * caller; nothing is ever scaled to its own largest value in silence.
 *
 * Where there are more timesteps or units than pixels, a pixel shows the value of largest magnitude among those it
 * covers: a real value of a real unit, where a mean would let opposite signs cancel.
 */

import {
  drawColumns,
  drawCursors,
  drawHeading,
  drawTimeTicks,
  NO_CURSORS,
  type PanelOptions,
  plotBox,
  type TimeAxis,
  timeAxis,
} from "./axis.js";
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
  textWidth,
} from "./canvas.js";
import type { ChannelView } from "./frame.js";
import { channelScale, drawVerticalBar } from "./legend.js";
import { significant } from "./numbers.js";
import { inkOn, type Palette, rampColour, rampIndex } from "./palette.js";

export type UnitOrder = "index" | "peak" | "similarity";

export interface HeatmapOptions extends PanelOptions {
  /** Permutation of the units, top to bottom, from {@link orderUnits}; by index when absent. */
  order?: Uint16Array | null;
  /** What the order is, for the label. */
  orderedBy?: UnitOrder;
  /** The range that the colours span, where the channel has none of its own. See {@link symmetricRange}. */
  range?: readonly [number, number];
  /** Show ∂L/∂channel instead of its values; then `range` is needed. */
  gradients?: boolean;
  /** A unit to point out. */
  unit?: number | null;
}

/** Height that shows every unit, between 72 and 220 CSS pixels, headings and ticks not counted. */
export function heatmapHeight(units: number): number {
  return Math.min(220, Math.max(72, units * (units <= 16 ? 7 : 3)));
}

/**
 * A symmetric range ±r for channels without a bound, r from 1, 1.5, 2, 3, 5, 7 × 10ⁿ.
 *
 * Steady: `previous` stays as long as the largest magnitude neither leaves it nor falls below a third of it.
 */
export function symmetricRange(
  channels: readonly { values: Float32Array }[],
  previous: readonly [number, number] | null,
): [number, number] {
  let most = 0;
  for (const channel of channels) {
    for (const value of channel.values) {
      const magnitude = Math.abs(value);
      if (magnitude > most && Number.isFinite(magnitude)) most = magnitude;
    }
  }
  const held = previous?.[1] ?? 0;
  if (held > 0 && most <= held && most >= held / 3) return [-held, held];
  if (most === 0) return held > 0 ? [-held, held] : [-1, 1];
  const decade = 10 ** Math.floor(Math.log10(most));
  const leading = [1, 1.5, 2, 3, 5, 7, 10].find((n) => n * decade >= most * (1 - 1e-6)) ?? 10;
  const reach = Number((leading * decade).toPrecision(2));
  return [-reach, reach];
}

/**
 * The order of units from top to bottom.
 *
 * `peak`: by the timestep of the largest deviation from the unit's own mean over time, ties by index.
 * `similarity`: a greedy chain by the correlation over time, beginning at the unit that peaks first, each followed by the
 * one of those left that is most correlated with it in magnitude (a unit and its mirror image belong together). Cost is
 * H²·T, so call it on demand, not per frame.
 */
export function orderUnits(channel: ChannelView, by: UnitOrder): Uint16Array {
  const { nSteps, units, values } = channel;
  const order = Uint16Array.from({ length: units }, (_, j) => j);
  if (by === "index") return order;

  // [units, T]: each unit's curve, centred, and scaled to norm 1 (0 for a constant unit).
  const curves = new Float32Array(units * nSteps);
  const peaks = new Float64Array(units);
  for (let j = 0; j < units; j += 1) {
    let sum = 0;
    for (let t = 0; t < nSteps; t += 1) sum += values[t * units + j] ?? 0;
    const mean = sum / nSteps;
    let square = 0;
    let most = -1;
    for (let t = 0; t < nSteps; t += 1) {
      const deviation = (values[t * units + j] ?? 0) - mean;
      curves[j * nSteps + t] = deviation;
      square += deviation * deviation;
      if (Math.abs(deviation) > most) {
        most = Math.abs(deviation);
        peaks[j] = t;
      }
    }
    const norm = Math.sqrt(square);
    for (let t = 0; t < nSteps; t += 1) {
      const at = j * nSteps + t;
      curves[at] = norm > 0 ? (curves[at] ?? 0) / norm : 0;
    }
  }
  const byPeak = order.sort((a, b) => (peaks[a] ?? 0) - (peaks[b] ?? 0) || a - b);
  if (by === "peak") return byPeak;

  const left = Array.from(byPeak);
  const chain: number[] = [];
  let last = left.shift();
  while (last !== undefined) {
    chain.push(last);
    let best = -1;
    let bestAt = -1;
    left.forEach((candidate, i) => {
      let dot = 0;
      for (let t = 0; t < nSteps; t += 1)
        dot += (curves[(last ?? 0) * nSteps + t] ?? 0) * (curves[candidate * nSteps + t] ?? 0);
      if (Math.abs(dot) > best) {
        best = Math.abs(dot);
        bestAt = i;
      }
    });
    last = bestAt < 0 ? undefined : left.splice(bestAt, 1)[0];
  }
  return Uint16Array.from(chain);
}

/** The range in force: the caller's, else the channel's, else −1 to 1. */
export function rangeInForce(channel: ChannelView, options: HeatmapOptions): readonly [number, number] {
  return options.range ?? (options.gradients === true ? null : channel.range) ?? [-1, 1];
}

function shownValues(channel: ChannelView, options: HeatmapOptions): Float32Array {
  return options.gradients === true && channel.gradients !== null ? channel.gradients : channel.values;
}

/** Fills an image of `nColumns` × `nRows` pixels; exported for the graph, whose nodes are columns of this picture. */
export function paintUnits(
  pixels: Uint32Array<ArrayBufferLike>,
  nColumns: number,
  nRows: number,
  channel: { nSteps: number; units: number; values: Float32Array },
  perColumn: number,
  ramp: Uint32Array,
  range: readonly [number, number],
  order: Uint16Array | null,
  missing: number,
): void {
  const { nSteps, units, values } = channel;
  const [low, high] = range;
  for (let row = 0; row < nRows; row += 1) {
    const from = Math.floor((row * units) / nRows);
    const to = Math.max(from + 1, Math.floor(((row + 1) * units) / nRows));
    for (let column = 0; column < nColumns; column += 1) {
      const begin = column * perColumn;
      const end = Math.min(begin + perColumn, nSteps);
      let shown = 0;
      let magnitude = -1;
      let broken = false;
      for (let k = from; k < to; k += 1) {
        const unit = order === null ? k : (order[k] ?? k);
        for (let t = begin; t < end; t += 1) {
          const value = values[t * units + unit] ?? Number.NaN;
          const size = Math.abs(value);
          if (size > magnitude) {
            magnitude = size;
            shown = value;
          } else if (Number.isNaN(size)) broken = true;
        }
      }
      const at = broken ? null : rampIndex(shown, low, high);
      pixels[row * nColumns + column] = at === null ? missing : (ramp[at] ?? missing);
    }
  }
}

/** Magenta: no ramp has it. A pixel of a value that is not a number. */
export const MISSING_PIXEL = 0xffff00ff;
const MISSING = "#ff00ff";

/** The unit and timestep under a point. */
export interface HeatmapHit {
  step: number;
  unit: number;
  value: number;
}

/** What lies at a point of the heatmap drawn in `box`, or null. */
export function heatmapHit(
  box: Box,
  channel: ChannelView,
  options: HeatmapOptions,
  x: number,
  y: number,
): HeatmapHit | null {
  const axis = timeAxis(channel.nSteps, box);
  const plot = plotBox(box, axis, options);
  const step = axis.stepAt(x);
  if (step === null || y < plot.y || y >= plot.y + plot.height) return null;
  const row = Math.min(channel.units - 1, Math.floor(((y - plot.y) / plot.height) * channel.units));
  const unit = options.order?.[row] ?? row;
  const value = shownValues(channel, options)[step * channel.units + unit];
  return value === undefined ? null : { step, unit, value };
}

/**
 * Draws a channel. Returns the scratch picture to pass in again with the next frame, so that nothing is allocated while
 * sizes stay the same.
 */
export function drawHeatmap(
  ctx: Canvas2D,
  box: Box,
  channel: ChannelView,
  palette: Palette,
  options: HeatmapOptions,
  scratch: Scratch | null,
): Scratch | null {
  const pixelRatio = pixelRatioOf(ctx);
  const axis = timeAxis(channel.nSteps, box);
  const plot = plotBox(box, axis, options);
  const range = rangeInForce(channel, options);
  const order = options.order ?? null;
  const values = shownValues(channel, options);
  const scale = channelScale(palette, options.gradients === true ? "state" : channel.role, range, channel.title);
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  drawHeading(ctx, box, axis, options.heading, palette);

  const top = snap(plot.y, 0, pixelRatio);
  const height = snap(plot.y + plot.height, 0, pixelRatio) - top;
  const nRows = Math.max(1, Math.min(channel.units, Math.round(height * pixelRatio)));
  const picture = scratchOf(scratch, axis.nColumns, nRows);
  if (picture !== null) {
    const source = { nSteps: channel.nSteps, units: channel.units, values };
    paintUnits(
      picture.pixels,
      axis.nColumns,
      nRows,
      source,
      axis.perColumn,
      scale.ramp.pixels,
      range,
      order,
      MISSING_PIXEL,
    );
  }
  drawColumns(ctx, axis, top, height, picture, palette, pixelRatio);

  drawUnitLabels(ctx, axis, top, height, channel, options, palette);
  const gutter = { x: axis.x1, y: top + 1, width: box.x + box.width - axis.x1, height: height - 2 };
  drawVerticalBar(ctx, gutter, scale, palette);

  const cursors = options.cursors ?? NO_CURSORS;
  drawCursors(ctx, axis, top, top + height, cursors, palette, pixelRatio);
  drawPointedUnit(
    ctx,
    axis,
    { ...plot, y: top, height },
    channel.units,
    values,
    order,
    options,
    palette,
    range,
    scale.ramp,
  );
  if (options.ticks === true) drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio, cursors);
  ctx.restore();
  return picture;
}

function drawUnitLabels(
  ctx: Canvas2D,
  axis: TimeAxis,
  top: number,
  height: number,
  channel: ChannelView,
  options: HeatmapOptions,
  palette: Palette,
): void {
  const style = { colour: palette.inkSoft, size: FONT.tick, align: "right" } as const;
  const x = axis.x0 - 6;
  const first = options.order?.[0] ?? 0;
  const last = options.order?.[channel.units - 1] ?? channel.units - 1;
  drawText(ctx, String(first + 1), x, top, { ...style, baseline: "top" });
  if (channel.units > 1) drawText(ctx, String(last + 1), x, top + height, { ...style, baseline: "bottom" });
  const by = options.orderedBy ?? "index";
  const lines = by === "index" ? ["unit"] : by === "peak" ? ["units", "by", "peak"] : ["units", "alike"];
  if (height < 40 + 13 * (lines.length - 1)) return;
  lines.forEach((line, i) => {
    drawText(ctx, line, x, top + height / 2 + (i - (lines.length - 1) / 2) * 13, { ...style, baseline: "middle" });
  });
}

/** A frame around the pointed-out unit's row, and its value at the timestep under the cursor. */
function drawPointedUnit(
  ctx: Canvas2D,
  axis: TimeAxis,
  plot: Box,
  units: number,
  values: Float32Array,
  order: Uint16Array | null,
  options: HeatmapOptions,
  palette: Palette,
  range: readonly [number, number],
  ramp: Palette["signed"],
): void {
  const unit = options.unit ?? null;
  if (unit === null || unit < 0 || unit >= units) return;
  const row = order === null ? unit : order.indexOf(unit);
  const rowHeight = plot.height / units;
  const y = plot.y + row * rowHeight;
  ctx.lineWidth = 3;
  ctx.strokeStyle = palette.cursorHalo;
  ctx.strokeRect(axis.x0, y, axis.x1 - axis.x0, rowHeight);
  ctx.lineWidth = 1;
  ctx.strokeStyle = palette.cursor;
  ctx.strokeRect(axis.x0, y, axis.x1 - axis.x0, rowHeight);
  const step = options.cursors?.hover ?? options.cursors?.pins.at(-1) ?? null;
  const value = step === null ? undefined : values[step * units + unit];
  if (step === null || value === undefined) return;
  const label = `unit ${String(unit + 1)}: ${significant(value, 3)}`;
  const width = textWidth(ctx, label, FONT.label, 600) + 12;
  const colour = rampColour(ramp, value, range[0], range[1], MISSING);
  const x = axis.centre(step) + width + 10 > axis.x1 ? axis.centre(step) - width - 8 : axis.centre(step) + 8;
  const labelY = Math.min(Math.max(y + rowHeight / 2, plot.y + 11), plot.y + plot.height - 11);
  ctx.beginPath();
  ctx.roundRect(x, labelY - 10, width, 20, 4);
  ctx.fillStyle = colour;
  ctx.fill();
  ctx.strokeStyle = palette.cursor;
  ctx.stroke();
  drawText(ctx, label, x + width / 2, labelY + 0.5, {
    colour: inkOn(colour),
    weight: 600,
    align: "center",
    baseline: "middle",
  });
}
