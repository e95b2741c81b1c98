// Sessions on WebGPU, on a bare page with the package and nothing else: what they compute, what they ask of the device, and what happens
// when it is refused, too small or lost. The adapter is the browser's own software.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { Progress, Session, SessionConfig } from "../../../pkg/unroll.js";
import { browsing, SOFTWARE_GPU } from "./browser";

interface Counts {
  dispatches: number;
  passes: number;
  submits: number;
  bindGroups: number;
  buffers: number;
  pipelines: number;
}

type Around = (call: (...args: unknown[]) => unknown, args: unknown[]) => unknown;

/** What the bare page offers to the functions that run there. */
interface Bare {
  Session: { create: (config: SessionConfig) => Promise<Session> };
  config: (changes: object) => SessionConfig;
  devices: { destroy: () => void }[];
  counts: Counts;
}

declare global {
  interface Window {
    bare: Bare;
    /** Puts `around` in the place of a method of a WebGPU interface. */
    wrap: (owner: string, method: string, around: Around) => void;
  }
}

const { browser } = browsing(SOFTWARE_GPU);

/** A page with the package loaded, calls of WebGPU counted, devices within reach. `before` runs first of all. */
async function bare(before?: () => void): Promise<Page> {
  const url = process.env["UNROLL_PACKAGE_URL"];
  if (url === undefined) throw new Error("set UNROLL_PACKAGE_URL to the address of the built package");
  const page = await (await (await browser()).newContext()).newPage();
  await page.goto(new URL("package.json", url).href);
  await page.evaluate(() => {
    window.wrap = (owner, method, around) => {
      const { prototype } = Reflect.get(globalThis, owner) as { prototype: object };
      const original = Reflect.get(prototype, method) as (...args: unknown[]) => unknown;
      Object.defineProperty(prototype, method, {
        value(this: object, ...args: unknown[]) {
          return around((...others) => Reflect.apply(original, this, others), args);
        },
      });
    };
  });
  if (before !== undefined) await page.evaluate(before);
  // In words, because the test runner would turn an import of its own into something else.
  const unroll = await page.evaluateHandle<{ default: () => Promise<unknown>; Session: Bare["Session"] }>(
    `import(${JSON.stringify(new URL("unroll.js", url).href)})`,
  );
  await page.evaluate(async (unroll) => {
    const counts: Counts = { dispatches: 0, passes: 0, submits: 0, bindGroups: 0, buffers: 0, pipelines: 0 };
    const count = (owner: string, method: string, name: keyof Counts): void => {
      window.wrap(owner, method, (call, args) => {
        counts[name] += 1;
        return call(...args);
      });
    };
    count("GPUComputePassEncoder", "dispatchWorkgroups", "dispatches");
    count("GPUCommandEncoder", "beginComputePass", "passes");
    count("GPUQueue", "submit", "submits");
    count("GPUDevice", "createBindGroup", "bindGroups");
    count("GPUDevice", "createBuffer", "buffers");
    count("GPUDevice", "createComputePipeline", "pipelines");
    const devices: Bare["devices"] = [];
    window.wrap("GPUAdapter", "requestDevice", async (call, args) => {
      const device = (await call(...args)) as Bare["devices"][number];
      devices.push(device);
      return device;
    });
    await unroll.default();
    const config = (changes: object): SessionConfig => ({
      task: { id: "first-symbol", length: 12 },
      model: { id: "gru", hidden: 12 },
      batch: 6,
      seed: 4,
      ...changes,
    });
    window.bare = { Session: unroll.Session, devices, counts, config };
  }, unroll);
  return page;
}

