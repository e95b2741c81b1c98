// The JavaScript boundary, driven as a stranger would: every kind of bad input, calls in every order, and round trips.
//
// Runs against the built package. What options there are, and what they take, comes from `catalog()`, so that a new entry is tested here
// without a line of its own.

import { readFileSync } from "node:fs";
import { MessageChannel } from "node:worker_threads";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { beforeAll, describe, expect, it } from "vitest";
import init, { Session, catalog, cliff } from "../../pkg/unroll.js";
import type {
  Batch,
  Catalog,
  Change,
  Cliff,
  CliffQuery,
  Evaluation,
  Frame,
  FrameOptions,
  Gradients,
  Inspection,
  InspectionQuery,
  OptionInfo,
  Progress,
  SessionConfig,
  UnrollError,
} from "../../pkg/unroll.js";
import { PANELS } from "./support/panels.js";

// What the generated types must say, judged by the compiler: the exact promises, and no `any`, which would suit everything.
type IsAny<A> = 0 extends 1 & A ? true : false;
type Equal<A, B> = [A, B] extends [B, A] ? true : false;
type Same<A, B> = [IsAny<A>, IsAny<Awaited<A>>] extends [false, false] ? Equal<A, B> : false;
true satisfies Same<ReturnType<typeof Session.create>, Promise<Session>>;
true satisfies Same<Parameters<typeof Session.create>, [config: SessionConfig]>;
true satisfies Same<ReturnType<typeof catalog>, Catalog>;
true satisfies Same<ReturnType<typeof cliff>, Cliff>;
true satisfies Same<Parameters<typeof cliff>, [query: CliffQuery]>;
true satisfies Same<ReturnType<Session["advance"]>, Promise<Progress>>;
true satisfies Same<ReturnType<Session["frame"]>, Promise<Frame>>;
true satisfies Same<ReturnType<Session["inspect"]>, Promise<Inspection>>;
true satisfies Same<Parameters<Session["inspect"]>, [object: InspectionQuery]>;
true satisfies Same<ReturnType<Session["edit"]>, Promise<void>>;
true satisfies Same<Parameters<Session["edit"]>, [change: Change]>;
true satisfies Same<ReturnType<Session["evaluate"]>, Promise<Evaluation>>;
true satisfies Same<ReturnType<Session["gradients"]>, Promise<Gradients>>;
true satisfies Same<ReturnType<Session["trainOn"]>, Promise<Progress>>;
true satisfies Same<ReturnType<Session["weights"]>, Promise<Uint8Array>>;
true satisfies Same<ReturnType<Session["snapshot"]>, Promise<Uint8Array>>;
true satisfies Same<ReturnType<Session["setWeights"]>, Promise<void>>;
true satisfies Same<ReturnType<Session["restore"]>, Promise<void>>;
true satisfies Same<ReturnType<Session["setHyper"]>, void>;
true satisfies Same<ReturnType<Session["free"]>, void>;
true satisfies Same<Session["backend"], "webgpu" | "cpu">;
true satisfies Same<Session["reason"], string>;
true satisfies Same<Parameters<Session["advance"]>, [steps: number]>;
true satisfies Same<Parameters<Session["gradients"]>, [batch: Batch]>;
true satisfies Same<Parameters<Session["setWeights"]>, [weights: Uint8Array]>;

let memory: WebAssembly.Memory;
let tables: Catalog;

beforeAll(async () => {
  const module_or_path = readFileSync(new URL("../../pkg/unroll_bg.wasm", import.meta.url));
  memory = (await init({ module_or_path })).memory;
  tables = catalog();
});

/** T and B of `small`, and its symbols: 4 to remember and 8 that mean nothing. */
const [T, B, V] = [8, 3, 12];

/** A session whose steps take microseconds. */
const small = (change: Record<string, unknown> = {}): SessionConfig => ({
  task: { id: "first-symbol", length: T, symbols: 4 },
  model: { id: "elman", hidden: 5 },
  batch: B,
  seed: 7,
  ...change,
});

/** Milliseconds that only go forward. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

interface Refusal {
  what: string;
  call: (session: Session) => unknown;
  field: string;
  expected: string | RegExp;
  got: string | RegExp;
}

/** The message that `got` must be, by what came; a class for those that have one. */
function named(value: unknown): string | RegExp {
  switch (typeof value) {
    case "undefined":
      return "nothing";
    case "string":
      return value.length > 40 ? `"${value.slice(0, 40)}"…` : JSON.stringify(value);
    case "boolean":
      return String(value);
    case "number":
      return String(Number.isInteger(value) && Math.abs(value) < 1e18 ? value : Number(value.toPrecision(6)));
    case "bigint":
    case "symbol":
    case "function":
      return `a ${typeof value}`;
    default:
      break;
  }
  if (value === null) return "nothing";
  if (Array.isArray(value)) return `Array of ${value.length}`;
  if (ArrayBuffer.isView(value)) return /^\w+Array of \d+$/;
  return "an object";
}

const cycle: Record<string, unknown> = {};
for (const letter of "abcdefghijklmnopqrstuvwxyz") cycle[letter] = cycle;

/** Values that no option takes. */
const strangers: unknown[] = [
  {},
  [],
  [1],
  () => 3,
  Symbol("3"),
  3n,
  new Float32Array(3),
  new Date(0),
  new Map(),
  cycle,
];

function badValues(option: OptionInfo): unknown[] {
  switch (option.kind) {
    case "integer": {
      const middle = option.min < option.max ? option.min + 0.5 : option.min - 0.5;
      return [option.min - 1, option.max + 1, middle, -1e300, NaN, Infinity, -Infinity, "3", "", true, ...strangers];
    }
    case "number":
    case "maybe": {
      const little = (option.max - option.min) * 1e-9;
      return [option.min - little, option.max + little, 1e300, NaN, Infinity, -Infinity, "3", false, ...strangers];
    }
    case "choice":
      return ["nonsense", "", `${option.default} `, option.default.toUpperCase(), 0, NaN, true, ...strangers];
    case "switch":
      return ["true", "", 0, 1, NaN, ...strangers];
  }
}

function takes(option: OptionInfo): string {
  switch (option.kind) {
    case "integer":
      return `a whole number from ${option.min} to ${option.max}`;
    case "number":
      return `a number from ${option.min} to ${option.max}`;
    case "maybe":
      return `a number from ${option.min} to ${option.max}, or null`;
    case "choice":
      return `one of ${option.among.map(({ id }) => id).join(", ")}`;
    case "switch":
      return "true or false";
  }
}

/** All bad values of all options, each set by `call`. */
function badOptions(
  path: string,
  options: OptionInfo[],
  call: (session: Session, name: string, value: unknown) => unknown,
): Refusal[] {
  return options.flatMap((option) =>
    badValues(option).map((value) => ({
      what: `${path}.${option.name}`,
      call: (session: Session) => call(session, option.name, value),
      field: `${path}.${option.name}`,
      expected: takes(option),
      got: named(value),
    })),
  );
}

function matches(text: string, pattern: string | RegExp, what: string) {
  if (typeof pattern === "string") expect(text, what).toBe(pattern);
  else expect(text, what).toMatch(pattern);
}

/** What a call throws or rejects with; a call that succeeds fails the test. */
async function failureOf(what: string, call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error(`${what}: expected a failure, got none`);
}

async function refused({ what, call, field, expected, got }: Refusal, session: Session) {
  const error = await failureOf(what, () => call(session));
  if (!(error instanceof Error)) throw new Error(`${what}: expected an Error, got ${typeof error}`);
  const { field: path = "", expected: takes = "", got: came = "" }: UnrollError = error;
  expect(path, `${what}: ${error.message}`).toBe(field);
  matches(takes, expected, what);
  matches(came, got, what);
  expect(error.message, what).toBe(`${field}: expected ${takes}, got ${came}`);
  expect(error.message, what).toMatch(/^[^\n]{1,600}$/);
}

/** Every case is refused, and leaves the losses of a session as those of one that was let alone. */
async function allRefused(cases: Refusal[], config: SessionConfig = small()) {
  expect(cases.length).toBeGreaterThan(0);
  const disturbed = await Session.create(config);
  const losses: number[] = [];
  const step = async (n: number) => losses.push(...(await disturbed.advance(n)).losses);
  for (const one of cases) {
    await refused(one, disturbed);
    await step(1);
  }
  await step(10);
  const control = await Session.create(config);
  expect(Float32Array.from(losses)).toEqual((await control.advance(cases.length + 10)).losses.slice());
  disturbed.free();
  control.free();
}

/** Asks for `small` with some of its parts replaced. */
const create = (change: Record<string, unknown>) => () => Session.create(small(change));
const model = (change: Record<string, unknown>) => create({ model: { id: "elman", hidden: 5, ...change } });

