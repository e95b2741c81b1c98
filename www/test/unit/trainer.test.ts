import type {
  Change,
  Evaluation,
  Frame,
  Hyper,
  Inspection,
  InspectionQuery,
  Progress,
  SessionConfig,
} from "unroll-types";
import { describe as group, expect, test } from "vitest";
import type { Engine, FromWorker, PeerMessage, Request } from "../../src/worker/protocol";
import { CallFailed, toFailure } from "../../src/worker/protocol";
import { LaneClient, type WorkerLike } from "../../src/worker/client";
import { Lane } from "../../src/lab/lane.svelte";
import { Trainer, type LaneSession, type PeerPort } from "../../src/worker/trainer";

/** Milliseconds that each call of the pretended session takes. */
interface Costs {
  step: number;
  frame: number;
  snapshot?: number;
}

/**
 * A trainer on a clock that only work moves, joined to a client without a worker in between. The session counts steps
 * and stands for the package; what is tested is who is called when, and that every call is answered.
 */
class Bench {
  now = 0;
  readonly log: { at: number; message: FromWorker }[] = [];
  readonly slices: number[] = [];
  readonly framesAt: { start: number; end: number }[] = [];
  readonly looksAt: { panel: string; start: number; end: number }[] = [];
  readonly changes: Change[] = [];
  readonly snapshotsAt: number[] = [];
  readonly hypers: Hyper[] = [];
  /** Milliseconds that a panel takes. */
  readonly panels: Partial<Record<InspectionQuery["panel"], number>> = { factors: 0.2, pipe: 0.1, credit: 30 };
  divergeAt = Number.POSITIVE_INFINITY;
  fatal: Error | null = null;
  freed = 0;
  /** What the session says of its engine. */
  readonly engine: Engine = { backend: "cpu", reason: "as chosen" };
  /** The device is lost in the next call of this name, and the session falls back to a step. */
  loss: { during: "advance" | "frame" | "evaluate"; to: number } | null = null;
  readonly client: LaneClient;
  readonly trainer: Trainer;
  private readonly worker: WorkerLike;
  onBreath: (() => void) | null = null;

  constructor(private readonly costs: Costs = { step: 0.5, frame: 2 }) {
    this.trainer = new Trainer({
      catalog: () => Promise.reject(new Error("not here")),
      create: (config) => (config.batch === 0 ? Promise.reject(refusal()) : Promise.resolve(this.session())),
      cliff: () => Promise.reject(refusal()),
      sizes: () => Promise.reject(refusal()),
      now: () => this.now,
      breathe: async () => {
        this.onBreath?.();
        // A turn of the event loop, as in a worker: a lane that never stops fails a test instead of hanging it.
        await new Promise((resolve) => setImmediate(resolve));
      },
      post: (message) => {
        this.log.push({ at: this.now, message });
        this.worker.onmessage?.({ data: message } as MessageEvent<FromWorker>);
      },
      isFatal: (error) => error === this.fatal,
    });
    this.worker = {
      postMessage: (message) => {
        this.trainer.receive(message as Request);
      },
      terminate: () => undefined,
      onmessage: null,
      onerror: null,
    };
    this.client = new LaneClient(this.worker, () => undefined);
  }

  /** The step that a loss of the device leaves, or null when there is none in this call. */
  private lostTo(during: "advance" | "frame" | "evaluate"): number | null {
    if (this.loss?.during !== during) return null;
    const { to } = this.loss;
    this.loss = null;
    Object.assign(this.engine, { backend: "cpu", reason: `since step ${to.toString()}` });
    return to;
  }

