// Unit tests: settings, protocol, scheduler, drawing. Nothing here needs a browser.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["test/**/*.test.ts", "src/**/*.test.ts"], exclude: ["test/page/**"], environment: "node" },
});
