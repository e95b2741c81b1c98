// What a panel's numbers are of: "LSTM, layer 2 ←, step 1,200".

import { count } from "../draw/numbers.js";
import type { RowView } from "../draw/frame.js";
import type { Lane } from "../lab/lane.svelte";
import type { Lab } from "../lab/lab.svelte";

/** The lane's network, its row where the page has networks of several, and the training step; null leaves one out. */
export function about(lab: Lab, lane: Lane, row: RowView | undefined, step: number | null): string {
  const model = lane.applied?.get(".model")?.value;
  const hasRows = lab.lanes.some(({ frame }) => (frame?.rows.length ?? 1) > 1);
  return [
    lab.catalog?.architectures.find((entry) => entry.id === model)?.title ?? "",
    ...(hasRows && row !== undefined ? [row.title.toLowerCase()] : []),
    ...(step === null ? [] : [`step ${count(step)}`]),
  ].join(", ");
}
