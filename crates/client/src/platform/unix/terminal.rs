//! The terminal of this process: who may read it, key by key, and given back as it was on every way out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::Interrupt;

/// The terminal device. Dropped, it is as it was found.
pub struct Terminal {
    device: OwnedFd,
    /// The settings to give back, while they are changed.
    found: Option<Termios>,
    /// Readable as soon as a signal came that would have ended us. Made with the first change of settings.
    signals: Option<UnixStream>,
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A key was pressed.
    Key,
    /// The other descriptor has something, or its end.
    Other,
    /// A signal came that shall end us.
    Signal,
    /// The time is up.
    Timeout,
}

impl Terminal {
    /// The controlling terminal, where there is one and it is ours to read: a background job that asked
    /// would be stopped, or take the keys from the program in front.
    pub fn open() -> Option<Self> {
        let device = open("/dev/tty", OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty()).ok()?;
        (tcgetpgrp(&device).ok()? == getpgrp()).then_some(Self { device, found: None, signals: None })
    }

    /// How many characters fit into a line.
    pub fn columns(&self) -> usize {
        match tcgetwinsize(&self.device) {
            Ok(size) if size.ws_col > 0 => size.ws_col.into(),
            _ => 80,
        }
    }

    /// How many lines it has.
    pub fn rows(&self) -> usize {
        match tcgetwinsize(&self.device) {
            Ok(size) if size.ws_row > 0 => size.ws_row.into(),
            _ => 24,
        }
    }

    /// Shows the text.
    pub fn write(&self, text: &str) {
        let _ = super::write_all(self.device.as_fd(), text.as_bytes());
    }

    /// Takes the keys one by one, unseen; Ctrl-C is a key.
    pub fn take_keys(&mut self) -> io::Result<()> {
        let found = self.found()?;
        let mut settings = found.clone();
        settings.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        settings.input_modes -= InputModes::IXON;
        settings.special_codes[SpecialCodeIndex::VMIN] = 1;
        settings.special_codes[SpecialCodeIndex::VTIME] = 0;
        self.set(&settings)
    }

    /// Leaves the keys in the terminal for whoever reads it next; Ctrl-C is a signal. `swallow_enter`: the
    /// Enter key is dropped, by the terminal itself, since a key that we read cannot be put back.
    pub fn leave_keys(&mut self, swallow_enter: bool) -> io::Result<()> {
        let found = self.found()?;
        let mut settings = found.clone();
        settings.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        settings.local_modes |= LocalModes::ISIG;
        settings.special_codes[SpecialCodeIndex::VSUSP] = 0;
        settings.special_codes[SpecialCodeIndex::VQUIT] = 0;
        settings.input_modes.set(InputModes::IGNCR, swallow_enter);
        self.set(&settings)
    }

    /// Gives the terminal back as it was found.
    pub fn restore(&mut self) {
        if let Some(found) = self.found.take() {
            let _ = self.set(&found);
        }
    }

    /// The next key, `None` where the terminal is gone.
    pub fn key(&self) -> Option<u8> {
        let mut key = [0];
        loop {
            match rustix::io::read(&self.device, &mut key) {
                Ok(1) => return Some(key[0]),
                Err(Errno::INTR) => {}
                _ => return None,
            }
        }
    }

    /// A line as the terminal itself edits it; `None` at its end.
    pub fn line(&self) -> Option<String> {
        let mut line = Vec::new();
        while line.len() < 4_096 {
            match self.key()? {
                b'\n' | b'\r' => break,
                byte => line.push(byte),
            }
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// Waits for a key, for the other descriptor, for a signal; a signal comes before all else, and the
    /// other before a key.
    pub fn wait(&self, other: Option<BorrowedFd<'_>>, limit: Duration) -> io::Result<Event> {
        let device = self.device.as_fd();
        let other_or_device = other.unwrap_or(device);
        let signals = self.interrupt().unwrap_or(device);
        let limit = Timespec::try_from(limit).unwrap_or_default();
        loop {
            let mut descriptors = [&device, &other_or_device, &signals]
                .map(|descriptor| PollFd::new(descriptor, PollFlags::IN));
            match poll(&mut descriptors, Some(&limit)) {
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            let [key, other_ready, signal] = descriptors.map(|descriptor| !descriptor.revents().is_empty());
            return Ok(if signal && self.signals.is_some() {
                Event::Signal
            } else if other_ready && other.is_some() {
                Event::Other
            } else if key {
                Event::Key
            } else {
                Event::Timeout
            });
        }
    }

    /// What ends a wait for the agent: from the first prompt on, signals no longer end the process itself.
    pub fn interrupt(&self) -> Interrupt<'_> {
        self.signals.as_ref().map(AsFd::as_fd)
    }

    fn found(&mut self) -> io::Result<Termios> {
        if self.signals.is_none() {
            let (reader, writer) = UnixStream::pair()?;
            for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
                signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
            }
            self.signals = Some(reader);
        }
        if self.found.is_none() {
            self.found = Some(tcgetattr(&self.device)?);
        }
        self.found.clone().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// At once, and without throwing typed-ahead keys away.
    fn set(&self, settings: &Termios) -> io::Result<()> {
        loop {
            match tcsetattr(&self.device, OptionalActions::Now, settings) {
                Err(Errno::INTR) => {}
                other => return other.map_err(io::Error::from),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}
