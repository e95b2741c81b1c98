/** Colour bars with their absolute range in print: no colour on the page is without one. */

import { type Box, type Canvas2D, drawText, FONT, pixelRatioOf, snap } from "./canvas.js";
import { powerOfTen, rangeEnd } from "./numbers.js";
import type { Palette, Ramp } from "./palette.js";

/** What a colour bar says. */
export interface Scale {
  ramp: Ramp;
  /** Text at the low end, in the middle (or empty) and at the high end. */
  low: string;
  middle: string;
  high: string;
  title: string;
}

/** The scale of a channel: its ramp by role, and the range the colours span. */
export function channelScale(
  palette: Palette,
  role: "state" | "gate" | "candidate",
  range: readonly [number, number],
  title: string,
): Scale {
  const [low, high] = range;
  const signed = role !== "gate";
  const middle = (low + high) / 2;
  return {
    ramp: signed ? palette.signed : palette.gate,
    low: rangeEnd(low, signed),
    middle: middle === 0 || !signed ? rangeEnd(middle, signed) : "",
    high: rangeEnd(high, signed),
    title,
  };
}

/** The scale of gradient magnitudes: logarithmic, between two powers of ten. */
export function gradientScale(palette: Palette, domain: readonly [number, number], title: string): Scale {
  return { ramp: palette.gradient, low: `≤ ${powerOfTen(domain[0])}`, middle: "", high: powerOfTen(domain[1]), title };
}

function fillRamp(ctx: Canvas2D, ramp: Ramp, box: Box, vertical: boolean): void {
  const gradient = vertical
    ? ctx.createLinearGradient(0, box.y + box.height, 0, box.y)
    : ctx.createLinearGradient(box.x, 0, box.x + box.width, 0);
  ramp.stops.forEach((colour, i) => {
    gradient.addColorStop(i / (ramp.stops.length - 1), colour);
  });
  ctx.fillStyle = gradient;
  ctx.fillRect(box.x, box.y, box.width, box.height);
}

/** A colour bar in the right gutter of a panel, high values on top. */
export function drawVerticalBar(ctx: Canvas2D, box: Box, scale: Scale, palette: Palette): void {
  const pixelRatio = pixelRatioOf(ctx);
  const width = 8;
  const x = snap(box.x + 8, 0, pixelRatio);
  const top = snap(box.y, 0, pixelRatio);
  const height = snap(box.y + box.height, 0, pixelRatio) - top;
  ctx.save();
  fillRamp(ctx, scale.ramp, { x, y: top, width, height }, true);
  ctx.strokeStyle = palette.line;
  ctx.lineWidth = 1;
  ctx.setLineDash([]);
  ctx.strokeRect(x - 0.5, top - 0.5, width + 1, height + 1);
  const style = { colour: palette.inkSoft, size: FONT.tick, maxWidth: box.width - width - 12 } as const;
  drawText(ctx, scale.high, x + width + 5, top - 1, { ...style, baseline: "top" });
  if (height >= 48) drawText(ctx, scale.middle, x + width + 5, top + height / 2, { ...style, baseline: "middle" });
  drawText(ctx, scale.low, x + width + 5, top + height + 1, { ...style, baseline: "bottom" });
  ctx.restore();
}

/** Height that {@link drawLegend} needs for a number of scales. */
export function legendHeight(nScales: number): number {
  return nScales * 44;
}

/** Horizontal colour bars with title and range, one below another: the page's legend. */
export function drawLegend(ctx: Canvas2D, box: Box, scales: readonly Scale[], palette: Palette): void {
  ctx.save();
  scales.forEach((scale, i) => {
    const y = box.y + i * 44;
    drawText(ctx, scale.title, box.x, y + 12, { colour: palette.ink, size: FONT.label, maxWidth: box.width });
    fillRamp(ctx, scale.ramp, { x: box.x, y: y + 17, width: box.width, height: 8 }, false);
    ctx.strokeStyle = palette.line;
    ctx.lineWidth = 1;
    ctx.setLineDash([]);
    ctx.strokeRect(box.x + 0.5, y + 17.5, box.width - 1, 7);
    const style = { colour: palette.inkSoft, size: FONT.tick, baseline: "top" } as const;
    drawText(ctx, scale.low, box.x, y + 28, style);
    drawText(ctx, scale.middle, box.x + box.width / 2, y + 28, { ...style, align: "center" });
    drawText(ctx, scale.high, box.x + box.width, y + 28, { ...style, align: "right" });
  });
  ctx.restore();
}
