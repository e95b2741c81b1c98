/**
 * U6, the spectrum: eigenvalues of W_hh in the complex plane with the unit circle, and singular values beside it.
 *
 * The scale is the same in both directions and is printed. The ring of the spectral radius carries a handle that can be
 * dragged; what happens then is the caller's business.
 */

import {
  type Box,
  type Canvas2D,
  drawMarker,
  drawText,
  fillBox,
  FONT,
  horizontal,
  pixelRatioOf,
  vertical,
  withClip,
} from "./canvas.js";
import type { RibbonView } from "./frame.js";
import type { InspectionView } from "./inspection.js";
import { significant } from "./numbers.js";
import { laneOf, type Palette, withAlpha } from "./palette.js";

export interface SpectrumOptions {
  lane: number;
  /** What the axes reach, see {@link spectrumReach}. */
  reach: number;
}

/** Half the width of the complex plane that shows everything, in quarters from 1.25 on; it shrinks only when much is empty. */
export function spectrumReach(views: readonly InspectionView[], previous: number | null): number {
  let most = 1.1;
  for (const view of views) {
    for (const id of ["radius", "singular"]) {
      const value = view.series.get(id)?.values[0];
      if (value !== undefined && Number.isFinite(value)) most = Math.max(most, value);
    }
  }
  const wanted = Math.ceil(4 * most + 0.2) / 4;
  return previous === null || wanted > previous || wanted < previous - 0.5 ? wanted : previous;
}

interface Plane {
  x: number;
  y: number;
  /** CSS pixels per 1. */
  scale: number;
  half: number;
}

/** The square of the complex plane, at the left; what is left over belongs to the singular values. */
function planeOf(box: Box, reach: number): Plane {
  const half = Math.max(10, Math.min(box.height, box.width * 0.62) / 2 - 4);
  return { x: box.x + half + 4, y: box.y + box.height / 2, scale: half / reach, half };
}

/** The distance from the origin of a point of the picture, or null outside of the plane. */
export function radiusAt(box: Box, options: SpectrumOptions, x: number, y: number): number | null {
  const plane = planeOf(box, options.reach);
  if (Math.abs(x - plane.x) > plane.half + 4) return null;
  return Math.hypot(x - plane.x, y - plane.y) / plane.scale;
}

/** Draws the spectrum of a view. */
export function drawSpectrum(
  ctx: Canvas2D,
  box: Box,
  view: InspectionView,
  palette: Palette,
  options: SpectrumOptions,
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const plane = planeOf(box, options.reach);
  const lane = laneOf(palette, options.lane);
  const eigenvalues = view.series.get("eigenvalues")?.values ?? new Float32Array();
  const radius = view.series.get("radius")?.values[0] ?? 0;
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const square = { x: plane.x - plane.half, y: plane.y - plane.half, width: 2 * plane.half, height: 2 * plane.half };
  withClip(ctx, square, () => {
    // Inside of the unit circle powers shrink, outside they grow.
    fillBox(ctx, square, palette.zones.exploding.fill, pixelRatio);
    ctx.beginPath();
    ctx.arc(plane.x, plane.y, plane.scale, 0, 2 * Math.PI);
    ctx.fillStyle = palette.background;
    ctx.fill();
    ctx.strokeStyle = palette.ink;
    ctx.lineWidth = 1.5;
    ctx.setLineDash([]);
    ctx.stroke();
    horizontal(ctx, square.x, square.x + square.width, plane.y, 1, withAlpha(palette.line, 0.5), pixelRatio);
    vertical(ctx, plane.x, square.y, square.y + square.height, 1, withAlpha(palette.line, 0.5), pixelRatio);
    ctx.beginPath();
    ctx.arc(plane.x, plane.y, radius * plane.scale, 0, 2 * Math.PI);
    ctx.setLineDash([5, 4]);
    ctx.strokeStyle = lane.colour;
    ctx.lineWidth = 2;
    ctx.stroke();
    ctx.setLineDash([]);
    const size = eigenvalues.length > 128 ? 2 : 3.5;
    for (let n = 0; n + 1 < eigenvalues.length; n += 2) {
      const re = eigenvalues[n] ?? 0;
      const im = eigenvalues[n + 1] ?? 0;
      if (!Number.isFinite(re) || !Number.isFinite(im)) continue;
      drawMarker(
        ctx,
        lane.marker,
        plane.x + re * plane.scale,
        plane.y - im * plane.scale,
        size,
        lane.colour,
        palette.background,
      );
    }
    // The handle, where there is a matrix to rescale, in the direction of 45 degrees, where eigenvalues are rare.
    if (!view.series.has("block")) return;
    const at = (radius * plane.scale) / Math.SQRT2;
    drawMarker(ctx, "circle", plane.x + at, plane.y - at, 6, palette.background, lane.colour);
    drawMarker(ctx, "circle", plane.x + at, plane.y - at, 2.5, lane.colour, lane.colour);
  });
  const label = { colour: palette.ink, size: FONT.tick, halo: palette.background } as const;
  drawText(ctx, "1", plane.x + plane.scale - 4, plane.y - 4, { ...label, align: "right" });
  drawText(ctx, "Im", plane.x + 4, square.y + 11, { ...label, colour: palette.inkSoft });
  drawText(ctx, "Re", square.x + square.width - 3, plane.y + 12, { ...label, colour: palette.inkSoft, align: "right" });
  drawSingular(ctx, box, square, view, palette, options);
  ctx.restore();
}

