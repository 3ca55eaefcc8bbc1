//! What systemd-logind says of the machine and of the person's sessions on it, from the system bus.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::sync::mpsc;
use zbus::OwnedVariant;
use zbus::connection::Builder;
use zbus::message::Message;

use crate::bus::{Heard, Service};
use crate::platform;

const LOGIND: &str = "org.freedesktop.login1";
const MANAGER_PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// How long the bus and logind may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The machine goes to sleep. It waits, for five seconds at most, until this is dropped.
    Sleeps(Option<Delay>),
    /// It is awake again.
    Woke,
    /// The person's screen is locked.
    ScreenLocked,
    /// Nobody is at the person's session, since so many seconds after the epoch.
    Idle {
        /// Since when.
        since: u64,
    },
    /// Somebody is there again.
    Active,
}

/// Keeps the machine awake until it is dropped.
#[derive(Debug)]
pub struct Delay(#[expect(dead_code, reason = "what counts is that it is open")] OwnedFd);

/// Listens to logind. Where there is none, nothing is ever heard.
#[derive(Debug)]
pub struct Logind(mpsc::UnboundedReceiver<Event>);

impl Logind {
    /// Begins to listen; with `delay_sleep` the machine waits for [`Event::Sleeps`] to be dropped before it goes to
    /// sleep. Needs the event loop.
    pub fn listen(delay_sleep: bool) -> Self {
        let (events, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            // Whoever listens hears nothing more once this ends.
            let _ = listen(&events, delay_sleep).await;
            events.closed().await;
        });
        Self(heard)
    }

    /// What happens next.
    pub async fn event(&mut self) -> Event {
        match self.0.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

/// Why nothing is ever heard of it.
pub async fn problem() -> Option<String> {
    let look = async { Service::connect(Builder::system(), LOGIND, &[]).await?.is_there().await };
    match limited(look).await {
        Ok(true) => None,
        Ok(false) => Some("no systemd-logind".to_owned()),
        Err(error) => Some(format!("no system bus: {error}")),
    }
}

async fn listen(events: &mpsc::UnboundedSender<Event>, delay_sleep: bool) -> zbus::Result<()> {
    let rules = [
        format!("path='{MANAGER_PATH}',interface='{MANAGER}',member='PrepareForSleep'"),
        format!("path_namespace='{MANAGER_PATH}/session',interface='{SESSION}',member='Lock'"),
        format!(
            "path_namespace='{MANAGER_PATH}/session',interface='{PROPERTIES}',member='PropertiesChanged',\
             arg0='{SESSION}'"
        ),
    ];
    let rules = rules.each_ref().map(String::as_str);
    let mut logind = limited(Service::connect(Builder::system(), LOGIND, &rules)).await?;
    let mut delay = None;
    if delay_sleep {
        delay = inhibit(&mut logind).await;
    }
    loop {
        let heard = tokio::select! {
            heard = logind.next() => heard,
            () = events.closed() => return Ok(()),
        };
        let message = match heard {
            Some(Heard::Signal(message)) => message,
            Some(Heard::Owner) => {
                if delay_sleep && logind.owner().is_some() {
                    delay = inhibit(&mut logind).await;
                }
                continue;
            }
            None => return Ok(()),
        };
        let header = message.header();
        let (Some(path), Some(member)) = (header.path(), header.member()) else { continue };
        let happened = match member.as_str() {
            "PrepareForSleep" if path == MANAGER_PATH => match message.body().deserialize() {
                Ok(true) => vec![Event::Sleeps(delay.take())],
                Ok(false) => {
                    if delay_sleep {
                        delay = inhibit(&mut logind).await;
                    }
                    vec![Event::Woke]
                }
                Err(_) => continue,
            },
            "Lock" => vec![Event::ScreenLocked],
            "PropertiesChanged" => changes(&message),
            _ => continue,
        };
        if path != MANAGER_PATH && !(happened.is_empty() || is_ours(&mut logind, path.as_str()).await) {
            continue;
        }
        for event in happened {
            let _ = events.send(event);
        }
    }
}

/// What changed properties of a session say.
fn changes(message: &Message) -> Vec<Event> {
    type Changed = (String, HashMap<String, OwnedVariant>, Vec<String>);
    let Ok((_, mut changed, _)) = message.body().deserialize::<Changed>() else { return Vec::new() };
    let mut happened = Vec::new();
    if changed.remove("LockedHint").is_some_and(|locked| bool::try_from(locked) == Ok(true)) {
        happened.push(Event::ScreenLocked);
    }
    let since = changed.remove("IdleSinceHint").and_then(|since| u64::try_from(since).ok());
    match changed.remove("IdleHint").and_then(|idle| bool::try_from(idle).ok()) {
        Some(true) => {
            let since = since.unwrap_or_default() / 1_000_000;
            happened.push(Event::Idle { since });
        }
        Some(false) => happened.push(Event::Active),
        None => {}
    }
    happened
}

/// Whether a session is this person's: others may be logged in, too.
async fn is_ours(logind: &mut Service, path: &str) -> bool {
    type Sessions = Vec<(String, u32, String, String, zbus::OwnedObjectPath)>;
    let Ok(reply) = limited(logind.call(MANAGER_PATH, MANAGER, "ListSessions", &())).await else {
        return false;
    };
    let Ok(sessions) = reply.body().deserialize::<Sessions>() else { return false };
    sessions.iter().any(|(_, uid, .., of)| *uid == platform::own_uid() && of.as_str() == path)
}

/// Asks logind to wait before the machine sleeps.
async fn inhibit(logind: &mut Service) -> Option<Delay> {
    let request = ("sleep", "mfa-agent", "Locks the AWS sessions", "delay");
    let reply = limited(logind.call(MANAGER_PATH, MANAGER, "Inhibit", &request)).await.ok()?;
    let delay: zbus::OwnedFd = reply.body().deserialize().ok()?;
    Some(Delay(delay.into()))
}

async fn limited<T>(answer: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
    let silent = |_| zbus::Error::Failure("the bus does not answer".to_owned());
    tokio::time::timeout(LIMIT, answer).await.map_err(silent)?
}
