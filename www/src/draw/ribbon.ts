/**
 * U3, the gradient ribbon: log₁₀ of B·‖∂L/∂h_t‖₂ for each timestep, median and 10–90 % band over the probe sequences.
 *
 * The vertical axis is absolute, and shared by all lanes. The zones are relative, to the value where the last loss enters
 * (`RibbonView.reference`): the question of the picture is which share of that signal is left.
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
} from "./canvas.js";
import type { Fit, FrameView, RibbonView, RowView } from "./frame.js";
import { factor, powerOfTen } from "./numbers.js";
import { type Lane, laneOf, type Palette, withAlpha } from "./palette.js";
import { drawCuts } from "./window.js";

export type Zone = "exploding" | "usable" | "fading" | "dead";

/**
 * Where the zones begin, as shares of the reference.
 *
 * Below 10⁻⁷ a contribution to a sum of f32 numbers is lost to rounding (2⁻²⁴ ≈ 6·10⁻⁸): nothing can be learned from it.
 * Below 10⁻³ it drowns in the gradients of nearer timesteps. Above 10³ an update is ruled by the far past.
 */
export const ZONE_SHARES = { exploding: 1e3, fading: 1e-3, dead: 1e-7 } as const;

/** The zone of a share of the reference. */
export function zoneOf(share: number): Zone {
  if (share > ZONE_SHARES.exploding) return "exploding";
  if (share >= ZONE_SHARES.fading) return "usable";
  return share >= ZONE_SHARES.dead ? "fading" : "dead";
}

/** Powers of ten at the lower and upper end of the vertical axis. */
export type Domain = readonly [number, number];

/** How many decades must lie empty before the axis lets go of them. */
const SLACK = 3;

/** True where the ribbon has meaning: from the reference backwards in reading order, as far as no window cuts it. */
function inReach(ribbon: RibbonView, step: number): boolean {
  const { median, reference, reverse, cut = 0 } = ribbon;
  if (reference < 0) return false;
  return reverse ? step >= reference && step < median.length - cut : step <= reference && step >= cut;
}

/** log₁₀ of a gradient; below the floor the floor, and the upper end of f32 for what is not finite. */
export function logOf(value: number, floor: number): number {
  if (value >= floor) return value === Number.POSITIVE_INFINITY ? 39 : Math.log10(value);
  return Number.isNaN(value) ? 39 : Math.log10(floor);
}

/**
 * A domain that covers the bands of all ribbons, in whole decades, for all lanes together. Where no gradient comes at all it is 0: that
 * is no height, and a mark at the lower end says so.
 *
 * Steady: it grows at once and by the decade, and shrinks only when more than three decades have become empty. It always
 * spans at least six decades, so that a flat ribbon looks flat.
 */
export function ribbonDomain(
  frames: readonly Pick<FrameView, "rows" | "nSteps" | "floor">[],
  previous: Domain | null,
): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const frame of frames) {
    for (const row of frame.rows) {
      for (const ribbon of row.ribbons) {
        for (let t = 0; t < frame.nSteps; t += 1) {
          if (!inReach(ribbon, t)) continue;
          if (ribbon.lower[t] !== 0) low = Math.min(low, logOf(ribbon.lower[t] ?? 0, frame.floor));
          if (ribbon.upper[t] !== 0) high = Math.max(high, logOf(ribbon.upper[t] ?? 0, frame.floor));
        }
      }
    }
  }
  if (low > high) return previous === null ? [-8, 1] : [previous[0], previous[1]];
  let bottom = Math.floor(low - 0.15);
  const top = Math.ceil(high + 0.15);
  bottom = Math.min(bottom, top - 6);
  return steady([bottom, top], previous, SLACK);
}

/** A domain that grows at once, and shrinks only when more than `slack` decades have become empty. */
export function steady([low, high]: Domain, previous: Domain | null, slack: number): [number, number] {
  if (previous === null) return [low, high];
  const keep = (held: number, wanted: number, grows: boolean): number =>
    grows || Math.abs(held - wanted) > slack ? wanted : held;
  return [keep(previous[0], low, low < previous[0]), keep(previous[1], high, high > previous[1])];
}

/** A ribbon of another moment or lane, drawn behind. */
export interface Ghost {
  ribbon: RibbonView;
  label: string;
}

export interface RibbonOptions extends PanelOptions {
  domain: Domain;
  /** Index of the lane: colour, dash and marker. */
  lane: number;
  ghosts?: readonly Ghost[];
  /** W, where the state adjoint is cut. */
  window?: number | null;
  /** Draw the fitted line with its label. */
  fit?: boolean;
}

