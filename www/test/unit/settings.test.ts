import { describe as group, expect, test } from "vitest";
import {
  addLane,
  describe,
  differences,
  fromConfig,
  fromHash,
  hyperOf,
  parse,
  print,
  removeLane,
  restartValues,
  sessionConfig,
  toHash,
  type Setting,
  type Value,
  type Values,
} from "../../src/settings";
import { catalog } from "./catalog";

const defaults = describe(catalog, {}).values;

/** A value of the setting that is not its default. */
function other(setting: Setting): Value {
  const { kind } = setting;
  switch (kind.kind) {
    case "integer":
      return setting.default === kind.max ? kind.min : Math.min(kind.max, Number(setting.default) + 1);
    case "number":
      return setting.default === kind.max ? kind.min : kind.max;
    case "maybe":
      return setting.default === kind.min ? kind.max : kind.min;
    case "choice":
      return kind.among.find((choice) => choice.id !== setting.default)?.id ?? setting.default;
    case "switch":
      return setting.default !== true;
    case "word":
      return "other";
    case "list":
      return kind.among.map((choice) => choice.id).join(",");
  }
}

/** Every setting there is, reached through the choices that bring it into being. */
function everySetting(): { base: Values; setting: Setting }[] {
  const found = new Map<string, { base: Values; setting: Setting }>();
  for (const task of catalog.tasks) {
    for (const optimiser of catalog.optimisers) {
      for (const model of catalog.architectures) {
        for (const init of catalog.inits.filter((one) => one.architectures.includes(model.id))) {
          const base = { lanes: 4, task: task.id, optimiser: optimiser.id, "a.model": model.id, "a.init": init.id };
          for (const setting of describe(catalog, base).settings) {
            if (setting.name !== "lanes")
              found.set(`${task.id} ${model.id} ${init.id} ${setting.name}`, { base, setting });
          }
        }
      }
    }
  }
  return [...found.values()];
}

