/**
 * Curves over training steps, such as loss and accuracy of all lanes: thinning, smoothing, and a line chart.
 *
 * Thinning keeps the lowest and highest value of every pixel column, so that no spike is lost. Smoothing is an
 * exponential moving average whose weight is stated on the chart; the raw extent stays visible behind it.
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
  snap,
  textWidth,
  vertical,
  withClip,
} from "./canvas.js";
import { count, powerOfTen, significant } from "./numbers.js";
import { laneOf, type Palette, withAlpha } from "./palette.js";
import { niceTicks } from "./predictions.js";

/** Values over training steps, ascending; `n` of the arrays' entries are in use. */
export interface Series {
  /** Index of the lane. */
  lane: number;
  label: string;
  n: number;
  steps: ArrayLike<number>;
  values: ArrayLike<number>;
}

/** A series in as many buckets as it needs pixels. */
export interface Decimated {
  /** For each bucket that holds a value: its place on the horizontal axis, and its extent. */
  x: Float64Array;
  low: Float64Array;
  high: Float64Array;
  last: Float64Array;
  n: number;
}

/**
 * Lowest, highest and last finite value in each of `nBuckets` equal parts of [from, to]. Buckets without a value are
 * left out, so that gaps do not become zeros.
 */
export function decimate(series: Series, from: number, to: number, nBuckets: number): Decimated {
  const buckets = Math.max(1, Math.floor(nBuckets));
  const out: Decimated = {
    x: new Float64Array(buckets),
    low: new Float64Array(buckets),
    high: new Float64Array(buckets),
    last: new Float64Array(buckets),
    n: 0,
  };
  const width = (to - from) / buckets || 1;
  let current = -1;
  for (let i = 0; i < series.n; i += 1) {
    const step = series.steps[i] ?? Number.NaN;
    const value = series.values[i] ?? Number.NaN;
    if (!Number.isFinite(value) || !(step >= from) || !(step <= to)) continue;
    const bucket = Math.min(buckets - 1, Math.floor((step - from) / width));
    if (bucket !== current) {
      current = bucket;
      out.low[out.n] = value;
      out.high[out.n] = value;
      out.n += 1;
    }
    const at = out.n - 1;
    out.x[at] = step;
    out.low[at] = Math.min(out.low[at] ?? value, value);
    out.high[at] = Math.max(out.high[at] ?? value, value);
    out.last[at] = value;
  }
  return out;
}

/**
 * Exponential moving average with weight `alpha` for the new value: s ← s + α·(v − s), bias-corrected so that the first
 * values are not pulled to zero. Values that are not finite are skipped and stay NaN.
 */
export function smooth(values: ArrayLike<number>, n: number, alpha: number): Float64Array {
  const out = new Float64Array(n);
  let sum = 0;
  let weight = 0;
  for (let i = 0; i < n; i += 1) {
    const value = values[i] ?? Number.NaN;
    if (!Number.isFinite(value)) {
      out[i] = Number.NaN;
      continue;
    }
    sum += alpha * (value - sum);
    weight += alpha * (1 - weight);
    out[i] = sum / weight;
  }
  return out;
}

/** A horizontal line to compare with, such as the loss of the best answer without memory. */
export interface Reference {
  value: number;
  label: string;
}

export interface CurveOptions {
  heading: string;
  scale: "linear" | "log";
  /** The vertical range; from {@link curveRange}, or fixed as for accuracies. */
  range: readonly [number, number];
  /** First and last training step shown. */
  steps: readonly [number, number];
  references?: readonly Reference[];
  /** Weight of the moving average, 0 < α < 1; none when absent. */
  alpha?: number;
  /** The training step under the cursor. */
  cursor?: number | null;
  /** Training steps that can be looked back at: ticks on the axis. */
  marks?: readonly number[];
  /** The training step that is looked back at: a line, and what came later fades. */
  shown?: number | null;
  /** Values as percentages. */
  percent?: boolean;
}

/** The next of 1, 2, 5 × 10ⁿ below or above a positive number. */
function ladder(value: number, up: boolean): number {
  const decade = 10 ** Math.floor(Math.log10(value));
  const rungs = [1, 2, 5, 10].map((n) => Number((n * decade).toPrecision(1)));
  const found = up ? rungs.find((rung) => rung >= value) : rungs.reverse().find((rung) => rung <= value);
  return found ?? value;
}