interface Plot {
  box: Box;
  axis: TimeAxis;
  domain: Domain;
  floor: number;
  pixelRatio: number;
  yOf: (log: number) => number;
}

function plotOf(ctx: Canvas2D | null, box: Box, nSteps: number, floor: number, options: RibbonOptions): Plot {
  const axis = timeAxis(nSteps, box);
  const plot = plotBox(box, axis, options);
  const [low, high] = options.domain;
  return {
    box: plot,
    axis,
    domain: options.domain,
    floor,
    pixelRatio: ctx === null ? 1 : pixelRatioOf(ctx),
    yOf: (log) => plot.y + plot.height * (1 - Math.min(1, Math.max(0, (log - low) / (high - low)))),
  };
}

export interface RibbonHit {
  step: number;
  /** The medians there, one for each ribbon of the row. */
  medians: number[];
  /** Share of the first ribbon's reference, and its zone; null beyond the last loss. */
  share: number | null;
  zone: Zone | null;
}

/** What lies at a point of the ribbon drawn in `box`, or null. */
export function ribbonHit(box: Box, row: RowView, options: RibbonOptions, x: number, y: number): RibbonHit | null {
  const nSteps = row.ribbons[0]?.median.length ?? 0;
  if (nSteps === 0) return null;
  const { axis, box: plot } = plotOf(null, box, nSteps, 0, options);
  const step = axis.stepAt(x);
  if (step === null || y < plot.y || y >= plot.y + plot.height) return null;
  const medians = row.ribbons.map((ribbon) => ribbon.median[step] ?? 0);
  const first = row.ribbons[0];
  const whole = first?.median[first.reference] ?? 0;
  const shown = first !== undefined && inReach(first, step) && whole > 0;
  const share = shown ? (medians[0] ?? 0) / whole : null;
  return { step, medians, share, zone: share === null ? null : zoneOf(share) };
}

/** Draws the ribbons of a row: the first solid, further states dashed. `floor` is the frame's. */
export function drawRibbon(
  ctx: Canvas2D,
  box: Box,
  row: RowView,
  floor: number,
  palette: Palette,
  options: RibbonOptions,
): void {
  const nSteps = row.ribbons[0]?.median.length ?? 0;
  ctx.save();
  const pixelRatio = pixelRatioOf(ctx);
  fillBox(ctx, box, palette.background, pixelRatio);
  if (nSteps > 0) {
    const plot = plotOf(ctx, box, nSteps, floor, options);
    const lane = laneOf(palette, options.lane);
    const [main] = row.ribbons;
    drawHeading(ctx, box, plot.axis, options.heading, palette);
    if (main !== undefined) drawZones(ctx, box, plot, main, palette);
    drawDecades(ctx, plot, palette);
    drawFloor(ctx, plot, palette);
    if (main !== undefined)
      drawCuts(
        ctx,
        { ...box, y: plot.box.y, height: plot.box.height },
        nSteps,
        { window: options.window ?? null, cut: main.cut ?? 0, reverse: main.reverse },
        palette,
      );

    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.box.x, plot.box.y - 1, plot.box.width, plot.box.height + 2);
    ctx.clip();
    for (const ghost of options.ghosts ?? []) drawMedian(ctx, plot, ghost.ribbon, palette.ghost, [], 1.5);
    row.ribbons.forEach((ribbon, i) => {
      drawBand(ctx, plot, ribbon, withAlpha(lane.colour, i === 0 ? 0.2 : 0.1));
    });
    row.ribbons.forEach((ribbon, i) => {
      drawMedian(ctx, plot, ribbon, lane.colour, i === 0 ? [] : [6, 4], i === 0 ? 3 : 2);
    });
    row.ribbons.forEach((ribbon) => {
      drawMarks(ctx, plot, ribbon, lane, palette);
    });
    ctx.restore();

    const { y, height } = plot.box;
    drawCursors(ctx, plot.axis, y, y + height, options.cursors ?? NO_CURSORS, palette, pixelRatio);
    const answer = options.cursors?.answer ?? null;
    const divider = answer === null ? null : plot.axis.left(answer);
    const taken: Box[] = divider === null ? [] : [{ x: divider - 3, y, width: 6, height }];
    // A line through several windows, which no gradient crosses, would say nothing.
    const isWhole = main !== undefined && (main.window === undefined || (main.cut ?? 0) >= nSteps - main.window);
    if (options.fit !== false && main !== undefined && isWhole && main.fit !== null)
      taken.push(...drawFit(ctx, plot, main, main.fit, palette, divider));
    if (main !== undefined) drawNames(ctx, plot, main, row.ribbons, options.ghosts ?? [], lane, palette, taken);
    drawCursorDots(ctx, plot, row.ribbons, options.cursors ?? NO_CURSORS, lane, palette);
    horizontal(ctx, plot.axis.x0, plot.axis.x1, y + height, 1, palette.line, pixelRatio);
    if (options.ticks === true) drawTimeTicks(ctx, plot.axis, y + height, palette, pixelRatio, options.cursors);
  }
  ctx.restore();
}

