// A lane's loop: requests first, then a slice of training, then a picture if one is due, then let the next message in.
//
// Everything it touches is passed in (package, clock, post), so that tests can drive it. One loop calls the session, so
// calls never overlap, and every request is answered exactly once.

import type {
  Catalog,
  Change,
  Cliff,
  CliffQuery,
  Evaluation,
  Frame,
  FrameOptions,
  Hyper,
  Inspection,
  InspectionQuery,
  Progress,
  SessionConfig,
  StreamStep,
} from "unroll-types";
import type { Answer, CallName, Calls, Engine, FromWorker, PeerMessage, Request } from "./protocol";
import { toFailure, transferables } from "./protocol";
import {
  FrameBudget,
  LEAD_MS,
  PANEL_MS,
  PANELS_SHARE,
  REPORT_MS,
  SLICE_MS,
  SliceSize,
  Speed,
  Throttle,
  evaluationInterval,
  stepLimit,
} from "./schedule";
import type { Size, SizesAsked } from "./sizes";
import { SNAPSHOT_MS, SNAPSHOT_SHARE, Snapshots, type Snapshot } from "./snapshots";

/** The part of the package's `Session` that a lane uses. */
export interface LaneSession {
  advance(steps: number): Promise<Progress>;
  frame(options?: FrameOptions): Promise<Frame>;
  inspect(query: InspectionQuery): Promise<Inspection>;
  edit(change: Change): Promise<void>;
  compareEngines(): Promise<Inspection>;
  evaluate(): Promise<Evaluation>;
  stream(x: number | Float32Array | null): Promise<StreamStep | null>;
  weights(): Promise<Uint8Array>;
  setHyper(hyper: Hyper): void;
  snapshot(): Promise<Uint8Array>;
  restore(snapshot: Uint8Array): Promise<void>;
  readonly backend: Engine["backend"];
  readonly reason: string;
  free(): void;
}

export interface Surroundings {
  catalog(): Promise<Catalog>;
  create(config: SessionConfig): Promise<LaneSession>;
  cliff(query: CliffQuery): Promise<Cliff>;
  sizes(asked: SizesAsked): Promise<Size[]>;
  /** Milliseconds. */
  now(): number;
  /** Resolves after waiting messages have been delivered. */
  breathe(): Promise<void>;
  post(message: FromWorker, transfer: Transferable[]): void;
  /** True for an error after which the package must not be called again. */
  isFatal(error: unknown): boolean;
}

/** The part of `MessagePort` that lanes in step use. */
export interface PeerPort {
  postMessage(message: PeerMessage): void;
  onmessage: ((event: MessageEvent<PeerMessage>) => void) | null;
  close(): void;
}

type Ask<Name extends CallName> = Extract<Request, { type: Name }>;

/** Looks of a kind take each other's place: a panel at the probe, or at the next batch. */
const lookOf = ({ panel, batch = "probe" }: InspectionQuery): string => `${panel} ${batch}`;

/** What was learned since the last report. */
class Tally {
  private pieces: Float32Array[] = [];
  private steps = 0;
  private accuracySum = 0;
  private last: Progress | null = null;

  add(progress: Progress, steps: number): void {
    this.pieces.push(progress.losses);
    this.steps += steps;
    this.accuracySum += progress.accuracy * steps;
    this.last = progress;
  }

  /** The report, and a clean sheet; null when nothing happened. */
  take(stepsPerSecond: number): Extract<FromWorker, { type: "progress" }> | null {
    const { last } = this;
    if (last === null) return null;
    const losses = new Float32Array(this.pieces.reduce((n, piece) => n + piece.length, 0));
    let at = 0;
    let sum = 0;
    for (const piece of this.pieces) {
      losses.set(piece, at);
      at += piece.length;
      for (const loss of piece) sum += loss;
    }
    const accuracy = this.accuracySum / this.steps;
    this.pieces = [];
    this.steps = 0;
    this.accuracySum = 0;
    this.last = null;
    return {
      type: "progress",
      step: last.step,
      stepsPerSecond,
      loss: losses.length > 0 ? sum / losses.length : last.loss,
      accuracy,
      gradientNorm: last.gradientNorm,
      clipCoefficient: last.clipCoefficient,
      clipped: last.clipped,
      losses,
    };
  }
}

