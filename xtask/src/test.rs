//! `cargo xtask test`: every check and every test, from cheap to dear, to the end even when one fails.
//!
//! [`STAGES`] is the only place that lists them; `--native-gpu` runs [`NATIVE_GPU`] instead. What was skipped counts as failed, and so
//! does a stage of tests in which no test ran. Tests in a Rust module named `long` train for minutes: they are part of the stage `host`
//! with `--long` alone.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{self, Streamed};
use crate::serve::{Mount, Server};
use crate::summary::{self, Tally};
use crate::tools::{self, WASM};
use crate::workspace::{self, Workspace};
use crate::{Result, bench, build};

/// Largest Brotli sizes, in bytes.
const WASM_BUDGET: u64 = 250_000;
const JAVASCRIPT_BUDGET: u64 = 150_000;

/// Seconds that one test binary may take in the browser; the runner's own limit of 20 is too short for training.
const BROWSER_LIMIT_S: &str = "1800";

/// Prints the Brotli size of each file named after it, one a line.
const BROTLI: &str = "const { brotliCompressSync } = require('node:zlib'); \
    for (const path of process.argv.slice(1)) \
    console.log(brotliCompressSync(require('node:fs').readFileSync(path)).length);";

/// An entry of [`STAGES`].
struct Stage {
    /// Name for `--only`.
    id: &'static str,
    title: &'static str,
    run: fn(&mut Session) -> Result<Tally>,
}

const STAGES: &[Stage] = &[
    Stage { id: "fmt", title: "Rust format", run: fmt },
    Stage { id: "lint", title: "Rust lints on the host", run: lint },
    Stage { id: "lint-wasm", title: "Rust lints for wasm", run: lint_wasm },
    Stage { id: "host", title: "Rust tests on the host", run: host },
    Stage { id: "wasm", title: "Rust tests in headless Chromium", run: wasm },
    Stage { id: "build", title: "package and page", run: built },
    Stage { id: "check", title: "TypeScript format, lints and types", run: check },
    Stage { id: "unit", title: "TypeScript unit tests", run: unit },
    Stage { id: "size", title: "size budgets", run: size },
    Stage { id: "page", title: "the page in headless Chromium", run: page },
];

/// WebGPU's engine without a browser, on the Vulkan adapter of this machine. Only when asked for: it compiles all of wgpu.
const NATIVE_GPU: &[Stage] = &[
    Stage { id: "native-lint", title: "Rust lints with the feature native-gpu", run: native_lint },
    Stage { id: "native-gpu", title: "tests of WebGPU on the host, through Vulkan", run: native_gpu },
];

/// What the stages of one run share.
struct Session<'a> {
    workspace: &'a Workspace,
    /// Run the long tests too.
    long: bool,
    /// Outcome of the build, once some stage has asked for it.
    site: Option<Result<()>>,
}

impl Session<'_> {
    /// Builds package and page, the first time.
    fn site(&mut self) -> Result<()> {
        let workspace = self.workspace;
        self.site.get_or_insert_with(|| build::site(workspace)).clone()
    }

    fn www(&self) -> PathBuf {
        self.workspace.path("www")
    }
}

/// What one stage came to.
struct Report {
    id: &'static str,
    tally: Tally,
    elapsed: Duration,
    /// Why it failed, where the output of its tests does not say so.
    problem: Option<String>,
}

