/**
 * Predictions against targets.
 *
 * Classes at many timesteps: probability by colour, classes × time, the target outlined. Classes at one timestep: a bar
 * for each. Values at many timesteps: two lines. Values at one timestep: two marks on a number line.
 */

import {
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
  drawMarker,
  drawText,
  fillBox,
  FONT,
  horizontal,
  pixelRatioOf,
  snap,
  textWidth,
  vertical,
  withClip,
} from "./canvas.js";
import type { FrameView, ProbeView } from "./frame.js";
import { channelScale, drawVerticalBar } from "./legend.js";
import { count, significant } from "./numbers.js";
import { laneOf, type Palette, rampColour, withAlpha } from "./palette.js";
import { drawVerdict, nameOf } from "./probe.js";

export interface PredictionOptions extends PanelOptions {
  /** Index of the lane whose predictions these are. */
  lane: number;
}

/** How the predictions of a probe are drawn. */
export function predictionKind(probe: ProbeView): "class-bars" | "class-heat" | "value-mark" | "value-lines" {
  const one = probe.scored.length <= 1;
  if (probe.target.kind === "class") return one ? "class-bars" : "class-heat";
  return one ? "value-mark" : "value-lines";
}

/** Height of the lines with source and answers in words. */
const WORDS_HEIGHT = 36;

/** Source and answer of a probe sequence, and what the network says when it reads its own answers, each a word. */
export function wordsOf(probe: ProbeView): { source: string; answer: string; said: string; right: boolean } | null {
  if (probe.source === null) return null;
  const { input, target, source } = probe;
  const blank = input.names.length - 2;
  const named = (names: readonly string[], indices: readonly number[]): string =>
    indices
      .map((index) => nameOf(names, index))
      .join("")
      .replaceAll("␣", " ");
  const shown = [...input.values.subarray(0, source)];
  const wanted = [...target.values.subarray(source)];
  const answer = named(target.names, wanted);
  const said = named(target.names, [...probe.said]);
  const from = shown.findIndex((symbol) => symbol !== blank);
  return { source: named(input.names, shown.slice(Math.max(0, from))), answer, said, right: answer === said };
}

/** Height that suits a probe. */
export function predictionsHeight(probe: ProbeView): number {
  const kind = predictionKind(probe);
  if (kind === "class-bars") return 26 + Math.min(12, probe.target.names.length) * 22;
  const words = probe.source === null ? 0 : WORDS_HEIGHT;
  if (kind === "class-heat") return 44 + words + Math.min(16, probe.target.names.length) * 14;
  return kind === "value-mark" ? 84 : 150;
}

/** Draws the predictions on the probe sequence. */
export function drawPredictions(
  ctx: Canvas2D,
  box: Box,
  frame: FrameView,
  palette: Palette,
  options: PredictionOptions,
): void {
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatioOf(ctx));
  const kind = predictionKind(frame.probe);
  if (kind === "class-bars") drawClassBars(ctx, box, frame.probe, palette, options);
  else if (kind === "value-mark") drawValueMark(ctx, box, frame.probe, palette, options);
  else {
    const axis = timeAxis(frame.nSteps, box);
    drawHeading(ctx, box, axis, options.heading, palette);
    const words = wordsOf(frame.probe);
    const whole = plotBox(box, axis, options);
    const top = words === null ? 0 : WORDS_HEIGHT;
    const plot = { ...whole, y: whole.y + top, height: Math.max(1, whole.height - top) };
    if (words !== null) drawWords(ctx, box, whole.y, words, palette, laneOf(palette, options.lane).colour);
    if (kind === "class-heat") drawClassHeat(ctx, box, axis, plot, frame.probe, palette);
    else drawValueLines(ctx, box, axis, plot, frame.probe, palette, options);
    const pixelRatio = pixelRatioOf(ctx);
    drawCursors(ctx, axis, plot.y, plot.y + plot.height, options.cursors ?? NO_CURSORS, palette, pixelRatio);
    if (options.ticks === true) drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio, options.cursors);
  }
  ctx.restore();
}

function drawWords(
  ctx: Canvas2D,
  box: Box,
  top: number,
  words: { source: string; answer: string; said: string; right: boolean },
  palette: Palette,
  colour: string,
): void {
  const maxWidth = box.width - 26;
  const asked = `${words.source} → ${words.answer}`;
  drawText(ctx, asked, box.x + 4, top + 8, { colour: palette.ink, baseline: "middle", maxWidth });
  const style = { colour, weight: 600, baseline: "middle", maxWidth } as const;
  const text = `by itself it says ${words.said}`;
  drawText(ctx, text, box.x + 4, top + 24, style);
  drawVerdict(
    ctx,
    words.right,
    box.x + 14 + Math.min(maxWidth, textWidth(ctx, text, FONT.label, 600)),
    top + 24,
    5,
    palette,
  );
}

