//! `cargo xtask bench`: our engine beside its peers, in one Chromium.
//!
//! Installs the peers (they lie in `xtask/bench/`, and nothing else needs them), builds the package, and hands over to
//! `bench.mjs`, which measures and judges. `--gpu` compares the engines on WebGPU instead, on the software adapter, or
//! with `--adapter system` on what Chromium finds. `--profile` says where a training step of the CPU engine
//! goes instead, call by call. It also takes `--samples N` (at least 7) and `--json FILE`; several ids are separated by commas.

use std::process::Command;

use crate::process::say;
use crate::workspace::Workspace;
use crate::{Result, build, process, tools};

const FOLDER: &str = "xtask/bench";

/// The command. False when an engine fails or losses disagree, which `bench.mjs` has said.
pub fn command(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    tools::npm_ci(workspace, FOLDER)?;
    let chromium = tools::browser()?.chromium;
    build::package(workspace)?;
    say("Measuring; leave the machine alone meanwhile");
    let mut node = Command::new("node");
    node.arg(workspace.path(FOLDER).join("bench.mjs")).arg("--chromium").arg(chromium).args(arguments);
    node.status().map(|status| status.success()).map_err(|error| format!("`{}`: {error}", process::describe(&node)))
}