/** A steady vertical range over all series and references; `previous` is kept while it fits and is not far too wide. */
export function curveRange(
  all: readonly Series[],
  references: readonly Reference[],
  scale: "linear" | "log",
  previous: readonly [number, number] | null,
): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  const take = (value: number): void => {
    if (!Number.isFinite(value) || (scale === "log" && value <= 0)) return;
    low = Math.min(low, value);
    high = Math.max(high, value);
  };
  for (const series of all) for (let i = 0; i < series.n; i += 1) take(series.values[i] ?? Number.NaN);
  for (const reference of references) take(reference.value);
  if (low > high) return previous === null ? (scale === "log" ? [0.01, 1] : [0, 1]) : [previous[0], previous[1]];
  if (scale === "log") {
    const wanted = [ladder(low, false), ladder(high, true)] as const;
    const bottom =
      previous !== null && wanted[0] >= previous[0] && wanted[0] <= previous[0] * 30 ? previous[0] : wanted[0];
    const top =
      previous !== null && wanted[1] <= previous[1] && wanted[1] >= previous[1] / 30 ? previous[1] : wanted[1];
    return [bottom, Math.max(top, bottom * 10)];
  }
  const bottom = Math.min(0, low);
  if (previous !== null && previous[0] <= bottom && previous[1] >= high && high > previous[1] / 3)
    return [previous[0], previous[1]];
  const air = (high - bottom) * 0.08 || 1;
  return [bottom, high + air];
}

interface Chart {
  plot: Box;
  xOf: (step: number) => number;
  yOf: (value: number) => number;
}

function chartOf(box: Box, options: CurveOptions): Chart {
  const left = 44;
  const right = 14;
  const top = 42;
  const bottom = 22;
  const plot = {
    x: box.x + left,
    y: box.y + top,
    width: Math.max(1, box.width - left - right),
    height: Math.max(1, box.height - top - bottom),
  };
  const [low, high] = options.range;
  const [from, to] = options.steps;
  const unit = (value: number): number =>
    options.scale === "log" ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return {
    plot,
    xOf: (step) => plot.x + plot.width * ((step - from) / Math.max(1, to - from)),
    yOf: (value) => {
      const at = options.scale === "log" && value <= 0 ? 0 : unit(value);
      return plot.y + plot.height * (1 - Math.min(1, Math.max(0, at)));
    },
  };
}

export interface CurveHit {
  step: number;
  /** The last value at or before that step, one for each series; NaN where there is none. */
  values: number[];
}

