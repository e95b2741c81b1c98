// Starts the page: gives the lab what it needs of the browser, and puts the components into the document.

import { mount } from "svelte";
import App from "./ui/App.svelte";
import "./ui/app.css";
import { Lab } from "./lab/lab.svelte";
import { exposeForTests } from "./lab/hook";

const lab = new Lab({
  makeWorker: () => new Worker(new URL("./worker/worker.ts", import.meta.url), { type: "module" }),
  nextFrame: (callback) => {
    requestAnimationFrame(callback);
  },
  later: (callback, ms) => {
    const timer = setTimeout(callback, ms);
    return () => {
      clearTimeout(timer);
    };
  },
  // eslint-disable-next-line no-restricted-properties -- the one place where the page gets its clock
  now: () => performance.now(),
  writeHash: (hash) => {
    history.replaceState(null, "", hash === "" ? location.pathname + location.search : hash);
  },
});

addEventListener("hashchange", () => void lab.readHash(location.hash));
document.addEventListener("visibilitychange", () => {
  lab.hide(document.visibilityState === "hidden");
});

const target = document.getElementById("app");
if (target === null) throw new Error("the document has no element #app");
mount(App, { target, props: { lab } });
exposeForTests(lab);
void lab.start(location.hash);
