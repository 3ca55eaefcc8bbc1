//! Reaches the agent: connects, or starts it and waits for its word. One question, one reply, one connection.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::traits::StreamCommon;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, Stream, ToFsName};
use protocol::address::{self, Address, AddressError, Surroundings};
use protocol::frame::{self, MAX_LINE};
use protocol::{
    Ask, CALL_SECONDS, Envelope, PROTOCOL, Profile, Refusal, Reply, Request, Sections, StartReport, Status,
};
use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::message;
use crate::output;
use crate::platform::{self, Descriptor, Interrupt};
use crate::programs;
use crate::shell::word;

/// How long a connection may wait for its turn, while the agent serves others.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long a start may take until the agent listens.
const START_LIMIT: Duration = Duration::from_secs(5);

/// How long a request may take that is answered at once.
const SHORT: Duration = Duration::from_secs(5);
/// How long a prompt waits for an agent that may be another host's.
const FAR: Duration = Duration::from_secs(1);
/// How long a request may take that is not held up by a person: two calls to AWS, as long as a person may allow them
/// to be, and some.
const LONG: Duration = Duration::from_secs(2 * *CALL_SECONDS.end() as u64 + 10);
/// How long a person may take to allow it on the desktop.
const CONSENT: Duration = Duration::from_mins(1);
/// How long to say nothing while a person is asked elsewhere.
const SILENCE: Duration = Duration::from_secs(2);
/// How many restarts of the agent one question outlives.
const RESTARTS: usize = 10;
/// How long to pause before looking again.
const PAUSE: Duration = Duration::from_millis(20);

/// The agent of this user.
pub struct Agent {
    address: Address,
    user: u32,
    /// The folder of the socket was looked at already.
    folder_checked: bool,
}

/// A reply, and the connection it came by. As long as that is open, a client that was told to ask a person
/// is the one who asks.
pub struct Answer {
    /// What the agent said.
    pub reply: Reply,
    /// Closed when dropped.
    pub connection: Connection,
}

/// A connection to an agent of our own user.
pub struct Connection(Stream);

impl Agent {
    /// Where the agent listens, or would.
    pub fn locate(environment: &Environment) -> Result<Self, Failure> {
        let user = platform::user();
        let surroundings = Surroundings {
            uid: user,
            socket: environment.socket.as_deref(),
            runtime_dir: environment.runtime_dir.as_deref(),
            home: environment.home.as_deref(),
        };
        let address = address::resolve(&surroundings, platform::host).map_err(|error| unusable(&error))?;
        // `resolve` has looked at a folder below XDG_RUNTIME_DIR. What `MFA_AGENT_SOCK` names may lie
        // anywhere; there the listener's uid alone counts.
        let folder_checked = address.overridden
            || environment.runtime_dir.as_ref().is_some_and(|folder| address.socket.starts_with(folder));
        Ok(Self { address, user, folder_checked })
    }

    /// The socket, as it is called here.
    pub fn socket(&self) -> &Path {
        &self.address.socket
    }

    /// The folder of the leases.
    pub fn leases(&self) -> PathBuf {
        self.address.leases()
    }

    /// The reply of the agent, which is started where none runs.
    pub fn ask(&self, request: Request, interrupt: Interrupt<'_>) -> Result<Answer, Failure> {
        self.exchange(self.reach()?.connection, request, interrupt)
    }

    /// The agent, which is started where none runs.
    pub fn reach(&self) -> Result<Started, Failure> {
        match self.connect()? {
            Some(connection) => Ok(Started { connection, pid: None }),
            // It may lead to another host, so nothing is started in its place unasked.
            None if self.address.overridden => {
                let socket = self.address.socket.display();
                Err(Failure::new(Exit::Agent, format!("no agent at {socket}, which MFA_AGENT_SOCK names; mfa-agent agent start begins one there"))
                    .hint("unset MFA_AGENT_SOCK"))
            }
            None => self.start(),
        }
    }

    /// The reply of the agent that runs; `None` where none does.
    pub fn ask_running(&self, request: Request) -> Result<Option<Reply>, Failure> {
        match self.connect()? {
            Some(connection) => Ok(Some(self.exchange(connection, request, None)?.reply)),
            None => Ok(None),
        }
    }

