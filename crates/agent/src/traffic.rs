//! What the conversations of one agent have to do with each other: a restart waits for those that are being
//! answered, asks those that wait to come again, and takes along those that have not said anything yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use protocol::{CALL_SECONDS, Refusal, Reply};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;

/// How long a restart waits for a moment at which nothing is being worked on, while all goes on as before.
const QUIET_LIMIT: Duration = Duration::from_secs(20);

/// How long it then waits for what is being worked on, while nothing new is begun: longer than a call to AWS can take.
const BUSY_LIMIT: Duration = Duration::from_secs(*CALL_SECONDS.end() as u64 + 2);

/// How long it waits for conversations that are neither answered nor silent: half a request, an answer that
/// nobody takes.
const REST_LIMIT: Duration = Duration::from_millis(500);

/// The conversations.
pub struct Traffic {
    counts: Mutex<Counts>,
    changed: Notify,
    paused: watch::Sender<bool>,
    silent: Mutex<Vec<Silent>>,
    orders: mpsc::UnboundedSender<Order>,
}

/// A conversation in which nothing was said yet.
pub struct Silent {
    /// The grant by whose socket it came; none by the agent's own.
    pub grant: Option<u64>,
    /// It.
    pub stream: Stream,
}

/// Somebody wants a restart, and waits to hear of it.
pub type Order = oneshot::Sender<Result<Restarted, Refusal>>;

/// What came of a restart.
#[derive(Debug, Clone, Copy)]
pub struct Restarted {
    /// How many MFA sessions were handed over.
    pub sessions: usize,
    /// The new process.
    pub pid: u32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    open: usize,
    busy: usize,
}

/// An answer that is being worked on. Until it comes to what must not be cut off, it may end with its client.
#[derive(Clone)]
pub struct Work {
    traffic: Arc<Traffic>,
    begun: Arc<Mutex<Begun>>,
}

#[derive(Default)]
struct Begun {
    /// A restart waits for it.
    busy: Option<Counted>,
    /// So does the end of the conversation.
    for_good: bool,
}

impl Work {
    /// A restart waits for it from here on.
    pub fn is_waited_for(&self) {
        let mut begun = self.begun();
        if begun.busy.is_none() {
            begun.busy = Some(self.traffic.counted(|counts| &mut counts.busy));
        }
    }

    /// It is not cut off from here on, by no restart, nor because its client is gone.
    pub fn is_for_good(&self) {
        self.is_waited_for();
        self.begun().for_good = true;
    }

    /// Its answer was given.
    pub fn is_done(&self) {
        self.begun().busy = None;
    }

    /// Resolves as the other does, as long as this can be cut off.
    pub async fn unless_for_good(&self, end: impl Future<Output = ()>) {
        end.await;
        if self.begun().for_good {
            std::future::pending::<()>().await;
        }
    }

    fn begun(&self) -> MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is counted for as long as this lives.
pub struct Counted {
    traffic: Arc<Traffic>,
    count: fn(&mut Counts) -> &mut usize,
}

impl Traffic {
    /// No conversations but those of another process that have not said anything yet. Restarts are ordered at the
    /// other end.
    pub fn new(silent: Vec<Silent>) -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (orders, ordered) = mpsc::unbounded_channel();
        let traffic = Self {
            counts: Mutex::default(),
            changed: Notify::new(),
            paused: watch::Sender::new(false),
            silent: Mutex::new(silent),
            orders,
        };
        (traffic, ordered)
    }

    /// Counts a conversation.
    pub fn open(self: &Arc<Self>) -> Counted {
        self.counted(|counts| &mut counts.open)
    }

    /// An answer that is worked on from here on.
    pub fn work(self: &Arc<Self>) -> Work {
        Work { traffic: self.clone(), begun: Arc::default() }
    }

    /// Whether no conversation is open, nor one waits to be gone on with.
    pub fn is_still(&self) -> bool {
        self.counts().open == 0 && self.silent().is_empty()
    }

    /// Resolves once nothing new is to be begun.
    pub async fn pausing(&self) {
        let _ = self.paused.subscribe().wait_for(|paused| *paused).await;
    }

    /// Keeps a conversation in which nothing was said yet.
    pub fn keep_silent(&self, silent: Silent) {
        self.silent().push(silent);
    }

    /// One of the conversations in which nothing was said yet, of a grant's socket or of the agent's own.
    pub fn next_silent(&self, grant: Option<u64>) -> Option<Stream> {
        let mut silent = self.silent();
        let at = silent.iter().position(|silent| silent.grant == grant)?;
        Some(silent.swap_remove(at).stream)
    }

    /// The conversations in which nothing was said yet.
    pub fn take_silent(&self) -> Vec<Silent> {
        std::mem::take(&mut *self.silent())
    }

    /// Orders a restart, at a moment when nothing is being worked on where there is one, and waits for what comes
    /// of it.
    pub async fn restart(&self) -> Reply {
        let _ = timeout(QUIET_LIMIT, self.until(|counts| counts.busy == 0)).await;
        let (order, answer) = oneshot::channel();
        let _ = self.orders.send(order);
        match answer.await {
            Ok(Ok(Restarted { sessions, pid })) => Reply::Restarted { sessions, pid },
            Ok(Err(refusal)) => Reply::Refused(refusal),
            Err(_) => Reply::Refused(Refusal::Internal),
        }
    }

    /// Lets the conversations come to a rest, all but those of the `asking` who want the restart.
    pub async fn pause(&self, asking: usize) {
        self.paused.send_replace(true);
        let _ = timeout(BUSY_LIMIT, self.until(|counts| counts.busy == 0)).await;
        let _ = timeout(REST_LIMIT, self.until(|counts| counts.open <= asking)).await;
    }

    /// Goes on.
    pub fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Waits until those who asked for a restart were told.
    pub async fn all_told(&self) {
        let _ = timeout(REST_LIMIT, self.until(|counts| counts.open == 0)).await;
    }

    async fn until(&self, rest: impl Fn(Counts) -> bool) {
        loop {
            let changed = self.changed.notified();
            if rest(*self.counts()) {
                return;
            }
            changed.await;
        }
    }

    fn counted(self: &Arc<Self>, count: fn(&mut Counts) -> &mut usize) -> Counted {
        *count(&mut self.counts()) += 1;
        Counted { traffic: self.clone(), count }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self) -> MutexGuard<'_, Vec<Silent>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *(self.count)(&mut self.traffic.counts()) -= 1;
        self.traffic.changed.notify_waiters();
    }
}
