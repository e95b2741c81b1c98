/** A picture of a task, from a real sequence of its generator: what goes in, what is asked, and when. */

import { timeAxis, drawTimeTicks, TICKS_HEIGHT } from "./axis.js";
import { type Box, type Canvas2D, drawText, fillBox, FONT, pixelRatioOf, withClip } from "./canvas.js";
import type { ProbeView } from "./frame.js";
import { count } from "./numbers.js";
import { type Palette, withAlpha } from "./palette.js";
import { answerAt, drawInputs, featureRange, rangeText } from "./probe.js";

/** Height that suits a probe sequence. */
export function thumbnailHeight(probe: ProbeView): number {
  const inputs = probe.input.kind === "symbols" ? 42 : Math.min(4, probe.input.size) * 44;
  return inputs + 44 + TICKS_HEIGHT + 6;
}

/** Draws the sequence. Asked timesteps are marked above it, with the answer that is wanted. */
export function drawThumbnail(ctx: Canvas2D, box: Box, probe: ProbeView, palette: Palette): void {
  const pixelRatio = pixelRatioOf(ctx);
  const nSteps = probe.mask.length;
  const axis = timeAxis(nSteps, box, { left: 8, right: 8 });
  ctx.save();
  fillBox(ctx, box, palette.background, pixelRatio);
  const bottom = box.y + box.height - TICKS_HEIGHT;

  const asked = probe.scored.length;
  const last = probe.scored.at(-1);
  const what =
    asked === 0 || last === undefined
      ? "nothing is asked"
      : asked === nSteps
        ? "asked at every step"
        : asked === 1
          ? `asked at step ${count(last + 1)} only`
          : `asked at ${count(asked)} of ${count(nSteps)} steps`;
  const wanted = last === undefined || asked > 1 ? "" : answerAt(probe, last).wanted;
  const label = wanted === "" ? what : `${what}: ${wanted}`;
  drawText(ctx, label, axis.x1, box.y + 12, {
    colour: palette.ink,
    size: FONT.label,
    align: "right",
    maxWidth: axis.x1 - axis.x0,
  });

  // A triangle under the label for each asked step, or a bar where they touch.
  const markY = box.y + 20;
  ctx.fillStyle = palette.ink;
  for (const step of probe.scored) {
    const x = axis.centre(step);
    if (axis.stepWidth >= 7 || asked === 1) {
      ctx.beginPath();
      ctx.moveTo(x - 4, markY);
      ctx.lineTo(x + 4, markY);
      ctx.lineTo(x, markY + 6);
      ctx.closePath();
      ctx.fill();
    } else ctx.fillRect(axis.left(step), markY, Math.max(0.5, axis.stepWidth), 4);
  }
  for (const step of asked <= nSteps / 2 ? probe.scored : []) {
    ctx.fillStyle = withAlpha(palette.line, 0.22);
    ctx.fillRect(axis.left(step), markY + 8, Math.max(1, axis.stepWidth), bottom - markY - 8);
  }

  const rows: Box = { x: axis.x0, y: markY + 12, width: axis.x1 - axis.x0, height: bottom - markY - 14 };
  if (probe.input.kind === "symbols") {
    drawInputs(ctx, axis, { ...rows, y: rows.y + 2, height: rows.height - 4 }, probe, palette, pixelRatio);
  } else {
    const rowHeight = rows.height / Math.max(1, probe.input.size);
    probe.input.names.forEach((name, i) => {
      const range = featureRange(probe.input.values, probe.input.size, i);
      const y = rows.y + i * rowHeight;
      drawText(ctx, name, axis.x0, y + 10, { colour: palette.inkSoft, size: FONT.tick });
      drawText(ctx, rangeText(range), axis.x1, y + 10, { colour: palette.inkSoft, size: FONT.tick, align: "right" });
      const one = { ...probe, input: { ...probe.input, size: 1, names: [name], values: column(probe, i) } };
      withClip(ctx, { ...rows, y: y + 12, height: rowHeight - 12 }, () => {
        drawInputs(ctx, axis, { ...rows, y: y + 12, height: rowHeight - 14 }, one, palette, pixelRatio);
      });
    });
  }
  drawTimeTicks(ctx, axis, bottom, palette, pixelRatio);
  ctx.restore();
}

/** One feature over time, [T]. */
function column(probe: ProbeView, feature: number): Float32Array {
  const { values, size } = probe.input;
  return Float32Array.from({ length: probe.mask.length }, (_, t) => values[t * size + feature] ?? 0);
}
