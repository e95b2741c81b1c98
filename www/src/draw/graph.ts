/**
 * U1, the unrolled graph: one node for each timestep and layer, forward edges above, backward edges below.
 *
 * A node shows its state as it is: a stripe for each unit, in the order of the heatmap, on the same absolute signed scale.
 * A single colour would have to be a mean, which is near zero for any healthy state, or a root mean square, which has no
 * sign; whoever wants one colour chooses one unit. Where a stripe covers several units it shows the one of largest
 * magnitude.
 *
 * A backward edge shows the gradient that arrives at its node's state: B·‖∂L/∂h_t‖₂, the median of the ribbon, by width
 * and colour, on an absolute logarithmic scale whose ends are printed. What falls below the scale is a dotted hairline.
 *
 * With more timesteps nodes become marks, then a strip; backward edges become bars that hang below.
 */

import {
  drawCursors,
  drawHeading,
  drawTimeTicks,
  HEADING_HEIGHT,
  NO_CURSORS,
  type PanelOptions,
  plotBox,
  TICKS_HEIGHT,
  type TimeAxis,
  timeAxis,
} from "./axis.js";
import {
  type Box,
  type Canvas2D,
  drawText,
  fillBox,
  FONT,
  pixelRatioOf,
  type Scratch,
  scratchOf,
  snap,
  textWidth,
} from "./canvas.js";
import { channelOf, type ChannelView, type FrameView, type RibbonView, type RowView, stateOf } from "./frame.js";
import { MISSING_PIXEL, paintUnits } from "./heatmap.js";
import { drawVerticalBar, gradientScale } from "./legend.js";
import { significant } from "./numbers.js";
import { type Palette, withAlpha } from "./palette.js";
import { cutsOf, drawBracket } from "./window.js";
import { answerAt, drawInputs, drawVerdict, inputHeight } from "./probe.js";
import { type Domain, logOf } from "./ribbon.js";

export interface GraphOptions extends PanelOptions {
  /** Powers of ten that width and colour of the backward edges span; see {@link edgeDomain}. */
  domain: Domain;
  /** Stripes for all units, or one unit by index. */
  show?: "units" | number;
  /** Id of the channel in the nodes; the row's first state when absent. */
  channel?: string;
  /** For each row a permutation of its units, as in its heatmap. */
  orders?: readonly (Uint16Array | null)[];
  /** The range of a state that has no bound. */
  range?: readonly [number, number];
  /** False where no state is handed from a timestep to the next: every timestep of a layer reads all before it in the layer below. */
  handsOn?: boolean;
  /** W, where the state adjoint is cut: a bracket, and no edge across its ends. */
  window?: number | null;
  /** Slow motion: states are there before the timestep `forward`, gradients from `backward` on, outputs with `hasLoss`. */
  reveal?: { forward: number; backward: number; hasLoss: boolean } | null;
}

/**
 * The scale of the backward edges for a ribbon's domain: its upper eight decades, and down to 10⁻⁶ in any case, so that a
 * lane that explodes does not blank the others. What lies lower is lost to rounding in f32 anyway, and a width over
 * thirty-eight decades would tell nothing apart.
 */
export function edgeDomain(domain: Domain): [number, number] {
  return [Math.max(domain[0], Math.min(domain[1] - 8, -6)), domain[1]];
}

export type GraphMode = "nodes" | "marks" | "strip";

export interface GraphLayout {
  axis: TimeAxis;
  plot: Box;
  mode: GraphMode;
  /** Half the height of a node or mark. */
  radius: number;
  /** Half the width of a node or mark. */
  halfWidth: number;
  /** Centre of each row, in the order of the frame's rows (the lowest layer first). */
  rows: number[];
  /** Height below a row's nodes for its backward edges. */
  edges: number;
  outputs: Box;
  inputs: Box;
}

const OUTPUT_HEIGHT = 24;

function modeOf(axis: TimeAxis): GraphMode {
  return axis.stepWidth >= 18 ? "nodes" : axis.stepWidth >= 4 ? "marks" : "strip";
}