/// The command.
pub fn command(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let (long, arguments): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|&argument| argument == "--long");
    let stages = match arguments[..] {
        [] => select(None)?,
        ["--list"] => {
            for stage in STAGES {
                println!("{:<10} {}", stage.id, stage.title);
            }
            return Ok(true);
        }
        ["--native-gpu"] => NATIVE_GPU.iter().collect(),
        ["--only", ids] => select(Some(ids))?,
        [option] if option.starts_with("--only=") => select(option.strip_prefix("--only="))?,
        _ => {
            return Err(format!(
                "expected --list, --only STAGE[,STAGE…] or --native-gpu, and --long, got `{}`",
                arguments.join(" ")
            ));
        }
    };
    if std::env::var_os("RUSTFLAGS").is_some() {
        process::say(
            "RUSTFLAGS is set: it holds for the host and is left out for wasm, where it would switch off SIMD",
        );
    }
    let mut session = Session { workspace, long: !long.is_empty(), site: None };
    let mut reports = Vec::new();
    for stage in stages {
        println!("\n━━ {}: {}", stage.id, stage.title);
        let start = Instant::now();
        let (tally, problem) = match (stage.run)(&mut session) {
            Ok(tally) => (tally, None),
            Err(problem) => (Tally::FAILED, Some(problem)),
        };
        let report = Report { id: stage.id, tally, elapsed: start.elapsed(), problem };
        println!("━━ {}", report.line());
        reports.push(report);
    }
    let mut total = Tally::default();
    println!("\n━━ summary");
    for report in &reports {
        println!("{}", report.line());
        total += report.tally;
    }
    println!("\n{}", last_line(total));
    Ok(total.all_failed() == 0)
}

/// The stages named in a list that is separated by commas, in their own order.
fn select(ids: Option<&str>) -> Result<Vec<&'static Stage>> {
    let Some(ids) = ids else { return Ok(STAGES.iter().collect()) };
    let ids: Vec<&str> = ids.split(',').collect();
    if let Some(unknown) = ids.iter().find(|id| STAGES.iter().all(|stage| stage.id != **id)) {
        let known: Vec<&str> = STAGES.iter().map(|stage| stage.id).collect();
        return Err(format!("--only: expected some of {}, got `{unknown}`", known.join(", ")));
    }
    Ok(STAGES.iter().filter(|stage| ids.contains(&stage.id)).collect())
}

impl Report {
    fn line(&self) -> String {
        let Tally { passed, failed, skipped } = self.tally;
        let mark = if self.tally.all_failed() == 0 { "ok" } else { "FAILED" };
        let mut line = format!(
            "{:<10} {mark:<7} {passed:>5} passed {failed:>4} failed {skipped:>4} skipped {:>8.1} s",
            self.id,
            self.elapsed.as_secs_f64()
        );
        if let Some(problem) = &self.problem {
            line.push_str(&format!("   {problem}"));
        }
        line
    }
}

fn last_line(total: Tally) -> String {
    format!("{} passed, {} failed", total.passed, total.all_failed())
}

/// One check: a command that must succeed.
fn one(mut command: Command) -> Result<Tally> {
    if process::stream(&mut command)?.succeeded {
        Ok(Tally::PASSED)
    } else {
        Err(format!("`{}` failed", process::describe(&command)))
    }
}

/// A test runner: its own counts, and one failure more when they do not explain how it ended.
fn many(mut command: Command, count: fn(&[String]) -> Tally) -> Result<Tally> {
    let streamed = process::stream(&mut command)?;
    judge(&streamed, count).map_err(|problem| format!("`{}` {problem}", process::describe(&command)))
}

fn judge(streamed: &Streamed, count: fn(&[String]) -> Tally) -> Result<Tally> {
    let mut tally = count(&streamed.lines);
    match (tally.is_empty(), streamed.succeeded) {
        (true, true) => Err(String::from("ran no test")),
        (true, false) => Err(String::from("failed before the first test ended")),
        (false, true) => Ok(tally),
        (false, false) => {
            if tally.failed == 0 {
                println!("The tests that ran passed, but the runner failed: see above.");
                tally += Tally::FAILED;
            }
            Ok(tally)
        }
    }
}

fn fmt(session: &mut Session) -> Result<Tally> {
    tools::rust_component("rustfmt", "fmt")?;
    let mut command = session.workspace.cargo();
    command.args(["fmt", "--all", "--check", "--"]);
    // rustfmt does not find modules that a table declares.
    for folder in ["src/kernels", "src/nn"] {
        command.args(workspace::files_with(&session.workspace.path(folder), &["rs"])?);
    }
    let mut tally = one(command)?;
    let mut command = session.workspace.cargo();
    command.args(["fmt", "--check", "--manifest-path"]).arg(session.workspace.path(bench::BURN).join("Cargo.toml"));
    tally += one(command)?;
    Ok(tally)
}