/** Singular values as bars from the largest to the smallest, on a linear scale with 1 marked. */
function drawSingular(
  ctx: Canvas2D,
  box: Box,
  square: Box,
  view: InspectionView,
  palette: Palette,
  options: SpectrumOptions,
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const singular = view.series.get("singular")?.values ?? new Float32Array();
  const left = square.x + square.width + 34;
  const right = box.x + box.width - 8;
  const top = square.y + 16;
  const bottom = square.y + square.height - 4;
  if (right - left < 30 || singular.length === 0) return;
  const yOf = (value: number): number => bottom - (bottom - top) * Math.min(1, value / options.reach);
  const style = { colour: palette.inkSoft, size: FONT.tick } as const;
  drawText(ctx, "singular values", left, square.y + 11, { ...style, maxWidth: right - left });
  const width = (right - left) / singular.length;
  ctx.fillStyle = withAlpha(laneOf(palette, options.lane).colour, 0.75);
  singular.forEach((value, n) => {
    if (!Number.isFinite(value)) return;
    ctx.fillRect(left + n * width, yOf(value), Math.max(width - (width > 4 ? 1 : 0), 0.5), bottom - yOf(value));
  });
  horizontal(ctx, left, right, bottom, 1, palette.line, pixelRatio);
  horizontal(ctx, left, right, yOf(1), 1.5, palette.ink, pixelRatio);
  drawText(ctx, "1", left - 5, yOf(1), { ...style, colour: palette.ink, align: "right", baseline: "middle" });
  drawText(ctx, "0", left - 5, bottom, { ...style, align: "right", baseline: "middle" });
  const largest = singular[0] ?? 0;
  // Its number stands above its bar, and above the line at 1 where it would run into that.
  const above = Math.min(yOf(largest), Math.abs(yOf(largest) - yOf(1)) < 13 ? yOf(1) : Number.POSITIVE_INFINITY);
  drawText(ctx, significant(largest, 3), left + 2, Math.max(above - 4, top + 8), {
    ...style,
    colour: palette.ink,
    halo: palette.background,
  });
}

/**
 * The bound of a spectrum, laid over a ribbon: its value where the last loss enters, times (γσ_max)ⁿ. Null where the row has no
 * bound, or where other losses enter on the way, for then it bounds nothing.
 */
export function boundOver(ribbon: RibbonView, scored: readonly number[], view: InspectionView): RibbonView | null {
  const bound = view.series.get("bound");
  const whole = ribbon.median[ribbon.reference];
  if (bound === undefined || whole === undefined || scored.length !== 1 || scored[0] !== view.nSteps - 1) return null;
  return { ...ribbon, id: "bound", median: bound.values.map((value) => value * whole) };
}