/** Height that suits a frame in a panel of this width, heading and ticks included. */
export function graphHeight(frame: FrameView, width: number, options: PanelOptions): number {
  const axis = timeAxis(frame.nSteps, { x: 0, y: 0, width, height: 0 });
  const slot = modeOf(axis) === "nodes" ? 64 : 58;
  const around =
    (typeof options.heading === "string" ? HEADING_HEIGHT : 0) + (options.ticks === true ? TICKS_HEIGHT : 0);
  return around + OUTPUT_HEIGHT + frame.rows.length * slot + inputHeight(frame.probe) + 6;
}

/** Where everything stands in a box. */
export function graphLayout(frame: FrameView, box: Box, options: PanelOptions): GraphLayout {
  const axis = timeAxis(frame.nSteps, box);
  const plot = plotBox(box, axis, options);
  const mode = modeOf(axis);
  const below = inputHeight(frame.probe);
  const nRows = Math.max(1, frame.rows.length);
  const slot = Math.max(12, (plot.height - OUTPUT_HEIGHT - below - 6) / nRows);
  const edges = Math.min(20, slot * 0.36);
  const room = Math.max(3, (slot - edges) / 2 - 5);
  const radius = mode === "nodes" ? Math.min(axis.stepWidth * 0.34, room, 20) : Math.min(room, 16);
  const halfWidth = mode === "nodes" ? radius : mode === "marks" ? axis.stepWidth / 2 - 0.75 : axis.stepWidth / 2;
  const bottom = plot.y + plot.height - below - 6;
  return {
    axis,
    plot,
    mode,
    radius,
    halfWidth,
    rows: frame.rows.map((_, i) => bottom - (i + 0.5) * slot - edges / 2),
    edges,
    outputs: { x: plot.x, y: plot.y, width: plot.width, height: OUTPUT_HEIGHT },
    inputs: { x: plot.x, y: plot.y + plot.height - below, width: plot.width, height: below },
  };
}

export interface GraphHit {
  step: number;
  /** Index of the row, or null on inputs and outputs. */
  row: number | null;
  part: "node" | "input" | "output";
}

/** What lies at a point of the graph drawn in `box`, or null. A node's whole cell counts, so that fingers find it. */
export function graphHit(frame: FrameView, box: Box, options: PanelOptions, x: number, y: number): GraphHit | null {
  const layout = graphLayout(frame, box, options);
  const step = layout.axis.stepAt(x);
  const { plot, inputs, outputs } = layout;
  if (step === null || y < plot.y || y >= plot.y + plot.height) return null;
  if (y >= inputs.y) return { step, row: null, part: "input" };
  if (y < outputs.y + outputs.height) return { step, row: null, part: "output" };
  let row = 0;
  let nearest = Number.POSITIVE_INFINITY;
  layout.rows.forEach((centre, i) => {
    const distance = Math.abs(y - centre - layout.edges / 2);
    if (distance < nearest) {
      nearest = distance;
      row = i;
    }
  });
  return { step, row, part: "node" };
}

