//! From `mfa-agentd` to a listening agent, and out again.

mod place;
mod work;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use interprocess::local_socket::tokio::Listener;
use interprocess::os::unix::uds_local_socket::tokio::{
    Listener as UnixSocketListener, Stream as UnixSocketStream,
};
use protocol::address::Address;
use protocol::{Memory, StartReport, frame};

use crate::clock::Now;
use crate::environment::Environment;
use crate::granted::Sockets;
use crate::handover::{Estate, InheritedSocket};
use crate::journal::Peer;
use crate::lease::Leases;
use crate::notify::Desktop;
use crate::platform::{self, Alarm, Orders, PageKind};
use crate::requests::{self, Identity, OwnProgram, OwnSocket};
use crate::sealed::Sealer;
use crate::service_manager::{self, Misfit, ServiceManager};
use crate::sessions::{Sessions, State};
use crate::traffic::Silent;
use place::{is_served, listen, lock, own_address, prepare_folder};
use work::Served;

/// How long a restart gives those who stood in line to stand there again.
const COMING_BACK: Duration = Duration::from_secs(5);

/// How long an agent may take to end that has lost its name to a service manager.
const LEAVING: Duration = Duration::from_secs(5);

/// How long to pause before looking again.
const PAUSE: Duration = Duration::from_millis(20);

const USAGE: &str = "\
mfa-agentd, the agent behind mfa-agent. People start it with `mfa-agent agent start`.

usage: mfa-agentd [--report | --memory memfd-secret]

  --report   tell on stdout, in one line, that the socket takes connections (or why not), then leave the
             terminal
  --memory memfd-secret
             keep the key in memory that the kernel itself cannot read, where it has such; the machine does
             not hibernate then
";

/// Runs the agent until it is told to stop.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_str()).collect();
    let (report, memory, kind) = match arguments.as_slice() {
        [] => (false, None, PageKind::Locked),
        [Some("--memory"), Some("memfd-secret")] => (false, None, PageKind::Secret),
        [Some("--report")] => (true, None, PageKind::Locked),
        // Of the agent alone: the number of a descriptor that it left.
        [Some("--take-over"), Some(number)] => (true, Some(number.parse().unwrap_or(-1)), PageKind::Locked),
        [Some("--version" | "-V")] => {
            return say(io::stdout(), concat!("mfa-agentd ", env!("CARGO_PKG_VERSION"), "\n"), 0);
        }
        [Some("--help" | "-h")] => return say(io::stdout(), USAGE, 0),
        _ => return say(io::stderr(), USAGE, 2),
    };
    match run(report, memory, kind) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if report => {
            tell(&match failure {
                // Who listens there will serve the client that started us.
                Failure::AlreadyRunning | Failure::Managed(_) => StartReport::AlreadyRunning,
                Failure::Other { problem, hint } => StartReport::Failed { problem, hint },
            });
            ExitCode::from(6)
        }
        Err(Failure::Managed(socket)) => {
            let socket = socket.display();
            let problem =
                format!("mfa-agentd: systemd listens at {socket}, or something else that is no agent");
            say(io::stderr(), &format!("{problem}\nhint: systemctl --user status mfa-agent.socket\n"), 6)
        }
        Err(Failure::AlreadyRunning) => {
            say(io::stderr(), "mfa-agentd: an agent is running already\nhint: mfa-agent agent status\n", 6)
        }
        Err(Failure::Other { problem, hint }) => {
            say(io::stderr(), &format!("mfa-agentd: {problem}\nhint: {hint}\n"), 6)
        }
    }
}

/// What is said of a panic: its own words may quote what was being worked on, its place does not.
fn words_of(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    format!("mfa-agentd: a fault of its own at {place}\n")
}

enum Failure {
    AlreadyRunning,
    /// A service manager listens there, and starts the agent itself.
    Managed(PathBuf),
    Other {
        problem: String,
        hint: String,
    },
}

fn failure(problem: &(impl ToString + ?Sized), hint: &str) -> Failure {
    Failure::Other { problem: problem.to_string(), hint: hint.to_owned() }
}

