//! Bytes to and from the agent, every wait with an end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use interprocess::local_socket::Stream;
use rustix::event::Timespec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send as send_some};

/// What ends a wait before its time: a descriptor that becomes readable when a signal comes.
pub type Interrupt<'a> = Option<Descriptor<'a>>;

/// Something that can be waited for.
pub type Descriptor<'a> = BorrowedFd<'a>;

/// The descriptor of a connection.
pub fn descriptor(connection: &Stream) -> Descriptor<'_> {
    let Stream::UdSocket(socket) = connection;
    socket.as_fd()
}

/// Sends all of it. A peer that has gone is an error and no SIGPIPE.
pub fn send(peer: &Stream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let peer = descriptor(peer);
    let flags = without_signal(peer)?;
    while !bytes.is_empty() {
        match send_some(peer, bytes, flags) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(peer, PollFlags::OUT, None, deadline)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What keeps a peer that has gone from being a signal: a flag of each call.
#[cfg(not(target_vendor = "apple"))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn without_signal(_peer: Descriptor<'_>) -> io::Result<SendFlags> {
    Ok(SendFlags::NOSIGNAL)
}

/// What keeps a peer that has gone from being a signal: an option of the socket.
#[cfg(target_vendor = "apple")]
fn without_signal(peer: Descriptor<'_>) -> io::Result<SendFlags> {
    rustix::net::sockopt::set_socket_nosigpipe(peer, true)?;
    Ok(SendFlags::empty())
}

/// Receives what is there, waiting for something. 0: the peer closed. The connection never blocks by itself.
pub fn receive(
    peer: &Stream,
    buffer: &mut [u8],
    interrupt: Interrupt<'_>,
    deadline: Instant,
) -> io::Result<usize> {
    let peer = descriptor(peer);
    loop {
        match rustix::io::read(peer, &mut *buffer) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(peer, PollFlags::IN, interrupt, deadline)?,
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Waits until there is something to read or the peer has closed.
pub fn wait_readable(peer: BorrowedFd<'_>, interrupt: Interrupt<'_>, deadline: Instant) -> io::Result<()> {
    wait(peer, PollFlags::IN, interrupt, deadline)
}

/// `TimedOut` at the deadline, `Interrupted` at a signal.
fn wait(
    peer: BorrowedFd<'_>,
    what: PollFlags,
    interrupt: Interrupt<'_>,
    deadline: Instant,
) -> io::Result<()> {
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap_or_default();
        let mut descriptors =
            [PollFd::new(&peer, what), PollFd::new(interrupt.as_ref().unwrap_or(&peer), PollFlags::IN)];
        let watched = if interrupt.is_some() { 2 } else { 1 };
        match poll(&mut descriptors[..watched], Some(&left)) {
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
        }
        if watched == 2 && !descriptors[1].revents().is_empty() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        return Ok(());
    }
}
