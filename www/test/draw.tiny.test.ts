import { describe, expect, it } from "vitest";
import { firstSymbol, network, parity, pass, random, sine, tensorsOf, trainer } from "./support/tiny.js";

describe("the tiny network of these tests", () => {
  for (const [name, task, kind, depth, both] of [
    ["elman", firstSymbol(6, 3), "elman", 1, false],
    ["lstm", firstSymbol(6, 3), "lstm", 1, false],
    ["deep elman, values", sine(7), "elman", 2, false],
    ["deep bidirectional lstm", parity(5), "lstm", 2, true],
  ] as const) {
    it(`has the gradient of finite differences: ${name}`, () => {
      const net = network(task, kind, 4, 1, depth, both);
      const sample = task.sample(random(2));
      for (const tensor of tensorsOf(net)) tensor.grad.fill(0);
      pass(net, sample);
      const grads = tensorsOf(net).map((tensor) => Float64Array.from(tensor.grad));
      tensorsOf(net).forEach((tensor, n) => {
        for (let i = 0; i < tensor.data.length; i += 3) {
          const kept = tensor.data[i] ?? 0;
          tensor.data[i] = kept + 1e-5;
          const above = pass(net, sample).loss;
          tensor.data[i] = kept - 1e-5;
          const below = pass(net, sample).loss;
          tensor.data[i] = kept;
          expect(grads[n]?.[i]).toBeCloseTo((above - below) / 2e-5, 7);
        }
      });
    });
  }

  it("has the state gradient of finite differences", () => {
    // A change of b at the last layer acts on every h_t through a_t: Σ_t d_h ⊙ φ′ = ∂L/∂b for the Elman cell.
    const task = firstSymbol(5, 3);
    const net = network(task, "elman", 4, 3);
    const { traces } = pass(net, task.sample(random(4)));
    const trace = traces[0]?.[0];
    const h = trace?.channels["h"] ?? new Float64Array(0);
    const b = net.layers[0]?.[0]?.b.grad ?? new Float64Array(0);
    for (let k = 0; k < 4; k += 1) {
      let sum = 0;
      for (let t = 0; t < 5; t += 1) sum += (trace?.dH[t * 4 + k] ?? 0) * (1 - (h[t * 4 + k] ?? 0) ** 2);
      expect(sum).toBeCloseTo(b[k] ?? Number.NaN, 12);
    }
  });

  it("learns", () => {
    const train = trainer(network(firstSymbol(3, 3), "lstm", 8, 1), 2, 8, 0.02);
    const first = train();
    let last = first;
    for (let s = 0; s < 120; s += 1) last = train();
    expect(first).toBeGreaterThan(0.9);
    expect(last).toBeLessThan(0.3);
  });
});