function drawZones(ctx: Canvas2D, box: Box, plot: Plot, ribbon: RibbonView, palette: Palette): void {
  const whole = ribbon.median[ribbon.reference] ?? 0;
  if (!(whole >= plot.floor) || !Number.isFinite(whole)) return;
  const reference = Math.log10(whole);
  const [low, high] = plot.domain;
  const edges: { zone: Zone; from: number; to: number; share: string }[] = [
    { zone: "exploding", from: reference + 3, to: high, share: "> 10³" },
    { zone: "usable", from: reference - 3, to: reference + 3, share: "" },
    { zone: "fading", from: reference - 7, to: reference - 3, share: "< 10⁻³" },
    { zone: "dead", from: low, to: reference - 7, share: "< 10⁻⁷" },
  ];
  const { axis, pixelRatio } = plot;
  for (const { zone, from, to, share } of edges) {
    if (Math.min(to, high) <= Math.max(from, low)) continue;
    const top = plot.yOf(to);
    const bottom = plot.yOf(from);
    const { fill, ink } = palette.zones[zone];
    fillBox(ctx, { x: axis.x0, y: top, width: axis.x1 - axis.x0, height: bottom - top }, fill, pixelRatio);
    fillBox(ctx, { x: axis.x1 + 2, y: top + 1, width: 4, height: bottom - top - 2 }, ink, pixelRatio);
    if (bottom - top < 12) continue;
    const two = share !== "" && bottom - top >= 30;
    const style = { colour: ink, baseline: "middle", maxWidth: box.x + box.width - axis.x1 - 11 } as const;
    const middle = (top + bottom) / 2;
    const name = textWidth(ctx, zone, FONT.tick, 600) <= style.maxWidth ? zone : `${zone.slice(0, 4)}.`;
    drawText(ctx, name, axis.x1 + 11, middle - (two ? 7 : 0), { ...style, size: FONT.tick, weight: 600 });
    if (two) drawText(ctx, share, axis.x1 + 11, middle + 7, { ...style, size: FONT.tick });
  }
}

function drawDecades(ctx: Canvas2D, plot: Plot, palette: Palette): void {
  const [low, high] = plot.domain;
  const perDecade = plot.box.height / (high - low);
  const every = [1, 2, 3, 5, 10, 20].find((n) => n * perDecade >= 22) ?? 20;
  for (let exponent = Math.ceil(low / every) * every; exponent <= high; exponent += every) {
    const y = plot.yOf(exponent);
    horizontal(ctx, plot.axis.x0, plot.axis.x1, y, 1, withAlpha(palette.line, 0.28), plot.pixelRatio);
    const inside = Math.min(Math.max(y, plot.box.y + 5), plot.box.y + plot.box.height - 4);
    drawText(ctx, powerOfTen(exponent), plot.axis.x0 - 6, inside, {
      colour: palette.inkSoft,
      size: FONT.tick,
      align: "right",
      baseline: "middle",
    });
  }
}

function drawFloor(ctx: Canvas2D, plot: Plot, palette: Palette): void {
  const log = Math.log10(plot.floor);
  const [low, high] = plot.domain;
  if (!(log >= low) || log > high) return;
  const y = plot.yOf(log);
  ctx.setLineDash([2, 3]);
  horizontal(ctx, plot.axis.x0, plot.axis.x1, y, 1.5, palette.inkSoft, plot.pixelRatio);
  ctx.setLineDash([]);
  const label = plot.box.width < 400 ? "f32 floor" : `floor of f32, ${powerOfTen(Math.round(log))}`;
  drawText(ctx, label, plot.axis.x1 - 6, y - 4, {
    colour: palette.inkSoft,
    size: FONT.tick,
    align: "right",
    baseline: "bottom",
    halo: palette.zones.dead.fill,
  });
}

