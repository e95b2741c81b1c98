/**
 * A probe sequence as rows of marks on a time axis: what goes in, and what is asked where.
 *
 * Shared by the graph (below its nodes) and the task's thumbnail. Marks are drawn as well as the columns allow: symbols as
 * letters in boxes, as letters, or as a roll with one height for each symbol; features as numbers, bars or a line.
 */

import type { TimeAxis } from "./axis.js";
import { type Box, type Canvas2D, drawText, fillBox, FONT, horizontal, roundedPath, textWidth } from "./canvas.js";
import { argmax, type ProbeView } from "./frame.js";
import { rangeEnd, significant } from "./numbers.js";
import { type Palette, withAlpha } from "./palette.js";

/** The name of an index, or the index itself. */
export function nameOf(names: readonly string[], index: number): string {
  return names[index] ?? String(index);
}

/** The range of one feature over the sequence, 0 included. */
export function featureRange(values: Float32Array, size: number, feature: number): [number, number] {
  let low = 0;
  let high = 0;
  for (let at = feature; at < values.length; at += size) {
    const value = values[at] ?? 0;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low === high ? [0, 1] : [low, high];
}

/** Height of the input rows in a graph. */
export function inputHeight(probe: ProbeView): number {
  return probe.input.kind === "symbols"
    ? 24
    : Math.min(4, Math.max(1, probe.input.size)) * (probe.input.size > 2 ? 16 : 22);
}

/** Draws the inputs between the left and right end of an axis, within the box's y and height. */
export function drawInputs(
  ctx: Canvas2D,
  axis: TimeAxis,
  box: Box,
  probe: ProbeView,
  palette: Palette,
  pixelRatio: number,
): void {
  if (probe.input.kind === "symbols")
    drawSymbols(ctx, axis, box, probe.input.values, probe.input.names, palette, pixelRatio);
  else drawFeatures(ctx, axis, box, probe, palette, pixelRatio);
}

function drawSymbols(
  ctx: Canvas2D,
  axis: TimeAxis,
  box: Box,
  symbols: Float32Array,
  names: readonly string[],
  palette: Palette,
  pixelRatio: number,
): void {
  const widest = names.reduce((most, name) => Math.max(most, textWidth(ctx, name, FONT.label, 600)), 0);
  const boxed = axis.stepWidth >= Math.max(18, widest + 8);
  const lettered = axis.stepWidth >= Math.max(8, textWidth(ctx, "0", FONT.tick)) && axis.stepWidth >= widest + 1;
  const middle = box.y + box.height / 2;
  if (boxed || lettered) {
    for (let t = 0; t < axis.nSteps; t += 1) {
      const x = axis.centre(t);
      const name = nameOf(names, symbols[t] ?? 0);
      if (boxed) {
        const width = Math.min(axis.stepWidth - 4, Math.max(20, widest + 10));
        const height = Math.min(20, box.height - 2);
        roundedPath(ctx, { x: x - width / 2, y: middle - height / 2, width, height }, 4);
        ctx.fillStyle = withAlpha(palette.line, 0.16);
        ctx.fill();
      }
      drawText(ctx, name, x, middle + 0.5, {
        colour: palette.ink,
        size: boxed ? FONT.label : FONT.tick,
        weight: boxed ? 600 : 400,
        align: "center",
        baseline: "middle",
      });
    }
    return;
  }
  // A roll: the first symbol stands lowest.
  const n = Math.max(1, names.length);
  const mark = Math.max(2, box.height / n);
  const width = Math.max(1 / pixelRatio, axis.stepWidth - (axis.stepWidth >= 3 ? 1 : 0));
  fillBox(
    ctx,
    { x: axis.x0, y: box.y, width: axis.x1 - axis.x0, height: box.height },
    withAlpha(palette.line, 0.1),
    pixelRatio,
  );
  ctx.fillStyle = palette.ink;
  for (let t = 0; t < axis.nSteps; t += 1) {
    const symbol = symbols[t] ?? 0;
    const y = box.y + (box.height - mark) * (n === 1 ? 0.5 : 1 - symbol / (n - 1));
    ctx.fillRect(axis.left(t), y, width, mark);
  }
}

function drawFeatures(
  ctx: Canvas2D,
  axis: TimeAxis,
  box: Box,
  probe: ProbeView,
  palette: Palette,
  pixelRatio: number,
): void {
  const { values, size } = probe.input;
  const rowHeight = box.height / Math.max(1, size);
  for (let feature = 0; feature < size; feature += 1) {
    const top = box.y + feature * rowHeight + 2;
    const height = rowHeight - 4;
    if (axis.stepWidth >= 36 && height >= 11) {
      for (let t = 0; t < axis.nSteps; t += 1) {
        const value = values[t * size + feature] ?? 0;
        drawText(ctx, significant(value, 2), axis.centre(t), top + height / 2, {
          colour: value === 0 ? palette.inkSoft : palette.ink,
          size: FONT.label,
          align: "center",
          baseline: "middle",
        });
      }
      continue;
    }
    const [low, high] = featureRange(values, size, feature);
    const yOf = (value: number): number => top + height * (1 - (value - low) / (high - low));
    drawSeries(ctx, axis, values, size, feature, yOf, palette.ink, pixelRatio);
    horizontal(ctx, axis.x0, axis.x1, yOf(0), 1, withAlpha(palette.line, 0.6), pixelRatio);
  }
}

/** One series: bars from zero while each has room, else a line through every value. */
function drawSeries(
  ctx: Canvas2D,
  axis: TimeAxis,
  values: Float32Array,
  size: number,
  feature: number,
  yOf: (value: number) => number,
  colour: string,
  pixelRatio: number,
): void {
  const sparse = everyOther(values, size, feature);
  if (axis.stepWidth >= 3 || sparse) {
    const gap = axis.stepWidth >= 5 ? 1.5 : axis.stepWidth >= 3 ? 0.5 : 0;
    const width = Math.min(22, Math.max(1.5 / pixelRatio, axis.stepWidth - 2 * gap));
    ctx.fillStyle = withAlpha(colour, 0.75);
    for (let t = 0; t < axis.nSteps; t += 1) {
      const value = values[t * size + feature] ?? 0;
      if (value === 0) continue;
      const y = yOf(value);
      const zero = yOf(0);
      ctx.fillRect(axis.centre(t) - width / 2, Math.min(y, zero), width, Math.max(1, Math.abs(zero - y)));
    }
    return;
  }
  ctx.beginPath();
  for (let t = 0; t < axis.nSteps; t += 1) ctx.lineTo(axis.centre(t), yOf(values[t * size + feature] ?? 0));
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.lineJoin = "round";
  ctx.setLineDash([]);
  ctx.stroke();
}

/** True when most values are zero, as in a row of markers. */
function everyOther(values: Float32Array, size: number, feature: number): boolean {
  let zeros = 0;
  const n = values.length / size;
  for (let t = 0; t < n; t += 1) if (values[t * size + feature] === 0) zeros += 1;
  return zeros * 2 > n;
}

/** What the network answers at a timestep, in a few letters, and whether it is right (null where that has no yes or no). */
export function answerAt(probe: ProbeView, step: number): { text: string; wanted: string; right: boolean | null } {
  const { target, outputs } = probe;
  if (target.kind === "class") {
    const said = argmax(outputs, step, target.names.length);
    const wanted = target.values[step] ?? -1;
    return {
      text: said < 0 ? "?" : nameOf(target.names, said),
      wanted: wanted < 0 ? "" : nameOf(target.names, wanted),
      right: wanted < 0 ? null : said === wanted,
    };
  }
  return {
    text: significant(outputs[step * target.size] ?? Number.NaN, 2),
    wanted: significant(target.values[step * target.size] ?? Number.NaN, 2),
    right: null,
  };
}

/** Draws a tick or a cross of half-width `size`: right and wrong are told apart without colour. */
export function drawVerdict(ctx: Canvas2D, right: boolean, x: number, y: number, size: number, palette: Palette): void {
  ctx.beginPath();
  if (right) {
    ctx.moveTo(x - size, y);
    ctx.lineTo(x - size * 0.2, y + size * 0.8);
    ctx.lineTo(x + size, y - size * 0.9);
  } else {
    ctx.moveTo(x - size * 0.8, y - size * 0.8);
    ctx.lineTo(x + size * 0.8, y + size * 0.8);
    ctx.moveTo(x - size * 0.8, y + size * 0.8);
    ctx.lineTo(x + size * 0.8, y - size * 0.8);
  }
  ctx.strokeStyle = right ? palette.right : palette.wrong;
  ctx.lineWidth = Math.max(1.5, size * 0.5);
  ctx.lineCap = "round";
  ctx.lineJoin = "round";
  ctx.setLineDash([]);
  ctx.stroke();
  ctx.lineCap = "butt";
}

/** "0 … 1" for a feature's row. */
export function rangeText(range: readonly [number, number]): string {
  return `${rangeEnd(range[0], false)} … ${rangeEnd(range[1], false)}`;
}
