import { expect, test } from "vitest";
import { GLOSSARY, type Definition } from "../../src/glossary";
import { pieces } from "../../src/lessons/lesson";

test.each(Object.entries<Definition>(GLOSSARY))(
  "glossary_defines_%s_in_sentences_and_formulas_that_are_set_whole",
  (_, one) => {
    const set = (text: string): string =>
      pieces(text)
        .map((piece) => (piece.kind === "operation" ? "[]" : piece.text))
        .join("");
    for (const text of [one.formula, one.text]) {
      expect(set(text)).not.toMatch(/_|\{|\}|\[|\]/);
      expect(text.trim()).toBe(text);
    }
    expect(one.text).toMatch(/^[A-Z0-9].*\.$/);
    expect(one.formula.length).toBeGreaterThan(5);
  },
);

test("glossary_names_nothing_twice", () => {
  const names = Object.values(GLOSSARY).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
