// Builds the static site: the page and the bare example, relative addresses only, so that any folder of any host serves it.

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { recordedRun } from "./recorded";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: "./",
  plugins: [svelte(), recordedRun()],
  resolve: { alias: { unroll: here("../pkg/unroll.js") } },
  // The package lies beside this folder, not in it.
  server: { fs: { allow: [here("..")] } },
  worker: { format: "es" },
  build: {
    target: "es2022",
    // WebAssembly must stay a file of its own, so that it compiles while it streams.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: { index: here("index.html"), example: here("example.html") } },
  },
});