/** The only timestep where the loss counts; the last one when there is none. */
function scoredStep(probe: ProbeView): number {
  return probe.scored[0] ?? probe.mask.length - 1;
}

function drawClassBars(ctx: Canvas2D, box: Box, probe: ProbeView, palette: Palette, options: PredictionOptions): void {
  const step = scoredStep(probe);
  const { names } = probe.target;
  const wanted = probe.target.values[step] ?? -1;
  const lane = laneOf(palette, options.lane);
  drawText(ctx, `step ${count(step + 1)}: probability of each class`, box.x + 4, box.y + 14, {
    colour: palette.ink,
    size: FONT.label,
    weight: 600,
    maxWidth: box.width - 8,
  });
  const nameWidth = Math.min(
    90,
    names.reduce((most, name) => Math.max(most, textWidth(ctx, name, FONT.label, 600)), 8),
  );
  const x0 = box.x + 24 + nameWidth;
  const x1 = box.x + box.width - 56;
  const room = Math.max(1, Math.floor((box.height - 24) / 16));
  // With more classes than room, the likeliest and the target.
  const all = names.map((_, k) => k);
  const likeliest = [...all].sort((a, b) => probabilityOf(probe, step, b) - probabilityOf(probe, step, a));
  const kept = new Set(likeliest.slice(0, room));
  if (wanted >= 0 && !kept.has(wanted)) {
    const dropped = likeliest[room - 1];
    if (dropped !== undefined) kept.delete(dropped);
    kept.add(wanted);
  }
  const shown = all.filter((k) => kept.has(k));
  const rowHeight = Math.min(24, (box.height - 24) / Math.max(1, shown.length));
  const best = likeliest[0] ?? -1;
  shown.forEach((k, i) => {
    const y = box.y + 24 + i * rowHeight;
    const middle = y + rowHeight / 2;
    const probability = probabilityOf(probe, step, k);
    drawText(ctx, nameOf(names, k), x0 - 6, middle, {
      colour: palette.ink,
      weight: k === wanted ? 600 : 400,
      align: "right",
      baseline: "middle",
      maxWidth: nameWidth,
    });
    const height = Math.min(14, rowHeight - 4);
    ctx.fillStyle = withAlpha(palette.line, 0.14);
    ctx.fillRect(x0, middle - height / 2, x1 - x0, height);
    ctx.fillStyle = lane.colour;
    ctx.fillRect(x0, middle - height / 2, Math.max(1, (x1 - x0) * probability), height);
    if (k === wanted) {
      ctx.strokeStyle = palette.ink;
      ctx.lineWidth = 2;
      ctx.strokeRect(x0 - 1, middle - height / 2 - 1, x1 - x0 + 2, height + 2);
      drawVerdict(ctx, best === wanted, box.x + 9, middle, 5, palette);
    }
    drawText(
      ctx,
      `${(probability * 100).toFixed(probability < 0.0995 && probability > 0 ? 1 : 0)} %`,
      box.x + box.width - 4,
      middle,
      {
        colour: palette.ink,
        weight: k === wanted ? 600 : 400,
        align: "right",
        baseline: "middle",
      },
    );
  });
}

function probabilityOf(probe: ProbeView, step: number, k: number): number {
  const p = probe.outputs[step * probe.target.names.length + k] ?? 0;
  return Number.isFinite(p) ? Math.min(1, Math.max(0, p)) : 0;
}