/** Draws the graph. Returns the scratch picture to pass in again with the next frame. */
export function drawGraph(
  ctx: Canvas2D,
  box: Box,
  frame: FrameView,
  palette: Palette,
  options: GraphOptions,
  scratch: Scratch | null,
): Scratch | null {
  const pixelRatio = pixelRatioOf(ctx);
  const layout = graphLayout(frame, box, options);
  const { axis, plot } = layout;
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  drawHeading(ctx, box, axis, options.heading, palette);

  // Between nodes there is room for the cursor behind the edges; marks would cover it.
  const cursors = options.cursors ?? NO_CURSORS;
  const behind = layout.mode === "nodes";
  if (behind) drawCursors(ctx, axis, plot.y, plot.y + plot.height, cursors, palette, pixelRatio);
  drawForwardEdges(ctx, layout, frame, palette, pixelRatio, options.handsOn ?? true);
  frame.rows.forEach((row, i) => {
    const ribbon = gradientOf(row, options);
    if (ribbon !== null) drawBackwardEdges(ctx, layout, i, ribbon, frame.floor, palette, options, pixelRatio);
  });
  const picture = drawNodes(ctx, layout, frame, palette, options, scratch, pixelRatio);
  drawInputs(ctx, axis, layout.inputs, frame.probe, palette, pixelRatio);
  if (options.reveal?.hasLoss !== false) drawOutputs(ctx, layout, frame, palette);
  if (options.reveal?.hasLoss === true) drawLoss(ctx, layout, frame, palette);
  drawRowLabels(ctx, layout, frame, box, palette);
  if (options.window !== undefined) drawBracket(ctx, { ...box, y: plot.y }, frame, options.window, palette);

  const top = layout.outputs.y + layout.outputs.height;
  const bar = { x: axis.x1, y: top + 3, width: axis.right - axis.x1, height: layout.inputs.y - top - 8 };
  if (bar.height >= 24) {
    drawText(ctx, "gradient", axis.x1 + 8, bar.y - 6, {
      colour: palette.inkSoft,
      size: FONT.tick,
      maxWidth: bar.width - 8,
    });
    drawVerticalBar(ctx, bar, gradientScale(palette, options.domain, ""), palette);
  }
  if (!behind) drawCursors(ctx, axis, plot.y, plot.y + plot.height, cursors, palette, pixelRatio);
  if (options.ticks === true) drawTimeTicks(ctx, axis, plot.y + plot.height, palette, pixelRatio, cursors);
  ctx.restore();
  return picture;
}

/** The channel in the nodes of a row. */
function nodeChannel(row: RowView, options: GraphOptions): ChannelView | null {
  return (options.channel === undefined ? null : channelOf(row, options.channel)) ?? stateOf(row);
}

/** The ribbon of the same channel, else the row's first. */
function gradientOf(row: RowView, options: GraphOptions): RibbonView | null {
  const id = nodeChannel(row, options)?.id;
  return row.ribbons.find((ribbon) => ribbon.id === id) ?? row.ribbons[0] ?? null;
}

function arrowHead(ctx: Canvas2D, x: number, y: number, angle: number, size: number): void {
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(x - size * Math.cos(angle - 0.52), y - size * Math.sin(angle - 0.52));
  ctx.lineTo(x - size * Math.cos(angle + 0.52), y - size * Math.sin(angle + 0.52));
  ctx.closePath();
  ctx.fill();
}

/** Thin lines: from input to state, from state to state, from layer to layer, to the outputs that count. */
function drawForwardEdges(
  ctx: Canvas2D,
  layout: GraphLayout,
  frame: FrameView,
  palette: Palette,
  pixelRatio: number,
  handsOn: boolean,
): void {
  const { axis, radius, halfWidth, rows, mode } = layout;
  const nodes = mode === "nodes";
  if (nodes && !handsOn) drawReads(ctx, layout, palette);
  ctx.strokeStyle = palette.line;
  ctx.fillStyle = palette.line;
  ctx.lineWidth = nodes ? 1.5 : 1;
  ctx.setLineDash([]);
  const heads: [number, number, number][] = [];
  ctx.beginPath();
  rows.forEach((y, i) => {
    const at = snap(y, nodes ? 1.5 : 1, pixelRatio);
    const leftwards = frame.rows[i]?.reverse === true;
    if (mode === "strip" || !handsOn) return;
    for (let t = 0; t + 1 < axis.nSteps; t += 1) {
      const from = axis.centre(t) + halfWidth;
      const to = axis.centre(t + 1) - halfWidth;
      ctx.moveTo(from, at);
      ctx.lineTo(to, at);
      if (nodes && to - from >= 7) heads.push(leftwards ? [from, at, Math.PI] : [to, at, 0]);
    }
  });
  if (nodes) {
    const bottom = rows[0];
    for (let t = 0; t < axis.nSteps && bottom !== undefined; t += 1) {
      const x = snap(axis.centre(t), 1.5, pixelRatio);
      ctx.moveTo(x, layout.inputs.y + 1);
      ctx.lineTo(x, bottom + radius);
      heads.push([x, bottom + radius, -Math.PI / 2]);
      for (let i = 1; i < rows.length; i += 1) {
        ctx.moveTo(x, (rows[i - 1] ?? 0) - radius);
        ctx.lineTo(x, (rows[i] ?? 0) + radius);
        heads.push([x, (rows[i] ?? 0) + radius, -Math.PI / 2]);
      }
    }
  }
  const top = rows.at(-1);
  if (top !== undefined && (nodes || frame.probe.scored.length === 1)) {
    for (const step of frame.probe.scored) {
      const x = snap(axis.centre(step), 1.5, pixelRatio);
      ctx.moveTo(x, top - radius);
      ctx.lineTo(x, layout.outputs.y + layout.outputs.height - 2);
    }
  }
  ctx.stroke();
  for (const [x, y, angle] of heads) arrowHead(ctx, x, y, angle, 6);
}

