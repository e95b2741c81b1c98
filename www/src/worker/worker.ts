// One worker per lane: loads the package and hands it to the loop. Training never runs on the page's thread.

import init, { Session, catalog, cliff, countParameters } from "unroll";
import type { FromWorker, Request } from "./protocol";
import { sizesOf } from "./sizes";
import { Trainer } from "./trainer";

const scope = self as unknown as DedicatedWorkerGlobalScope;

let loading: Promise<unknown> | undefined;
/** Loads the package once. */
const load = (): Promise<unknown> => (loading ??= init());

// A message to oneself comes after the messages that already wait, and without the delay of a timer.
const channel = new MessageChannel();
let wake: (() => void) | undefined;
channel.port1.onmessage = () => wake?.();

const trainer = new Trainer({
  catalog: async () => {
    await load();
    return catalog();
  },
  create: async (config) => {
    await load();
    return Session.create(config);
  },
  cliff: async (query) => {
    await load();
    return cliff(query);
  },
  sizes: async (asked) => {
    await load();
    return sizesOf(countParameters, asked);
  },
  // eslint-disable-next-line no-restricted-properties -- the one place where the loop gets its clock
  now: () => performance.now(),
  breathe: () =>
    new Promise<void>((resolve) => {
      wake = resolve;
      channel.port2.postMessage(null);
    }),
  post: (message: FromWorker, transfer) => {
    scope.postMessage(message, transfer);
  },
  isFatal: (error) => error instanceof WebAssembly.RuntimeError,
});

scope.onmessage = (event: MessageEvent<Request>) => {
  trainer.receive(event.data);
};

// A panic inside a promise of the package surfaces here, and the promise itself never settles.
scope.addEventListener("error", (event) => {
  trainer.crash(event.error ?? new Error(event.message));
});
scope.addEventListener("unhandledrejection", (event) => {
  trainer.crash(event.reason);
});
