//! The socket: take a connection, see that it is of our own uid, read one request, write one reply.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use protocol::{Ask, Refusal, Reply, Request, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::journal::Peer;
use crate::platform;
use crate::requests::{self, Outcome};
use crate::sessions::Sessions;

/// How long a whole request may take to arrive, and a reply to be taken.
const TRANSFER_TIME: Duration = Duration::from_secs(5);

/// How long a client keeps its turn to ask. A prompt gives up earlier by itself.
const CLAIM_TIME: Duration = Duration::from_mins(6);

/// How long to leave off after the system refused a connection; without it, a full table of files is a loop
/// at full speed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until a request says to stop. `handle` answers one request.
pub async fn serve<Handle, Answer>(
    listener: Listener,
    sessions: Arc<Sessions>,
    connections: usize,
    stop: Arc<Notify>,
    handle: Handle,
) where
    Handle: Fn(Peer, Request) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Outcome> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok(stream) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(peer) = own_peer(&stream) else { continue };
        let (sessions, stop, handle) = (sessions.clone(), stop.clone(), handle.clone());
        tokio::spawn(async move {
            // A client that goes away in the middle is its own affair.
            let _ = converse(stream, peer, &sessions, &stop, handle).await;
            drop(place);
        });
    }
}

/// The other end, by the kernel's word; nothing for another uid, root included.
fn own_peer(stream: &Stream) -> Option<Peer> {
    let credentials = stream.peer_creds().ok()?;
    if credentials.euid()? != platform::own_uid() {
        return None;
    }
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
    Some(Peer { pid, program: pid.and_then(platform::program_of) })
}

async fn converse<Handle, Answer>(
    stream: Stream,
    peer: Peer,
    sessions: &Sessions,
    stop: &Notify,
    handle: Handle,
) -> io::Result<()>
where
    Handle: Fn(Peer, Request) -> Answer,
    Answer: Future<Output = Outcome> + Send + 'static,
{
    let stream = &stream;
    let request = match timeout(TRANSFER_TIME, read_line(stream)).await {
        Ok(Ok(Some(line))) => requests::parse(&line),
        Ok(Ok(None)) => return Ok(()),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(Refusal::Malformed { problem: "no whole line within 5 seconds".to_owned() }),
    };
    let request = match request {
        Ok(request) => request,
        Err(refusal) => return write(stream, &Reply::Refused(refusal)).await,
    };
    // In line for a question: who goes away leaves the line.
    let waits = matches!(
        request,
        Request::Credentials { ask: Ask::Wait | Ask::Person, .. }
            | Request::Session { ask: Ask::Wait | Ask::Person, .. }
    );
    // A task of its own: a panic ends this one request, and the client is told.
    let mut work = tokio::spawn(handle(peer, request));
    let outcome = tokio::select! {
        outcome = &mut work => outcome.unwrap_or_else(|_| Refusal::Internal.into()),
        () = hung_up(stream), if waits => {
            work.abort();
            return Ok(());
        }
    };
    write(stream, &outcome.reply).await?;
    if let Some(claim) = outcome.claim {
        tokio::select! {
            () = hung_up(stream) => {}
            () = sessions.answered(&claim) => {}
            () = tokio::time::sleep(CLAIM_TIME) => {}
        }
    }
    if outcome.stop {
        stop.notify_one();
    }
    Ok(())
}

/// A line, without its end. None where the other side said nothing at all.
async fn read_line(mut stream: &Stream) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    // Of full size from the start: a buffer that grows leaves copies of a code behind.
    let mut line = Zeroizing::new(vec![0; frame::MAX_LINE]);
    let mut length = 0;
    loop {
        let read = stream.read(&mut line[length..]).await.unwrap_or(0);
        let end = line[length..length + read].iter().position(|byte| *byte == b'\n');
        if let Some(end) = end {
            line.truncate(length + end);
            return Ok(Some(line));
        }
        length += read;
        match read {
            0 if length == 0 => return Ok(None),
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

/// Resolves when the other end is gone. What it still says is not listened to.
async fn hung_up(mut stream: &Stream) {
    let mut rest = [0; 256];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

#[cfg(test)]
mod tests;