test("webgpu_trains_as_the_cpu_does_whatever_is_called_meanwhile", async () => {
  const page = await bare();
  const seen = await page.evaluate(async () => {
    const { Session, config } = window.bare;
    const changes = { optimiser: { id: "adam", lr: 0.01 }, clip: { kind: "norm", at: 0.5 } };
    const [gpu, cpu] = await Promise.all(
      ["webgpu", "cpu"].map((backend) => Session.create(config({ ...changes, backend }))),
    );
    if (gpu === undefined || cpu === undefined) throw new Error("two sessions");
    const before = gpu.backend;
    // A picture, an evaluation and weights in the middle change nothing.
    const long = gpu.advance(60);
    await new Promise((resolve) => setTimeout(resolve, 60));
    const others = await Promise.all([gpu.frame(), gpu.evaluate(), gpu.weights(), gpu.snapshot(), gpu.frame()]);
    const [one, other] = [await long, await cpu.advance(60)];
    const blob = await gpu.snapshot();
    await cpu.restore(blob);
    const [next, twin] = [await gpu.advance(10), await cpu.advance(10)];
    const frames = await Promise.all([gpu.frame(), cpu.frame()]);
    return {
      backends: [before, gpu.backend, cpu.backend],
      reason: gpu.reason,
      frameStep: others[0].header.step,
      steps: [one.step, next.step],
      losses: [[...one.losses], [...other.losses], [...next.losses], [...twin.losses]] as const,
      norms: [next.gradientNorm, twin.gradientNorm] as const,
      frames: frames.map((frame) => [...new Float32Array(frame.data)]),
    };
  });
  expect(seen.backends).toEqual(["webgpu", "webgpu", "cpu"]);
  expect(seen.reason).toMatch(/^WebGPU on .+, as chosen\.$/);
  expect(seen.frameStep).toBeGreaterThan(0);
  expect(seen.frameStep).toBeLessThan(60);
  expect(seen.steps).toEqual([60, 70]);
  const [one, other, next, twin] = seen.losses;
  expect([one, other, next, twin].map((losses) => losses.length)).toEqual([60, 60, 10, 10]);
  for (const [got, wanted] of [
    [one, other],
    [next, twin],
  ] as const)
    got.forEach((loss, at) => {
      expect(Math.abs(loss - (wanted[at] ?? Number.NaN)) / loss).toBeLessThan(1e-3);
    });
  expect(seen.norms[0] / seen.norms[1]).toBeCloseTo(1, 3);
  const [drawn = [], expected = []] = seen.frames;
  const largest = Math.max(...expected.filter((value) => Number.isFinite(value)));
  expect(drawn).toHaveLength(expected.length);
  drawn.forEach((value, at) => {
    const wanted = expected[at] ?? Number.NaN;
    expect(Number.isFinite(value)).toBe(Number.isFinite(wanted));
    if (Number.isFinite(value)) expect(Math.abs(value - wanted) / largest).toBeLessThan(2e-3);
  });
});

test("webgpu_step_is_one_pass_of_few_dispatches_whatever_the_length", async () => {
  // Counts do not need the work to be done, and without it a step of 512 timesteps takes no time.
  const page = await bare(() => {
    window.wrap("GPUComputePassEncoder", "dispatchWorkgroups", () => undefined);
  });
  const measured = await page.evaluate(async () => {
    const { Session, counts, config } = window.bare;
    const steps = 400;
    const result: { what: string; length: number; counts: Counts }[] = [];
    for (const layers of [1, 2]) {
      for (const id of ["elman", "lstm", "gru"]) {
        for (const length of [8, 512]) {
          const task = { id: "first-symbol", length };
          const model = { id, hidden: 5, layers };
          const session = await Session.create(config({ task, model, backend: "webgpu", batch: 2 }));
          await session.advance(steps);
          const before = { ...counts };
          await session.advance(steps);
          const spent = { ...counts };
          for (const name of Object.keys(counts) as (keyof Counts)[])
            spent[name] = (counts[name] - before[name]) / steps;
          result.push({ what: `${id}, ${layers.toString()} layers`, length, counts: spent });
          session.free();
        }
      }
    }
    return result;
  });
  const dispatches = new Map<string, number>();
  for (const { what, counts } of measured) {
    expect(counts.passes, what).toBe(1);
    expect([counts.bindGroups, counts.buffers, counts.pipelines], what).toEqual([0, 0, 0]);
    // Many steps go with each submit; some more bring the numbers to the host a few times a second.
    expect(counts.submits, what).toBeLessThan(0.2);
    expect(counts.dispatches, what).toBeLessThanOrEqual(what.includes("1 layers") ? 8 : 12);
    // As many at T = 8 as at T = 512.
    expect(dispatches.get(what) ?? counts.dispatches, what).toBe(counts.dispatches);
    dispatches.set(what, counts.dispatches);
  }
  console.log([...dispatches].map(([what, n]) => `${what}: ${n.toString()} dispatches a step`).join("\n"));
});

