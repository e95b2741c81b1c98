// The state of the page: settings, lanes, running or not, cursors, notes. Components show it and call its methods.
//
// It owns the workers' clients and keeps lanes in step. It must not know elements or canvases; what it needs of the
// browser is passed in.

import type {
  Catalog,
  Change,
  Cliff,
  CliffQuery,
  FrameOptions,
  Hyper,
  InspectionQuery,
  SessionConfig,
} from "unroll-types";
import {
  addLane,
  changed as changedValue,
  describe,
  differences,
  fromConfig,
  fromHash,
  hyperOf,
  isMatched,
  letterOf,
  listed,
  MAX_LANES,
  PANELS,
  lessonValues,
  NO_LESSON,
  parse,
  removeLane,
  restartValues,
  sessionConfig,
  toHash,
  type PanelId,
  type PartId,
  type Setting,
  type Value,
  type Values,
  CREDIT_OF,
} from "../settings";
import { LaneClient } from "../worker/client";
import { CallFailed, type Report } from "../worker/protocol";
import type { Size } from "../worker/sizes";
import { viewInspection } from "../draw/inspection.js";
import { diagnose, type Remedy } from "./diagnosis";
import { Course } from "./course.svelte";
import { Lane } from "./lane.svelte";
import { sizesAsked, withSizes } from "./race";
import { SlowMotion } from "./slow.svelte";
import { canReadItself, Stream, type StreamSource } from "./stream.svelte";
import { Sweep, type SweepHost } from "./sweep.svelte";

/** What the lab needs of the browser. */
export interface Host extends SweepHost {
  /** Calls back before the next picture of the screen. */
  nextFrame(callback: () => void): void;
  writeHash(hash: string): void;
}

export interface Note {
  id: number;
  kind: "note" | "problem" | "goal";
  text: string;
}

/** Workers lost in a row before a lane gives up. */
const MAX_CRASHES = 2;
/** Lanes further apart than this much training are catching up, and a pause does not wait for them. */
const CATCH_UP_SECONDS = 0.25;
/** Nor is it worth counting time below this. */
const CATCH_UP_STEPS = 20;
/** Settings at step 0 are taken this long after the last change, so that a slider does not build a network per pixel. */
const SETTLE_MS = 150;
/** Passes are timed at least this far apart. */
const PACE_MS = 3000;
/** Charts are drawn at least this far apart. */
const CHART_MS = 120;

/** A setting that no network hangs on. */
const isOnlyShown = ({ name, effect }: Setting): boolean => effect === "view" && name !== "lanes";

export class Lab {
  catalog = $state.raw<Catalog | null>(null);
  /** Why there is no catalogue, or null. */
  failure = $state<string | null>(null);
  values = $state.raw<Values>({});
  lanes = $state.raw<readonly Lane[]>([]);
  /** How large the networks of the settings are, by lane. */
  private sizes = $state.raw<readonly Size[]>([]);
  isRunning = $state(false);
  notes = $state.raw<readonly Note[]>([]);
  /** Timestep under the pointer, and pinned ones, from 0. */
  hover = $state<number | null>(null);
  pins = $state.raw<readonly number[]>([]);
  /** Set while one update is shown stage by stage; training stands meanwhile. */
  slow = $state.raw<SlowMotion | null>(null);
  /** Training step under the pointer on the charts. */
  hoverStep = $state<number | null>(null);

  readonly table = $derived.by(() => {
    const settings: readonly Setting[] = this.catalog === null ? [] : describe(this.catalog, this.values).settings;
    return settings;
  });
  /** Titles of changed settings that wait for a restart, by lane key. */
  readonly pending = $derived.by(() => {
    const found = new Map<number, string[]>();
    for (const lane of this.lanes) {
      if (this.catalog === null || lane.applied === null) continue;
      const titles = differences(lane.applied, restartValues(this.catalog, this.values, lane.index));
      if (titles.length > 0) found.set(lane.key, titles);
    }
    return found;
  });
  /** The open panels, in the order of the page. */
  readonly panels: readonly PanelId[] = $derived.by(() => {
    const open = listed(this.value("panels"));
    return PANELS.map((panel) => panel.id).filter((id) => open.includes(id));
  });
  /** Parts of the page that the address hides. */
  private readonly hidden: readonly string[] = $derived(listed(this.value("hide")));
  readonly isEmbedded = $derived(this.value("embed") === true);
  readonly step = $derived(Math.max(0, ...this.lanes.map((lane) => lane.step)));
  /** The end of every axis of training steps; it moves in jumps, so that nothing creeps. */
  readonly axisEnd = $derived.by(() => {
    const decade = 10 ** Math.floor(Math.log10(Math.max(this.step, 100)));
    return decade * ([1, 1.5, 2, 3, 4, 5, 7, 10].find((n) => n * decade >= this.step) ?? 10);
  });
  readonly stepsPerSecond = $derived.by(() => {
    const speeds = this.lanes.filter((lane) => lane.status === "ready").map((lane) => lane.stepsPerSecond);
    return this.isRunning && speeds.length > 0 ? Math.min(...speeds) : 0;
  });
  readonly isReady = $derived(this.lanes.length > 0 && this.lanes.every((lane) => lane.status !== "loading"));

