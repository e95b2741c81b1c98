// The page's side of one worker: a call is a promise that always settles.

import type { CallName, Calls, Failure, FromWorker, Report, Request } from "./protocol";
import { CallFailed } from "./protocol";

/** The part of `Worker` that the client uses. */
export interface WorkerLike {
  postMessage(message: unknown, transfer: Transferable[]): void;
  terminate(): void;
  onmessage: ((event: MessageEvent<FromWorker>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class LaneClient {
  private nextId = 1;
  private readonly pending = new Map<number, Pending>();
  private isClosed = false;

  constructor(
    private readonly worker: WorkerLike,
    private readonly onReport: (report: Report) => void,
  ) {
    worker.onmessage = (event) => {
      this.receive(event.data);
    };
    worker.onerror = (event) => {
      // The worker could not even start, or failed outside of its loop.
      this.lose({ kind: "crashed", message: event.message || "the worker could not be started" });
    };
  }

  call<Name extends CallName>(
    type: Name,
    ask: Calls[Name]["ask"],
    transfer: Transferable[] = [],
  ): Promise<Calls[Name]["answer"]> {
    if (this.isClosed)
      return Promise.reject(new CallFailed({ kind: "cancelled", message: `${type}: the lane is gone` }));
    const id = this.nextId++;
    const request = { ...ask, type, id } as Request;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.worker.postMessage(request, transfer);
    });
  }

  /** Ends the worker; calls that wait are cancelled. */
  close(): void {
    this.end({ kind: "cancelled", message: "the lane was closed" });
  }

  private receive(message: FromWorker): void {
    switch (message.type) {
      case "answer":
        this.settle(message.id)?.resolve(message.value);
        return;
      case "failure":
        this.settle(message.id)?.reject(new CallFailed(message.failure));
        return;
      case "crashed":
        this.lose({ kind: "crashed", message: message.message });
        return;
      case "progress":
      case "evaluation":
      case "diverged":
      case "engine":
      case "snapshots":
        if (!this.isClosed) this.onReport(message);
        return;
      default:
        message satisfies never;
    }
  }

  private settle(id: number): Pending | undefined {
    const found = this.pending.get(id);
    this.pending.delete(id);
    return found;
  }

  private lose(failure: Failure): void {
    if (this.isClosed) return;
    this.end(failure);
    this.onReport({ type: "crashed", message: failure.message });
  }

  private end(failure: Failure): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.worker.terminate();
    const waiting = [...this.pending.values()];
    this.pending.clear();
    for (const one of waiting) one.reject(new CallFailed(failure));
  }
}
