/**
 * The drawings of the page. Each is a function of a context, a box in CSS pixels, a frame, a palette and options; none holds
 * state or names an architecture.
 */

export * from "./axis.js";
export * from "./canvas.js";
export * from "./cliff.js";
export * from "./credit.js";
export * from "./curves.js";
export * from "./factors.js";
export * from "./frame.js";
export * from "./graph.js";
export * from "./heatmap.js";
export * from "./history.js";
export * from "./inspection.js";
export * from "./ledger.js";
export * from "./legend.js";
export * as numbers from "./numbers.js";
export * from "./palette.js";
export * from "./pipe.js";
export * from "./portrait.js";
export * from "./prediction.js";
export * from "./predictions.js";
export * from "./probe.js";
export * from "./ribbon.js";
export * from "./ripple.js";
export * from "./sentence.js";
export * from "./series.js";
export * from "./spectrum.js";
export * from "./thumbnail.js";
export * from "./update.js";
export * from "./window.js";