  private session(): LaneSession {
    let step = 0;
    const { engine } = this;
    return {
      get backend() {
        return engine.backend;
      },
      get reason() {
        return engine.reason;
      },
      advance: (steps): Promise<Progress> => {
        if (this.fatal !== null) return Promise.reject(this.fatal);
        const losses: number[] = [];
        const train = (target: number): void => {
          while (step < target) losses.push(++step);
        };
        const target = Math.min(step + steps, this.divergeAt);
        const lostTo = this.lostTo("advance");
        if (lostTo !== null) {
          train(step + Math.ceil(steps / 2));
          step = lostTo;
        }
        train(target);
        this.now += this.costs.step * losses.length;
        this.slices.push(this.costs.step * losses.length);
        const diverged = step >= this.divergeAt ? { step, tensor: "h", message: "h is not a number" } : null;
        return Promise.resolve({
          step,
          loss: 1,
          accuracy: 0.5,
          gradientNorm: 2,
          clipCoefficient: 0.5,
          clipped: true,
          stepsPerSecond: 0,
          losses: Float32Array.from(losses),
          diverged,
          ended: false,
        });
      },
      frame: (): Promise<Frame> => {
        step = this.lostTo("frame") ?? step;
        const start = this.now;
        this.now += this.costs.frame;
        this.framesAt.push({ start, end: this.now });
        return Promise.resolve({ header: { step } as Frame["header"], data: new ArrayBuffer(4) });
      },
      inspect: ({ panel }): Promise<Inspection> => {
        const start = this.now;
        this.now += this.panels[panel] ?? 1;
        this.looksAt.push({ panel, start, end: this.now });
        return Promise.resolve({ header: { step } as Inspection["header"], data: new ArrayBuffer(4) });
      },
      stream: () => Promise.reject(new Error("no stream")),
      compareEngines: () => Promise.reject(new Error("no device")),
      edit: (change): Promise<void> => {
        this.changes.push(change);
        return Promise.resolve();
      },
      evaluate: (): Promise<Evaluation> => {
        step = this.lostTo("evaluate") ?? step;
        return Promise.resolve({
          step,
          loss: 1,
          accuracy: 0.5,
          nSequences: 64,
          baseline: { loss: 1, what: "" },
          solved: false,
          criterion: "",
        });
      },
      weights: () => Promise.resolve(Uint8Array.of(1, 2, 3)),
      setHyper: (hyper) => {
        if (Number.isNaN(hyper["lr"])) throw refusal();
        this.hypers.push(hyper);
      },
      snapshot: () => {
        this.snapshotsAt.push(step);
        this.now += this.costs.snapshot ?? 0;
        return Promise.resolve(Uint8Array.of(step & 255, step >> 8));
      },
      restore: ([low = 0, high = 0]) => {
        step = low + 256 * high;
        return Promise.resolve();
      },
      free: () => {
        this.freed += 1;
      },
    };
  }

  create(config: Partial<SessionConfig> = {}): Promise<Engine> {
    return this.client.call("create", { config: { task: { id: "t" }, model: { id: "m" }, batch: 32, ...config } });
  }

  reports(): Extract<FromWorker, { type: "progress" }>[] {
    return this.log.flatMap(({ message }) => (message.type === "progress" ? [message] : []));
  }

  /** What was told of a kind, in order. */
  told<Type extends FromWorker["type"]>(type: Type): Extract<FromWorker, { type: Type }>[] {
    return this.log.flatMap(({ message }) =>
      message.type === type ? [message as Extract<FromWorker, { type: Type }>] : [],
    );
  }

  /** Engines that were told, in order. */
  engines(): { step: number; backend: string; reason: string }[] {
    return this.log.flatMap(({ message }) => {
      if (message.type !== "engine") return [];
      const { step, backend, reason } = message;
      return [{ step, backend, reason }];
    });
  }

  /** Lets training run until the clock has passed `ms`, then pauses. */
  async runUntil(ms: number): Promise<number> {
    const paused = new Promise<number>((resolve) => {
      this.onBreath = () => {
        if (this.now < ms) return;
        this.onBreath = null;
        void this.client.call("pause", {}).then(({ step }) => {
          resolve(step);
        });
      };
    });
    await this.client.call("run", {});
    return paused;
  }
}

/** Lets what can happen happen. */
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

function refusal(): Error {
  return Object.assign(new Error("batch: expected 1 to 512, got 0"), {
    field: "batch",
    expected: "1 to 512",
    got: "0",
  });
}