    /// The reply of the agent, which is waited for no longer than this.
    pub fn ask_within(&self, request: Request, limit: Duration) -> Result<Reply, Failure> {
        let connection = self.reach()?.connection;
        Ok(self.exchange_within(connection, request, limit, None)?.reply)
    }

    /// Puts the question, and waits as long as its answer may take.
    fn exchange(
        &self,
        connection: Connection,
        request: Request,
        interrupt: Interrupt<'_>,
    ) -> Result<Answer, Failure> {
        let limit = match &request {
            // It may be another host's, and the way there long.
            Request::Shell { .. } if self.address.overridden => FAR,
            _ => patience(&request),
        };
        self.exchange_within(connection, request, limit, interrupt)
    }

    /// Puts the question, again where the agent starts anew meanwhile.
    fn exchange_within(
        &self,
        mut connection: Connection,
        request: Request,
        limit: Duration,
        interrupt: Interrupt<'_>,
    ) -> Result<Answer, Failure> {
        let delay = match &request {
            Request::Keyring(_) => Some("the keyring may ask for its password, on the desktop"),
            Request::Login { .. } => None,
            _ => Some("you may be asked in another terminal, or on the desktop"),
        };
        let delay = delay.filter(|_| limit > LONG);
        let line = frame::encode(&Envelope { protocol: PROTOCOL, request })
            .map_err(|error| Failure::new(Exit::Usage, format!("cannot ask that: {error}")))?;
        for _ in 0..RESTARTS {
            let answer = connection.exchange(&line, limit, delay, interrupt)?;
            if !matches!(answer.reply, Reply::Refused(Refusal::Restarting)) {
                return Ok(answer);
            }
            // The socket listens on, and is never without an agent behind it.
            connection = self.connect()?.ok_or_else(|| lost(&ErrorKind::UnexpectedEof.into(), limit))?;
        }
        connection.exchange(&line, limit, delay, interrupt)
    }

    /// All profiles of the AWS config files; the agent is started for it.
    pub fn profiles(&self) -> Result<Vec<Profile>, Failure> {
        let mut profiles: Vec<Profile> = Vec::new();
        loop {
            let after = profiles.last().map(|profile| profile.name.clone());
            match self.ask(Request::Profiles { after }, None)?.reply {
                Reply::Profiles(more) if more.is_empty() => return Ok(profiles),
                Reply::Profiles(more) => profiles.extend(more),
                Reply::Refused(refusal) => return Err(message::refused(&refusal)),
                _ => return Err(unexpected()),
            }
        }
    }

    /// What the agent that runs is and holds; `None` where none runs.
    pub fn status(&self) -> Result<Option<Status>, Failure> {
        let mut status = match self.ask_running(Request::Status)? {
            None => return Ok(None),
            Some(Reply::Status(status)) => status,
            Some(Reply::Refused(refusal)) => return Err(message::refused(&refusal)),
            Some(_) => return Err(unexpected()),
        };
        while status.left_out > 0 {
            match self.ask_running(Request::Sessions { after: status.sessions.len() })? {
                // Some have ended since.
                Some(Reply::Sessions(more)) if more.is_empty() => status.left_out = 0,
                Some(Reply::Sessions(more)) => {
                    status.left_out = status.left_out.saturating_sub(more.len());
                    status.sessions.extend(more);
                }
                _ => return Err(unexpected()),
            }
        }
        Ok(Some(status))
    }

    /// What the AWS config files hold for SDKs to find in these sections; the agent is started for it.
    pub fn sections(&self, profiles: Vec<String>) -> Result<Sections, Failure> {
        self.try_sections(profiles)?.map_err(|refusal| message::refused(&refusal))
    }

    /// The same for who knows what to do about a refusal.
    pub fn try_sections(&self, profiles: Vec<String>) -> Result<Result<Sections, Refusal>, Failure> {
        match self.ask(Request::Sections { profiles }, None)?.reply {
            Reply::Sections(sections) => Ok(Ok(sections)),
            Reply::Refused(refusal) => Ok(Err(refusal)),
            _ => Err(unexpected()),
        }
    }

