/** U16, slow motion: what of a lane's pictures can be seen yet, and the bars of clipping and of the update. */

import { timeAxis } from "./axis.js";
import { type Box, type Canvas2D, drawText, fillBox, FONT, pixelRatioOf, textWidth, vertical } from "./canvas.js";
import type { InspectionView } from "./inspection.js";
import { count, significant } from "./numbers.js";
import { type Palette, withAlpha } from "./palette.js";

/** Covers the timesteps of a drawn picture that are not there yet, from `from` up to `to`, and marks the front between them. */
export function drawCover(
  ctx: Canvas2D,
  box: Box,
  nSteps: number,
  [from, to]: readonly [number, number],
  palette: Palette,
): void {
  if (to <= from) return;
  const axis = timeAxis(nSteps, box);
  const [left, right] = [axis.left(from), axis.left(to)];
  const pixelRatio = pixelRatioOf(ctx);
  fillBox(ctx, { x: left, y: box.y, width: right - left, height: box.height }, palette.background, pixelRatio);
  const cover = withAlpha(palette.line, 0.1);
  fillBox(ctx, { x: left, y: box.y, width: right - left, height: box.height }, cover, pixelRatio);
  const front = from > 0 ? left : to < nSteps ? right : null;
  if (front !== null) vertical(ctx, front, box.y, box.y + box.height, 2, palette.cursor, pixelRatio);
}

/** A bar with its name and number. */
export interface Bar {
  name: string;
  value: number;
  text: string;
}

export interface BarsOptions {
  /** How much of the bars is drawn, 0 to 1. */
  progress: number;
  colour: string;
  /** A value to mark by a line, with its name. */
  limit?: { value: number; name: string } | null;
}

/** Horizontal bars on one linear scale from 0, all of them or the longest that have room. */
export function drawBars(ctx: Canvas2D, box: Box, bars: readonly Bar[], palette: Palette, options: BarsOptions): void {
  const pixelRatio = pixelRatioOf(ctx);
  const { limit = null, progress } = options;
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const top = box.y + (limit === null ? 4 : 18);
  const room = Math.max(1, Math.floor((box.y + box.height - top - 4) / 14));
  const size = (bar: Bar): number => (Number.isFinite(bar.value) ? bar.value : 0);
  const least = [...bars].sort((a, b) => size(b) - size(a))[room - 1]?.value ?? 0;
  const shown = bars.length <= room ? bars : bars.filter((bar) => size(bar) >= least).slice(0, room);
  const style = { size: FONT.tick, baseline: "middle" } as const;
  const names = Math.max(...shown.map((bar) => textWidth(ctx, bar.name, FONT.tick)), 0);
  const texts = Math.max(...shown.map((bar) => textWidth(ctx, bar.text, FONT.tick, 600)), 0);
  const x = box.x + names + 16;
  const width = Math.max(20, box.x + box.width - x - texts - 16);
  const most = Math.max(...shown.map(size), limit?.value ?? 0, Number.MIN_VALUE);
  const height = Math.min(24, (box.y + box.height - top - 4) / Math.max(1, shown.length));
  shown.forEach((bar, at) => {
    const y = top + (at + 0.5) * height;
    const length = (size(bar) / most) * width * progress;
    drawText(ctx, bar.name, x - 8, y, { ...style, align: "right", colour: palette.inkSoft });
    fillBox(ctx, { x, y: y - height * 0.3, width: length, height: height * 0.6 }, options.colour, pixelRatio);
    drawText(ctx, bar.text, x + length + 6, y, { ...style, weight: 600, colour: palette.ink });
  });
  if (limit !== null) {
    const at = x + (limit.value / most) * width;
    vertical(ctx, at, top - 3, box.y + box.height - 4, 1.5, palette.ink, pixelRatio);
    const align = at > box.x + box.width / 2 ? "right" : "left";
    drawText(ctx, limit.name, at, top - 10, { ...style, align, colour: palette.ink });
  }
  ctx.restore();
}

const first = (view: InspectionView, id: string, at = 0): number => view.series.get(id)?.values[at] ?? Number.NaN;