test("webgpu_cuts_time_loops_that_keep_a_device_too_long", async () => {
  // An adapter that says neither what it is called nor that it is software: its dispatches must be short, and here they are not.
  const page = await bare(() => {
    const { prototype } = Reflect.get(globalThis, "GPUAdapterInfo") as { prototype: object };
    Object.defineProperty(prototype, "isFallbackAdapter", { get: () => false });
    Object.defineProperty(prototype, "description", { get: () => "" });
  });
  const seen = await page.evaluate(async () => {
    const { Session, counts, config } = window.bare;
    const changes = { task: { id: "adding", length: 512 }, model: { id: "lstm", hidden: 128 }, batch: 16 };
    const [gpu, cpu] = await Promise.all(
      ["webgpu", "cpu"].map((backend) => Session.create(config({ ...changes, backend }))),
    );
    if (gpu === undefined || cpu === undefined) throw new Error("two sessions");
    const losses = [...(await gpu.advance(4)).losses];
    const before = { ...counts };
    losses.push(...(await gpu.advance(1)).losses);
    const spent = { dispatches: counts.dispatches - before.dispatches, passes: counts.passes - before.passes };
    return { spent, backend: gpu.backend, reason: gpu.reason, losses, twin: [...(await cpu.advance(5)).losses] };
  });
  expect(seen.backend).toBe("webgpu");
  expect(seen.reason).toBe("WebGPU on google swiftshader, as chosen.");
  expect(seen.spent.passes).toBe(1);
  // Six that are no loops, and both loops in parts.
  expect(seen.spent.dispatches).toBeGreaterThan(9);
  expect(seen.losses).toHaveLength(5);
  seen.losses.forEach((loss, at) => {
    expect(Math.abs(loss - (seen.twin[at] ?? Number.NaN)) / loss).toBeLessThan(1e-4);
  });
});

test("webgpu_lost_while_training_goes_on_on_the_cpu", async () => {
  const page = await bare();
  const seen = await page.evaluate(async () => {
    const { Session, devices, config } = window.bare;
    const [session, twin] = await Promise.all(["webgpu", "cpu"].map((backend) => Session.create(config({ backend }))));
    if (session === undefined || twin === undefined) throw new Error("two sessions");
    await session.advance(20);
    const running: Promise<Progress> = session.advance(200);
    await new Promise((resolve) => setTimeout(resolve, 30));
    devices.at(-1)?.destroy();
    const progress = await running;
    const [, next] = [await twin.advance(220), await session.advance(5)];
    const after = await twin.advance(5);
    // A device can be had again.
    const again = await Session.create(config({ backend: "webgpu" }));
    return {
      step: progress.step,
      backend: session.backend,
      reason: session.reason,
      losses: [[...next.losses], [...after.losses]] as const,
      again: again.backend,
    };
  });
  expect(seen.step).toBe(220);
  expect(seen.backend).toBe("cpu");
  expect(seen.reason).toMatch(/^The CPU \(WebAssembly SIMD\) since step \d+, because WebGPU is not available: .+\.$/);
  seen.losses[0].forEach((loss, at) => {
    expect(Math.abs(loss - (seen.losses[1][at] ?? Number.NaN)) / loss).toBeLessThan(1e-2);
  });
  expect(seen.again).toBe("webgpu");
});

