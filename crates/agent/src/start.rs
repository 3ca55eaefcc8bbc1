//! From `mfa-agentd` to a listening agent, and out again.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::os::unix::uds_local_socket::tokio::{
    Listener as UnixSocketListener, Stream as UnixSocketStream,
};
use protocol::address::{self, Address, Surroundings};
use protocol::{Memory, Refusal, StartReport, frame};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::clock::Now;
use crate::environment::Environment;
use crate::granted::{MOST_SOCKETS, Sockets};
use crate::handover::{Estate, InheritedSocket, Testator};
use crate::journal::Peer;
use crate::lease::Leases;
use crate::notify::{Desktop, Events};
use crate::platform::{self, Alarm, FolderWatch, Order, Orders, PageKind};
use crate::requests::{self, Identity, OwnProgram, OwnSocket};
use crate::sealed::Sealer;
use crate::server::Hall;
use crate::service_manager::{self, Misfit, ServiceManager};
use crate::sessions::{Sessions, State};
use crate::traffic::{Restarted, Silent, Traffic};
use crate::{live, server};

/// How long a restart gives those who stood in line to stand there again.
const COMING_BACK: Duration = Duration::from_secs(5);

/// How long an agent may take to end that has lost its name to a service manager.
const LEAVING: Duration = Duration::from_secs(5);

/// How long the kernel may take to close the socket of an agent that was killed.
const DYING: Duration = Duration::from_millis(500);

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

/// An agent at its work.
struct Served {
    address: Address,
    program: PathBuf,
    lock: File,
    manager: ServiceManager,
    identity: Arc<Identity>,
    sessions: Arc<Sessions>,
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

fn own_address() -> Result<Address, Failure> {
    let (socket, runtime_dir, home) =
        (variable(address::SOCKET_VARIABLE), variable("XDG_RUNTIME_DIR"), variable("HOME"));
    let surroundings = Surroundings {
        uid: platform::own_uid(),
        socket: socket.as_deref(),
        runtime_dir: runtime_dir.as_deref(),
        home: home.as_deref(),
    };
    address::resolve(&surroundings, platform::host)
        .map_err(|error| failure(&error, "set XDG_RUNTIME_DIR to a folder of your own with mode 0700"))
}

fn prepare_folder(folder: &Path) -> Result<(), Failure> {
    let refused = |error: address::AddressError| {
        failure(
            &error,
            "the socket needs a folder of your own with mode 0700; remove this one, or set XDG_RUNTIME_DIR",
        )
    };
    if address::check_folder(folder, platform::own_uid()).map_err(refused)? {
        return Ok(());
    }
    platform::create_private_folder(folder).map_err(|error| {
        failure(
            &format!("the runtime folder {} cannot be made: {error}", folder.display()),
            &address::hint(&error, folder, "set XDG_RUNTIME_DIR to a folder of your own"),
        )
    })?;
    // Made by us, or by somebody else in the same moment.
    address::check_folder(folder, platform::own_uid()).map_err(refused).map(drop)
}

/// The lock that makes this the one agent. The kernel takes it back however this process ends. Who holds it has so
/// long to leave.
fn lock(socket: &Path, patience: Duration) -> Result<File, Failure> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let hint = "see who owns the file, and whether its file system knows locks";
    let lock = platform::open_lock(&path).map_err(|error| {
        let hint = address::hint(&error, folder_of(socket), hint);
        failure(&format!("the lock file {} cannot be opened: {error}", path.display()), &hint)
    })?;
    let deadline = Instant::now() + patience;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // No lock waits for a limited time, and none tells that it is free.
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(Failure::AlreadyRunning),
            Err(TryLockError::Error(error)) => {
                let problem = format!("the lock file {} cannot be locked: {error}", path.display());
                return Err(failure(&problem, hint));
            }
        }
    }
}

fn folder_of(socket: &Path) -> &Path {
    socket.parent().unwrap_or(socket)
}

