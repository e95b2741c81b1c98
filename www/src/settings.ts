// Every setting of the page: name, default, how it is read and how it is printed.
//
// One table, made from the package's catalogue, drives the form, the URL hash and what the workers are sent. It must not
// know the page, and it names no task, architecture, initialisation or optimiser except in `FIRST_VISIT`.

import { LESSONS } from "./lessons";
import type { Catalog, Clip, Entry, Hyper, OptionInfo, SessionConfig } from "unroll-types";

/** What a setting can hold. */
export type Value = number | string | boolean | null;

/** Values by name, as in the URL: `task.length`, `a.model`. */
export type Values = Readonly<Record<string, Value>>;

/** What a setting takes; the same kinds as an option of the package. */
export type Kind =
  | { kind: "integer"; min: number; max: number }
  | { kind: "number"; min: number; max: number; log: boolean }
  | { kind: "maybe"; min: number; max: number; whole: boolean }
  | { kind: "choice"; among: readonly { id: string; title: string }[] }
  | { kind: "switch" }
  | { kind: "word" }
  | { kind: "list"; among: readonly { id: string; title: string }[] };

/** `restart`: a lane must begin anew; `live`: acts on a running lane; `view`: changes only what is shown. */
export type Effect = "restart" | "live" | "view";

/** Which part of the page shows the control. */
export type Group = "task" | "training" | "race" | "lane" | "view" | "panels" | "link";

export interface Setting {
  /** Key in the URL hash and in `Values`. */
  name: string;
  title: string;
  help: string;
  kind: Kind;
  default: Value;
  effect: Effect;
  group: Group;
  /** The lane it belongs to, from 0; null when it belongs to all. */
  lane: number | null;
  /** True where the value follows from others: it is shown, but nobody sets it and no address holds it. */
  isDerived?: boolean;
}

/** Letters of the lanes, in the URL and on the page. */
export const LANE_LETTERS = ["a", "b", "c", "d"] as const;
export const MAX_LANES = LANE_LETTERS.length;

/** The version of the hash's vocabulary. */
export const HASH_VERSION = "1";

interface FirstChoice {
  id: string;
  /** Values of the entry's options that differ from the catalogue's defaults. */
  options: Record<string, Value>;
}

/**
 * What a first visitor sees: the picture that shows the point within seconds. The only place that names entries of the
 * catalogue; an entry that is not there falls back to the first one.
 */
export const FIRST_VISIT: {
  task: FirstChoice;
  optimiser: FirstChoice;
  clip: { kind: "norm" | "value" | "off"; at: number };
  batch: number;
  seed: number;
  lanes: number;
  hidden: number;
  layers: number;
  /** One per letter. */
  models: readonly { model: FirstChoice; init: FirstChoice }[];
} = {
  task: { id: "first-symbol", options: { length: 25, distractors: 16 } },
  optimiser: { id: "adam", options: { lr: 0.0005 } },
  clip: { kind: "norm", at: 1 },
  batch: 16,
  seed: 3,
  lanes: 2,
  hidden: 16,
  layers: 1,
  models: [
    { model: { id: "elman", options: {} }, init: { id: "pytorch", options: {} } },
    { model: { id: "lstm", options: {} }, init: { id: "forget-bias", options: { forgetBias: 1 } } },
    { model: { id: "gru", options: {} }, init: { id: "pytorch", options: {} } },
    { model: { id: "elman", options: {} }, init: { id: "orthogonal", options: {} } },
  ],
};

/** What the lanes of a race have in common. */
const MATCHES = [
  { id: "size", title: "units as set in each lane" },
  { id: "parameters", title: "same number of parameters" },
] as const;

/** Where losses count in the frames: a view, training is not touched. */
const LOSS_AT = [
  { id: "task", title: "where the task scores" },
  { id: "last", title: "at the last timestep" },
  { id: "all", title: "at every timestep" },
] as const;

/** What a lane may be told to train on. */
export const ENGINES = [
  { id: "auto", title: "automatic" },
  { id: "cpu", title: "CPU" },
  { id: "webgpu", title: "WebGPU" },
] as const;

/** The panels below the lanes, in the order in which they stand on the page. */
export const PANELS = [
  { id: "factors", title: "Factors" },
  { id: "spectrum", title: "Spectrum" },
  { id: "pipe", title: "Pipe" },
  { id: "ledger", title: "Ledger" },
  { id: "credit", title: "Credit" },
  { id: "poke", title: "Poke" },
  { id: "portrait", title: "Portrait" },
  { id: "stream", title: "Stream" },
  { id: "pace", title: "Pace" },
  { id: "history", title: "History" },
  { id: "cliff", title: "Cliff" },
  { id: "horizon", title: "Horizon" },
  { id: "proof", title: "Proof" },
] as const;