  readonly isLookingBack = $derived(this.lanes.some((lane) => lane.lookedAt !== null));
  /** The training step that pictures show. */
  readonly shownTrainingStep = $derived(Math.max(0, ...this.lanes.map((lane) => lane.shownStep)));
  /**
   * Training steps of the snapshots, ascending, without those that a lane has left out on its way: there the others would stand without it. They
   * change far less often than the step.
   */
  readonly snapshotSteps = $derived(
    [...new Set(this.lanes.flatMap((lane) => lane.snapshots))]
      .filter((step) =>
        this.lanes.every(({ snapshots }) => snapshots.includes(step) || step > (snapshots.at(-1) ?? -1)),
      )
      .sort((one, other) => one - other),
  );
  /** Training steps where the handle can stand, ascending: the snapshots and the newest state. */
  readonly stops = $derived(
    [...new Set([...this.snapshotSteps, this.step])]
      .filter((step) => step <= this.step)
      .sort((one, other) => one - other),
  );

  private wantedStep: number | null = null;
  private looking: Promise<void> | null = null;
  /** The lesson that is open, if any. */
  readonly course = new Course(this);

  /** What the sizes are of; empty when they could not be had. */
  private sized = "";
  /** Settles when the sizes are those of the settings. */
  private sizing: Promise<void> = Promise.resolve();
  private nextKey = 0;
  private nextNote = 0;
  private hasPassedGoal = false;
  private isHiddenPause = false;
  private isShowingLosses = false;
  private callOffApply: (() => void) | null = null;

  /** The horizon sweep, which trains apart from the lanes. */
  readonly sweep: Sweep;
  /** What the lanes read one timestep after the other, beside training. */
  readonly stream: Stream = new Stream(this);

  constructor(readonly host: Host) {
    this.sweep = new Sweep(host, () => this.isRunning);
  }

  /** Where the signal of the stream comes from: own answers only where they can be read. */
  readonly streamSource = $derived.by((): StreamSource => {
    const source = String(this.value("stream-of")) as StreamSource;
    if (source !== "own") return source;
    const lane = this.lanes[0];
    const task = this.catalog?.tasks.find(({ id }) => id === lane?.applied?.get("task")?.value);
    const frame = lane?.frame ?? null;
    return frame !== null && canReadItself(frame, task?.ahead === true) ? source : "task";
  });

  /** The seed of all lanes. */
  get seed(): number {
    return Number(this.value("seed"));
  }

  // —— Start ——

  async start(hash: string): Promise<void> {
    const first = this.newLane(0);
    try {
      this.catalog = await this.clientOf(first).call("catalog", {});
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
      first.client?.close();
      return;
    }
    const { values, notes } = fromHash(this.catalog, hash);
    this.values = values;
    for (const text of notes) this.note("note", text);
    const lanes = [first];
    while (lanes.length < Number(values["lanes"])) lanes.push(this.newLane(lanes.length));
    this.lanes = lanes;
    this.connectPeers();
    this.measure();
    await Promise.all(lanes.map((lane) => this.restartLane(lane)));
  }

  /** The address was edited: its settings, from the beginning. */
  async readHash(hash: string): Promise<void> {
    if (this.catalog === null || toHash(this.catalog, this.values) === hash) return;
    const { values, notes } = fromHash(this.catalog, hash);
    for (const text of notes) this.note("note", text);
    if (values["lesson"] !== this.value("lesson")) this.course.begin();
    this.take(values);
    this.matchLanes();
    await this.reset();
  }

  // —— Settings ——

  value(name: string): Value {
    return this.values[name] ?? null;
  }

  setting(name: string): Setting | undefined {
    return this.table.find((setting) => setting.name === name);
  }

  set(name: string, value: Value): void {
    if (this.catalog === null || this.values[name] === value) return;
    const setting = this.setting(name);
    if (setting === undefined || setting.isDerived === true) return;
    const next = changedValue(this.values, name, value);
    if (isOnlyShown(setting)) this.take(next);
    else this.change(next);
    switch (setting.effect) {
      case "live": {
        const lane = setting.lane === null ? undefined : this.lanes[setting.lane];
        if (lane === undefined) this.sendHyper();
        else void this.sendWindow(lane);
        return;
      }
      case "view":
        if (name === "in-step") this.connectPeers();
        if (name === "lanes") this.matchLanes();
        this.refresh();
        return;
      case "restart":
        if (this.step === 0 && !this.isRunning) this.applySoon();
        return;
      default:
        setting.effect satisfies never;
    }
  }

  hides(part: PartId): boolean {
    return this.hidden.includes(part);
  }

  // —— Lessons ——

  /** Begins a lesson: its settings, from step 0. */
  async openLesson(id: string): Promise<void> {
    const kept = { theme: this.value("theme"), hide: this.value("hide"), embed: this.value("embed") };
    this.take({ ...kept, ...lessonValues(id) });
    this.course.begin();
    this.matchLanes();
    await this.reset();
  }

  /** Goes on with the settings of the lesson, without it. */
  closeLesson(): void {
    this.take({ ...this.values, lesson: NO_LESSON.id });
    this.course.begin();
    this.refresh();
  }

