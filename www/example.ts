// The package from a bare page: an LSTM learns to remember the first of 25 symbols, and the gradient's decay is read off.
import init, { Session } from "unroll";

const out = document.getElementById("out");
const say = (line: string): void => out?.append(`${line}\n`);

try {
  await init();
  const session = await Session.create({
    task: { id: "first-symbol", length: 25 },
    model: { id: "lstm", hidden: 16, init: { id: "forget-bias", forgetBias: 1 } },
    optimiser: { id: "adam", lr: 0.003 },
    seed: 1,
  });
  const { step, loss } = await session.advance(200);
  say(`step ${step}: loss ${loss.toFixed(4)} on the ${session.backend}`);
  const { header } = await session.frame();
  const fit = header.rows[0]?.ribbons[0]?.fit;
  say(`the gradient with respect to h changes by a factor of ${fit?.factor.toFixed(4) ?? "?"} per step back`);
  const { accuracy, criterion, solved } = await session.evaluate();
  say(`held-out accuracy ${(100 * accuracy).toFixed(1)} %; ${criterion}: ${solved ? "reached" : "not reached yet"}`);
  session.free();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
}
