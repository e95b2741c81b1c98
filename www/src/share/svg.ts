// A 2D context that writes SVG instead of painting, for the drawings of this page: they are functions of a context.
//
// Text stays text, lines stay lines; pixel pictures become embedded PNGs. Made for the part of the canvas API that the drawings use, which
// a test holds. Libraries that cover more of it (svgcanvas, canvas2svg) need a document, and take no OffscreenCanvas as a picture.

/** What only the surroundings can do. */
export interface SvgHost {
  /** Width of a text in CSS pixels. */
  measure(text: string, font: string): number;
  /** A part of a picture as a data URL. */
  encode(image: CanvasImageSource, part: { x: number; y: number; width: number; height: number } | null): string;
}

class SvgGradient {
  readonly stops: string[] = [];

  constructor(
    readonly id: string,
    readonly line: readonly [number, number, number, number],
  ) {}

  addColorStop(offset: number, colour: string): void {
    this.stops.push(`<stop offset="${text(offset)}" ${paint("stop", colour)}/>`);
  }
}

interface State {
  fillStyle: string | SvgGradient;
  strokeStyle: string;
  lineWidth: number;
  lineCap: string;
  lineJoin: string;
  font: string;
  textAlign: string;
  textBaseline: string;
  globalAlpha: number;
  imageSmoothingEnabled: boolean;
  dash: readonly number[];
  /** Groups that end with this state. */
  nGroups: number;
}

/** At most three decimals: a thousandth of a pixel. */
function text(x: number): string {
  return String(Math.round(x * 1000) / 1000);
}

function escaped(part: string): string {
  return part.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** A colour as attributes: SVG programs read no `rgba()`. */
function paint(what: "fill" | "stroke" | "stop", colour: string): string {
  const name = what === "stop" ? "stop-color" : what;
  const parts = /^rgba\(([^,]+), ?([^,]+), ?([^,]+), ?([^)]+)\)$/.exec(colour);
  if (parts === null) return `${name}="${escaped(colour)}"`;
  const [, r = "0", g = "0", b = "0", alpha = "1"] = parts;
  return `${name}="rgb(${r},${g},${b})" ${what}-opacity="${alpha}"`;
}

/** How far below its anchor the baseline of a text lies, in font sizes. */
const BASELINES: Record<string, number> = { top: 0.82, hanging: 0.82, middle: 0.35, bottom: -0.2 };
const ANCHORS: Record<string, string> = { center: "middle", right: "end", end: "end" };

export class SvgContext {
  fillStyle: string | SvgGradient = "#000";
  strokeStyle = "#000";
  lineWidth = 1;
  lineCap = "butt";
  lineJoin = "miter";
  font = "10px sans-serif";
  textAlign = "start";
  textBaseline = "alphabetic";
  globalAlpha = 1;
  imageSmoothingEnabled = true;

