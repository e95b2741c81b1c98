/** Every panel that the package knows. */

import type { InspectionQuery } from "../../../pkg/unroll.js";

export const PANELS = [
  "factors",
  "pipe",
  "credit",
  "credit-of-loss",
  "attention",
  "spectrum",
  "ledger",
  "poke-input",
  "poke-state",
  "portrait",
  "portrait-of-memory",
  "proof",
  "update",
  "pace",
] as const satisfies InspectionQuery["panel"][];