/** Faint lines from every timestep, in the layer below or the input, to all later ones: whatever attention may read. */
function drawReads(ctx: Canvas2D, { axis, radius, rows, inputs }: GraphLayout, palette: Palette): void {
  ctx.strokeStyle = withAlpha(palette.line, 0.35);
  ctx.lineWidth = 0.75;
  ctx.setLineDash([]);
  ctx.beginPath();
  rows.forEach((y, i) => {
    const below = i === 0 ? inputs.y + 1 : (rows[i - 1] ?? 0) - radius;
    for (let from = 0; from < axis.nSteps; from += 1) {
      for (let to = from + 1; to < axis.nSteps; to += 1) {
        ctx.moveTo(axis.centre(from), below);
        ctx.lineTo(axis.centre(to), y + radius);
      }
    }
  });
  ctx.stroke();
}

/** Thickness of the thickest backward edge. */
function fullWidth(layout: GraphLayout): number {
  return Math.min(9, Math.max(3, layout.radius * 0.8));
}

function drawBackwardEdges(
  ctx: Canvas2D,
  layout: GraphLayout,
  rowIdx: number,
  ribbon: RibbonView,
  floor: number,
  palette: Palette,
  { domain, reveal, window = null, handsOn = true }: GraphOptions,
  pixelRatio: number,
): void {
  const { axis, radius, halfWidth, mode, edges } = layout;
  const y = layout.rows[rowIdx] ?? 0;
  const [low, high] = domain;
  const strength = (step: number): number => {
    const value = ribbon.median[step] ?? 0;
    return value === 0 ? 0 : Math.min(1, Math.max(0, (logOf(value, floor) - low) / (high - low)));
  };
  const colourOf = (s: number): string => palette.gradient.css[Math.round(s * 255)] ?? palette.line;
  /** Place in the row's reading order. */
  const read = (t: number): number => (ribbon.reverse ? axis.nSteps - 1 - t : t);
  const inReach = (t: number): boolean =>
    read(t) >= (reveal?.backward ?? 0) &&
    read(t) >= (ribbon.cut ?? 0) &&
    ribbon.reference >= 0 &&
    (ribbon.reverse ? t >= ribbon.reference : t <= ribbon.reference);

  // Without a step from t to t + 1, bars: each shows what arrives at its own timestep.
  if (mode !== "nodes" || !handsOn) {
    const base = snap(y + radius + 2, 0, pixelRatio);
    fillBox(
      ctx,
      { x: axis.x0, y: base, width: axis.x1 - axis.x0, height: edges - 3 },
      withAlpha(palette.line, 0.08),
      pixelRatio,
    );
    for (let column = 0; column < axis.nColumns; column += 1) {
      let most = -1;
      const end = Math.min((column + 1) * axis.perColumn, axis.nSteps);
      for (let t = column * axis.perColumn; t < end; t += 1) if (inReach(t)) most = Math.max(most, strength(t));
      if (most <= 0) continue;
      const gap = mode === "marks" ? 0.75 : 0;
      ctx.fillStyle = colourOf(most);
      const left = axis.left(column * axis.perColumn) + gap;
      ctx.fillRect(left, base, Math.max(1 / pixelRatio, axis.columnWidth - 2 * gap), Math.max(1, most * (edges - 3)));
    }
    return;
  }

  const thickest = fullWidth(layout);
  const cuts = new Set(cutsOf(axis.nSteps, window, ribbon.reverse));
  for (let k = 0; k + 1 < axis.nSteps; k += 1) {
    // Gradients flow against the row's reading order: into t from the node that read t's state.
    const target = ribbon.reverse ? k + 1 : k;
    const source = ribbon.reverse ? k : k + 1;
    if (!inReach(source) || (reveal != null && read(target) < reveal.backward)) continue;
    if (cuts.has(k + 1)) {
      drawCut(ctx, (axis.centre(source) + axis.centre(target)) / 2, y + radius + edges * 0.3, palette);
      continue;
    }
    const s = strength(target);
    const sign = Math.sign(axis.centre(target) - axis.centre(source));
    const startX = axis.centre(source) + sign * halfWidth * 0.62;
    const endX = axis.centre(target) - sign * halfWidth * 0.62;
    const startY = y + radius * 0.82;
    const dip = y + radius + edges * 0.95;
    ctx.lineCap = "butt";
    if (s <= 0) {
      ctx.strokeStyle = palette.line;
      ctx.lineWidth = 1;
      ctx.setLineDash([1.5, 3]);
      ctx.beginPath();
      ctx.moveTo(startX, startY);
      ctx.quadraticCurveTo((startX + endX) / 2, dip, endX, startY);
      ctx.stroke();
      ctx.setLineDash([]);
      continue;
    }
    const width = 1.25 + s * (thickest - 1.25);
    const head = Math.min(Math.max(7, width * 2.1), Math.abs(endX - startX) * 0.7);
    // The head points along the curve's end; the line stops where the head begins.
    const angle = Math.atan2(startY - dip, endX - (startX + endX) / 2);
    const backX = endX - head * 0.8 * Math.cos(angle);
    const backY = startY - head * 0.8 * Math.sin(angle);
    ctx.strokeStyle = colourOf(s);
    ctx.fillStyle = ctx.strokeStyle;
    ctx.lineWidth = width;
    ctx.beginPath();
    ctx.moveTo(startX, startY);
    ctx.quadraticCurveTo((startX + endX) / 2, dip, backX, backY);
    ctx.stroke();
    arrowHead(ctx, endX, startY, angle, head);
  }
}