  private dash: readonly number[] = [];
  private nGroups = 0;
  private readonly stack: State[] = [];
  private readonly body: string[] = [];
  private readonly definitions: string[] = [];
  private readonly gradients: SvgGradient[] = [];
  private path: string[] = [];

  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly host: SvgHost,
  ) {}

  /** The file. `title` names it for programs that read it aloud. */
  toSvg(title: string): string {
    const open = [...this.stack.map((state) => state.nGroups), this.nGroups].reduce((sum, n) => sum + n, 0);
    const gradients = this.gradients.map(({ id, line: [x1, y1, x2, y2], stops }) => {
      const ends = `x1="${text(x1)}" y1="${text(y1)}" x2="${text(x2)}" y2="${text(y2)}"`;
      return `<linearGradient id="${id}" gradientUnits="userSpaceOnUse" ${ends}>${stops.join("")}</linearGradient>`;
    });
    const size = `width="${text(this.width)}" height="${text(this.height)}"`;
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${text(this.width)} ${text(this.height)}" role="img">`,
      `<title>${escaped(title)}</title>`,
      `<defs>${[...gradients, ...this.definitions].join("")}</defs>`,
      ...this.body,
      "</g>".repeat(open),
      "</svg>",
    ].join("\n");
  }

  // —— State ——

  save(): void {
    const { fillStyle, strokeStyle, lineWidth, lineCap, lineJoin, font, textAlign, textBaseline } = this;
    const { globalAlpha, imageSmoothingEnabled, dash, nGroups } = this;
    const strokes = { strokeStyle, lineWidth, lineCap, lineJoin, dash };
    this.stack.push({
      fillStyle,
      ...strokes,
      font,
      textAlign,
      textBaseline,
      globalAlpha,
      imageSmoothingEnabled,
      nGroups,
    });
    this.nGroups = 0;
  }

  restore(): void {
    const state = this.stack.pop();
    if (state === undefined) return;
    this.body.push("</g>".repeat(this.nGroups));
    Object.assign(this, state);
  }

  private group(attributes: string): void {
    this.body.push(`<g ${attributes}>`);
    this.nGroups += 1;
  }

  clip(): void {
    const id = `clip${String(this.definitions.length)}`;
    this.definitions.push(`<clipPath id="${id}"><path d="${this.path.join("")}"/></clipPath>`);
    this.group(`clip-path="url(#${id})"`);
  }

  translate(x: number, y: number): void {
    this.group(`transform="translate(${text(x)} ${text(y)})"`);
  }

  rotate(angle: number): void {
    this.group(`transform="rotate(${text((angle * 180) / Math.PI)})"`);
  }

  scale(x: number, y: number): void {
    this.group(`transform="scale(${text(x)} ${text(y)})"`);
  }

  setLineDash(dash: readonly number[]): void {
    this.dash = [...dash];
  }

  /** One unit is one CSS pixel. */
  getTransform(): { a: number; b: number; c: number; d: number; e: number; f: number } {
    return { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };
  }

  createLinearGradient(x0: number, y0: number, x1: number, y1: number): SvgGradient {
    const gradient = new SvgGradient(`gradient${String(this.gradients.length)}`, [x0, y0, x1, y1]);
    this.gradients.push(gradient);
    return gradient;
  }

  // —— Paths ——

  beginPath(): void {
    this.path = [];
  }

  moveTo(x: number, y: number): void {
    this.path.push(`M${text(x)} ${text(y)}`);
  }

  /** Without a point before it, a line begins here, as on a canvas. */
  lineTo(x: number, y: number): void {
    this.path.push(`${this.path.length === 0 ? "M" : "L"}${text(x)} ${text(y)}`);
  }

  quadraticCurveTo(cx: number, cy: number, x: number, y: number): void {
    this.path.push(`Q${text(cx)} ${text(cy)} ${text(x)} ${text(y)}`);
  }

  bezierCurveTo(ax: number, ay: number, bx: number, by: number, x: number, y: number): void {
    this.path.push(`C${text(ax)} ${text(ay)} ${text(bx)} ${text(by)} ${text(x)} ${text(y)}`);
  }

  closePath(): void {
    if (this.path.length > 0) this.path.push("Z");
  }

  rect(x: number, y: number, width: number, height: number): void {
    this.path.push(`M${text(x)} ${text(y)}h${text(width)}v${text(height)}h${text(-width)}Z`);
  }

  roundRect(x: number, y: number, width: number, height: number, radius: number): void {
    const r = Math.max(0, Math.min(radius, width / 2, height / 2));
    const corner = (dx: number, dy: number): string => `a${text(r)} ${text(r)} 0 0 1 ${text(dx)} ${text(dy)}`;
    const [across, down] = [width - 2 * r, height - 2 * r];
    this.path.push(
      `M${text(x + r)} ${text(y)}h${text(across)}${corner(r, r)}v${text(down)}${corner(-r, r)}`,
      `h${text(-across)}${corner(-r, -r)}v${text(-down)}${corner(r, -r)}Z`,
    );
  }

  arc(x: number, y: number, radius: number, from: number, to: number, isBack = false): void {
    const turn = isBack ? from - to : to - from;
    const point = (angle: number): string =>
      `${text(x + radius * Math.cos(angle))} ${text(y + radius * Math.sin(angle))}`;
    const r = `${text(radius)} ${text(radius)}`;
    const sweep = isBack ? "0" : "1";
    const start = `${this.path.length === 0 ? "M" : "L"}${point(from)}`;
    if (turn >= 2 * Math.PI - 1e-9) {
      // A whole circle has no end that differs from its beginning: two halves.
      this.path.push(`${start}A${r} 0 1 ${sweep} ${point(from + Math.PI)}A${r} 0 1 ${sweep} ${point(from)}`);
      return;
    }
    const angle = ((turn % (2 * Math.PI)) + 2 * Math.PI) % (2 * Math.PI);
    this.path.push(`${start}A${r} 0 ${angle > Math.PI ? "1" : "0"} ${sweep} ${point(to)}`);
  }

  fill(): void {
    this.body.push(`<path d="${this.path.join("")}" ${this.filled()}/>`);
  }

  stroke(): void {
    if (this.path.length > 0) this.body.push(`<path d="${this.path.join("")}" fill="none" ${this.stroked()}/>`);
  }

  fillRect(x: number, y: number, width: number, height: number): void {
    this.body.push(`<rect ${placed(x, y, width, height)} ${this.filled()}/>`);
  }

  strokeRect(x: number, y: number, width: number, height: number): void {
    this.body.push(`<rect ${placed(x, y, width, height)} fill="none" ${this.stroked()}/>`);
  }

  private filled(): string {
    const { fillStyle } = this;
    return (typeof fillStyle === "string" ? paint("fill", fillStyle) : `fill="url(#${fillStyle.id})"`) + this.faded();
  }

  private stroked(): string {
    const dash = this.dash.length === 0 ? "" : ` stroke-dasharray="${this.dash.map(text).join(" ")}"`;
    const ends = `stroke-linecap="${this.lineCap}" stroke-linejoin="${this.lineJoin}"`;
    return `${paint("stroke", this.strokeStyle)} stroke-width="${text(this.lineWidth)}" ${ends}${dash}${this.faded()}`;
  }

  private faded(): string {
    return this.globalAlpha === 1 ? "" : ` opacity="${text(this.globalAlpha)}"`;
  }

  // —— Text and pictures ——

  /** All digits are as wide as a 0: the file asks for tabular ones, so a number stays one piece of text. */
  measureText(part: string): { width: number } {
    return { width: this.host.measure(part.replace(/[0-9]/g, "0"), this.font) };
  }

  fillText(part: string, x: number, y: number): void {
    this.write(part, x, y, this.filled());
  }

  strokeText(part: string, x: number, y: number): void {
    this.write(part, x, y, `fill="none" aria-hidden="true" ${this.stroked()}`);
  }

  private write(part: string, x: number, y: number, attributes: string): void {
    const [, weight = "400", size = "10", family = "sans-serif"] = /^(?:(\d+) )?([\d.]+)px (.+)$/.exec(this.font) ?? [];
    const baseline = y + (BASELINES[this.textBaseline] ?? 0) * Number(size);
    const anchor = ANCHORS[this.textAlign] ?? "start";
    const font = `font-family="${escaped(family)}" font-size="${size}" font-weight="${weight}"`;
    this.body.push(
      `<text x="${text(x)}" y="${text(baseline)}" text-anchor="${anchor}" ${font} style="font-variant-numeric:tabular-nums" ` +
        `${attributes}>${escaped(part)}</text>`,
    );
  }

  drawImage(image: CanvasImageSource, ...at: number[]): void {
    const whole = at.length <= 4;
    const [sx = 0, sy = 0, sw = 0, sh = 0] = at;
    const [x = 0, y = 0, width = 0, height = 0] = whole ? at : at.slice(4);
    const url = this.host.encode(image, whole ? null : { x: sx, y: sy, width: sw, height: sh });
    const crisp = this.imageSmoothingEnabled ? "" : ' style="image-rendering:pixelated"';
    this.body.push(
      `<image ${placed(x, y, width, height)} preserveAspectRatio="none" href="${url}"${crisp}${this.faded()}/>`,
    );
  }
}

function placed(x: number, y: number, width: number, height: number): string {
  return `x="${text(x)}" y="${text(y)}" width="${text(width)}" height="${text(height)}"`;
}