    /// A connection to the agent that runs; `None` where none does.
    fn connect(&self) -> Result<Option<Connection>, Failure> {
        if !self.folder_checked && !self.check_folder()? {
            return Ok(None);
        }
        let socket = &self.address.socket;
        let cannot = |error: &Error| {
            Failure::new(Exit::Agent, format!("cannot connect to the agent at {}: {error}", socket.display()))
        };
        let deadline = Instant::now() + CONNECT_LIMIT;
        let (stream, peer) = loop {
            let name = socket.as_path().to_fs_name::<GenericFilePath>().map_err(|error| cannot(&error))?;
            let options = ConnectOptions::new()
                .name(name)
                .nonblocking_stream(true)
                .wait_mode(ConnectWaitMode::Timeout(CONNECT_LIMIT));
            let connected = options.connect_sync().and_then(|stream| {
                let peer = stream.peer_creds()?;
                Ok((stream, peer))
            });
            match connected {
                Ok(connected) => break connected,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    return match platform::is_socket(socket) {
                        Some(false) => Err(Failure::new(
                            Exit::Agent,
                            format!(
                                "{} is in the place of the agent's socket, and is none",
                                socket.display()
                            ),
                        )
                        .hint(format!("mv {0} {0}.old", word(&socket.to_string_lossy())))),
                        _ => Ok(None),
                    };
                }
                // The queue of the listener is full: to interprocess the connection seems to be there, but
                // it has no peer yet.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::WouldBlock)
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(cannot(&error)),
            }
        };
        // Before a byte goes out: what answers decides what this shell evaluates. Root is no exception.
        match peer.euid() {
            Some(owner) if owner == self.user => Ok(Some(Connection(stream))),
            Some(owner) => Err(Failure::new(
                Exit::Agent,
                format!("the agent at {} is run by uid {owner}, not by uid {}", socket.display(), self.user),
            )
            .hint("point MFA_AGENT_SOCK or XDG_RUNTIME_DIR to an agent of your own, or unset them")),
            None => Err(Failure::new(
                Exit::Agent,
                format!("the system does not say who runs the agent at {}", socket.display()),
            )),
        }
    }

    /// Starts the agent where none runs yet.
    pub fn start(&self) -> Result<Started, Failure> {
        let socket = &self.address.socket;
        let folder = self.address.folder();
        let cannot = |path: &Path, error: &Error| {
            Failure::new(Exit::Agent, format!("cannot prepare {}: {error}", path.display()))
                .hint(address::hint(error, folder, "mfa-agent doctor"))
        };
        if !self.check_folder()? {
            platform::make_private_folder(folder).map_err(|error| cannot(folder, &error))?;
            self.check_folder()?;
        }
        let lock = folder.join("start.lock");
        // One start at a time spares the others theirs. It is no more than that: who hangs with it holds nobody up.
        let deadline = Instant::now() + START_LIMIT;
        let _held = loop {
            let held = platform::lock(&lock).map_err(|error| cannot(&lock, &error))?;
            // Another client may have started it while we waited for the lock.
            if let Some(connection) = self.connect()? {
                return Ok(Started { connection, pid: None });
            }
            if held.is_some() || Instant::now() >= deadline {
                break held;
            }
            std::thread::sleep(PAUSE);
        };

        let program = program()?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let pid = started(&program)?;
            match self.connect()? {
                Some(connection) => return Ok(Started { connection, pid }),
                // The one that holds the lock is about to end, or about to listen.
                None if pid.is_none() && Instant::now() < deadline => std::thread::sleep(PAUSE),
                None => {
                    return Err(Failure::new(
                        Exit::Agent,
                        format!("an agent runs, but does not listen at {}", socket.display()),
                    )
                    .hint("end it: kill $(pgrep -u $(id -u) -x mfa-agentd)"));
                }
            }
        }
    }

    /// Waits until the agent that was told to stop takes no connections any more.
    pub fn wait_for_end(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_LIMIT;
        while self.connect()?.is_some() {
            if Instant::now() >= deadline {
                return Err(Failure::new(Exit::Agent, "the agent said it ends, and does not"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Waits until another agent answers than the one that was told to stop, and says which: a service manager
    /// listens all the time, and starts it.
    pub fn wait_for_next(&self, ended: u32) -> Result<u32, Failure> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match self.ask_running(Request::Status) {
                Ok(Some(Reply::Status(status))) if status.pid != ended => return Ok(status.pid),
                Err(failure) if Instant::now() >= deadline => return Err(failure),
                _ if Instant::now() >= deadline => {
                    return Err(Failure::new(
                        Exit::Agent,
                        "the agent ended, and none was started in its place",
                    )
                    .hint("systemctl --user status mfa-agent"));
                }
                // The one that ends may have taken this question along.
                _ => std::thread::sleep(PAUSE),
            }
        }
    }

    fn check_folder(&self) -> Result<bool, Failure> {
        address::check_folder(self.address.folder(), self.user).map_err(|error| unusable(&error))
    }
}

fn unusable(error: &AddressError) -> Failure {
    let path = |path: &Path| word(&path.to_string_lossy());
    let hint = match error {
        AddressError::Open { path: folder, .. } => format!("chmod 700 {}", path(folder)),
        AddressError::NotFolder(folder) | AddressError::Foreign { path: folder, .. } => {
            // Above our own it is the system's, as XDG_RUNTIME_DIR is that of another user after `su`.
            if folder.components().any(|part| part.as_os_str() == "mfa-agent") {
                format!("mv {0} {0}.old", path(folder))
            } else {
                "unset XDG_RUNTIME_DIR".to_owned()
            }
        }
        AddressError::NotAbsolute { variable, .. } => format!("unset {variable}"),
        AddressError::Io { path: folder, .. } => format!("see who may look at it: ls -ld {}", path(folder)),
        AddressError::TooLong(_) | AddressError::NoFolder => {
            "set XDG_RUNTIME_DIR to a folder of your own with mode 0700 and a short path".to_owned()
        }
    };
    Failure::new(Exit::Agent, error.to_string()).hint(hint)
}

/// Starts the agent's program: its pid once it listens, `None` where another one runs already.
fn started(program: &Path) -> Result<Option<u32>, Failure> {
    let report = platform::start_agent(program, START_LIMIT).map_err(|error| match error.kind() {
        ErrorKind::NotFound => programs::missing(Exit::Agent, program),
        ErrorKind::TimedOut => {
            Failure::new(Exit::Agent, format!("the agent did not listen within {} s", START_LIMIT.as_secs()))
                .hint("mfa-agent agent run shows what it does")
        }
        _ => Failure::new(Exit::Agent, format!("cannot start {}: {error}", program.display())),
    })?;
    match frame::decode::<StartReport>(&report) {
        Ok(StartReport::Listening { pid }) => Ok(Some(pid)),
        Ok(StartReport::AlreadyRunning) => Ok(None),
        Ok(StartReport::Failed { problem, hint }) => {
            let failure = Failure::new(Exit::Agent, format!("the agent did not start: {problem}"));
            Err(if hint.is_empty() { failure } else { failure.hint(hint) })
        }
        Err(_) => Err(Failure::new(Exit::Agent, "the agent ended before it listened")
            .hint("mfa-agent agent run shows why")),
    }
}

/// An agent that runs now.
pub struct Started {
    connection: Connection,
    /// Its process, where it was started just now and by us.
    pub pid: Option<u32>,
}

impl Connection {
    /// Sends the question and waits for the reply.
    fn exchange(
        self,
        line: &[u8],
        limit: Duration,
        delay: Option<&str>,
        interrupt: Interrupt<'_>,
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + limit;
        let reply = platform::send(&self.0, line, deadline)
            .and_then(|()| self.wait_for_word(limit, delay, interrupt))
            .and_then(|()| read_line(&self.0, interrupt, deadline))
            .map_err(|error| lost(&error, limit))?;
        let reply = frame::decode(&reply).map_err(|error| {
            Failure::new(Exit::Agent, format!("the agent's answer is not understood: {error}"))
                .hint("mfa-agent agent restart")
        })?;
        Ok(Answer { reply, connection: self })
    }

    /// Waits until there is something to read, and says what may hold it up, where that is known.
    fn wait_for_word(
        &self,
        limit: Duration,
        delay: Option<&str>,
        interrupt: Interrupt<'_>,
    ) -> std::io::Result<()> {
        let patience = if delay.is_some() { SILENCE } else { limit };
        match platform::wait_readable(self.descriptor(), interrupt, Instant::now() + patience) {
            Err(error) if error.kind() == ErrorKind::TimedOut => match delay {
                Some(delay) => {
                    output::words(&format!("mfa-agent: waiting; {delay}"));
                    Ok(())
                }
                None => Err(error),
            },
            other => other,
        }
    }

    /// What becomes readable when the agent closes it.
    pub fn descriptor(&self) -> Descriptor<'_> {
        platform::descriptor(&self.0)
    }
}

/// Reads a line into memory that is wiped. It grows by hand: a vector that grows leaves its old bytes behind.
fn read_line(
    stream: &Stream,
    interrupt: Interrupt<'_>,
    deadline: Instant,
) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(vec![0; 4096]);
    let mut length = 0;
    loop {
        if length == line.len() {
            if length >= MAX_LINE {
                return Err(ErrorKind::InvalidData.into());
            }
            let mut longer = Zeroizing::new(vec![0; (length * 4).min(MAX_LINE)]);
            longer[..length].copy_from_slice(&line);
            line = longer;
        }
        let read = platform::receive(stream, &mut line[length..], interrupt, deadline)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let news = length..length + read;
        length += read;
        if let Some(end) = line[news.clone()].iter().position(|&byte| byte == b'\n') {
            line.truncate(news.start + end);
            return Ok(line);
        }
    }
}