group("settings", () => {
  test("settings_of_the_first_visit_are_the_defaults", () => {
    expect(toHash(catalog, defaults)).toBe("");
    expect(sessionConfig(catalog, defaults, 0)).toEqual({
      task: { id: "first-symbol", length: 25, symbols: 4 },
      model: {
        id: "elman",
        nonlinearity: "tanh",
        hidden: 16,
        layers: 1,
        bidirectional: false,
        window: null,
        init: { id: "pytorch" },
      },
      optimiser: { id: "adam", lr: 0.0005, amsgrad: false },
      clip: { kind: "norm", at: 1 },
      batch: 16,
      seed: 3,
      backend: "auto",
    });
    expect(sessionConfig(catalog, defaults, 1).model).toEqual({
      id: "lstm",
      hidden: 16,
      layers: 1,
      bidirectional: false,
      window: null,
      init: { id: "forget-bias", forgetBias: 1 },
    });
  });

  test("settings_go_through_the_hash_and_back_one_by_one", () => {
    const all = everySetting();
    expect(all.length).toBeGreaterThan(100);
    for (const { base, setting } of all) {
      const { values } = describe(catalog, { ...base, [setting.name]: other(setting) });
      const back = fromHash(catalog, toHash(catalog, values));
      expect(back.notes, setting.name).toEqual([]);
      expect(back.values, setting.name).toEqual(values);
    }
  });

  test("settings_print_so_that_parse_gives_the_value_back", () => {
    for (const { setting } of everySetting()) {
      for (const value of [setting.default, other(setting)]) {
        expect(parse(setting.kind, print(value)), `${setting.name}=${print(value)}`).toBe(value);
      }
    }
  });

  test("settings_hash_holds_only_what_differs", () => {
    const { values } = describe(catalog, { seed: 7, "b.model": "gru" });
    expect(toHash(catalog, values)).toBe("#v=1&seed=7&b.model=gru");
  });

  test("settings_of_the_panels_can_be_read_in_the_address", () => {
    const { values } = describe(catalog, { panels: "credit,factors" });
    expect(toHash(catalog, values)).toBe("#v=1&panels=credit,factors");
  });

  test("settings_hide_and_embed_are_read_in_the_address", () => {
    const { values, notes } = fromHash(catalog, "#v=1&hide=task,charts&embed=1");
    expect(notes).toEqual([]);
    expect(values["hide"]).toBe("task,charts");
    expect(values["embed"]).toBe(true);
    expect(toHash(catalog, values)).toBe("#v=1&hide=task,charts&embed=on");
  });

  test.each([
    ["#v=1&seed=banana", "seed", 3],
    ["#v=1&seed=-3", "seed", 3],
    ["#v=1&seed=1.5", "seed", 3],
    ["#v=1&seed=", "seed", 3],
    ["#v=1&seed=0x10", "seed", 3],
    ["#v=1&batch=513", "batch", 16],
    ["#v=1&optimiser.lr=NaN", "optimiser.lr", 0.0005],
    ["#v=1&optimiser.lr=Infinity", "optimiser.lr", 0.0005],
    ["#v=1&task=nonsense", "task", "first-symbol"],
    ["#v=1&task.length=100000", "task.length", 25],
    ["#v=1&a.model=mamba-9", "a.model", "elman"],
    ["#v=1&a.init=forget-bias", "a.init", "pytorch"],
    ["#v=1&clip=maybe", "clip", "norm"],
    ["#v=1&a.engine=webgl", "a.engine", "auto"],
    ["#v=1&in-step=yes", "in-step", true],
    ["#v=1&lanes=9", "lanes", 2],
    ["#v=1&states=%3Cscript%3E", "states", "h"],
    ["#v=1&panels=credit,nonsense", "panels", ""],
    ["#v=1&panels=credit,credit", "panels", ""],
    ["#v=1&hide=task,nonsense", "hide", ""],
    ["#v=1&embed=yes", "embed", false],
  ])("settings_bad_value_%s_gives_a_note_and_the_default", (hash, name, value) => {
    const { values, notes } = fromHash(catalog, hash);
    expect(values[name]).toBe(value);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toContain(name);
  });

  test.each(["#v=1&colour=red", "#v=1&c.model=gru", "#v=1&=", "#v=1&%E0%A4%A", "#v=2", "#v=1&seed=2&seed=3", "#&&&"])(
    "settings_strange_hash_%s_does_not_throw",
    (hash) => {
      const { values, notes } = fromHash(catalog, hash);
      expect(values["task"]).toBe("first-symbol");
      expect(notes.length).toBe(hash === "#&&&" ? 0 : 1);
    },
  );

  test("settings_options_of_a_chosen_entry_are_read_whatever_the_order", () => {
    const { values, notes } = fromHash(catalog, "#task.noise=0.5&a.init.gain=1.5&a.init=orthogonal&task=sine&v=1");
    expect(notes).toEqual([]);
    expect(values["task.noise"]).toBe(0.5);
    expect(values["a.init.gain"]).toBe(1.5);
  });

  test("settings_an_initialisation_that_does_not_fit_the_network_gives_way", () => {
    const { values } = describe(catalog, { ...defaults, "b.model": "gru" });
    expect(values["b.init"]).toBe("pytorch");
    expect("b.init.forgetBias" in values).toBe(false);
  });

  test("settings_carry_exists_for_streaming_tasks_only", () => {
    expect("a.carry" in defaults).toBe(false);
    expect(describe(catalog, { task: "sine" }).values["a.carry"]).toBe(false);
  });

  test("settings_learning_rate_and_clipping_are_live", () => {
    const changed = describe(catalog, { ...defaults, "optimiser.lr": 0.1, clip: "off" }).values;
    expect(differences(restartValues(catalog, defaults, 0), restartValues(catalog, changed, 0))).toEqual([]);
    expect(hyperOf(catalog, changed)).toEqual({ clip: null, lr: 0.1, amsgrad: false });
  });

  test("settings_of_one_lane_restart_that_lane_only", () => {
    const changed = describe(catalog, { ...defaults, "b.hidden": 32 }).values;
    expect(differences(restartValues(catalog, defaults, 0), restartValues(catalog, changed, 0))).toEqual([]);
    expect(differences(restartValues(catalog, defaults, 1), restartValues(catalog, changed, 1))).toEqual([
      "Hidden units",
    ]);
  });

  test("settings_engine_is_what_the_session_is_asked_for_and_no_option_of_the_model", () => {
    const { values, notes } = fromHash(catalog, "#v=1&a.engine=webgpu");
    expect(notes).toEqual([]);
    expect(sessionConfig(catalog, values, 0).backend).toBe("webgpu");
    expect("engine" in sessionConfig(catalog, values, 0).model).toBe(false);
    expect(sessionConfig(catalog, values, 1).backend).toBe("auto");
    expect(differences(restartValues(catalog, defaults, 0), restartValues(catalog, values, 0))).toEqual(["Engine"]);
    expect(toHash(catalog, values)).toBe("#v=1&a.engine=webgpu");
  });

  test("settings_a_copied_lane_is_the_same_network", () => {
    const { values } = describe(catalog, addLane({ ...defaults, "b.hidden": 99 }, 1));
    expect(values["lanes"]).toBe(3);
    expect(sessionConfig(catalog, values, 2).model).toEqual(sessionConfig(catalog, values, 1).model);
  });

  test("settings_lanes_move_up_when_one_is_removed", () => {
    const { values } = describe(catalog, removeLane({ ...defaults, "b.hidden": 99 }, 0));
    expect(values["lanes"]).toBe(1);
    expect(sessionConfig(catalog, values, 0).model).toEqual(
      sessionConfig(catalog, describe(catalog, { ...defaults, "b.hidden": 99 }).values, 1).model,
    );
  });

  test("settings_a_configuration_goes_into_a_lane_and_comes_out_the_same", () => {
    const config = sessionConfig(catalog, describe(catalog, { task: "sine", "a.model": "gru", clip: "off" }).values, 0);
    const { values } = describe(catalog, fromConfig(defaults, config, 1));
    expect(sessionConfig(catalog, values, 1)).toEqual(config);
    const chrono = { ...config.model, init: { id: "chrono", tMax: 30 } };
    const other = describe(catalog, fromConfig(defaults, { task: { id: "sine" }, model: chrono }, 0)).values;
    expect(other["a.init.tMax"]).toBe(30);
  });

  test("settings_there_is_always_a_lane_and_never_a_fifth", () => {
    const one = describe(catalog, removeLane(defaults, 1)).values;
    expect(describe(catalog, removeLane(one, 0)).values["lanes"]).toBe(1);
    const four = describe(catalog, { ...defaults, lanes: 4 }).values;
    expect(addLane(four, null)).toEqual(four);
  });
});