/** Two short strokes where a window ends and no gradient crosses. */
function drawCut(ctx: Canvas2D, x: number, y: number, palette: Palette): void {
  ctx.strokeStyle = palette.ink;
  ctx.lineWidth = 1.5;
  ctx.setLineDash([]);
  ctx.beginPath();
  for (const by of [-2, 2]) {
    ctx.moveTo(x + by - 2, y + 5);
    ctx.lineTo(x + by + 2, y - 5);
  }
  ctx.stroke();
}

function drawNodes(
  ctx: Canvas2D,
  layout: GraphLayout,
  frame: FrameView,
  palette: Palette,
  options: GraphOptions,
  scratch: Scratch | null,
  pixelRatio: number,
): Scratch | null {
  const { axis, radius, halfWidth, mode } = layout;
  const unit = typeof options.show === "number" ? options.show : null;
  const most = frame.rows.reduce((n, row) => Math.max(n, row.units), 1);
  const stripes = unit === null ? Math.max(1, Math.min(most, Math.floor(2 * radius * pixelRatio))) : 1;
  const nRows = Math.max(1, frame.rows.length);
  const picture = scratchOf(scratch, axis.nColumns, stripes * nRows);
  if (picture === null) return null;

  frame.rows.forEach((row, i) => {
    const channel = nodeChannel(row, options);
    if (channel === null) return;
    const range = channel.range ?? options.range ?? [-1, 1];
    const ramp = channel.role === "gate" ? palette.gate.pixels : palette.signed.pixels;
    const pixels = picture.pixels.subarray(i * stripes * axis.nColumns, (i + 1) * stripes * axis.nColumns);
    const order = options.orders?.[i] ?? null;
    const chosen = unit === null ? channel : oneUnit(channel, Math.min(unit, channel.units - 1));
    paintUnits(
      pixels,
      axis.nColumns,
      stripes,
      chosen,
      axis.perColumn,
      ramp,
      range,
      unit === null ? order : null,
      MISSING_PIXEL,
    );
  });
  picture.ctx.putImageData(picture.image, 0, 0);

  ctx.imageSmoothingEnabled = false;
  const forward = options.reveal?.forward ?? axis.nSteps;
  layout.rows.forEach((y, i) => {
    const top = snap(y - radius, 0, pixelRatio);
    const height = snap(y + radius, 0, pixelRatio) - top;
    const source = i * stripes;
    const isReverse = frame.rows[i]?.reverse === true;
    if (mode === "strip") {
      ctx.save();
      ctx.beginPath();
      const shown = axis.left(forward) - axis.x0;
      ctx.rect(isReverse ? axis.x1 - shown : axis.x0, top, shown, height);
      ctx.clip();
      ctx.drawImage(
        picture.canvas,
        0,
        source,
        axis.nColumns,
        stripes,
        axis.x0,
        top,
        axis.nColumns * axis.columnWidth,
        height,
      );
      ctx.restore();
      return;
    }
    for (let t = 0; t < axis.nSteps; t += 1) {
      const x = axis.centre(t);
      const isThere = (isReverse ? axis.nSteps - 1 - t : t) < forward;
      if (mode === "marks" && !isThere) continue;
      if (mode === "marks") {
        const left = snap(x - halfWidth, 0, pixelRatio);
        const right = snap(x + halfWidth, 0, pixelRatio);
        ctx.drawImage(picture.canvas, t, source, 1, stripes, left, top, right - left, height);
        continue;
      }
      ctx.save();
      ctx.beginPath();
      ctx.arc(x, y, radius, 0, 2 * Math.PI);
      ctx.clip();
      if (isThere) ctx.drawImage(picture.canvas, t, source, 1, stripes, x - radius, y - radius, 2 * radius, 2 * radius);
      else
        fillBox(
          ctx,
          { x: x - radius, y: y - radius, width: 2 * radius, height: 2 * radius },
          palette.background,
          pixelRatio,
        );
      ctx.restore();
      ctx.beginPath();
      ctx.arc(x, y, radius, 0, 2 * Math.PI);
      ctx.strokeStyle = palette.line;
      ctx.lineWidth = 1.5;
      ctx.stroke();
    }
  });
  return picture;
}

