import type { BrowserContextOptions, Page } from "playwright-core";
import { expect, test } from "vitest";
import {
  accessible,
  address,
  browsing,
  fitFactor,
  isRunning,
  pause,
  PHONE,
  ready,
  ribbon,
  steps,
  trained,
} from "./browser";
// The hook's type on `window`.
import type {} from "../../src/lab/hook";

const { browser, open } = browsing();

/** Goes on after every lane has solved the task, however fast the machine. */
const ENDLESS = "#v=1&pause-at-goal=off";

const sentences = (page: Page) => page.getByTestId("sentence");
const run = (page: Page): Promise<void> => page.getByRole("button", { name: "Run" }).click();
const hash = (page: Page): string => new URL(page.url()).hash;

test("page_runs_counts_steps_and_says_the_factor_that_the_frame_has", async () => {
  const { page, errors, strangers } = await open(ENDLESS);
  await run(page);
  await trained(page, 100);
  const first = await page.getByTestId("step").textContent();
  await page.waitForFunction((text) => document.querySelector("[data-testid=step]")?.textContent !== text, first);
  await pause(page);
  expect(await sentences(page).count()).toBe(2);
  for (const lane of [0, 1]) {
    const sentence = sentences(page).nth(lane);
    const factor = fitFactor(await ribbon(page, lane));
    expect(factor).toBeGreaterThan(0);
    expect(Number(await sentence.getAttribute("data-factor")) / factor).toBeCloseTo(1, 4);
    // The text says the same to the digits that it has.
    const said = /×([\d.]+) a step back/.exec((await sentence.textContent()) ?? "")?.[1];
    expect(said).toBeDefined();
    const digits = said?.split(".")[1]?.length ?? 0;
    expect(Math.abs(Number(said) - factor)).toBeLessThanOrEqual(0.51 * 10 ** -digits);
  }
  expect(errors).toEqual([]);
  expect(strangers).toEqual([]);
});

test("page_lanes_pause_at_the_same_step", async () => {
  const { page } = await open(ENDLESS);
  await run(page);
  await trained(page, 200);
  await pause(page);
  // The slower lane makes up the few steps that it is behind when the pause begins.
  await page.waitForFunction(() => new Set(window.unroll?.steps()).size === 1);
  const [a, b] = await steps(page);
  expect(a).toBe(b);
  await page.getByRole("button", { name: "Step" }).click();
  await page.waitForFunction((before) => (window.unroll?.steps() ?? []).every((step) => step === before + 1), a ?? 0);
});

test("page_pauses_at_the_goal_says_so_and_goes_on", async () => {
  // One lane that learns the smallest memory task within a few hundred steps.
  const { page } = await open("#v=1&task.length=5&lanes=1&optimiser.lr=0.01");
  await run(page);
  await page.getByText("Every lane has solved the task").waitFor();
  expect(await isRunning(page)).toBe(false);
  await page.getByText(/solved at step \d+/).waitFor();
  const [before] = await steps(page);
  await run(page);
  await trained(page, (before ?? 0) + 20);
});

test("page_pause_acts_at_once", async () => {
  const { page } = await open(ENDLESS);
  await run(page);
  await trained(page, 100);
  // Counted in steps on the page itself, not in seconds: what a busy machine slows down, it slows down on both sides.
  const { running, after } = await page.evaluate(async () => {
    const total = (): number => window.unroll?.steps().reduce((sum, steps) => sum + steps, 0) ?? 0;
    const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    const first = total();
    await wait(700);
    const pressed = total();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true, cancelable: true }));
    await wait(700);
    return { running: pressed - first, after: total() - pressed };
  });
  expect(await isRunning(page)).toBe(false);
  expect(running).toBeGreaterThan(0);
  expect(after).toBeLessThan(running / 3);
});

test("page_changes_task_and_lane_and_the_address_brings_them_back", async () => {
  const { page } = await open();
  const task = page.getByLabel("Task", { exact: true });
  const ids = await task
    .locator("option")
    .evaluateAll((options) => options.map((option) => (option as HTMLOptionElement).value));
  const other = ids.find((id) => id !== "first-symbol") ?? "";
  await task.selectOption(other);
  await page.locator("#lane-chip-1").click();
  const card = page.getByRole("dialog", { name: "Settings of lane B" });
  await card.getByLabel("Network").selectOption("gru");
  await card.getByLabel("Hidden units").fill("24");
  await card.getByLabel("Hidden units").press("Enter");
  await card.getByRole("button", { name: "Done" }).click();
  await page.waitForFunction(() => window.unroll?.frame(1)?.header.rows[0]?.units === 24);
  expect(hash(page)).toContain(`task=${other}`);
  expect(hash(page)).toContain("b.model=gru");
  expect(hash(page)).toContain("b.hidden=24");

  const before = hash(page);
  await page.reload();
  await ready(page);
  expect(hash(page)).toBe(before);
  expect(await task.inputValue()).toBe(other);
  expect(await page.locator("#lane-chip-1").textContent()).toContain("24 units");
  const channels = await page.evaluate(() => window.unroll?.frame(1)?.header.rows[0]?.channels.map((one) => one.id));
  expect(channels).toContain("z");
});

