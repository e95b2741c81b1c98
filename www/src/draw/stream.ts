/**
 * A stream: what was read and what was answered at the last timesteps, the newest at the right.
 *
 * Values are two lines on one scale; symbols are two rows of letters, the likelier the answer, the stronger.
 */

import { type PanelOptions, plotBox, timeAxis } from "./axis.js";
import {
  type Box,
  type Canvas2D,
  drawText,
  fillBox,
  FONT,
  horizontal,
  pixelRatioOf,
  shorten,
  withClip,
} from "./canvas.js";
import { laneOf, type Palette, withAlpha } from "./palette.js";

/** The last timesteps of a stream. */
export interface StreamView {
  /** Columns; steps fill them from the right. */
  nColumns: number;
  kind: "class" | "value";
  isSymbol: boolean;
  inputNames: readonly string[];
  targetNames: readonly string[];
  steps: readonly { x: readonly number[]; output: ArrayLike<number> }[];
}

/** Place and size of the largest number. */
export function largest(values: ArrayLike<number>): { at: number; value: number } {
  let best = { at: 0, value: Number.NEGATIVE_INFINITY };
  for (let at = 0; at < values.length; at += 1) {
    const value = values[at] ?? Number.NEGATIVE_INFINITY;
    if (value > best.value) best = { at, value };
  }
  return best;
}

/** Bounds of all values in halves; it grows at once and never shrinks. */
export function streamRange(view: StreamView, previous: readonly [number, number] | null): readonly [number, number] {
  let [low, high] = previous ?? [0, 0.5];
  for (const { x, output } of view.steps) {
    const shown = [...(view.isSymbol ? [] : x), ...(view.kind === "value" ? Array.from(output) : [])];
    for (const value of shown) {
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, Math.floor(value * 2) / 2);
      high = Math.max(high, Math.ceil(value * 2) / 2);
    }
  }
  return [low, high];
}

export function drawStream(
  ctx: Canvas2D,
  box: Box,
  view: StreamView,
  palette: Palette,
  options: PanelOptions & { lane: number; range: readonly [number, number] },
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const axis = timeAxis(view.nColumns, box);
  const plot = plotBox(box, axis, options);
  const first = view.nColumns - view.steps.length;
  const { colour } = laneOf(palette, options.lane);
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const [low, high] = options.range;
  const half = plot.height / 2;
  const rows = { read: plot.y + half / 2, answered: plot.y + half * 1.5 };
  const label = { colour: palette.inkSoft, size: FONT.tick, align: "right", baseline: "middle" } as const;
  const yOf = (value: number, top: number, height: number): number =>
    top + height * (1 - (value - low) / (high - low || 1));
  const column = axis.centre(1) - axis.centre(0);
  const line = (top: number, height: number, valueOf: (at: number) => number, stroke: string, width: number): void => {
    ctx.beginPath();
    view.steps.forEach((_, at) => {
      const y = yOf(valueOf(at), top, height);
      if (at === 0) ctx.moveTo(axis.centre(first), y);
      else ctx.lineTo(axis.centre(first + at), y);
    });
    ctx.lineWidth = width;
    ctx.lineJoin = "round";
    ctx.strokeStyle = stroke;
    ctx.stroke();
  };
  const letter = (text: string, at: number, y: number, ink: string): void => {
    const shown = column < 14 ? text.slice(0, 1) : shorten(ctx, text, column, FONT.label);
    drawText(ctx, shown, axis.centre(first + at), y, {
      colour: ink,
      size: FONT.label,
      align: "center",
      baseline: "middle",
    });
  };
  withClip(ctx, { x: axis.x0, y: plot.y - 1, width: axis.x1 - axis.x0, height: plot.height + 2 }, () => {
    const both = !view.isSymbol && view.kind === "value";
    if (!view.isSymbol) {
      const height = both ? plot.height : half - 6;
      horizontal(ctx, axis.x0, axis.x1, yOf(0, plot.y, height), 1, withAlpha(palette.line, 0.4), pixelRatio);
      view.inputNames.forEach((_, feature) => {
        line(plot.y, height, (at) => view.steps[at]?.x[feature] ?? 0, palette.inkSoft, feature === 0 ? 2 : 1.25);
      });
    }
    if (view.kind === "value") {
      const [top, height] = both ? [plot.y, plot.height] : [plot.y + half + 6, half - 6];
      line(top, height, (at) => view.steps[at]?.output[0] ?? 0, colour, 3);
    }
    view.steps.forEach(({ x, output }, at) => {
      if (view.isSymbol) letter(view.inputNames[x[0] ?? 0] ?? "", at, rows.read, palette.ink);
      if (view.kind !== "class") return;
      const { at: answer, value } = largest(output);
      letter(view.targetNames[answer] ?? "", at, rows.answered, withAlpha(colour, 0.35 + 0.65 * value));
    });
  });
  if (view.isSymbol || view.kind === "class") {
    drawText(ctx, "reads", axis.x0 - 6, rows.read, label);
    drawText(ctx, "says", axis.x0 - 6, rows.answered, label);
  } else {
    const legend = { size: FONT.tick, align: "left", baseline: "middle" } as const;
    drawText(ctx, "reads", axis.x1 + 6, plot.y + 8, { ...legend, colour: palette.inkSoft });
    drawText(ctx, "says", axis.x1 + 6, plot.y + 24, { ...legend, colour });
    for (const value of [low, high]) {
      const y = Math.min(Math.max(yOf(value, plot.y, plot.height), plot.y + 5), plot.y + plot.height - 5);
      drawText(ctx, String(value), axis.x0 - 6, y, label);
    }
  }
  ctx.restore();
}