export type PanelId = (typeof PANELS)[number]["id"];

/**
 * Parts of the page that a link can hide with `hide=`, for teachers: the one list behind the address, the share dialog and the
 * components. Nothing else changes: the networks train as before, and the keys still work.
 */
export const HIDEABLE = [
  { id: "task", title: "Task and training settings" },
  { id: "lane-settings", title: "Settings of the lanes" },
  { id: "graph", title: "Unrolled graphs" },
  { id: "states", title: "States" },
  { id: "gradient", title: "Gradient ribbons" },
  { id: "charts", title: "Loss and right answers" },
  { id: "answers", title: "Answers" },
  { id: "legend", title: "Legend" },
  { id: "panels", title: "Panels and tables" },
  { id: "counters", title: "Step and speed" },
  { id: "engine", title: "Engine" },
  { id: "tools", title: "Lessons, Share and Help" },
] as const;

export type PartId = (typeof HIDEABLE)[number]["id"];

/** Of a layer's rows, the one that reads the sequence from its start, and the one that reads it from its end. */
const DIRECTIONS = [
  { id: "forward", title: "→" },
  { id: "backward", title: "←" },
] as const;

/** What the credit matrix shows, and what the package calls that. */
export const CREDIT_OF = [
  { id: "output", title: "the outputs", panel: "credit" },
  { id: "loss", title: "the loss", panel: "credit-of-loss" },
  { id: "attention", title: "attention", panel: "attention" },
] as const;

/** Where the signal of a stream comes from. */
const STREAMED = [
  { id: "task", title: "an example" },
  { id: "hand", title: "your hand" },
  { id: "own", title: "its own answers" },
] as const;

/** What a poke changes. */
const POKED = [
  { id: "input", title: "the input" },
  { id: "state", title: "the state" },
] as const;

/** How tall the picture of the history is. */
const HISTORY_SIZES = [
  { id: "whole", title: "the whole run" },
  { id: "tall", title: "four times as tall" },
] as const;

/** Which state a portrait traces. */
const PORTRAIT_OF = [
  { id: "h", title: "h" },
  { id: "memory", title: "the memory" },
] as const;

/** What the surface of the loss cliff shows. */
const CLIFF_SHOWS = [
  { id: "loss", title: "the loss" },
  { id: "gradient", title: "its gradient" },
] as const;
export const NO_LESSON = { id: "none", title: "none" } as const;

const THEMES = [
  { id: "auto", title: "as the system" },
  { id: "light", title: "light" },
  { id: "dark", title: "dark" },
] as const;

/** The letter of a lane. */
export function letterOf(lane: number): string {
  return LANE_LETTERS[lane] ?? "?";
}

/** The entries of a list's value. */
export function listed(value: Value): string[] {
  return typeof value === "string" && value !== "" ? value.split(",") : [];
}

/** The kind of a package option, without its default. */
function kindOf(option: OptionInfo): Kind {
  switch (option.kind) {
    case "integer":
      return { kind: "integer", min: option.min, max: option.max };
    case "number":
      return { kind: "number", min: option.min, max: option.max, log: option.log };
    case "maybe":
      return { kind: "maybe", min: option.min, max: option.max, whole: false };
    case "choice":
      return { kind: "choice", among: option.among };
    case "switch":
      return { kind: "switch" };
    default:
      return option satisfies never;
  }
}

function fits(kind: Kind, value: Value): boolean {
  switch (kind.kind) {
    case "integer":
      return typeof value === "number" && Number.isInteger(value) && value >= kind.min && value <= kind.max;
    case "number":
      return typeof value === "number" && value >= kind.min && value <= kind.max;
    case "maybe":
      return (
        value === null ||
        (typeof value === "number" &&
          value >= kind.min &&
          value <= kind.max &&
          (!kind.whole || Number.isInteger(value)))
      );
    case "choice":
      return kind.among.some((choice) => choice.id === value);
    case "switch":
      return typeof value === "boolean";
    case "word":
      return typeof value === "string" && /^[\p{L}\d_-]{1,24}$/u.test(value);
    case "list": {
      const ids = listed(value);
      const isKnown = (id: string): boolean => kind.among.some((choice) => choice.id === id);
      return typeof value === "string" && ids.every(isKnown) && new Set(ids).size === ids.length;
    }
    default:
      return kind satisfies never;
  }
}