/** Index of the last entry whose step is at most `step`, or −1. */
export function indexAt(series: Series, step: number): number {
  let low = 0;
  let high = series.n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((series.steps[middle] ?? Number.POSITIVE_INFINITY) <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The training step at a point of the chart, and the values there; null outside the plot. */
export function curvesHit(
  box: Box,
  all: readonly Series[],
  options: CurveOptions,
  x: number,
  y: number,
): CurveHit | null {
  const { plot } = chartOf(box, options);
  if (x < plot.x || x > plot.x + plot.width || y < plot.y || y > plot.y + plot.height) return null;
  const [from, to] = options.steps;
  const step = Math.round(from + ((x - plot.x) / plot.width) * (to - from));
  return { step, values: all.map((series) => series.values[indexAt(series, step)] ?? Number.NaN) };
}

function tickText(value: number, options: CurveOptions): string {
  if (options.percent === true) return `${String(Math.round(value * 100))} %`;
  if (options.scale === "log") {
    const exponent = Math.round(Math.log10(value));
    return value >= 0.000999 && value < 1000 ? String(Number(value.toPrecision(1))) : significantPower(value, exponent);
  }
  return String(Number(value.toPrecision(6))).replace("-", "−");
}

/** 10⁻⁴, or 2·10⁻⁴ between the decades. */
function significantPower(value: number, exponent: number): string {
  const low = Math.floor(Math.log10(value) + 1e-9);
  const leading = Math.round(value / 10 ** low);
  return leading === 1 ? powerOfTen(exponent) : `${String(leading)}·${powerOfTen(low)}`;
}

/** A training step on a tick: 800, 12k, 1.5M. */
function stepText(step: number): string {
  if (step >= 1e6) return `${String(Number((step / 1e6).toFixed(2)))}M`;
  return step >= 1e4 ? `${String(Number((step / 1e3).toFixed(1)))}k` : count(step);
}

/** Draws the chart: one line for each lane, dashes and an end marker as a second cue. */
export function drawCurves(
  ctx: Canvas2D,
  box: Box,
  all: readonly Series[],
  palette: Palette,
  options: CurveOptions,
): void {
  const pixelRatio = pixelRatioOf(ctx);
  const chart = chartOf(box, options);
  const { plot } = chart;
  const [low, high] = options.range;
  const [from, to] = options.steps;
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  drawText(ctx, options.heading, box.x + 4, box.y + 14, { colour: palette.ink, size: FONT.label, weight: 600 });
  const notes = [
    options.scale === "log" ? "log" : "",
    options.alpha === undefined ? "" : `smoothed, α ${String(options.alpha)}`,
  ];
  drawText(ctx, notes.filter((note) => note !== "").join(" · "), box.x + box.width - 14, box.y + 14, {
    colour: palette.inkSoft,
    size: FONT.tick,
    align: "right",
    maxWidth: box.width - 24 - textWidth(ctx, options.heading, FONT.label, 600),
  });

  const ticks =
    options.scale === "log" ? decadesOf(low, high, plot.height / 22) : niceTicks(low, high, plot.height / 26);
  for (const tick of ticks) {
    const y = chart.yOf(tick);
    horizontal(ctx, plot.x, plot.x + plot.width, y, 1, palette.grid, pixelRatio);
    drawText(ctx, tickText(tick, options), plot.x - 6, y, {
      colour: palette.inkSoft,
      size: FONT.tick,
      align: "right",
      baseline: "middle",
    });
  }
  const bottom = plot.y + plot.height;
  horizontal(ctx, plot.x, plot.x + plot.width, bottom, 1, palette.line, pixelRatio);
  for (const tick of niceTicks(from, to, plot.width / 64).filter((step) => Number.isInteger(step))) {
    const x = chart.xOf(tick);
    vertical(ctx, x, bottom, bottom + 4, 1, palette.line, pixelRatio);
    const half = textWidth(ctx, stepText(tick), FONT.tick) / 2;
    drawText(ctx, stepText(tick), Math.min(x, box.x + box.width - half - 1), bottom + 7, {
      colour: palette.inkSoft,
      size: FONT.tick,
      align: "center",
      baseline: "top",
    });
  }

  for (const mark of options.marks ?? []) {
    if (mark >= from && mark <= to) vertical(ctx, chart.xOf(mark), bottom - 4, bottom, 1, palette.inkSoft, pixelRatio);
  }

  for (const reference of options.references ?? []) {
    const y = chart.yOf(reference.value);
    ctx.setLineDash([3, 4]);
    horizontal(ctx, plot.x, plot.x + plot.width, y, 1.5, palette.inkSoft, pixelRatio);
    ctx.setLineDash([]);
  }

  withClip(ctx, { ...plot, x: plot.x - 1, y: plot.y - 3, width: plot.width + 12, height: plot.height + 6 }, () => {
    for (const series of all) drawSeries(ctx, chart, series, palette, options);
  });

  if (options.shown !== undefined && options.shown !== null) {
    const x = chart.xOf(options.shown);
    ctx.fillStyle = withAlpha(palette.background, 0.6);
    ctx.fillRect(x, plot.y - 3, plot.x + plot.width + 12 - x, plot.height + 2);
    vertical(ctx, x, plot.y, bottom, 2, palette.cursor, pixelRatio);
  }

  for (const reference of options.references ?? []) {
    const y = chart.yOf(reference.value);
    drawText(ctx, reference.label, plot.x + plot.width - 2, y < plot.y + 18 ? y + 14 : y - 5, {
      colour: palette.inkSoft,
      size: FONT.tick,
      align: "right",
      halo: palette.background,
      maxWidth: plot.width - 4,
    });
  }

  if (options.cursor !== undefined && options.cursor !== null && options.cursor >= from && options.cursor <= to) {
    const x = chart.xOf(options.cursor);
    vertical(ctx, x, plot.y, bottom, 1, palette.cursor, pixelRatio);
    for (const series of all) {
      const at = indexAt(series, options.cursor);
      const value = series.values[at];
      if (value === undefined || !Number.isFinite(value)) continue;
      const lane = laneOf(palette, series.lane);
      drawMarker(ctx, lane.marker, snap(x, 0, pixelRatio), chart.yOf(value), 4.5, lane.colour, palette.background);
    }
    const label = `step ${count(options.cursor)}`;
    const width = textWidth(ctx, label, FONT.tick);
    drawText(ctx, label, Math.min(x + 5, plot.x + plot.width - width), plot.y + 10, {
      colour: palette.ink,
      size: FONT.tick,
      halo: palette.background,
    });
  }
  drawLabels(ctx, chart, all, palette, options);
  ctx.restore();
}

/** Powers of ten; with few of them also 2 and 5 between. */
function decadesOf(low: number, high: number, most: number): number[] {
  if (Math.log10(high / low) * 3 <= most) {
    const ticks: number[] = [];
    for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.log10(high); exponent += 1) {
      for (const leading of [1, 2, 5]) {
        const tick = Number((leading * 10 ** exponent).toPrecision(1));
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks;
  }
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first) / Math.max(1, most)));
  const ticks: number[] = [];
  for (let exponent = first; exponent <= last; exponent += every) ticks.push(10 ** exponent);
  return ticks;
}