test("page_asks_before_it_restarts_a_run_and_learning_rate_needs_none", async () => {
  const { page } = await open(ENDLESS);
  await run(page);
  await trained(page, 50);
  await page.getByLabel("Learning rate", { exact: true }).fill("0.01");
  await page.getByLabel("Learning rate", { exact: true }).press("Enter");
  const waiting = page.getByRole("button", { name: "Apply and restart" });
  expect(await waiting.count()).toBe(0);
  expect(hash(page)).toContain("optimiser.lr=0.01");

  await page.locator("#lane-chip-0").click();
  await page.getByLabel("Hidden units").fill("20");
  await page.getByLabel("Hidden units").press("Enter");
  await page.keyboard.press("Escape");
  await waiting.waitFor();
  expect(await isRunning(page)).toBe(true);
  expect(await page.evaluate(() => window.unroll?.frame(0)?.header.rows[0]?.units)).toBe(16);
  await waiting.click();
  await page.waitForFunction(() => window.unroll?.frame(0)?.header.rows[0]?.units === 20);
  expect(await waiting.count()).toBe(0);
});

test("page_bad_values_in_the_address_give_notes_and_the_defaults", async () => {
  const { page, errors } = await open("#v=1&seed=banana&task=nonsense&colour=red");
  const notes = page.locator(".note");
  await expect.poll(() => notes.count()).toBe(3);
  const text = (await notes.allTextContents()).join(" ");
  expect(text).toContain("banana");
  expect(text).toContain("nonsense");
  expect(text).toContain("colour");
  expect(await page.getByLabel("Task", { exact: true }).inputValue()).toBe("first-symbol");
  await notes.first().getByRole("button").click();
  await expect.poll(() => notes.count()).toBe(2);
  expect(errors).toEqual([]);
});

test("page_trains_on_the_cpu_and_says_so_where_webgpu_was_asked_for_and_is_not_there", async () => {
  const { page, errors } = await open(`${ENDLESS}&a.engine=webgpu&b.engine=webgpu`);
  const note = page.locator(".note");
  await expect.poll(() => note.count()).toBe(1);
  expect(await note.textContent()).toMatch(
    /Lanes A, B train without WebGPU\. The CPU \(WebAssembly SIMD\), because WebGPU is not available: .+\./,
  );
  expect(await page.locator(".engine summary").textContent()).toBe("CPU");
  await run(page);
  await trained(page, 20);
  expect(errors).toEqual([]);
});

test("page_a_bad_value_in_the_form_is_said_and_changes_nothing", async () => {
  const { page } = await open();
  const before = hash(page);
  const field = page.getByLabel("Learning rate", { exact: true });
  await field.fill("fast");
  await field.press("Enter");
  await page.getByText("Expected a number from").waitFor();
  expect(await field.getAttribute("aria-invalid")).toBe("true");
  expect(hash(page)).toBe(before);
});

test("page_lanes_can_be_added_copied_and_removed", async () => {
  const { page } = await open();
  await page.getByRole("button", { name: "Add a lane" }).click();
  await page.waitForFunction(() => window.unroll?.steps().length === 3 && window.unroll.frame(2) !== null);
  await page.locator("#lane-chip-1").click();
  await page.getByRole("button", { name: "Duplicate" }).click();
  await page.waitForFunction(() => window.unroll?.steps().length === 4 && window.unroll.frame(3) !== null);
  expect(await page.getByRole("button", { name: "Add a lane" }).isDisabled()).toBe(true);
  const name = await page.locator("#lane-chip-1").textContent();
  expect(await page.locator("#lane-chip-3").textContent()).toBe(name?.replace("B", "D"));
  for (let lanes = 4; lanes > 1; lanes--) {
    await page.locator("#lane-chip-0").click();
    await page.getByRole("button", { name: "Remove" }).click();
    await page.waitForFunction((n) => window.unroll?.steps().length === n, lanes - 1);
  }
  expect(hash(page)).toContain("lanes=1");
});

test("page_a_new_lane_catches_up_with_the_others", async () => {
  const { page } = await open(ENDLESS);
  await run(page);
  await trained(page, 300);
  await page.getByRole("button", { name: "Add a lane" }).click();
  await page.waitForFunction(() => window.unroll?.steps().length === 3);
  // However far the others were by then: it must come near them while they go on.
  await page.waitForFunction(() => {
    const all = window.unroll?.steps() ?? [];
    return Math.max(...all) - Math.min(...all) <= 0.1 * Math.max(...all);
  });
  await pause(page);
  const all = await steps(page);
  expect(Math.max(...all) - Math.min(...all)).toBeLessThanOrEqual(0.1 * Math.max(...all));
});

