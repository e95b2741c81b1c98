// The lesson that is open: what the student predicted, what turned out, whether the challenge is met.
//
// Training is locked until there is a prediction. Must not know elements; the lab asks it and tells it.

import type { Catalog } from "unroll-types";
import { sentence } from "../draw/sentence.js";
import { LESSONS } from "../lessons";
import { allows, between, decadesOff, shares, type Lesson } from "../lessons/lesson";
import { letterOf, type Value, type Values } from "../settings";
import { shapesOf } from "../share/pytorch";
import type { Lane } from "./lane.svelte";

/** The part of the lab that a lesson needs. */
export interface Classroom {
  readonly catalog: Catalog | null;
  readonly lanes: readonly Lane[];
  readonly pending: ReadonlyMap<number, unknown>;
  readonly values: Values;
  readonly isEmbedded: boolean;
  value(name: string): Value;
  weights(lane: Lane): Promise<{ weights: Uint8Array; step: number }>;
  reset(): Promise<void>;
}

export type Answer = { kind: "choice"; id: string } | { kind: "ribbon"; exponents: readonly number[] };

/** What the page found, to lay over the prediction. */
export type Truth =
  | { kind: "choice"; id: string; isRight: boolean }
  | { kind: "ribbon"; exponents: readonly number[]; predicted: readonly number[]; decades: number };

export class Course {
  answer = $state.raw<Answer | null>(null);
  /** What step 0 showed when the prediction was made: a verdict, a number of parameters, or the ribbon's exponents. */
  private found = $state.raw<string | readonly number[] | null>(null);
  /** Letters of the lanes that the prediction is about, by key: those that were there when it was made. */
  private asked: ReadonlyMap<number, string> = new Map();
  /** Where the challenge was met. */
  met = $state.raw<{ letter: string; step: number } | null>(null);
  /** The running networks were changed, so that a receipt could not be verified. */
  isTouched = $state(false);

  constructor(private readonly room: Classroom) {}

  get lesson(): Lesson | null {
    if (this.room.isEmbedded) return null;
    return LESSONS.find(({ id }) => id === this.room.value("lesson")) ?? null;
  }

  /** The step of the receipt that the address brings, or null. */
  get receipt(): number | null {
    const reached = this.room.value("reached");
    return typeof reached === "number" ? reached : null;
  }

  /** Training waits for the prediction. Whoever verifies a receipt need not predict. */
  get isLocked(): boolean {
    return this.lesson !== null && this.answer === null && this.receipt === null;
  }

  /** What would give the answer away is hidden until then. */
  get isVeiled(): boolean {
    if (!this.isLocked || this.lesson === null) return false;
    const { prediction } = this.lesson;
    return prediction.kind === "ribbon" || prediction.judge.kind === "verdict";
  }

  /** Numbers of parameters are what the lesson asks for. */
  get asksForParameters(): boolean {
    const prediction = this.lesson?.prediction;
    return this.isLocked && prediction?.kind === "choice" && prediction.judge.kind === "parameters";
  }

  get truth(): Truth | null {
    const { lesson, answer, found } = this;
    if (lesson === null || answer === null) return null;
    const { prediction } = lesson;
    if (answer.kind === "ribbon") {
      if (found === null || typeof found === "string") return null;
      const predicted = between(answer.exponents, found.length);
      return { kind: "ribbon", exponents: found, predicted, decades: decadesOff(predicted, found) };
    }
    if (prediction.kind !== "choice") return null;
    const id = found ?? (prediction.judge.kind === "solved" ? this.solvers(prediction.judge.by) : null);
    if (typeof id !== "string") return null;
    return { kind: "choice", id, isRight: answer.id.split(",").includes(id) };
  }

  /** Letters of the lanes that have solved the task by a step; null while that is open. */
  private solvers(by: number): string | null {
    const lanes = this.room.lanes.filter(({ key }) => this.asked.has(key));
    const isOpen = lanes.some(({ step, solvedAt, status }) => step < by && solvedAt === null && status === "ready");
    if (isOpen) return null;
    const letters = lanes.filter(({ solvedAt }) => solvedAt !== null && solvedAt <= by);
    return letters.length === 0 ? "none" : letters.map(({ key }) => this.asked.get(key)).join("");
  }

  /** Another lesson, or none. */
  begin(): void {
    this.answer = null;
    this.found = null;
    this.forget();
  }

  /** All lanes begin anew. */
  forget(): void {
    this.met = null;
    this.isTouched = false;
  }

  touch(): void {
    this.isTouched = true;
  }

  /** Takes the prediction, looks at what step 0 shows, and lets training begin. */
  async predict(answer: Answer): Promise<void> {
    const { lesson } = this;
    if (lesson === null || this.answer !== null) return;
    const { prediction } = lesson;
    const at =
      prediction.kind === "ribbon" ? prediction.lane : "lane" in prediction.judge ? prediction.judge.lane : null;
    const lane = at === null ? undefined : this.room.lanes[at];
    const ribbon = lane?.frame?.rows[0]?.ribbons[0];
    this.asked = new Map(this.room.lanes.map(({ key, index }) => [key, letterOf(index)]));
    this.answer = answer;
    if (lane === undefined || lane.frame === null || ribbon === undefined) return;
    if (prediction.kind === "ribbon") this.found = shares(ribbon.median, ribbon.reference);
    else if (prediction.judge.kind === "verdict") {
      this.found = sentence(ribbon, lane.frame.floor, false).verdict;
    } else if (prediction.judge.kind === "parameters") {
      const { weights } = await this.room.weights(lane);
      const sizes = [...shapesOf(weights).values()].map((shape) => shape.reduce((product, n) => product * n, 1));
      this.found = String(sizes.reduce((sum, n) => sum + n, 0));
    }
  }

  /** Forgets the prediction, to try again from step 0. */
  async again(): Promise<void> {
    this.begin();
    await this.room.reset();
  }

  /** A lane was evaluated: perhaps the challenge is met. */
  check(lane: Lane): void {
    const { lesson } = this;
    const prediction = lesson?.prediction;
    // The verdict stays, whatever the lanes do later.
    if (this.answer !== null && prediction?.kind === "choice" && prediction.judge.kind === "solved")
      this.found ??= this.solvers(prediction.judge.by);
    const { evaluation, applied } = lane;
    if (lesson === null || this.isLocked || this.met !== null || this.isTouched) return;
    if (evaluation === null || applied === null || this.room.pending.size > 0) return;
    const { challenge } = lesson;
    if (evaluation.step === 0 || evaluation.step > challenge.within || evaluation.accuracy < challenge.accuracy) return;
    const letter = letterOf(lane.index);
    // What the network was made with, or what has held live ever since.
    const held = (name: string): Value | undefined =>
      applied.get(name)?.value ?? this.room.value(name.startsWith(".") ? letter + name : name);
    if (!allows(challenge, held)) return;
    this.met = { letter: letter.toUpperCase(), step: evaluation.step };
  }
}
