//! A prompter that the test answers.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Sandbox, wait_until};

/// Speaks Assuan, notes down what it hears, and hands on what the test says.
const SCRIPT: &str = r#"#!/bin/sh
echo "$$" > "$HOME/prompter/process"
echo OK Pleased to meet you
while read -r line; do
    echo "$line" >> "$HOME/prompter/heard"
    case $line in
        GETPIN | CONFIRM)
            answer=$HOME/prompter/answer.$(grep -cxE 'GETPIN|CONFIRM' "$HOME/prompter/heard")
            mkfifo "$answer" && cat "$answer"
            ;;
        *) echo OK ;;
    esac
done
"#;

/// A program that speaks as pinentry does, in the sandbox's configuration.
pub struct TestPrompter {
    folder: PathBuf,
    /// How many dialogs were answered, or are to be.
    answered: Cell<usize>,
}

impl TestPrompter {
    /// Configures it, with this before it in `config.toml`.
    pub fn new(sandbox: &Sandbox, configuration: &str) -> Self {
        sandbox.write("prompter/pinentry-test", SCRIPT);
        let folder = sandbox.home().join("prompter");
        let program = folder.join("pinentry-test");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("heard"), "").unwrap();
        let configuration = format!("prompter = {:?}\n{configuration}", program.to_str().unwrap());
        sandbox.write(".config/mfa-agent/config.toml", &configuration);
        Self { folder, answered: Cell::new(0) }
    }

    /// Answers the next dialog that was not answered, with a line of Assuan.
    pub fn answer(&self, line: &str) {
        self.pass_over();
        let pipe = self.folder.join(format!("answer.{}", self.answered.get()));
        wait_until("a dialog", || pipe.exists());
        // Waits for its reader.
        let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
        writeln!(pipe, "{line}").unwrap();
    }

    /// Leaves the next dialog without an answer.
    pub fn pass_over(&self) {
        self.answered.set(self.answered.get() + 1);
    }

    /// Types a code into the next dialog that was not answered.
    pub fn type_in(&self, code: &str) {
        self.answer(&format!("D {code}\nOK"));
    }

    /// All that it was told.
    pub fn heard(&self) -> String {
        fs::read_to_string(self.folder.join("heard")).unwrap()
    }

    /// How often it was told this.
    pub fn asked(&self, command: &str) -> usize {
        self.heard().lines().filter(|line| *line == command).count()
    }

    /// Waits until it has heard this.
    pub fn wait_for(&self, words: &str) {
        wait_until(words, || self.heard().contains(words));
    }

    /// The process that is asking.
    pub fn process(&self) -> i32 {
        fs::read_to_string(self.folder.join("process")).unwrap().trim().parse().unwrap()
    }
}