fn lost(error: &Error, limit: Duration) -> Failure {
    match error.kind() {
        ErrorKind::Interrupted => Failure::cancelled(),
        ErrorKind::TimedOut => {
            Failure::new(Exit::Agent, format!("the agent did not answer within {} s", limit.as_secs()))
                .hint("mfa-agent agent restart")
        }
        ErrorKind::InvalidData => {
            Failure::new(Exit::Agent, "the agent's answer is longer than an answer can be")
                .hint("mfa-agent agent restart")
        }
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            Failure::new(Exit::Agent, "the agent went away before it answered").hint("run the same again")
        }
        _ => Failure::new(Exit::Agent, format!("the connection to the agent failed: {error}")),
    }
}

/// How long the agent may take: it may have to call AWS, or to wait while a person is asked elsewhere.
fn patience(request: &Request) -> Duration {
    match request {
        Request::Credentials { ask: Ask::Wait | Ask::Person | Ask::PersonUnlessAsked, .. }
        | Request::Session { ask: Ask::Wait | Ask::Person | Ask::PersonUnlessAsked, .. }
        | Request::Live { ask: Ask::Wait | Ask::Person | Ask::PersonUnlessAsked, .. }
        | Request::Console { ask: Ask::Wait | Ask::Person | Ask::PersonUnlessAsked, .. }
        | Request::AwsMfa { ask: Ask::Wait | Ask::Person | Ask::PersonUnlessAsked, .. }
        | Request::Iam { ask: Ask::Wait | Ask::Person | Ask::PersonUnlessAsked, .. }
        | Request::Unlock { ask: Ask::Wait | Ask::Person, .. } => Duration::from_mins(15),
        // It may have to be allowed on the desktop.
        Request::Credentials { ask: Ask::Never, .. }
        | Request::Live { .. }
        | Request::Console { .. }
        | Request::AwsMfa { .. }
        | Request::Iam { .. }
        // The keyring may ask for its password.
        | Request::Keyring(_)
        | Request::Login { .. } => LONG + CONSENT,
        Request::Session { .. }
        | Request::Unlock { .. }
        | Request::Restart
        | Request::Grant { .. }
        | Request::Profiles { .. }
        | Request::Given { .. }
        | Request::Sections { .. }
        // The desktop's services may be silent.
        | Request::Health => LONG,
        // A prompt waits for it.
        Request::Shell { .. } => Duration::from_millis(200),
        Request::Credentials { ask: Ask::AtHand, .. }
        | Request::Lock { .. }
        | Request::Logout { .. }
        | Request::Revoke { .. }
        | Request::Status
        | Request::Sessions { .. }
        | Request::Log
        | Request::Stop { .. } => SHORT,
    }
}

/// The agent's program.
pub fn program() -> Result<PathBuf, Failure> {
    programs::beside(programs::AGENT).map_err(|error| programs::unknown_place(Exit::Agent, &error))
}

/// A reply that does not belong to the question.
pub fn unexpected() -> Failure {
    Failure::new(Exit::Agent, "the agent's answer does not belong to the question")
        .hint("mfa-agent agent restart")
}
