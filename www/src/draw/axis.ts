/**
 * One time axis for every panel of a lane. It depends on the box's x and width alone, so that panels of one width have
 * their columns at the same pixels without telling each other.
 *
 * Timesteps are 0 … T−1 in data and 1 … T in every text. The left gutter holds labels of the vertical axis, the right
 * one the panel's scale (colour bar, zones).
 */

import { type Box, type Canvas2D, drawText, FONT, type Scratch, snap, textWidth } from "./canvas.js";
import { count } from "./numbers.js";
import type { Palette } from "./palette.js";

export interface Tick {
  /** Timestep, from 0. */
  step: number;
  /** Centre of its column. */
  x: number;
  /** From 1. */
  label: string;
}

export interface TimeAxis {
  nSteps: number;
  /** Left and right end of the plot, and of the panel with its gutters. */
  x0: number;
  x1: number;
  right: number;
  /** CSS pixels per timestep; below 1 when columns are binned. */
  stepWidth: number;
  /** Timesteps that share one column: 1 unless there are more timesteps than pixels. */
  perColumn: number;
  nColumns: number;
  columnWidth: number;
  ticks: readonly Tick[];
  /** What the viewer must know about the columns, or null: "5 timesteps a column". */
  note: string | null;
  /** Left edge of a timestep. */
  left: (step: number) => number;
  /** Centre of a timestep. */
  centre: (step: number) => number;
  /** The timestep at a coordinate, or null outside the plot. */
  stepAt: (x: number) => number | null;
}

/** Gutters in CSS pixels. A phone gets narrow ones. */
export function gutters(width: number): { left: number; right: number } {
  return width < 520 ? { left: 46, right: 62 } : { left: 56, right: 82 };
}

/** The distance between ticks: 1, 5, 10, 20, 50, 100 … */
function tickStep(nSteps: number, most: number): number {
  let step = 1;
  for (;;) {
    for (const leading of step === 1 ? [1, 5] : [1, 2, 5]) {
      if (nSteps / (leading * step) <= most) return leading * step;
    }
    step *= 10;
  }
}

/** The shared axis of `nSteps` timesteps in a panel's box. */
export function timeAxis(nSteps: number, box: Box, gutter = gutters(box.width)): TimeAxis {
  const x0 = box.x + gutter.left;
  const x1 = Math.max(x0 + 1, box.x + box.width - gutter.right);
  const stepWidth = (x1 - x0) / nSteps;
  const perColumn = Math.max(1, Math.ceil(1 / stepWidth - 1e-9));
  const nColumns = Math.ceil(nSteps / perColumn);
  const left = (step: number): number => x0 + step * stepWidth;
  const centre = (step: number): number => x0 + (step + 0.5) * stepWidth;

  const labelWidth = 10 + 7 * String(nSteps).length;
  const every = tickStep(nSteps, Math.max(1, (x1 - x0) / (labelWidth + 14)));
  const steps = [0];
  for (let t = every - 1; t < nSteps - 1; t += every) {
    const clear = Math.min(centre(t) - centre(0), centre(nSteps - 1) - centre(t));
    if (t > 0 && clear >= labelWidth) steps.push(t);
  }
  if (nSteps > 1) steps.push(nSteps - 1);

  return {
    nSteps,
    x0,
    x1,
    right: box.x + box.width,
    stepWidth,
    perColumn,
    nColumns,
    columnWidth: stepWidth * perColumn,
    ticks: steps.map((step) => ({ step, x: centre(step), label: String(step + 1) })),
    note: perColumn === 1 ? null : `${count(perColumn)} timesteps a column`,
    left,
    centre,
    stepAt: (x) => (x < x0 || x >= x1 ? null : Math.min(nSteps - 1, Math.max(0, Math.floor((x - x0) / stepWidth)))),
  };
}

/** Height of the row that {@link drawTimeTicks} needs. */
export const TICKS_HEIGHT = 20;

/** The timesteps under the pointer and pinned. Hover shows, click pins, several pins at once. */
export interface Cursors {
  hover: number | null;
  pins: readonly number[];
  /** The first timestep of the answer, where a source comes before it: a line between them. */
  answer?: number | null;
}

export const NO_CURSORS: Cursors = { hover: null, pins: [] };

/** Pins, then the pointer unless it is on a pin, as far as they lie on the axis. */
function shownCursors(axis: TimeAxis, cursors: Cursors): { step: number; pinned: boolean }[] {
  const { hover, pins } = cursors;
  const shown = pins.map((step) => ({ step, pinned: true }));
  if (hover !== null && !pins.includes(hover)) shown.push({ step: hover, pinned: false });
  return shown.filter(({ step }) => step >= 0 && step < axis.nSteps);
}

