// Unit tests: settings, protocol, scheduler, drawing. Nothing here needs a browser.

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  test: {
    include: ["test/**/*.test.ts", "src/**/*.test.ts"],
    exclude: ["test/page/**"],
    environment: "node",
    // A test that hangs; a busy machine takes several times as long as an idle one.
    testTimeout: 60_000,
  },
});
