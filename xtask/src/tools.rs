//! Finds the programs that the commands need, and installs what is missing.
//!
//! Rust programs go to `.tools/cargo`, npm packages to `node_modules`, Chromium comes from the system's package
//! manager. Each function is quick when there is nothing to do.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::process::{self, say};
use crate::workspace::{self, Workspace};

/// Target of everything that runs in the browser.
pub const WASM: &str = "wasm32-unknown-unknown";

const WASM_PACK_VERSION: &str = "0.15.1";

/// Major and minor version; Vite asks for it.
const NODE_MIN: (u32, u32) = (20, 19);

const CHROMIUM_NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const CHROMIUM_ON_MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// Takes from a command the variables that would replace the flags in `.cargo/config.toml`, simd128 among them.
pub fn keep_wasm_flags(command: &mut Command) {
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
}

/// The standard library for wasm. `rust-toolchain.toml` names it, but brings it only where rustup installs by itself.
pub fn wasm_target() -> Result<()> {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", WASM]);
    if Path::new(process::output(&mut command)?.trim()).is_dir() {
        return Ok(());
    }
    say(&format!("Installing the Rust target {WASM}"));
    process::run(Command::new("rustup").args(["target", "add", WASM]))
        .map_err(|error| format!("{error}; install the Rust target {WASM}"))
}

/// A part of the toolchain (`rustfmt`, `clippy`), known by the cargo command that it brings.
pub fn rust_component(component: &str, cargo_command: &str) -> Result<()> {
    if process::output(Command::new("cargo").args([cargo_command, "--version"])).is_ok() {
        return Ok(());
    }
    say(&format!("Installing {component}"));
    process::run(Command::new("rustup").args(["component", "add", component]))
        .map_err(|error| format!("{error}; install {component}"))
}

/// Folder of `wasm-bindgen` and `wasm-bindgen-test-runner`, at the version of the library in `Cargo.lock`.
pub fn wasm_bindgen(workspace: &Workspace) -> Result<PathBuf> {
    let version = workspace.locked_version("wasm-bindgen")?;
    rust_programs(workspace, "wasm-bindgen-cli", &version, &["wasm-bindgen", "wasm-bindgen-test-runner"])
}

/// `wasm-pack`, which runs the tests in the browser.
pub fn wasm_pack(workspace: &Workspace) -> Result<PathBuf> {
    let folder = rust_programs(workspace, "wasm-pack", WASM_PACK_VERSION, &["wasm-pack"])?;
    Ok(program_in(&folder, "wasm-pack"))
}

/// The folder that holds these programs at exactly this version: ours, else one on the search path, else ours after an
/// installation.
fn rust_programs(workspace: &Workspace, package: &str, version: &str, programs: &[&str]) -> Result<PathBuf> {
    let root = workspace.path(".tools/cargo");
    let ours = root.join("bin");
    let theirs = process::on_path(programs[0]).and_then(|path| path.parent().map(Path::to_path_buf));
    for folder in [Some(ours.clone()), theirs].into_iter().flatten() {
        if has_programs(&folder, version, programs) {
            return Ok(folder);
        }
    }
    say(&format!("Installing {package} {version} into .tools/ (it is compiled: this takes a minute or two)"));
    // Without --locked: the lock file that wasm-bindgen-cli is published with does not fit every registry.
    let mut command = workspace.cargo();
    command.args(["install", package, "--version", version, "--root"]).arg(&root);
    command.arg("--target-dir").arg(workspace.path(".tools/target"));
    process::run(&mut command)?;
    if has_programs(&ours, version, programs) {
        Ok(ours)
    } else {
        Err(format!("{package} {version} was installed, but {} do not run", programs.join(" and ")))
    }
}

fn has_programs(folder: &Path, version: &str, programs: &[&str]) -> bool {
    programs.iter().all(|program| program_in(folder, program).is_file())
        && process::output(Command::new(program_in(folder, programs[0])).arg("--version"))
            .is_ok_and(|text| text.split_whitespace().any(|word| word == version))
}

fn program_in(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// A browser and the program that drives it for `wasm-pack test`.
pub struct Browser {
    pub chromium: PathBuf,
    pub chromedriver: PathBuf,
}

/// Chromium and its driver: named by `CHROMIUM` and `CHROMEDRIVER`, else found, else installed.
pub fn browser() -> Result<Browser> {
    if find_chromium()?.is_none() || find_chromedriver()?.is_none() {
        install("Chromium and its driver", &["chromium", "chromium-driver"])?;
    }
    match (find_chromium()?, find_chromedriver()?) {
        (Some(chromium), Some(chromedriver)) => Ok(Browser { chromium, chromedriver }),
        _ => Err(String::from(
            "Chromium or its driver is missing: install both (on Debian `chromium` and `chromium-driver`), \
             or name them in CHROMIUM and CHROMEDRIVER",
        )),
    }
}

fn find_chromium() -> Result<Option<PathBuf>> {
    let found = || CHROMIUM_NAMES.iter().find_map(|name| process::on_path(name));
    let on_macos = || Some(PathBuf::from(CHROMIUM_ON_MACOS)).filter(|path| path.is_file());
    Ok(named("CHROMIUM", std::env::var_os("CHROMIUM"))?.or_else(found).or_else(on_macos))
}

fn find_chromedriver() -> Result<Option<PathBuf>> {
    Ok(named("CHROMEDRIVER", std::env::var_os("CHROMEDRIVER"))?.or_else(|| process::on_path("chromedriver")))
}

/// The program that a variable of the environment names; what it names must be there.
fn named(variable: &str, value: Option<OsString>) -> Result<Option<PathBuf>> {
    let Some(path) = value.map(PathBuf::from) else { return Ok(None) };
    if path.is_file() {
        Ok(Some(path))
    } else {
        Err(format!("{variable}: expected the path of a program, got `{}`", path.display()))
    }
}

/// Asks Debian's package manager, where there is one.
fn install(what: &str, packages: &[&str]) -> Result<()> {
    if process::on_path("apt-get").is_none() {
        return Ok(());
    }
    say(&format!("Installing {what} with apt-get"));
    let is_root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
        process::run(&mut command)
    };
    // One unreachable source is no reason to stop: the installation tells whether the lists suffice.
    if let Err(problem) = apt_get(&["update"]) {
        say(&format!("{problem}; trying with the package lists that are there"));
    }
    apt_get(&[&["install", "-y"], packages].concat()).map_err(|error| format!("{error}; install {what}"))
}