  /** What a sentence of a lesson does: settings as the address has them; the lanes that need it begin anew. */
  async operate(settings: readonly (readonly [string, string])[]): Promise<void> {
    if (this.catalog === null) return;
    let values: Values = this.values;
    for (const [name, text] of settings) {
      const setting = describe(this.catalog, values).settings.find((one) => one.name === name);
      const value = setting === undefined ? undefined : parse(setting.kind, text);
      if (value === undefined) throw new Error(`the lesson sets ${name} to ${text}, which the page does not take`);
      values = changedValue(values, name, value);
    }
    const before = this.values;
    const changed = describe(this.catalog, values).settings.filter(({ name }) => values[name] !== before[name]);
    if (changed.every(isOnlyShown)) this.take(values);
    else this.change(values);
    this.matchLanes();
    if (this.pending.size > 0) {
      await this.reset();
      return;
    }
    const live = changed.filter(({ effect }) => effect === "live");
    if (live.some(({ lane }) => lane === null)) this.sendHyper();
    for (const { lane } of live) {
      const of = lane === null ? undefined : this.lanes[lane];
      if (of !== undefined) void this.sendWindow(of);
    }
    this.refresh();
  }

  private take(values: Values): void {
    if (this.catalog === null) return;
    this.values = describe(this.catalog, values).values;
    this.host.writeHash(toHash(this.catalog, this.values));
    this.measure();
  }

  // —— Sizes ——

  /** How many parameters the network of a lane's settings has; null until that is known, and while a lesson asks for it. */
  parameters(lane: Lane): number | null {
    const size = this.sizes[lane.index];
    const isKnown = size?.hidden === this.value(`${letterOf(lane.index)}.hidden`) && !this.course.asksForParameters;
    return isKnown ? size.parameters : null;
  }

  /** The number of parameters that a lane follows, which is lane A's; null where its units are its own. */
  target(lane: Lane): number | null {
    const [first] = this.lanes;
    return isMatched(this.values) && lane.index > 0 && first !== undefined ? this.parameters(first) : null;
  }

  /** Sizes are asked for one after the other; of several changes that wait, the last one counts. */
  private measure(): void {
    this.sizing = this.sizing.then(() => this.takeSizes());
  }

  private async takeSizes(): Promise<void> {
    if (this.catalog === null) return;
    const { asked, key } = sizesAsked(this.catalog, this.values);
    if (key === this.sized) return;
    let sizes: readonly Size[] = [];
    // A lane that goes or crashes leaves the question to another, or to the worker that takes its place.
    for (let tries = 0; tries < MAX_LANES && sizes.length === 0; tries++) {
      const client = this.lanes.find(({ status }) => status !== "failed")?.client;
      sizes = (await client?.call("sizes", asked).catch(() => null)) ?? [];
    }
    if (sizesAsked(this.catalog, this.values).key !== key) return;
    this.sized = sizes.length > 0 ? key : "";
    this.sizes = sizes;
    this.values = describe(this.catalog, withSizes(this.values, sizes)).values;
  }

  /** The same for what the networks are or how they train: a lesson's receipt belongs to the settings that it came with. */
  private change(values: Values): void {
    this.take({ ...values, reached: null });
  }

  private sendHyper(): void {
    if (this.catalog === null) return;
    this.leaveSlow();
    if (this.step > 0) this.course.touch();
    for (const lane of this.lanes) {
      const hyper = this.hyperFor(lane);
      if (lane.status !== "ready" || hyper === null) continue;
      this.clientOf(lane)
        .call("hyper", { hyper })
        .catch((error: unknown) => {
          this.complain(lane, error);
        });
    }
  }

  /** The one live setting of a lane: where backpropagation is cut. Of several that wait, the last one counts. */
  private async sendWindow(lane: Lane): Promise<void> {
    this.leaveSlow();
    if (this.step > 0) this.course.touch();
    if (lane.isCutting || lane.status === "failed") return;
    lane.isCutting = true;
    const wanted = (): number | null => {
      const value = this.value(`${letterOf(lane.index)}.window`);
      return typeof value === "number" ? value : null;
    };
    try {
      for (let sent: number | null | undefined; sent !== wanted();) {
        sent = wanted();
        await this.clientOf(lane).call("edit", { change: { window: sent } });
        this.show(lane);
      }
    } catch (error) {
      this.complain(lane, error);
    }
    lane.isCutting = false;
  }

  /** The live settings for a lane. One whose optimiser is about to change would not know the new one's options; it gets them when it restarts. */
  private hyperFor(lane: Lane): Hyper | null {
    if (this.catalog === null || lane.applied?.get("optimiser")?.value !== this.values["optimiser"]) return null;
    return hyperOf(this.catalog, this.values);
  }

  private applySoon(): void {
    this.callOffApply?.();
    this.callOffApply = this.host.later(() => {
      this.callOffApply = null;
      void this.apply();
    }, SETTLE_MS);
  }

  /** Lanes whose settings have changed begin anew; in step, the others wait until they have caught up. */
  async apply(): Promise<void> {
    await this.returnToNewest();
    if (isMatched(this.values)) await this.sizing;
    const changed = this.lanes.filter((lane) => this.pending.has(lane.key));
    await Promise.all(changed.map((lane) => this.restartLane(lane)));
    if (changed.length === this.lanes.length) this.course.forget();
  }

