//! The commands of the repository, called as `cargo xtask COMMAND`.
//!
//! Knows how to install, build, serve and test; knows nothing about networks. Everything that is built or installed
//! lies in paths that git ignores: `.tools/`, `pkg/`, `www/dist/`, `node_modules/`.

mod bench;
mod build;
mod process;
mod serve;
mod summary;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

/// Why a command stopped, in one sentence for the person who typed it.
type Result<T> = std::result::Result<T, String>;

/// An entry of [`COMMANDS`].
struct Command {
    name: &'static str,
    /// What may follow the name.
    usage: &'static str,
    about: &'static str,
    /// Gets what followed the name; false is an exit status of 1 without a further message.
    run: fn(&Workspace, &[String]) -> Result<bool>,
}

/// Every command; a new one is a line here and a module.
const COMMANDS: &[Command] = &[
    Command {
        name: "build",
        usage: "",
        about: "build the package in pkg/ and the page in www/dist/",
        run: build::command,
    },
    Command {
        name: "serve",
        usage: "[--port N] [--open]",
        about: "build, then serve the page on 127.0.0.1",
        run: serve::command,
    },
    Command {
        name: "bench",
        usage: "[--gpu | --native-gpu] [--engine IDS] [--workload IDS]",
        about: "measure our engine beside its peers, in one Chromium",
        run: bench::command,
    },
    Command {
        name: "test",
        usage: "[--list] [--only STAGE[,STAGE…]] [--long] [--native-gpu]",
        about: "check and test everything, in Rust, in Chromium and on the page; --long adds the tests that train for minutes",
        run: test::command,
    },
];

fn usage() -> String {
    let mut text = String::from("cargo xtask COMMAND, where COMMAND is one of\n");
    for command in COMMANDS {
        let call = format!("{} {}", command.name, command.usage);
        text.push_str(&format!("\n  {call}\n      {}\n", command.about));
    }
    text
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asks_for_help = arguments.iter().any(|argument| argument == "--help" || argument == "-h");
    let Some((name, rest)) = arguments.split_first().filter(|_| !asks_for_help) else {
        println!("{}", usage());
        return if asks_for_help { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("xtask: there is no command `{name}`\n\n{}", usage());
        return ExitCode::FAILURE;
    };
    match Workspace::find().and_then(|workspace| (command.run)(&workspace, rest)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("xtask {name}: {problem}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_names_every_command_once() {
        for command in COMMANDS {
            assert_eq!(COMMANDS.iter().filter(|other| other.name == command.name).count(), 1, "{}", command.name);
            assert!(usage().contains(&format!("\n  {}", command.name)), "{}", command.name);
        }
    }
}