describe("a configuration is refused", () => {
  it("for every bad value of every option of every entry", async () => {
    const cases: Refusal[] = [];
    for (const { id, options } of tables.tasks) {
      cases.push(...badOptions("task", options, (_, name, value) => create({ task: { id, [name]: value } })()));
    }
    for (const { id, options } of tables.architectures) {
      cases.push(...badOptions("model", options, (_, name, value) => create({ model: { id, [name]: value } })()));
    }
    for (const { id, options, architectures } of tables.inits) {
      const [suited] = architectures;
      cases.push(
        ...badOptions("model.init", options, (_, name, value) =>
          create({ model: { id: suited, init: { id, [name]: value } } })(),
        ),
      );
    }
    for (const { id, options } of tables.optimisers) {
      cases.push(
        ...badOptions("optimiser", options, (_, name, value) => create({ optimiser: { id, [name]: value } })()),
      );
    }
    await allRefused(cases);
  });

  it("for every bad size and switch of its own", async () => {
    const { hidden, layers, batch, length } = tables.limits;
    const integer = (name: string, max: number): OptionInfo => ({
      name,
      title: "",
      help: "",
      kind: "integer",
      min: 1,
      max,
      default: 1,
    });
    const toggle = (name: string): OptionInfo => ({ name, title: "", help: "", kind: "switch", default: false });
    const inModel = [integer("hidden", hidden), integer("layers", layers), toggle("carry")];
    const cases = badOptions("model", inModel, (_, name, value) => model({ [name]: value })());
    for (const value of badValues(integer("batch", batch))) {
      const expected = `a whole number from 1 to ${batch}`;
      cases.push({ what: "batch", call: create({ batch: value }), field: "batch", expected, got: named(value) });
    }
    for (const value of [-1, 2 ** 53, 0.5, NaN, Infinity, -Infinity, "1", true, ...strangers]) {
      const expected = "a whole number from 0 to 2^53 − 1";
      cases.push({ what: "seed", call: create({ seed: value }), field: "seed", expected, got: named(value) });
    }
    for (const value of [0, -1, 2.5, length + 1, NaN, Infinity, "3", true, ...strangers]) {
      const [expected, got] = [/number|timesteps/, named(value)];
      cases.push({ what: "window", call: model({ window: value }), field: "model.window", expected, got });
    }
    for (const value of [1, "false", ...strangers]) {
      const [field, expected] = ["model.bidirectional", /true or false/];
      cases.push({ what: field, call: model({ bidirectional: value }), field, expected, got: named(value) });
    }
    for (const id of tables.tasks.filter(({ ahead }) => ahead).map((task) => task.id)) {
      const call = create({ task: { id }, model: { id: "gru", bidirectional: true } });
      cases.push({ what: id, call, field: "model.bidirectional", expected: /^false, for this task asks/, got: "true" });
    }
    for (const value of ["gpu", "", "CPU", 1, true, ...strangers]) {
      const [field, expected] = ["backend", "one of auto, cpu, webgpu"];
      cases.push({ what: field, call: create({ backend: value }), field, expected, got: named(value) });
    }
    await allRefused(cases);
  });

  it("for an unknown field at every level, and for an object that is none", async () => {
    const cases: Refusal[] = [];
    const levels: [path: string, call: (value: object) => () => unknown][] = [
      ["", (extra) => create({ ...extra })],
      ["task", (extra) => create({ task: { id: "adding", ...extra } })],
      ["model", (extra) => model({ ...extra })],
      ["model.init", (extra) => model({ init: { ...extra } })],
      ["optimiser", (extra) => create({ optimiser: { ...extra } })],
      ["clip", (extra) => create({ clip: { kind: "norm", at: 1, ...extra } })],
    ];
    for (const [path, call] of levels) {
      for (const name of ["hiden", "Length", "toString", "constructor", "", "a\nb", "x".repeat(10_000)]) {
        const shown = /^\w{1,80}$/.test(name)
          ? name
          : name.length > 40
            ? `"${name.slice(0, 40)}"…`
            : JSON.stringify(name);
        const [field, extra] = [path === "" ? shown : `${path}.${shown}`, { [name]: 3 }];
        cases.push({ what: field, call: call(extra), field, expected: /^one of the fields \w+(, \w+)*$/, got: "3" });
      }
    }
    const own = JSON.parse('{ "id": "adding", "__proto__": 3 }') as object;
    cases.push({
      what: "__proto__",
      call: create({ task: own }),
      field: "task.__proto__",
      expected: /^one of the fields/,
      got: "3",
    });
    for (const value of [undefined, null, 3, "elman", true, () => 3, Symbol("x"), 3n, [], new Float32Array(2)]) {
      const [expected, got] = ["an object", named(value)];
      cases.push({ what: "config", call: () => Session.create(value as never), field: "config", expected, got });
      cases.push({ what: "task", call: create({ task: value }), field: "task", expected, got });
      cases.push({ what: "model", call: create({ model: value }), field: "model", expected, got });
      if (value === undefined || value === null) continue;
      cases.push({ what: "init", call: model({ init: value }), field: "model.init", expected, got });
      cases.push({ what: "optimiser", call: create({ optimiser: value }), field: "optimiser", expected, got });
      cases.push({ what: "clip", call: create({ clip: value }), field: "clip", expected, got });
    }
    await allRefused(cases);
  });

  it("for unknown ids, and for options and initialisations that do not suit the cell", async () => {
    const cases: Refusal[] = [];
    const ids = [
      undefined,
      null,
      "lstn",
      "",
      "a\nb",
      'a"b',
      "x".repeat(10_000),
      "LSTM",
      "toString",
      3,
      NaN,
      {},
      ["lstm"],
      () => 3,
    ];
    const all = (entries: { id: string }[]) => `one of ${entries.map(({ id }) => id).join(", ")}`;
    const tables_: [string, string, (id: unknown) => () => unknown][] = [
      ["task.id", all(tables.tasks), (id) => create({ task: { id } })],
      ["model.id", all(tables.architectures), (id) => create({ model: { id } })],
      ["optimiser.id", all(tables.optimisers), (id) => create({ optimiser: { id } })],
    ];
    for (const [field, expected, call] of tables_) {
      for (const id of ids) {
        if (field === "optimiser.id" && (id === undefined || id === null)) continue;
        cases.push({ what: field, call: call(id), field, expected, got: named(id) });
      }
    }
    let unsuited = 0;
    for (const architecture of tables.architectures) {
      const suited = tables.inits.filter(({ architectures }) => architectures.includes(architecture.id));
      const strange = ["nonsense", 3, ...tables.inits.filter((one) => !suited.includes(one)).map(({ id }) => id)];
      for (const id of strange) {
        unsuited += 1;
        cases.push({
          what: "init",
          call: create({ model: { id: architecture.id, init: { id } } }),
          field: "model.init.id",
          expected: all(suited),
          got: named(id),
        });
      }
      for (const other of tables.architectures) {
        for (const option of other.options) {
          if (architecture.options.some(({ name }) => name === option.name)) continue;
          const [field, value] = [`model.${option.name}`, option.default];
          const call = create({ model: { id: architecture.id, [option.name]: value } });
          const expected = `nothing: ${architecture.title} has no such option`;
          cases.push({ what: field, call, field, expected, got: named(value) });
        }
      }
    }
    expect(unsuited).toBeGreaterThan(2 * tables.architectures.length);
    await allRefused(cases);
  });

  it("for a clip that cannot be used", async () => {
    const at = "a number from 1e-12 to 1000000000000";
    const cases: Refusal[] = [0, -1, NaN, Infinity, -Infinity, 1e13, "1", true, ...strangers].map((value) => ({
      what: "clip.at",
      call: create({ clip: { kind: "norm", at: value } }),
      field: "clip.at",
      expected: at,
      got: named(value),
    }));
    for (const kind of ["nrom", "", 1, true, ...strangers]) {
      const [field, expected] = ["clip.kind", "one of norm, value"];
      cases.push({ what: field, call: create({ clip: { kind, at: 1 } }), field, expected, got: named(kind) });
    }
    await allRefused(cases);
  });

  it("where state is carried without a stream", async () => {
    const still = tables.tasks.filter(({ streams }) => !streams);
    const cases = still.map(({ id }) => ({
      what: id,
      call: create({ task: { id }, model: { id: "gru", hidden: 4, carry: true } }),
      field: "model.carry",
      expected: /^false/,
      got: "true",
    }));
    await allRefused(cases);
    const streams = tables.tasks.filter(({ streams }) => streams);
    expect(streams.map(({ id }) => id)).toContain("mackey-glass");
    for (const { id } of streams) {
      for (const architecture of layered()) {
        const session = await Session.create(
          small({ task: { id }, model: { id: architecture.id, hidden: 4, carry: true } }),
        );
        expect((await session.advance(5)).losses.every(Number.isFinite)).toBe(true);
        session.free();
      }
    }
  });

  it("when the sizes need more than the limit, at once and before memory is taken", async () => {
    const big = [
      { task: { id: "copy", length: 4096 }, model: { id: "lstm", hidden: 1024, layers: 8 }, batch: 512 },
      { task: { id: "adding", length: 4096 }, model: { id: "gru", hidden: 64 }, batch: 512 },
      { task: { id: "adding", length: 200 }, model: { id: "lstm", hidden: 1024 }, batch: 512 },
    ];
    const session = await Session.create(small());
    const [bytes, start] = [memory.buffer.byteLength, clock()];
    for (const change of big) {
      await refused(
        {
          what: JSON.stringify(change),
          call: create(change),
          field: "model.hidden, task.length, batch",
          expected: `sizes that need at most ${tables.limits.bytes / 2 ** 20} MiB`,
          got: /^\d+ MiB$/,
        },
        session,
      );
    }
    expect(clock() - start).toBeLessThan(5000);
    expect(memory.buffer.byteLength).toBe(bytes);
    await allRefused(
      big.map((change) => ({
        what: "big",
        call: create(change),
        field: "model.hidden, task.length, batch",
        expected: /^sizes/,
        got: /MiB$/,
      })),
    );
    session.free();
  });

  it("but WebGPU where there is none is only a reason to train on the CPU", async () => {
    const [asked, plain] = [await Session.create(small({ backend: "webgpu" })), await Session.create(small())];
    expect(asked.backend).toBe("cpu");
    expect(asked.reason).toMatch(/^The CPU \(WebAssembly SIMD\), because WebGPU is not available: [^\n]+\.$/);
    expect(plain.reason).toBe("The CPU (WebAssembly SIMD): this browser does not offer WebGPU here.");
    expect((await asked.advance(5)).losses).toEqual((await plain.advance(5)).losses);
    const chosen = await Session.create(small({ backend: "cpu" }));
    expect(chosen.reason).toBe("The CPU (WebAssembly SIMD), as chosen.");
    for (const session of [asked, plain, chosen]) session.free();
  });

  it("and what is missing or undefined takes its default", async () => {
    const undefinedEverywhere = {
      ...small(),
      optimiser: undefined,
      clip: undefined,
      backend: undefined,
      model: { id: "elman", hidden: 5, layers: undefined, init: undefined, window: null, nonlinearity: undefined },
    };
    const [one, other] = [await Session.create(undefinedEverywhere as never), await Session.create(small())];
    expect((await one.advance(5)).losses).toEqual((await other.advance(5)).losses);
    const last = await Session.create(small({ seed: 2 ** 53 - 1 }));
    expect((await last.advance(1)).step).toBe(1);
    for (const session of [one, other, last]) session.free();
  });
});

