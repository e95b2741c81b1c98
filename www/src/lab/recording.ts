// A recorded run: what the page shows while the networks load. `recorded.json` is made by the build, with the package and the page's own
// default settings; it holds one moment of each lane, rounded to what a picture can show.

import { channelOf, type ChannelView, type FrameView, type RowView } from "../draw/frame.js";

/** One lane at one moment, as numbers of JSON. */
export interface Recorded {
  /** The titles of its task and of its architecture. */
  task: string;
  title: string;
  /** Training steps done. */
  step: number;
  floor: number;
  channel: Omit<ChannelView, "values" | "gradients"> & { values: number[] };
  /** [T] each. */
  ribbon: { id: string; title: string; median: number[]; lower: number[]; upper: number[]; reference: number };
}

/** A lane as pictures take it. */
export interface RecordedView {
  task: string;
  title: string;
  step: number;
  floor: number;
  nSteps: number;
  channel: ChannelView;
  rows: readonly [RowView];
}

const rounded = (values: Float32Array, digits: number): number[] =>
  Array.from(values, (value) => Number(value.toPrecision(digits)));

/** The state h and the first ribbon of the lowest row. */
export function record(frame: FrameView, task: string, title: string): Recorded {
  const row = frame.rows[0];
  const channel = row === undefined ? null : channelOf(row, "h");
  const ribbon = row?.ribbons[0];
  if (channel === null || ribbon === undefined) throw new Error(`${title} has no row to record`);
  const { id, range, role, nSteps, units } = channel;
  return {
    task,
    title,
    step: frame.header.step,
    floor: frame.floor,
    channel: { id, title: channel.title, role, range, nSteps, units, values: rounded(channel.values, 2) },
    ribbon: {
      id: ribbon.id,
      title: ribbon.title,
      median: rounded(ribbon.median, 3),
      lower: rounded(ribbon.lower, 3),
      upper: rounded(ribbon.upper, 3),
      reference: ribbon.reference,
    },
  };
}

/** The pictures' view of a recording. */
export function viewRecorded({ task, title, step, floor, channel, ribbon }: Recorded): RecordedView {
  const view = { ...channel, values: Float32Array.from(channel.values), gradients: null };
  const [median, lower, upper] = [ribbon.median, ribbon.lower, ribbon.upper].map((values) => Float32Array.from(values));
  if (median === undefined || lower === undefined || upper === undefined) throw new Error("a ribbon has three curves");
  const row: RowView = {
    id: "recorded",
    title: "Layer 1",
    layer: 0,
    reverse: false,
    units: channel.units,
    channels: [view],
    ribbons: [{ ...ribbon, median, lower, upper, fit: null, reverse: false }],
  };
  return { task, title, step, floor, nSteps: channel.nSteps, channel: view, rows: [row] };
}

/** The recording beside the page, or null where there is none, as beside a page that is being developed. */
export async function fetchRecording(): Promise<RecordedView[] | null> {
  try {
    const response = await fetch("recorded.json");
    if (!response.ok) return null;
    return ((await response.json()) as Recorded[]).map(viewRecorded);
  } catch {
    return null;
  }
}