/** Calls `visit` with the lowest and highest log of `values` in each column in reach, from left to right. */
function eachColumn(
  plot: Plot,
  ribbon: RibbonView,
  values: Float32Array,
  visit: (x: number, low: number, high: number) => void,
): void {
  const { axis, floor } = plot;
  for (let column = 0; column < axis.nColumns; column += 1) {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    const begin = column * axis.perColumn;
    const end = Math.min(begin + axis.perColumn, axis.nSteps);
    for (let t = begin; t < end; t += 1) {
      if (!inReach(ribbon, t)) continue;
      const log = logOf(values[t] ?? 0, floor);
      low = Math.min(low, log);
      high = Math.max(high, log);
    }
    if (low <= high) visit(axis.centre((begin + end - 1) / 2), low, high);
  }
}

function drawBand(ctx: Canvas2D, plot: Plot, ribbon: RibbonView, fill: string): void {
  const back: [number, number][] = [];
  ctx.beginPath();
  eachColumn(plot, ribbon, ribbon.upper, (x, _, high) => {
    ctx.lineTo(x, plot.yOf(high));
  });
  eachColumn(plot, ribbon, ribbon.lower, (x, low) => {
    back.push([x, plot.yOf(low)]);
  });
  for (const [x, y] of back.reverse()) ctx.lineTo(x, y);
  ctx.closePath();
  ctx.fillStyle = fill;
  ctx.fill();
}