/** A batch of `small`, or of another task with `features` or values. */
const symbols = (): Batch => ({
  x: Uint32Array.from({ length: T * B }, (_, at) => at % 4),
  y: Uint32Array.of(0, 1, 2),
  T,
  B,
});
const features = (): Batch => ({
  x: Float32Array.from({ length: T * B * 2 }, (_, at) => (at % 5) / 5),
  y: Float32Array.of(0.5, 1, 1.5),
  T,
  B,
});

describe("a call is refused", () => {
  it("advance: for anything but a whole number of steps", async () => {
    const counts = [0, -1, NaN, Infinity, -Infinity, 1.5, 1e9 + 1, 1e300, "3", "", true, null, undefined, ...strangers];
    await allRefused(
      counts.map((steps) => ({
        what: `advance(${typeof steps})`,
        call: (session: Session) => session.advance(steps as never),
        field: "steps",
        expected: "a whole number from 1 to 1000000000",
        got: named(steps),
      })),
    );
  });

  it("setHyper: for every bad value of every optimiser, an unknown field, a clip that cannot be used, and no object", async () => {
    for (const { id, options } of tables.optimisers) {
      const set = (value: unknown) => (session: Session) => {
        session.setHyper(value as never);
      };
      const cases = badOptions("hyper", options, (session, name, value) => {
        set({ [name]: value })(session);
      });
      for (const { name, ...option } of options) {
        const expected = takes({ name, ...option });
        cases.push({ what: name, call: set({ [name]: null }), field: `hyper.${name}`, expected, got: "nothing" });
      }
      const [known] = options;
      if (known === undefined) throw new Error("an optimiser has a learning rate");
      for (const name of ["learningRate", "LR", "toString", "hidden"]) {
        const [field, expected] = [`hyper.${name}`, /^one of the fields lr, .*clip$/];
        // The good value before the bad field must not stay behind.
        cases.push({ what: name, call: set({ [known.name]: 0.5, [name]: 1 }), field, expected, got: "1" });
      }
      for (const value of [undefined, null, 3, "lr", true, [], () => 3, 3n]) {
        cases.push({ what: "hyper", call: set(value), field: "hyper", expected: "an object", got: named(value) });
      }
      for (const at of [0, -1, NaN, Infinity, "1"]) {
        const [field, call] = ["hyper.clip.at", set({ lr: 0.5, clip: { kind: "norm", at } })];
        cases.push({ what: field, call, field, expected: /^a number from/, got: named(at) });
      }
      const kind = set({ clip: { kind: "size", at: 1 } });
      cases.push({ what: "kind", call: kind, field: "hyper.clip.kind", expected: /^one of/, got: '"size"' });
      const extra = set({ clip: { kind: "norm", at: 1, max: 3 } });
      cases.push({ what: "max", call: extra, field: "hyper.clip.max", expected: /^one of the fields/, got: "3" });
      cases.push({ what: "clip", call: set({ clip: 3 }), field: "hyper.clip", expected: "an object", got: "3" });
      await allRefused(cases, small({ optimiser: { id } }));
    }
  });

  it("frame: for a sequence, a timestep or a field that there is not", async () => {
    const frame = (options: unknown) => (session: Session) => session.frame(options as never);
    const cases: Refusal[] = [];
    for (const sequence of [-1, 16, 1.5, NaN, Infinity, "0", true, ...strangers]) {
      const [field, expected] = ["options.sequence", "a whole number from 0 to 15"];
      cases.push({ what: field, call: frame({ sequence }), field, expected, got: named(sequence) });
    }
    for (const lossAt of [-1, T, 1.5, NaN, Infinity, "never", "", true, ...strangers]) {
      const [field, expected] = ["options.lossAt", `task, last, all or a timestep from 0 to ${T - 1}`];
      cases.push({ what: field, call: frame({ lossAt }), field, expected, got: named(lossAt) });
    }
    const silent = { field: "options.lossAt", expected: "a timestep at which the probe has a target", got: "0" };
    cases.push({ what: "no target", call: frame({ lossAt: 0 }), ...silent });
    const [field, expected] = ["options.seq", "one of the fields sequence, lossAt, batch"];
    cases.push({ what: field, call: frame({ seq: 1 }), field, expected, got: "1" });
    for (const value of [3, "last", true, [], () => 3, 3n, new Float32Array(1)]) {
      cases.push({ what: "options", call: frame(value), field: "options", expected: "an object", got: named(value) });
    }
    await allRefused(cases);
  });

  it("inspect and edit: for a panel, a row, a sequence or a field that there is not, and a change that cannot be made", async () => {
    const cases: Refusal[] = [];
    const add = (what: string, call: Refusal["call"], expected: string | RegExp, value: unknown) =>
      cases.push({ what, call, field: what, expected, got: named(value) });
    const inspect = (query: unknown) => (session: Session) => session.inspect(query as InspectionQuery);
    const edit = (change: unknown) => (session: Session) => session.edit(change as Change);
    for (const value of [undefined, null, "", "Credit", 1, true, ...strangers])
      add("query.panel", inspect({ panel: value }), `one of ${PANELS.join(", ")}`, value);
    const wholes = { row: 15, sequence: 15, block: 3, step: T - 1, unit: tables.limits.hidden - 1 };
    for (const [name, max] of Object.entries(wholes)) {
      for (const value of [-1, 0.5, max + 1, NaN, Infinity, "0", true, ...strangers])
        add(`query.${name}`, inspect({ panel: "pipe", [name]: value }), `a whole number from 0 to ${max}`, value);
    }
    for (const value of [-100.1, 101, NaN, Infinity, "0", true, ...strangers]) {
      add("query.by", inspect({ panel: "poke-state", by: value }), "a number from -100 to 100, or null", value);
      add("change.spectralRadius", edit({ spectralRadius: value }), "a number from -100 to 100, or null", value);
    }
    for (const value of [-20.1, 21, NaN, Infinity, "0", true, ...strangers])
      add("change.keepBias", edit({ keepBias: value }), "a number from -20 to 20, or null", value);
    for (const change of [{}, { keepBias: 1, spectralRadius: 1 }, { row: 0 }]) {
      const expected = "an object with one of the fields keepBias, spectralRadius, window";
      cases.push({ what: "no change", call: edit(change), field: "change", expected, got: "another one" });
    }
    const only: [string, unknown, string, number][] = [
      ["query.unit", inspect({ panel: "poke-state", unit: 5 }), "a whole number from 0 to 4", 5],
      ["query.unit", inspect({ panel: "poke-input", unit: V }), `a whole number from 0 to ${V - 1}`, V],
      ["change.row", edit({ spectralRadius: 1, row: 1 }), "a whole number from 0 to 0", 1],
      ["change.block", edit({ spectralRadius: 1, block: 1 }), "a whole number from 0 to 0", 1],
    ];
    for (const [what, call, expected, value] of only) add(what, call as Refusal["call"], expected, value);
    for (const value of [undefined, null, 3, "pipe", []]) {
      add("query", inspect(value), "an object", value);
      add("change", edit(value), "an object", value);
    }
    for (const value of [-1, 0.5, 5000, "4", true, ...strangers])
      add("change.window", edit({ window: value }), /^a whole number from 0 to 4096/, value);
    add("change.window", edit({ window: 0 }), "a whole number of timesteps above 0, or null", 0);
    add("change.keepBias", edit({ window: 4, keepBias: 1 }), "one of the fields window", 1);
    for (const value of ["last", 1, true])
      add("query.batch", inspect({ panel: "pipe", batch: value }), /probe, next/, value);
    add("query.layer", inspect({ panel: "pipe", layer: 3 }), /^one of the fields panel, row, sequence, /, 3);
    add("change.lr", edit({ keepBias: 1, lr: 3 }), /^one of the fields keepBias, spectralRadius, /, 3);
    // An Elman network has no gate that keeps.
    const [field, expected] = ["change.keepBias", "a cell with a gate that keeps its state"];
    cases.push({ what: "no gate", call: edit({ keepBias: 1 }), field, expected, got: "Elman" });
    await allRefused(cases);
  });

  it("cliff: for a number out of its range, an unknown field, and no object", async () => {
    const cases: Refusal[] = [];
    const add = (what: string, query: unknown, expected: string | RegExp, value: unknown) =>
      cases.push({ what, call: () => cliff(query as CliffQuery), field: what, expected, got: named(value) });
    const ranges = [
      ["w", 4, 7],
      ["b", -4, -1.5],
      ["rate", 0.001, 100],
      ["threshold", 0.001, 1000],
    ] as const;
    for (const [name, min, max] of ranges) {
      for (const value of [min - 0.1, max + 0.1, NaN, Infinity, "5", true, ...strangers])
        add(`query.${name}`, { [name]: value }, `a number from ${min} to ${max}`, value);
    }
    for (const value of [undefined, null, 3, "cliff", []]) add("query", value, "an object", value);
    add("query.lr", { lr: 3 }, "one of the fields w, b, rate, threshold", 3);
    await allRefused(cases);
  });

  it("gradients and trainOn: for a batch in another form", async () => {
    const forms: [SessionConfig, () => Batch, wrong: unknown[]][] = [
      [small(), symbols, [new Float32Array(T * B), new Int32Array(T * B), new Uint8Array(T * B)]],
      [
        small({ task: { id: "adding", length: T } }),
        features,
        [new Uint32Array(T * B * 2), new Float64Array(T * B * 2)],
      ],
    ];
    for (const [config, good, wrong] of forms) {
      const whole = good();
      const cases: Refusal[] = [];
      const add = (
        change: object | null | undefined,
        field: string,
        expected: string | RegExp,
        got: string | RegExp,
      ) => {
        const batch = change !== null && change !== undefined ? { ...good(), ...change } : change;
        cases.push({ what: field, call: (s) => s.gradients(batch as never), field, expected, got });
        cases.push({ what: field, call: (s) => s.trainOn(batch as never), field, expected, got });
      };
      for (const value of [undefined, null, 3, "x", true, () => 3, Symbol("x"), 3n]) {
        const [field, expected] = ["batch", "an object with x, y, T and B"];
        cases.push({ what: field, call: (s) => s.gradients(value as never), field, expected, got: named(value) });
        cases.push({ what: field, call: (s) => s.trainOn(value as never), field, expected, got: named(value) });
      }
      const empty: Refusal = {
        what: "[]",
        call: (s) => s.gradients([] as never),
        field: "batch.T",
        expected: /^a/,
        got: "nothing",
      };
      cases.push(empty);
      add({ X: whole.x }, "batch.X", "one of the fields x, y, mask, T, B", /^\w+ of \d+$/);
      for (const [name, max] of [
        ["T", 4096],
        ["B", 512],
      ] as const) {
        for (const value of [undefined, null, 0, -1, 1.5, NaN, Infinity, max + 1, "3", true, ...strangers]) {
          add({ [name]: value }, `batch.${name}`, `a whole number from 1 to ${max}`, named(value));
        }
        add({ [name]: name === "T" ? T + 1 : B + 1 }, "batch.x", /elements$/, /^\w+ of \d+$/);
      }
      const class_ = whole.x.constructor.name;
      const array = (letters: string, length: number) =>
        new RegExp(`^${class_} \\[${letters}\\] of ${length} elements$`);
      const xs = array("T, B(, 2)?", whole.x.length);
      for (const x of [undefined, null, 3, "x", () => 3, Array.from(whole.x), {}, whole.x.buffer, ...wrong]) {
        add({ x }, "batch.x", xs, x instanceof ArrayBuffer ? /ArrayBuffer/ : named(x));
      }
      add({ x: whole.x.slice(1) }, "batch.x", xs, `${class_} of ${whole.x.length - 1}`);
      add({ x: new Proxy(whole.x, {}) }, "batch.x", xs, /./);
      const detached = whole.x.slice();
      structuredClone(detached, { transfer: [detached.buffer] });
      add({ x: detached }, "batch.x", xs, `${class_} of 0`);
      const ys = array("B", B);
      for (const y of [undefined, null, 3, [0, 1, 2], new Float64Array(B), new Uint8Array(B)]) {
        add({ y }, "batch.y", ys, named(y));
      }
      add({ y: whole.x.slice(0, 2) }, "batch.y", ys, `${class_} of 2`);
      const masks = `Float32Array [T, B] of ${T * B} elements`;
      for (const mask of [
        3,
        "x",
        Array.from({ length: T * B }, () => 1),
        new Uint32Array(T * B),
        new Float64Array(T * B),
      ]) {
        add({ mask }, "batch.mask", masks, named(mask));
      }
      add({ mask: new Float32Array(B) }, "batch.mask", masks, `Float32Array of ${B}`);
      const filled = (value: number) => new Float32Array(T * B).fill(value, -1);
      for (const value of [NaN, Infinity, -Infinity]) {
        add({ mask: filled(value) }, "batch.mask", "finite numbers", named(value));
      }
      add({ mask: filled(-1) }, "batch.mask", "numbers of at least 0", "-1");
      if (whole.x instanceof Float32Array) {
        for (const value of [NaN, Infinity, -Infinity]) {
          add({ x: whole.x.slice().fill(value, 5, 6) }, "batch.x", "finite numbers", named(value));
          add({ y: Float32Array.of(0, value, 0) }, "batch.y", "finite numbers", named(value));
        }
      } else {
        for (const value of [V, 100, 0xffffffff]) {
          add({ x: whole.x.slice().fill(value, 5, 6) }, "batch.x", `symbols below ${V}`, named(value));
        }
        for (const value of [4, 0xfffffffe]) {
          add({ y: Uint32Array.of(0, value, 0) }, "batch.y", "classes below 4, or 4294967295 to ignore", named(value));
        }
      }
      await allRefused(cases, config);
    }
  });

  it("gradients: when the batch needs more than the limit, before memory is taken for the network", async () => {
    const session = await Session.create(small({ task: { id: "adding" }, model: { id: "lstm", hidden: 64 } }));
    const bytes = memory.buffer.byteLength;
    const [n, b] = [4096, 512];
    const batch = { x: new Float32Array(n * b * 2), y: new Float32Array(b), T: n, B: b };
    const [field, expected] = ["batch.T, batch.B", "sizes that need at most 1024 MiB"];
    await refused({ what: field, call: () => session.gradients(batch), field, expected, got: /^\d+ MiB$/ }, session);
    // The copy of the caller's batch, which the network has not been built for.
    expect(memory.buffer.byteLength - bytes).toBeLessThan(64 * 2 ** 20);
    session.free();
  });

  it("when reading its argument runs code that throws, or that calls the session", async () => {
    const angry = () => {
      throw new Error("mine");
    };
    const unreadable = [
      new Proxy({}, { ownKeys: angry, get: angry }),
      Proxy.revocable({}, {}).proxy,
      Object.defineProperty({}, "lr", { get: angry, enumerable: true }),
    ];
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    unreadable.push(proxy);
    const session = await Session.create(small());
    const calls: ((value: never) => unknown)[] = [
      (value) => Session.create(value),
      (value) => session.advance(value),
      (value) => session.frame(value),
      (value) => session.gradients(value),
      (value) => session.trainOn(value),
      (value) => session.setWeights(value),
      (value) => session.restore(value),
      (value) => {
        session.setHyper(value);
      },
    ];
    for (const value of [...unreadable, Object.create(null) as object, cycle, globalThis]) {
      for (const call of calls) {
        // `{}` says nothing to setHyper and frame, which is no mistake.
        const error = await failureOf("unreadable", async () => {
          await call(value as never);
          throw new Error("nothing: expected a failure, got none");
        });
        expect(String(error)).toMatch(/^Error: [\w.]+: expected [^\n]+, got [^\n]+$/);
      }
    }
    const pending: Promise<unknown>[] = [];
    const reentrant = (name: string) =>
      Object.defineProperty({ T, B }, name, {
        enumerable: true,
        get: () => {
          session.setHyper({});
          pending.push(session.advance(1), session.frame(), session.weights());
          return 3;
        },
      });
    for (const call of calls) await failureOf("reentrant", () => call(reentrant("x") as never));
    await Promise.all(pending);
    expect(pending.length).toBeGreaterThan(calls.length);
    expect((await session.advance(1)).ended).toBe(false);
    session.free();
  });

  it("at once, however large or deep the object is", async () => {
    const session = await Session.create(small());
    const start = clock();
    const huge = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`f${at}`, at]));
    for (const value of [cycle, globalThis, huge, new Array(10_000_000), "x".repeat(10_000_000)]) {
      await failureOf("create", create({ optimiser: value }));
      await failureOf("setHyper", () => {
        session.setHyper({ lr: value } as never);
      });
    }
    expect(clock() - start).toBeLessThan(5000);
    session.free();
  });
});