  /** Puts a configuration that is known to solve the task into a lane. */
  useRecipe(config: SessionConfig, lane: number): void {
    this.change(fromConfig(this.values, config, lane));
    this.sendHyper();
    if (this.lanes[lane] !== undefined) void this.sendWindow(this.lanes[lane]);
    if (this.step === 0 && !this.isRunning) this.applySoon();
  }

  /** Puts a configuration into a lane and begins anew with it, as do the other lanes where it changes what all share. */
  async open(config: SessionConfig, lane: number): Promise<void> {
    this.useRecipe(config, lane);
    this.callOffApply?.();
    this.callOffApply = null;
    await this.apply();
  }

  /** Takes changed settings back to what the lanes run. */
  discard(): void {
    const values: Record<string, Value> = { ...this.values };
    for (const lane of this.lanes) {
      for (const [name, { value }] of lane.applied ?? []) {
        values[name.startsWith(".") ? letterOf(lane.index) + name : name] = value;
      }
    }
    this.take(values);
  }

  // —— Lanes ——

  add(copyOf: Lane | null): void {
    this.change(addLane(this.values, copyOf?.index ?? null));
    this.matchLanes();
  }

  remove(lane: Lane): void {
    if (this.lanes.length <= 1) return;
    this.change(removeLane(this.values, lane.index));
    lane.client?.close();
    this.lanes = this.lanes.filter((other) => other !== lane);
    this.lanes.forEach((other, index) => {
      other.index = index;
    });
    this.connectPeers();
  }

  /** As many lanes as the settings say. */
  private matchLanes(): void {
    const wanted = Number(this.values["lanes"]);
    for (const lane of this.lanes.slice(wanted)) lane.client?.close();
    const lanes = this.lanes.slice(0, wanted);
    const added: Lane[] = [];
    while (lanes.length < wanted) {
      const lane = this.newLane(lanes.length);
      lanes.push(lane);
      added.push(lane);
    }
    this.lanes = lanes;
    this.connectPeers();
    for (const lane of added) void this.restartLane(lane);
  }

  private newLane(index: number): Lane {
    const lane = new Lane(this.nextKey++, index);
    this.connect(lane);
    return lane;
  }

  private connect(lane: Lane): void {
    lane.client = new LaneClient(this.host.makeWorker(), (report) => {
      this.hear(lane, report);
    });
    lane.isPulling = false;
    lane.looking.clear();
  }

  private clientOf(lane: Lane): LaneClient {
    if (lane.client === null) throw new Error(`lane ${letterOf(lane.index)} has no worker`);
    return lane.client;
  }

  private isHere(lane: Lane): boolean {
    return this.lanes.includes(lane);
  }

  /** A new session with the present settings. It runs if the page runs. */
  private async restartLane(lane: Lane): Promise<void> {
    if (this.catalog === null) return;
    this.leaveSlow();
    const generation = ++lane.generation;
    if (isMatched(this.values)) {
      await this.sizing;
      if (lane.generation !== generation) return;
    }
    const config = sessionConfig(this.catalog, this.values, lane.index);
    const applied = restartValues(this.catalog, this.values, lane.index);
    try {
      const engine = await this.clientOf(lane).call("create", { config });
      if (lane.generation !== generation) return;
      const isNews =
        engine.reason !== lane.engine?.reason || lane.applied?.get(".engine")?.value !== applied.get(".engine")?.value;
      lane.clear();
      lane.engine = engine;
      lane.applied = applied;
      lane.status = "ready";
      if (isNews && config.backend === "webgpu" && engine.backend === "cpu") this.noteWithoutGpu(engine.reason);
    } catch (error) {
      if (lane.generation !== generation) return;
      if (lane.applied === null) lane.status = "failed";
      this.complain(lane, error);
      return;
    }
    this.show(lane);
    if (this.isRunning) this.runLane(lane);
  }

  // —— Run, pause, step, reset ——

  toggle(): void {
    if (this.isRunning) void this.pause();
    else this.run();
  }

  run(): void {
    if (this.isRunning || !this.isReady || this.course.isLocked) return;
    this.leaveSlow();
    if (this.isLookingBack || this.looking !== null) {
      void this.returnToNewest().then(() => {
        if (!this.isLookingBack) this.run();
      });
      return;
    }
    if (this.lanes.every((lane) => lane.status !== "ready")) {
      this.note("note", "No lane can go on: reset, or change a lane.");
      return;
    }
    if (this.pending.size > 0 && this.step === 0) {
      this.callOffApply?.();
      this.callOffApply = null;
      void this.apply();
    }
    this.dismiss("goal");
    this.isRunning = true;
    for (const lane of this.lanes) this.runLane(lane);
  }

  private runLane(lane: Lane): void {
    if (lane.status !== "ready") return;
    this.clientOf(lane)
      .call("run", {})
      .catch((error: unknown) => {
        this.complain(lane, error);
      });
    this.show(lane);
  }

  async pause(): Promise<void> {
    if (!this.isRunning) return;
    this.isRunning = false;
    const lanes = this.lanes.filter((lane) => lane.status === "ready");
    await Promise.allSettled(lanes.map((lane) => this.clientOf(lane).call("pause", {})));
    // Lanes in step end at the same step: the slower one makes up the few steps it is behind.
    if (this.value("in-step") === true && !this.isRunning) {
      const target = Math.max(...lanes.map((lane) => lane.step));
      const reach = Math.max(CATCH_UP_STEPS, ...lanes.map((lane) => CATCH_UP_SECONDS * lane.stepsPerSecond));
      const close = lanes.filter((lane) => lane.step < target && target - lane.step <= reach);
      await Promise.allSettled(close.map((lane) => this.clientOf(lane).call("trainTo", { step: target })));
    }
    this.refresh();
  }

