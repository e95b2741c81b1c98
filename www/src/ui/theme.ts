// The page's colours are the drawings' palette: one source, handed to CSS as custom properties.

import { type Palette, palettes } from "../draw/palette.js";

export interface SystemWish {
  isDark: boolean;
  wantsContrast: boolean;
}

export function paletteFor(theme: unknown, wish: SystemWish): Palette {
  const isDark = theme === "dark" || (theme !== "light" && wish.isDark);
  if (isDark) return palettes.dark;
  return wish.wantsContrast ? palettes.contrast : palettes.light;
}

/** Colours that only the page's controls use, beside those of the drawings. */
const CHROME = {
  light: { page: "#f1f4f6", accent: "#0a6cae", onAccent: "#ffffff", hover: "#e8edf1" },
  dark: { page: "#0c0f12", accent: "#5cb4f5", onAccent: "#08131b", hover: "#222a31" },
  contrast: { page: "#ffffff", accent: "#003f86", onAccent: "#ffffff", hover: "#e2e2e2" },
} as const;

export function applyPalette(root: HTMLElement, palette: Palette): void {
  const chrome = CHROME[palette.name];
  const colours: Record<string, string> = {
    page: chrome.page,
    panel: palette.background,
    ink: palette.ink,
    soft: palette.inkSoft,
    line: palette.line,
    grid: palette.grid,
    accent: chrome.accent,
    "on-accent": chrome.onAccent,
    hover: chrome.hover,
    right: palette.right,
    wrong: palette.wrong,
  };
  for (const [zone, colour] of Object.entries(palette.zones)) {
    colours[`${zone}-fill`] = colour.fill;
    colours[`${zone}-ink`] = colour.ink;
  }
  palette.lanes.forEach((lane, at) => {
    colours[`lane-${at}`] = lane.colour;
  });
  for (const [name, colour] of Object.entries(colours)) root.style.setProperty(`--${name}`, colour);
  root.style.colorScheme = palette.name === "dark" ? "dark" : "light";
  root.dataset["palette"] = palette.name;
}