interface StoredTensor {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** A safetensors file, taken apart. */
function parse(bytes: Uint8Array) {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, StoredTensor>;
  const data = bytes.subarray(8 + length);
  const values = (name: string) => {
    const [from, to] = header[name]?.data_offsets ?? [0, 0];
    return new Float32Array(data.slice(from, to).buffer);
  };
  return { header, data, length, values };
}

/** A safetensors file of some tensors, with its header as it is. */
function write(header: object, data: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const notBytes: unknown[] = [
  undefined,
  null,
  3,
  "weights",
  true,
  [],
  [1, 2, 3],
  {},
  () => 3,
  Symbol("w"),
  3n,
  new Float32Array(4),
  new Int8Array(4),
];

describe("bytes are refused", () => {
  it("setWeights: when they are no file, a damaged one, or one of another network", async () => {
    const source = await Session.create(small());
    const bytes = await source.weights();
    const { header, data, length } = parse(bytes);
    const names = Object.keys(header);
    const cases: Refusal[] = [];
    const add = (what: string, weights: unknown, field: string, expected: string | RegExp, got: string | RegExp) =>
      cases.push({ what, call: (s) => s.setWeights(weights as never), field, expected, got });
    for (const value of notBytes) add("no bytes", value, "weights", "a Uint8Array", named(value));
    add("buffer", bytes.slice().buffer, "weights", "a Uint8Array", /ArrayBuffer/);
    add("proxy", new Proxy(bytes, {}), "weights", "a Uint8Array", /./);
    const file = (what: string, weights: Uint8Array) => {
      add(what, weights, "weights", "a safetensors file", new RegExp(`^${weights.length} bytes \\(.+\\)$`));
    };
    for (const end of [0, 1, 7, 8, 9, 8 + length - 1, 8 + length, 8 + length + 4, bytes.length - 4, bytes.length - 1]) {
      file(`cut at ${end}`, bytes.slice(0, end));
    }
    file("a byte too many", Uint8Array.of(...bytes, 0));
    file("zeros", new Uint8Array(100));
    file("ones", new Uint8Array(100).fill(255));
    file("PNG", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52));
    file(
      "zip",
      Uint8Array.from({ length: 64 }, (_, at) => [0x50, 0x4b, 3, 4][at] ?? at),
    );
    file("text", new TextEncoder().encode('{"rnn.weight_ih_l0": [1, 2, 3]}'));
    file("header of a list", write([], data));
    file("overflowing shape", write({ a: { dtype: "F32", shape: [2 ** 40, 2 ** 40], data_offsets: [0, 4] } }, data));
    file("offsets outside", write({ a: { dtype: "F32", shape: [1], data_offsets: [400, 404] } }, data.slice(0, 4)));
    file("unknown type", write({ a: { dtype: "F3", shape: [1], data_offsets: [0, 4] } }, data.slice(0, 4)));

    for (const name of names) {
      const own = header[name];
      if (own === undefined) throw new Error(`no tensor ${name}`);
      const expected = `F32 of shape [${own.shape.join(", ")}]`;
      const field = `weights.${name}`;
      const shape = [1, ...own.shape];
      const deeper = write({ ...header, [name]: { ...own, shape } }, data);
      add(`${name}: a dimension more`, deeper, field, expected, `F32 of shape [${shape.join(", ")}]`);
      for (const dtype of ["I32", "U32"]) {
        const typed = write({ ...header, [name]: { ...own, dtype } }, data);
        add(`${name}: ${dtype}`, typed, field, expected, `${dtype} of shape [${own.shape.join(", ")}]`);
      }
      const renamed = write(Object.fromEntries(names.map((n) => [n === name ? `${n}_` : n, header[n]])), data);
      add(`${name}: renamed`, renamed, `${field}_`, `one of the tensors ${sortedByPlace(names).join(", ")}`, expected);
      for (const value of [NaN, Infinity, -Infinity]) {
        const broken = data.slice();
        new DataView(broken.buffer).setFloat32(own.data_offsets[1] - 4, value, true);
        add(`${name}: ${value}`, write(header, broken), field, "finite numbers", named(value));
      }
      // What is left must lie without a gap, as the format demands.
      let at = 0;
      const kept = sortedByOffset(header).filter((n) => n !== name);
      const parts = kept.map((n) => data.slice(...(header[n]?.data_offsets ?? [0, 0])));
      const packed = kept.map((n, index) => {
        const from = at;
        at += parts[index]?.length ?? 0;
        return [n, { ...header[n], data_offsets: [from, at] }] as const;
      });
      const missing = write(Object.fromEntries(packed), Uint8Array.from(parts.flatMap((part) => [...part])));
      add(`${name}: missing`, missing, field, expected, "nothing");
    }
    const more = { ...header, more: { dtype: "F32", shape: [1], data_offsets: [data.length, data.length + 4] } };
    add(
      "extra",
      write(more, Uint8Array.of(...data, 0, 0, 0, 0)),
      "weights.more",
      /^one of the tensors/,
      "F32 of shape [1]",
    );
    const doubled = Object.fromEntries(
      names.map((n) => {
        const { shape = [], data_offsets: [from, to] = [0, 0] } = header[n] ?? {};
        return [n, { dtype: "F64", shape, data_offsets: [2 * from, 2 * to] }];
      }),
    );
    add("F64", write(doubled, new Uint8Array(2 * data.length)), `weights.${firstOf(names)}`, /^F32/, /^F64/);
    for (const change of [{ hidden: 6 }, { layers: 2 }, { id: "lstm" }]) {
      const other = await Session.create(small({ model: { id: "elman", hidden: 5, ...change } }));
      add(
        JSON.stringify(change),
        await other.weights(),
        "layers" in change ? "weights.rnn.bias_hh_l1" : "weights.rnn.weight_ih_l0",
        /^(F32|one of the tensors)/,
        /^F32 of shape/,
      );
      other.free();
    }
    await allRefused(cases);
    source.free();
  });

  it("restore: when they are no snapshot, a damaged one, or one of another network", async () => {
    const source = await Session.create(small());
    await source.advance(3);
    const bytes = await source.snapshot();
    const cases: Refusal[] = [];
    const add = (what: string, snapshot: unknown, expected: string | RegExp, got: string | RegExp) =>
      cases.push({ what, call: (s) => s.restore(snapshot as never), field: "snapshot", expected, got });
    for (const value of notBytes) add("no bytes", value, "a Uint8Array", named(value));
    const own = `a snapshot of elman "tanh" 1×${V} → 5 → 4 on first-symbol, adam, B 3`;
    for (const end of [0, 1, 7, 8, 12, 40, 80, 200, bytes.length - 4, bytes.length - 1]) {
      add(`cut at ${end}`, bytes.slice(0, end), own, /^\d+ bytes/);
    }
    add("a byte too many", Uint8Array.of(...bytes, 0), own, /^\d+ bytes/);
    for (let at = 0; at < bytes.length; at += 37) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ 0x40;
      add(`bit at ${at}`, flipped, own, /^\d+ bytes/);
    }
    add("zeros", new Uint8Array(bytes.length), own, /^\d+ bytes/);
    add("weights", await source.weights(), own, /^\d+ bytes/);
    const others: Record<string, unknown>[] = [
      { model: { id: "elman", hidden: 6 } },
      { model: { id: "gru", hidden: 5 } },
      { model: { id: "elman", hidden: 5, layers: 2 } },
      { optimiser: { id: "sgd" } },
      { batch: 4 },
      { task: { id: "first-symbol", length: T, symbols: 5 } },
      { task: { id: "parity", length: T } },
    ];
    for (const change of others) {
      const other = await Session.create(small(change));
      add(JSON.stringify(change), await other.snapshot(), own, /^one of \w+( "\w+")? \d×\d+ → /);
      other.free();
    }
    await allRefused(cases);
    source.free();
  });
});