/** What a kind accepts, in words. */
export function expected(kind: Kind): string {
  switch (kind.kind) {
    case "integer":
      return `a whole number from ${kind.min} to ${kind.max}`;
    case "number":
      return `a number from ${kind.min} to ${kind.max}`;
    case "maybe":
      return `${kind.whole ? "a whole number" : "a number"} from ${kind.min} to ${kind.max}, or none`;
    case "choice":
      return `one of ${kind.among.map((choice) => choice.id).join(", ")}`;
    case "switch":
      return "on or off";
    case "word":
      return "a short name";
    case "list":
      return `some of ${kind.among.map((choice) => choice.id).join(", ")}, with commas between`;
    default:
      return kind satisfies never;
  }
}

/** Reads the text of a URL or of a form field; `undefined` when it does not fit. */
export function parse(kind: Kind, text: string): Value | undefined {
  const value = read(kind, text.trim());
  return value !== undefined && fits(kind, value) ? value : undefined;
}

function read(kind: Kind, text: string): Value | undefined {
  switch (kind.kind) {
    case "integer":
    case "number":
      return readNumber(text);
    case "maybe":
      return text === "none" ? null : readNumber(text);
    case "choice":
    case "word":
    case "list":
      return text;
    case "switch":
      // `embed=1` is what people write by hand.
      return text === "on" || text === "1" ? true : text === "off" || text === "0" ? false : undefined;
    default:
      return kind satisfies never;
  }
}