export class Trainer {
  private readonly waiting: Request[] = [];
  private isDriving = false;
  private isFatallyBroken = false;

  private session: LaneSession | null = null;
  private step = 0;
  /** What the page was told last. */
  private engine: Engine = { backend: "cpu", reason: "" };
  private isRunning = false;
  /** Lanes to keep in step with: what each told last. */
  private peers = new Map<PeerPort, PeerMessage>();
  /** Training ends at this step. */
  private target: Ask<"trainTo"> | null = null;
  private wantedFrame: Ask<"frame"> | null = null;
  /** One for each panel, the one that waits longest first. */
  private readonly wantedLooks = new Map<string, Ask<"inspect">>();

  private slice = new SliceSize();
  private readonly frames = new FrameBudget();
  private readonly looks = new Map<string, FrameBudget>();
  private readonly reports = new Throttle(REPORT_MS);
  /** Steps a second of the clock, waiting for others included: what the reader sees. */
  private readonly speed = new Speed();
  /** Steps a second of training alone: what others can count on. */
  private readonly pace = new Speed();
  private tally = new Tally();
  /** When the last slice ended, or null when training stood still in between. */
  private lastSliceEnd: number | null = null;
  private snapshots = new Snapshots();
  private snapshotBudget = new FrameBudget(SNAPSHOT_SHARE, SNAPSHOT_MS.cpu);
  /** The smallest cost of a snapshot so far. */
  private snapshotMs = Number.POSITIVE_INFINITY;
  /** Whether the page knows less of them than there is. */
  private hasNewSnapshots = false;
  /** The newest state, while an earlier one is looked at. */
  private newest: Snapshot | null = null;
  private evaluateEvery = 1;
  private nextEvaluation = 0;

  constructor(private readonly around: Surroundings) {}

  receive(request: Request): void {
    this.waiting.push(request);
    if (!this.isDriving) void this.drive();
  }

