/**
 * Counts what an engine asks of WebGPU, by wrapping the methods of its interfaces. Counts, unlike times, do not depend on
 * what else the machine does. A worker has interfaces of its own; the engines all stay on the page's thread.
 */

/** A count, and the methods that add to it. */
const COUNTS = [
  { name: "dispatches", owner: "GPUComputePassEncoder", methods: ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"] },
  { name: "passes", owner: "GPUCommandEncoder", methods: ["beginComputePass"] },
  { name: "submits", owner: "GPUQueue", methods: ["submit"] },
  { name: "writes", owner: "GPUQueue", methods: ["writeBuffer"] },
  { name: "copies", owner: "GPUCommandEncoder", methods: ["copyBufferToBuffer"] },
  { name: "bind groups", owner: "GPUDevice", methods: ["createBindGroup"] },
  { name: "buffers", owner: "GPUDevice", methods: ["createBuffer"] },
  { name: "shaders", owner: "GPUDevice", methods: ["createShaderModule"] },
  { name: "pipelines", owner: "GPUDevice", methods: ["createComputePipeline", "createComputePipelineAsync"] },
  { name: "maps", owner: "GPUBuffer", methods: ["mapAsync"] },
];

export interface WebgpuCalls {
  /** Of the device that the engine computes on; null before it has asked for one. */
  adapter: { name: string; software: boolean } | null;
  /** Calls so far, by the names of the counts. */
  calls: Record<string, number>;
}

/** Puts `before` in front of a method of a WebGPU interface. */
function wrap(owner: string, method: string, before: (self: object) => void): void {
  const { prototype } = Reflect.get(globalThis, owner) as { prototype: object };
  const original = Reflect.get(prototype, method) as (...args: unknown[]) => unknown;
  Object.defineProperty(prototype, method, {
    value(this: object, ...args: unknown[]) {
      before(this);
      return Reflect.apply(original, this, args);
    },
  });
}

/** Starts to count; to be called before the engine asks for its device. What is returned goes on changing. */
export function countWebgpuCalls(): WebgpuCalls {
  if (!("gpu" in navigator)) throw new Error("this browser has no WebGPU");
  const counted: WebgpuCalls = { adapter: null, calls: {} };
  const { calls } = counted;
  for (const { name, owner, methods } of COUNTS) {
    calls[name] = 0;
    for (const method of methods) wrap(owner, method, () => (calls[name] = (calls[name] ?? 0) + 1));
  }
  wrap("GPUAdapter", "requestDevice", (adapter) => {
    const { vendor, architecture, description, isFallbackAdapter } = (adapter as GPUAdapter).info;
    const name = [vendor, architecture, description].filter((part) => part !== "").join(" ");
    counted.adapter = { name: name || "unnamed", software: isFallbackAdapter };
  });
  return counted;
}
