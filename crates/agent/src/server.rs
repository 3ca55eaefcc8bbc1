//! The socket: take a connection, see that it is of our own uid, read one request, write one reply.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use protocol::{Ask, Refusal, Reply, Request, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::journal::Peer;
use crate::platform;
use crate::requests::{self, Outcome};
use crate::sessions::Sessions;
use crate::traffic::{Silent, Traffic, Work};

/// How long a whole request may take to arrive, and a reply to be taken.
const TRANSFER_TIME: Duration = Duration::from_secs(5);

/// How long a client keeps its turn to ask. A prompt gives up earlier by itself.
const CLAIM_TIME: Duration = Duration::from_mins(6);

/// How many bytes hold every request that our own client makes.
const USUAL_LINE: usize = 2 * 1024;

/// How long to leave off after the system refused a connection; without it, a full table of files is a loop
/// at full speed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections the socket of a grant may have at once: another host's, whatever it does, take nobody's
/// place here.
pub const GRANTED_CONNECTIONS: usize = 16;

/// Listens at a path where nothing is.
pub fn listen(path: &Path) -> io::Result<Listener> {
    let name = path.to_fs_name::<GenericFilePath>()?;
    // The name is not reclaimed by the library: it would remove whatever is there by then.
    let options = ListenerOptions::new().name(name);
    platform::for_own_uid(options).reclaim_name(false).try_overwrite(false).create_tokio()
}

/// What is behind every socket. `handle` answers one request.
#[derive(Clone)]
pub struct Hall<Handle> {
    /// The conversations.
    pub traffic: Arc<Traffic>,
    /// What is held.
    pub sessions: Arc<Sessions>,
    /// Told by a request that says to stop.
    pub stop: Arc<Notify>,
    /// Answers.
    pub handle: Handle,
}

/// Serves on the sockets that are granted, as they come and go.
pub async fn serve_granted<Handle, Answer>(hall: Hall<Handle>)
where
    Handle: Fn(Peer, Request, Work) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Outcome> + Send + 'static,
{
    // Dropped, a set ends its task, and with it the taking of connections.
    let mut serving: BTreeMap<u64, JoinSet<()>> = BTreeMap::new();
    let sessions = hall.sessions.clone();
    loop {
        let mut change = pin!(sessions.grants_changed());
        change.as_mut().enable();
        let listeners = sessions.state().sockets.listeners();
        serving.retain(|number, _| listeners.iter().any(|(standing, _)| standing == number));
        for (number, listener) in listeners {
            serving.entry(number).or_insert_with(|| {
                let hall = hall.clone();
                let mut task = JoinSet::new();
                task.spawn(async move { serve(&listener, Some(number), hall, GRANTED_CONNECTIONS).await });
                task
            });
        }
        change.await;
    }
}

/// Serves on a socket, that of a grant or the agent's own.
pub async fn serve<Handle, Answer>(
    listener: &Listener,
    grant: Option<u64>,
    hall: Hall<Handle>,
    connections: usize,
) where
    Handle: Fn(Peer, Request, Work) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Outcome> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(connections));
    let traffic = &hall.traffic;
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = match traffic.next_silent(grant) {
            Some(begun) => Ok(begun),
            None => listener.accept().await,
        };
        let Ok(stream) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(peer) = own_peer(&stream, grant) else { continue };
        let hall = hall.clone();
        let open = traffic.open();
        tokio::spawn(async move {
            // A client that goes away in the middle is its own affair.
            if let Ok(Ending::Silent) = converse(&stream, &hall, peer).await {
                hall.traffic.keep_silent(Silent { grant, stream });
            }
            drop(open);
            // Before the other end sees that this one is closed.
            hall.sessions.heard_from();
            drop(place);
        });
    }
}

/// The other end, by the kernel's word; nothing for another uid, root included.
fn own_peer(stream: &Stream, grant: Option<u64>) -> Option<Peer> {
    let credentials = stream.peer_creds().ok()?;
    if credentials.euid()? != platform::own_uid() {
        return None;
    }
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
    Some(Peer { pid, program: pid.and_then(platform::program_of), grant })
}

/// How a conversation ended.
enum Ending {
    /// All was said.
    Done,
    /// Nothing was said, and another process goes on with it.
    Silent,
}