const firstOf = (names: string[]) => [...names].find((name) => name.includes("weight_ih")) ?? "";

function sortedByOffset(header: Record<string, StoredTensor>): string[] {
  return Object.keys(header).sort((a, b) => (header[a]?.data_offsets[0] ?? 0) - (header[b]?.data_offsets[0] ?? 0));
}

/** PyTorch's order: layer by layer, the head last. */
function sortedByPlace(names: string[]): string[] {
  const order = [
    "rnn.weight_ih_l0",
    "rnn.weight_hh_l0",
    "rnn.bias_ih_l0",
    "rnn.bias_hh_l0",
    "head.weight",
    "head.bias",
  ];
  expect([...names].sort()).toEqual([...order].sort());
  return order;
}

/** All rows of all channels, ribbons and probe parts as [offset, length]. */
/** Architectures of recurrent layers, which have states to carry and windows. */
const layered = () => tables.architectures.filter(({ residual }) => !residual);

function spans({ header }: Frame): [number, number][] {
  const { nSteps, rows, probe } = header;
  const parts: [number, number][] = [];
  for (const row of rows) {
    for (const { offset, gradientOffset, shape } of row.channels) {
      parts.push([offset, shape[0] * shape[1]]);
      if (gradientOffset !== null) parts.push([gradientOffset, shape[0] * shape[1]]);
    }
    for (const { offset } of row.ribbons) parts.push([offset, 3 * nSteps]);
  }
  const width = (kind: string, names: string[]) => (kind === "symbols" || kind === "class" ? 1 : names.length);
  parts.push([probe.input.offset, nSteps * width(probe.input.kind, probe.input.names)]);
  parts.push([probe.target.offset, nSteps * width(probe.target.kind, probe.target.names)]);
  parts.push([probe.outputOffset, nSteps * probe.target.names.length]);
  parts.push([probe.maskOffset, nSteps], [probe.lossOffset, nSteps]);
  if (probe.saidOffset !== undefined) parts.push([probe.saidOffset, nSteps - (probe.source ?? 0)]);
  return parts;
}

