import type { Evaluation, Frame, FrameHeader, Inspection, SessionConfig } from "unroll-types";
import { describe as group, expect, test } from "vitest";
import { Lab } from "../../src/lab/lab.svelte";
import type { Lane } from "../../src/lab/lane.svelte";
import { sessionConfig } from "../../src/settings";
import type { WorkerLike } from "../../src/worker/client";
import type { Engine, FromWorker, Request } from "../../src/worker/protocol";
import { sizesOf } from "../../src/worker/sizes";
import { catalog } from "./catalog";

/** The smallest frame that the drawings accept. */
function frame(step: number, nSequences: number): Frame {
  const header: FrameHeader = {
    step,
    nSteps: 1,
    nSequences,
    sequence: 0,
    lossAt: "task",
    rows: [],
    probe: {
      input: { kind: "symbols", names: ["a"], offset: 0 },
      target: { kind: "class", names: ["a"], offset: 0 },
      outputOffset: 0,
      maskOffset: 0,
      lossOffset: 0,
    },
    gradientNorm: 0,
    clipCoefficient: 1,
    floor: 1e-38,
  };
  return { header, data: new ArrayBuffer(4) };
}

const inspection = (step: number): Inspection => ({
  header: { step, nSteps: 1, row: "l0", state: "h", sequences: 1, series: [] },
  data: new ArrayBuffer(4),
});

const evaluation = (step: number, solved: boolean): Evaluation => ({
  step,
  loss: 1,
  accuracy: 0.5,
  nSequences: 8,
  baseline: { loss: 1, what: "guesses" },
  solved,
  criterion: "all right",
});

/** Parameters of networks in these tests: 40 a unit of one that has gates, 10 of any other. */
function countInTests({ model }: SessionConfig): number {
  const isGated = catalog.architectures.some(({ id, gates }) => id === model.id && gates.length > 0);
  return (isGated ? 40 : 10) * (model.hidden ?? 1);
}

/** A worker that answers at once and remembers what it was asked; the test tells what it reports. */
class Answering implements WorkerLike {
  onmessage: WorkerLike["onmessage"] = null;
  onerror: WorkerLike["onerror"] = null;
  isTerminated = false;
  step = 0;
  /** The step that is looked at. */
  seen: number | null = null;
  refuses: string | null = null;
  /** Sequences of its pictures. */
  nSequences = 1;
  engine: Engine = { backend: "cpu", reason: "The CPU, as chosen." };
  readonly asked: Request[] = [];

  postMessage(message: unknown): void {
    const request = message as Request;
    this.asked.push(request);
    queueMicrotask(() => {
      if (this.isTerminated) return;
      if (request.type === "create" && this.refuses !== null) {
        this.say({ type: "failure", id: request.id, failure: { kind: "refused", message: this.refuses } });
        return;
      }
      this.say({ type: "answer", id: request.id, call: request.type, value: this.answer(request) } as FromWorker);
    });
  }

  private answer(request: Request): unknown {
    switch (request.type) {
      case "catalog":
        return catalog;
      case "create":
        this.step = 0;
        return this.engine;
      case "sizes":
        return sizesOf(countInTests, request);
      case "frame":
        return frame(this.step, this.nSequences);
      case "inspect":
        return inspection(this.step);
      case "trainTo":
        this.step = request.step;
        this.progress(request.step);
        return { step: this.step };
      case "pause":
        return { step: this.step };
      case "look":
        return { step: (this.seen = request.step ?? this.step) };
      case "keep":
        this.step = this.seen ?? this.step;
        this.seen = null;
        return { step: this.step };
      case "snapshot":
        return { step: this.seen ?? this.step, bytes: new Uint8Array(1) };
      default:
        return {};
    }
  }

  terminate(): void {
    this.isTerminated = true;
  }

  say(message: FromWorker): void {
    this.onmessage?.({ data: message } as MessageEvent<FromWorker>);
  }

  progress(step: number, stepsPerSecond = 100): void {
    this.step = step;
    this.say({
      type: "progress",
      step,
      stepsPerSecond,
      loss: 1,
      accuracy: 0.5,
      gradientNorm: 1,
      clipCoefficient: 1,
      clipped: false,
      losses: new Float32Array([1]),
    });
  }

  /** The last request of a type. */
  last<Type extends Request["type"]>(type: Type): Extract<Request, { type: Type }> | undefined {
    return this.asked.filter((request): request is Extract<Request, { type: Type }> => request.type === type).at(-1);
  }
}