  /** Pauses while the tab is hidden, and goes on when it is seen again. */
  hide(isHidden: boolean): void {
    if (isHidden && this.isRunning) {
      this.isHiddenPause = true;
      void this.pause();
    } else if (!isHidden && this.isHiddenPause) {
      this.isHiddenPause = false;
      this.run();
    }
  }

  /** One training step in every lane; lanes in step meet at the same one. */
  async single(): Promise<void> {
    if (!this.isReady || this.course.isLocked) return;
    this.leaveSlow();
    await this.pause();
    await this.returnToNewest();
    const lanes = this.lanes.filter((lane) => lane.status === "ready");
    const together = Math.max(...lanes.map((lane) => lane.step)) + 1;
    const inStep = this.value("in-step") === true;
    await Promise.allSettled(
      lanes.map((lane) => this.clientOf(lane).call("trainTo", { step: inStep ? together : lane.step + 1 })),
    );
    this.refresh();
  }

  /** One training step in every lane that can, wherever it stands. */
  async stepEach(): Promise<void> {
    const lanes = this.lanes.filter((lane) => lane.status === "ready");
    await Promise.allSettled(lanes.map((lane) => this.clientOf(lane).call("trainTo", { step: lane.step + 1 })));
    this.refresh();
  }

  /** Shows the next update stage by stage. */
  async enterSlow(): Promise<void> {
    if (!this.isReady || this.slow !== null || this.course.isLocked) return;
    await this.pause();
    await this.returnToNewest();
    // Whatever was asked for meanwhile comes first.
    if (this.slow !== null || this.isRunning || this.course.isLocked) return;
    this.slow = new SlowMotion(this);
    await this.slow.begin();
  }

  leaveSlow(): void {
    if (this.slow === null) return;
    this.slow.end();
    this.slow = null;
    this.refresh();
  }

  /** Every lane from step 0, with the settings as they stand; paused. */
  async reset(): Promise<void> {
    this.isRunning = false;
    this.hasPassedGoal = false;
    this.isHiddenPause = false;
    this.course.forget();
    this.dismiss("goal");
    await this.returnToNewest();
    await Promise.all(this.lanes.map((lane) => this.restartLane(lane)));
  }

  /**
   * Lanes in step tell each other directly how far they are, so that training never waits for this thread. Called
   * whenever a worker has come or gone.
   */
  private connectPeers(): void {
    const ports = new Map<Lane, MessagePort[]>(this.lanes.map((lane) => [lane, []]));
    if (this.value("in-step") === true) {
      this.lanes.forEach((lane, at) => {
        for (const other of this.lanes.slice(at + 1)) {
          const { port1, port2 } = new MessageChannel();
          ports.get(lane)?.push(port1);
          ports.get(other)?.push(port2);
        }
      });
    }
    for (const [lane, own] of ports) {
      if (lane.status === "failed") continue;
      this.clientOf(lane)
        .call("peers", { ports: own }, own)
        .catch((error: unknown) => {
          this.complain(lane, error);
        });
    }
  }

  // —— Looking back ——

  /**
   * Training stands still, and every lane shows its snapshot nearest to a step; null is the newest state again. Nothing is lost by it. Of several
   * steps that wait, the last one counts.
   */
  async lookBack(step: number | null): Promise<void> {
    if (step === null && !this.isLookingBack && this.looking === null) return;
    if (step !== null) this.leaveSlow();
    this.wantedStep = step;
    if (this.looking !== null) return this.looking;
    this.looking = this.followLook();
    await this.looking;
  }

  private async followLook(): Promise<void> {
    await this.pause();
    let target: number | null;
    do {
      target = this.wantedStep;
      const to = target;
      await Promise.all(this.lanes.map((lane) => this.lookAt(lane, to)));
    } while (target !== this.wantedStep);
    this.looking = null;
  }

  private async lookAt(lane: Lane, target: number | null): Promise<void> {
    if (lane.status !== "ready" && lane.status !== "diverged") return;
    try {
      const { step } = await this.clientOf(lane).call("look", { step: target, hyper: this.hyperFor(lane) });
      lane.lookedAt = target === null ? null : step;
      this.show(lane);
    } catch (error) {
      this.complain(lane, error);
    }
  }

  async returnToNewest(): Promise<void> {
    await this.lookBack(null);
  }

  /** Training goes on from the states that are looked at; what came later is forgotten. */
  async continueFromHere(): Promise<void> {
    await this.looking;
    await Promise.all(this.lanes.map((lane) => this.keep(lane)));
    this.hasPassedGoal = this.lanes.every((lane) => lane.solvedAt !== null);
    this.run();
  }

  /** The state that a lane looks at is its newest one from now on, for the worker too: no way leads back to what came later. */
  private async keep(lane: Lane): Promise<boolean> {
    if (lane.lookedAt === null) return false;
    try {
      const { step } = await this.clientOf(lane).call("keep", {});
      lane.rewind(step);
      return true;
    } catch (error) {
      this.complain(lane, error);
      return false;
    }
  }