fn run(report: bool, memory: Option<RawFd>, kind: PageKind) -> Result<(), Failure> {
    // Whoever starts us for a client may itself be a service: what it was given is not for us.
    let passed = if report { Ok(None) } else { service_manager::passed(variable, std::process::id()) };
    let passed = passed.map_err(|error| misfit(&error))?;
    let manager = ServiceManager::at(variable("NOTIFY_SOCKET").filter(|_| !report || memory.is_some()));
    // Before the first file is opened and the first thread is started.
    if memory.is_none() {
        platform::close_inherited(passed);
    }
    platform::harden().map_err(|error| {
        failure(
            &format!("this process cannot be closed to debuggers: {error}"),
            "run it outside the sandbox that forbids prctl",
        )
    })?;
    std::panic::set_hook(Box::new(|panic| {
        let _ = io::stderr().write_all(words_of(panic).as_bytes());
    }));

    let current_folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let config_folder = directories::BaseDirs::new().map(|folders| folders.config_dir().to_owned());
    let environment = Environment::read(variable, &current_folder, config_folder);
    // As long as it is where it was: an upgrade puts another one there.
    let program = std::env::current_exe().unwrap_or_default();
    let address = own_address()?;
    if memory.is_some() {
        // Closed to debuggers: the key may come.
        say(io::stdout(), "\n", 0);
    }
    let estate = memory.map(Estate::receive).transpose().map_err(|error| {
        failure(&format!("what was handed over cannot be used: {error}"), "mfa-agent agent start")
    })?;
    if report {
        platform::detach();
    }
    platform::make_private_files();
    prepare_folder(address.folder())?;
    let mut means = if let Some(estate) = estate {
        Means::of(estate, program)
    } else {
        let socket = passed.map(|number| service_manager::take(number, &address.socket));
        Means::new(&address, program, kind, socket.transpose().map_err(|error| misfit(&error))?)?
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Name look-ups need a thread; none stays for them.
        .thread_keep_alive(Duration::from_secs(2))
        .build()
        .map_err(|error| {
            failure(&format!("the event loop cannot be started: {error}"), "see the limits: ulimit -a")
        })?;
    let served = runtime.block_on(async {
        let alarm = Alarm::new().map_err(|error| {
            failure(&format!("no timer is to be had: {error}"), "see the limits: ulimit -a")
        })?;
        let inherits = memory.is_some();
        let orders = Orders::new().map_err(|error| {
            failure(&format!("no signals are to be had: {error}"), "see the limits: ulimit -a")
        })?;
        let (listener, conversations, socket) = means.socket(&address)?;
        if let Some(leases) = &mut means.state.leases
            && !inherits
        {
            leases.take_over();
        }
        if report {
            tell(&StartReport::Listening { pid: std::process::id() });
            let _ = platform::let_go_of_stdout();
        }
        if !inherits {
            // Of an heir the process before it tells.
            manager.ready();
        }
        if let Some(leases) = &mut means.state.leases
            && inherits
        {
            leases.take_over();
        }
        let (desktop, events) = Desktop::new(environment.data_folders.clone());
        let sessions =
            Arc::new(Sessions::new(environment, desktop, means.state, means.sealer, means.coming_back));
        sessions.watch_programs();
        sessions.read_configuration();
        let program = OwnProgram::started(&means.program);
        let identity = Arc::new(Identity { socket, program, started: Instant::now() });
        let Means { program, lock, .. } = means;
        let served = Served { address, program, lock, manager, identity, sessions };
        served.serve(listener, conversations, alarm, events, orders).await;
        // Not before the socket is gone: who gets the lock next makes its own.
        Ok(served.lock)
    });
    // A look-up of a name may hang in its thread: nobody waits for it.
    runtime.shutdown_background();
    served.map(drop)
}

/// What an agent begins with: new, or left by the process before it.
struct Means {
    program: PathBuf,
    lock: File,
    sealer: Sealer,
    state: State,
    coming_back: Duration,
    socket: Option<InheritedSocket>,
}

impl Means {
    /// With a socket of its own, or one that a service manager listens on.
    fn new(
        address: &Address,
        program: PathBuf,
        kind: PageKind,
        given: Option<OwnedFd>,
    ) -> Result<Self, Failure> {
        // Another agent that has lost its name to the manager is about to end.
        let patience = if given.is_some() { LEAVING } else { Duration::ZERO };
        let lock = lock(&address.socket, patience)?;
        if given.is_none() && is_served(&address.socket) {
            return Err(Failure::Managed(address.socket.clone()));
        }
        let sealer = Sealer::with_keys_in(kind)
            .map_err(|error| failure(&format!("no memory for keys: {error}"), "see the limits: ulimit -a"))?;
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let start = u64::try_from(start & u128::from(u64::MAX)).unwrap_or_default();
        let mut state = State::default();
        state.leases = Some(Leases::new(address.leases(), start));
        state.sockets = Sockets::new(address.grants());
        let short = match (kind, sealer.memory()) {
            (_, Memory::Swappable) => Some("the key's memory cannot be locked, and may be swapped out"),
            (PageKind::Secret, Memory::Locked) => {
                Some("memory that the kernel cannot read is not to be had: the key is in a locked page")
            }
            _ => None,
        };
        if let Some(event) = short {
            state.journal.note(Now::read(), &Peer::default(), event.to_owned());
        }
        let socket = given.map(|listener| InheritedSocket {
            listener,
            granted: Vec::new(),
            conversations: Vec::new(),
            file: Some(requests::file_at(&address.socket)),
            managed: true,
            live: None,
        });
        Ok(Self { program, lock, sealer, state, coming_back: Duration::ZERO, socket })
    }

    fn of(estate: Estate, program: PathBuf) -> Self {
        let Estate { socket, lock, sealer, state } = estate;
        Self { program, lock, sealer, state, coming_back: COMING_BACK, socket: Some(socket) }
    }

    /// The listening socket, and what was begun on it. Needs the event loop.
    fn socket(&mut self, address: &Address) -> Result<(Listener, Vec<Silent>, OwnSocket), Failure> {
        let Some(InheritedSocket { listener, granted, conversations, file, managed, live }) =
            self.socket.take()
        else {
            let listener = listen(&address.socket)?;
            return Ok((listener, Vec::new(), OwnSocket::made(&address.socket)));
        };
        let unusable = |error: io::Error| {
            failure(&format!("what was handed over cannot be used: {error}"), "mfa-agent agent start")
        };
        let listener = UnixSocketListener::try_from(listener).map_err(unusable)?;
        let granted = granted.into_iter().filter_map(|(number, listener)| {
            Some((number, UnixSocketListener::try_from(listener).ok()?.into()))
        });
        self.state.sockets.take_over(address.grants(), granted.collect());
        if let Some(live) = live {
            self.state.grants.take_over(live).map_err(unusable)?;
        }
        let conversations = conversations.into_iter().filter_map(|(grant, stream)| {
            Some(Silent { grant, stream: UnixSocketStream::try_from(stream).ok()?.into() })
        });
        let own = OwnSocket::taken_over(&address.socket, file, managed);
        Ok((listener.into(), conversations.collect(), own))
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn misfit(misfit: &Misfit) -> Failure {
    let hint = match misfit {
        Misfit::Process(_) => "unset LISTEN_PID LISTEN_FDS LISTEN_FDNAMES",
        _ => {
            "see what systemctl --user cat mfa-agent.socket shows: ListenStream=%t/mfa-agent/sock, SocketMode=0600"
        }
    };
    failure(misfit, hint)
}

fn tell(report: &StartReport) {
    if let Ok(line) = frame::encode(report) {
        // Who started us may have gone; then nobody is to be told.
        let _ = io::stdout().write_all(&line).and_then(|()| io::stdout().flush());
    }
}

fn say(mut to: impl Write, words: &str, status: u8) -> ExitCode {
    match to.write_all(words.as_bytes()) {
        Ok(()) => ExitCode::from(status),
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;

    #[test]
    fn of_a_panic_its_place_is_told_and_none_of_its_words() {
        static SAID: Mutex<Vec<(Option<String>, String)>> = Mutex::new(Vec::new());
        let before = std::panic::take_hook();
        // Other tests may panic meanwhile: they are in threads of other names.
        std::panic::set_hook(Box::new(|panic| {
            let thread = thread::current().name().map(str::to_owned);
            SAID.lock().unwrap().push((thread, words_of(panic)));
        }));
        let secret = String::from("hunter2");
        let panics = thread::Builder::new().name("panics".to_owned()).spawn(move || panic!("{secret}"));
        panics.unwrap().join().unwrap_err();
        std::panic::set_hook(before);
        let said = SAID.lock().unwrap();
        let (_, words) = said.iter().find(|(thread, _)| thread.as_deref() == Some("panics")).unwrap();
        assert!(
            words.starts_with("mfa-agentd: a fault of its own at ") && words.contains("start.rs:"),
            "{words}"
        );
        assert!(!words.contains("hunter2") && words.lines().count() == 1, "{words}");
    }
}
