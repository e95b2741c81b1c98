//! The house rules that a machine can check: floors, stems, shaders, tables, formats and reasons.
//!
//! Host only, for it reads the source tree.
#![cfg(not(target_arch = "wasm32"))]

use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, StorageAccess, TypeInner, VectorSize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use unroll::engine::group;
use unroll::kernels::{
    Access, CELLS, Element, Entry, KERNELS, Kernel, MAX_OPERANDS, WORDS, product, recurrence, scan, update,
};
use unroll::nn::{ARCHITECTURES, INITS};
use unroll::options::OptionSpec;
use unroll::tasks::TASKS;
use unroll::train::OPTIMISERS;

/// Files in `src/kernels` that are no kernel: the interface, and what kernels share.
const KERNEL_HELPERS: &[&str] = &["mod", "recurrence", "residual", "scan", "simd", "update"];

/// The floors of the crate, lowest first. A module uses only modules of floors below its own, and itself. The lowest floor of the
/// map takes two lines here, for options complain with errors.
const FLOORS: &[&[&str]] = &[
    &["error", "order", "rng", "shape", "wgsl"],
    &["options"],
    &["kernels"],
    &["graph"],
    &["engine"],
    &["nn"],
    &["tasks"],
    &["train"],
    &["lens", "io"],
    &["web"],
];

/// Crates that only one floor may name.
const KEPT_BY: &[(&str, &[&str])] = &[
    ("engine", &["wgpu"]),
    (
        "web",
        &[
            "wasm_bindgen",
            "wasm_bindgen_futures",
            "js_sys",
            "web_sys",
            "serde_wasm_bindgen",
            "console_error_panic_hook",
        ],
    ),
];

/// The shader of the engine itself: many calls in one dispatch.
const GROUP: &str = "group";

const MAX_COLUMNS: usize = 140;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder that are written by hand.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    const GENERATED: &[&str] = &["target", "node_modules", "dist", "pkg"];
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        if GENERATED.contains(&name) || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    let wanted = |path: &PathBuf| path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted));
    files.retain(wanted);
    files.sort();
    files
}

/// A path as a reader writes it.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").display().to_string()
}

