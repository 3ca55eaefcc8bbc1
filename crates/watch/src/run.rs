//! A run of the tests, from its first process to the words about it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::sys::fanotify::FanotifyEvent;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{WaitStatus, waitpid};

use crate::kernel::{Closes, PRIVATE, Starts, have_private_folders};
use crate::processes::{Process, Processes};
use crate::rules::{Leak, Written, judge_file, judge_process, sandbox_of_process};
use crate::say;
use crate::secrets::{Number, Secrets};
use crate::self_test::{self, PLANTED};

/// How much of a file is looked at at once, in bytes.
const PIECE: usize = 4 << 20;
/// How much of it once more with the next piece: a secret may lie on the edge.
const EDGE: usize = 1 << 10;

/// The programs that a run of all tests starts.
const PROGRAMS: [&str; 3] = ["mfa-agent", "mfa-agent-cli", "mfa-agentd"];

/// What the threads of a run share.
pub struct Run {
    /// What becomes known, and how much of it has been read.
    register: (File, Mutex<(Secrets, u64)>),
    /// The file systems that are the run's alone.
    private: Vec<u64>,
    processes: Mutex<Processes>,
    seen: Mutex<Seen>,
    over: AtomicBool,
}

/// What was seen.
#[derive(Default)]
struct Seen {
    processes: usize,
    /// Those of our programs that were built beside this one, by name.
    programs: BTreeMap<String, usize>,
    files: usize,
    /// The sandboxes in which one of our programs ran.
    sandboxes: HashSet<PathBuf>,
    /// What this very program planted, and found.
    planted: HashSet<Number>,
    /// What fails the run, each once.
    leaks: BTreeSet<String>,
    failures: BTreeSet<String>,
}

/// Runs a command and watches it. An error where that cannot be; the command has not run then.
pub fn watched(command: &mut Command, all: bool) -> Result<ExitCode, String> {
    let cannot = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    have_private_folders(&kept()).map_err(cannot("no folders of its own"))?;
    let closes = Arc::new(watch_files().map_err(cannot("fanotify for files"))?);
    let starts = Starts::watch().map_err(cannot("fanotify for programs"))?;
    let run = Arc::new(Run::new().map_err(cannot("no register"))?);
    // What loses its parent stays below this process.
    set_child_subreaper(true).map_err(|error| error.to_string())?;

    let (sender, started) = channel();
    let threads = [
        thread::spawn({
            let (run, closes) = (Arc::clone(&run), Arc::clone(&closes));
            move || run.let_start(&starts, &closes, &sender)
        }),
        thread::spawn({
            let run = Arc::clone(&run);
            move || run.look_at_processes(&started)
        }),
        thread::spawn({
            let run = Arc::clone(&run);
            move || run.look_at_files(&closes)
        }),
    ];
    let status = self_test::finds_everything(&run)
        .and_then(|()| run.wait_for(command).map_err(cannot("cannot run the tests")));
    if status.is_ok()
        && let Err(why) = self_test::finds_everything(&run)
    {
        run.fail(&why);
    }
    run.over.store(true, Ordering::SeqCst);
    for thread in threads {
        if thread.join().is_err() {
            run.fail("a part of the watch broke down");
        }
    }
    run.look_at_what_is_left();
    Ok(run.close(status?, all))
}

/// What must be where it is, private folder or not.
fn kept() -> Vec<PathBuf> {
    let variables = ["CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR", "HOME"];
    let mut paths: Vec<PathBuf> = variables.iter().filter_map(std::env::var_os).map(PathBuf::from).collect();
    paths.extend(std::env::current_dir());
    paths.extend(std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned())));
    paths.retain(|path| {
        path.is_absolute() && path.is_dir() && !PRIVATE.iter().any(|private| path == Path::new(private))
    });
    // The outer ones first: mounted later, they would cover the others.
    paths.sort();
    paths
}

fn watch_files() -> io::Result<Closes> {
    let closes = Closes::new()?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let others = ["/", "/run", "/var/tmp", "/var/log"].map(PathBuf::from).into_iter().chain(home);
    for path in PRIVATE.map(PathBuf::from).into_iter().chain(others.filter(|path| path.exists())) {
        closes.watch(&path)?;
    }
    Ok(closes)
}

impl Run {
    fn new() -> io::Result<Self> {
        let register = File::from(memfd_create("known secrets", MFdFlags::MFD_CLOEXEC)?);
        Ok(Self {
            register: (register, Mutex::default()),
            private: PRIVATE.iter().map(|path| Ok(fs::metadata(path)?.dev())).collect::<io::Result<_>>()?,
            processes: Mutex::new(Processes::below(nix::unistd::getpid().as_raw())),
            seen: Mutex::default(),
            over: AtomicBool::new(false),
        })
    }

