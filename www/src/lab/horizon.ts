// The grid of the horizon sweep: which networks, at which lags, with which configurations. Pure functions of the settings.

import type { Catalog, SessionConfig } from "unroll-types";
import { describe, letterOf, sessionConfig, type Values } from "../settings";

/** A network of the sweep. */
export interface HorizonRow {
  model: string;
  title: string;
  init: string;
}

export interface HorizonGrid {
  rows: readonly HorizonRow[];
  /** Lengths of the task, the shortest first. */
  lengths: readonly number[];
  /** The configuration of a row at a length. */
  config: (row: HorizonRow, length: number) => SessionConfig;
}

/** Lengths as multiples of the one on the page. */
const MULTIPLES = [0.2, 0.4, 1, 2, 4];

/** Beside the default: what keeps the gradient of a cell without gates, and what opens the gate that keeps. */
const REMEDIES = ["orthogonal", "chrono"];

/** Every architecture with the default initialisation and the remedy that suits it; sizes, task and training are those of lane A. */
export function horizonGrid(catalog: Catalog, values: Values): HorizonGrid {
  const rows = catalog.architectures.flatMap(({ id, title, gates }) => {
    const inits = catalog.inits.filter((init) => init.architectures.includes(id));
    const remedy = inits.find((init) => init.id === REMEDIES[gates.length > 1 ? 1 : 0]);
    const [first] = inits;
    return [first, remedy].flatMap((init) =>
      init === undefined ? [] : [{ model: id, init: init.id, title: `${title}, ${init.title}` }],
    );
  });
  const { settings } = describe(catalog, values);
  const kind = settings.find(({ name }) => name === "task.length")?.kind;
  const [least, most] = kind?.kind === "integer" ? [kind.min, kind.max] : [1, Number.POSITIVE_INFINITY];
  const now = Number(values["task.length"]);
  const lengths = MULTIPLES.map((multiple) => Math.round(Math.min(most, Math.max(least, multiple * now))));
  const letter = letterOf(0);
  return {
    rows,
    lengths: [...new Set(lengths)],
    config: (row, length) =>
      sessionConfig(
        catalog,
        {
          ...values,
          "task.length": length,
          [`${letter}.model`]: row.model,
          [`${letter}.init`]: row.init,
          [`${letter}.engine`]: "cpu",
        },
        0,
      ),
  };
}

/** What tells whether two grids have the same cells. */
export function horizonKey(grid: HorizonGrid, steps: number): string {
  const [row] = grid.rows;
  const [length] = grid.lengths;
  return JSON.stringify([
    row === undefined || length === undefined ? null : grid.config(row, length),
    grid.lengths,
    steps,
  ]);
}
