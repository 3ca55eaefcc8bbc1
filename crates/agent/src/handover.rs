//! A restart hands everything over: the listening socket, the lock, the conversations that have not begun, and
//! what is held. What is held goes encrypted, as it lies here, in a sealed piece of memory; its key goes through a
//! pipe, from one locked page into another.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream};
use protocol::{StartReport, frame};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::platform::{self, PageKind};
use crate::sealed::Sealer;
use crate::service_manager::LISTEN_VARIABLES;
use crate::sessions::{Sessions, State};
use crate::traffic::Silent;

/// How long the new process may take until it serves.
const LIMIT: Duration = Duration::from_secs(5);

/// What the new process finds in the sealed memory. Descriptors are named by number.
#[derive(Serialize, Deserialize)]
struct Letter<S> {
    listener: RawFd,
    lock: RawFd,
    #[serde(default)]
    conversations: Vec<RawFd>,
    /// The sockets of grants, by their numbers.
    #[serde(default)]
    granted: Vec<(u64, RawFd)>,
    /// Conversations on those.
    #[serde(default)]
    granted_conversations: Vec<(u64, RawFd)>,
    /// Where live access is served.
    #[serde(default)]
    live: Option<RawFd>,
    /// Device and number of the socket's file.
    #[serde(default)]
    socket_file: Option<(u64, u64)>,
    /// A service manager listens on the socket as well.
    #[serde(default)]
    managed: bool,
    nonces: u64,
    /// In what page the key is to be.
    #[serde(default)]
    key_page: PageKind,
    state: S,
}

/// What a process was left.
pub struct Estate {
    /// The socket.
    pub socket: InheritedSocket,
    /// The lock, which was held all the time.
    pub lock: File,
    /// What opens what is held.
    pub sealer: Sealer,
    /// What is held, and what is known beside it.
    pub state: State,
}

/// A socket that listened all the time.
pub struct InheritedSocket {
    /// It.
    pub listener: OwnedFd,
    /// Those of grants, by their numbers.
    pub granted: Vec<(u64, OwnedFd)>,
    /// Conversations in which nothing was said yet, with the grant by whose socket they came.
    pub conversations: Vec<(Option<u64>, OwnedFd)>,
    /// Its file, if that was still there.
    pub file: Option<(u64, u64)>,
    /// A service manager listens on it as well.
    pub managed: bool,
    /// The one beside it, where live access is served.
    pub live: Option<TcpListener>,
}

impl Estate {
    /// Takes over what the process before this one left: the number is that of the sealed memory, and the key comes
    /// on stdin once this process has said that it is closed to debuggers.
    pub fn receive(memory: RawFd) -> io::Result<Self> {
        let letter = platform::read_sealed_memory(&platform::adopt(memory)?)?;
        let letter: Letter<State> = serde_json::from_slice(&letter)?;
        let sealer = Sealer::receive(letter.nonces, letter.key_page)?;
        let listening = |number| {
            let listener = platform::adopt(number)?;
            if platform::listens(&listener) {
                Ok(listener)
            } else {
                Err(io::Error::other("what was handed over is no listening socket"))
            }
        };
        let listener = listening(letter.listener)?;
        let granted = letter.granted.into_iter().map(|(number, socket)| Ok((number, listening(socket)?)));
        let granted = granted.collect::<io::Result<_>>()?;
        let live = letter.live.map(|live| platform::adopt(live).map(TcpListener::from)).transpose()?;
        let own = letter.conversations.into_iter().map(|stream| (None, stream));
        let of_grants =
            letter.granted_conversations.into_iter().map(|(number, stream)| (Some(number), stream));
        let conversations = own
            .chain(of_grants)
            .map(|(grant, stream)| Ok((grant, platform::adopt(stream)?)))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            socket: InheritedSocket {
                listener,
                granted,
                conversations,
                file: letter.socket_file,
                managed: letter.managed,
                live,
            },
            lock: platform::adopt(letter.lock)?.into(),
            sealer,
            state: letter.state,
        })
    }
}

