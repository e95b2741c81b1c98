/** Typed read access to what a panel shows. Offsets and shapes are checked once, here. */

import type { Inspection } from "unroll-types";
import { reader } from "./frame.js";

export interface SeriesView {
  id: string;
  title: string;
  shape: readonly number[];
  values: Float32Array;
}

/** Named series about one layer and direction of a network. */
export interface InspectionView {
  /** Training steps done when it was made. */
  step: number;
  nSteps: number;
  /** Id of the row, as in a frame. */
  row: string;
  /** The state that carries the memory. */
  state: string;
  /** Number of probe sequences behind the numbers. */
  sequences: number;
  /** Names of the parameters, where series have a number for each. */
  names: readonly string[];
  /** Where the picture has no meaning for the architecture: what there is in its place. */
  absent: string | null;
  series: ReadonlyMap<string, SeriesView>;
}

/** Checks an inspection and gives typed views of its numbers, without copying them. Throws an `Error` that names what is wrong. */
export function viewInspection({ header, data }: Inspection): InspectionView {
  const read = reader(data, "inspection");
  const { step, nSteps, row, state, sequences, names = [], absent = null } = header;
  const series = header.series.map(({ id, title, shape, offset }) => {
    return [id, { id, title, shape, values: read(offset, shape, id) }] as const;
  });
  return { step, nSteps, row, state, sequences, names, absent, series: new Map(series) };
}

/** The series that hold one number for each timestep, in order. */
export function timed(view: InspectionView): SeriesView[] {
  return [...view.series.values()].filter(({ shape }) => shape.length === 1 && shape[0] === view.nSteps);
}