/// Whether something listens at the socket that is no agent, for an agent would hold the lock. One that was just
/// killed may have lost its lock before its socket.
fn is_served(socket: &Path) -> bool {
    let deadline = Instant::now() + DYING;
    while platform::somebody_listens(socket) {
        if Instant::now() >= deadline {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

/// Listens where nobody does: under the lock, a socket that is there is a dead agent's.
fn listen(path: &Path) -> Result<Listener, Failure> {
    let refused = |what: String| failure(&what, "move it away, then: mfa-agent agent start");
    match path.symlink_metadata() {
        Ok(metadata) if platform::is_socket(&metadata) => {
            fs::remove_file(path).map_err(|error| {
                refused(format!("the dead socket {} cannot be removed: {error}", path.display()))
            })?;
        }
        Ok(_) => {
            return Err(refused(format!("{} is in the socket's place and is no socket", path.display())));
        }
        Err(_) => {}
    }
    let unusable = |error: io::Error| {
        failure(
            &format!("cannot listen on {}: {error}", path.display()),
            &address::hint(&error, folder_of(path), "set XDG_RUNTIME_DIR to a folder on a local file system"),
        )
    };
    server::listen(path).map_err(unusable)
}

impl Served {
    /// Answers until it is told to end, nobody can reach it any more, or another process does.
    async fn serve(
        &self,
        mut listener: Listener,
        conversations: Vec<Silent>,
        alarm: Alarm,
        events: Events,
        signals: Orders,
    ) {
        let Self { address, identity, sessions, .. } = self;
        let stop = Arc::new(Notify::new());
        let handle = {
            let (sessions, identity) = (sessions.clone(), identity.clone());
            move |peer, request, work| {
                let (sessions, identity) = (sessions.clone(), identity.clone());
                async move { requests::answer(&sessions, &identity, &peer, request, &work).await }
            }
        };
        let watch = FolderWatch::new(address.folder()).ok();
        let lost = async || match &watch {
            None => std::future::pending().await,
            Some(watch) => {
                while !identity.socket.is_lost() {
                    watch.something_went().await;
                }
            }
        };
        let (traffic, mut orders) = Traffic::new(conversations);
        let traffic = Arc::new(traffic);
        let mut keeping_watch = pin!(sessions.clone().keep_watch(alarm, events));
        let mut serving_live = pin!(live::serve(sessions.clone()));
        let mut termination = pin!(obey(sessions, signals));
        let connections = connections();
        loop {
            let hall = Hall {
                traffic: traffic.clone(),
                sessions: sessions.clone(),
                stop: stop.clone(),
                handle: handle.clone(),
            };
            let granted = server::serve_granted(hall.clone());
            let serving = server::serve(&listener, None, hall, connections);
            tokio::select! {
                // Who comes after the word to end is for the next agent, where the socket stays.
                biased;
                () = stop.notified() => break,
                () = &mut termination => break,
                Some(order) = orders.recv() => {
                    let mut asking = vec![order];
                    asking.extend(std::iter::from_fn(|| orders.try_recv().ok()));
                    traffic.pause(asking.len()).await;
                    let outcome = self.hand_over(&listener, &traffic).await;
                    for order in asking {
                        let _ = order.send(outcome.clone());
                    }
                    if outcome.is_ok() {
                        traffic.all_told().await;
                        return;
                    }
                    traffic.resume();
                    continue;
                }
                () = sessions.unneeded() => {
                    if self.nobody_comes(&listener, &traffic).await {
                        break;
                    }
                    sessions.stay();
                    continue;
                }
                () = lost() => {}
                () = &mut keeping_watch => break,
                () = &mut serving_live => break,
                () = serving => break,
                () = granted => break,
            }
            // An agent that nobody can reach holds sessions for nobody. In a folder that is still ours the socket is
            // made again; with the folder went everything, as it does at the last logout.
            let ours = address::check_folder(address.folder(), platform::own_uid()).unwrap_or(false);
            let empty = address.socket.symlink_metadata().is_err();
            if !ours || !empty {
                break;
            }
            let Ok(again) = listen(&address.socket) else { break };
            listener = again;
            identity.socket.made_again();
        }
        self.manager.stopping();
        identity.socket.withdraw();
        sessions.wipe();
        sessions.desktop().close().await;
    }

    /// Whether nobody needs this agent, and nobody comes in the moment in which it takes its name away. Who does is
    /// served.
    async fn nobody_comes(&self, listener: &Listener, traffic: &Traffic) -> bool {
        let Self { identity, sessions, .. } = self;
        if !traffic.is_still() || !sessions.is_unneeded() {
            return false;
        }
        identity.socket.hide();
        // Who found the name just before is about to knock.
        let Ok(visitor) = timeout(PAUSE, listener.accept()).await else { return true };
        identity.socket.show();
        if let Ok(stream) = visitor {
            traffic.keep_silent(Silent { grant: None, stream });
        }
        false
    }

    /// Leaves everything to a new process, if that comes to life.
    async fn hand_over(&self, listener: &Listener, traffic: &Traffic) -> Result<Restarted, Refusal> {
        // A code that went out from here, after a click, is answered here.
        self.sessions.logins_done().await;
        self.sessions.desktop().close().await;
        let now = Now::read();
        let sessions = self.sessions.state().would_be_lost(now);
        let silent = traffic.take_silent();
        let testator = Testator {
            program: &self.program,
            listener,
            lock: &self.lock,
            conversations: &silent,
            socket_file: self.identity.socket.file_there(),
            managed: self.identity.socket.is_managed(),
            sessions: &self.sessions,
        };
        self.sessions.state().journal.note(
            now,
            &Peer::default(),
            format!("restart: {sessions} sessions handed over"),
        );
        match testator.hand_over().await {
            Ok(pid) => {
                self.manager.succeeded_by(pid).await;
                self.sessions.let_go();
                Ok(Restarted { sessions, pid })
            }
            Err(error) => {
                self.sessions.desktop().open();
                for silent in silent {
                    traffic.keep_silent(silent);
                }
                let problem = format!("{}: {error}", self.program.display());
                self.sessions.state().journal.note(now, &Peer::default(), "restart: failed".to_owned());
                Err(Refusal::NotRestarted { problem })
            }
        }
    }
}

/// Does what signals ask for, until one asks to end.
async fn obey(sessions: &Sessions, mut signals: Orders) {
    loop {
        match signals.next().await {
            Order::End => return,
            Order::Forget => sessions.forget_everything("SIGUSR1"),
            Order::ReadAnew => sessions.read_anew(),
        }
    }
}

/// How many connections are served at once: what the file limit allows, less what the agent needs itself.
fn connections() -> usize {
    let granted = MOST_SOCKETS * server::GRANTED_CONNECTIONS;
    let limit = usize::try_from(platform::raise_file_limit()).unwrap_or(usize::MAX);
    limit.saturating_sub(64 + granted).clamp(8, 4_096)
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
