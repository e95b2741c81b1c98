/**
 * A 2D context that draws nothing and writes down every call, for tests of what drawings ask for: numbers that are not
 * finite, unbalanced save and restore, coordinates outside of the box. Node has no canvas.
 */

export interface Call {
  name: string;
  args: readonly unknown[];
}

export interface Recorder {
  ctx: CanvasRenderingContext2D;
  calls: Call[];
  /** Texts drawn, in order. */
  texts: () => string[];
  /** save minus restore. */
  depth: () => number;
}

/** Widths of text: as wide as a narrow sans-serif makes it, 0.55 em a letter. */
function measure(text: string, font: string): { width: number } {
  const size = Number(/([0-9.]+)px/.exec(font)?.[1] ?? 10);
  return { width: text.length * size * 0.55 };
}

export function recorder(): Recorder {
  const calls: Call[] = [];
  let depth = 0;
  const state: Record<string, unknown> = { font: "10px sans-serif" };
  const special: Record<string, (...args: unknown[]) => unknown> = {
    getTransform: () => ({ a: 2 }),
    measureText: (text) => measure(String(text), String(state["font"])),
    createLinearGradient: () => ({ addColorStop: () => undefined }),
    createImageData: (width, height) => ({
      width,
      height,
      data: new Uint8ClampedArray(Number(width) * Number(height) * 4),
    }),
  };
  const target = new Proxy(state, {
    get: (_, key) => {
      const name = String(key);
      if (name in state) return state[name];
      return (...args: unknown[]) => {
        calls.push({ name, args });
        if (name === "save") depth += 1;
        if (name === "restore") depth -= 1;
        return special[name]?.(...args);
      };
    },
    set: (_, key, value) => {
      state[String(key)] = value;
      calls.push({ name: `set ${String(key)}`, args: [value] });
      return true;
    },
  });
  return {
    ctx: target as unknown as CanvasRenderingContext2D,
    calls,
    texts: () => calls.filter(({ name }) => name === "fillText").map(({ args }) => String(args[0])),
    depth: () => depth,
  };
}

/** Gives Node an OffscreenCanvas whose context is a recorder. */
export function installOffscreenCanvas(): void {
  class Offscreen {
    constructor(
      public width: number,
      public height: number,
    ) {}
    getContext(): unknown {
      return recorder().ctx;
    }
  }
  Object.assign(globalThis, { OffscreenCanvas: Offscreen });
}
