// The rules of the code style that a machine can hold.

import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

const clock = "Pass the clock or the random numbers in, so that tests can hold them still.";

export default ts.config(
  { ignores: ["dist", "node_modules"] },
  js.configs.recommended,
  ...ts.configs.strictTypeChecked,
  ...ts.configs.stylisticTypeChecked,
  ...svelte.configs.recommended,
  {
    languageOptions: {
      globals: { ...globals.browser, ...globals.worker },
      parserOptions: { projectService: true, extraFileExtensions: [".svelte"], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/consistent-type-definitions": "off",
      // `Uint32Array<ArrayBufferLike>` says what the function takes better than its short form.
      "@typescript-eslint/no-unnecessary-type-arguments": "off",
      // The compiler's own noPropertyAccessFromIndexSignature style: brackets mark names that come from data.
      "@typescript-eslint/dot-notation": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-restricted-properties": [
        "error",
        { object: "Math", property: "random", message: clock },
        { object: "Date", property: "now", message: clock },
        { object: "performance", property: "now", message: clock },
      ],
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
    rules: {
      // Types of components and of snippets' arguments are unknown to eslint here; svelte-check judges them.
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      "@typescript-eslint/no-confusing-void-expression": "off",
      // A value can change behind an await or a binding, which the rule does not see.
      "@typescript-eslint/no-unnecessary-condition": "off",
      // Maps that are made anew with each derivation need no reactivity of their own.
      "svelte/prefer-svelte-reactivity": "off",
    },
  },
  {
    files: ["*.config.ts", "recorded.ts"],
    languageOptions: { parserOptions: { projectService: false, project: "./test/tsconfig.json" } },
  },
  { files: ["*.js"], ...ts.configs.disableTypeChecked },
  { files: ["*.config.ts", "eslint.config.js", "test/**"], languageOptions: { globals: globals.node } },
  {
    files: ["test/**"],
    rules: {
      // Tests measure real times, and look at errors and at values that change behind a callback as a caller would.
      "no-restricted-properties": "off",
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-misused-spread": "off",
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/no-unnecessary-type-assertion": "off",
      "@typescript-eslint/prefer-includes": "off",
    },
  },
);