/// Where drivers of Vulkan say that they are there; `VK_DRIVER_FILES` and `VK_ICD_FILENAMES` name others.
const VULKAN_DRIVERS: &[&str] = &["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/// A driver of Vulkan, at least Mesa's, which computes on the processor. Whether it has an adapter is found out by who uses it.
pub fn vulkan() -> Result<()> {
    let has_driver = || {
        let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|name| std::env::var_os(name).is_some());
        let is_there = |folder: &&str| fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some());
        named || VULKAN_DRIVERS.iter().any(is_there)
    };
    if cfg!(target_os = "linux") && !has_driver() {
        install("Mesa's Vulkan drivers", &["libvulkan1", "mesa-vulkan-drivers"])?;
        if !has_driver() {
            return Err(String::from(
                "there is no Vulkan driver: install that of the graphics card, or Mesa's (on Debian `mesa-vulkan-drivers`), \
                 which computes on the processor",
            ));
        }
    }
    Ok(())
}

/// Checks that Node and npm are there and new enough; they are not ours to install.
pub fn node() -> Result<()> {
    let (major, minor) = NODE_MIN;
    let found = process::output(Command::new("node").arg("--version")).ok();
    match found.as_deref().map(str::trim) {
        Some(version) if node_version(version).is_some_and(|found| found >= NODE_MIN) => {}
        found => {
            let found = found.unwrap_or("none");
            return Err(format!("Node.js {major}.{minor} or newer is needed (found: {found}); install it with npm"));
        }
    }
    process::output(npm(Path::new(".")).arg("--version"))
        .map(drop)
        .map_err(|_| String::from("npm is needed beside Node.js; install it"))
}

/// Major and minor of `v20.19.1`.
fn node_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix('v')?.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// npm, to be run in a folder.
pub fn npm(folder: &Path) -> Command {
    let mut command = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    command.current_dir(folder);
    command
}

/// Installs exactly what a folder's `package-lock.json` says, once for every change of that file.
pub fn npm_ci(workspace: &Workspace, folder: &str) -> Result<()> {
    node()?;
    let lock = format!("{folder}/package-lock.json");
    if !workspace.path(&lock).is_file() {
        return Err(format!("{lock} is missing"));
    }
    let manifest = format!("{folder}/package.json");
    let wanted = format!("{:016x}\n", workspace::fingerprint(&workspace.root, &[&manifest, &lock], &[])?);
    // Inside node_modules, so that it goes when they go.
    let stamp = workspace.path(folder).join("node_modules/.unroll-stamp");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    say(&format!("Installing the npm packages of {folder}/"));
    process::run(npm(&workspace.path(folder)).args(["ci", "--no-audit", "--no-fund"]))?;
    fs::create_dir_all(workspace.path(folder).join("node_modules"))
        .and_then(|()| fs::write(&stamp, wanted))
        .map_err(|error| format!("{}: {error}", stamp.display()))
}

/// binaryen's `wasm-opt` as npm brings it, without arguments.
pub fn wasm_opt(workspace: &Workspace) -> Result<Command> {
    npm_ci(workspace, "xtask")?;
    let mut command = Command::new("node");
    command.arg(workspace.path("xtask/node_modules/binaryen/bin/wasm-opt"));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_compare_by_number() {
        assert_eq!(node_version("v20.19.1"), Some((20, 19)));
        assert!(node_version("v22.3.0").is_some_and(|found| found >= NODE_MIN));
        assert!(node_version("v20.9.0").is_some_and(|found| found < NODE_MIN));
        assert!(node_version("v8.17.0").is_some_and(|found| found < NODE_MIN));
        assert_eq!(node_version("20.19.1"), None);
    }

    #[test]
    fn a_named_program_must_be_there() {
        let rustc = process::on_path("rustc").expect("rustc built this test");
        assert_eq!(named("CHROMIUM", None), Ok(None));
        assert_eq!(named("CHROMIUM", Some(rustc.clone().into())), Ok(Some(rustc)));
        let error = named("CHROMIUM", Some("unroll/no/such".into())).expect_err("it does not exist");
        assert_eq!(error, "CHROMIUM: expected the path of a program, got `unroll/no/such`");
    }

    #[test]
    fn wasm_commands_do_not_inherit_rustflags() {
        let mut command = Command::new("cargo");
        keep_wasm_flags(&mut command);
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).map(|(key, _)| key).collect();
        assert_eq!(removed, ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"]);
    }

    #[test]
    fn programs_of_another_version_are_not_taken() {
        let path = process::on_path("rustc").expect("rustc built this test");
        let folder = path.parent().expect("a program lies in a folder");
        let version = process::output(Command::new(&path).arg("--version")).expect("rustc runs");
        let version = version.split_whitespace().nth(1).expect("the second word is the version");
        assert!(has_programs(folder, version, &["rustc", "cargo"]));
        assert!(!has_programs(folder, "0.0.1", &["rustc", "cargo"]));
        assert!(!has_programs(folder, version, &["rustc", "unroll-no-such-program"]));
    }
}