/// What the process that runs now can leave.
pub struct Testator<'a> {
    /// The program to run.
    pub program: &'a Path,
    /// The socket.
    pub listener: &'a Listener,
    /// The lock.
    pub lock: &'a File,
    /// Conversations in which nothing was said yet.
    pub conversations: &'a [Silent],
    /// The socket's file.
    pub socket_file: Option<(u64, u64)>,
    /// A service manager listens on the socket as well.
    pub managed: bool,
    /// What is held.
    pub sessions: &'a Sessions,
}

impl Testator<'_> {
    /// Starts the program anew and gives it everything. On return it serves, and this process must not; where it
    /// fails, this process is as it was. Says the new process's id.
    pub async fn hand_over(&self) -> io::Result<u32> {
        let mut heir = self.start()?;
        let told = timeout(LIMIT, self.introduce(&mut heir))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if told.is_err() {
            let _ = heir.kill().await;
        }
        told
    }

    fn start(&self) -> io::Result<Child> {
        // Closed again when this returns: only the child has them then.
        let inherited = |Listener::UdSocket(listener): &Listener| to_inherit(listener);
        let listener = inherited(self.listener)?;
        let granted = self.sessions.state().sockets.listeners();
        let granted = granted.iter().map(|(number, listener)| Ok((*number, inherited(listener)?)));
        let granted = granted.collect::<io::Result<Vec<_>>>()?;
        let lock = to_inherit(self.lock)?;
        let live = self.sessions.state().grants.listener().map(|live| to_inherit(&live)).transpose()?;
        let conversation = |silent: &Silent| {
            let Stream::UdSocket(stream) = &silent.stream;
            Ok((silent.grant, to_inherit(stream)?))
        };
        let conversations = self.conversations.iter().map(conversation).collect::<io::Result<Vec<_>>>()?;
        let (own, of_grants): (Vec<_>, Vec<_>) = conversations.iter().partition(|(grant, _)| grant.is_none());
        let letter = serde_json::to_vec(&Letter {
            listener: listener.as_raw_fd(),
            lock: lock.as_raw_fd(),
            conversations: own.iter().map(|(_, stream)| stream.as_raw_fd()).collect(),
            granted: granted.iter().map(|(number, listener)| (*number, listener.as_raw_fd())).collect(),
            granted_conversations: of_grants
                .iter()
                .filter_map(|(grant, stream)| Some(((*grant)?, stream.as_raw_fd())))
                .collect(),
            live: live.as_ref().map(AsRawFd::as_raw_fd),
            socket_file: self.socket_file,
            managed: self.managed,
            nonces: self.sessions.sealer().nonces(),
            key_page: self.sessions.sealer().wanted(),
            state: &*self.sessions.state(),
        })?;
        let memory = to_inherit(&platform::sealed_memory(&letter)?)?;
        let mut command = Command::new(self.program);
        command.arg("--take-over").arg(memory.as_raw_fd().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        for variable in LISTEN_VARIABLES {
            command.env_remove(variable);
        }
        platform::give_back_file_limit(&mut command);
        command.spawn()
    }

    async fn introduce(&self, heir: &mut Child) -> io::Result<u32> {
        let (Some(mut key), Some(report)) = (heir.stdin.take(), heir.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let most = u64::try_from(frame::MAX_LINE).unwrap_or(u64::MAX);
        let mut report = BufReader::new(report.take(most));
        let mut line = Vec::new();
        // An empty line: from here on nobody can look into it.
        report.read_until(b'\n', &mut line).await?;
        if line == b"\n" {
            key.write_all(self.sessions.sealer().expose_keys()).await?;
            line.clear();
            report.read_until(b'\n', &mut line).await?;
        }
        match frame::decode(&line) {
            Ok(StartReport::Listening { pid }) => Ok(pid),
            Ok(StartReport::Failed { problem, .. }) => Err(io::Error::other(problem)),
            _ => Err(io::Error::other("it ended without a word")),
        }
    }
}

fn to_inherit(descriptor: &impl AsFd) -> io::Result<OwnedFd> {
    let copy = descriptor.as_fd().try_clone_to_owned()?;
    platform::let_inherit(&copy)?;
    Ok(copy)
}
