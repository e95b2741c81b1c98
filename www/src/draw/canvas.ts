/**
 * What every drawing shares: boxes in CSS pixels, sizing for the device's pixel ratio, crisp lines, text.
 *
 * A drawing is a function without state. It draws inside the box it is given, never clears outside of it, and leaves the
 * context as it found it. Knows nothing about frames.
 */

export type Canvas2D = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** A rectangle in CSS pixels. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The system's own sans-serif: nothing is loaded, and a projector shows what the lecturer is used to. */
export const FONT_FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/** Sizes of text in CSS pixels. Nothing on a picture is smaller than `tick`. */
export const FONT = { tick: 11, label: 12, heading: 13, large: 15 } as const;

/**
 * Gives a canvas as many device pixels as its CSS size covers, and a context whose unit is one CSS pixel.
 *
 * The backing store is only replaced when its size changes, because that clears it and costs memory. Null when the
 * browser refuses a context.
 */
export function fitCanvas(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  pixelRatio: number,
): CanvasRenderingContext2D | null {
  const deviceWidth = Math.max(1, Math.round(width * pixelRatio));
  const deviceHeight = Math.max(1, Math.round(height * pixelRatio));
  if (canvas.width !== deviceWidth) canvas.width = deviceWidth;
  if (canvas.height !== deviceHeight) canvas.height = deviceHeight;
  const ctx = canvas.getContext("2d");
  ctx?.setTransform(deviceWidth / width, 0, 0, deviceHeight / height, 0, 0);
  return ctx;
}

/** Device pixels per CSS pixel of a context prepared by {@link fitCanvas}. */
export function pixelRatioOf(ctx: Canvas2D): number {
  const scale = ctx.getTransform().a;
  return scale > 0 ? scale : 1;
}

/** The coordinate nearest to `x` at which a line of `lineWidth` CSS pixels fills whole device pixels. */
export function snap(x: number, lineWidth: number, pixelRatio: number): number {
  const odd = Math.round(lineWidth * pixelRatio) % 2 === 1;
  return (odd ? Math.floor(x * pixelRatio) + 0.5 : Math.round(x * pixelRatio)) / pixelRatio;
}

/** Fills a box, its edges on whole device pixels. */
export function fillBox(ctx: Canvas2D, box: Box, colour: string, pixelRatio: number): void {
  const left = snap(box.x, 0, pixelRatio);
  const top = snap(box.y, 0, pixelRatio);
  ctx.fillStyle = colour;
  ctx.fillRect(left, top, snap(box.x + box.width, 0, pixelRatio) - left, snap(box.y + box.height, 0, pixelRatio) - top);
}

/** A horizontal line on whole device pixels. */
export function horizontal(
  ctx: Canvas2D,
  x0: number,
  x1: number,
  y: number,
  lineWidth: number,
  colour: string,
  pixelRatio: number,
): void {
  const at = snap(y, lineWidth, pixelRatio);
  ctx.strokeStyle = colour;
  ctx.lineWidth = lineWidth;
  ctx.beginPath();
  ctx.moveTo(x0, at);
  ctx.lineTo(x1, at);
  ctx.stroke();
}

/** A vertical line on whole device pixels. */
export function vertical(
  ctx: Canvas2D,
  x: number,
  y0: number,
  y1: number,
  lineWidth: number,
  colour: string,
  pixelRatio: number,
): void {
  const at = snap(x, lineWidth, pixelRatio);
  ctx.strokeStyle = colour;
  ctx.lineWidth = lineWidth;
  ctx.beginPath();
  ctx.moveTo(at, y0);
  ctx.lineTo(at, y1);
  ctx.stroke();
}

export interface TextStyle {
  colour: string;
  size?: number;
  weight?: 400 | 600;
  align?: "left" | "center" | "right";
  baseline?: "top" | "middle" | "bottom" | "alphabetic";
  /** Colour of an outline that keeps the text readable over a picture. */
  halo?: string;
  /** Text longer than this is shortened with an ellipsis. */
  maxWidth?: number;
}

function setFont(ctx: Canvas2D, size: number, weight: number): void {
  // Set without a look at the old value: the browser remembers parsed fonts, but prints one anew for each reader.
  ctx.font = `${String(weight)} ${String(size)}px ${FONT_FAMILY}`;
}

/** Widths of texts that were measured, by font and text: pictures write the same words in every frame, and measuring is dear. */
const widths = new Map<string, number>();
const MOST_WIDTHS = 4000;

/** Width of a text in CSS pixels. */
export function textWidth(ctx: Canvas2D, text: string, size: number = FONT.label, weight: 400 | 600 = 400): number {
  const key = `${String(weight)} ${String(size)} ${text}`;
  const known = widths.get(key);
  if (known !== undefined) return known;
  setFont(ctx, size, weight);
  const { width } = ctx.measureText(text);
  if (widths.size >= MOST_WIDTHS) widths.clear();
  widths.set(key, width);
  return width;
}

