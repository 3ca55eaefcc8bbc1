//! An interactive shell with the hook loaded, and a person at it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;

use super::{Sandbox, Terminal, tool};

/// A shell that has a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// All of them.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// An interactive shell in a terminal of its own.
pub struct Session {
    pub terminal: Terminal,
    home: std::path::PathBuf,
    steps: Cell<usize>,
}

impl Shell {
    /// Its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// Whether it has something that runs before a command: zsh and fish do, bash from 5.3 on.
    pub fn looks_before_commands(self) -> bool {
        let script = "[[ ${BASH_VERSINFO[0]}${BASH_VERSINFO[1]} -ge 53 ]]";
        let new_enough = || std::process::Command::new(tool("bash")).args(["-c", script]).status().unwrap();
        self != Self::Bash || new_enough().success()
    }

    /// The line of its rc file that loads the hook.
    pub fn load(self) -> String {
        let client = env!("CARGO_BIN_EXE_mfa-agent");
        match self {
            Self::Bash | Self::Zsh => format!("eval \"$({client} init {})\"\n", self.program()),
            Self::Fish => format!("{client} init fish | source\n"),
        }
    }

    /// Its rc file, below the home.
    fn rc(self) -> &'static str {
        match self {
            Self::Bash => ".bashrc",
            Self::Zsh => ".zshrc",
            Self::Fish => ".config/fish/config.fish",
        }
    }

    /// What keeps its screen simple. A faked clock's shared memory goes when a subshell ends, and whoever is told
    /// of it after that does not start; without it each program makes its own.
    fn plain(self) -> &'static str {
        match self {
            Self::Bash => "PS1='> '\nbind 'set enable-bracketed-paste off'\nunset FAKETIME_SHARED\n",
            Self::Zsh => {
                "PS1='> '\nunsetopt prompt_cr prompt_sp\nunset zle_bracketed_paste FAKETIME_SHARED\n"
            }
            Self::Fish => {
                "set -g fish_greeting\nfunction fish_prompt; echo '> '; end\nset -e FAKETIME_SHARED; or true\n"
            }
        }
    }
}

impl Session {
    /// A shell with the hook.
    pub fn start(sandbox: &Sandbox, shell: Shell) -> Self {
        Self::start_with(sandbox, shell, "", "")
    }

    /// A shell with the hook, and these lines of its rc file before and after it.
    pub fn start_with(sandbox: &Sandbox, shell: Shell, before: &str, after: &str) -> Self {
        Self::start_rc(sandbox, shell, &format!("{before}\n{}{after}\n", shell.load()))
    }

    /// A shell with these lines in its rc file, which load the hook or do not.
    pub fn start_rc(sandbox: &Sandbox, shell: Shell, rc: &str) -> Self {
        sandbox.write(shell.rc(), &format!("{}{rc}\n", shell.plain()));
        let arguments: &[&str] = match shell {
            Shell::Bash => &["--noprofile", "-i"],
            Shell::Zsh => &["-d", "-i"],
            Shell::Fish => &["-i"],
        };
        Self::begin(sandbox, tool(shell.program()), arguments)
    }

    /// A shell with the hook, under strace, which notes every process that it makes.
    pub fn start_traced(sandbox: &Sandbox, shell: Shell, trace: &std::path::Path) -> Self {
        Self::start_calls_traced(sandbox, shell, trace, "process")
    }

    /// The same, with a choice of system calls that are noted.
    pub fn start_calls_traced(sandbox: &Sandbox, shell: Shell, trace: &std::path::Path, calls: &str) -> Self {
        sandbox.write(shell.rc(), &format!("{}{}", shell.plain(), shell.load()));
        let shell = tool(shell.program());
        let arguments = [
            "-f",
            "-qq",
            "-e",
            &format!("trace={calls}"),
            "-o",
            trace.to_str().unwrap(),
            shell.to_str().unwrap(),
            "-i",
        ];
        Self::begin(sandbox, tool("strace"), &arguments)
    }

    fn begin(sandbox: &Sandbox, program: std::path::PathBuf, arguments: &[&str]) -> Self {
        // A fish that finds none of these reads every manual page of the machine beside the shell.
        sandbox.write(".local/share/fish/generated_completions/none.fish", "");
        let session = Self {
            terminal: Terminal::run_shown(sandbox, program, arguments),
            home: sandbox.home(),
            steps: Cell::new(0),
        };
        session.run("true");
        session
    }

    /// Types a command, waits for its end, and returns what the screen showed from its prompt's answer on.
    #[track_caller]
    pub fn run(&self, command: &str) -> String {
        let start = self.type_line(command);
        self.wait_for_step(start)
    }

    /// The same, up to the next prompt: the hook has looked when this returns.
    #[track_caller]
    pub fn run_to_prompt(&self, command: &str) {
        let start = self.terminal.screen().len();
        let shown = start + self.run(command).len();
        let end = format!("step-{}\r\n", self.steps.get());
        let ended = self.terminal.screen()[start..shown].rfind(&end).unwrap_or(0);
        self.terminal.wait_for_after(start + ended, "> ");
    }

    /// Types a command whose end is waited for later.
    pub fn type_line(&self, command: &str) -> usize {
        let start = self.terminal.screen().len();
        self.steps.set(self.steps.get() + 1);
        // What is typed is shown too; the shell alone puts the word together.
        self.terminal.type_in(&format!("{command}; echo s\"\"tep-{}\r", self.steps.get()));
        start
    }

    /// Waits for the end of the last command.
    #[track_caller]
    pub fn wait_for_step(&self, start: usize) -> String {
        let step = format!("step-{}\r\n", self.steps.get());
        self.terminal.wait_for_after(start, &step);
        // The prompt behind it is part of the step: it is there, or asks.
        let end = start + self.terminal.screen()[start..].find(&step).unwrap_or(0) + step.len();
        self.terminal.wait_for_any_after(end, &["> ", "MFA code"]);
        self.terminal.screen()[start..].to_owned()
    }

    /// Waits for the prompt to ask for a code, behind so much of the screen, and answers.
    #[track_caller]
    pub fn answer(&self, start: usize, keys: &str) {
        self.terminal.wait_for_after(start, "MFA code for");
        self.terminal.wait_for_after(start, "): ");
        let asked = self.terminal.screen().len();
        self.terminal.type_in(keys);
        // What is typed before the answer is there is not for the shell.
        self.terminal.wait_for_after(asked, "> ");
    }

    /// The environment that a command of this shell gets.
    #[track_caller]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let file = self.home.join("environment");
        self.run(&format!("env -0 > {}", file.display()));
        String::from_utf8_lossy(&fs::read(file).unwrap())
            .split('\0')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The key id that a command of this shell gets.
    #[track_caller]
    pub fn key_id(&self) -> Option<String> {
        self.environment().remove("AWS_ACCESS_KEY_ID")
    }
}

/// The processes and programs that the traced shell itself made so far.
pub fn processes(trace: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(trace).unwrap();
    // fish starts things of its own beside the shell.
    let shell = text.split(' ').next().unwrap_or_default();
    let makes = |line: &&str| {
        line.starts_with(shell)
            && !line.contains("CLONE_THREAD")
            && !line.contains("resumed>")
            && ["clone", "fork(", "execve("].iter().any(|call| line.contains(call))
    };
    text.lines().filter(makes).map(str::to_owned).collect()
}
