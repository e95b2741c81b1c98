//! Running other programs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use crate::Result;

/// Tells the person at the terminal what happens now.
pub fn say(what: &str) {
    println!("==> {what}");
    std::io::stdout().flush().ok();
}

/// A command as one would type it, for messages.
pub fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_stem().unwrap_or(program.as_os_str());
    let words: Vec<_> = std::iter::once(name).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// Runs a command whose output goes where ours goes.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("`{}` did not start: {error}", describe(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", describe(command))) }
}

/// Runs a command and returns what it wrote to its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("`{}` did not start: {error}", describe(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_string();
        Err(format!("`{}` failed ({}): {message}", describe(command), output.status))
    }
}

/// What a command printed, line by line and without colours, and whether it succeeded.
pub struct Streamed {
    pub lines: Vec<String>,
    pub succeeded: bool,
}

/// Runs a command, shows its output while it runs, and keeps it.
pub fn stream(command: &mut Command) -> Result<Streamed> {
    if std::io::stdout().is_terminal() {
        // The pipe hides the terminal from the program; these bring its colours back.
        command.env("CARGO_TERM_COLOR", "always").env("FORCE_COLOR", "1");
    } else {
        command.env("NO_COLOR", "1");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`{}` did not start: {error}", describe(command)))?;
    let lines = Mutex::new(Vec::new());
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    thread::scope(|scope| {
        scope.spawn(|| copy_lines(stdout, &lines));
        scope.spawn(|| copy_lines(stderr, &lines));
    });
    let status = child.wait().map_err(|error| format!("`{}`: {error}", describe(command)))?;
    Ok(Streamed {
        lines: lines.into_inner().expect("no thread panicked while it held the lines"),
        succeeded: status.success(),
    })
}

fn copy_lines(source: impl Read, lines: &Mutex<Vec<String>>) {
    let mut source = BufReader::new(source);
    let mut bytes = Vec::new();
    while matches!(source.read_until(b'\n', &mut bytes), Ok(n) if n > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_string();
        let mut lines = lines.lock().expect("no thread panicked while it held the lines");
        println!("{line}");
        lines.push(strip_ansi(&line));
        bytes.clear();
    }
}

/// Removes the escape sequences that colour a terminal (`ESC [ … letter`).
pub fn strip_ansi(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.peek() == Some(&'[') {
            chars.next();
            chars.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The first program of this name on the search path.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(&file)).find(|path| path.is_file())
}

/// Puts a folder before all others on the search path of a command.
pub fn prepend_path(command: &mut Command, folder: &Path) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
    let joined = std::env::join_paths(folders).map_err(|error| format!("{}: {error}", folder.display()))?;
    command.env("PATH", joined);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strip_ansi_leaves_only_the_text() {
        assert_eq!(strip_ansi("\u{1b}[1m\u{1b}[32m✓\u{1b}[39m\u{1b}[22m 3 passed\u{1b}[0K"), "✓ 3 passed");
        assert_eq!(strip_ansi("plain [1m"), "plain [1m");
    }

    #[test]
    fn describe_names_the_program_without_its_folder() {
        let mut command = Command::new("bin/wasm-pack");
        command.args(["test", "--headless"]);
        assert_eq!(describe(&command), "wasm-pack test --headless");
    }

    #[test]
    fn stream_keeps_both_streams_and_the_status() {
        let mut command = Command::new("rustc");
        let streamed = stream(command.arg("--no-such-switch")).expect("rustc starts");
        assert!(!streamed.succeeded);
        assert!(streamed.lines.iter().any(|line| line.contains("no-such-switch")), "{:?}", streamed.lines);
        let mut command = Command::new("rustc");
        let streamed = stream(command.arg("--version")).expect("rustc starts");
        assert!(streamed.succeeded && streamed.lines[0].starts_with("rustc "));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&mut Command::new("unroll-no-such-program")).expect_err("it does not exist");
        assert!(error.starts_with("`unroll-no-such-program` did not start"), "{error}");
    }
}