/** A text that fits into `maxWidth`, with an ellipsis where it was cut; empty when not even that fits. */
export function shorten(ctx: Canvas2D, text: string, maxWidth: number, size: number, weight: 400 | 600 = 400): string {
  if (textWidth(ctx, text, size, weight) <= maxWidth) return text;
  for (let n = text.length - 1; n > 0; n -= 1) {
    const cut = `${text.slice(0, n).trimEnd()}…`;
    if (textWidth(ctx, cut, size, weight) <= maxWidth) return cut;
  }
  return "";
}

const DIGIT = /[0-9]/;

/**
 * Draws a line of text. Digits all get the width of the widest one, so that a number that changes sixty times a second
 * does not make its neighbours dance: canvas has no `font-variant-numeric`.
 */
export function drawText(ctx: Canvas2D, text: string, x: number, y: number, style: TextStyle): void {
  const size = style.size ?? FONT.label;
  const weight = style.weight ?? 400;
  const shown = style.maxWidth === undefined ? text : shorten(ctx, text, style.maxWidth, size, weight);
  if (shown === "") return;
  ctx.textBaseline = style.baseline ?? "alphabetic";
  ctx.fillStyle = style.colour;
  const put = (part: string, at: number): void => {
    if (style.halo !== undefined) {
      ctx.strokeStyle = style.halo;
      ctx.lineWidth = 3.5;
      ctx.lineJoin = "round";
      ctx.setLineDash([]);
      ctx.strokeText(part, at, y);
    }
    ctx.fillText(part, at, y);
  };
  const widthOf = (part: string): number => textWidth(ctx, part, size, weight);
  const zero = widthOf("0");
  const tabular = !DIGIT.test(shown) || Math.abs(widthOf("1") - zero) < 0.01;
  if (!tabular) {
    // Each digit in the middle of a place as wide as the widest.
    const advances = Array.from(shown, (mark) => (DIGIT.test(mark) ? zero : widthOf(mark)));
    const width = advances.reduce((sum, advance) => sum + advance, 0);
    let left = style.align === "right" ? x - width : style.align === "center" ? x - width / 2 : x;
    setFont(ctx, size, weight);
    ctx.textAlign = "center";
    Array.from(shown).forEach((mark, i) => {
      const advance = advances[i] ?? 0;
      put(mark, left + advance / 2);
      left += advance;
    });
    return;
  }
  setFont(ctx, size, weight);
  ctx.textAlign = style.align ?? "left";
  put(shown, x);
}

/** A rounded rectangle as the current path. */
export function roundedPath(ctx: Canvas2D, box: Box, radius: number): void {
  ctx.beginPath();
  ctx.roundRect(box.x, box.y, box.width, box.height, Math.max(0, Math.min(radius, box.width / 2, box.height / 2)));
}

export type Marker = "circle" | "square" | "triangle" | "diamond";

/** A lane's marker, centred; `size` is its half-width. */
export function drawMarker(
  ctx: Canvas2D,
  marker: Marker,
  x: number,
  y: number,
  size: number,
  fill: string,
  edge: string,
): void {
  ctx.beginPath();
  if (marker === "circle") ctx.arc(x, y, size, 0, 2 * Math.PI);
  else if (marker === "square") ctx.rect(x - size * 0.88, y - size * 0.88, size * 1.76, size * 1.76);
  else if (marker === "triangle") {
    ctx.moveTo(x, y - size * 1.15);
    ctx.lineTo(x + size * 1.05, y + size * 0.8);
    ctx.lineTo(x - size * 1.05, y + size * 0.8);
    ctx.closePath();
  } else {
    ctx.moveTo(x, y - size * 1.25);
    ctx.lineTo(x + size * 1.25, y);
    ctx.lineTo(x, y + size * 1.25);
    ctx.lineTo(x - size * 1.25, y);
    ctx.closePath();
  }
  ctx.fillStyle = fill;
  ctx.fill();
  ctx.strokeStyle = edge;
  ctx.lineWidth = 1.5;
  ctx.setLineDash([]);
  ctx.stroke();
}

/** An offscreen picture that is reused from frame to frame; make one per panel. */
export interface Scratch {
  canvas: OffscreenCanvas;
  ctx: OffscreenCanvasRenderingContext2D;
  image: ImageData;
  /** The image's pixels, one number each: little-endian RGBA, as every machine that runs WebAssembly has it. */
  pixels: Uint32Array<ArrayBufferLike>;
}

/** The scratch picture at this size; the old one when it already fits. Null when the browser refuses a context. */
export function scratchOf(old: Scratch | null, width: number, height: number): Scratch | null {
  if (old !== null && old.image.width === width && old.image.height === height) return old;
  const canvas = old?.canvas ?? new OffscreenCanvas(width, height);
  canvas.width = width;
  canvas.height = height;
  const ctx = old?.ctx ?? canvas.getContext("2d");
  if (ctx === null) return null;
  const image = ctx.createImageData(width, height);
  return { canvas, ctx, image, pixels: new Uint32Array(image.data.buffer) };
}

/** Draws inside a box only. */
export function withClip(ctx: Canvas2D, box: Box, draw: () => void): void {
  ctx.save();
  ctx.beginPath();
  ctx.rect(box.x, box.y, box.width, box.height);
  ctx.clip();
  draw();
  ctx.restore();
}
