//! Where there is no systemd-logind: nothing is ever heard of it.

/// What would happen.
#[derive(Debug)]
#[expect(dead_code, reason = "nothing here says so")]
pub enum Event {
    /// The machine goes to sleep.
    Sleeps(Option<Delay>),
    /// It is awake again.
    Woke,
    /// The person's screen is locked.
    ScreenLocked,
    /// Nobody is at the person's session.
    Idle {
        /// Since when, in seconds since the epoch.
        since: u64,
    },
    /// Somebody is there again.
    Active,
}

/// Would keep the machine awake.
#[derive(Debug)]
pub struct Delay;

/// Listens to nothing.
#[derive(Debug)]
pub struct Logind;

impl Logind {
    /// Begins to listen.
    pub fn listen(_delay_sleep: bool) -> Self {
        Self
    }

    /// Never resolves.
    pub async fn event(&mut self) -> Event {
        std::future::pending().await
    }
}

/// Why nothing is ever heard.
pub async fn problem() -> Option<String> {
    Some("no systemd-logind on this system".to_owned())
}