/** The line ends where it meets the floor: zeros are marks, not a level. */
function drawMedian(
  ctx: Canvas2D,
  plot: Plot,
  ribbon: RibbonView,
  colour: string,
  dash: readonly number[],
  lineWidth: number,
): void {
  const bottom = Math.log10(plot.floor);
  let onFloor = false;
  ctx.beginPath();
  eachColumn(plot, ribbon, ribbon.median, (x, low, high) => {
    const here = high <= bottom;
    if (here && onFloor) ctx.moveTo(x, plot.yOf(high));
    else ctx.lineTo(x, plot.yOf(high));
    if (low < high) ctx.lineTo(x, plot.yOf(low));
    onFloor = here;
  });
  ctx.strokeStyle = colour;
  ctx.lineWidth = lineWidth;
  ctx.lineJoin = "round";
  ctx.lineCap = dash.length === 0 ? "round" : "butt";
  ctx.setLineDash([...dash]);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** Medians that are zero stand at the floor with a hollow triangle, those that are not finite at the top with a cross. */
function drawMarks(ctx: Canvas2D, plot: Plot, ribbon: RibbonView, lane: Lane, palette: Palette): void {
  let drawnTo = Number.NEGATIVE_INFINITY;
  let dottedTo = Number.NEGATIVE_INFINITY;
  const few = plot.axis.stepWidth >= 14;
  for (let t = 0; t < plot.axis.nSteps; t += 1) {
    if (!inReach(ribbon, t)) continue;
    const x = plot.axis.centre(t);
    const value = ribbon.median[t] ?? 0;
    if (!Number.isFinite(value)) {
      if (x < drawnTo + 9) continue;
      drawnTo = x;
      const y = plot.box.y + 7;
      ctx.strokeStyle = palette.zones.exploding.ink;
      ctx.lineWidth = 2;
      ctx.beginPath();
      ctx.moveTo(x - 4, y - 4);
      ctx.lineTo(x + 4, y + 4);
      ctx.moveTo(x - 4, y + 4);
      ctx.lineTo(x + 4, y - 4);
      ctx.stroke();
    } else if (value < plot.floor) {
      if (x < drawnTo + 11) continue;
      drawnTo = x;
      const y = plot.yOf(Math.log10(plot.floor)) - 4;
      ctx.beginPath();
      ctx.moveTo(x - 4, y - 4);
      ctx.lineTo(x + 4, y - 4);
      ctx.lineTo(x, y + 3);
      ctx.closePath();
      ctx.fillStyle = palette.background;
      ctx.fill();
      ctx.strokeStyle = lane.colour;
      ctx.lineWidth = 1.5;
      ctx.stroke();
    } else if (few && x >= dottedTo + 14) {
      dottedTo = x;
      const y = plot.yOf(Math.log10(value));
      drawMarker(ctx, lane.marker, x, y, 3.5, lane.colour, palette.background);
    }
  }
}

/** log₁₀ of the fitted line at a timestep. The line falls by `factor` for each step away from `to`. */
export function fitAt(fit: Fit, step: number, reverse: boolean): number {
  const [near, far] = reverse ? [fit.from, step] : [step, fit.to];
  return Math.log10(fit.atTo) + (far - near) * Math.log10(fit.factor);
}

/** Returns where its label stands: on one side of a `divider`. */
function drawFit(
  ctx: Canvas2D,
  plot: Plot,
  ribbon: RibbonView,
  fit: Fit,
  palette: Palette,
  divider: number | null,
): Box[] {
  const { reverse } = ribbon;
  if (!(fit.factor > 0) || !Number.isFinite(fit.factor) || !(fit.atTo > 0) || !Number.isFinite(fit.atTo)) return [];
  const { axis } = plot;
  const from = { x: axis.centre(fit.from), y: plot.yOf(fitAt(fit, fit.from, reverse)) };
  const to = { x: axis.centre(fit.to), y: plot.yOf(fitAt(fit, fit.to, reverse)) };
  // Thinner than the median, which stays visible around it where the fit is good.
  ctx.setLineDash([6, 5]);
  ctx.strokeStyle = palette.ink;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.moveTo(from.x, from.y);
  ctx.lineTo(to.x, to.y);
  ctx.stroke();
  ctx.setLineDash([]);

  // Not over what a window cuts off, where nothing was fitted.
  const cut = ribbon.cut ?? 0;
  const leftmost = axis.left(reverse ? 0 : cut) + 6;
  const end = axis.left(reverse ? axis.nSteps - cut : axis.nSteps) - 6;
  const sides =
    divider === null
      ? [[leftmost, end]]
      : [
          [leftmost, Math.min(end, divider - 8)],
          [Math.max(leftmost, divider + 8), end],
        ];
  const room = Math.max(...sides.map(([left = 0, right = 0]) => right - left));
  const whole = `${factor(fit.factor)} a step back`;
  const label = divider !== null && textWidth(ctx, whole, FONT.heading, 600) > room ? factor(fit.factor) : whole;
  const width = textWidth(ctx, label, FONT.heading, 600);
  if (width > room) return [];
  // The label stands on the open side of the line: above it and towards the lower end.
  const rising = to.y < from.y;
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const steep = Math.abs(to.y - from.y) > 40;
  const wanted = steep ? (rising ? middle.x - width - 10 : middle.x + 10) : middle.x - width / 2;
  const places = sides
    .filter(([left = 0, right = 0]) => right - left >= width)
    .map(([left = 0, right = 0]) => Math.min(Math.max(wanted, left), right - width));
  const x = places.sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0] ?? leftmost;
  // Clear of the fit and of the median, which bends away from it.
  const slope = (to.y - from.y) / Math.max(1, to.x - from.x);
  const heights = [from.y + slope * (x - from.x), from.y + slope * (x + width - from.x)];
  for (let t = axis.stepAt(x) ?? 0; t <= (axis.stepAt(x + width) ?? 0); t += 1) {
    const value = ribbon.median[t] ?? 0;
    if (inReach(ribbon, t) && value >= plot.floor) heights.push(plot.yOf(logOf(value, plot.floor)));
  }
  const y = Math.min(steep ? middle.y - 8 : middle.y - 10, Math.min(...heights) - 8);
  const below = Math.max(from.y, to.y, ...heights) + 22;
  const inside = y < plot.box.y + 12 ? Math.min(plot.box.y + plot.box.height - 6, below) : y;
  drawText(ctx, label, x, inside, {
    colour: palette.ink,
    size: FONT.heading,
    weight: 600,
    halo: zoneFill(plot, ribbon, inside - 5, palette),
  });
  return [{ x, y: inside - 12, width, height: 15 }];
}

/** The colour behind a height of the plot: halos take it, so that text leaves no white patches. */
function zoneFill(plot: Plot, ribbon: RibbonView, y: number, palette: Palette): string {
  const whole = ribbon.median[ribbon.reference] ?? 0;
  if (!(whole > 0) || !Number.isFinite(whole)) return palette.background;
  const [low, high] = plot.domain;
  const log = low + (high - low) * (1 - (y - plot.box.y) / plot.box.height);
  return palette.zones[zoneOf(10 ** (log - Math.log10(whole)))].fill;
}

/**
 * Names near the far end of the lines: the upper line's above it, the others' below, wherever nothing else stands. Where there is no
 * room, a name moves along its line.
 */