/** Decimal notation only: `Number` alone would also take "", "0x10" and "Infinity". */
function readNumber(text: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

/** Prints a value so that `parse` gives it back. */
export function print(value: Value): string {
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "on" : "off";
  return String(value);
}

/** Collects settings and, as it goes, the value of each: later settings exist only for some values of earlier ones. */
class Table {
  readonly settings: Setting[] = [];
  readonly values: Record<string, Value> = {};

  constructor(private readonly given: Values) {}

  add(setting: Setting): Value {
    const given = this.given[setting.name];
    const value = given !== undefined && fits(setting.kind, given) ? given : setting.default;
    this.settings.push(setting);
    this.values[setting.name] = value;
    return value;
  }

  /** A choice among entries; gives the chosen entry. */
  entry<E extends Entry>(setting: Omit<Setting, "kind" | "default">, entries: readonly E[], first: string): E {
    const fallback = entries.find((entry) => entry.id === first) ?? entries[0];
    if (fallback === undefined) throw new Error(`the catalogue offers nothing for ${setting.name}`);
    const kind: Kind = { kind: "choice", among: entries };
    const id = this.add({ ...setting, kind, default: fallback.id });
    return entries.find((entry) => entry.id === id) ?? fallback;
  }

  /** The options of an entry, under `prefix`. */
  options(
    prefix: string,
    entry: Entry,
    first: FirstChoice,
    rest: Pick<Setting, "group" | "lane">,
    live: boolean,
  ): void {
    for (const option of entry.options) {
      const kind = kindOf(option);
      const wish = entry.id === first.id ? first.options[option.name] : undefined;
      this.add({
        name: `${prefix}.${option.name}`,
        title: option.title,
        help: option.help,
        kind,
        default: wish !== undefined && fits(kind, wish) ? wish : option.default,
        effect: live && option.kind !== "choice" ? "live" : "restart",
        ...rest,
      });
    }
  }
}

/**
 * All settings that exist for these values, and the values themselves, complete: a value that is missing or does not fit
 * is the default.
 */
export function describe(catalog: Catalog, given: Values): { settings: Setting[]; values: Values } {
  const table = new Table(given);
  const { limits } = catalog;

  const ofTask = { group: "task", lane: null } as const;
  const task = table.entry(
    { name: "task", title: "Task", help: "What the networks are asked to learn.", effect: "restart", ...ofTask },
    catalog.tasks,
    FIRST_VISIT.task.id,
  );
  table.options("task", task, FIRST_VISIT.task, ofTask, false);

  const ofTraining = { group: "training", lane: null } as const;
  const optimiser = table.entry(
    {
      name: "optimiser",
      title: "Optimiser",
      help: "How the weights follow the gradient.",
      effect: "restart",
      ...ofTraining,
    },
    catalog.optimisers,
    FIRST_VISIT.optimiser.id,
  );
  table.options("optimiser", optimiser, FIRST_VISIT.optimiser, ofTraining, true);
  const clip = table.add({
    name: "clip",
    title: "Clip gradients",
    help: "By the global norm over all parameters, by the value of each element, or not at all.",
    kind: {
      kind: "choice",
      among: [
        { id: "norm", title: "by norm" },
        { id: "value", title: "by value" },
        { id: "off", title: "off" },
      ],
    },
    default: FIRST_VISIT.clip.kind,
    effect: "live",
    ...ofTraining,
  });
  if (clip !== "off") {
    table.add({
      name: "clip.at",
      title: "Clip at",
      help: "The largest norm, or the largest absolute value, that is left alone.",
      kind: { kind: "number", min: 1e-6, max: 1e6, log: true },
      default: FIRST_VISIT.clip.at,
      effect: "live",
      ...ofTraining,
    });
  }
  table.add({
    name: "batch",
    title: "Batch",
    help: "Sequences in one training step.",
    kind: { kind: "integer", min: 1, max: limits.batch },
    default: Math.min(FIRST_VISIT.batch, limits.batch),
    effect: "restart",
    ...ofTraining,
  });
  table.add({
    name: "seed",
    title: "Seed",
    help: "The same seed gives the same weights and the same batches, in every lane and on every machine.",
    kind: { kind: "integer", min: 0, max: Number.MAX_SAFE_INTEGER },
    default: FIRST_VISIT.seed,
    effect: "restart",
    ...ofTraining,
  });

  const lanes = table.add({
    name: "lanes",
    title: "Lanes",
    help: "How many networks train side by side.",
    kind: { kind: "integer", min: 1, max: MAX_LANES },
    default: FIRST_VISIT.lanes,
    effect: "view",
    group: "view",
    lane: null,
  });
  const match = table.add({
    name: "match",
    title: "Size of the lanes",
    help: "Units as set for each lane, or as many as bring each lane closest to lane A's number of parameters.",
    kind: { kind: "choice", among: MATCHES },
    default: MATCHES[0].id,
    effect: "restart",
    group: "race",
    lane: null,
  });
  const hasLayerChoice = limits.layers > 1;
  for (let lane = 0; lane < Number(lanes); lane++) {
    const letter = letterOf(lane);
    const ofLane = { group: "lane", lane } as const;
    const first = FIRST_VISIT.models[lane] ?? {
      model: { id: "", options: {} },
      init: { id: "", options: {} },
    };
    const model = table.entry(
      { name: `${letter}.model`, title: "Network", help: "The recurrent layer.", effect: "restart", ...ofLane },
      catalog.architectures,
      first.model.id,
    );
    table.options(letter, model, first.model, ofLane, false);
    table.add({
      name: `${letter}.hidden`,
      title: "Hidden units",
      help: "The size of the state, H.",
      kind: { kind: "integer", min: 1, max: limits.hidden },
      default: Math.min(FIRST_VISIT.hidden, limits.hidden),
      effect: "restart",
      isDerived: lane > 0 && match === "parameters",
      ...ofLane,
    });
    if (hasLayerChoice) {
      table.add({
        name: `${letter}.layers`,
        title: "Layers",
        help: "Layers, one on top of the other.",
        kind: { kind: "integer", min: 1, max: limits.layers },
        default: FIRST_VISIT.layers,
        effect: "restart",
        ...ofLane,
      });
    }
    if (!task.ahead && !model.residual) {
      table.add({
        name: `${letter}.bidirectional`,
        title: "Both directions",
        help: "A second row of each layer reads the sequence from its end; the answer is read from both.",
        kind: { kind: "switch" },
        default: false,
        effect: "restart",
        ...ofLane,
      });
    }
    let decoder: Value = "same";
    if (task.source && !model.residual) {
      decoder = table.add({
        name: `${letter}.decoder`,
        title: "Decoder",
        help: "Which network answers once the source has been read, and whether it can look back at the source.",
        kind: { kind: "choice", among: catalog.decoders },
        default: catalog.decoders[0]?.id ?? "same",
        effect: "restart",
        ...ofLane,
      });
    }
    const inits = catalog.inits.filter((init) => init.architectures.includes(model.id));
    const init = table.entry(
      { name: `${letter}.init`, title: "Initialisation", help: "The weights at step 0.", effect: "restart", ...ofLane },
      inits,
      model.id === first.model.id ? first.init.id : "",
    );
    table.options(`${letter}.init`, init, first.init, ofLane, false);
    if (!model.residual && decoder === "same") {
      table.add({
        name: `${letter}.window`,
        title: "Truncation window",
        help: "Backpropagation stops every so many timesteps; none goes all the way back.",
        kind: { kind: "maybe", min: 1, max: limits.length, whole: true },
        default: null,
        effect: "live",
        ...ofLane,
      });
    }
    if (task.streams && !model.residual) {
      table.add({
        name: `${letter}.carry`,
        title: "Carry the state",
        help: "The last state of a batch starts the next one; no gradient crosses.",
        kind: { kind: "switch" },
        default: false,
        effect: "restart",
        ...ofLane,
      });
    }
    table.add({
      name: `${letter}.engine`,
      title: "Engine",
      help: "Automatic starts on the CPU at once and moves to the graphics card when that is measured to be faster.",
      kind: { kind: "choice", among: ENGINES },
      default: "auto",
      effect: "restart",
      ...ofLane,
    });
  }

  const ofView = { effect: "view", group: "view", lane: null } as const;
  table.add({
    name: "states",
    title: "States show",
    help: "The channel that the heatmaps show; a network without it shows its first one.",
    // The channels come with the frames, so any short name is taken here.
    kind: { kind: "word" },
    default: "h",
    ...ofView,
  });
  table.add({
    name: "example",
    title: "Example shown",
    help: "Which of the probe sequences the pictures show. The gradient ribbon is always over all of them.",
    kind: { kind: "integer", min: 1, max: 64 },
    default: 1,
    ...ofView,
  });
  table.add({
    name: "loss-at",
    title: "Gradient of the loss",
    help: "Which losses the gradient pictures look back from. Training is not touched.",
    kind: { kind: "choice", among: LOSS_AT },
    default: "task",
    ...ofView,
  });
  table.add({
    name: "in-step",
    title: "Lanes in step",
    help: "A faster lane waits, so that all have seen the same batches when you compare them.",
    kind: { kind: "switch" },
    default: true,
    ...ofView,
  });
  table.add({
    name: "pause-at-goal",
    title: "Pause when all lanes have solved the task",
    help: "Run goes on from there.",
    kind: { kind: "switch" },
    default: true,
    ...ofView,
  });
  table.add({
    name: "theme",
    title: "Colours",
    help: "Light, dark, or as the system says.",
    kind: { kind: "choice", among: THEMES },
    default: "auto",
    ...ofView,
  });
  const ofPanels = { effect: "view", group: "panels", lane: null } as const;
  table.add({
    name: "panels",
    title: "Panels",
    help: "Closer looks at the running networks.",
    kind: { kind: "list", among: PANELS },
    default: "",
    ...ofPanels,
  });
  table.add({
    name: "panel-layer",
    title: "Layer",
    help: "Which layer the panels show; a network with fewer shows its last one.",
    kind: { kind: "integer", min: 1, max: Math.max(1, limits.layers) },
    default: 1,
    ...ofPanels,
  });
  table.add({
    name: "panel-direction",
    title: "Direction",
    help: "Of a layer that reads in both directions, the row that the panels show.",
    kind: { kind: "choice", among: DIRECTIONS },
    default: "forward",
    ...ofPanels,
  });
  table.add({
    name: "credit-of",
    title: "Credit for",
    help: "Whose dependence on earlier states the credit matrix shows; or the weights with which a timestep reads another.",
    kind: { kind: "choice", among: CREDIT_OF },
    default: "output",
    ...ofPanels,
  });
  table.add({
    name: "stream-of",
    title: "Reads",
    help: "Where the signal of the stream comes from; its own answers where the task asks for what comes next.",
    kind: { kind: "choice", among: STREAMED },
    default: "task",
    ...ofPanels,
  });
  table.add({
    name: "credit-head",
    title: "Head",
    help: "Which attention head is shown; the last one when there are fewer.",
    kind: { kind: "integer", min: 1, max: 64 },
    default: 1,
    ...ofPanels,
  });
  table.add({
    name: "spectrum-block",
    title: "Block of W_hh",
    help: "Which gate's matrix the spectrum shows; a network without it shows the one that makes new content.",
    // The gates come with the catalogue's architectures, so any short name is taken here.
    kind: { kind: "word" },
    default: "new",
    ...ofPanels,
  });
  table.add({
    name: "poke-of",
    title: "Poke",
    help: "What is changed by hand at the pinned timestep.",
    kind: { kind: "choice", among: POKED },
    default: "input",
    ...ofPanels,
  });
  table.add({
    name: "poke-unit",
    title: "Unit",
    help: "The unit or feature that is changed, or the symbol that is put in; the last one where there are fewer.",
    kind: { kind: "integer", min: 1, max: limits.hidden },
    default: 1,
    ...ofPanels,
  });
  table.add({
    name: "poke-by",
    title: "by",
    help: "How much is added to a unit or feature.",
    kind: { kind: "number", min: -100, max: 100, log: false },
    default: 1,
    ...ofPanels,
  });
  table.add({
    name: "portrait-of",
    title: "State",
    help: "The state that the portrait traces: h, or the one that carries the memory, c of an LSTM.",
    kind: { kind: "choice", among: PORTRAIT_OF },
    default: "h",
    ...ofPanels,
  });
  table.add({
    name: "history-size",
    title: "Shows",
    help: "The whole run at a glance, or in a picture to scroll through.",
    kind: { kind: "choice", among: HISTORY_SIZES },
    default: "whole",
    ...ofPanels,
  });
  table.add({
    name: "horizon-steps",
    title: "Steps each",
    help: "How long each network of the horizon sweep trains.",
    kind: { kind: "integer", min: 10, max: 100_000 },
    default: 1000,
    ...ofPanels,
  });
  table.add({
    name: "cliff-shows",
    title: "Surface of",
    help: "What the colours of the loss cliff stand for.",
    kind: { kind: "choice", among: CLIFF_SHOWS },
    default: "loss",
    ...ofPanels,
  });
  table.add({
    name: "cliff-w",
    title: "Start at w",
    help: "The recurrent weight at which both descents begin; the cross-section goes through it.",
    kind: { kind: "number", min: 4, max: 7, log: false },
    default: 5.9,
    ...ofPanels,
  });
  table.add({
    name: "cliff-b",
    title: "Start at b",
    help: "The bias at which both descents begin.",
    kind: { kind: "number", min: -4, max: -1.5, log: false },
    default: -2.6,
    ...ofPanels,
  });
  table.add({
    name: "cliff-rate",
    title: "Learning rate",
    help: "How far an update goes along the gradient, in both descents.",
    kind: { kind: "number", min: 0.01, max: 10, log: true },
    default: 0.5,
    ...ofPanels,
  });
  table.add({
    name: "cliff-threshold",
    title: "Clip norm at",
    help: "Clipped descent shortens a longer gradient to this norm.",
    kind: { kind: "number", min: 0.001, max: 1000, log: true },
    default: 0.1,
    ...ofPanels,
  });
  const ofLink = { effect: "view", group: "link", lane: null } as const;
  table.add({
    name: "hide",
    title: "Hide",
    help: "Parts of the page that whoever opens the link does not see.",
    kind: { kind: "list", among: HIDEABLE },
    default: "",
    ...ofLink,
  });
  table.add({
    name: "embed",
    title: "For a slide",
    help: "Only the lanes and the run controls, as large as the frame allows.",
    kind: { kind: "switch" },
    default: false,
    ...ofLink,
  });
  const lesson = table.add({
    name: "lesson",
    title: "Lesson",
    help: "A short text beside the networks; its own settings are the defaults.",
    kind: { kind: "choice", among: [NO_LESSON, ...LESSONS] },
    default: NO_LESSON.id,
    ...ofLink,
  });
  if (lesson !== NO_LESSON.id) {
    table.add({
      name: "reached",
      title: "Challenge reached at step",
      help: "The receipt of a lesson's challenge: the training step at which it was reached.",
      kind: { kind: "maybe", min: 1, max: Number.MAX_SAFE_INTEGER, whole: true },
      default: null,
      ...ofLink,
    });
  }
  return { settings: table.settings, values: table.values };
}

/** What a lesson begins with, itself included; nothing where there is none. Its values stand in for the defaults. */
export function lessonValues(id: Value | undefined): Values {
  const lesson = LESSONS.find((one) => one.id === id);
  return lesson === undefined ? {} : { ...lesson.settings, lesson: lesson.id };
}

/** The hash of a URL: every setting that is not default. */
export function toHash(catalog: Catalog, given: Values): string {
  const { settings, values } = describe(catalog, given);
  const start = lessonValues(values["lesson"]);
  const parts = [`v=${HASH_VERSION}`];
  for (const setting of settings) {
    const value = values[setting.name];
    const usual = setting.name === "lesson" ? NO_LESSON.id : (start[setting.name] ?? setting.default);
    if (value !== undefined && value !== usual && setting.isDerived !== true) {
      parts.push(`${setting.name}=${encodeURIComponent(print(value)).replaceAll("%2C", ",")}`);
    }
  }
  return parts.length === 1 ? "" : `#${parts.join("&")}`;
}

/** Reads a hash. What is unknown or bad gives a note, one sentence each, and the default; nothing throws. */
export function fromHash(catalog: Catalog, hash: string): { values: Values; notes: string[] } {
  const notes: string[] = [];
  const texts = new Map<string, string>();
  for (const part of hash.replace(/^#/, "").split("&")) {
    if (part === "") continue;
    const [name, text] = splitPart(part);
    if (texts.has(name)) notes.push(`The address sets ${name} twice; the last one counts.`);
    texts.set(name, text);
  }
  const version = texts.get("v");
  texts.delete("v");
  if (version !== undefined && version !== HASH_VERSION) {
    notes.push(`The address is of version ${version}, this page reads version ${HASH_VERSION}; what fits is used.`);
  }

  // What has been read brings further settings into being (a task has its own options) and changes what later ones take,
  // so the table is made anew after each.
  const given: Record<string, Value> = { ...lessonValues(texts.get("lesson")) };
  const bad = new Map<string, Setting>();
  const good = new Set<string>();
  for (let progress = true; progress;) {
    progress = false;
    for (const setting of describe(catalog, given).settings) {
      const text = texts.get(setting.name);
      if (text === undefined || good.has(setting.name) || bad.has(setting.name)) continue;
      if (setting.isDerived === true) continue;
      const value = parse(setting.kind, text);
      if (value === undefined) {
        bad.set(setting.name, setting);
      } else {
        given[setting.name] = value;
        good.add(setting.name);
      }
      progress = true;
      break;
    }
  }
  for (const [name, text] of texts) {
    const setting = bad.get(name);
    if (setting !== undefined) {
      notes.push(
        `${name}: expected ${expected(setting.kind)}, got "${shorten(text)}"; ${print(setting.default)} is used.`,
      );
    } else if (!good.has(name)) {
      notes.push(`The address sets "${shorten(name)}", which is no setting here; it is left out.`);
    }
  }
  return { values: describe(catalog, given).values, notes };
}

function splitPart(part: string): [string, string] {
  const at = part.indexOf("=");
  const name = at < 0 ? part : part.slice(0, at);
  const text = at < 0 ? "" : part.slice(at + 1);
  return [decode(name), decode(text)];
}

/** A stray `%` must not throw. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/** Values under a prefix, by the name that the package knows. */
function under(values: Values, prefix: string): Record<string, Value> {
  const found: Record<string, Value> = {};
  for (const [name, value] of Object.entries(values)) {
    const rest = name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : "";
    if (rest !== "" && !rest.includes(".")) found[rest] = value;
  }
  return found;
}

function clipOf(values: Values): Clip | null {
  const kind = values["clip"];
  return kind === "norm" || kind === "value" ? { kind, at: Number(values["clip.at"]) } : null;
}

/** What the package is asked for, for one lane. */
export function sessionConfig(catalog: Catalog, given: Values, lane: number): SessionConfig {
  const { values } = describe(catalog, given);
  const letter = letterOf(lane);
  const { model, init, engine, ...rest } = under(values, letter);
  return {
    task: { ...under(values, "task"), id: String(values["task"]) },
    model: {
      ...rest,
      id: String(model),
      init: { ...under(values, `${letter}.init`), id: String(init) },
    },
    optimiser: { ...under(values, "optimiser"), id: String(values["optimiser"]) },
    clip: clipOf(values),
    batch: Number(values["batch"]),
    seed: Number(values["seed"]),
    backend: engine === "cpu" || engine === "webgpu" ? engine : "auto",
  };
}

/** The values that a configuration stands for, its model in one lane: the way back from `sessionConfig`. */
export function fromConfig(given: Values, config: SessionConfig, lane: number): Values {
  const letter = letterOf(lane);
  const { id: task, ...taskOptions } = config.task;
  const { id: model, init, ...modelOptions } = config.model;
  const { id: optimiser, ...optimiserOptions } = config.optimiser ?? {};
  const { id: initId, ...initOptions } = init ?? {};
  const values: Record<string, Value> = { ...given };
  const put = (name: string, value: Value | undefined): void => {
    if (value !== undefined) values[name] = value;
  };
  const putAll = (prefix: string, options: Record<string, Value | undefined>): void => {
    for (const [name, value] of Object.entries(options)) put(`${prefix}.${name}`, value);
  };
  put("task", task);
  putAll("task", taskOptions);
  put(`${letter}.model`, model);
  putAll(letter, modelOptions);
  put(`${letter}.init`, initId);
  putAll(`${letter}.init`, initOptions);
  put("optimiser", optimiser);
  putAll("optimiser", optimiserOptions);
  if (config.clip !== undefined) {
    put("clip", config.clip?.kind ?? "off");
    put("clip.at", config.clip?.at);
  }
  put("batch", config.batch);
  put("seed", config.seed);
  // A configuration says how many units it has.
  if (lane > 0) put("match", MATCHES[0].id);
  put(`${letter}.engine`, config.backend);
  return values;
}

/** What may change while a session runs. */
export function hyperOf(catalog: Catalog, given: Values): Hyper {
  const { settings, values } = describe(catalog, given);
  const hyper: Hyper = { clip: clipOf(values) };
  for (const setting of settings) {
    const value = values[setting.name];
    if (setting.effect !== "live" || !setting.name.startsWith("optimiser.")) continue;
    if (typeof value === "number" || typeof value === "boolean" || value === null) {
      hyper[setting.name.slice("optimiser.".length)] = value;
    }
  }
  return hyper;
}

/**
 * The settings that a lane cannot take without beginning anew, by title. Names carry no letter, so that a lane that
 * moves up is still known as the same.
 */
export function restartValues(
  catalog: Catalog,
  given: Values,
  lane: number,
): Map<string, { title: string; value: Value }> {
  const { settings, values } = describe(catalog, given);
  const found = new Map<string, { title: string; value: Value }>();
  for (const setting of settings) {
    if (setting.effect !== "restart" || (setting.lane !== null && setting.lane !== lane)) continue;
    const name = setting.lane === null ? setting.name : setting.name.slice(1);
    found.set(name, { title: setting.title, value: values[setting.name] ?? null });
  }
  return found;
}

/** Titles of what differs between two results of `restartValues`. */
export function differences(
  from: ReadonlyMap<string, { title: string; value: Value }>,
  to: ReadonlyMap<string, { title: string; value: Value }>,
): string[] {
  const names = new Set([...from.keys(), ...to.keys()]);
  const titles = [...names]
    .filter((name) => from.get(name)?.value !== to.get(name)?.value)
    .map((name) => to.get(name)?.title ?? from.get(name)?.title ?? name);
  return [...new Set(titles)];
}

/** Whether the lanes beside A get as many units as bring them closest to its number of parameters. */
export function isMatched(values: Values): boolean {
  return values["match"] === "parameters";
}

/** With one value changed. Lanes that had their units from lane A's number of parameters have its units when that ends. */
export function changed(values: Values, name: string, value: Value): Values {
  const next: Record<string, Value> = { ...values, [name]: value };
  if (isMatched(values) && !isMatched(next)) {
    for (const letter of LANE_LETTERS) next[`${letter}.hidden`] = values[`${letterOf(0)}.hidden`] ?? null;
  }
  return next;
}

/** The values of one lane under another letter, so that lanes can move and be copied. */
export function copyLane(values: Values, from: number, to: number): Values {
  const source = `${letterOf(from)}.`;
  const target = `${letterOf(to)}.`;
  const kept = Object.entries(values).filter(([name]) => !name.startsWith(target));
  const copied = Object.entries(values)
    .filter(([name]) => name.startsWith(source))
    .map(([name, value]) => [target + name.slice(source.length), value] as const);
  return Object.fromEntries([...kept, ...copied]);
}

/** Without one lane; those after it move up. */
export function removeLane(values: Values, lane: number): Values {
  const lanes = Number(values["lanes"]);
  let next = values;
  for (let at = lane; at + 1 < lanes; at++) next = copyLane(next, at + 1, at);
  return { ...next, lanes: Math.max(1, lanes - 1) };
}

/** With a lane more: a copy of one, or the first visit's choice for that letter. */
export function addLane(values: Values, copyOf: number | null): Values {
  const lanes = Number(values["lanes"]);
  if (lanes >= MAX_LANES) return values;
  const prefix = `${letterOf(lanes)}.`;
  const kept = Object.fromEntries(Object.entries(values).filter(([name]) => !name.startsWith(prefix)));
  const next = { ...kept, lanes: lanes + 1 };
  return copyOf === null ? next : copyLane(next, copyOf, lanes);
}