test("page_can_be_run_with_the_keyboard_alone", async () => {
  const { page } = await open(ENDLESS);
  await page.keyboard.press("Space");
  await trained(page, 20);
  await page.keyboard.press("Space");
  expect(await isRunning(page)).toBe(false);
  await page.waitForFunction(() => new Set(window.unroll?.steps()).size === 1);
  const [before] = await steps(page);
  await page.keyboard.press("s");
  await page.waitForFunction((n) => window.unroll?.steps().every((step) => step === n + 1), before ?? 0);

  await page.keyboard.press("ArrowLeft");
  await page.getByText("t 25", { exact: true }).first().waitFor();
  await page.keyboard.press("ArrowLeft");
  await page.getByText("t 24", { exact: true }).first().waitFor();
  await page.keyboard.press("Escape");
  await expect.poll(() => page.getByText("t 24", { exact: true }).count()).toBe(0);

  await page.keyboard.press("2");
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("lane-chip-1");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Settings of lane B" }).waitFor();
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("SELECT");
  await page.keyboard.press("Escape");
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("lane-chip-1");

  await page.keyboard.press("?");
  await page.getByRole("heading", { name: "How far back does learning reach?" }).waitFor();
  await page.keyboard.press("Escape");

  await page.keyboard.press("r");
  await page.waitForFunction(() => window.unroll?.steps().every((step) => step === 0));
});

test("page_timestep_cursor_follows_the_pointer_and_stays_where_one_clicks", async () => {
  const { page } = await open();
  const picture = page.locator(".ribbon canvas").first();
  const box = await picture.boundingBox();
  if (box === null) throw new Error("the ribbon has no box");
  await page.mouse.move(box.x + box.width / 2, box.y + 20);
  const readOut = page.locator(".read .at");
  await expect.poll(() => readOut.count()).toBe(2);
  const shown = await readOut.first().textContent();
  await page.mouse.click(box.x + box.width / 2, box.y + 20);
  await page.mouse.move(5, 5);
  await expect.poll(() => readOut.first().textContent()).toBe(shown);
  await page.keyboard.press("Escape");
  await expect.poll(() => readOut.count()).toBe(0);
});

test("page_table_has_the_numbers_of_the_ribbon", async () => {
  const { page } = await open();
  await page.getByText("Gradients as a table").click();
  const rows = page.getByRole("region", { name: /Lane A/ }).locator("tbody tr");
  await expect.poll(() => rows.count()).toBe(25);
  const { median } = await ribbon(page, 0);
  const text = await rows.last().locator("td").first().textContent();
  expect(Number(text) / (median.at(-1) ?? 0)).toBeCloseTo(1, 2);
});

test("page_training_pauses_while_the_tab_is_hidden", async () => {
  const { page } = await open(ENDLESS);
  await run(page);
  await trained(page, 20);
  const hide = (state: string): Promise<void> =>
    page.evaluate((visibility) => {
      Object.defineProperty(document, "visibilityState", { value: visibility, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, state);
  await hide("hidden");
  expect(await isRunning(page)).toBe(false);
  await hide("visible");
  expect(await isRunning(page)).toBe(true);
});

test.each([
  ["light", {}],
  ["dark", { colorScheme: "dark" }],
  ["phone", PHONE],
  ["phone in the dark", { viewport: { width: 390, height: 844 }, colorScheme: "dark" }],
] satisfies [string, BrowserContextOptions][])("page_has_no_fault_that_axe_finds_%s", async (_, options) => {
  const { page } = await open("#v=1&seed=banana", options);
  await page.locator(".more > summary").click();
  await page.locator("#lane-chip-1").click();
  await accessible(page);
});

test("page_shows_at_most_ten_controls_besides_the_run_controls", async () => {
  const { page } = await open();
  const shown = await page.evaluate(() => {
    // Numbers that say what they are change nothing.
    const fields = [...document.querySelectorAll(".field, button:not(.term), .more > summary")];
    return fields.filter((element) => {
      const isRunControl = element.closest("[aria-label=Training]") !== null;
      return !isRunControl && element.closest("dialog") === null && element.checkVisibility();
    }).length;
  });
  expect(shown).toBeLessThanOrEqual(10);
});

test("example_page_uses_the_package_without_our_interface", async () => {
  const page = await (await browser()).newPage();
  const strangers: string[] = [];
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(address()).origin) strangers.push(request.url());
  });
  await page.goto(`${address()}example.html`);
  await page.getByText("step 200: loss").waitFor();
  const text = (await page.locator("#out").textContent()) ?? "";
  const factor = Number(/factor of ([\d.]+)/.exec(text)?.[1]);
  expect(factor).toBeGreaterThan(0.3);
  expect(factor).toBeLessThan(1.5);
  expect(text).toContain("held-out accuracy");
  expect(strangers).toEqual([]);
});

test("page_shows_a_recorded_run_marked_as_one_until_the_networks_are_there", async () => {
  const context = await (await browser()).newContext();
  const page = await context.newPage();
  let release = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route("**/*.wasm", async (route) => {
    await asked;
    await route.continue();
  });
  await page.goto(address());
  await page
    .getByText(/Recorded run: .+, step \d+/)
    .first()
    .waitFor();
  await accessible(page);
  release();
  await ready(page);
  expect(await page.getByText("Recorded run").count()).toBe(0);
  await context.close();
});
