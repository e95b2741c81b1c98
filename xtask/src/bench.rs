//! `cargo xtask bench`: our engine beside its peers, in one Chromium.
//!
//! Installs the peers (they lie in `xtask/bench/`, and nothing else needs them), builds the package, and hands over to
//! `bench.mjs`, which measures and judges. `--gpu` compares the engines on WebGPU instead, on the software adapter, or
//! with `--adapter system` on what Chromium finds. `--profile` says where a training step of the CPU engine
//! goes instead, call by call. `--native-gpu` measures WebGPU's engine without a browser, on the Vulkan adapter of this machine, and
//! says where the binary lies. It also takes `--samples N` (at least 7) and `--json FILE`; several ids are separated by commas.

use std::process::Command;

use crate::process::say;
use crate::workspace::Workspace;
use crate::{Result, build, process, tools};

const FOLDER: &str = "xtask/bench";

/// The command. False when an engine fails or losses disagree, which `bench.mjs` has said.
pub fn command(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    if let Some((_, options)) = arguments.split_first().filter(|(first, _)| *first == "--native-gpu") {
        return native(workspace, options);
    }
    tools::npm_ci(workspace, FOLDER)?;
    let chromium = tools::browser()?.chromium;
    build::package(workspace)?;
    say("Measuring; leave the machine alone meanwhile");
    let mut node = Command::new("node");
    node.arg(workspace.path(FOLDER).join("bench.mjs")).arg("--chromium").arg(chromium).args(arguments);
    node.status().map(|status| status.success()).map_err(|error| format!("`{}`: {error}", process::describe(&node)))
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