function drawNames(
  ctx: Canvas2D,
  plot: Plot,
  main: RibbonView,
  ribbons: readonly RibbonView[],
  ghosts: readonly Ghost[],
  lane: Lane,
  palette: Palette,
  taken: Box[],
): void {
  const nSteps = plot.axis.nSteps;
  // A twelfth in from the far end, where the lines have parted, or as far as the line is above the floor.
  const placeOf = (ribbon: RibbonView): number => {
    const inwards = main.reverse ? -1 : 1;
    let step = main.reverse ? nSteps - 1 : 0;
    while (step + inwards >= 0 && step + inwards < nSteps && (ribbon.median[step] ?? 0) < plot.floor) step += inwards;
    const further = step + inwards * Math.round((nSteps - 1) / 12);
    return inReach(ribbon, further) ? further : step;
  };
  const named = [
    ...ribbons.map((ribbon) => ({ ribbon, text: ribbons.length > 1 ? ribbon.id : "", colour: lane.colour })),
    ...ghosts.map((ghost) => ({ ribbon: ghost.ribbon, text: ghost.label, colour: palette.ghost })),
  ]
    .map((name) => ({ ...name, step: placeOf(name.ribbon) }))
    .filter(({ ribbon, step }) => inReach(ribbon, step))
    .map((name) => ({ ...name, line: plot.yOf(logOf(name.ribbon.median[name.step] ?? 0, plot.floor)) }))
    .sort((a, b) => a.line - b.line);
  const top = plot.box.y + 10;
  const bottom = plot.box.y + plot.box.height - 4;
  named.forEach(({ ribbon, text, colour, line, step }, i) => {
    if (text === "") return;
    const above = i === 0 && named.length > 1;
    const width = textWidth(ctx, text, FONT.label, 600);
    const heightOf = (of: RibbonView, t: number): number => plot.yOf(logOf(of.median[t] ?? 0, plot.floor));
    const crossed = (x: number, at: number): boolean =>
      named.some(({ ribbon }) => {
        const first = plot.axis.stepAt(x) ?? 0;
        const last = plot.axis.stepAt(x + width) ?? nSteps - 1;
        for (let t = first; t <= last; t += 1) {
          if (inReach(ribbon, t) && Math.abs(heightOf(ribbon, t) - (at - 4)) < 8) return true;
        }
        return false;
      });
    const clear = (x: number, at: number): boolean =>
      at >= top &&
      at <= bottom &&
      !taken.some((b) => x < b.x + b.width + 3 && b.x < x + width + 3 && at - 11 < b.y + b.height && b.y < at + 3) &&
      !crossed(x, at);
    // Beside the line wherever it goes, before farther from it.
    const near = above ? [-9, -5, 18, 14] : [18, 14, -9, -5];
    const far = above ? [-24, 33, -39, 48] : [33, -24, 48, -39];
    const inwards = main.reverse ? -1 : 1;
    const places = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => step + inwards * Math.round((n * nSteps) / 12));
    const spots = (shifts: readonly number[]): { x: number; y: number }[] =>
      places
        .filter((t) => inReach(ribbon, t) && t >= 0 && t < nSteps)
        .flatMap((t) => {
          const x = Math.min(plot.axis.centre(t) + 2, plot.axis.x1 - width - 4);
          return shifts.map((shift) => ({ x, y: heightOf(ribbon, t) + shift }));
        });
    const found = [...spots(near), ...spots(far)].find(({ x, y }) => clear(x, y));
    const x = found?.x ?? Math.min(plot.axis.centre(step) + 2, plot.axis.x1 - width - 4);
    const y = found?.y ?? line + (line < (top + bottom) / 2 ? 18 : -9);
    taken.push({ x, y: y - 11, width, height: 14 });
    drawText(ctx, text, x, y, { colour, weight: 600, halo: zoneFill(plot, main, y - 5, palette) });
  });
}

function drawCursorDots(
  ctx: Canvas2D,
  plot: Plot,
  ribbons: readonly RibbonView[],
  cursors: { hover: number | null; pins: readonly number[] },
  lane: Lane,
  palette: Palette,
): void {
  for (const step of cursors.hover === null ? cursors.pins : [...cursors.pins, cursors.hover]) {
    for (const ribbon of ribbons) {
      const value = ribbon.median[step];
      if (value === undefined || !inReach(ribbon, step)) continue;
      const x = snap(plot.axis.centre(step), 0, plot.pixelRatio);
      drawMarker(ctx, lane.marker, x, plot.yOf(logOf(value, plot.floor)), 5, lane.colour, palette.cursorHalo);
    }
  }
}