function drawSeries(ctx: Canvas2D, chart: Chart, series: Series, palette: Palette, options: CurveOptions): void {
  const lane = laneOf(palette, series.lane);
  const [from, to] = options.steps;
  const nBuckets = chart.plot.width;
  const raw = decimate(series, from, to, nBuckets);
  if (raw.n === 0) return;
  if (options.alpha !== undefined) {
    ctx.beginPath();
    for (let i = 0; i < raw.n; i += 1) ctx.lineTo(chart.xOf(raw.x[i] ?? 0), chart.yOf(raw.high[i] ?? 0));
    for (let i = raw.n - 1; i >= 0; i -= 1) ctx.lineTo(chart.xOf(raw.x[i] ?? 0), chart.yOf(raw.low[i] ?? 0));
    ctx.closePath();
    ctx.fillStyle = withAlpha(lane.colour, 0.18);
    ctx.fill();
    ctx.strokeStyle = withAlpha(lane.colour, 0.18);
    ctx.lineWidth = 1;
    ctx.setLineDash([]);
    ctx.stroke();
  }
  const shown =
    options.alpha === undefined
      ? raw
      : decimate({ ...series, values: smooth(series.values, series.n, options.alpha) }, from, to, nBuckets);
  ctx.beginPath();
  for (let i = 0; i < shown.n; i += 1) {
    const x = chart.xOf(shown.x[i] ?? 0);
    if (options.alpha === undefined && (shown.high[i] ?? 0) > (shown.low[i] ?? 0)) {
      ctx.lineTo(x, chart.yOf(shown.high[i] ?? 0));
      ctx.lineTo(x, chart.yOf(shown.low[i] ?? 0));
    }
    ctx.lineTo(x, chart.yOf(shown.last[i] ?? 0));
  }
  ctx.strokeStyle = lane.colour;
  ctx.lineWidth = 2.25;
  ctx.lineJoin = "round";
  ctx.setLineDash([...lane.dash]);
  ctx.stroke();
  ctx.setLineDash([]);
  const end = shown.n - 1;
  drawMarker(
    ctx,
    lane.marker,
    chart.xOf(shown.x[end] ?? 0),
    chart.yOf(shown.last[end] ?? 0),
    4,
    lane.colour,
    palette.background,
  );
}

/** Each lane's value at the cursor, or its last one, in a row between heading and plot. */
function drawLabels(
  ctx: Canvas2D,
  chart: Chart,
  all: readonly Series[],
  palette: Palette,
  options: CurveOptions,
): void {
  const { plot } = chart;
  let x = plot.x - 36;
  for (const series of all) {
    const lane = laneOf(palette, series.lane);
    const at = options.cursor === undefined || options.cursor === null ? series.n - 1 : indexAt(series, options.cursor);
    const value = series.values[at];
    const text =
      value === undefined
        ? "–"
        : options.percent === true
          ? `${(value * 100).toFixed(value >= 0.9995 ? 0 : 1)} %`
          : significant(value, 3);
    const label = `${series.label} ${text}`;
    const y = plot.y - 10;
    drawMarker(ctx, lane.marker, x + 4, y - 4, 3.5, lane.colour, palette.background);
    drawText(ctx, label, x + 12, y, { colour: lane.colour, size: FONT.label, weight: 600 });
    x += textWidth(ctx, label, FONT.label, 600) + 26;
  }
}