fn lint(session: &mut Session) -> Result<Tally> {
    tools::rust_component("clippy", "clippy")?;
    let mut command = session.workspace.cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
    one(command)
}

fn lint_wasm(session: &mut Session) -> Result<Tally> {
    tools::rust_component("clippy", "clippy")?;
    tools::wasm_target()?;
    let mut command = session.workspace.cargo();
    command.args(["clippy", "--workspace", "--exclude", "xtask", "--all-targets", "--target", WASM]);
    command.args(["--", "--deny", "warnings"]);
    tools::keep_wasm_flags(&mut command);
    one(command)
}

fn host(session: &mut Session) -> Result<Tally> {
    let mut command = session.workspace.cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if !session.long {
        command.args(["--", "--skip", "::long::"]);
    }
    many(command, summary::libtest)
}

fn native_lint(session: &mut Session) -> Result<Tally> {
    tools::rust_component("clippy", "clippy")?;
    let mut command = session.workspace.cargo();
    command.args(["clippy", "--package", "unroll", "--features", "native-gpu", "--all-targets"]);
    command.args(["--", "--deny", "warnings"]);
    one(command)
}

fn native_gpu(session: &mut Session) -> Result<Tally> {
    tools::vulkan()?;
    let mut command = session.workspace.cargo();
    command.args(["test", "--package", "unroll", "--features", "native-gpu", "--no-fail-fast"]);
    command.args(["--test", "suite", "--", "gpu::"]);
    // Mesa's layer that reorders adapters asks for a desktop at every start, and complains where there is none.
    command.env("NODEVICE_SELECT", "1");
    many(command, summary::libtest)
}

fn wasm(session: &mut Session) -> Result<Tally> {
    let workspace = session.workspace;
    tools::wasm_target()?;
    let bindgen = tools::wasm_bindgen(workspace)?;
    let mut command = Command::new(tools::wasm_pack(workspace)?);
    let browser = tools::browser()?;
    // wasm-pack takes the wasm-bindgen on the search path when its version fits; it must not fetch another.
    process::prepend_path(&mut command, &bindgen)?;
    command
        .current_dir(&workspace.root)
        .args(["test", "--headless", "--chrome", "--release", "--mode", "no-install", "--chromedriver"])
        .arg(browser.chromedriver)
        // Examples in documentation hold nothing that the runner finds: on wasm they would pass without having run.
        .args(["--", "--all-targets"])
        .env("WASM_PACK_CACHE", workspace.path(".tools/wasm-pack"))
        // A test binary that does not say where it runs would be left out.
        .env("WASM_BINDGEN_USE_BROWSER", "1");
    if std::env::var_os("WASM_BINDGEN_TEST_TIMEOUT").is_none() {
        command.env("WASM_BINDGEN_TEST_TIMEOUT", BROWSER_LIMIT_S);
    }
    tools::keep_wasm_flags(&mut command);
    many(command, summary::libtest)
}

fn built(session: &mut Session) -> Result<Tally> {
    session.site().map(|()| Tally::PASSED)
}

fn check(session: &mut Session) -> Result<Tally> {
    // The page's types come from the package.
    session.site()?;
    let mut command = tools::npm(&session.www());
    command.args(["run", "check"]);
    one(command)
}

fn unit(session: &mut Session) -> Result<Tally> {
    session.site()?;
    let mut command = tools::npm(&session.www());
    command.args(["run", "test"]);
    many(command, summary::vitest)
}