/** Numbers of the timesteps below a panel, and tags for the cursors; `y` is the plot's lower edge. */
export function drawTimeTicks(
  ctx: Canvas2D,
  axis: TimeAxis,
  y: number,
  palette: Palette,
  pixelRatio: number,
  cursors: Cursors = NO_CURSORS,
): void {
  ctx.strokeStyle = palette.line;
  ctx.lineWidth = 1;
  ctx.setLineDash([]);
  ctx.beginPath();
  for (const tick of axis.ticks) {
    const x = snap(tick.x, 1, pixelRatio);
    ctx.moveTo(x, y + 1);
    ctx.lineTo(x, y + 5);
  }
  ctx.stroke();
  const tags = shownCursors(axis, cursors).map(({ step, pinned }) => {
    const label = String(step + 1);
    const width = textWidth(ctx, label, FONT.tick, 600) + 10;
    const middle = Math.min(Math.max(axis.centre(step), axis.x0 + width / 2), axis.x1 - width / 2);
    return { label, width, middle, pinned };
  });
  for (const tick of axis.ticks) {
    const half = textWidth(ctx, tick.label, FONT.tick) / 2;
    if (tags.some(({ middle, width }) => Math.abs(middle - tick.x) < width / 2 + half + 2)) continue;
    drawText(ctx, tick.label, Math.min(tick.x, axis.right - half - 1), y + 7, {
      colour: palette.inkSoft,
      size: FONT.tick,
      align: "center",
      baseline: "top",
    });
  }
  const last = axis.ticks.at(-1);
  const taken = last === undefined ? axis.x0 : last.x + textWidth(ctx, last.label, FONT.tick) / 2 + 6;
  const x = Math.max(taken, axis.x1 + 6);
  const name = ["timestep", "t"].find((text) => x + textWidth(ctx, text, FONT.tick) <= axis.right);
  if (name !== undefined) drawText(ctx, name, x, y + 7, { colour: palette.inkSoft, size: FONT.tick, baseline: "top" });

  for (const { label, width, middle, pinned } of tags) {
    ctx.beginPath();
    ctx.roundRect(middle - width / 2, y + 3, width, 16, 4);
    ctx.fillStyle = pinned ? palette.cursor : palette.cursorHalo;
    ctx.fill();
    ctx.strokeStyle = palette.cursor;
    ctx.stroke();
    drawText(ctx, label, middle, y + 11.5, {
      colour: pinned ? palette.cursorHalo : palette.cursor,
      size: FONT.tick,
      weight: 600,
      align: "center",
      baseline: "middle",
    });
  }
}

/** The timestep cursors through a panel: a pin is a solid column, the pointer a dashed one. */
export function drawCursors(
  ctx: Canvas2D,
  axis: TimeAxis,
  y0: number,
  y1: number,
  cursors: Cursors,
  palette: Palette,
  pixelRatio: number,
): void {
  if (typeof cursors.answer === "number") {
    const x = snap(axis.left(cursors.answer), 2, pixelRatio);
    for (const [colour, width] of [
      [palette.cursorHalo, 4],
      [palette.ink, 2],
    ] as const) {
      ctx.fillStyle = colour;
      ctx.fillRect(x - width / 2, y0, width, y1 - y0);
    }
  }
  for (const { step, pinned } of shownCursors(axis, cursors)) {
    ctx.beginPath();
    if (axis.stepWidth >= 6) {
      const left = snap(axis.left(step), 1, pixelRatio);
      const right = snap(axis.left(step + 1), 1, pixelRatio);
      ctx.rect(left, y0 + 0.5, right - left, y1 - y0 - 1);
    } else {
      const x = snap(axis.centre(step), 1, pixelRatio);
      ctx.moveTo(x, y0);
      ctx.lineTo(x, y1);
    }
    ctx.setLineDash([]);
    ctx.strokeStyle = palette.cursorHalo;
    ctx.lineWidth = pinned ? 4.5 : 3;
    ctx.stroke();
    ctx.strokeStyle = palette.cursor;
    ctx.lineWidth = pinned ? 2 : 1;
    ctx.setLineDash(pinned ? [] : [3, 2]);
    ctx.stroke();
    ctx.setLineDash([]);
  }
}

/** Height of a panel's heading. */
export const HEADING_HEIGHT = 20;

export interface PanelOptions {
  /** A heading inside the box, or null when the page writes its own. */
  heading?: string | null;
  /** Numbers of the timesteps below; only the lowest panel of a lane needs them. */
  ticks?: boolean;
  cursors?: Cursors;
}

/** The box of the plot itself: the panel without gutters, heading and ticks. */
export function plotBox(box: Box, axis: TimeAxis, options: PanelOptions): Box {
  const top = typeof options.heading === "string" ? HEADING_HEIGHT : 0;
  const bottom = options.ticks === true ? TICKS_HEIGHT : 0;
  return { x: axis.x0, y: box.y + top, width: axis.x1 - axis.x0, height: Math.max(1, box.height - top - bottom) };
}

/** A panel's heading, and at its right end what the columns are when they are binned. */
export function drawHeading(
  ctx: Canvas2D,
  box: Box,
  axis: TimeAxis,
  heading: string | null | undefined,
  palette: Palette,
): void {
  if (typeof heading !== "string") return;
  const note = axis.note ?? "";
  const noteWidth = note === "" ? 0 : textWidth(ctx, note, FONT.tick) + 12;
  const y = box.y + HEADING_HEIGHT / 2 - 1;
  drawText(ctx, heading, axis.x0, y, {
    colour: palette.ink,
    size: FONT.label,
    weight: 600,
    baseline: "middle",
    maxWidth: axis.x1 - axis.x0 - noteWidth,
  });
  if (note !== "")
    drawText(ctx, note, axis.x1, y, { colour: palette.inkSoft, size: FONT.tick, align: "right", baseline: "middle" });
}

/** Puts a picture with a pixel for each column on the axis, in a frame. Without one, only the frame. */
export function drawColumns(
  ctx: Canvas2D,
  axis: TimeAxis,
  top: number,
  height: number,
  picture: Scratch | null,
  palette: Palette,
  pixelRatio: number,
): void {
  if (picture !== null) {
    picture.ctx.putImageData(picture.image, 0, 0);
    ctx.save();
    ctx.beginPath();
    ctx.rect(axis.x0, top, axis.x1 - axis.x0, height);
    ctx.clip();
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(picture.canvas, axis.x0, top, axis.nColumns * axis.columnWidth, height);
    ctx.restore();
  }
  ctx.strokeStyle = palette.line;
  ctx.lineWidth = 1;
  ctx.setLineDash([]);
  ctx.strokeRect(snap(axis.x0, 1, pixelRatio), snap(top, 1, pixelRatio), axis.x1 - axis.x0, height);
}