/** A channel of one unit, [T, 1]. */
function oneUnit(channel: ChannelView, unit: number): { nSteps: number; units: number; values: Float32Array } {
  const values = new Float32Array(channel.nSteps);
  for (let t = 0; t < channel.nSteps; t += 1) values[t] = channel.values[t * channel.units + unit] ?? Number.NaN;
  return { nSteps: channel.nSteps, units: 1, values };
}

/** Answers where the loss counts: in letters while they have room, beginning at the last; else marks. */
function drawOutputs(ctx: Canvas2D, layout: GraphLayout, frame: FrameView, palette: Palette): void {
  const { axis, outputs } = layout;
  const { probe } = frame;
  const y = outputs.y + outputs.height / 2 - 1;
  const verdictWidth = probe.target.kind === "class" ? 13 : 0;
  const widthOf = (text: string): number => textWidth(ctx, text, FONT.label, 600) + verdictWidth;
  const roomy =
    probe.scored.length <= 1 ||
    (layout.mode === "nodes" &&
      probe.scored.every((step) => widthOf(answerAt(probe, step).text) + 4 <= axis.stepWidth));
  if (!roomy && layout.mode === "strip") {
    drawLossStrip(ctx, layout, frame, palette);
    return;
  }
  for (const step of probe.scored) {
    const { text, right } = answerAt(probe, step);
    const x = axis.centre(step);
    if (roomy) {
      const width = widthOf(text);
      // A mark may stand beside the plot; a number would stand on the title of the scale.
      const left = Math.min(Math.max(x - width / 2, axis.x0), axis.x1 - width + (right === null ? 0 : 12));
      drawText(ctx, text, left, y + 0.5, { colour: palette.ink, weight: 600, baseline: "middle" });
      if (right !== null) drawVerdict(ctx, right, left + width - 5, y, 4, palette);
    } else if (right === null) {
      ctx.fillStyle = palette.inkSoft;
      ctx.fillRect(x - Math.min(2, axis.stepWidth / 3), y + 3, Math.min(4, (axis.stepWidth * 2) / 3), 6);
    } else {
      drawVerdict(ctx, right, x, y + 4, Math.min(4, axis.stepWidth * 0.36), palette);
    }
  }
}