describe("calls in any order", () => {
  it("all settle during an advance, and leave the losses as they are", async () => {
    for (const { id } of tables.architectures) {
      const config = small({
        model: { id, hidden: 24 },
        task: { id: "first-symbol", length: 30, symbols: 4 },
        batch: 16,
      });
      const session = await Session.create(config);
      const batch: Batch = { x: new Uint32Array(30 * 16).fill(1), y: new Uint32Array(16).fill(2), T: 30, B: 16 };
      const order: number[] = [];
      const first = session.advance(500);
      const second = session.advance(50);
      void first.then(() => order.push(1));
      void second.then(() => order.push(2));
      const seen: number[] = [];
      const others: Promise<unknown>[] = [];
      for (let round = 0; round < 12; round += 1) {
        others.push(session.frame().then(({ header }) => seen.push(header.step)));
        others.push(session.frame({ lossAt: "last", sequence: 3 }));
        others.push(session.evaluate());
        others.push(session.gradients(batch));
        others.push(session.weights().then((weights) => session.setWeights(weights)));
        others.push(session.snapshot());
        others.push(session.weights());
        session.setHyper({ lr: 1e-3, clip: null, beta1: 0.9 });
        others.push(session.setWeights(await session.weights()));
        others.push(session.restore(await session.snapshot()));
        expect(session.backend).toBe("cpu");
        await turn();
      }
      await Promise.all(others);
      const third = await session.advance(5);
      const [one, two] = [await first, await second];
      expect(order).toEqual([1, 2]);
      expect([one.step, two.step, third.step]).toEqual([500, 550, 555]);
      expect([one.ended, two.ended, one.diverged, two.diverged]).toEqual([false, false, null, null]);
      // The calls were really made while training ran, not before or after it.
      expect(new Set(seen).size).toBeGreaterThan(2);
      const control = await Session.create(config);
      const alone = await control.advance(555);
      expect(Float32Array.of(...one.losses, ...two.losses, ...third.losses)).toEqual(alone.losses.slice());
      expect(await session.weights()).toEqual(await control.weights());
      session.free();
      control.free();
    }
  });

  it("restore of a snapshot taken just before changes nothing, and one from earlier goes back", async () => {
    const session = await Session.create(small());
    const start = await session.snapshot();
    const first = await session.advance(20);
    await session.restore(start);
    expect((await session.advance(20)).losses).toEqual(first.losses);
    session.free();
  });

  it("setHyper acts on the next step, also during an advance", async () => {
    const config = small({ optimiser: { id: "sgd", lr: 0.1 } });
    const session = await Session.create(config);
    await session.advance(5);
    const before = await session.weights();
    session.setHyper({ lr: 0 });
    await session.advance(5);
    expect(await session.weights()).toEqual(before);
    session.setHyper({ lr: 0.1, momentum: undefined });
    await session.advance(1);
    expect(await session.weights()).not.toEqual(before);

    const running = session.advance(1e9);
    await turn();
    session.setHyper({ lr: 0 });
    const frozen = await session.weights();
    const { step } = (await session.frame()).header;
    for (let round = 0; round < 5; round += 1) await turn();
    expect((await session.frame()).header.step).toBeGreaterThan(step);
    expect(await session.weights()).toEqual(frozen);
    session.free();
    expect((await running).ended).toBe(true);
  });

  it("a clip is heard at once, and absent fields stay", async () => {
    const session = await Session.create(small({ clip: { kind: "norm", at: 1e-4 } }));
    const clipped = await session.advance(1);
    expect([clipped.clipped, clipped.clipCoefficient < 1]).toEqual([true, true]);
    session.setHyper({ lr: 0.01, clip: undefined });
    expect((await session.advance(1)).clipped).toBe(true);
    session.setHyper({ clip: { kind: "value", at: 1e-6 } });
    const byValue = await session.advance(1);
    expect([byValue.clipped, byValue.clipCoefficient]).toEqual([true, 1]);
    session.setHyper({ clip: { kind: "value", at: 1e6 } });
    expect((await session.advance(1)).clipped).toBe(false);
    session.setHyper({ clip: null });
    const free = await session.advance(1);
    expect([free.clipped, free.clipCoefficient]).toEqual([false, 1]);
    session.free();
  });

  it("free ends an advance, and every later call fails with one clear error", async () => {
    const session = await Session.create(small({ model: { id: "lstm", hidden: 32 } }));
    await session.advance(3);
    const [first, second] = [session.advance(1e9), session.advance(10)];
    await turn();
    const { step } = (await session.frame()).header;
    session.free();
    const [one, two] = [await first, await second];
    expect([one.ended, two.ended]).toEqual([true, true]);
    expect(one.step).toBe(step);
    expect(one.losses.length).toBe(Math.min(step - 3, 4096));
    expect(Number.isFinite(one.loss)).toBe(true);
    expect([two.step, two.losses.length, two.loss]).toEqual([step, 0, NaN]);
    const calls: [string, () => unknown][] = [
      ["advance", () => session.advance(1)],
      ["advance, badly", () => session.advance(-1)],
      ["frame", () => session.frame()],
      ["evaluate", () => session.evaluate()],
      ["gradients", () => session.gradients(symbols())],
      ["trainOn", () => session.trainOn(symbols())],
      ["weights", () => session.weights()],
      ["setWeights", () => session.setWeights(new Uint8Array(3))],
      ["snapshot", () => session.snapshot()],
      ["restore", () => session.restore(new Uint8Array(3))],
      [
        "setHyper",
        () => {
          session.setHyper({});
        },
      ],
    ];
    for (const [what, call] of calls) {
      const error = await failureOf(what, call);
      expect(error, what).toBeInstanceOf(Error);
      expect(error, what).toMatchObject({
        message: "session: expected a session in use, got one that was freed",
        field: "session",
        expected: "a session in use",
        got: "one that was freed",
      });
    }
    session.free();
    session.free();
    expect(session.backend).toBe("cpu");
    const next = await Session.create(small());
    expect((await next.advance(2)).step).toBe(2);
    next.free();
  });

  it("free gives the memory back", async () => {
    const config = small({ task: { id: "adding", length: 200 }, model: { id: "lstm", hidden: 64 }, batch: 64 });
    const once = async () => {
      const session = await Session.create(config);
      await session.advance(1);
      session.free();
    };
    await once();
    const bytes = memory.buffer.byteLength;
    for (let round = 0; round < 8; round += 1) await once();
    expect(memory.buffer.byteLength).toBe(bytes);
  });

  it("an advance goes on when nobody keeps its session", async () => {
    setFlagsFromString("--expose_gc");
    const collect = runInNewContext("gc") as () => void;
    const collected: number[] = [];
    const registry = new FinalizationRegistry(() => collected.push(1));
    const start = async () => {
      const session = await Session.create(small({ model: { id: "gru", hidden: 24 }, batch: 16 }));
      registry.register(session, null);
      return session.advance(1500);
    };
    const started = start();
    const steps = async () => {
      for (;;) {
        await turn();
        collect();
        if (collected.length > 0) return "collected";
      }
    };
    expect(await Promise.race([started, steps()])).toBe("collected");
    expect(await started).toMatchObject({ step: 1500, ended: false });
  });

  it("sessions side by side do not disturb each other", async () => {
    const configs = tables.architectures.flatMap(({ id }) => [
      small({ model: { id, hidden: 9 } }),
      small({ task: { id: "adding", length: 20 }, model: { id, hidden: 7 }, seed: 3 }),
    ]);
    const together = await Promise.all(configs.map((config) => Session.create(config)));
    const running = together.map((session) => session.advance(120));
    for (const session of together) {
      await session.evaluate();
      await session.frame();
    }
    const results = await Promise.all(running);
    for (const [at, config] of configs.entries()) {
      const alone = await Session.create(config);
      expect((await alone.advance(120)).losses).toEqual(results[at]?.losses);
      alone.free();
    }
    for (const session of together) session.free();
  });

  it("others get their turn within 100 ms beyond the step that is being done", async () => {
    for (const { id } of tables.architectures) {
      const config = small({ task: { id: "adding", length: 100 }, model: { id, hidden: 128 }, batch: 32 });
      const session = await Session.create(config);
      await session.advance(2);
      const before = clock();
      await session.advance(4);
      const step = (clock() - before) / 4;
      const running = session.advance(1e6);
      const { port1, port2 } = new MessageChannel();
      for (let round = 0; round < 5; round += 1) {
        for (const wait of [
          () => new Promise<void>((resolve) => setTimeout(resolve, 1)),
          () =>
            new Promise<void>((resolve) => {
              port1.once("message", () => {
                resolve();
              });
              port2.postMessage(null);
            }),
        ]) {
          const asked = clock();
          await wait();
          expect(clock() - asked, `${id}, a step takes ${step} ms`).toBeLessThan(1000 + 10 * step);
        }
      }
      port1.close();
      session.free();
      expect((await running).ended).toBe(true);
    }
  });
});