async function start(hash = ""): Promise<{ lab: Lab; workers: Answering[]; hashes: string[] }> {
  const workers: Answering[] = [];
  const hashes: string[] = [];
  const lab = new Lab({
    makeWorker: () => {
      const worker = new Answering();
      workers.push(worker);
      return worker;
    },
    now: () => 0,
    nextFrame: (callback) => setTimeout(callback),
    later: (callback) => {
      const timer = setTimeout(callback);
      return () => {
        clearTimeout(timer);
      };
    },
    writeHash: (text) => hashes.push(text),
  });
  await lab.start(hash);
  await settle();
  return { lab, workers, hashes };
}

/** Lets answers and timers of the moment happen. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

group("lab", () => {
  test("lab_offers_steps_that_no_lane_has_left_out", async () => {
    const { lab, workers } = await start();
    lab.run();
    await settle();
    for (const worker of workers) for (let step = 1; step <= 500; step++) worker.progress(step);
    workers[0]?.say({ type: "snapshots", steps: [0, 100, 200, 300, 400] });
    // It left one out, and then it stood still.
    workers[1]?.say({ type: "snapshots", steps: [0, 100, 300] });
    expect(lab.snapshotSteps).toEqual([0, 100, 300, 400]);
  });

  test("lab_looks_back_in_every_lane_and_loses_nothing_until_it_goes_on_from_there", async () => {
    const { lab, workers } = await start();
    lab.run();
    await settle();
    for (const worker of workers) {
      for (let step = 1; step <= 500; step++) worker.progress(step);
      worker.say({ type: "snapshots", steps: [0, 100, 200, 300, 400] });
      worker.say({ type: "evaluation", evaluation: evaluation(200, false) });
      worker.say({ type: "evaluation", evaluation: evaluation(450, true) });
    }
    // Of several places that a hand drags over, the last one counts.
    void lab.lookBack(400);
    void lab.lookBack(300);
    await lab.lookBack(200);
    expect(lab.isRunning).toBe(false);
    expect(lab.lanes.map((lane) => [lane.step, lane.lookedAt])).toEqual([
      [500, 200],
      [500, 200],
    ]);
    expect([lab.step, lab.shownTrainingStep, lab.isLookingBack]).toEqual([500, 200, true]);
    expect(lab.stops).toEqual([0, 100, 200, 300, 400, 500]);
    expect(workers[1]?.last("look")?.hyper).toMatchObject({ clip: { kind: "norm", at: 1 } });
    // Run goes on from the newest state.
    lab.run();
    await settle();
    expect(workers[0]?.last("look")?.step).toBe(null);
    expect([lab.isRunning, lab.isLookingBack]).toEqual([true, false]);
    expect(lab.lanes[0]?.solvedAt).toBe(450);

    await lab.lookBack(200);
    await lab.continueFromHere();
    expect(lab.isRunning).toBe(true);
    const [lane] = lab.lanes;
    expect([lane?.step, lane?.lookedAt, lane?.solvedAt, lane?.evaluation?.step]).toEqual([200, null, null, 200]);
    expect(Math.max(...(lane?.lossCurve.steps ?? []))).toBeLessThanOrEqual(200);
    expect(lab.stops).toEqual([0, 100, 200]);
    // The workers know it before training goes on: no way leads back to what came later.
    for (const { asked } of workers)
      expect(
        asked
          .map(({ type }) => type)
          .filter((type) => ["look", "keep", "run"].includes(type))
          .slice(-3),
      ).toEqual(["look", "keep", "run"]);
    await lab.pause();
  });

  test("lab_remedy_that_rewinds_leaves_no_way_back_to_numbers_that_are_not_finite", async () => {
    const { lab, workers } = await start("#v=1&lanes=1");
    lab.run();
    await settle();
    const [worker] = workers;
    const [lane] = lab.lanes;
    if (worker === undefined || lane === undefined) throw new Error("one lane");
    for (let step = 1; step <= 300; step++) worker.progress(step);
    worker.say({ type: "snapshots", steps: [0, 200, 300] });
    worker.say({ type: "diverged", diverged: { step: 301, tensor: "h", message: "h is NaN" } });
    await lab.remedy(lane, { label: "", values: { "clip.at": 0.5 }, rewind: 300, restarts: false });
    expect(worker.asked.map(({ type }) => type).filter((type) => type === "look" || type === "keep")).toEqual([
      "look",
      "keep",
    ]);
    expect([lane.status, lane.step, lane.lookedAt, lane.message]).toEqual(["ready", 300, null, null]);
    expect(worker.last("hyper")?.hyper).toMatchObject({ clip: { kind: "norm", at: 0.5 } });
  });

  test("lab_slow_motion_shows_an_example_that_the_batch_has_and_then_the_chosen_one_again", async () => {
    const { lab, workers } = await start("#v=1&lanes=1&batch=4&example=12");
    const [worker] = workers;
    if (worker === undefined) throw new Error("one lane");
    worker.nSequences = 16;
    lab.refresh();
    await settle();
    lab.refresh();
    await settle();
    expect(worker.last("frame")?.options).toMatchObject({ sequence: 11 });
    await lab.enterSlow();
    await settle();
    expect(worker.last("frame")?.options).toMatchObject({ sequence: 3, batch: "next" });
    worker.nSequences = 4;
    lab.leaveSlow();
    await settle();
    expect(worker.last("frame")?.options).toEqual({ sequence: 11, lossAt: "task" });
  });

  test("lab_drops_a_receipt_with_every_change_of_what_the_networks_are", async () => {
    const receipt = "#v=1&lesson=recurrence&reached=800";
    const kept = async (change: (lab: Lab) => unknown): Promise<unknown> => {
      const { lab } = await start(receipt);
      expect(lab.value("reached")).toBe(800);
      await change(lab);
      await settle();
      return lab.value("reached");
    };
    const first = (lab: Lab): Lane => {
      const [lane] = lab.lanes;
      if (lane === undefined) throw new Error("no lane");
      return lane;
    };
    const nothing = { label: "", rewind: null, restarts: true };
    expect(await kept((lab) => lab.remedy(first(lab), { ...nothing, values: { "a.hidden": 20 } }))).toBeNull();
    expect(await kept((lab) => lab.open(sessionConfig(catalog, lab.values, 0), 0))).toBeNull();
    expect(await kept((lab) => lab.add(null))).toBeNull();
    expect(await kept((lab) => lab.remove(first(lab)))).toBeNull();
    expect(await kept((lab) => lab.fork(first(lab)))).toBeNull();
    expect(await kept((lab) => lab.set("lanes", 1))).toBeNull();
    expect(await kept((lab) => lab.set("example", 2))).toBe(800);
  });

  test("lab_verdict_of_a_lesson_is_about_the_lanes_of_the_prediction", async () => {
    const { lab, workers } = await start("#v=1&lesson=recurrence&pause-at-goal=off");
    await lab.course.predict({ kind: "choice", id: "a" });
    lab.add(null);
    await settle();
    expect(workers).toHaveLength(3);
    for (const worker of workers)
      worker.say({ type: "evaluation", evaluation: evaluation(800, worker !== workers[1]) });
    for (const worker of workers) worker.progress(1000);
    for (const worker of workers) worker.say({ type: "evaluation", evaluation: evaluation(1000, true) });
    expect(lab.course.truth).toEqual({ kind: "choice", id: "a", isRight: true });
  });

  test("lab_fork_takes_settings_state_and_curves_of_its_parent_and_the_others_return", async () => {
    const { lab, workers } = await start();
    lab.run();
    await settle();
    for (const worker of workers) {
      for (let step = 1; step <= 500; step++) worker.progress(step);
      worker.say({ type: "snapshots", steps: [0, 250] });
    }
    await lab.lookBack(250);
    const [, parent] = lab.lanes;
    if (parent === undefined) throw new Error("two lanes");
    await lab.fork(parent);
    expect(lab.lanes).toHaveLength(3);
    expect(workers[2]?.last("create")?.config).toEqual(workers[1]?.last("create")?.config);
    expect(workers[2]?.last("adopt")?.snapshot.step).toBe(250);
    expect(lab.lanes.map((lane) => [lane.step, lane.lookedAt])).toEqual([
      [500, null],
      [500, null],
      [250, null],
    ]);
    expect(lab.lanes[2]?.lossCurve.steps.at(-1)).toBe(250);
    expect(workers.slice(0, 2).map((worker) => worker.last("look")?.step)).toEqual([null, null]);
    // With settings that wait for a restart there is no network to take after.
    lab.set("b.hidden", 8);
    await lab.lookBack(250);
    await lab.fork(parent);
    expect(lab.lanes).toHaveLength(3);
  });

  test("lab_starts_a_worker_per_lane_and_draws_the_first_picture", async () => {
    const { lab, workers } = await start("#v=1&lanes=3");
    expect(workers).toHaveLength(3);
    expect(lab.lanes.map((lane) => lane.status)).toEqual(["ready", "ready", "ready"]);
    expect(lab.lanes.every((lane) => lane.rawFrame !== null)).toBe(true);
    expect(workers[1]?.last("create")?.config.model.id).toBe("lstm");
  });

  test("lab_joins_every_pair_of_lanes_that_are_in_step", async () => {
    const { lab, workers } = await start("#v=1&lanes=3");
    expect(workers.map((worker) => worker.last("peers")?.ports.length)).toEqual([2, 2, 2]);
    const [first] = lab.lanes;
    if (first !== undefined) lab.remove(first);
    expect(workers.slice(1).map((worker) => worker.last("peers")?.ports.length)).toEqual([1, 1]);
    lab.set("in-step", false);
    expect(workers.slice(1).map((worker) => worker.last("peers")?.ports.length)).toEqual([0, 0]);
  });

  test("lab_pause_brings_lanes_to_the_same_step", async () => {
    const { lab, workers } = await start();
    lab.run();
    await settle();
    workers[0]?.progress(120);
    workers[1]?.progress(110);
    await lab.pause();
    expect(lab.lanes.map((lane) => lane.step)).toEqual([120, 120]);
    await lab.single();
    expect(lab.lanes.map((lane) => lane.step)).toEqual([121, 121]);
  });

  test("lab_a_lane_that_diverges_stops_alone", async () => {
    const { lab, workers } = await start();
    lab.run();
    await settle();
    workers[1]?.progress(10);
    workers[0]?.say({ type: "diverged", diverged: { step: 10, tensor: "h", message: "h is NaN at step 10" } });
    expect(lab.lanes[0]?.status).toBe("diverged");
    expect(lab.isRunning).toBe(true);
    expect(lab.notes.map((note) => note.text).join()).toContain("h is NaN at step 10");
    workers[1]?.say({ type: "diverged", diverged: { step: 20, tensor: "c", message: "c" } });
    expect(lab.isRunning).toBe(false);
    await lab.reset();
    expect(lab.lanes.map((lane) => lane.status)).toEqual(["ready", "ready"]);
  });

  test("lab_pauses_once_when_every_lane_has_solved_the_task", async () => {
    const { lab, workers } = await start();
    lab.run();
    await settle();
    workers[0]?.say({ type: "evaluation", evaluation: evaluation(100, true) });
    expect(lab.isRunning).toBe(true);
    workers[1]?.say({ type: "evaluation", evaluation: evaluation(150, true) });
    expect(lab.isRunning).toBe(false);
    expect(lab.lanes.map((lane) => lane.solvedAt)).toEqual([100, 150]);
    lab.run();
    workers[0]?.say({ type: "evaluation", evaluation: evaluation(200, true) });
    expect(lab.isRunning).toBe(true);
    expect(lab.lanes[0]?.solvedAt).toBe(100);
  });

  test("lab_says_when_a_lane_falls_back_to_the_cpu_and_goes_on", async () => {
    const { lab, workers } = await start();
    const tell = (lane: number, engine: Engine, step: number): void =>
      workers[lane]?.say({ type: "engine", step, ...engine });
    lab.run();
    await settle();
    workers[0]?.progress(100);
    tell(0, { backend: "cpu", reason: "The CPU: WebGPU is not faster." }, 100);
    tell(0, { backend: "webgpu", reason: "WebGPU: faster." }, 100);
    expect(lab.lanes[0]?.engine).toEqual({ backend: "webgpu", reason: "WebGPU: faster." });
    expect(lab.notes).toEqual([]);
    tell(0, { backend: "cpu", reason: "The CPU since step 90: lost." }, 90);
    expect(lab.notes.map((note) => note.text)).toEqual(["Lane A trains without WebGPU. The CPU since step 90: lost."]);
    expect([lab.isRunning, lab.lanes[0]?.status, lab.lanes[0]?.step]).toEqual([true, "ready", 90]);
  });

  test("lab_says_once_that_webgpu_was_asked_for_and_is_not_there", async () => {
    const { lab, workers } = await start();
    for (const worker of workers) worker.engine = { backend: "cpu", reason: "The CPU, because there is no WebGPU." };
    await lab.reset();
    expect(lab.notes).toEqual([]);
    lab.set("a.engine", "webgpu");
    await settle();
    lab.set("b.engine", "webgpu");
    await settle();
    expect(workers[1]?.last("create")?.config.backend).toBe("webgpu");
    const text = "Lanes A, B train without WebGPU. The CPU, because there is no WebGPU.";
    expect(lab.notes.map((note) => note.text)).toEqual([text]);
    lab.dismiss("note");
    await lab.reset();
    expect(lab.notes).toEqual([]);
  });

  test("lab_replaces_a_worker_that_crashes_and_gives_up_after_the_third_time", async () => {
    const { lab, workers } = await start();
    lab.run();
    await settle();
    for (let crash = 0; crash < 3; crash++) {
      workers.at(crash === 0 ? 1 : -1)?.say({ type: "crashed", message: "unreachable" });
      await settle();
    }
    expect(workers[1]?.isTerminated).toBe(true);
    expect(workers).toHaveLength(4);
    expect(lab.lanes[1]?.status).toBe("failed");
    expect(lab.notes.some((note) => note.kind === "problem" && note.text.includes("Lane B"))).toBe(true);
    expect(lab.lanes[0]?.status).toBe("ready");
  });

  test("lab_a_refused_configuration_leaves_the_lane_running", async () => {
    const { lab, workers } = await start();
    lab.run();
    await settle();
    workers[0]?.progress(10);
    const [worker] = workers;
    if (worker !== undefined) worker.refuses = "model.hidden: expected less, got more";
    lab.set("a.hidden", 1000);
    await lab.apply();
    expect(lab.lanes[0]?.status).toBe("ready");
    expect(lab.lanes[0]?.message).toContain("model.hidden");
    expect(lab.pending.size).toBe(1);
    lab.discard();
    expect(lab.pending.size).toBe(0);
    expect(lab.value("a.hidden")).toBe(16);
  });

  test("lab_takes_changes_at_once_at_step_zero_and_asks_later", async () => {
    const { lab, workers } = await start();
    lab.set("b.hidden", 20);
    await settle();
    expect(workers[1]?.last("create")?.config.model.hidden).toBe(20);
    expect(workers[0]?.asked.filter((request) => request.type === "create")).toHaveLength(1);
    lab.run();
    await settle();
    workers[1]?.progress(10);
    lab.set("b.hidden", 24);
    await settle();
    expect(workers[1]?.last("create")?.config.model.hidden).toBe(20);
    expect([...lab.pending.values()]).toEqual([["Hidden units"]]);
    await lab.apply();
    expect(workers[1]?.last("create")?.config.model.hidden).toBe(24);
    expect(workers[1]?.last("run")).toBeDefined();
  });

  test("lab_sends_live_settings_to_every_lane", async () => {
    const { lab, workers, hashes } = await start();
    lab.set("optimiser.lr", 0.1);
    await settle();
    for (const worker of workers) expect(worker.last("hyper")?.hyper).toMatchObject({ lr: 0.1 });
    expect(hashes.at(-1)).toBe("#v=1&optimiser.lr=0.1");
  });

  test("lab_pauses_while_hidden_and_goes_on_when_seen", async () => {
    const { lab } = await start();
    lab.run();
    lab.hide(true);
    expect(lab.isRunning).toBe(false);
    lab.hide(false);
    expect(lab.isRunning).toBe(true);
    await lab.pause();
    lab.hide(true);
    lab.hide(false);
    expect(lab.isRunning).toBe(false);
  });

  test("lab_removing_a_lane_moves_the_others_up_and_keeps_their_runs", async () => {
    const { lab, workers } = await start();
    workers[1]?.progress(42);
    const [first] = lab.lanes;
    if (first !== undefined) lab.remove(first);
    expect(workers[0]?.isTerminated).toBe(true);
    expect(lab.lanes.map((lane) => [lane.index, lane.step])).toEqual([[0, 42]]);
    expect(lab.value("a.model")).toBe("lstm");
    expect(lab.pending.size).toBe(0);
  });

  test("lab_gives_lanes_as_many_parameters_as_lane_a_before_they_begin", async () => {
    // 10 a unit of an Elman network, 40 of an LSTM.
    const { lab, workers, hashes } = await start("#v=1&match=parameters&lanes=3&a.hidden=40");
    const units = (): unknown[] => workers.map((worker) => worker.last("create")?.config.model.hidden);
    expect(units()).toEqual([40, 10, 10]);
    const [first, second] = lab.lanes;
    if (first === undefined || second === undefined) throw new Error("no lanes");
    expect([lab.parameters(first), lab.parameters(second), lab.target(second)]).toEqual([400, 400, 400]);
    // Nobody sets what follows; while training runs, what it follows waits for a restart with it.
    lab.set("b.hidden", 7);
    expect(lab.value("b.hidden")).toBe(10);
    lab.run();
    for (const worker of workers) worker.progress(5);
    lab.set("a.hidden", 80);
    await settle();
    expect(lab.value("b.hidden")).toBe(20);
    expect([...lab.pending.values()]).toEqual([["Hidden units"], ["Hidden units"], ["Hidden units"]]);
    expect(units()).toEqual([40, 10, 10]);
    lab.discard();
    await settle();
    expect([lab.value("a.hidden"), lab.value("b.hidden"), lab.pending.size]).toEqual([40, 10, 0]);
    lab.set("a.hidden", 80);
    await lab.apply();
    expect(units()).toEqual([80, 20, 20]);
    // A fork has the size of its parent, a copy without gates follows lane A, and a lane that moves up keeps its units.
    await lab.fork(second);
    expect(units()).toEqual([80, 20, 20, 20]);
    lab.set("d.model", "elman");
    await lab.apply();
    expect(units()).toEqual([80, 20, 20, 80]);
    lab.remove(first);
    await settle();
    expect([lab.value("a.hidden"), lab.value("b.hidden"), lab.value("c.hidden")]).toEqual([20, 20, 80]);
    expect(lab.pending.size).toBe(0);
    expect(hashes.at(-1)).toContain("match=parameters");
    expect(hashes.at(-1)).not.toContain("b.hidden");
    // The end of the race is a restart setting, too.
    lab.set("match", "size");
    expect([...lab.pending.values()][2]).toEqual(["Size of the lanes", "Hidden units"]);
    expect(lab.value("c.hidden")).toBe(20);
  });

  test("lab_asks_another_lane_for_sizes_when_one_goes", async () => {
    const { lab, workers } = await start("#v=1&match=parameters&a.hidden=40");
    const [first, second] = lab.lanes;
    if (first === undefined || second === undefined) throw new Error("no lanes");
    lab.set("a.hidden", 80);
    lab.remove(first);
    await settle();
    expect([lab.lanes.length, lab.parameters(second)]).toEqual([1, 400]);
    expect(workers[1]?.last("sizes")?.configs).toHaveLength(1);
  });

  test("lab_asks_for_the_numbers_of_open_panels_only", async () => {
    const { lab, workers, hashes } = await start("#v=1&lanes=1&panels=pipe");
    const [worker] = workers;
    const [lane] = lab.lanes;
    const asked = (): string[] =>
      (worker?.asked ?? []).flatMap((request) => (request.type === "inspect" ? [request.query.panel] : []));
    expect(asked()).toEqual(["pipe"]);
    expect([...(lane?.inspections.keys() ?? [])]).toEqual(["pipe"]);
    lab.togglePanel("credit");
    await settle();
    expect(hashes.at(-1)).toBe("#v=1&lanes=1&panels=pipe,credit");
    expect(new Set(asked().slice(1))).toEqual(new Set(["pipe", "credit"]));
    lab.set("credit-of", "loss");
    await settle();
    expect(asked()).toContain("credit-of-loss");
    lab.togglePanel("pipe");
    lab.togglePanel("credit");
    await settle();
    const before = asked().length;
    lab.run();
    worker?.progress(5);
    await settle();
    expect(asked()).toHaveLength(before);
    expect(hashes.at(-1)).toBe("#v=1&lanes=1&credit-of=loss");
  });

  test("lab_sends_the_last_of_several_changes_by_hand_and_looks_again", async () => {
    const { lab, workers } = await start("#v=1&lanes=1&panels=pipe");
    const [lane] = lab.lanes;
    if (lane === undefined) throw new Error("no lane");
    const before = workers[0]?.asked.length ?? 0;
    void lab.edit(lane, { keepBias: 1 });
    void lab.edit(lane, { keepBias: 2 });
    await lab.edit(lane, { keepBias: 3 });
    await settle();
    const asked = (workers[0]?.asked ?? []).slice(before);
    expect(asked.flatMap((request) => (request.type === "edit" ? [request.change] : []))).toEqual([
      { keepBias: 1 },
      { keepBias: 3 },
    ]);
    expect(asked.some((request) => request.type === "inspect")).toBe(true);
  });

  test("lab_pins_timesteps", async () => {
    const { lab } = await start();
    lab.togglePin(3);
    lab.togglePin(5);
    expect(lab.shownStep).toBe(5);
    lab.togglePin(5);
    expect(lab.pins).toEqual([3]);
    lab.clearCursors();
    expect(lab.shownStep).toBeNull();
  });
});