test.each([
  [
    "no_adapter",
    () => {
      window.wrap("GPU", "requestAdapter", () => Promise.resolve(null));
    },
  ],
  [
    "device_refused",
    () => {
      window.wrap("GPUAdapter", "requestDevice", () => Promise.reject(new Error("no device today")));
    },
  ],
  [
    "limits_too_low",
    () => {
      const limits = Reflect.get(globalThis, "GPUSupportedLimits") as { prototype: object };
      Object.defineProperty(limits.prototype, "maxComputeWorkgroupsPerDimension", { get: () => 1 });
    },
  ],
  [
    "shader_refused",
    () => {
      window.wrap("GPUDevice", "createShaderModule", (call, [descriptor]) => {
        const { code } = descriptor as { code: string };
        return call({ ...(descriptor as object), code: `${code}\nfn broken( {` });
      });
    },
  ],
  [
    "memory_refused",
    () => {
      window.wrap("GPUDevice", "createBuffer", (call, [descriptor]) => {
        const { size, mappedAtCreation } = descriptor as { size: number; mappedAtCreation?: boolean };
        return call({ ...(descriptor as object), size: mappedAtCreation === true ? size : 2 ** 45 });
      });
    },
  ],
] as const)("webgpu_%s_trains_on_the_cpu_and_says_why", async (_, before) => {
  const page = await bare(before);
  const seen = await page.evaluate(async () => {
    const { Session, config } = window.bare;
    const [session, twin] = await Promise.all(["webgpu", "cpu"].map((backend) => Session.create(config({ backend }))));
    if (session === undefined || twin === undefined) throw new Error("two sessions");
    const [one, other] = [await session.advance(20), await twin.advance(20)];
    return { backend: session.backend, reason: session.reason, losses: [[...one.losses], [...other.losses]] };
  });
  expect(seen.backend).toBe("cpu");
  expect(seen.reason).toMatch(/^The CPU \(WebAssembly SIMD\), because WebGPU is not available: [^\n]+[^.\n]\.$/);
  expect(seen.losses[0]).toEqual(seen.losses[1]);
});

test("webgpu_step_that_is_not_finite_is_named_and_undone", async () => {
  const page = await bare();
  const seen = await page.evaluate(async () => {
    const { Session, config } = window.bare;
    const task = { id: "adding", length: 8 };
    const model = { id: "elman", hidden: 8, nonlinearity: "identity" };
    const changes = { task, model, optimiser: { id: "sgd", lr: 10 } };
    const [gpu, cpu] = await Promise.all(
      ["webgpu", "cpu"].map((backend) => Session.create(config({ ...changes, backend }))),
    );
    if (gpu === undefined || cpu === undefined) throw new Error("two sessions");
    const start = await gpu.weights();
    const [one, other] = [await gpu.advance(200), await cpu.advance(200)];
    const weights = await gpu.weights();
    // It goes on from weights that are good again.
    await gpu.setWeights(start);
    gpu.setHyper({ lr: 1e-3 });
    const after = await gpu.advance(3);
    return {
      backend: gpu.backend,
      steps: [one.step, other.step],
      diverged: [one.diverged, other.diverged],
      // What follows the header of safetensors; its length is a multiple of 8.
      finite: [
        ...new Float32Array(weights.slice(8 + (new Uint32Array(weights.slice(0, 4).buffer)[0] ?? 0)).buffer),
      ].every((value) => Number.isFinite(value)),
      after: { step: after.step, diverged: after.diverged },
    };
  });
  expect(seen.backend).toBe("webgpu");
  const [one, other] = seen.diverged;
  expect(other?.tensor).toBeDefined();
  expect(one).toMatchObject({ step: seen.steps[0], tensor: expect.any(String) as string });
  expect(Math.abs((seen.steps[0] ?? 0) - (seen.steps[1] ?? 0))).toBeLessThanOrEqual(1);
  expect(seen.finite).toBe(true);
  expect(seen.after).toEqual({ step: (seen.steps[0] ?? 0) + 3, diverged: null });
});

test("webgpu_automatic_choice_stays_on_the_cpu_beside_a_software_adapter", async () => {
  const page = await bare();
  const seen = await page.evaluate(async () => {
    const { Session, config } = window.bare;
    const session = await Session.create(config({ backend: "auto" }));
    const first = session.reason;
    for (let at = 0; at < 100 && session.reason === first; at += 1) await session.advance(500);
    return { first, then: session.reason, backend: session.backend };
  });
  expect(seen.first).toBe("The CPU (WebAssembly SIMD), until WebGPU has been measured.");
  expect(seen.then).toMatch(
    /^The CPU \(WebAssembly SIMD\): WebGPU is here \(.+\), but computes on the same processor\.$/,
  );
  expect(seen.backend).toBe("cpu");
});
