import type { Evaluation, SessionConfig } from "unroll-types";
import { expect, test } from "vitest";
import { horizonGrid, horizonKey, type HorizonGrid } from "../../src/lab/horizon";
import { Sweep } from "../../src/lab/sweep.svelte";
import { describe } from "../../src/settings";
import type { WorkerLike } from "../../src/worker/client";
import type { FromWorker, Request } from "../../src/worker/protocol";
import { catalog } from "./catalog";

const values = describe(catalog, { "task.length": 50 }).values;

/** Trains in no time; a network of length 10 is solved at step 20, and one of the Elman network at length 200 is not finite. */
class Pupil implements WorkerLike {
  static readonly all: Pupil[] = [];
  onmessage: WorkerLike["onmessage"] = null;
  onerror: WorkerLike["onerror"] = null;
  isTerminated = false;
  config: SessionConfig | null = null;
  step = 0;

  constructor() {
    Pupil.all.push(this);
  }

  postMessage(message: unknown): void {
    const request = message as Request;
    queueMicrotask(() => {
      if (!this.isTerminated) this.answer(request);
    });
  }

  private get length(): number {
    return Number((this.config?.task as Record<string, unknown> | undefined)?.["length"]);
  }

  private evaluation(): Evaluation {
    const solved = this.length === 10 && this.step >= 20;
    const baseline = { loss: 1, what: "guesses" };
    return {
      step: this.step,
      loss: 1,
      accuracy: this.length / 1000,
      nSequences: 8,
      baseline,
      solved,
      criterion: "all",
    };
  }

  private answer(request: Request): void {
    const say = (value: unknown): void => {
      this.say({ type: "answer", id: request.id, call: request.type, value } as FromWorker);
    };
    switch (request.type) {
      case "create":
        this.config = request.config;
        say({ backend: "cpu", reason: "" });
        return;
      case "trainTo":
        this.step = request.step;
        this.say({ type: "evaluation", evaluation: this.evaluation() });
        if (this.length === 200 && this.config?.model.id === "elman")
          this.say({
            type: "diverged",
            diverged: { step: this.step, tensor: "h", message: "h is not finite" },
          } as FromWorker);
        say({ step: this.step });
        return;
      case "evaluate":
        say(this.evaluation());
        return;
      default:
        throw new Error(request.type);
    }
  }

  private say(message: FromWorker): void {
    this.onmessage?.({ data: message } as MessageEvent<FromWorker>);
  }

  terminate(): void {
    this.isTerminated = true;
  }
}

function sweep(isBusy: () => boolean = () => false, onRest: (rests: number) => void = () => undefined) {
  Pupil.all.length = 0;
  const rests: number[] = [];
  let now = 0;
  const made = new Sweep(
    {
      makeWorker: () => new Pupil(),
      now: () => (now += 15),
      later: (callback, ms) => {
        rests.push(ms);
        onRest(rests.length);
        queueMicrotask(callback);
        return () => undefined;
      },
    },
    isBusy,
  );
  return { made, rests };
}

const grid = (): HorizonGrid => horizonGrid(catalog, values);

test("sweep_has_every_architecture_and_lengths_around_that_of_the_page", () => {
  const { rows, lengths, config } = grid();
  expect([...new Set(rows.map(({ model }) => model))]).toEqual(catalog.architectures.map(({ id }) => id));
  expect(lengths).toEqual([10, 20, 50, 100, 200]);
  for (const row of rows) {
    const made = config(row, 20);
    expect([made.model.id, made.model.init?.id, made.backend]).toEqual([row.model, row.init, "cpu"]);
    expect((made.task as Record<string, unknown>)["length"]).toBe(20);
  }
  const key = horizonKey(grid(), 100);
  expect(horizonKey(horizonGrid(catalog, { ...values, seed: 9 }), 100)).not.toBe(key);
  expect(horizonKey(horizonGrid(catalog, values), 200)).not.toBe(key);
  // What a lane looks at is not part of a network.
  expect(horizonKey(horizonGrid(catalog, { ...values, example: 2 }), 100)).toBe(key);
});

test("sweep_fills_in_and_says_what_came_of_each_network", async () => {
  const { made, rests } = sweep();
  const { rows, lengths } = grid();
  await made.start(grid(), "a", 300);
  expect(made.isRunning).toBe(false);
  expect(made.cells.size).toBe(rows.length * lengths.length);
  expect(rests).toEqual([]);
  rows.forEach((row, at) => {
    for (const length of lengths) {
      const cell = made.cells.get(Sweep.cellKey(at, length));
      if (length === 200 && row.model === "elman") {
        expect(cell).toEqual({ state: "failed", message: "h is not finite" });
        continue;
      }
      if (cell?.state !== "done") throw new Error(`${row.title} ${String(length)}: ${String(cell?.state)}`);
      expect(cell.evaluation.accuracy).toBe(length / 1000);
      if (length === 10) expect(cell.solvedAt).toBe(cell.evaluation.step);
      else expect([cell.solvedAt, cell.evaluation.step]).toEqual([null, 300]);
    }
  });
  expect(Pupil.all.every(({ isTerminated }) => isTerminated)).toBe(true);
});

test("sweep_rests_as_long_as_it_works_while_lanes_run", async () => {
  const { made, rests } = sweep(() => true);
  await made.start(grid(), "a", 50);
  expect(rests.length).toBeGreaterThan(0);
  expect(rests.every((ms) => ms === 15)).toBe(true);
});

test("sweep_that_was_stopped_goes_on_where_it_was_and_another_grid_begins_anew", async () => {
  let stopsAt = 20;
  const { made } = sweep(
    () => true,
    (rests) => {
      if (rests === stopsAt) made.stop();
    },
  );
  await made.start(grid(), "a", 300);
  const done = [...made.cells.keys()];
  expect([...made.cells.values()].every(({ state }) => state !== "training")).toBe(true);
  expect(done.length).toBeGreaterThan(0);
  expect(done.length).toBeLessThan(grid().rows.length * 5);
  const workers = Pupil.all.length;
  stopsAt = Number.POSITIVE_INFINITY;
  await made.start(grid(), "a", 300);
  expect(Pupil.all.length - workers).toBe(grid().rows.length * 5 - done.length);
  const again = made.start(grid(), "b", 300);
  expect(made.isOf("a")).toBe(false);
  expect(made.cells.size).toBeLessThanOrEqual(1);
  made.stop();
  await again;
});