fn size(session: &mut Session) -> Result<Tally> {
    session.site()?;
    let mut tally = Tally::default();
    for (what, extensions, budget) in
        [("wasm", &["wasm"][..], WASM_BUDGET), ("JavaScript", &["js", "mjs"][..], JAVASCRIPT_BUDGET)]
    {
        let files = workspace::files_with(&session.workspace.path("www/dist"), extensions)?;
        if files.is_empty() {
            return Err(format!("www/dist holds no {what}"));
        }
        let sizes = process::output(Command::new("node").args(["--eval", BROTLI, "--"]).args(&files))?;
        let sizes: Vec<u64> = sizes.lines().filter_map(|line| line.parse().ok()).collect();
        if sizes.len() != files.len() {
            return Err(format!("asked for the sizes of {} files, got {}", files.len(), sizes.len()));
        }
        for (file, bytes) in files.iter().zip(&sizes) {
            let shown = file.strip_prefix(&session.workspace.root).unwrap_or(file);
            println!("{bytes:>8} {}", shown.display());
        }
        let total: u64 = sizes.iter().sum();
        let fits = total <= budget;
        println!("{total:>8} bytes of {what} after Brotli: {} {budget}", if fits { "within" } else { "OVER" });
        tally += if fits { Tally::PASSED } else { Tally::FAILED };
    }
    Ok(tally)
}

fn page(session: &mut Session) -> Result<Tally> {
    session.site()?;
    let workspace = session.workspace;
    let browser = tools::browser()?;
    // Not at the root of the host: the site must work from a sub-path. The package is also there by itself.
    let server = Server::bind(
        0,
        vec![Mount::new("/some/sub-path/", workspace.path("www/dist")), Mount::new("/package/", workspace.path("pkg"))],
    )?;
    server.start();
    let mut command = tools::npm(&session.www());
    command
        .args(["run", "test:page"])
        .env("UNROLL_URL", server.address("/some/sub-path/"))
        .env("UNROLL_PACKAGE_URL", server.address("/package/"))
        .env("CHROMIUM", browser.chromium);
    many(command, summary::vitest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_selected_by_name_in_their_own_order() {
        let ids = |text: &str| select(Some(text)).map(|stages| stages.iter().map(|stage| stage.id).collect::<Vec<_>>());
        assert_eq!(ids("host,fmt"), Ok(vec!["fmt", "host"]));
        let error = ids("fmt,hosts").expect_err("there is no such stage");
        assert!(error.starts_with("--only: expected some of fmt, lint, ") && error.ends_with("got `hosts`"), "{error}");
        assert_eq!(select(None).map(|stages| stages.len()), Ok(STAGES.len()));
        assert!(
            NATIVE_GPU.iter().all(|stage| ids(stage.id).is_err()),
            "what is asked for apart is no part of the rest"
        );
    }

    #[test]
    fn a_runner_is_judged_by_its_counts_and_by_its_end() {
        let judge = |lines: &[&str], succeeded| {
            judge(&Streamed { lines: lines.iter().map(|line| line.to_string()).collect(), succeeded }, summary::libtest)
        };
        let passed = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let failed = "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(judge(&[passed], true), Ok(Tally { passed: 2, failed: 0, skipped: 0 }));
        assert_eq!(judge(&[passed, failed], false), Ok(Tally { passed: 3, failed: 1, skipped: 0 }));
        assert_eq!(judge(&[passed], false), Ok(Tally { passed: 2, failed: 1, skipped: 0 }));
        assert!(judge(&[], true).is_err());
        assert!(judge(&["error: could not compile"], false).is_err());
    }

    #[test]
    fn last_line_counts_skipped_as_failed() {
        assert_eq!(last_line(Tally { passed: 12, failed: 1, skipped: 2 }), "12 passed, 3 failed");
    }

    #[test]
    fn stage_lines_do_not_look_like_the_last_line() {
        let report = Report { id: "fmt", tally: Tally::PASSED, elapsed: Duration::from_millis(1500), problem: None };
        assert_eq!(report.line(), "fmt        ok          1 passed    0 failed    0 skipped      1.5 s");
        let problem = Some(String::from("`cargo fmt` failed"));
        let report = Report { id: "fmt", tally: Tally::FAILED, elapsed: Duration::ZERO, problem };
        assert!(report.line().contains("FAILED") && report.line().ends_with("`cargo fmt` failed"));
    }
}