  private async drive(): Promise<void> {
    this.isDriving = true;
    try {
      for (;;) {
        for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) await this.handle(next);
        const steps = this.nextSlice();
        if (steps > 0) {
          await this.train(steps);
        } else {
          // A lane that waits for others has no next slice to report with.
          if (this.isRunning && this.reports.due(this.around.now())) this.report();
          if (this.wantedFrame === null && this.wantedLooks.size === 0 && this.waiting.length === 0) return;
        }
        // A lane that stands still has all the time in the world for a picture.
        if (this.wantedFrame !== null && (steps === 0 || this.frames.allows(this.around.now()))) await this.takeFrame();
        else await this.takeLook(steps === 0);
        await this.around.breathe();
      }
    } catch (error) {
      this.crash(error);
    } finally {
      this.isDriving = false;
    }
  }

  /** How many steps to train now; 0 when there is nothing to train. */
  private nextSlice(): number {
    if (!this.isRunning || this.session === null || this.isFatallyBroken) return 0;
    const bounds = [this.slice.next(), this.nextEvaluation - this.step];
    if (this.snapshotBudget.allows(this.around.now())) bounds.push(this.snapshots.next(this.step) - this.step);
    if (this.target === null)
      bounds.push(
        stepLimit(
          [...this.peers.values()].filter((peer) => peer !== null),
          LEAD_MS[this.engine.backend],
        ) - this.step,
      );
    if (this.target !== null) bounds.push(this.target.step - this.step);
    return Math.max(0, Math.min(...bounds));
  }

  private async train(steps: number): Promise<void> {
    const { session } = this;
    if (session === null) return;
    this.goOn();
    const start = this.around.now();
    const progress = await session.advance(steps);
    const end = this.around.now();
    // More than the step has grown, where a lost device took steps along and they were trained again.
    const done = Math.max(progress.losses.length, progress.step - this.step);
    this.slice.record(done, end - start);
    this.speed.record(done, end - (this.lastSliceEnd ?? start));
    this.pace.record(done, end - start);
    this.lastSliceEnd = end;
    // The losses of one report belong to consecutive steps.
    if (progress.step - done < this.step) {
      this.report();
      this.snapshots.forgetAfter(progress.step - done);
    }
    this.tally.add(progress, Math.max(1, done));
    this.step = progress.step;
    this.watchEngine(session);
    this.tellPeers();
    if (progress.diverged !== null) {
      this.stand();
      this.around.post({ type: "diverged", diverged: progress.diverged }, []);
      return;
    }
    if (this.step >= this.nextEvaluation) await this.evaluate(session);
    await this.takeSnapshot(session);
    if (this.target !== null && this.step >= this.target.step) this.stand();
    else if (this.reports.due(end)) this.report();
  }

  private async evaluate(session: LaneSession): Promise<Evaluation> {
    const evaluation = await session.evaluate();
    this.standAt(evaluation.step, session);
    this.nextEvaluation = this.step - (this.step % this.evaluateEvery) + this.evaluateEvery;
    this.around.post({ type: "evaluation", evaluation }, []);
    return evaluation;
  }

  private report(): void {
    const report = this.tally.take(this.speed.perSecond());
    if (report !== null) this.around.post(report, transferables(report));
    if (this.hasNewSnapshots) this.around.post({ type: "snapshots", steps: this.snapshots.steps }, []);
    this.hasNewSnapshots = false;
  }

  /** Says so when the session trains on another engine, or for another reason, than was told last. */
  private watchEngine(session: LaneSession): void {
    const { backend, reason } = session;
    if (backend === this.engine.backend && reason === this.engine.reason) return;
    // Steps take another time on the other engine.
    if (backend !== this.engine.backend) {
      this.slice = new SliceSize(SLICE_MS[backend]);
      this.snapshotBudget = new FrameBudget(SNAPSHOT_SHARE, SNAPSHOT_MS[backend]);
    }
    this.engine = { backend, reason };
    this.around.post({ type: "engine", step: this.newest?.step ?? this.step, backend, reason }, []);
  }

  /** Takes in where the session stands after a call that does not train: a lost device may have taken its last steps along. */
  private standAt(step: number, session: LaneSession): void {
    if (step < this.step) {
      this.report();
      this.snapshots.forgetAfter(step);
      this.step = step;
      this.tellPeers();
    }
    this.watchEngine(session);
  }

  private tellPeers(): void {
    const message: PeerMessage = this.isRunning ? { step: this.step, stepsPerSecond: this.pace.perSecond() } : null;
    for (const port of this.peers.keys()) port.postMessage(message);
  }

  private meetPeers(ports: readonly PeerPort[]): void {
    for (const port of this.peers.keys()) port.close();
    this.peers = new Map(ports.map((port) => [port, null]));
    for (const port of ports) {
      port.onmessage = (event) => {
        this.peers.set(port, event.data);
        if (!this.isDriving) void this.drive();
      };
    }
    this.tellPeers();
  }

  /** Training ends here; whoever waits for a target learns how far it came. */
  private stand(): void {
    this.isRunning = false;
    this.lastSliceEnd = null;
    this.tellPeers();
    this.report();
    const { target } = this;
    this.target = null;
    if (target !== null) this.answer(target, { step: this.step });
  }

  private async takeFrame(): Promise<void> {
    const { session, wantedFrame: request } = this;
    if (request === null) return;
    this.wantedFrame = null;
    if (session === null) {
      this.refuse(request, new Error("there is no session to take a frame of"));
      return;
    }
    const start = this.around.now();
    try {
      const frame = await session.frame(request.options);
      this.standAt(frame.header.step, session);
      this.answer(request, frame);
    } catch (error) {
      this.refuse(request, error);
    }
    this.frames.record(start, this.around.now());
  }

  /** Takes the look that waits longest among those whose budget allows it, or with all the time in the world. */
  private async takeLook(isStanding: boolean): Promise<void> {
    const now = this.around.now();
    // An open panel asks again as soon as it has its answer.
    const open = this.wantedLooks.size;
    for (const [panel, request] of this.wantedLooks) {
      let budget = this.looks.get(panel);
      if (budget === undefined) this.looks.set(panel, (budget = new FrameBudget(PANELS_SHARE, PANEL_MS)));
      if (!isStanding && !budget.allows(now)) continue;
      this.wantedLooks.delete(panel);
      try {
        const session = this.need();
        const inspection = await session.inspect(request.query);
        this.standAt(inspection.header.step, session);
        this.answer(request, inspection);
      } catch (error) {
        this.refuse(request, error);
      }
      budget.record(now, this.around.now(), open);
      return;
    }
  }

  /** Keeps the state of this step if one is wanted here and the budget allows it. */
  private async takeSnapshot(session: LaneSession): Promise<void> {
    const start = this.around.now();
    if (!this.snapshots.wants(this.step) || !this.snapshotBudget.allows(start)) return;
    this.snapshots.add({ step: this.step, bytes: await session.snapshot() });
    // The smallest cost counts: it is that of the work, without what else kept the machine busy.
    this.snapshotMs = Math.min(this.snapshotMs, this.around.now() - start);
    if (this.step > 0) this.snapshotBudget.record(start, start + this.snapshotMs);
    this.hasNewSnapshots = true;
  }

  private async look(request: Ask<"look">): Promise<void> {
    const session = this.need();
    this.stand();
    if (request.step === null && this.newest === null) {
      this.answer(request, { step: this.step });
      return;
    }
    const newest = this.newest ?? { step: this.step, bytes: await session.snapshot() };
    const wanted = request.step === null ? newest : this.snapshots.nearest(request.step, newest);
    await session.restore(wanted.bytes);
    this.step = wanted.step;
    this.newest = request.step === null ? null : newest;
    if (request.hyper !== null) session.setHyper(request.hyper);
    this.watchEngine(session);
    this.answer(request, { step: this.step });
  }

  /** Training goes on from an earlier state: what came later is forgotten. */
  private goOn(): void {
    if (this.newest === null) return;
    this.newest = null;
    this.snapshots.forgetAfter(this.step);
    this.hasNewSnapshots = true;
    this.nextEvaluation = this.step - (this.step % this.evaluateEvery) + this.evaluateEvery;
  }

  private async adopt({ snapshot, hyper }: Ask<"adopt">): Promise<void> {
    const session = this.need();
    this.stand();
    await session.restore(snapshot.bytes);
    this.newest = null;
    this.step = snapshot.step;
    this.snapshots.forgetAfter(this.step - 1);
    this.snapshots.add(snapshot);
    this.hasNewSnapshots = true;
    this.nextEvaluation = this.step - (this.step % this.evaluateEvery) + this.evaluateEvery;
    if (hyper !== null) session.setHyper(hyper);
    this.report();
  }

  private cancelLooks(): void {
    for (const request of this.wantedLooks.values()) this.cancel(request);
    this.wantedLooks.clear();
  }

  private async handle(request: Request): Promise<void> {
    if (this.isFatallyBroken) {
      this.fail(request, { kind: "crashed", message: "this worker has crashed and waits to be replaced" });
      return;
    }
    try {
      switch (request.type) {
        case "catalog":
          this.answer(request, await this.around.catalog());
          return;
        case "create":
          await this.create(request);
          return;
        case "run":
          this.need();
          if (this.target !== null) this.stand();
          this.isRunning = true;
          this.speed.reset();
          this.tellPeers();
          this.answer(request, {});
          return;
        case "peers":
          this.meetPeers(request.ports);
          this.answer(request, {});
          return;
        case "pause":
          this.stand();
          this.answer(request, { step: this.step });
          return;
        case "trainTo":
          this.need();
          if (this.target !== null) this.cancel(this.target);
          this.target = request;
          this.isRunning = true;
          if (this.step >= request.step) this.stand();
          return;
        case "frame":
          if (this.wantedFrame !== null) this.cancel(this.wantedFrame);
          this.wantedFrame = request;
          return;
        case "inspect": {
          const which = lookOf(request.query);
          const older = this.wantedLooks.get(which);
          if (older !== undefined) this.cancel(older);
          this.wantedLooks.set(which, request);
          return;
        }
        case "edit":
          await this.need().edit(request.change);
          this.answer(request, {});
          return;
        case "cliff":
          this.answer(request, await this.around.cliff(request.query));
          return;
        case "sizes":
          this.answer(request, await this.around.sizes(request));
          return;
        case "compare":
          this.answer(request, await this.need().compareEngines());
          return;
        case "evaluate":
          this.answer(request, await this.evaluate(this.need()));
          return;
        case "stream":
          this.answer(request, await this.need().stream(request.x));
          return;
        case "weights":
          this.answer(request, await this.need().weights());
          return;
        case "hyper":
          this.need().setHyper(request.hyper);
          this.answer(request, {});
          return;
        case "look":
          await this.look(request);
          return;
        case "keep":
          this.need();
          this.goOn();
          this.report();
          this.answer(request, { step: this.step });
          return;
        case "snapshot":
          this.answer(request, { step: this.step, bytes: await this.need().snapshot() });
          return;
        case "adopt":
          await this.adopt(request);
          this.answer(request, {});
          return;
        default:
          request satisfies never;
      }
    } catch (error) {
      this.refuse(request, error);
    }
  }

  private need(): LaneSession {
    if (this.session === null) throw new Error("there is no session yet");
    return this.session;
  }

  /** A failed creation leaves the session as it was. */
  private async create(request: Ask<"create">): Promise<void> {
    const session = await this.around.create(request.config);
    this.stand();
    if (this.wantedFrame !== null) this.cancel(this.wantedFrame);
    this.wantedFrame = null;
    this.cancelLooks();
    this.session?.free();
    this.session = session;
    this.step = 0;
    this.tally = new Tally();
    this.engine = { backend: session.backend, reason: session.reason };
    this.slice = new SliceSize(SLICE_MS[this.engine.backend]);
    this.speed.reset();
    this.pace.reset();
    this.newest = null;
    this.snapshots = new Snapshots();
    this.snapshotMs = Number.POSITIVE_INFINITY;
    this.snapshotBudget = new FrameBudget(SNAPSHOT_SHARE, SNAPSHOT_MS[this.engine.backend]);
    this.answer(request, this.engine);
    await this.takeSnapshot(session);
    this.report();
    const evaluation = await session.evaluate();
    this.evaluateEvery = evaluationInterval(evaluation.nSequences, request.config.batch ?? 1);
    this.nextEvaluation = this.evaluateEvery;
    this.around.post({ type: "evaluation", evaluation }, []);
  }

  private answer<Name extends CallName>(request: Ask<Name>, value: Calls[Name]["answer"]): void {
    // The pair of call and value is one of the union's members; the compiler cannot follow a generic name.
    const answer = { type: "answer", id: request.id, call: request.type, value } as Answer;
    this.around.post(answer, transferables(answer));
  }

  private fail(request: Request, failure: ReturnType<typeof toFailure>): void {
    this.around.post({ type: "failure", id: request.id, failure }, []);
  }

  private cancel(request: Request): void {
    this.fail(request, { kind: "cancelled", message: `${request.type} was cancelled` });
  }

  /** Answers with what went wrong; a fatal error goes on to end the loop. */
  private refuse(request: Request, error: unknown): void {
    const isFatal = this.around.isFatal(error);
    this.fail(request, toFailure(error, isFatal ? "crashed" : "refused"));
    if (isFatal) throw error;
  }

  /** The package is broken: say so once, and answer everything that waits. */
  crash(error: unknown): void {
    if (this.isFatallyBroken) return;
    this.isFatallyBroken = true;
    this.isRunning = false;
    const failure = toFailure(error, "crashed");
    for (const request of [this.target, this.wantedFrame, ...this.wantedLooks.values(), ...this.waiting]) {
      if (request !== null) this.fail(request, failure);
    }
    this.target = null;
    this.wantedFrame = null;
    this.wantedLooks.clear();
    this.waiting.length = 0;
    this.around.post({ type: "crashed", message: failure.message }, []);
  }
}