group("trainer", () => {
  test("trainer_pauses_within_a_slice", async () => {
    const bench = new Bench();
    await bench.create();
    const step = await bench.runUntil(1000);
    expect(step * 0.5).toBeLessThan(1000 + 20);
    expect(Math.max(...bench.slices)).toBeLessThanOrEqual(8);
  });

  test("trainer_reports_every_loss_exactly_once_and_not_too_often", async () => {
    const bench = new Bench();
    await bench.create();
    const step = await bench.runUntil(1000);
    const reports = bench.reports();
    expect(reports.reduce((n, report) => n + report.losses.length, 0)).toBe(step);
    expect(reports.at(-1)?.step).toBe(step);
    expect(reports.length).toBeLessThanOrEqual(32);
    expect(reports.length).toBeGreaterThan(20);
  });

  test("trainer_takes_pictures_only_when_asked_and_within_their_share", async () => {
    const bench = new Bench();
    await bench.create();
    await bench.runUntil(500);
    expect(bench.framesAt).toHaveLength(0);
    let drawn = 0;
    const ask = (): void => {
      bench.client.call("frame", { options: {} }).then(
        () => {
          drawn += 1;
          ask();
        },
        // The lane is closed at the end of the test.
        () => undefined,
      );
    };
    const start = bench.now;
    const before = bench.slices.length;
    await bench.client.call("run", {});
    ask();
    await bench.runUntil(start + 2000);
    const pictures = bench.framesAt.filter(({ start: at }) => at < start + 2000);
    const spent = pictures.reduce((sum, { start: from, end }) => sum + end - from, 0);
    expect(drawn).toBeGreaterThan(50);
    expect(bench.slices.length - before).toBeGreaterThan(100);
    expect(spent / 2000).toBeLessThan(0.085);
    bench.client.close();
  });

  test("trainer_looks_at_each_open_panel_within_its_share_and_the_dear_one_rarely", async () => {
    const bench = new Bench();
    await bench.create();
    const ask = (panel: InspectionQuery["panel"]): void => {
      bench.client.call("inspect", { query: { panel } }).then(
        () => {
          ask(panel);
        },
        // The lane is closed at the end of the test.
        () => undefined,
      );
    };
    const end = bench.now + 20_000;
    await bench.client.call("run", {});
    for (const panel of ["factors", "pipe", "credit"] as const) ask(panel);
    await bench.runUntil(end);
    const spent = (panel: string): number =>
      bench.looksAt.reduce(
        (sum, look) => sum + (look.panel === panel && look.end <= end ? look.end - look.start : 0),
        0,
      );
    const looks = (panel: string): number => bench.looksAt.filter((look) => look.panel === panel).length;
    // 4 % among three, and the look at the beginning.
    for (const panel of ["factors", "pipe", "credit"]) expect(spent(panel) / 20_000, panel).toBeLessThan(0.015);
    expect(looks("credit")).toBeGreaterThan(5);
    expect(looks("credit")).toBeLessThan(12);
    // A cheap panel is bounded by what can be read: four times a second.
    expect(looks("factors")).toBeGreaterThan(60);
    expect(looks("factors")).toBeLessThanOrEqual(82);
    bench.client.close();
  });

  test("trainer_looks_at_once_when_paused_and_a_newer_look_at_the_same_panel_takes_the_older_ones_place", async () => {
    const bench = new Bench();
    await bench.create();
    const look = (query: InspectionQuery): Promise<Inspection> => bench.client.call("inspect", { query });
    const calls = await Promise.allSettled([
      look({ panel: "credit" }),
      look({ panel: "pipe" }),
      look({ panel: "credit", row: 1 }),
      bench.client.call("edit", { change: { keepBias: 3 } }),
    ]);
    expect(calls.map((call) => call.status)).toEqual(["rejected", "fulfilled", "fulfilled", "fulfilled"]);
    expect(bench.changes).toEqual([{ keepBias: 3 }]);
    // What waits when the session is replaced is answered.
    const late = Promise.allSettled([look({ panel: "credit" }), bench.create()]);
    expect((await late).map((call) => call.status)).toEqual(["rejected", "fulfilled"]);
  });

  test("trainer_draws_at_once_when_paused", async () => {
    const bench = new Bench();
    await bench.create();
    for (let at = 0; at < 5; at++) await bench.client.call("frame", { options: {} });
    expect(bench.framesAt).toHaveLength(5);
    expect(bench.slices).toHaveLength(0);
  });

  test("trainer_waits_for_slower_lanes_and_goes_on_when_they_have_come_up", async () => {
    const bench = new Bench();
    await bench.create();
    await turn();
    const told: PeerMessage[] = [];
    const port: PeerPort = { postMessage: (message) => told.push(message), onmessage: null, close: () => undefined };
    const hear = (data: PeerMessage): void => port.onmessage?.({ data } as MessageEvent<PeerMessage>);
    // The port is no real one, so it must not be asked to move.
    bench.trainer.receive({ type: "peers", id: 1000, ports: [port as unknown as MessagePort] });
    hear({ step: 10, stepsPerSecond: 1000 });
    await bench.client.call("run", {});
    await turn();
    expect(told.at(-1)).toMatchObject({ step: 50 });
    hear({ step: 20, stepsPerSecond: 1000 });
    await turn();
    expect(told.at(-1)).toMatchObject({ step: 60 });
    expect(await bench.client.call("pause", {})).toEqual({ step: 60 });
    expect(told.at(-1)).toBeNull();
    // A lane that stands still holds nobody back, and a given step is reached without the others.
    hear({ step: 20, stepsPerSecond: 1000 });
    expect(await bench.client.call("trainTo", { step: 100 })).toEqual({ step: 100 });
    hear(null);
    expect(await bench.runUntil(1000)).toBeGreaterThan(500);
  });

  test("trainer_trains_to_a_step_exactly", async () => {
    const bench = new Bench();
    await bench.create();
    expect(await bench.client.call("trainTo", { step: 123 })).toEqual({ step: 123 });
    expect(await bench.client.call("trainTo", { step: 124 })).toEqual({ step: 124 });
    expect(await bench.client.call("trainTo", { step: 5 })).toEqual({ step: 124 });
  });

  test("trainer_evaluates_at_round_steps", async () => {
    const bench = new Bench();
    await bench.create();
    await bench.client.call("trainTo", { step: 220 });
    const steps = bench.log.flatMap(({ message }) => (message.type === "evaluation" ? [message.evaluation.step] : []));
    expect(steps).toEqual([0, 50, 100, 150, 200]);
  });

  test("trainer_tells_the_engine_at_first_and_whenever_it_or_its_reason_changes", async () => {
    const bench = new Bench();
    expect(await bench.create()).toEqual({ backend: "cpu", reason: "as chosen" });
    await bench.client.call("trainTo", { step: 10 });
    expect(bench.engines()).toEqual([]);
    bench.engine.reason = "not faster";
    await bench.client.call("trainTo", { step: 20 });
    expect(bench.engines()).toMatchObject([{ backend: "cpu", reason: "not faster" }]);
    Object.assign(bench.engine, { backend: "webgpu", reason: "faster" });
    await bench.client.call("trainTo", { step: 40 });
    await bench.client.call("evaluate", {});
    expect(bench.engines().slice(1)).toMatchObject([{ backend: "webgpu", reason: "faster" }]);
  });

  test("trainer_slices_are_longer_on_webgpu_and_pause_still_acts_within_100_ms", async () => {
    const bench = new Bench({ step: 0.5, frame: 2 });
    Object.assign(bench.engine, { backend: "webgpu", reason: "as chosen" });
    await bench.create({ batch: 1 });
    const step = await bench.runUntil(1000);
    expect(Math.max(...bench.slices)).toBeLessThanOrEqual(50);
    expect(Math.max(...bench.slices)).toBeGreaterThan(40);
    expect(step * 0.5).toBeLessThan(1000 + 100);
    // After a loss that nobody waited for, the first slice on the CPU is not as long as those of the device.
    bench.loss = { during: "frame", to: step - 20 };
    await bench.client.call("frame", { options: {} });
    const before = bench.slices.length;
    await bench.runUntil(bench.now + 200);
    expect(Math.max(...bench.slices.slice(before))).toBeLessThanOrEqual(8);
  });

  test.each(["advance", "frame", "evaluate"] as const)(
    "trainer_goes_on_from_an_earlier_step_after_a_loss_in_%s",
    async (during) => {
      const bench = new Bench();
      const port: PeerPort = { postMessage: () => undefined, onmessage: null, close: () => undefined };
      Object.assign(bench.engine, { backend: "webgpu", reason: "as chosen" });
      await bench.create();
      bench.trainer.receive({ type: "peers", id: 1000, ports: [port as unknown as MessagePort] });
      await bench.client.call("trainTo", { step: 130 });
      bench.loss = { during, to: 95 };
      const [, , { step }] = await Promise.all([
        bench.client.call("evaluate", {}),
        bench.client.call("frame", { options: {} }),
        bench.client.call("trainTo", { step: 220 }),
      ]);
      expect(step).toBe(220);
      expect(bench.engines()).toMatchObject([{ backend: "cpu", reason: "since step 95" }]);
      const lane = new Lane(0, 0);
      for (const { message } of bench.log) {
        if (message.type === "progress") {
          lane.takeProgress(message);
          // Each loss of this session is the number of its step.
          const [first = 0] = message.losses;
          if (during !== "advance")
            expect([...message.losses]).toEqual(Array.from(message.losses, (_, at) => first + at));
          expect(message.losses.at(-1)).toBe(message.step);
          expect(message.stepsPerSecond).toBeGreaterThanOrEqual(0);
        }
        if (message.type === "engine") lane.takeEngine(message);
        if (message.type === "evaluation") lane.takeEvaluation(message.evaluation);
      }
      lane.showLosses();
      expect(lane.step).toBe(220);
      expect(lane.engine).toEqual({ backend: "cpu", reason: "since step 95" });
      expect([...lane.lossCurve.steps]).toEqual(Array.from({ length: 220 }, (_, at) => at + 1));
      expect([...lane.lossCurve.values].slice(-85)).toEqual(Array.from({ length: 85 }, (_, at) => at + 136));
      const evaluated = [...lane.accuracyCurve.steps];
      expect(evaluated).toEqual([...new Set(evaluated)].toSorted((one, other) => one - other));
      expect(evaluated).toEqual(expect.arrayContaining([0, 50, 100, 150, 200]));
    },
  );

  test("trainer_stands_still_when_a_number_is_not_finite", async () => {
    const bench = new Bench();
    bench.divergeAt = 40;
    await bench.create();
    await bench.client.call("run", {});
    await turn();
    expect(bench.log.filter(({ message }) => message.type === "diverged")).toHaveLength(1);
    expect(await bench.client.call("pause", {})).toEqual({ step: 40 });
  });

  test("trainer_takes_snapshots_within_their_share_however_dear_they_are", async () => {
    const bench = new Bench({ step: 0.5, frame: 2, snapshot: 4 });
    await bench.create();
    await bench.runUntil(8000);
    const cost = 4 * bench.snapshotsAt.length;
    expect(cost).toBeGreaterThan(0.01 * bench.now);
    expect(cost).toBeLessThan(0.022 * bench.now);
    expect(bench.snapshotsAt.every((step) => step % 50 === 0)).toBe(true);
    expect(bench.told("snapshots").at(-1)?.steps).toEqual([...new Set(bench.snapshotsAt)]);
  });

  test("trainer_looks_back_returns_exactly_and_forgets_only_when_training_goes_on", async () => {
    const bench = new Bench();
    await bench.create();
    await bench.client.call("trainTo", { step: 1010 });
    const { steps = [] } = bench.told("snapshots").at(-1) ?? {};
    const hyper = { lr: 0.5 };
    expect(await bench.client.call("look", { step: 530, hyper })).toEqual({ step: 550 });
    expect((await bench.client.call("frame", { options: {} })).header.step).toBe(550);
    expect(await bench.client.call("look", { step: 0, hyper: null })).toEqual({ step: 0 });
    expect(await bench.client.call("look", { step: 1e9, hyper })).toEqual({ step: 1010 });
    expect(await bench.client.call("look", { step: 120, hyper })).toEqual({ step: 100 });
    expect(await bench.client.call("look", { step: null, hyper })).toEqual({ step: 1010 });
    expect(bench.hypers).toEqual([hyper, hyper, hyper, hyper]);
    expect(await bench.client.call("look", { step: null, hyper })).toEqual({ step: 1010 });
    await bench.client.call("look", { step: 530, hyper });
    await bench.client.call("trainTo", { step: 555 });
    expect(bench.told("snapshots").at(-1)?.steps).toEqual(steps.filter((step) => step <= 550));
    expect(await bench.client.call("look", { step: null, hyper })).toEqual({ step: 555 });
    // Losses of the second time belong to the steps after the snapshot.
    const report = bench.reports().at(-1);
    expect([report?.step, ...(report?.losses ?? [])]).toEqual([555, 551, 552, 553, 554, 555]);
    // What is kept is the newest state at once, before training goes on.
    await bench.client.call("look", { step: 120, hyper });
    expect(await bench.client.call("keep", {})).toEqual({ step: 100 });
    expect(bench.told("snapshots").at(-1)?.steps).toEqual([0, 50, 100]);
    expect(await bench.client.call("look", { step: null, hyper })).toEqual({ step: 100 });
  });

  test("trainer_adopts_the_state_of_another_lane_and_evaluates_at_round_steps_from_there", async () => {
    const parent = new Bench();
    await parent.create();
    await parent.client.call("trainTo", { step: 777 });
    const snapshot = await parent.client.call("snapshot", {});
    expect(snapshot.step).toBe(777);
    const bench = new Bench();
    await bench.create();
    await bench.client.call("adopt", { snapshot, hyper: { lr: 1 } });
    expect(bench.told("snapshots").at(-1)?.steps).toEqual([0, 777]);
    expect(bench.hypers).toEqual([{ lr: 1 }]);
    await bench.client.call("trainTo", { step: 1000 });
    expect(bench.reports().flatMap((report) => [...report.losses])[0]).toBe(778);
    expect(bench.told("evaluation")[1]?.evaluation.step).toBe(800);
  });

  test("trainer_keeps_its_session_when_a_new_one_is_refused", async () => {
    const bench = new Bench();
    await bench.create();
    await bench.client.call("trainTo", { step: 10 });
    await expect(bench.create({ batch: 0 })).rejects.toMatchObject({
      failure: { kind: "refused", field: "batch", expected: "1 to 512", got: "0" },
    });
    expect(await bench.client.call("trainTo", { step: 11 })).toEqual({ step: 11 });
    expect(bench.freed).toBe(0);
    await bench.create();
    expect(bench.freed).toBe(1);
  });

  test("trainer_answers_what_it_cannot_do", async () => {
    const bench = new Bench();
    await expect(bench.client.call("run", {})).rejects.toBeInstanceOf(CallFailed);
    await expect(bench.client.call("frame", { options: {} })).rejects.toBeInstanceOf(CallFailed);
    await expect(bench.client.call("evaluate", {})).rejects.toBeInstanceOf(CallFailed);
    await bench.create();
    await expect(bench.client.call("hyper", { hyper: { lr: Number.NaN } })).rejects.toMatchObject({
      failure: { kind: "refused", field: "batch" },
    });
  });

  test("trainer_answers_calls_that_others_replace", async () => {
    const bench = new Bench();
    await bench.create();
    const calls = await Promise.allSettled([
      bench.client.call("trainTo", { step: 1_000_000 }),
      bench.client.call("frame", { options: {} }),
      bench.client.call("frame", { options: {} }),
      bench.create(),
    ]);
    // The long training ends where it stands; the first picture gives way to the second, that one to the new session.
    expect(calls.map((call) => call.status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
  });

  test("trainer_answers_everything_after_a_crash", async () => {
    const bench = new Bench();
    await bench.create();
    bench.fatal = new Error("unreachable");
    const calls = await Promise.allSettled([
      bench.client.call("trainTo", { step: 10 }),
      bench.client.call("frame", { options: {} }),
      bench.client.call("inspect", { query: { panel: "pipe" } }),
    ]);
    expect(calls.map((call) => call.status)).toEqual(["rejected", "rejected", "rejected"]);
    await expect(bench.client.call("pause", {})).rejects.toMatchObject({ failure: { kind: "cancelled" } });
  });
});

group("protocol", () => {
  test("client_cancels_what_waits_when_it_is_closed", async () => {
    const silent: WorkerLike = {
      postMessage: () => undefined,
      terminate: () => undefined,
      onmessage: null,
      onerror: null,
    };
    const client = new LaneClient(silent, () => undefined);
    const call = client.call("catalog", {});
    client.close();
    await expect(call).rejects.toMatchObject({ failure: { kind: "cancelled" } });
    await expect(client.call("catalog", {})).rejects.toMatchObject({ failure: { kind: "cancelled" } });
  });

  test("client_reports_a_worker_that_cannot_start", async () => {
    const worker: WorkerLike = {
      postMessage: () => undefined,
      terminate: () => undefined,
      onmessage: null,
      onerror: null,
    };
    const reports: string[] = [];
    const client = new LaneClient(worker, (report) => reports.push(report.type));
    const call = client.call("catalog", {});
    worker.onerror?.({ message: "no wasm" } as ErrorEvent);
    await expect(call).rejects.toMatchObject({ failure: { kind: "crashed", message: "no wasm" } });
    expect(reports).toEqual(["crashed"]);
  });

  test("trainer_gives_the_weights_and_refuses_without_a_session", async () => {
    const bench = new Bench();
    await expect(bench.client.call("weights", {})).rejects.toThrow("there is no session yet");
    await bench.create();
    expect([...(await bench.client.call("weights", {}))]).toEqual([1, 2, 3]);
  });

  test("failure_carries_the_fields_of_an_error_of_the_package", () => {
    expect(toFailure(refusal())).toEqual({
      kind: "refused",
      message: "batch: expected 1 to 512, got 0",
      field: "batch",
      expected: "1 to 512",
      got: "0",
    });
    expect(toFailure("text", "crashed")).toEqual({ kind: "crashed", message: "text" });
  });
});
