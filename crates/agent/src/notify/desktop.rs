//! The desktop of the person whose sessions these are: what is shown there, what is asked, and what comes of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Notice, Screen, ask, serve};
use crate::environment::DataFolders;
use crate::prompter::{Answer, Dialog};

/// How long the desktop may take until nothing of ours is left there, all in all.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// What comes of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is on the screen.
    Shown,
    /// It could not be shown, and why.
    Failed(String),
    /// It is not on the screen any more.
    Gone,
    /// The person wants a new session.
    Refresh,
    /// The person wants to be told later.
    Snooze,
}

/// The desktop, where there is one.
#[derive(Debug)]
pub struct Desktop {
    icons: DataFolders,
    wanted: watch::Sender<Screen>,
    reports: mpsc::UnboundedSender<(Notice, Event)>,
    leaving: watch::Sender<bool>,
    interrupts: Notify,
    /// Whatever has something on the screen.
    tasks: Mutex<JoinSet<()>>,
}

/// What is heard from the desktop.
#[derive(Debug)]
pub struct Events(mpsc::UnboundedReceiver<(Notice, Event)>);

/// Says when nothing of ours may be on the screen any more.
#[derive(Debug)]
pub struct Leaving(watch::Receiver<bool>);

impl Leaving {
    /// Resolves then.
    pub async fn asked(&mut self) {
        let _ = self.0.wait_for(|leaving| *leaving).await;
    }
}

impl Desktop {
    /// A desktop that nothing is shown on yet; until then nobody knows whether there is one.
    pub fn new(icons: DataFolders) -> (Self, Events) {
        let (reports, events) = mpsc::unbounded_channel();
        let (wanted, leaving) = (watch::Sender::new(Screen::Clear), watch::Sender::new(false));
        (
            Self { icons, wanted, reports, leaving, interrupts: Notify::new(), tasks: Mutex::default() },
            Events(events),
        )
    }

    /// Begins to show what is wanted, and goes on with it after [`Self::close`]. Needs the event loop.
    pub fn open(&self) {
        self.leaving.send_replace(false);
        let mut wanted = self.wanted.subscribe();
        wanted.mark_changed();
        self.tasks().spawn(serve(
            wanted,
            self.reports.clone(),
            Leaving(self.leaving.subscribe()),
            self.icons.clone(),
        ));
    }

    /// Shows this in the place of what was shown before, or takes that away. Does not wait for it.
    pub fn show(&self, screen: Screen) {
        self.wanted.send_replace(screen);
    }

    /// Asks for consent by a notification. None where there is no server that can, or where it went away. The
    /// question is taken back when this is dropped. Needs the event loop.
    pub async fn ask(&self, dialog: &Dialog, limit: Duration) -> Option<Answer> {
        let (answers, answer) = oneshot::channel();
        {
            let mut tasks = self.tasks();
            // Those that have ended.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(ask(dialog.clone(), answers, Leaving(self.leaving.subscribe()), self.icons.clone()));
        }
        match timeout(limit, answer).await {
            Ok(answer) => answer.ok(),
            Err(_) => Some(Answer::TimedOut),
        }
    }

    /// Sends those away who wait for a person's answer: a restart does not wait for it.
    pub fn interrupt(&self) {
        self.interrupts.notify_waiters();
    }

    /// Resolves when those who wait for a person's answer are sent away.
    pub async fn interrupted(&self) {
        self.interrupts.notified().await;
    }

    /// Takes everything off the screen. Ends within a second, though the desktop may hang.
    pub async fn close(&self) {
        self.leaving.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks());
        let _ = timeout(CLOSE_LIMIT, async { while tasks.join_next().await.is_some() {} }).await;
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    /// What came of a notification.
    pub async fn next(&mut self) -> (Notice, Event) {
        match self.0.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}
