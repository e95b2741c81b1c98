/**
 * U13, the truncation window: a bracket over the unrolled graph, and what is cut outside it.
 *
 * Backpropagation hands the state's adjoint from t to t − 1 except where t is a multiple of W timesteps before the end: there it is
 * cut. The bracket spans the last window; earlier ones end at dashed lines.
 */

import { timeAxis } from "./axis.js";
import { type Box, type Canvas2D, drawText, fillBox, FONT, pixelRatioOf, textWidth, withClip } from "./canvas.js";
import type { FrameView } from "./frame.js";
import { count } from "./numbers.js";
import { type Palette, withAlpha } from "./palette.js";

/**
 * Timesteps at whose left edge the adjoint is cut, nearest to the end of reading first: T − W, T − 2W … above 0. A row that reads from
 * the last timestep to the first ends at the first one: W, 2W … below T.
 */
export function cutsOf(nSteps: number, window: number | null, reverse = false): number[] {
  const cuts: number[] = [];
  if (window !== null) for (let t = nSteps - window; t > 0; t -= window) cuts.push(reverse ? nSteps - t : t);
  return cuts;
}

/** The window whose left end is nearest to a coordinate; null for one that holds all timesteps. */
export function windowAt(nSteps: number, box: Box, x: number): number | null {
  const axis = timeAxis(nSteps, box);
  const left = Math.round((x - axis.x0) / axis.stepWidth);
  return left <= 0 ? null : nSteps - Math.min(left, nSteps - 1);
}

/** Where the bracket's left end stands. */
export function handleAt(nSteps: number, box: Box, window: number | null): number {
  return timeAxis(nSteps, box).left(Math.max(0, nSteps - (window ?? nSteps)));
}

/** Height of the bracket above the plot of a graph: it hangs at the lower end of the row of outputs. */
export const BRACKET_Y = 21;

/** The bracket, over a drawn graph. */
export function drawBracket(
  ctx: Canvas2D,
  box: Box,
  { nSteps, probe }: FrameView,
  window: number | null,
  palette: Palette,
): void {
  const axis = timeAxis(nSteps, box);
  const y = box.y + BRACKET_Y;
  const [cut] = cutsOf(nSteps, window);
  const left = axis.left(cut ?? 0);
  ctx.save();
  ctx.strokeStyle = cut === undefined ? palette.line : palette.ink;
  ctx.lineWidth = cut === undefined ? 1 : 1.75;
  ctx.setLineDash([]);
  ctx.beginPath();
  ctx.moveTo(left, y + 5);
  ctx.lineTo(left, y);
  ctx.lineTo(axis.x1, y);
  ctx.lineTo(axis.x1, y + 5);
  ctx.stroke();
  // Answers at every timestep leave no room for words.
  if (cut !== undefined && window !== null && probe.scored.length <= 1) {
    const label = `window ${count(window)}`;
    const style = { colour: palette.ink, size: FONT.tick, weight: 600 } as const;
    const width = textWidth(ctx, label, FONT.tick, 600);
    // Before the bracket, where there is room: answers stand above it.
    const x = left - axis.x0 > width + 16 ? left - 12 - width : left + 12;
    drawText(ctx, label, x, y - 5, { ...style, halo: palette.background });
  }
  ctx.restore();
}

/** Hatches the `cut` timesteps that a ribbon's row reads first, which nothing reaches, and draws the ends of all windows. */
export function drawCuts(
  ctx: Canvas2D,
  box: Box,
  nSteps: number,
  { window, cut, reverse }: { window: number | null; cut: number; reverse: boolean },
  palette: Palette,
): void {
  const axis = timeAxis(nSteps, box);
  ctx.save();
  if (cut > 0) {
    const [left, right] = reverse ? [axis.left(nSteps - cut), axis.x1] : [axis.x0, axis.left(cut)];
    const area = { x: left, y: box.y, width: right - left, height: box.height };
    withClip(ctx, area, () => {
      fillBox(ctx, area, palette.background, pixelRatioOf(ctx));
      ctx.strokeStyle = withAlpha(palette.line, 0.35);
      ctx.lineWidth = 1;
      ctx.beginPath();
      for (let x = area.x - area.height; x < area.x + area.width; x += 9) {
        ctx.moveTo(x, area.y + area.height);
        ctx.lineTo(x + area.height, area.y);
      }
      ctx.stroke();
    });
    const words = ["cut: no gradient gets here", "cut"];
    const word = words.find((text) => textWidth(ctx, text, FONT.label, 600) + 12 <= area.width);
    if (word !== undefined)
      drawText(ctx, word, area.x + area.width / 2, area.y + area.height / 2, {
        colour: palette.ink,
        weight: 600,
        align: "center",
        baseline: "middle",
        halo: palette.background,
      });
  }
  const every = (window ?? nSteps) * axis.stepWidth;
  if (every >= 5) {
    ctx.strokeStyle = palette.ink;
    ctx.lineWidth = 1.25;
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    for (const t of cutsOf(nSteps, window, reverse)) {
      if ((reverse ? nSteps - t : t) < cut) break;
      ctx.moveTo(axis.left(t), box.y);
      ctx.lineTo(axis.left(t), box.y + box.height);
    }
    ctx.stroke();
  }
  ctx.restore();
}