describe("numbers that stop being finite", () => {
  const explosive = (length: number, nonlinearity: string): SessionConfig => ({
    task: { id: "adding", length },
    model: { id: "elman", hidden: 8, nonlinearity: nonlinearity as "relu", init: { id: "spectral", rho: 5 } },
    optimiser: { id: "sgd", lr: 1 },
    clip: null,
    batch: 8,
    seed: 1,
  });
  /** A full stop only at its end; kernels' labels hold one without a space. */
  const sentence = /^[A-Z](?:[^.\n]|\.(?=\w))+\.$/;

  it("stop a lane at the step and the tensor where it began, with the parameters from before", async () => {
    for (const nonlinearity of ["relu", "identity"]) {
      for (const length of [3, 8, 20, 200]) {
        const config = explosive(length, nonlinearity);
        const session = await Session.create(config);
        let [before, progress] = [await session.weights(), await session.advance(1)];
        while (progress.diverged === null && progress.step < 200) {
          before = await session.weights();
          progress = await session.advance(1);
        }
        const { diverged, step } = progress;
        if (diverged === null) throw new Error(`${nonlinearity}, T ${length}: did not diverge in ${step} steps`);
        expect(diverged.step).toBe(step);
        expect(diverged.tensor).not.toBe("");
        expect(diverged.message).toMatch(sentence);
        expect(diverged.message).toContain(`Step ${step + 1}:`);
        expect(diverged.message).toContain(diverged.tensor);
        if (length === 200) expect(diverged.tensor).toMatch(/^h of layer 0 at timestep \d+$/);
        expect(await session.weights()).toEqual(before);
        expect(new Float32Array(parse(before).data.slice().buffer).every(Number.isFinite)).toBe(true);

        // The session still answers everything, and says where an answer is not finite.
        const frame = await session.frame();
        const holes = new Set<number>();
        const { nSteps, probe } = frame.header;
        const data = new Float32Array(frame.data);
        for (let t = 0; t < nSteps; t += 1) if (data[probe.maskOffset + t] === 0) holes.add(probe.lossOffset + t);
        const finite = data.every((value, at) => Number.isFinite(value) || holes.has(at));
        expect(frame.header.diverged === undefined).toBe(finite);
        const evaluation = await session.evaluate();
        expect(evaluation.diverged === undefined).toBe(Number.isFinite(evaluation.loss));
        expect(evaluation.solved).toBe(false);
        const batch = { x: new Float32Array(length * 2).fill(1), y: Float32Array.of(1), T: length, B: 1 };
        const gradients = await session.gradients(batch);
        const all = [
          gradients.outputs,
          gradients.hidden,
          new Float32Array(parse(gradients.weights).data.slice().buffer),
        ];
        const sound = Number.isFinite(gradients.loss) && all.every((values) => values.every(Number.isFinite));
        expect(gradients.diverged === undefined).toBe(sound);
        if (length === 200) {
          for (const { message = "" } of [
            frame.header.diverged ?? {},
            evaluation.diverged ?? {},
            gradients.diverged ?? {},
          ]) {
            expect(message).toMatch(sentence);
          }
        }
        const again = await session.advance(10);
        expect(again).toMatchObject({ step, diverged, ended: false });
        expect(await session.weights()).toEqual(before);

        // Weights that are small again go on from the same step.
        const calm = await Session.create({
          ...config,
          model: { ...config.model, init: { id: "spectral", rho: 0.5 } },
        });
        await session.setWeights(await calm.weights());
        session.setHyper({ lr: 1e-3 });
        expect(await session.advance(5)).toMatchObject({ step: step + 5, diverged: null });
        calm.free();
        session.free();
      }
    }
  });

  it("are undone when it is the update that overflows", async () => {
    const session = await Session.create(small({ optimiser: { id: "sgd", lr: 10, weightDecay: 1 } }));
    const bytes = await session.weights();
    const { header, data, length } = parse(bytes);
    // Saturated units hand on no gradient, a head of zeros neither: decay alone takes 10³⁸ to −9·10³⁸, beyond f32.
    const huge = new Float32Array(data.length / 4);
    const [from, to] = header["rnn.weight_ih_l0"]?.data_offsets ?? [0, 0];
    huge.fill(1e38, from / 4, to / 4);
    bytes.set(new Uint8Array(huge.buffer), 8 + length);
    await session.setWeights(bytes);
    for (const step of [() => session.advance(5), () => session.trainOn(symbols())]) {
      const { step: done, diverged } = await step();
      expect([done, diverged?.step, diverged?.tensor]).toEqual([0, 0, "the parameters"]);
      expect(diverged?.message).toMatch(sentence);
      expect(await session.weights()).toEqual(bytes);
    }
    session.setHyper({ weightDecay: 0 });
    expect(await session.advance(5)).toMatchObject({ step: 5, diverged: null });
    session.free();
  });
});

