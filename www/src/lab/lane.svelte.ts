// One lane as the page sees it: its worker, what it last told, its curves. Reactive state; draws nothing.

import { SvelteMap } from "svelte/reactivity";
import type { Change, Evaluation, Frame, Inspection } from "unroll-types";
import { viewFrame, type FrameView } from "../draw/frame.js";
import { viewInspection, type InspectionView } from "../draw/inspection.js";
import { aligned } from "../draw/portrait.js";
import type { PanelId, Value } from "../settings";
import type { LaneClient } from "../worker/client";
import type { Engine, ProgressReport } from "../worker/protocol";
import { History, type Curve } from "./history";

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

  private losses = new History();
  private readonly accuracies: { step: number; value: number }[] = [];

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
    this.accuracies.length = 0;
    this.lossCurve = EMPTY;
    this.accuracyCurve = EMPTY;
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
    this.crashes = 0;
  }

  /** Another engine, or another reason; with steps lost, training goes on from an earlier one. */
  takeEngine({ backend, reason, step }: Engine & { step: number }): void {
    this.engine = { backend, reason };
    if (step >= this.step) return;
    this.step = step;
    this.losses.rewind(step);
  }

  /** Shows the losses so far on the chart. Reports come faster than charts need to be drawn. */
  showLosses(): void {
    this.lossCurve = this.losses.curve(this.step);
  }

  takeEvaluation(evaluation: Evaluation): void {
    this.evaluation = evaluation;
    if (evaluation.solved) this.solvedAt ??= evaluation.step;
    // After steps were lost, an evaluation may come a second time.
    while ((this.accuracies.at(-1)?.step ?? -1) >= evaluation.step) this.accuracies.pop();
    this.accuracies.push({ step: evaluation.step, value: evaluation.accuracy });
    // Evaluations are rare; a run long enough for this to matter keeps every second one of the old half.
    if (this.accuracies.length > 2000) {
      const kept = this.accuracies.filter((_, at) => at >= 1000 || at % 2 === 0);
      this.accuracies.splice(0, this.accuracies.length, ...kept);
    }
    this.accuracyCurve = {
      steps: Float64Array.from(this.accuracies, (point) => point.step),
      values: Float64Array.from(this.accuracies, (point) => point.value),
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

  takeFrame(frame: Frame): void {
    this.rawFrame = frame;
    this.frame = viewFrame(frame);
  }
}

const EMPTY: Curve = { steps: new Float64Array(), values: new Float64Array() };
