//! The processes of the run: what each was started as, and by whom.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// What people type, and what it leaves everything else to.
    Client,
    /// The agent.
    Agent,
    /// None of ours.
    Other,
}

/// Why a process is there.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The agent, or something that it started, did it.
    Agent,
    /// This client started it, or became it.
    Client(Arc<Process>),
    /// It took the place of a client: the command of `exec`.
    Exec,
    /// A test or a person's shell did it.
    Test,
}

/// A process from the moment that it became a program.
#[derive(Debug)]
pub struct Process {
    /// Its number, and when it began, in the kernel's ticks: both together are of no other.
    pub pid: i32,
    began: u64,
    /// The program's file.
    pub file: PathBuf,
    /// What that is.
    pub program: Program,
    /// Why it is there.
    pub origin: Origin,
    /// The arguments, each with a NUL behind it.
    pub arguments: Vec<u8>,
    /// The variables, each with a NUL behind it; empty where nobody judges them.
    pub environment: Vec<u8>,
}

/// Those of the run, by number. A number is given to others when its process is gone: see [`Self::forget`].
pub struct Processes {
    root: i32,
    known: HashMap<i32, Arc<Process>>,
}

impl Program {
    fn of(file: &Path) -> Self {
        match file.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
            "mfa-agent" | "mfa-agent-cli" | "client-under-test" => Self::Client,
            "mfa-agentd" => Self::Agent,
            _ => Self::Other,
        }
    }
}

impl Process {
    /// The name of its program.
    pub fn name(&self) -> &str {
        self.file.file_name().and_then(|name| name.to_str()).unwrap_or("?")
    }

    /// Whether it is one of our programs.
    pub fn is_ours(&self) -> bool {
        self.program != Program::Other
    }

    /// One that never ran.
    #[cfg(test)]
    pub fn made_up(file: &str, origin: Origin, arguments: &str, environment: &str) -> Self {
        let bytes = |text: &str| text.replace(' ', "\0").into_bytes();
        let (file, arguments, environment) = (PathBuf::from(file), bytes(arguments), bytes(environment));
        let program = Program::of(&file);
        Self { pid: 1, began: 0, file, program, origin, arguments, environment }
    }

    /// Whether it is one of our programs, or one of them started it for its own ends.
    pub fn is_product(&self) -> bool {
        self.is_ours() || matches!(self.origin, Origin::Agent | Origin::Client(_))
    }

    /// Whether nothing of what it has may be secret: the agent, and what it starts.
    pub fn is_agents(&self) -> bool {
        self.program == Program::Agent || matches!(self.origin, Origin::Agent)
    }
}

impl Processes {
    /// What descends from this process is of the run.
    pub fn below(root: i32) -> Self {
        Self { root, known: HashMap::new() }
    }

    /// Looks at a process that has just become a program, and waits; none where it is not of the run, or known.
    pub fn add(&mut self, pid: i32) -> io::Result<Option<Arc<Process>>> {
        let (parent, began) = stat(pid)?;
        let before = self.known.get(&pid).filter(|before| before.began == began).cloned();
        if before.is_none() && !self.is_of_the_run(pid)? {
            return Ok(None);
        }
        let file = fs::read_link(format!("/proc/{pid}/exe"))?;
        let arguments = fs::read(format!("/proc/{pid}/cmdline"))?;
        if before.as_ref().is_some_and(|before| before.file == file && before.arguments == arguments) {
            // It opens the library once more.
            return Ok(None);
        }
        let program = Program::of(&file);
        let origin = self.origin(before, parent, &file);
        let mut process = Process { pid, began, file, program, origin, arguments, environment: Vec::new() };
        if process.is_ours() || !matches!(process.origin, Origin::Test) {
            process.environment = fs::read(format!("/proc/{pid}/environ"))?;
        }
        let process = Arc::new(process);
        self.known.insert(pid, Arc::clone(&process));
        Ok(Some(process))
    }

    fn origin(&self, before: Option<Arc<Process>>, parent: i32, file: &Path) -> Origin {
        let of = |process: Arc<Process>| match (process.program, &process.origin) {
            (Program::Agent, _) | (_, Origin::Agent) => Origin::Agent,
            (Program::Client, _) => Origin::Client(process),
            (Program::Other, Origin::Client(client)) => Origin::Client(Arc::clone(client)),
            // The person's command, and what it starts.
            (Program::Other, _) => Origin::Test,
        };
        match before {
            Some(before) if before.is_agents() => Origin::Agent,
            Some(before) if before.program == Program::Client => {
                let exec = before.arguments.split(|byte| *byte == 0).any(|argument| argument == b"exec");
                let itself = file.ends_with("mfa-agent-cli");
                if exec && !itself { Origin::Exec } else { Origin::Client(before) }
            }
            Some(before) => match &before.origin {
                Origin::Exec => Origin::Test,
                origin => origin.clone(),
            },
            None => self.nearest(parent).map_or(Origin::Test, of),
        }
    }

    /// The process, or the nearest above it that became a program.
    fn nearest(&self, mut pid: i32) -> Option<Arc<Process>> {
        loop {
            let (parent, began) = stat(pid).ok()?;
            if let Some(process) = self.known.get(&pid).filter(|process| process.began == began) {
                return Some(Arc::clone(process));
            }
            if pid == self.root || parent <= 1 {
                return None;
            }
            pid = parent;
        }
    }

    fn is_of_the_run(&self, process: i32) -> io::Result<bool> {
        let mut pid = process;
        while pid > 1 {
            let Ok((parent, began)) = stat(pid) else {
                // One above it ended meanwhile, and it has another parent; or itself did.
                stat(process)?;
                pid = process;
                continue;
            };
            if pid == self.root || self.known.get(&pid).is_some_and(|known| known.began == began) {
                return Ok(true);
            }
            pid = parent;
        }
        Ok(false)
    }

    /// Who has this number: what it was when it last became a program.
    pub fn get(&self, pid: i32) -> Option<&Arc<Process>> {
        self.known.get(&pid)
    }

    /// Those of ours that are gone by now.
    pub fn gone(&self) -> Vec<i32> {
        let ours = self.known.values().filter(|process| process.is_ours());
        let gone =
            ours.filter(|process| stat(process.pid).map(|(_, began)| began).ok() != Some(process.began));
        gone.map(|process| process.pid).collect()
    }

    /// Forgets processes: what has their numbers from now on is something else.
    pub fn forget(&mut self, gone: &[i32]) {
        self.known.retain(|pid, _| !gone.contains(pid));
    }
}

/// The parent of a process, and when it began.
fn stat(pid: i32) -> io::Result<(i32, u64)> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    let text = String::from_utf8_lossy(&text);
    // The name before it may hold anything.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut fields = fields.split_ascii_whitespace();
    let parent = fields.nth(1).and_then(|field| field.parse().ok());
    let began = fields.nth(17).and_then(|field| field.parse().ok());
    parent.zip(began).ok_or_else(|| io::Error::other("/proc has something else than a process"))
}