/// The code of a Rust file, without comments. A string that holds two slashes is cut too, which hides nothing that is looked for.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// The module of a file of the crate: its folder, or its own name at the top.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_str().expect("UTF-8");
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn every_floor_uses_only_the_floors_below_it() {
    let floor_of = |module: &str| FLOORS.iter().position(|floor| floor.contains(&module));
    let mut wrong = Vec::new();
    for path in files("src", &["rs"]) {
        let module = module(&path);
        // The roots of the two crates.
        if module == "lib" || module == "base" {
            continue;
        }
        let floor = floor_of(&module).unwrap_or_else(|| panic!("{} is on no floor", shown(&path)));
        for (line, text) in code(&read(&path)) {
            for used in text.split("crate::").skip(1) {
                // `use crate::{a, b}` would hide what it names.
                let used = used.split(|c| !is_word(c)).next().unwrap_or_default();
                let allowed = used == module || floor_of(used).is_some_and(|below| below < floor);
                if !allowed {
                    wrong.push(format!(
                        "{}:{line}: {module} uses crate::{used}, which is on no floor below",
                        shown(&path)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn only_one_floor_names_the_browser_and_only_one_the_gpu() {
    let mut wrong = Vec::new();
    for path in files("src", &["rs"]) {
        let module = module(&path);
        for (line, text) in code(&read(&path)) {
            for &(keeper, crates) in KEPT_BY.iter().filter(|&&(keeper, _)| keeper != module) {
                for word in words(text).filter(|word| crates.contains(word)) {
                    wrong.push(format!("{}:{line}: {word} belongs to src/{keeper}", shown(&path)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8").to_owned();
    let all = files(folder, &[extension]);
    all.iter().filter(|path| path.parent() == Some(&root().join(folder))).map(stem).collect()
}

#[test]
fn every_kernel_file_is_in_the_table_and_every_entry_has_its_file() {
    let helpers: BTreeSet<String> = KERNEL_HELPERS.iter().map(|&name| name.to_owned()).collect();
    let all = stems("src/kernels", "rs");
    assert!(helpers.is_subset(&all), "a helper that is allowed but not there: {helpers:?}");
    // Both sides as lists, so that a stem that occurs twice or out of order is found too. Cells stand first, in the order of menus.
    let in_files: Vec<_> = all.difference(&helpers).map(String::as_str).collect();
    let (cells, others) = KERNELS.split_at(CELLS.len());
    let mut in_table: Vec<_> = others.iter().map(|kernel| kernel.stem).collect();
    assert!(in_table.is_sorted(), "KERNELS, in the order of the stems: {in_table:?}");
    in_table.extend(cells.iter().map(|kernel| kernel.stem));
    in_table.sort_unstable();
    assert_eq!(in_files, in_table, "src/kernels and the stems of KERNELS");
    let ids = CELLS.iter().map(|cell| cell.id);
    assert!(ids.eq(cells.iter().map(|kernel| kernel.stem)), "a cell has the id of its stem");
    for kernel in KERNELS {
        assert!(!kernel.summary.is_empty(), "{}", kernel.stem);
        for tolerance in [kernel.tolerance, kernel.on_gpu] {
            assert!(!tolerance.reason.is_empty() && (0.0..1e-3).contains(&tolerance.relative), "{}", kernel.stem);
        }
        let mut labels = BTreeSet::new();
        for entry in kernel.entries {
            assert!(entry_point(kernel, entry).is_some(), "{} is not of the stem {}", entry.label, kernel.stem);
            assert!(labels.insert(entry.label), "{} occurs twice", entry.label);
            assert!(entry.operands.len() <= MAX_OPERANDS, "{}: more operands than a stage has bindings", entry.label);
        }
        assert!(!labels.is_empty(), "{} has no entry", kernel.stem);
    }
}

#[test]
fn every_kernel_has_its_shader_and_every_shader_its_kernel() {
    for kernel in KERNELS {
        let (stem, file) = (kernel.stem, read(&root().join(format!("shaders/{}.wgsl", kernel.stem))));
        // Without comments and indentation, but line by line.
        let lines = file.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
        let same = lines.eq(kernel.shader.lines().take(file.lines().count()));
        assert!(same, "{stem}: what runs is not shaders/{stem}.wgsl");
        assert!(!kernel.shader.contains("//") && !kernel.shader.contains("  "), "{stem}: not stripped");
    }
    let constants = [
        ("helpers/recurrence", format!("const ROWS = {}u;", recurrence::ROWS)),
        ("helpers/scan", format!("const UNITS = {}u;", scan::UNITS)),
        ("product", format!("const TILE: u32 = {}u;", product::TILE)),
        ("helpers/update", format!("const PARTS = {}u;", update::PARTS)),
        ("helpers/clip", format!("const PER_WORKGROUP = {}u;", update::PER_WORKGROUP)),
    ];
    for (name, line) in constants {
        assert!(
            read(&root().join(format!("shaders/{name}.wgsl"))).contains(&line),
            "{name}.wgsl: {line}, as its grid says"
        );
    }
    let in_table = KERNELS.iter().map(|kernel| kernel.stem).chain([GROUP]).map(str::to_owned);
    assert_eq!(stems("shaders", "wgsl"), in_table.collect(), "shaders/ and KERNELS");
}

/// The name of an entry's entry point: its label without the stem.
fn entry_point(kernel: &Kernel, entry: &Entry) -> Option<&'static str> {
    entry.label.strip_prefix(kernel.stem)?.strip_prefix('.')
}

/// A shader as naga reads it.
struct Shader {
    module: Module,
    info: ModuleInfo,
}

impl Shader {
    fn parse(stem: &str, text: &str) -> Self {
        let module =
            naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{stem}: {}", error.emit_to_string(text)));
        // No capability beyond what every WebGPU adapter has.
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        let info = validator.validate(&module).unwrap_or_else(|error| panic!("{stem}: {}", error.emit_to_string(text)));
        Self { module, info }
    }

    fn inner(&self, ty: naga::Handle<naga::Type>) -> &TypeInner {
        &self.module.types[ty].inner
    }

    /// Name, type and offset of each field of a struct.
    fn members(&self, ty: naga::Handle<naga::Type>) -> Vec<(String, &'static str, u32)> {
        let TypeInner::Struct { members, .. } = self.inner(ty) else { panic!("a uniform is a struct") };
        let name = |name: &Option<String>| name.clone().expect("a field has a name");
        members.iter().map(|member| (name(&member.name), wgsl_type(self.inner(member.ty)), member.offset)).collect()
    }
}

fn wgsl_type(inner: &TypeInner) -> &'static str {
    match inner {
        TypeInner::Scalar(scalar) if scalar.width == 4 => match scalar.kind {
            ScalarKind::Uint => "u32",
            ScalarKind::Float => "f32",
            ScalarKind::Sint => "i32",
            _ => "another scalar",
        },
        TypeInner::Vector { size: VectorSize::Bi, scalar } if scalar.kind == ScalarKind::Uint => "vec2<u32>",
        _ => "another type",
    }
}

/// Name and type of each field of the parameter struct of a kernel, in Rust's order: the struct `Params` of its file, or the shared
/// one that its file imports.
fn params(stem: &str) -> Vec<(String, String)> {
    let read_source = |name: &str| read(&root().join(format!("src/kernels/{name}.rs")));
    // The time loop of a diagonal recurrence, and what it imports, is that of its helper.
    let mut own = read_source(stem);
    if own.lines().any(|line| words(line).any(|word| word == "scan")) {
        own += &read_source("scan");
    }
    let candidates = [("struct Params {", stem), ("struct Params {", "recurrence"), ("struct Rectangle {", "mod")];
    let body = candidates.iter().find_map(|&(head, file)| {
        let named = head.trim_start_matches("struct ").trim_end_matches(" {");
        let imported = file == stem || own.lines().any(|line| words(line).any(|word| word == named));
        let text = read_source(file);
        let body = text.split_once(head)?.1.split_once('}')?.0.to_owned();
        imported.then_some(body)
    });
    let body = body.unwrap_or_else(|| panic!("{stem} has no parameter struct"));
    let field = |(_, line): (usize, &str)| {
        let (name, ty) = line.trim().trim_start_matches("pub ").trim_end_matches(',').split_once(": ")?;
        Some((name.to_owned(), ty.to_owned()))
    };
    code(&body).filter_map(field).collect()
}

#[test]
fn every_shader_parses_and_has_the_bindings_and_uniforms_of_its_rust_twin() {
    for kernel in KERNELS {
        let text = kernel.shader;
        let shader = Shader::parse(kernel.stem, text);
        let points: BTreeSet<_> = shader.module.entry_points.iter().map(|point| point.name.as_str()).collect();
        let entries: BTreeSet<_> = kernel.entries.iter().filter_map(|entry| entry_point(kernel, entry)).collect();
        assert_eq!(points, entries, "{}: entry points and entries", kernel.stem);
        for entry in kernel.entries {
            check_bindings(kernel, entry, &shader);
        }
    }
}

#[test]
fn the_shader_of_groups_binds_the_uniforms_the_segments_and_its_table() {
    let shader = Shader::parse(GROUP, unroll::kernels::GROUP_SHADER);
    let points: Vec<_> = shader.module.entry_points.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(points, [group::POINT]);
    let bound = shader.module.global_variables.iter().filter_map(|(_, variable)| {
        let binding = variable.binding?;
        Some((binding.group, binding.binding, variable.name.clone().expect("a binding has a name")))
    });
    let names = ["uniforms", "persistent", "arena", "symbols", "table"];
    let expected: Vec<_> = names.iter().zip(0..).map(|(name, at)| (0, at, (*name).to_owned())).collect();
    assert_eq!(bound.collect::<Vec<_>>(), expected);
}

/// Binding 0 is the uniform; operand n is binding n + 1 of the same group, under its name, or behind that of its entry point where another
/// entry binds its own elsewhere.
///
/// Arena buffers are bound `read_write`, whatever a kernel does with them, so what it does is read from the code.
fn check_bindings(kernel: &Kernel, entry: &Entry, shader: &Shader) {
    let label = entry.label;
    let point_idx = shader.module.entry_points.iter().position(|p| Some(p.name.as_str()) == entry_point(kernel, entry));
    let uses = shader.info.get_entry_point(point_idx.expect("compared above"));
    let mut found = BTreeMap::new();
    for (handle, variable) in shader.module.global_variables.iter() {
        if let Some(binding) = variable.binding.filter(|_| !uses[handle].is_empty()) {
            let before = found.insert((binding.group, binding.binding), (variable, uses[handle]));
            assert!(before.is_none(), "{label}: two variables at binding {}", binding.binding);
        }
    }
    let numbers: Vec<_> = found.keys().copied().collect();
    let group = numbers.first().expect("an entry has bindings").0;
    let expected: Vec<_> = (0..=entry.operands.len() as u32).map(|binding| (group, binding)).collect();
    assert_eq!(numbers, expected, "{label}: the uniform and one binding for each operand, all of them used");

    let mut found = found.into_values();
    let (uniform, _) = found.next().expect("counted above");
    assert_eq!(uniform.space, AddressSpace::Uniform, "{label}: binding 0");
    check_uniform(kernel, entry, &shader.members(uniform.ty));

    for (operand, (variable, used)) in entry.operands.iter().zip(found) {
        let name = format!("{label}: operand {}", operand.name);
        let own = format!("{}_{}", entry_point(kernel, entry).expect("compared above"), operand.name);
        let named = variable.name.as_deref().expect("a binding has a name");
        assert!(named == operand.name || named == own, "{name}: the variable is {named}");
        let access = StorageAccess::LOAD | StorageAccess::STORE;
        assert_eq!(variable.space, AddressSpace::Storage { access }, "{name}: arena buffers are bound read_write");
        let TypeInner::Array { base, .. } = *shader.inner(variable.ty) else { panic!("{name}: not an array") };
        let element = match operand.element {
            Element::Real => "f32",
            Element::Index => "u32",
        };
        assert_eq!(wgsl_type(shader.inner(base)), element, "{name}");
        let (reads, writes) = match operand.access {
            Access::Read => (true, false),
            Access::Update => (true, true),
            // A time loop reads the step before, which it has written itself.
            Access::Write => (used.contains(GlobalUse::READ), true),
        };
        assert_eq!(
            (used.contains(GlobalUse::READ), used.contains(GlobalUse::WRITE)),
            (reads, writes),
            "{name}: read, written"
        );
    }
}

/// Offset and stride of each operand, under its name; then the parameter struct, word for word.
fn check_uniform(kernel: &Kernel, entry: &Entry, members: &[(String, &'static str, u32)]) {
    let views = entry.operands.iter().map(|operand| (operand.name.to_owned(), "vec2<u32>".to_owned()));
    let params = params(kernel.stem);
    assert!(params.len() <= WORDS, "{}: more parameters than words", entry.label);
    let mut offset = 0;
    let mut expected = Vec::new();
    for (name, ty) in views.chain(params) {
        let size = if ty == "vec2<u32>" { 8 } else { 4 };
        expected.push((name, ty, offset));
        offset += size;
    }
    let found: Vec<_> = members.iter().map(|(name, ty, offset)| (name.clone(), (*ty).to_owned(), *offset)).collect();
    assert_eq!(found, expected, "{}: name, type and offset of the uniforms", entry.label);
}

/// What every table entry carries.
struct Row {
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    equations: &'static [&'static str],
    sources: &'static [&'static str],
    options: &'static [OptionSpec],
}

macro_rules! rows {
    ($table:expr, $equations:expr) => {
        $table
            .iter()
            .map(|entry| Row {
                id: entry.id,
                title: entry.title,
                summary: entry.summary,
                equations: $equations(entry),
                sources: entry.sources,
                options: entry.options,
            })
            .collect::<Vec<Row>>()
    };
}

fn is_kebab_case(id: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    id.split('-').all(part)
}

fn is_camel_case(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_sentence(text: &str) -> bool {
    text.ends_with('.') && !text.contains("  ") && text.trim() == text
}

#[test]
fn tables_are_complete() {
    let none: &'static [&'static str] = &[];
    for (table, rows) in [
        ("ARCHITECTURES", rows!(ARCHITECTURES, |cell: &&unroll::kernels::recurrence::Cell| cell.equations)),
        ("INITS", rows!(INITS, |init: &unroll::nn::InitSpec| init.equations)),
        ("OPTIMISERS", rows!(OPTIMISERS, |optimiser: &unroll::train::OptimiserSpec| optimiser.equations)),
        // A task is told in words.
        ("TASKS", rows!(TASKS, |_: &unroll::tasks::TaskSpec| none)),
    ] {
        let mut ids = BTreeSet::new();
        for row in rows {
            let name = format!("{table}: {}", row.id);
            assert!(ids.insert(row.id), "{name} occurs twice");
            assert!(is_kebab_case(row.id), "{name} is not kebab-case");
            assert!(!row.title.is_empty() && is_sentence(row.summary), "{name}: title or summary");
            assert!(table == "TASKS" || !row.equations.is_empty(), "{name} has no equation");
            assert!(!row.sources.is_empty() && row.sources.iter().all(|source| !source.is_empty()), "{name}: sources");
            let mut options = BTreeSet::new();
            for option in row.options {
                let name = format!("{name}, option {}", option.name);
                assert!(options.insert(option.name), "{name} occurs twice");
                assert!(is_camel_case(option.name), "{name} is not camelCase");
                assert!(!option.title.is_empty() && is_sentence(option.help), "{name}: title or help");
                let default = option.kind.default();
                assert_eq!(
                    option.kind.check(option.name, &default),
                    Ok(default.clone()),
                    "{name}: default out of range"
                );
            }
        }
        assert!(!ids.is_empty(), "{table} is empty");
    }
}

#[test]
fn text_files_have_no_tabs_no_trailing_spaces_and_no_long_lines() {
    const WEB: &[&str] = &["ts", "js", "mjs", "svelte", "css", "html"];
    let extensions = [&["rs", "wgsl", "toml", "md", "py"], WEB].concat();
    let mut wrong = Vec::new();
    for path in files("", &extensions) {
        for (at, line) in read(&path).lines().enumerate() {
            let mut complain = |what: &str| wrong.push(format!("{}:{}: {what}", shown(&path), at + 1));
            if line.contains('\t') {
                complain("a tab");
            }
            if line.ends_with([' ', '\r']) {
                complain("a trailing space");
            }
            // Markdown cannot break the row of a table; prettier, which holds the width of web files, leaves their strings whole.
            let is_table = path.extension().is_some_and(|e| e == "md") && line.starts_with('|');
            let is_web = path.extension().is_some_and(|e| WEB.iter().any(|web| e == *web));
            if line.chars().count() > MAX_COLUMNS && !is_table && !is_web {
                complain("more than 140 columns");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_dependency_has_its_reason() {
    let mut wrong = Vec::new();
    for path in files("", &["toml"]).iter().filter(|path| path.ends_with("Cargo.toml")) {
        let (mut is_dependencies, mut before) = (false, "");
        let text = read(path);
        for line in text.lines() {
            if line.starts_with('[') {
                is_dependencies = line.trim_end_matches(']').ends_with("dependencies");
            } else if is_dependencies && line.contains('=') && !line.starts_with('#') && !before.starts_with("# ") {
                wrong.push(format!("{}: no comment above {line}", shown(path)));
            }
            before = line;
        }
    }
    for path in files("", &["json"]).iter().filter(|path| path.ends_with("package.json")) {
        let package: serde_json::Value = serde_json::from_str(&read(path)).expect("JSON");
        let reasons = package["//"].as_object();
        let description = package["description"].as_str().unwrap_or_default();
        for kind in ["dependencies", "devDependencies"] {
            for name in package[kind].as_object().into_iter().flat_map(|names| names.keys()) {
                let in_map = reasons.is_some_and(|reasons| reasons.get(name).is_some_and(|reason| reason != ""));
                if !in_map && !description.contains(&format!("{name}: ")) {
                    wrong.push(format!("{}: nothing under \"//\" says why there is {name}", shown(path)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What `cargo xtask bench --table` wrote is whole: cells have their form, ratios are those of the milliseconds beside them, and the last
/// row is the geometric mean of the ratios above it. A number changed by hand does not fit.
#[test]
fn the_readme_has_the_table_of_the_bench_as_it_was_written() {
    let script = read(&root().join("xtask/bench/readme.mjs"));
    let readme = read(&root().join("README.md"));
    let mark = |name: &str| {
        let line = script.lines().find_map(|line| line.strip_prefix(&format!("const {name} = \"")));
        line.and_then(|line| line.strip_suffix("\";")).unwrap_or_else(|| panic!("readme.mjs says what {name} is"))
    };
    let between = readme.split_once(mark("BEGIN")).and_then(|(_, rest)| rest.split_once(mark("END")));
    let (text, after) = between.expect("the README has both marks");
    assert!(!after.contains(mark("BEGIN")) && !after.contains(mark("END")), "each mark stands once");

    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    let [head, rule, body @ .., means] = &rows[..] else { panic!("head, rule, rows and means, got {rows:?}") };
    assert_eq!(head[..3], ["workload", "Unroll", "of the limit"]);
    assert!(rule[0] == "---" && rule[1..].iter().all(|cell| *cell == "---:"), "{rule:?}");
    assert!(!body.is_empty() && rows.iter().all(|row| row.len() == head.len()), "as many cells in each row");

    let number = |cell: &str| cell.parse::<f64>().unwrap_or_else(|_| panic!("expected a number, got {cell}"));
    // Three digits were written of each.
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.015;
    let mut ratios = vec![Vec::new(); head.len()];
    for row in body {
        let name = row[0];
        assert!(["Elman, H ", "GRU, H ", "LSTM, H "].iter().any(|cell| name.starts_with(cell)), "{name}");
        let share = row[2].strip_suffix(" %").map(number).expect("a share of the limit");
        assert!(share > 0.0 && share <= 100.0, "{name}: {share} %");
        for (at, cell) in row.iter().enumerate().skip(3) {
            if let Some((ms, ratio)) = cell.strip_suffix("×)").and_then(|cell| cell.split_once(" (")) {
                let (ms, ratio) = (number(ms), number(ratio));
                assert!(near(ms / number(row[1]), ratio), "{name}: {} is {ratio} times {}", ms, row[1]);
                ratios[at].push(ratio);
            } else {
                let seconds = cell.strip_prefix("a step of ").and_then(|cell| cell.strip_suffix(" s"));
                assert!(
                    ["–", "diverged"].contains(cell) || seconds.is_some_and(|seconds| number(seconds) >= 5.0),
                    "{name}: {cell}"
                );
            }
        }
    }
    for (at, cell) in means.iter().enumerate().skip(3) {
        let of = &ratios[at];
        let Some((mean, count)) = cell.split_once("× (") else {
            assert!(*cell == "–" && of.is_empty(), "{}: {cell}", head[at]);
            continue;
        };
        let expected = libm::exp(of.iter().map(|ratio| libm::log(*ratio)).sum::<f64>() / of.len() as f64);
        assert_eq!(count, format!("{})", of.len()), "{}", head[at]);
        assert!(near(number(mean), expected), "{}: {mean}, expected {expected}", head[at]);
    }
}
