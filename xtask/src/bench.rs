//! `cargo xtask bench`: our engine beside its peers, in one Chromium.
//!
//! Installs the peers (they lie in `xtask/bench/`, and nothing else needs them), compiles the one that is a crate, builds the package,
//! and hands over to `bench.mjs`, which measures and judges. Peers in the browser are Burn (flex), jax-js, tfjs and brain.js; PyTorch
//! runs beside it on one thread where the Python that `PYTHON` names, else `python3`, has it. Without options: the LSTM on two shapes,
//! all engines on the processor. Options, several ids separated by commas:
//!
//! * `--table`: six shapes times Elman, GRU, LSTM; a whole run writes its table into the README, and with `--write` a part does.
//! * `--shapes`, `--cells`, `--engines`: a part; `--samples N` (at least 7), `--json FILE`.
//! * `--profile`: where a training step of the CPU engine goes, call by call.
//! * `--scaling`: its cost against T and B, with verdicts. `--start`: the first step after opening the page, and creating a session.
//!   `--panels`: what all open panels cost the training of one lane.
//! * `--gpu`: the engines on WebGPU, on the software adapter, or with `--adapter system` on what Chromium finds.
//! * `--native-gpu` measures WebGPU's engine without a browser, on the Vulkan adapter of this machine, and says where the binary lies.

use std::process::Command;

use crate::process::say;
use crate::tools::WASM;
use crate::workspace::Workspace;
use crate::{Result, build, process, tools};

const FOLDER: &str = "xtask/bench";

/// A workspace of its own: a peer that is a crate.
pub const BURN: &str = "xtask/bench/burn";

/// The command. False when an engine fails or losses disagree, which `bench.mjs` has said.
pub fn command(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    if let Some((_, options)) = arguments.split_first().filter(|(first, _)| *first == "--native-gpu") {
        return native(workspace, options);
    }
    tools::npm_ci(workspace, FOLDER)?;
    let chromium = tools::browser()?.chromium;
    process::run(tools::npm(&workspace.path(FOLDER)).args(["run", "--silent", "check"]))?;
    if arguments.iter().any(|option| ["--panels", "--start"].contains(&option.as_str())) {
        build::site(workspace)?;
    } else {
        build::package(workspace)?;
    }
    if wants_burn(arguments) {
        burn(workspace)?;
    }
    say("Measuring; leave the machine alone meanwhile");
    let mut node = Command::new("node");
    node.arg(workspace.path(FOLDER).join("bench.mjs")).arg("--chromium").arg(chromium).args(arguments);
    node.status().map(|status| status.success()).map_err(|error| format!("`{}`: {error}", process::describe(&node)))
}

/// Whether the engines that were asked for include Burn.
fn wants_burn(arguments: &[String]) -> bool {
    let without = ["--gpu", "--panels", "--profile", "--scaling", "--start"];
    if arguments.iter().any(|option| without.contains(&option.as_str())) {
        return false;
    }
    let engines = arguments.iter().position(|option| option == "--engines").and_then(|at| arguments.get(at + 1));
    engines.is_none_or(|engines| engines.split(',').any(|id| id == "burn-flex"))
}

/// Compiles Burn's peer to wasm, for speed, and generates its JavaScript.
fn burn(workspace: &Workspace) -> Result<()> {
    say("Compiling Burn; the first time takes minutes");
    let target = workspace.target_dir()?.join("burn");
    let mut cargo = workspace.cargo();
    cargo.current_dir(workspace.path(BURN)).args(["build", "--locked", "--release", "--target", WASM]);
    // Not the flags of our own inner loops.
    cargo.env("RUSTFLAGS", "-C target-feature=+simd128").env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(cargo.env("CARGO_TARGET_DIR", &target))?;
    let mut bindgen = Command::new(tools::wasm_bindgen(workspace)?.join("wasm-bindgen"));
    bindgen.arg(target.join(WASM).join("release/burn_peer.wasm"));
    process::run(bindgen.args(["--target", "web", "--out-dir"]).arg(workspace.path(BURN).join("pkg")))
}

/// Builds the bench that needs no browser, and runs it.
fn native(workspace: &Workspace, options: &[String]) -> Result<bool> {
    tools::vulkan()?;
    let mut cargo = workspace.cargo();
    cargo.args([
        "build",
        "--package",
        "unroll",
        "--profile",
        "native",
        "--features",
        "native-gpu",
        "--example",
        "native-gpu",
    ]);
    process::run(&mut cargo)?;
    let binary =
        workspace.target_dir()?.join("native/examples").join(format!("native-gpu{}", std::env::consts::EXE_SUFFIX));
    say(&format!("{} can be carried to another machine. Measuring; leave this one alone meanwhile", binary.display()));
    let mut bench = Command::new(binary);
    bench.args(options).env("NODEVICE_SELECT", "1");
    bench.status().map(|status| status.success()).map_err(|error| format!("`{}`: {error}", process::describe(&bench)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burn_is_compiled_only_when_it_is_measured() {
        let wants = |text: &str| wants_burn(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert!(wants("") && wants("--table") && wants("--engines unroll,burn-flex"));
        assert!(!wants("--engines unroll,tfjs-wasm") && !wants("--profile --shapes w0") && !wants("--gpu"));
    }
}