  /** A lane more, with the settings of another and the state of it that is looked at. All others return to their newest state. */
  async fork(parent: Lane): Promise<void> {
    await this.looking;
    if (this.lanes.length >= MAX_LANES || this.pending.has(parent.key)) return;
    try {
      const snapshot = await this.clientOf(parent).call("snapshot", {});
      this.change(addLane(this.values, parent.index));
      const lane = this.newLane(this.lanes.length);
      this.lanes = [...this.lanes, lane];
      this.connectPeers();
      await this.restartLane(lane);
      if (lane.status !== "ready") return;
      await this.clientOf(lane).call("adopt", { snapshot, hyper: this.hyperFor(lane) });
      lane.inherit(parent, snapshot.step);
      this.show(lane);
    } catch (error) {
      this.complain(parent, error);
    }
    await this.returnToNewest();
  }

  // —— What is wrong, and what can be done ——

  private judge(lane: Lane): void {
    if (this.catalog === null || this.isLookingBack || this.slow !== null) return;
    lane.takeFinding(diagnose(lane.symptoms(), this.catalog, this.values, lane.index, lane.named), !this.isRunning);
  }

  /** Does what a remedy says: goes back to a snapshot of this lane, takes its settings, and restarts the lane if they ask for it. */
  async remedy(lane: Lane, { values, rewind, restarts }: Remedy): Promise<void> {
    await this.returnToNewest();
    this.change({ ...this.values, ...values });
    if (restarts) {
      await this.restartLane(lane);
      return;
    }
    if (rewind !== null) {
      await this.lookAt(lane, rewind);
      if (!(await this.keep(lane))) return;
      this.dismiss("problem");
      if (this.isRunning) this.runLane(lane);
    }
    this.sendHyper();
  }

  // —— What workers tell ——

  private hear(lane: Lane, report: Report): void {
    switch (report.type) {
      case "progress":
        lane.takeProgress(report);
        this.showLossesSoon();
        return;
      case "evaluation":
        lane.takeEvaluation(report.evaluation);
        this.course.check(lane);
        this.checkGoal();
        return;
      case "diverged":
        lane.status = "diverged";
        lane.message = report.diverged.message;
        this.note("problem", `Lane ${letterOf(lane.index).toUpperCase()} stopped: ${report.diverged.message}`);
        this.judge(lane);
        this.show(lane);
        if (this.lanes.every((other) => other.status !== "ready")) this.isRunning = false;
        return;
      case "snapshots":
        lane.snapshots = report.steps;
        return;
      case "engine": {
        const isFallen = lane.engine?.backend === "webgpu" && report.backend === "cpu";
        lane.takeEngine(report);
        this.showLossesSoon();
        if (isFallen) this.noteWithoutGpu(report.reason);
        return;
      }
      case "crashed":
        this.recover(lane, report.message);
        return;
      default:
        report satisfies never;
    }
  }

  /** Lanes that train on the CPU for the same reason share a note. */
  private noteWithoutGpu(reason: string): void {
    const letters = this.lanes
      .filter((lane) => lane.engine?.reason === reason)
      .map((lane) => letterOf(lane.index).toUpperCase());
    const who = letters.length > 1 ? `Lanes ${letters.join(", ")} train` : `Lane ${letters.join()} trains`;
    this.notes = this.notes.filter((note) => !note.text.endsWith(reason));
    this.note("note", `${who} without WebGPU. ${reason}`);
  }

  /** All lanes' curves move together, a few times a second. */
  private showLossesSoon(): void {
    if (this.isShowingLosses) return;
    this.isShowingLosses = true;
    this.host.later(() => {
      this.isShowingLosses = false;
      for (const lane of this.lanes) {
        lane.showLosses();
        this.judge(lane);
      }
    }, CHART_MS);
  }

  private checkGoal(): void {
    if (!this.isRunning || this.hasPassedGoal || this.value("pause-at-goal") !== true) return;
    if (!this.lanes.every((lane) => lane.solvedAt !== null)) return;
    this.hasPassedGoal = true;
    void this.pause();
    const criterion = this.lanes[0]?.evaluation?.criterion ?? "";
    this.note("goal", `Every lane has solved the task (${criterion}). Run goes on from here.`);
  }

  private recover(lane: Lane, message: string): void {
    if (!this.isHere(lane) && this.catalog !== null) return;
    const letter = letterOf(lane.index).toUpperCase();
    lane.crashes += 1;
    if (this.catalog === null) return;
    if (lane.crashes > MAX_CRASHES) {
      lane.status = "failed";
      lane.lookedAt = null;
      lane.message = `The worker of this lane fails again and again: ${message}`;
      this.note("problem", `Lane ${letter}: ${lane.message}`);
      return;
    }
    this.note("problem", `Lane ${letter}: the worker crashed (${message}). It was restarted and trains from step 0.`);
    lane.status = "loading";
    this.connect(lane);
    this.connectPeers();
    void this.restartLane(lane);
  }

  private complain(lane: Lane, error: unknown): void {
    // Crashes are reported once, by the worker's own message; cancelled calls are nobody's fault.
    if (error instanceof CallFailed && error.failure.kind !== "refused") return;
    lane.message = error instanceof Error ? error.message : String(error);
  }