function drawClassHeat(ctx: Canvas2D, box: Box, axis: TimeAxis, plot: Box, probe: ProbeView, palette: Palette): void {
  const pixelRatio = pixelRatioOf(ctx);
  const { names, values } = probe.target;
  const n = Math.max(1, names.length);
  const rowHeight = plot.height / n;
  for (let t = 0; t < axis.nSteps; t += 1) {
    if (probe.mask[t] === 0) continue;
    const left = snap(axis.left(t), 0, pixelRatio);
    const right = Math.max(left + 1 / pixelRatio, snap(axis.left(t + 1), 0, pixelRatio));
    for (let k = 0; k < n; k += 1) {
      ctx.fillStyle = rampColour(palette.gate, probe.outputs[t * n + k] ?? Number.NaN, 0, 1, "#ff00ff");
      ctx.fillRect(left, plot.y + k * rowHeight, right - left, rowHeight + 0.5);
    }
  }
  for (let t = 0; t < axis.nSteps; t += 1) {
    const wanted = values[t] ?? -1;
    if (wanted < 0 || probe.mask[t] === 0) continue;
    const y = plot.y + wanted * rowHeight;
    if (axis.stepWidth >= 6 && rowHeight >= 6) {
      ctx.strokeStyle = palette.ink;
      ctx.lineWidth = 1.5;
      ctx.strokeRect(axis.left(t) + 1.25, y + 1.25, axis.stepWidth - 2.5, rowHeight - 2.5);
    } else {
      ctx.fillStyle = palette.ink;
      ctx.fillRect(axis.left(t), y + rowHeight / 2 - 1, Math.max(1, axis.stepWidth), 2);
    }
  }
  ctx.strokeStyle = palette.line;
  ctx.lineWidth = 1;
  ctx.strokeRect(snap(plot.x, 1, pixelRatio), snap(plot.y, 1, pixelRatio), plot.width, plot.height);
  const every = Math.max(1, Math.ceil(12 / rowHeight));
  for (let k = 0; k < n; k += every) {
    drawText(ctx, nameOf(names, k), axis.x0 - 6, plot.y + (k + 0.5) * rowHeight, {
      colour: palette.inkSoft,
      size: FONT.tick,
      align: "right",
      baseline: "middle",
      maxWidth: axis.x0 - box.x - 6,
    });
  }
  const gutter = { x: axis.x1, y: plot.y + 1, width: box.x + box.width - axis.x1, height: plot.height - 2 };
  drawVerticalBar(ctx, gutter, channelScale(palette, "gate", [0, 1], "probability"), palette);
}

/** The range of targets and outputs where the loss counts, with a little air. */
function valueRange(probe: ProbeView): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  const { size } = probe.target;
  for (const t of probe.scored) {
    for (let k = 0; k < size; k += 1) {
      for (const value of [probe.target.values[t * size + k], probe.outputs[t * size + k]]) {
        if (value === undefined || !Number.isFinite(value)) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
  }
  if (low > high) return [-1, 1];
  const air = Math.max((high - low) * 0.08, Math.abs(high) * 0.01, 1e-6);
  return [low - air, high + air];
}

/** Round numbers inside a range, at most `most` of them. */
export function niceTicks(low: number, high: number, most: number): number[] {
  if (!(high > low) || most < 1) return [];
  const rough = (high - low) / most;
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((n) => n * decade >= rough * (1 - 1e-9)) ?? 10) * decade;
  const ticks: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1)
    ticks.push(Number((k * step).toPrecision(10)));
  return ticks;
}

function drawValueLines(
  ctx: Canvas2D,
  box: Box,
  axis: TimeAxis,
  plot: Box,
  probe: ProbeView,
  palette: Palette,
  options: PredictionOptions,
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const [low, high] = valueRange(probe);
  const yOf = (value: number): number => plot.y + plot.height * (1 - (value - low) / (high - low));
  for (const tick of niceTicks(low, high, plot.height / 28)) {
    horizontal(ctx, axis.x0, axis.x1, yOf(tick), 1, palette.grid, pixelRatio);
    drawText(ctx, String(tick).replace("-", "−"), axis.x0 - 6, yOf(tick), {
      colour: palette.inkSoft,
      size: FONT.tick,
      align: "right",
      baseline: "middle",
      maxWidth: axis.x0 - box.x - 6,
    });
  }
  const lane = laneOf(palette, options.lane);
  const { size } = probe.target;
  const line = (values: Float32Array, colour: string, width: number, dash: readonly number[]): void => {
    for (let k = 0; k < size; k += 1) {
      ctx.beginPath();
      let before = -2;
      for (const t of probe.scored) {
        const value = values[t * size + k] ?? Number.NaN;
        if (!Number.isFinite(value)) continue;
        if (t === before + 1) ctx.lineTo(axis.centre(t), yOf(value));
        else ctx.moveTo(axis.centre(t), yOf(value));
        before = t;
      }
      ctx.strokeStyle = colour;
      ctx.lineWidth = width;
      ctx.lineJoin = "round";
      ctx.setLineDash([...dash]);
      ctx.stroke();
      ctx.setLineDash([]);
    }
  };
  withClip(ctx, { ...plot, y: plot.y - 2, height: plot.height + 4 }, () => {
    line(probe.target.values, withAlpha(palette.line, 0.75), 5, []);
    line(probe.outputs, lane.colour, 2, []);
  });
  horizontal(ctx, axis.x0, axis.x1, plot.y + plot.height, 1, palette.line, pixelRatio);
  const last = probe.scored.at(-1);
  if (last === undefined) return;
  const ends = [
    { text: "target", colour: palette.inkSoft, value: probe.target.values[last * size] ?? Number.NaN },
    { text: "output", colour: lane.colour, value: probe.outputs[last * size] ?? Number.NaN },
  ].map((end) => ({ ...end, y: Number.isFinite(end.value) ? yOf(end.value) : plot.y + 8 }));
  const [one, two] = ends;
  if (one !== undefined && two !== undefined && Math.abs(one.y - two.y) < 15) {
    const middle = (one.y + two.y) / 2;
    const above = one.y <= two.y;
    one.y = middle + (above ? -7.5 : 7.5);
    two.y = middle + (above ? 7.5 : -7.5);
  }
  for (const end of ends) {
    const y = Math.min(Math.max(end.y, plot.y + 7), plot.y + plot.height - 7);
    drawText(ctx, end.text, axis.x1 + 6, y, {
      colour: end.colour,
      size: FONT.label,
      weight: 600,
      baseline: "middle",
      maxWidth: box.x + box.width - axis.x1 - 6,
    });
  }
}

