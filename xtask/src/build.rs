//! `cargo xtask build`: the package in `pkg/` and the static site in `www/dist/`.
//!
//! Each of the two is made again only when the fingerprint of what goes in or of what came out has changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{self, say};
use crate::tools::{self, WASM};
use crate::workspace::{self, Workspace};
use crate::{Result, serve};

/// For size after Brotli: LLVM has already optimised for speed where it matters, and -O3 moves code in the inner loops that V8 then runs
/// 3 % slower. Inlining makes the module shorter, but its parts less alike. Nothing lies in the first kilobyte: the stack ends there. Then
/// what rustc and wasm-bindgen may use by default, and simd128; wasm-opt refuses what it is not told.
const WASM_OPT: &[&str] = &[
    "-Os",
    "--one-caller-inline-max-function-size=20",
    "--always-inline-max-function-size=1",
    // What is known of contents, and what becomes simpler by it.
    "--gufa-optimizing",
    "--traps-never-happen",
    "-Os",
    "--low-memory-unused",
    "--strip-producers",
    "--strip-target-features",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// Names in `www/` that the site is not made of.
const NOT_THE_SITE: &[&str] = &["node_modules", "dist", "test"];

/// The command.
pub fn command(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    if let Some(argument) = arguments.first() {
        return Err(format!("expected no arguments, got `{argument}`"));
    }
    site(workspace)?;
    say("The package is in pkg/, the page in www/dist/ (open it with `cargo xtask serve`)");
    Ok(true)
}

/// Compiles the crate, generates its JavaScript, and optimises both into `pkg/`.
pub fn package(workspace: &Workspace) -> Result<()> {
    tools::wasm_target()?;
    let bindgen = tools::wasm_bindgen(workspace)?.join("wasm-bindgen");
    let mut wasm_opt = tools::wasm_opt(workspace)?;

    say("Compiling the crate to wasm");
    let mut cargo = workspace.cargo();
    // The default features are what tests need.
    cargo.args(["build", "--package", "unroll", "--lib", "--no-default-features", "--release", "--target", WASM]);
    tools::keep_wasm_flags(&mut cargo);
    process::run(&mut cargo)?;
    let compiled = workspace.target_dir()?.join(WASM).join("release/unroll.wasm");

    let stamp = Stamp {
        file: workspace.path(".tools/build/pkg.stamp"),
        recipe: format!("{} {}", workspace.locked_version("wasm-bindgen")?, WASM_OPT.join(" ")),
    };
    let compiled_name = compiled.to_string_lossy().into_owned();
    let inputs = [compiled_name.as_str(), "Cargo.toml", "xtask/package-lock.json", "shaders"];
    if stamp.is_current(workspace, &inputs, &[], "pkg")? {
        return Ok(());
    }

    say("Generating and optimising pkg/");
    // Beside pkg/, so that a failure leaves the former package whole.
    let staged = workspace.path(".tools/build/pkg");
    remove(&staged)?;
    process::run(
        std::process::Command::new(bindgen)
            .arg(&compiled)
            .args(["--target", "web", "--out-name", "unroll", "--out-dir"])
            .arg(&staged),
    )?;
    let module = staged.join("unroll_bg.wasm");
    process::run(wasm_opt.args(WASM_OPT).arg(&module).arg("-o").arg(&module))?;
    write(&staged.join("unroll.wgsl"), &unroll_base::kernels::shader_file())?;
    let manifest = package_json(&workspace.read("Cargo.toml")?)?;
    write(&staged.join("package.json"), &manifest)?;
    let package = workspace.path("pkg");
    remove(&package)?;
    fs::rename(&staged, &package).map_err(|error| format!("pkg: {error}"))?;
    stamp.write(workspace, &inputs, &[], "pkg")
}

/// Builds the package and then the page.
pub fn site(workspace: &Workspace) -> Result<()> {
    tools::npm_ci(workspace, "www")?;
    package(workspace)?;
    let stamp = Stamp { file: workspace.path(".tools/build/site.stamp"), recipe: String::from("npm run build") };
    let inputs = ["www", "pkg"];
    if stamp.is_current(workspace, &inputs, NOT_THE_SITE, "www/dist")? {
        return Ok(());
    }
    say("Building the page");
    process::run(tools::npm(&workspace.path("www")).args(["run", "build"]))?;
    let index = workspace.path("www/dist").join(serve::INDEX);
    if !index.is_file() {
        return Err(format!("`npm run build` left no {}", index.display()));
    }
    stamp.write(workspace, &inputs, NOT_THE_SITE, "www/dist")
}

/// Remembers what something was made of, in which way, and what came out.
struct Stamp {
    file: PathBuf,
    /// How it is made, where that is not in the inputs.
    recipe: String,
}

impl Stamp {
    fn text(&self, workspace: &Workspace, inputs: &[&str], skip: &[&str], output: &str) -> Result<String> {
        let inputs = workspace::fingerprint(&workspace.root, inputs, skip)?;
        let output = workspace::fingerprint(&workspace.root, &[output], &[])?;
        Ok(format!("{inputs:016x} {output:016x} {}\n", self.recipe))
    }

    fn is_current(&self, workspace: &Workspace, inputs: &[&str], skip: &[&str], output: &str) -> Result<bool> {
        match fs::read_to_string(&self.file) {
            Ok(found) => Ok(workspace.path(output).is_dir() && found == self.text(workspace, inputs, skip, output)?),
            Err(_) => Ok(false),
        }
    }

    fn write(&self, workspace: &Workspace, inputs: &[&str], skip: &[&str], output: &str) -> Result<()> {
        write(&self.file, &self.text(workspace, inputs, skip, output)?)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}

/// The npm manifest of the package, from the crate's.
fn package_json(manifest: &str) -> Result<String> {
    let mut text = String::from("{\n");
    for key in ["name", "version", "description", "license"] {
        let value = workspace::package_field(manifest, key).ok_or_else(|| format!("Cargo.toml has no {key}"))?;
        text.push_str(&format!("  \"{key}\": \"{value}\",\n"));
    }
    text.push_str(concat!(
        "  \"type\": \"module\",\n",
        "  \"main\": \"unroll.js\",\n",
        "  \"types\": \"unroll.d.ts\",\n",
        "  \"sideEffects\": [\"./snippets/*\"]\n",
        "}\n",
    ));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Scratch;

    #[test]
    fn package_json_carries_the_crates_fields() {
        let manifest =
            "[package]\nname = \"unroll\"\nversion = \"0.1.0\"\nlicense = \"MIT\"\ndescription = \"A \\\"b\\\".\"\n";
        let json = package_json(manifest).expect("all fields are there");
        assert_eq!(workspace::json_field(&json, "version").as_deref(), Some("0.1.0"));
        assert_eq!(workspace::json_field(&json, "description").as_deref(), Some("A \"b\"."));
        assert_eq!(workspace::json_field(&json, "type").as_deref(), Some("module"));
        assert_eq!(package_json("[package]\nname = \"unroll\"\n"), Err(String::from("Cargo.toml has no version")));
    }

    #[test]
    fn stamp_is_current_until_an_input_the_output_or_the_recipe_changes() {
        let scratch = Scratch::new("stamp", &[("in/a.ts", "1"), ("in/test/t.ts", "1"), ("out/a.js", "1")]);
        let workspace = Workspace { root: scratch.0.clone() };
        let stamp = Stamp { file: scratch.0.join("stamp"), recipe: String::from("plain") };
        let current =
            |stamp: &Stamp| stamp.is_current(&workspace, &["in"], &["test"], "out").expect("the folder can be read");
        let renew = || stamp.write(&workspace, &["in"], &["test"], "out").expect("the stamp can be written");
        assert!(!current(&stamp));
        renew();
        assert!(current(&stamp));
        fs::write(scratch.0.join("in/test/t.ts"), "2").expect("writable");
        assert!(current(&stamp));
        fs::write(scratch.0.join("in/a.ts"), "2").expect("writable");
        assert!(!current(&stamp));
        renew();
        fs::write(scratch.0.join("out/a.js"), "2").expect("writable");
        assert!(!current(&stamp));
        renew();
        assert!(!current(&Stamp { recipe: String::from("other"), file: stamp.file.clone() }));
        fs::remove_dir_all(scratch.0.join("out")).expect("removable");
        renew();
        assert!(!current(&stamp));
    }
}
