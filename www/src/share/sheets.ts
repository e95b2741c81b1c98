// The numbers behind each figure as a table: one source for the tables on the page and for the files that are saved.
//
// Pure functions of what the drawings get; knows no elements. Timesteps and units count from 1, as in every text of the page.

import type { StreamView } from "../draw/stream.js";
import { matrixOf } from "../draw/credit.js";
import type { ChannelView, FrameView, ProbeView, RowView } from "../draw/frame.js";
import type { RibbonHistory } from "../draw/history.js";
import { timed, type InspectionView } from "../draw/inspection.js";
import type { Curve } from "../lab/history";

export type Cell = number | string | null;

export interface Column {
  title: string;
  /** "1" for a pure number, "index", or a unit such as "nat". */
  unit: string;
  cells: readonly Cell[];
}

/** A table: the first column names the rows. */
export interface Sheet {
  columns: readonly Column[];
  nRows: number;
}

const sheetOf = (columns: readonly Column[]): Sheet => ({
  columns,
  nRows: Math.max(0, ...columns.map(({ cells }) => cells.length)),
});

/** Title of the column that a file has once at most. */
const TRAINING_STEP = "training step";

const indices = (n: number): number[] => Array.from({ length: n }, (_, at) => at + 1);
const timesteps = (n: number): Column => ({ title: "timestep", unit: "index", cells: indices(n) });
const pure = (title: string, values: ArrayLike<number>): Column => ({ title, unit: "1", cells: Array.from(values) });

/** Median and 10–90 % band of each ribbon of a row. */
export function ribbonSheet(row: RowView): Sheet {
  return sheetOf([
    timesteps(row.ribbons[0]?.median.length ?? 0),
    ...row.ribbons.flatMap(({ id, median, lower, upper }) => [
      pure(`‖∂L/∂${id}‖ median`, median),
      pure("10 %", lower),
      pure("90 %", upper),
    ]),
  ]);
}

/** The values of a channel, a column for each unit. */
export function channelSheet(channel: ChannelView): Sheet {
  return sheetOf([timesteps(channel.nSteps), ...unitColumns(channel, channel.id)]);
}

function unitColumns({ nSteps, units, values }: ChannelView, name: string): Column[] {
  return Array.from({ length: units }, (_, unit) =>
    pure(
      `${name} unit ${String(unit + 1)}`,
      Array.from({ length: nSteps }, (_, t) => values[t * units + unit] ?? Number.NaN),
    ),
  );
}

/** What the unrolled graph shows: the states in its nodes and the gradient at each of them, layer by layer. */
export function graphSheet(frame: FrameView, shown: (row: RowView) => ChannelView | null): Sheet {
  const name = (row: RowView): string => (frame.rows.length > 1 ? `${row.title} ` : "");
  return sheetOf([
    timesteps(frame.nSteps),
    ...frame.rows.flatMap((row) => {
      const channel = shown(row);
      return [
        ...row.ribbons.map(({ id, median }) => pure(`${name(row)}‖∂L/∂${id}‖ median`, median)),
        ...(channel === null ? [] : unitColumns(channel, `${name(row)}${channel.id}`)),
      ];
    }),
  ]);
}

/** What goes in, what is wanted, and, unless left out, what the network answers. */
export function probeSheet(probe: ProbeView, hasAnswers: boolean): Sheet {
  const { input, target, outputs, mask } = probe;
  const nSteps = mask.length;
  const each = (cell: (t: number) => Cell): Cell[] => Array.from({ length: nSteps }, (_, t) => cell(t));
  const named = (names: readonly string[], at: number | undefined): Cell => names[at ?? -1] ?? null;
  const inputs: Column[] =
    input.kind === "symbols"
      ? [{ title: "input", unit: "symbol", cells: each((t) => named(input.names, input.values[t])) }]
      : input.names.map((name, at) => ({
          title: `input ${name}`,
          unit: "1",
          cells: each((t) => input.values[t * input.size + at] ?? null),
        }));
  const isScored = (t: number): boolean => (mask[t] ?? 0) > 0;
  const targets: Column[] =
    target.kind === "class"
      ? [{ title: "wanted", unit: "class", cells: each((t) => named(target.names, target.values[t])) }]
      : target.names.map((name, at) => ({
          title: `wanted ${name}`,
          unit: "1",
          cells: each((t) => (isScored(t) ? (target.values[t * target.size + at] ?? null) : null)),
        }));
  const n = target.names.length;
  const answers: Column[] = target.names.map((name, at) => ({
    title: `answer ${name}`,
    unit: target.kind === "class" ? "probability" : "1",
    cells: each((t) => outputs[t * n + at] ?? null),
  }));
  return sheetOf([timesteps(nSteps), ...inputs, ...targets, ...(hasAnswers ? answers : [])]);
}

