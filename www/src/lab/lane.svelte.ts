// One lane as the page sees it: its worker, what it last told, its curves. Reactive state; draws nothing.

import { SvelteMap, SvelteSet } from "svelte/reactivity";
import type { Change, Evaluation, Frame, Inspection } from "unroll-types";
import { viewFrame, type FrameView } from "../draw/frame.js";
import { viewInspection, type InspectionView } from "../draw/inspection.js";
import { aligned } from "../draw/portrait.js";
import type { PanelId, Value } from "../settings";
import type { LaneClient } from "../worker/client";
import type { Engine, ProgressReport } from "../worker/protocol";
import { Watch, type Finding, type FindingKind, type Symptoms } from "./diagnosis";
import { History, type Curve } from "./history";
import { Ribbons } from "./ribbons";

/** Reports whose gradient norms are remembered. */
const REMEMBERED = 60;

/** `loading` until the session exists; `failed` when it cannot be had. */
export type Status = "loading" | "ready" | "diverged" | "failed";

export class Lane {
  /** Position, from 0: letter and colour follow it. */
  index = $state(0);
  status = $state<Status>("loading");
  /** What went wrong, in one sentence, or null. */
  message = $state<string | null>(null);
  /** What trains it, and why; null until the session exists. */
  engine = $state.raw<Engine | null>(null);
  step = $state(0);
  stepsPerSecond = $state(0);
  progress = $state.raw<ProgressReport | null>(null);
  evaluation = $state.raw<Evaluation | null>(null);
  /** The first evaluation that met the task's criterion. */
  solvedAt = $state<number | null>(null);
  frame = $state.raw<FrameView | null>(null);
  /** Sequences of the probe; 1 until the package has said so. */
  probes = 1;
  /** The same frame as the package gave it, for whoever wants to check the page. */
  rawFrame: Frame | null = null;
  /** What open panels show, by panel. */
  readonly inspections = new SvelteMap<PanelId, InspectionView>();
  /** Why an open panel has nothing to show, in one sentence. */
  readonly refusals = new SvelteMap<PanelId, string>();
  /** Both engines on the same step; `asked` until it is there, a sentence when it cannot be had, null before. */
  comparison = $state.raw<InspectionView | "asked" | { failure: string } | null>(null);
  lossCurve = $state.raw<Curve>(EMPTY);
  accuracyCurve = $state.raw<Curve>(EMPTY);

  /** The restart settings of the running session; null before there is one. */
  applied = $state.raw<ReadonlyMap<string, { title: string; value: Value }> | null>(null);

  /** Training steps that can be looked back at, ascending. */
  snapshots = $state.raw<readonly number[]>([]);
  /** The training step that is looked back at; null when the newest is shown. */
  lookedAt = $state<number | null>(null);
  /** The training step that pictures show. */
  readonly shownStep = $derived(this.lookedAt ?? this.step);

  /** What is wrong with it, as the page names it. */
  finding = $state.raw<Finding | null>(null);
  /** Kinds of findings that the reader does not want to see in this run. */
  readonly dismissed = new SvelteSet<FindingKind>();

  client: LaneClient | null = null;
  /** A frame has been asked for and has not come. */
  isPulling = false;
  /** The picture is older than the network or than the options. */
  isStale = false;
  /** Panels whose numbers have been asked for and have not come: `again` when they are outdated already. */
  readonly looking = new Map<PanelId, "once" | "again">();
  /** The last change by hand that was asked for, until it is made. */
  nextChange: Change | null = null;
  /** A truncation window is on its way to the network. */
  isCutting = false;
  /** Workers lost since the last progress. */
  crashes = 0;
  /** Counts restarts: an answer to an older one is not used. */
  generation = 0;

  private watch = new Watch();
  private norms: number[] = [];
  private clipCoefficients: number[] = [];
  private losses = new History();
  /** The ribbons of earlier training steps; `remembered` counts what came in, for whoever shows them. */
  ribbons = new Ribbons();
  remembered = $state(0);
  private evaluations: Evaluation[] = [];

  constructor(
    /** Identity, for keyed lists; lanes move when one is removed. */
    readonly key: number,
    index: number,
  ) {
    this.index = index;
  }

  /** Forgets the run. */
  clear(): void {
    this.message = null;
    this.step = 0;
    this.stepsPerSecond = 0;
    this.progress = null;
    this.evaluation = null;
    this.solvedAt = null;
    this.inspections.clear();
    this.refusals.clear();
    this.comparison = null;
    this.losses = new History();
    this.ribbons = new Ribbons();
    this.remembered = 0;
    this.evaluations = [];
    this.lossCurve = EMPTY;
    this.accuracyCurve = EMPTY;
    this.snapshots = [];
    this.lookedAt = null;
    this.dismissed.clear();
    this.forgetFindings();
  }