  // —— Pictures: the page asks for the next one after it has drawn the last ——

  /** New pictures of all lanes: options or weights have changed. */
  refresh(): void {
    for (const lane of this.lanes) this.show(lane);
  }

  /** A new picture and new panels of one lane. */
  private show(lane: Lane): void {
    this.pull(lane);
    for (const panel of this.panels) this.look(lane, panel);
  }

  /**
   * The sequence that pictures and panels show. The package says how many the probe has with the first frame; slow motion shows the next batch,
   * which may have fewer.
   */
  private sequence(): number {
    const counts = this.lanes.map((lane) => {
      const batch = this.slow === null ? undefined : lane.applied?.get("batch")?.value;
      return Math.min(lane.probes, typeof batch === "number" ? batch : lane.probes);
    });
    const last = Math.min(...counts) - 1;
    return Math.max(0, Math.min(Number(this.value("example")) - 1, last));
  }

  private frameOptions(): FrameOptions {
    if (this.slow !== null) return { sequence: this.sequence(), lossAt: "task", batch: "next" };
    const at = this.value("loss-at");
    return {
      sequence: this.sequence(),
      lossAt: at === "last" || at === "all" ? at : "task",
    };
  }

  private pull(lane: Lane): void {
    if (lane.client === null || this.slow?.isHeld === true) return;
    if (lane.isPulling) {
      lane.isStale = true;
      return;
    }
    lane.isPulling = true;
    lane.isStale = false;
    const { client } = lane;
    const options = this.frameOptions();
    client
      .call("frame", { options })
      .then((frame) => {
        const before = lane.frame?.rows ?? [];
        lane.takeFrame(frame, options.batch !== "next");
        // Which row a panel shows is known only with the frame; before it, panels show the first one.
        const now = lane.frame?.rows ?? [];
        if (now.length > 1 && now.map(({ id }) => id).join() !== before.map(({ id }) => id).join())
          for (const panel of this.panels) this.look(lane, panel);
        if (!this.isRunning) this.judge(lane);
      })
      .catch((error: unknown) => {
        this.complain(lane, error);
      })
      .finally(() => {
        if (lane.client !== client) return;
        this.host.nextFrame(() => {
          lane.isPulling = false;
          if (lane.isStale || (this.isRunning && lane.status === "ready")) this.pull(lane);
        });
      });
  }

  // —— Panels ——

  isOpen(panel: PanelId): boolean {
    return this.panels.includes(panel);
  }

  togglePanel(panel: PanelId): void {
    const open = PANELS.filter(({ id }) => (id === panel) !== this.isOpen(id));
    this.set("panels", open.map(({ id }) => id).join(","));
  }

  /** Where a panel's layer lies among the rows of a lane's frame: with two directions, a layer has two. */
  rowOf(lane: Lane): number {
    const rows = lane.frame?.rows ?? [];
    const last = rows.at(-1)?.layer ?? 0;
    const layer = Math.min(Number(this.value("panel-layer")) - 1, last);
    const isBackward = this.value("panel-direction") === "backward";
    const at = rows.findIndex((row) => row.layer === layer && row.reverse === isBackward);
    return Math.max(
      0,
      at,
      rows.findIndex((row) => row.layer === layer),
    );
  }

  /** Which block of W_hh the spectrum of a lane shows; undefined for the package's own choice. */
  private blockOf(lane: Lane): number | undefined {
    const model = this.catalog?.architectures.find((entry) => entry.id === lane.applied?.get(".model")?.value);
    const at = model?.gates.indexOf(String(this.value("spectrum-block"))) ?? -1;
    return at < 0 ? undefined : at;
  }

  /** False for a lane whose network hands no state from a timestep to the next. */
  handsOn(lane: Lane): boolean {
    const model = this.catalog?.architectures.find((entry) => entry.id === lane.applied?.get(".model")?.value);
    return model?.handsOn !== false;
  }

  /** How many units, features or symbols of a lane can be poked. */
  pokable(lane: Lane): number {
    if (lane.frame === null) return 1;
    return this.value("poke-of") === "state" ? (lane.frame.rows[0]?.units ?? 1) : lane.frame.probe.input.names.length;
  }

  /** What a panel asks of a lane; null where it shows no network. */
  private query(panel: PanelId, lane: Lane): InspectionQuery | null {
    const common = { row: this.rowOf(lane), sequence: this.sequence() };
    const step = this.pins.at(-1);
    const pinned = step === undefined || step >= (lane.frame?.nSteps ?? 0) ? {} : { step };
    switch (panel) {
      case "credit":
        return { panel: CREDIT_OF.find(({ id }) => id === this.value("credit-of"))?.panel ?? panel, ...common };
      case "spectrum": {
        const block = this.blockOf(lane);
        return { panel, ...common, ...(block === undefined ? {} : { block }) };
      }
      case "ledger":
        return { panel, ...common, ...pinned };
      case "poke": {
        const unit = Math.min(Number(this.value("poke-unit")), this.pokable(lane)) - 1;
        const by = Number(this.value("poke-by"));
        const of = this.value("poke-of") === "state" ? "poke-state" : "poke-input";
        return { panel: of, ...common, ...pinned, unit, by };
      }
      case "pace":
      case "proof":
        return { panel };
      case "factors":
      case "pipe":
        return { panel, ...common };
      case "portrait":
        return { panel: this.value("portrait-of") === "memory" ? "portrait-of-memory" : panel, ...common, ...pinned };
      case "cliff":
      case "history":
      case "horizon":
      case "stream":
        return null;
      default:
        return panel satisfies never;
    }
  }