/** A curve of all lanes, one below the other. */
export function curveSheet(lanes: readonly { letter: string; curve: Curve }[], title: string, unit: string): Sheet {
  return sheetOf([
    {
      title: "lane",
      unit: "letter",
      cells: lanes.flatMap(({ letter, curve }) => Array.from(curve.steps, () => letter)),
    },
    { title: TRAINING_STEP, unit: "index", cells: lanes.flatMap(({ curve }) => [...curve.steps]) },
    { title, unit, cells: lanes.flatMap(({ curve }) => [...curve.values]) },
  ]);
}

/** The last timesteps of a stream that has read `read` of them. */
export function streamSheet(
  { steps, inputNames, targetNames, isSymbol, kind }: StreamView,
  { read, handedOn }: { read: number; handedOn: readonly number[] },
): Sheet {
  const first = read - steps.length + 1;
  const of = (valueOf: (step: StreamView["steps"][number]) => number | null) => steps.map(valueOf);
  const inputs: Column[] = isSymbol
    ? [{ title: "input", unit: "symbol", cells: steps.map(({ x }) => inputNames[x[0] ?? 0] ?? "") }]
    : inputNames.map((name, at) => ({ title: `input ${name}`, unit: "1", cells: of(({ x }) => x[at] ?? null) }));
  const answers: Column[] = targetNames.map((name, at) => ({
    title: `answer ${name}`,
    unit: kind === "class" ? "probability" : "1",
    cells: of(({ output }) => output[at] ?? null),
  }));
  return sheetOf([
    { title: "timestep", unit: "index", cells: steps.map((_, at) => first + at) },
    ...inputs,
    ...answers,
    pure("numbers handed on", handedOn.slice(first - 1)),
  ]);
}

/** The history of a ribbon: a row for each moment, a column for each timestep. */
export function historySheet({ nSteps, state, steps, medians }: RibbonHistory): Sheet {
  return sheetOf([
    { title: TRAINING_STEP, unit: "index", cells: steps },
    ...indices(nSteps).map((t) =>
      pure(
        `‖∂L/∂${state}‖ t ${String(t)}`,
        medians.map((median) => median[t - 1] ?? Number.NaN),
      ),
    ),
  ]);
}

/** The numbers of a panel: its matrix, else its series over time, else all that it has, one number a row. */
export function panelSheet(view: InspectionView): Sheet {
  const matrix = matrixOf(view);
  if (matrix !== null) {
    const at = (k: number): Column =>
      pure(
        String(k + 1),
        Array.from(matrix.times, (_, row) => matrix.values[row * view.nSteps + k] ?? Number.NaN),
      );
    return sheetOf([
      { title: "t \\ k", unit: "index", cells: Array.from(matrix.times, (t) => t + 1) },
      ...Array.from({ length: view.nSteps }, (_, k) => at(k)),
    ]);
  }
  // The mean of a pipe's width is its first row.
  const width = view.series.get("width");
  const mean = width === undefined ? [] : [{ title: width.title, values: width.values.subarray(0, view.nSteps) }];
  const columns = [...mean, ...timed(view).filter((series) => series.id !== "rows")];
  if (columns.length > 0)
    return sheetOf([timesteps(view.nSteps), ...columns.map(({ title, values }) => pure(title, values))]);
  const rows = [...view.series.values()].flatMap(({ id, shape, values }) => {
    const columnCount = shape[1] ?? 1;
    return Array.from(values, (value, at) => ({
      id,
      row: Math.floor(at / columnCount) + 1,
      column: (at % columnCount) + 1,
      value,
    }));
  });
  return sheetOf([
    { title: "series", unit: "name", cells: rows.map(({ id }) => id) },
    { title: "row", unit: "index", cells: rows.map(({ row }) => row) },
    { title: "column", unit: "index", cells: rows.map(({ column }) => column) },
    { title: "value", unit: "1", cells: rows.map(({ value }) => value) },
  ]);
}

/** What all rows of a file have in common. */
export interface About {
  /** The lane's letter; null where the sheet has a column for it. */
  lane: string | null;
  /** Training steps done; left out where the sheet has a column for it. */
  step: number | null;
}

/** Comma-separated values (RFC 4180): a header with units, then the numbers as they are, undefined ones empty. */
export function toCsv(sheet: Sheet, { lane, step: at }: About): string {
  const step = sheet.columns.some(({ title }) => title === TRAINING_STEP) ? null : at;
  const repeated = (title: string, unit: string, cell: Cell): Column[] =>
    cell === null ? [] : [{ title, unit, cells: Array.from({ length: sheet.nRows }, () => cell) }];
  const columns = [...repeated("lane", "letter", lane), ...repeated(TRAINING_STEP, "index", step), ...sheet.columns];
  const lines = [columns.map(({ title, unit }) => quoted(`${title} [${unit}]`))];
  for (let row = 0; row < sheet.nRows; row++) lines.push(columns.map(({ cells }) => written(cells[row] ?? null)));
  return lines.map((cells) => `${cells.join(",")}\r\n`).join("");
}

function written(cell: Cell): string {
  if (cell === null || Number.isNaN(cell)) return "";
  return typeof cell === "number" ? String(cell) : quoted(cell);
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
