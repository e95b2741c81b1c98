// Page tests: the built page in the system's Chromium, at the address UNROLL_URL.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/page/**/*.test.ts"],
    environment: "node",
    // One browser at a time: training fills the cores, and the tests measure times.
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