describe("round trips", () => {
  it("weights come back as they went, and are those of the module that a reader of PyTorch would write", async () => {
    for (const { id, gates, recurrent } of layered()) {
      // Without gates, there is one block: the network itself.
      const [h, layers, g] = [6, 2, Math.max(1, gates.length)];
      const config = small({ model: { id, hidden: h, layers } });
      const session = await Session.create(config);
      await session.advance(3);
      const bytes = await session.weights();
      const { header, data } = parse(bytes);
      const shapes = Object.fromEntries(Object.entries(header).map(([name, { shape }]) => [name, shape]));
      const expected: Record<string, number[]> = { "head.weight": [4, h], "head.bias": [4] };
      for (let layer = 0; layer < layers; layer += 1) {
        expected[`rnn.weight_ih_l${layer}`] = [g * h, layer === 0 ? V : h];
        expected[`rnn.bias_ih_l${layer}`] = [g * h];
        if (!recurrent) continue;
        expected[`rnn.weight_hh_l${layer}`] = [g * h, h];
        expected[`rnn.bias_hh_l${layer}`] = [g * h];
      }
      expect(shapes).toEqual(expected);
      let end = 0;
      for (const name of sortedByOffset(header)) {
        const tensor = header[name];
        if (tensor === undefined) throw new Error(name);
        const size = 4 * tensor.shape.reduce((product, extent) => product * extent, 1);
        expect([tensor.dtype, ...tensor.data_offsets]).toEqual(["F32", end, end + size]);
        end += size;
      }
      expect(end).toBe(data.length);

      const other = await Session.create(small({ model: { id, hidden: h, layers }, seed: 99 }));
      expect(await other.weights()).not.toEqual(bytes);
      await other.setWeights(bytes);
      expect(await other.weights()).toEqual(bytes);
      // A view into a larger buffer is the bytes that it shows.
      const padded = new Uint8Array(bytes.length + 24);
      padded.set(bytes, 13);
      await other.setWeights(padded.subarray(13, 13 + bytes.length));
      expect(await other.weights()).toEqual(bytes);

      const { weights: gradient } = await session.gradients(symbols());
      const parsed = parse(gradient).header;
      expect(parsed).toEqual(header);
      expect(new Float32Array(parse(gradient).data.slice().buffer).some((value) => value !== 0)).toBe(true);
      expect(await session.weights()).toEqual(bytes);
      session.free();
      other.free();
    }
  });

  it("gradients agree with the change of the loss, and their parts have the stated lengths", async () => {
    const session = await Session.create(small({ model: { id: "gru", hidden: 6, layers: 2 } }));
    const batch = symbols();
    const at = await session.gradients(batch);
    expect([at.outputs.length, at.hidden.length]).toEqual([B * 4, 2 * T]);
    const bytes = await session.weights();
    const { header, data, length } = parse(bytes);
    const slope = parse(at.weights);
    const epsilon = 5e-3;
    for (const name of Object.keys(header)) {
      const gradient = slope.values(name);
      const most = gradient.reduce((best, g, index) => (Math.abs(g) > Math.abs(gradient[best] ?? 0) ? index : best), 0);
      const loss = async (change: number) => {
        const moved = data.slice();
        const place = (header[name]?.data_offsets[0] ?? 0) + 4 * most;
        const view = new DataView(moved.buffer);
        view.setFloat32(place, view.getFloat32(place, true) + change, true);
        const file = bytes.slice();
        file.set(moved, 8 + length);
        await session.setWeights(file);
        return (await session.gradients(batch)).loss;
      };
      const estimate = ((await loss(epsilon)) - (await loss(-epsilon))) / (2 * epsilon);
      expect(Math.abs(estimate - (gradient[most] ?? 0)), name).toBeLessThan(2e-3 * Math.abs(estimate) + 2e-5);
    }
    session.free();
  });

  it("a snapshot goes on bit for bit, in the same session and in a new one, hyperparameters included", async () => {
    for (const optimiser of tables.optimisers) {
      for (const { id } of tables.architectures) {
        for (const task of [
          { id: "first-symbol", length: T },
          { id: "mackey-glass", length: 12 },
        ]) {
          const carry = task.id === "mackey-glass" && layered().some((architecture) => architecture.id === id);
          const config = small({ task, model: { id, hidden: 5, carry }, optimiser: { id: optimiser.id } });
          const session = await Session.create(config);
          await session.advance(7);
          session.setHyper({ lr: 0.004, clip: { kind: "norm", at: 0.25 } });
          const last = await session.advance(3);
          const snapshot = await session.snapshot();
          const onward = await session.advance(20);
          session.setHyper({ lr: 1, clip: null });
          await session.advance(5);
          await session.restore(snapshot);
          const frame = (await session.frame()).header;
          expect([frame.step, frame.gradientNorm]).toEqual([10, last.gradientNorm]);
          const again = await session.advance(20);
          const fork = await Session.create(config);
          await fork.restore(snapshot);
          const elsewhere = await fork.advance(20);
          expect([again.losses, again.step]).toEqual([onward.losses, 30]);
          expect([elsewhere.losses, elsewhere.step]).toEqual([onward.losses, 30]);
          expect(await fork.snapshot()).toEqual(await session.snapshot());
          session.free();
          fork.free();
        }
      }
    }
  });

  it("frames lie within their data, and every number of every channel is finite", async () => {
    for (const task of tables.tasks) {
      for (const { id } of tables.architectures) {
        const session = await Session.create(small({ task: { id: task.id }, model: { id, hidden: 5, layers: 2 } }));
        await session.advance(2);
        const before = await session.snapshot();
        const { nSteps, nSequences, probe } = (await session.frame()).header;
        const mask = (frame: Frame) =>
          new Float32Array(frame.data).subarray(frame.header.probe.maskOffset, probe.maskOffset + nSteps);
        const scored = [...mask(await session.frame())].flatMap((weight, t) => (weight > 0 ? [t] : []));
        expect(scored.length).toBeGreaterThan(0);
        const one = scored[Math.floor(scored.length / 2)] ?? 0;
        const variants: FrameOptions[] = [
          {},
          { lossAt: "task" },
          { lossAt: "all" },
          { lossAt: one },
          { sequence: nSequences - 1 },
          ...(scored.includes(nSteps - 1) ? [{ lossAt: "last" } as const] : []),
        ];
        for (const options of variants) {
          const frame = await session.frame(options);
          const { header } = frame;
          const data = new Float32Array(frame.data);
          expect(header.lossAt).toBe(options.lossAt ?? "task");
          expect(header.sequence).toBe(options.sequence ?? 0);
          expect([header.step, header.nSteps, header.rows.length, header.diverged]).toEqual([2, nSteps, 2, undefined]);
          const taken = spans(frame).sort(([a], [b]) => a - b);
          let end = 0;
          for (const [offset, length] of taken) {
            expect(offset).toBe(end);
            end += length;
          }
          expect(end).toBe(data.length);
          data.forEach((value, at) => {
            const t = at - header.probe.lossOffset;
            if (t >= 0 && t < nSteps && Number.isNaN(value)) expect(data[header.probe.maskOffset + t]).toBe(0);
            else if (!Number.isFinite(value)) throw new Error(`${task.id}, ${id}: number ${at} of a frame is ${value}`);
          });
          if (options.lossAt === one) {
            expect([...mask(frame)].map((weight, at) => weight > 0 === (at === one)).every(Boolean)).toBe(true);
          }
        }
        expect(await session.snapshot()).toEqual(before);
        session.free();
      }
    }
  });

  it("inspections lie within their data, for every panel of every architecture, and a change by hand is seen in them", async () => {
    for (const { id, gates, recurrent } of tables.architectures) {
      const session = await Session.create(small({ model: { id, hidden: 5, layers: 2 } }));
      await session.advance(3);
      for (const panel of PANELS) {
        for (const row of [0, 1]) {
          const { header, data } = await session.inspect({ panel, row, sequence: 2 });
          expect([header.step, header.nSteps, header.row]).toEqual([3, T, `l${row}`]);
          expect(header.series.length > 0, `${id} ${panel}`).toBe(header.absent === undefined);
          if (header.absent !== undefined) continue;
          const end = header.series.map(({ shape, offset }) => offset + shape.reduce((n, of) => n * of, 1));
          expect(data.byteLength).toBe(4 * Math.max(...end));
        }
      }
      if (gates.length > 1) {
        await session.edit({ keepBias: 2.5 });
        const { header, data } = await session.inspect({ panel: "pipe" });
        const bias = header.series.find((series) => series.id === "bias");
        expect(new Float32Array(data)[bias?.offset ?? -1]).toBeCloseTo(2.5, 5);
      }
      if (!layered().some((architecture) => architecture.id === id)) {
        await expect(session.edit({ window: 2 })).rejects.toThrow(/change\.window: expected null/);
        await expect(session.edit({ spectralRadius: 0.75, row: 1 })).rejects.toThrow(/recurrent weights W_hh/);
        session.free();
        continue;
      }
      await session.edit({ window: 2 });
      expect((await session.frame()).header.window).toBe(2);
      await session.edit({ window: null });
      expect((await session.frame({ batch: "next" })).header.window).toBeUndefined();
      if (!recurrent) {
        await expect(session.edit({ spectralRadius: 0.75, row: 1 })).rejects.toThrow(/recurrent weights W_hh/);
        session.free();
        continue;
      }
      await session.edit({ spectralRadius: 0.75, row: 1 });
      const { header, data } = await session.inspect({ panel: "spectrum", row: 1 });
      const radius = header.series.find((series) => series.id === "radius");
      expect(new Float32Array(data)[radius?.offset ?? -1]).toBeCloseTo(0.75, 5);
      session.free();
    }
  });

  it("evaluate says the same twice and changes nothing", async () => {
    for (const { id } of tables.tasks) {
      const session = await Session.create(
        small({ task: { id }, model: { id: "gru", hidden: 4, carry: id === "mackey-glass" } }),
      );
      await session.advance(3);
      const before = await session.snapshot();
      const first = await session.evaluate();
      expect(await session.evaluate()).toEqual(first);
      expect(await session.snapshot()).toEqual(before);
      expect(first.step).toBe(3);
      expect(first.nSequences).toBeGreaterThanOrEqual(256);
      expect(Number.isFinite(first.loss) && first.accuracy >= 0 && first.accuracy <= 1).toBe(true);
      expect(first.criterion).toMatch(/^held-out (loss below|accuracy of at least) [\d.]+( %)?$/);
      session.free();
    }
  });

  it("a window of at least T is no window, and a shorter one is", async () => {
    for (const { id } of layered()) {
      const run = async (window: number | null) => {
        const session = await Session.create(small({ model: { id, hidden: 5, window } }));
        const { losses } = await session.advance(30);
        session.free();
        return losses;
      };
      const whole = await run(null);
      expect(await run(T)).toEqual(whole);
      expect(await run(T + 1)).toEqual(whole);
      expect(await run(4096)).toEqual(whole);
      expect(await run(2)).not.toEqual(whole);
    }
  });

  it("trainOn takes one step on the caller's batch, as advance does on the task's", async () => {
    const session = await Session.create(small());
    const before = (await session.gradients(symbols())).loss;
    const losses: number[] = [];
    for (let step = 0; step < 30; step += 1) {
      const progress = await session.trainOn(symbols());
      expect(progress).toMatchObject({ step: step + 1, diverged: null, ended: false });
      losses.push(progress.loss);
    }
    expect(losses[0]).toBe(before);
    expect((await session.gradients(symbols())).loss).toBeLessThan(before);
    session.free();
  });

  it("every optimiser trains every architecture on every task", async () => {
    for (const task of tables.tasks) {
      const length = task.options.find(({ name }) => name === "length");
      if (length?.kind !== "integer") throw new Error(`${task.id} has a length`);
      for (const architecture of tables.architectures) {
        for (const optimiser of tables.optimisers) {
          const what = `${task.id}, ${architecture.id}, ${optimiser.id}`;
          let n = length.min;
          let session: Session | null = null;
          // The smallest length that suits the other options, which the task's own error names.
          while (session === null) {
            const config = {
              task: { id: task.id, length: n },
              model: { id: architecture.id, hidden: 1 },
              optimiser: { id: optimiser.id },
              batch: 1,
            };
            session = await Session.create(config).catch((error: unknown) => {
              expect(error, what).toMatchObject({ field: "task.length" });
              return null;
            });
            n += 1;
            expect(n).toBeLessThan(length.default + 2);
          }
          const progress = await session.advance(5);
          expect(progress, what).toMatchObject({ step: 5, diverged: null });
          expect([...progress.losses].every(Number.isFinite), what).toBe(true);
          session.free();
        }
      }
    }
  });

  it("the recipes of the catalogue are configurations", async () => {
    for (const { recipe } of tables.tasks) {
      if (recipe === null) continue;
      const session = await Session.create(recipe.config);
      expect((await session.advance(1)).step).toBe(1);
      session.free();
    }
  });
});