/** The gradient's norm before and after clipping. */
export function clipBars(update: InspectionView): Bar[] {
  const norm = first(update, "norm");
  const after = norm * first(update, "coefficient");
  return [
    { name: "before", value: norm, text: significant(norm, 3) },
    { name: "after", value: after, text: significant(after, 3) },
  ];
}

/** How far each parameter moves: ‖Δp‖. */
export function moveBars(update: InspectionView): Bar[] {
  return update.names.map((name, at) => {
    const [change, length] = [first(update, "changes", at), first(update, "lengths", at)];
    const share = length > 0 ? `, ${significant((100 * change) / length, 2)} %` : "";
    return { name, value: change, text: `${significant(change, 2)}${share}` };
  });
}

/** What happens in a stage, in one sentence with a step's numbers. */
export interface Told {
  update: InspectionView;
  ledger: InspectionView | undefined;
  nSteps: number;
  /** The one that pictures show. */
  sequence: number;
  /** ‖∂L/∂s_t‖ at the last timestep that receives any and at the first; the state's name. */
  gradient: { state: string; from: number; first: number; last: number } | null;
  clip: { kind: "norm" | "value"; at: number } | null;
  optimiser: string;
}

/** One sentence for each stage; numbers are marked with their definitions, as in `L = [0.70](loss)`. */
export const SENTENCES = {
  forward: ({ update, nSteps, sequence }: Told): string =>
    `${count(update.sequences)} sequences of batch ${count(update.step + 1)} run through ${count(nSteps)} timesteps with the same weights; pictures show sequence ${count(sequence + 1)}.`,
  loss: ({ update }: Told): string =>
    `Answers are compared with targets: L = [${significant(first(update, "loss"), 4)}](loss), [${significant(100 * first(update, "accuracy"), 2)} %](accuracy) right.`,
  backward: ({ gradient }: Told): string =>
    gradient === null
      ? "No gradient comes back: no loss reaches these states."
      : `∂L/∂${gradient.state} runs back: [${significant(gradient.last, 2)}](gradient) at t ${String(gradient.from + 1)}, [${significant(gradient.first, 2)}](gradient) left at t 1.`,
  ledger: ({ ledger }: Told): string => {
    if (ledger === undefined) return "";
    const segments = [...(ledger.series.get("segments")?.values ?? [])];
    const norm = first(ledger, "norm");
    const most = segments.reduce((best, value, t) => (value > (segments[best] ?? 0) ? t : best), 0);
    const share = norm > 0 ? (100 * (segments[most] ?? 0)) / norm : 0;
    const what = ledger.series.get("norm")?.title ?? "";
    return `Every timestep adds its share: ${what} = [${significant(norm, 3)}](norm), of which t ${String(most + 1)} pays [${significant(share, 2)} %](segment).`;
  },
  clip: ({ update, clip }: Told): string => {
    const norm = `[${significant(first(update, "norm"), 3)}](total-norm)`;
    if (clip === null) return `The norm of all gradients is ${norm}; clipping is off.`;
    const at = significant(clip.at, 3);
    if (clip.kind === "value") {
      const what = first(update, "clipped") > 0 ? "elements beyond it are cut" : "no element is beyond it";
      return `The norm of all gradients is ${norm}; clipped by value at ${at}: ${what}.`;
    }
    return first(update, "clipped") > 0
      ? `The norm of all gradients, ${norm}, is above ${at}: all are multiplied by [${significant(first(update, "coefficient"), 3)}](coefficient).`
      : `The norm of all gradients, ${norm}, is not above ${at}: nothing is clipped (factor [1](coefficient)).`;
  },
  weights: ({ update, optimiser }: Told): string => {
    const moved = Math.hypot(...(update.series.get("changes")?.values ?? []));
    return `${optimiser} moves all weights by ‖Δ‖ = [${significant(moved, 2)}](move); on the same batch L goes from [${significant(first(update, "loss"), 4)}](loss) to [${significant(first(update, "loss", 1), 4)}](loss). Step ${count(update.step + 1)} is done.`;
  },
} as const;
