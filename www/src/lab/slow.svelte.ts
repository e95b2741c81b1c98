// Slow motion: one update of every lane in six stages, with the numbers of that very step.
//
// The package tells the update before it is made, on the next training batch; the last stage makes it. Knows no clock: whoever shows
// the stages moves `progress`.

import { SvelteMap } from "svelte/reactivity";
import { viewInspection, type InspectionView } from "../draw/inspection.js";
import type { Lane } from "./lane.svelte";

export const STAGES = [
  { id: "forward", title: "Forward" },
  { id: "loss", title: "Loss" },
  { id: "backward", title: "Backward" },
  { id: "ledger", title: "Ledger" },
  { id: "clip", title: "Clip" },
  { id: "weights", title: "Weights move" },
] as const;

export type StageId = (typeof STAGES)[number]["id"];

/** What is known of a lane's update. */
export interface SlowView {
  update: InspectionView;
  /** The ledger of each row of the frame, on the same batch. */
  ledgers: readonly InspectionView[];
}

/** How much of the pictures can be seen. */
export interface Reveal {
  /** States are there before this timestep. */
  forward: number;
  /** Gradients are there from this timestep on. */
  backward: number;
  hasLoss: boolean;
}

/** What slow motion needs of the page. */
export interface Stagehand {
  readonly lanes: readonly Lane[];
  /** Pictures show the next training batch from here on. */
  refresh(): void;
  /** One training step in every lane that can. */
  stepEach(): Promise<void>;
}

export class SlowMotion {
  /** Place in `STAGES`. */
  at = $state(0);
  /** How far the stage has come, 0 to 1. */
  progress = $state(0);
  /** By lane key; a sentence where the update cannot be told. */
  readonly views = new SvelteMap<number, SlowView | { failure: string }>();
  readonly stage: StageId = $derived(STAGES[this.at]?.id ?? "forward");
  /** False while numbers are on their way: the next stage waits for them. */
  isReady = $state(false);

  private isOver = false;

  constructor(private readonly page: Stagehand) {}

  /** True when pictures stay as they are: the update is made, and they still show what it came from. */
  get isHeld(): boolean {
    return this.stage === "weights";
  }

  /** From the first stage, with the update that comes next. */
  async begin(): Promise<void> {
    this.isReady = false;
    this.at = 0;
    this.progress = 0;
    this.page.refresh();
    await Promise.all(this.page.lanes.map((lane) => this.look(lane)));
    this.isReady = true;
  }

  private async look(lane: Lane): Promise<void> {
    const { client } = lane;
    if (client === null || lane.status !== "ready") {
      this.views.set(lane.key, { failure: lane.message ?? "This lane does not train." });
      return;
    }
    try {
      const update = viewInspection(await client.call("inspect", { query: { panel: "update" } }));
      const ledgers: InspectionView[] = [];
      for (let row = 0; row < (lane.frame?.rows.length ?? 1); row++) {
        const query = { panel: "ledger", row, batch: "next" } as const;
        ledgers.push(viewInspection(await client.call("inspect", { query })));
      }
      this.views.set(lane.key, { update, ledgers });
    } catch (error) {
      this.views.set(lane.key, { failure: error instanceof Error ? error.message : String(error) });
    }
  }

  /** The next stage; after the last one, the next update. The last stage makes this one. */
  async next(): Promise<void> {
    if (!this.isReady || this.isOver) return;
    if (this.at === STAGES.length - 1) {
      await this.begin();
      return;
    }
    this.at += 1;
    this.progress = 0;
    if (this.stage !== "weights") return;
    this.isReady = false;
    await this.page.stepEach();
    this.isReady = true;
  }

  /** Nothing more happens. */
  end(): void {
    this.isOver = true;
  }

  /** What can be seen of T timesteps. */
  reveal(nSteps: number): Reveal {
    const { at, progress } = this;
    return {
      forward: at === 0 ? progress * nSteps : nSteps,
      backward: at < 2 ? nSteps : at === 2 ? (1 - progress) * nSteps : 0,
      hasLoss: at > 0,
    };
  }
}