  /** The loss cliff: no network's, so any worker computes it. */
  cliff(query: CliffQuery): Promise<Cliff> {
    const lane = this.lanes.find(({ status }) => status !== "failed") ?? this.lanes[0];
    if (lane === undefined) return Promise.reject(new Error("there is no lane to compute it"));
    return this.clientOf(lane).call("cliff", { query });
  }

  /** One block of the recurrent matrix of a lane gets another spectral radius: the block and layer that the spectrum shows. */
  async rescale(lane: Lane, spectralRadius: number): Promise<void> {
    const block = lane.inspections.get("spectrum")?.series.get("block")?.values[0];
    await this.edit(lane, { spectralRadius, row: this.rowOf(lane), ...(block === undefined ? {} : { block }) });
  }

  /** Computes the gradient of a lane's next step by WebGPU and by the CPU. */
  async compareEngines(lane: Lane): Promise<void> {
    if (lane.comparison === "asked") return;
    lane.comparison = "asked";
    const { generation } = lane;
    try {
      const comparison = viewInspection(await this.clientOf(lane).call("compare", {}));
      if (lane.generation === generation) lane.comparison = comparison;
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      if (lane.generation === generation) lane.comparison = { failure };
    }
  }

  /** Asks for a panel's numbers: the next time only after the last ones have been drawn. */
  private look(lane: Lane, panel: PanelId): void {
    const { client } = lane;
    const query = this.query(panel, lane);
    if (client === null || lane.status === "failed" || query === null) return;
    if (lane.looking.has(panel)) {
      lane.looking.set(panel, "again");
      return;
    }
    lane.looking.set(panel, "once");
    client
      .call("inspect", { query })
      .then((inspection) => {
        lane.takeInspection(panel, inspection);
      })
      .catch((error: unknown) => {
        if (error instanceof CallFailed && error.failure.kind === "refused")
          lane.refuseInspection(panel, error.message);
      })
      .finally(() => {
        if (lane.client !== client) return;
        const next = (): void => {
          const isStale = lane.looking.get(panel) === "again";
          lane.looking.delete(panel);
          if (!this.isOpen(panel)) return;
          if (isStale || (this.isRunning && lane.status === "ready")) this.look(lane, panel);
        };
        // What a pass costs does not change by training, and to measure it takes time from training.
        if (panel === "pace") this.host.later(next, PACE_MS);
        else this.host.nextFrame(next);
      });
  }

  /** The weights of a lane as they are, a safetensors file, with the step that it stands at. */
  async weights(lane: Lane): Promise<{ weights: Uint8Array; step: number }> {
    const step = lane.shownStep;
    const weights = await this.clientOf(lane).call("weights", {});
    return { weights, step };
  }

  /** Changes one lane's running network by hand, and shows what comes of it. Of several changes that wait, the last one counts. */
  async edit(lane: Lane, change: Change): Promise<void> {
    this.leaveSlow();
    this.course.touch();
    const isUnderWay = lane.nextChange !== null;
    lane.nextChange = change;
    if (isUnderWay) return;
    try {
      for (let sent: Change | null = null; sent !== lane.nextChange;) {
        sent = lane.nextChange;
        await this.clientOf(lane).call("edit", { change: sent });
      }
    } catch (error) {
      this.complain(lane, error);
    }
    lane.nextChange = null;
    this.show(lane);
  }

  // —— Cursors ——

  private get nSteps(): number {
    return Math.max(1, ...this.lanes.map((lane) => lane.frame?.nSteps ?? 1));
  }

  /** The timestep that read-outs show: the pointer's, else the last pin. */
  readonly shownStep = $derived(this.hover ?? this.pins.at(-1) ?? null);

  togglePin(step: number): void {
    this.pins = this.pins.includes(step) ? this.pins.filter((pin) => pin !== step) : [...this.pins, step];
    this.followPin();
  }

  /** The panels that show the pinned timestep. */
  private followPin(): void {
    for (const lane of this.lanes) {
      for (const panel of ["ledger", "poke", "portrait"] as const) if (this.isOpen(panel)) this.look(lane, panel);
    }
  }

  /** Moves the last pin, or sets the first one at the sequence's end. */
  movePin(by: number): void {
    const last = this.pins.at(-1);
    const next = last === undefined ? this.nSteps - 1 : Math.min(this.nSteps - 1, Math.max(0, last + by));
    this.hover = null;
    this.pins = [...this.pins.slice(0, -1).filter((pin) => pin !== next), next];
    this.followPin();
  }

  clearCursors(): void {
    this.pins = [];
    this.hover = null;
    this.hoverStep = null;
    this.followPin();
  }

  // —— Notes ——

  note(kind: Note["kind"], text: string): void {
    if (this.notes.some((note) => note.text === text)) return;
    this.notes = [...this.notes, { id: this.nextNote++, kind, text }].slice(-6);
  }

  dismiss(which: number | Note["kind"]): void {
    this.notes = this.notes.filter((note) => note.id !== which && note.kind !== which);
  }
}