function drawValueMark(ctx: Canvas2D, box: Box, probe: ProbeView, palette: Palette, options: PredictionOptions): void {
  const pixelRatio = pixelRatioOf(ctx);
  const step = scoredStep(probe);
  const { size } = probe.target;
  const target = probe.target.values[step * size] ?? Number.NaN;
  const output = probe.outputs[step * size] ?? Number.NaN;
  const lane = laneOf(palette, options.lane);
  const label = `step ${count(step + 1)}: ${nameOf(probe.target.names, 0)}`;
  drawText(ctx, label, box.x + 4, box.y + 14, { colour: palette.ink, weight: 600, maxWidth: box.width - 8 });

  const finite = [target, output, 0, 1].filter((value) => Number.isFinite(value));
  const ticks = niceTicks(Math.min(...finite), Math.max(...finite), Math.max(2, box.width / 90));
  const low = Math.min(...finite, ticks[0] ?? 0);
  const high = Math.max(...finite, ticks.at(-1) ?? 1);
  const x0 = box.x + 24;
  const x1 = box.x + box.width - 24;
  const xOf = (value: number): number => x0 + ((x1 - x0) * (value - low)) / (high - low || 1);
  const y = snap(box.y + box.height - 26, 2, pixelRatio);
  horizontal(ctx, x0, x1, y, 2, palette.line, pixelRatio);
  for (const tick of ticks) {
    vertical(ctx, xOf(tick), y, y + 6, 1, palette.line, pixelRatio);
    drawText(ctx, String(tick).replace("-", "−"), xOf(tick), y + 9, {
      colour: palette.inkSoft,
      size: FONT.tick,
      align: "center",
      baseline: "top",
    });
  }
  if (!Number.isFinite(target) || !Number.isFinite(output)) return;
  ctx.strokeStyle = withAlpha(lane.colour, 0.5);
  ctx.lineWidth = 4;
  ctx.beginPath();
  ctx.moveTo(xOf(output), y);
  ctx.lineTo(xOf(target), y);
  ctx.stroke();
  vertical(ctx, xOf(target), y - 11, y + 11, 3, palette.ink, pixelRatio);
  drawMarker(ctx, lane.marker, xOf(output), y, 6, lane.colour, palette.background);
  const targetText = `target ${significant(target, 3)}`;
  const outputText = `output ${significant(output, 3)}`;
  const targetFirst = target <= output;
  const gap = 14;
  const targetWidth = textWidth(ctx, targetText, FONT.label, 600);
  const outputWidth = textWidth(ctx, outputText, FONT.label, 600);
  // Both labels share a line above the marks, each as near to its mark as the other allows.
  const clampTo = (x: number, width: number): number => Math.min(Math.max(x, box.x + 4), box.x + box.width - 4 - width);
  let targetX = clampTo(xOf(target) - targetWidth / 2, targetWidth);
  let outputX = clampTo(xOf(output) - outputWidth / 2, outputWidth);
  const clear = targetFirst ? outputX - (targetX + targetWidth) : targetX - (outputX + outputWidth);
  if (clear < gap) {
    const middle = (xOf(target) + xOf(output)) / 2;
    const total = targetWidth + gap + outputWidth;
    const start = clampTo(middle - (targetFirst ? targetWidth : outputWidth) - gap / 2, total);
    targetX = targetFirst ? start : start + outputWidth + gap;
    outputX = targetFirst ? start + targetWidth + gap : start;
  }
  drawText(ctx, targetText, targetX, y - 17, { colour: palette.ink, weight: 600 });
  drawText(ctx, outputText, outputX, y - 17, { colour: lane.colour, weight: 600 });
}
