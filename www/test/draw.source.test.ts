/** Tasks with a source: their words beside the predictions, and the line between source and answer. */

import { expect, test } from "vitest";
import type { ProbeView } from "../src/draw/frame.js";
import { predictionsHeight, wordsOf } from "../src/draw/predictions.js";

function probe(changes: Partial<ProbeView> = {}): ProbeView {
  const names = ["A", "B", "␣"];
  return {
    input: { kind: "symbols", names: [...names, "·", "»"], size: 1, values: new Float32Array([3, 0, 2, 1, 4, 1, 2]) },
    target: { kind: "class", names, size: 1, values: new Float32Array([-1, -1, -1, -1, 1, 2, 0]) },
    outputs: new Float32Array(21),
    mask: new Float32Array([0, 0, 0, 0, 1, 1, 1]),
    losses: new Float32Array(7),
    scored: [4, 5, 6],
    source: 4,
    said: new Float32Array([1, 2, 0]),
    ...changes,
  };
}

test("source_words_leave_out_the_blanks_before_and_tell_right_from_wrong", () => {
  expect(wordsOf(probe())).toEqual({ source: "A B", answer: "B A", said: "B A", right: true });
  expect(wordsOf(probe({ said: new Float32Array([1, 2, 1]) }))).toMatchObject({ said: "B B", right: false });
  expect(wordsOf(probe({ source: null, said: new Float32Array() }))).toBeNull();
});

test("source_words_have_room_above_the_predictions", () => {
  expect(predictionsHeight(probe())).toBeGreaterThan(predictionsHeight(probe({ source: null })));
});