/** The loss of the sequence, beside its answer where there is one. */
function drawLoss(ctx: Canvas2D, layout: GraphLayout, frame: FrameView, palette: Palette): void {
  const { axis, outputs } = layout;
  const [step] = frame.probe.scored;
  if (step === undefined || frame.probe.scored.length > 1) return;
  const text = `this sequence: loss ${significant(frame.probe.losses[step] ?? Number.NaN, 3)}`;
  const answer = textWidth(ctx, answerAt(frame.probe, step).text, FONT.label, 600);
  const right = Math.min(axis.centre(step), axis.x1 - 14) - answer - 14;
  const y = outputs.y + outputs.height / 2 - 0.5;
  drawText(ctx, text, right, y, { colour: palette.ink, weight: 600, align: "right", baseline: "middle" });
}

/** Many answers in little room: right ones in the upper half, wrong ones in the lower half of the row. */
function drawLossStrip(ctx: Canvas2D, layout: GraphLayout, frame: FrameView, palette: Palette): void {
  const { axis, outputs } = layout;
  const middle = outputs.y + outputs.height / 2;
  for (const step of frame.probe.scored) {
    const { right } = answerAt(frame.probe, step);
    ctx.fillStyle = right === null ? palette.inkSoft : right ? palette.right : palette.wrong;
    ctx.fillRect(axis.left(step), right === false ? middle + 1 : middle - 6, Math.max(0.5, axis.stepWidth), 6);
  }
}

/** A title in one line, or broken in two at the last space that leaves both short enough. */
function twoLines(ctx: Canvas2D, title: string, maxWidth: number): string[] {
  if (textWidth(ctx, title, FONT.tick) <= maxWidth) return [title];
  const spaces = Array.from(title.matchAll(/ /g), (found) => found.index).reverse();
  const at = spaces.find((space) => textWidth(ctx, title.slice(0, space), FONT.tick) <= maxWidth);
  return at === undefined ? [title] : [title.slice(0, at), title.slice(at + 1)];
}

function drawRowLabels(ctx: Canvas2D, layout: GraphLayout, frame: FrameView, box: Box, palette: Palette): void {
  // On a phone the gutter is as wide as the longest of them.
  const margin = layout.axis.x0 - box.x < 50 ? 3 : 6;
  const style = {
    colour: palette.inkSoft,
    size: FONT.tick,
    align: "right",
    baseline: "middle",
    maxWidth: layout.axis.x0 - box.x - margin,
  } as const;
  const x = layout.axis.x0 - margin;
  const { inputs, outputs } = layout;
  drawText(ctx, "output", x, outputs.y + outputs.height / 2, style);
  if (frame.probe.input.kind === "features" && inputs.height / frame.probe.input.size >= 12) {
    const rowHeight = inputs.height / frame.probe.input.size;
    frame.probe.input.names.forEach((name, i) => {
      drawText(ctx, name, x, inputs.y + (i + 0.5) * rowHeight, style);
    });
  } else drawText(ctx, "input", x, inputs.y + inputs.height / 2, style);
  layout.rows.forEach((y, i) => {
    const row = frame.rows[i];
    if (row === undefined) return;
    const lines = twoLines(ctx, row.title, style.maxWidth);
    lines.forEach((line, k) => {
      drawText(ctx, line, x, y + (k - (lines.length - 1) / 2) * 13, style);
    });
  });
}
