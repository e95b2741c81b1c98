// A figure as a picture file. The same painting goes to a canvas for PNG and to a writer for SVG.

import { drawText, FONT, type Box, type Canvas2D } from "../draw/canvas.js";
import type { Palette } from "../draw/palette.js";
import type { Figure } from "./figures";
import { SvgContext, type SvgHost } from "./svg";

/** What stands above a saved figure, so that it can be understood away from the page. */
export interface Heading {
  title: string;
  /** Networks, task, training step. */
  about: string;
}

const HEADING = 44;
const MARGIN = 12;

export interface Size {
  width: number;
  height: number;
}

/** The size of a saved figure, from that of its picture on the page. */
export function savedSize(picture: Size): Size {
  return { width: picture.width + 2 * MARGIN, height: picture.height + HEADING + MARGIN };
}

/** Paints a figure with its heading on the palette's background. */
export function paintFigure(
  ctx: Canvas2D,
  draw: (ctx: Canvas2D, box: Box) => void,
  picture: Size,
  palette: Palette,
  heading: Heading,
): void {
  const size = savedSize(picture);
  ctx.fillStyle = palette.background;
  ctx.fillRect(0, 0, size.width, size.height);
  const maxWidth = picture.width;
  drawText(ctx, heading.title, MARGIN, 20, { colour: palette.ink, size: FONT.large, weight: 600, maxWidth });
  drawText(ctx, heading.about, MARGIN, 37, { colour: palette.inkSoft, size: FONT.label, maxWidth });
  draw(ctx, { x: MARGIN, y: HEADING, width: picture.width, height: picture.height });
}

/** An SVG file. */
export function toSvg(
  draw: (ctx: Canvas2D, box: Box) => void,
  picture: Size,
  palette: Palette,
  heading: Heading,
  host: SvgHost,
): string {
  const { width, height } = savedSize(picture);
  const svg = new SvgContext(width, height, host);
  // It has all of the context that the drawings use; a test holds that.
  paintFigure(svg as unknown as Canvas2D, draw, picture, palette, heading);
  return svg.toSvg(`${heading.title}. ${heading.about}`);
}

/** At least so wide that the heading is whole. */
const LEAST_WIDTH = 480;

const pictureOf = ({ canvas }: Figure): Size => ({
  width: Math.max(LEAST_WIDTH, canvas.clientWidth),
  height: canvas.clientHeight,
});

/** A PNG file with at least two pixels for each CSS pixel. */
export async function figurePng(figure: Figure, palette: Palette, heading: Heading): Promise<Blob> {
  const scale = Math.max(2, window.devicePixelRatio);
  const picture = pictureOf(figure);
  const { width, height } = savedSize(picture);
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const ctx = canvas.getContext("2d");
  if (ctx === null) throw new Error("the browser gives no canvas to paint on");
  ctx.scale(scale, scale);
  paintFigure(ctx, figure.draw, picture, palette, heading);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => {
      if (blob === null) reject(new Error("the browser made no PNG"));
      else resolve(blob);
    }, "image/png");
  });
}

export function figureSvg(figure: Figure, palette: Palette, heading: Heading): Blob {
  const canvas = document.createElement("canvas");
  const ctx = canvas.getContext("2d");
  if (ctx === null) throw new Error("the browser gives no canvas to measure text on");
  const host: SvgHost = {
    measure: (text, font) => {
      ctx.font = font;
      return ctx.measureText(text).width;
    },
    encode: (image, part) => {
      const whole = image as OffscreenCanvas;
      const { x, y, width, height } = part ?? { x: 0, y: 0, width: whole.width, height: whole.height };
      canvas.width = Math.max(1, Math.round(width));
      canvas.height = Math.max(1, Math.round(height));
      ctx.imageSmoothingEnabled = false;
      ctx.drawImage(image, x, y, width, height, 0, 0, canvas.width, canvas.height);
      return canvas.toDataURL("image/png");
    },
  };
  const svg = toSvg(figure.draw, pictureOf(figure), palette, heading, host);
  return new Blob([svg], { type: "image/svg+xml" });
}

/** The name of a file: what it is of, in letters that every system takes. */
export function fileName(parts: readonly string[], extension: string): string {
  const slug = (part: string): string =>
    part
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "");
  return `${["unroll", ...parts].map(slug).filter(Boolean).join("-")}.${extension}`;
}

/** Hands a file to the browser's downloads. */
export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun to read by then.
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 10_000);
}