  private forgetFindings(): void {
    this.watch = new Watch();
    this.finding = null;
    this.norms = [];
    this.clipCoefficients = [];
  }

  /** What there is to judge the network by. */
  symptoms(): Symptoms {
    const curve = this.losses.curve(this.step);
    return {
      frame: this.frame,
      diverged: this.status === "diverged" ? this.message : null,
      isSolved: this.evaluation?.solved === true,
      evaluations: this.evaluations,
      baseline: this.evaluation?.baseline ?? null,
      norms: this.norms,
      clipCoefficients: this.clipCoefficients,
      snapshots: this.snapshots,
      lossAt: (step) => curve.values[curve.steps.findLastIndex((at) => at <= step)] ?? Number.NaN,
    };
  }

  /** The kind of finding that is named now. */
  get named(): FindingKind | null {
    return this.watch.named?.kind ?? null;
  }

  /** Takes in what was seen at one look. */
  takeFinding(finding: Finding | null, isFinal: boolean): void {
    this.finding = this.watch.look(finding, isFinal);
  }

  /** Forgets what came after a step, which is to be trained again. */
  rewind(step: number): void {
    this.lookedAt = null;
    this.step = step;
    this.status = "ready";
    this.message = null;
    this.progress = null;
    this.forgetFindings();
    this.losses.rewind(step);
    this.ribbons.rewind(step);
    this.remembered += 1;
    this.showLosses();
    while ((this.evaluations.at(-1)?.step ?? -1) > step) this.evaluations.pop();
    this.evaluation = this.evaluations.at(-1) ?? null;
    if (this.solvedAt !== null && this.solvedAt > step) this.solvedAt = null;
    this.showAccuracies();
    this.snapshots = this.snapshots.filter((at) => at <= step);
  }

  /** Takes over the way of another lane up to a step. */
  inherit(parent: Lane, step: number): void {
    this.losses = parent.losses.until(step);
    this.ribbons = parent.ribbons.until(step);
    this.evaluations = [...parent.evaluations];
    this.solvedAt = parent.solvedAt;
    this.rewind(step);
  }

  takeProgress(report: ProgressReport): void {
    const first = report.step - report.losses.length + 1;
    if (first <= this.step) this.losses.rewind(first - 1);
    report.losses.forEach((loss, at) => {
      this.losses.add(first + at, loss);
    });
    this.step = report.step;
    this.stepsPerSecond = report.stepsPerSecond;
    this.progress = report;
    this.norms = [...this.norms, report.gradientNorm].slice(-REMEMBERED);
    this.clipCoefficients = [...this.clipCoefficients, report.clipCoefficient].slice(-REMEMBERED);
    this.crashes = 0;
  }

  /** Another engine, or another reason; with steps lost, training goes on from an earlier one. */
  takeEngine({ backend, reason, step }: Engine & { step: number }): void {
    this.engine = { backend, reason };
    if (step >= this.step) return;
    this.step = step;
    this.losses.rewind(step);
    this.ribbons.rewind(step);
  }

  /** Shows the losses so far on the chart. Reports come faster than charts need to be drawn. */
  showLosses(): void {
    this.lossCurve = this.losses.curve(this.step);
  }

  takeEvaluation(evaluation: Evaluation): void {
    this.evaluation = evaluation;
    if (evaluation.solved) this.solvedAt ??= evaluation.step;
    // After steps were lost, an evaluation may come a second time.
    while ((this.evaluations.at(-1)?.step ?? -1) >= evaluation.step) this.evaluations.pop();
    this.evaluations.push(evaluation);
    // Evaluations are rare; a run long enough for this to matter keeps every second one of the old half.
    if (this.evaluations.length > 2000)
      this.evaluations = this.evaluations.filter((_, at) => at >= 1000 || at % 2 === 0);
    this.showAccuracies();
  }

  private showAccuracies(): void {
    this.accuracyCurve = {
      steps: Float64Array.from(this.evaluations, (one) => one.step),
      values: Float64Array.from(this.evaluations, (one) => one.accuracy),
    };
  }

  takeInspection(panel: PanelId, inspection: Inspection): void {
    this.refusals.delete(panel);
    this.inspections.set(panel, aligned(viewInspection(inspection), this.inspections.get(panel)));
  }

  refuseInspection(panel: PanelId, message: string): void {
    this.inspections.delete(panel);
    this.refusals.set(panel, message);
  }

  /** A new picture; one of the probe is remembered. */
  takeFrame(frame: Frame, isProbe: boolean): void {
    this.rawFrame = frame;
    this.frame = viewFrame(frame);
    if (!isProbe) return;
    this.probes = frame.header.nSequences;
    if (this.lookedAt === null && this.ribbons.take(this.frame)) this.remembered += 1;
  }
}

const EMPTY: Curve = { steps: new Float64Array(), values: new Float64Array() };