async fn converse<Handle, Answer>(
    stream: &Stream,
    Hall { traffic, sessions, stop, handle }: &Hall<Handle>,
    peer: Peer,
) -> io::Result<Ending>
where
    Handle: Fn(Peer, Request, Work) -> Answer,
    Answer: Future<Output = Outcome> + Send + 'static,
{
    let request = match timeout(TRANSFER_TIME, read_line(stream, traffic)).await {
        Ok(Ok(Said::Line(line))) if peer.grant.is_some() => requests::parse_granted(&line),
        Ok(Ok(Said::Line(line))) => requests::parse(&line),
        Ok(Ok(Said::Nothing)) => return Ok(Ending::Done),
        Ok(Ok(Said::NothingYet)) => return Ok(Ending::Silent),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(Refusal::Malformed { problem: "no whole line within 5 seconds".to_owned() }),
    };
    let request = match request {
        Ok(request) => request,
        Err(refusal) => {
            write(stream, &Reply::Refused(refusal)).await?;
            return Ok(Ending::Done);
        }
    };
    let on_own = peer.grant.is_none();
    if on_own && matches!(request, Request::Restart) {
        sessions.desktop().interrupt();
        write(stream, &traffic.restart().await).await?;
        return Ok(Ending::Done);
    }
    // In line for a question: who goes away leaves the line. Nobody by a grant stands in one.
    let waits = on_own && may_stand_in_line(&request);
    let watched = ends_with_its_client(&request);
    let work = traffic.work();
    if !waits {
        work.is_waited_for();
    }
    // A panic ends this one request, and the client is told.
    let mut answer = pin!(handle(peer, request, work.clone()));
    let answer = poll_fn(|context| {
        let poll = AssertUnwindSafe(|| answer.as_mut().poll(context));
        catch_unwind(poll).unwrap_or_else(|_| Poll::Ready(Refusal::Internal.into()))
    });
    let outcome = tokio::select! {
        // An answer that is there at once is given without a look at the socket; but who waits does not hear that
        // nobody can be asked, because those who can were just sent away.
        biased;
        () = work.unless_for_good(traffic.pausing()), if waits => {
            write(stream, &Reply::Refused(Refusal::Restarting)).await?;
            return Ok(Ending::Done);
        }
        outcome = answer => outcome,
        () = work.unless_for_good(hung_up(stream)), if watched => return Ok(Ending::Done),
    };
    let written = write(stream, &outcome.reply).await;
    work.is_done();
    if outcome.stop {
        // Also where nobody heard the answer: there is nothing left to be asked for.
        stop.notify_one();
    }
    written?;
    if let Some(claim) = outcome.claim {
        tokio::select! {
            () = hung_up(stream) => {}
            () = sessions.answered(&claim) => {}
            () = tokio::time::sleep(CLAIM_TIME) => {}
            () = traffic.pausing() => {}
        }
    }
    Ok(Ending::Done)
}

/// Whether a request may have to wait until somebody else is asked for a code.
fn may_stand_in_line(request: &Request) -> bool {
    let ask = match request {
        Request::AwsMfa { code: Some(_), .. } => return false,
        Request::Credentials { ask, .. }
        | Request::Session { ask, .. }
        | Request::Live { ask, .. }
        | Request::Console { ask, .. }
        | Request::Iam { ask, .. }
        | Request::AwsMfa { ask, .. }
        | Request::Unlock { ask, .. } => ask,
        _ => return false,
    };
    matches!(ask, Ask::Wait | Ask::Person | Ask::PersonUnlessAsked)
}

/// Whether nobody needs the answer to a request when its client is gone: the place in line and the dialog on the desktop
/// go, and calls to AWS that only look are given up. A code that went out and a change of IAM's go to their end.
fn ends_with_its_client(request: &Request) -> bool {
    match request {
        Request::Credentials { .. }
        | Request::Session { .. }
        | Request::Live { .. }
        | Request::Console { .. }
        | Request::Iam { .. }
        | Request::Unlock { .. }
        | Request::Health => true,
        Request::AwsMfa { code, .. } => code.is_none(),
        _ => false,
    }
}

/// What came from the other side.
enum Said {
    /// A line, without its end.
    Line(Zeroizing<Vec<u8>>),
    /// Nothing, and it is gone.
    Nothing,
    /// Nothing, and another process shall hear it.
    NothingYet,
}

async fn read_line(mut stream: &Stream, traffic: &Traffic) -> Result<Said, Refusal> {
    // Grows once, by hand: a buffer that grows by itself leaves copies of a code behind, and one of full size
    // for each of a thousand silent connections is a lot of memory.
    let mut line = Zeroizing::new(vec![0; USUAL_LINE]);
    let mut length = 0;
    loop {
        if length == line.len() {
            let mut larger = Zeroizing::new(vec![0; frame::MAX_LINE]);
            larger[..length].copy_from_slice(&line);
            line = larger;
        }
        let read = tokio::select! {
            biased;
            () = traffic.pausing(), if length == 0 => return Ok(Said::NothingYet),
            read = stream.read(&mut line[length..]) => read.unwrap_or(0),
        };
        let end = line[length..length + read].iter().position(|byte| *byte == b'\n');
        if let Some(end) = end {
            line.truncate(length + end);
            return Ok(Said::Line(line));
        }
        length += read;
        match read {
            0 if length == 0 => return Ok(Said::Nothing),
            0 => return Err(Refusal::Malformed { problem: "a line without its end".to_owned() }),
            _ if length == frame::MAX_LINE => {
                return Err(Refusal::Malformed { problem: frame::FrameError::TooLong.to_string() });
            }
            _ => {}
        }
    }
}

async fn write(mut stream: &Stream, reply: &Reply) -> io::Result<()> {
    let line = match frame::encode(reply) {
        Ok(line) => line,
        Err(_) => frame::encode(&Reply::Refused(Refusal::Internal)).map_err(io::Error::other)?,
    };
    timeout(TRANSFER_TIME, stream.write_all(&line)).await.map_err(io::Error::from)?
}

/// Resolves when the other end is gone, or says more than anybody has to say.
async fn hung_up(mut stream: &Stream) {
    let mut rest = [0; 256];
    for _ in 0..16 {
        if stream.read(&mut rest).await.is_ok_and(|read| read > 0) {
            continue;
        }
        return;
    }
}

#[cfg(test)]
mod tests;