    /// The file in which secrets become known: in memory, and reached by its descriptor alone.
    pub fn register(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.register.0.as_raw_fd()).into()
    }

    /// Makes a secret known as the tests do.
    pub fn make_known(&self, kind: &str, value: &str) -> io::Result<()> {
        let mut register = File::options().append(true).open(self.register())?;
        register.write_all(format!("{kind}\t{PLANTED}\t{value}\n").as_bytes())
    }

    /// How many planted secrets were found.
    pub fn planted_found(&self) -> usize {
        lock(&self.seen).planted.len()
    }

    /// Whatever became known by now: it did so before anybody had it.
    fn secrets(&self) -> MutexGuard<'_, (Secrets, u64)> {
        let mut known = lock(&self.register.1);
        let mut bytes = vec![0; 1 << 16];
        loop {
            match self.register.0.read_at(&mut bytes, known.1) {
                Ok(0) => return known,
                Ok(length) => {
                    known.0.learn(&bytes[..length]);
                    known.1 += length as u64;
                }
                Err(error) => {
                    self.fail(&format!("the register cannot be read: {error}"));
                    return known;
                }
            }
        }
    }

    fn fail(&self, words: &str) {
        lock(&self.seen).failures.insert(words.to_owned());
    }

    /// Looks at each program before it runs, and lets it. Nothing here waits for anything but the kernel.
    fn let_start(&self, starts: &Starts, closes: &Closes, started: &Sender<Arc<Process>>) {
        while !self.over.load(Ordering::SeqCst) {
            let events = starts.next().unwrap_or_else(|error| {
                self.fail(&format!("programs cannot be watched: {error}"));
                Vec::new()
            });
            for event in events {
                let added = lock(&self.processes).add(event.pid());
                if let Ok(Some(process)) = &added
                    && process.is_ours()
                    && let Err(error) = closes.watch_those_of(process.pid)
                    && is_there(process.pid)
                {
                    self.fail(&format!("the files of {} cannot be watched: {error}", process.name()));
                }
                if let Err(error) = &added
                    && is_there(event.pid())
                {
                    self.fail(&format!("a program cannot be looked at: {error}"));
                }
                starts.answer(&event);
                if let Ok(Some(process)) = added {
                    let _ = started.send(process);
                }
            }
        }
    }

    fn look_at_processes(&self, started: &Receiver<Arc<Process>>) {
        for process in started {
            let known = self.secrets();
            let leaks = judge_process(&known.0, &process);
            let sandbox = sandbox_of_process(&known.0, &process).map(|(folder, _)| folder.to_owned());
            let mut seen = lock(&self.seen);
            seen.processes += 1;
            if process.is_ours() {
                seen.sandboxes.extend(sandbox);
                if is_built_here(&process.file) {
                    *seen.programs.entry(process.name().to_owned()).or_default() += 1;
                }
            }
            for leak in leaks {
                seen.note(&known.0, &leak, &format!("{} (pid {})", process.name(), process.pid));
            }
        }
    }

    fn look_at_files(&self, closes: &Closes) {
        let mut gone = Vec::new();
        loop {
            // What is gone by now has closed all its files, and they are among the next events.
            let over = self.over.load(Ordering::SeqCst);
            let next_gone = lock(&self.processes).gone();
            let mut quiet = false;
            while !quiet {
                match closes.next() {
                    Ok(events) => {
                        quiet = events.is_empty();
                        for event in &events {
                            self.look_at_file(event);
                        }
                    }
                    Err(error) => {
                        self.fail(&format!("files cannot be watched: {error}"));
                        quiet = true;
                    }
                }
            }
            lock(&self.processes).forget(&gone);
            gone = next_gone;
            if over {
                return;
            }
        }
    }

    fn look_at_file(&self, event: &FanotifyEvent) {
        let Some(descriptor) = event.fd() else {
            self.fail("the kernel could not keep up: some files were not looked at");
            return;
        };
        let writer = lock(&self.processes).get(event.pid()).cloned();
        let path = fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
        let file = descriptor.try_clone_to_owned().map(File::from);
        match path.and_then(|path| self.read(&path, &file?, writer.as_deref())) {
            Ok(()) => {}
            Err(error) => self.fail(&format!("a file cannot be read: {error}")),
        }
    }

    fn read(&self, path: &Path, file: &File, writer: Option<&Process>) -> io::Result<()> {
        let product = writer.is_some_and(Process::is_product);
        let metadata = file.metadata()?;
        if !product && !self.private.contains(&metadata.dev()) {
            // Somebody else's, or the compiler's.
            return Ok(());
        }
        let mut piece = vec![0; PIECE.min(usize::try_from(metadata.size()).unwrap_or(PIECE)) + EDGE];
        let mut start = 0;
        let mut found = Vec::new();
        loop {
            let length = read_full(file, &mut piece, start)?;
            if start == 0 && !product && piece.starts_with(b"\x7fELF") {
                // A test's copy of a program.
                break;
            }
            let written =
                Written { path, mode: metadata.permissions().mode(), contents: &piece[..length], writer };
            found.extend(judge_file(&self.secrets().0, &written));
            if length < piece.len() {
                break;
            }
            start += (length - EDGE) as u64;
        }
        let known = lock(&self.register.1);
        let mut seen = lock(&self.seen);
        seen.files += 1;
        let who = match writer {
            Some(writer) => format!("{} (pid {})", writer.name(), writer.pid),
            None => "somebody".to_owned(),
        };
        for leak in found {
            seen.note(&known.0, &leak, &format!("{who} left"));
        }
        Ok(())
    }

    /// What is left, and was perhaps never closed.
    fn look_at_what_is_left(&self) {
        let mut folders = PRIVATE.map(PathBuf::from).to_vec();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                let path = entry.path();
                // What is mounted below is not the run's own.
                if metadata.is_dir() && self.private.contains(&metadata.dev()) {
                    folders.push(path);
                } else if metadata.is_file()
                    && let Err(error) = File::open(&path).and_then(|file| self.read(&path, &file, None))
                {
                    self.fail(&format!("{} cannot be read: {error}", path.display()));
                }
            }
        }
    }

    /// Runs the tests, and waits for their end. Whatever lost its parent is waited for meanwhile.
    fn wait_for(&self, command: &mut Command) -> io::Result<ExitStatus> {
        // What is private is `/tmp`.
        let child = command.env("AWS_SIMULATOR_SECRETS", self.register()).env_remove("TMPDIR").spawn()?;
        loop {
            let (pid, raw) = match waitpid(None, None) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, status << 8),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, signal as i32),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if u32::try_from(pid.as_raw()).ok() == Some(child.id()) {
                return Ok(ExitStatus::from_raw(raw));
            }
        }
    }

    /// The words, and what becomes of the run.
    fn close(&self, status: ExitStatus, all: bool) -> ExitCode {
        let known = &self.secrets().0;
        let mut seen = lock(&self.seen);
        let seen = &mut *seen;
        let unseen = known.sandboxes().iter().filter(|(folder, _)| !seen.sandboxes.contains(*folder));
        for (_, test) in unseen {
            seen.failures.insert(format!("nothing was seen of the programs of {test}"));
        }
        for program in PROGRAMS {
            if all && !seen.programs.contains_key(program) {
                seen.failures.insert(format!("no {program} was seen"));
            }
        }
        for leak in &seen.leaks {
            say(&format!("LEAK: {leak}"));
        }
        for failure in &seen.failures {
            say(&format!("FAILED: {failure}"));
        }
        let programs: Vec<String> =
            seen.programs.iter().map(|(program, count)| format!("{} {program}", grouped(*count))).collect();
        let outcome = match (seen.leaks.len(), seen.failures.len()) {
            (0, 0) => "nothing found".to_owned(),
            (0, _) => "not everything was watched".to_owned(),
            (leaks, _) => format!("{leaks} LEAKS"),
        };
        say(&format!(
            "{} programs ({}), {} files, {} secrets: {outcome}",
            grouped(seen.processes),
            programs.join(", "),
            grouped(seen.files),
            grouped(known.len()),
        ));
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        if code == 0 && !(seen.leaks.is_empty() && seen.failures.is_empty()) {
            return ExitCode::FAILURE;
        }
        ExitCode::from(code)
    }
}

impl Seen {
    fn note(&mut self, secrets: &Secrets, leak: &Leak, who: &str) {
        for number in &leak.secrets {
            let secret = secrets.get(*number);
            if secret.test == PLANTED {
                self.planted.insert(*number);
            } else {
                self.leaks.insert(format!("{who}: {}: a {} of {}", leak.place, secret.kind, secret.test));
            }
        }
    }
}

/// Whether a program is one that was built with this one, and no copy or another tree's.
fn is_built_here(program: &Path) -> bool {
    std::env::current_exe().is_ok_and(|this| this.parent() == program.parent())
}

fn is_there(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

fn read_full(file: &File, bytes: &mut [u8], start: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], start + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// `12,345`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
