//! The notification server of a freedesktop.org desktop, over D-Bus (Desktop Notifications Specification).
//!
//! One connection for notices, made when there is first something to show, and kept: servers send the clicks to the
//! connection that showed the notification, and some take it down when that goes. A question has one of its own, for
//! as long as it is asked. notify-rust hides its connections, and makes one for each notification
//! (docs/decisions/0013-notifications.md).

mod consent;

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use zbus::Variant;
use zbus::connection::Builder;
use zbus::message::Message;

use super::{Event, Leaving, Notice, Screen};
use crate::bus::{Heard, Service, is_answer};
use crate::environment::DataFolders;

pub use consent::ask;

const SERVER: &str = "org.freedesktop.Notifications";
const SERVER_PATH: &str = "/org/freedesktop/Notifications";

/// How long the bus, and then the server, may take: a bus can be silent for ever.
const LIMIT: Duration = Duration::from_secs(2);

/// Our name, which the desktop entry is installed under.
const APPLICATION: &str = "mfa-agent";

/// Where a package puts our icon, in a folder of data.
const ICON: &str = "icons/hicolor/scalable/apps/mfa-agent.svg";

/// What every icon theme has, for where ours is not installed.
const ANY_ICON: &str = "dialog-password";

const REFRESH: &str = "refresh";
const SNOOZE: &str = "snooze";

/// Urgencies of the specification.
const NORMAL: u8 = 1;
const CRITICAL: u8 = 2;

/// Shows what is wanted, and reports what comes of it, until we are `leaving`; nothing is left on the screen then.
pub async fn serve(
    mut wanted: watch::Receiver<Screen>,
    reports: mpsc::UnboundedSender<(Notice, Event)>,
    mut leaving: Leaving,
    icons: DataFolders,
) {
    let mut bus: Option<Bus<Notice>> = None;
    // What could not be shown, and may be when a server comes.
    let mut pending = false;
    loop {
        let heard = async {
            match &mut bus {
                Some(bus) => bus.service.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = leaving.asked() => {
                if let Some(bus) = &mut bus {
                    let _ = bus.close().await;
                }
                return;
            }
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            heard = heard => {
                let (Some(heard), Some(known)) = (heard, &mut bus) else {
                    bus = None;
                    continue;
                };
                let before = known.owner.clone();
                let event = match known.understand(&heard) {
                    Some((notice, Reaction::Action(key))) if key == REFRESH => Some((notice, Event::Refresh)),
                    Some((notice, Reaction::Action(key))) if key == SNOOZE => Some((notice, Event::Snooze)),
                    Some((notice, Reaction::Closed(_))) => Some((notice, Event::Gone)),
                    Some((_, Reaction::Action(_))) | None => None,
                };
                if let Some(event) = event {
                    let _ = reports.send(event);
                }
                let came = known.owner.is_some() && known.owner != before;
                if !(pending && came) {
                    continue;
                }
            }
        }
        let screen = wanted.borrow_and_update().clone();
        let notice = if let Screen::Notice(notice) = screen { Some(notice) } else { None };
        let report = |event| {
            if let Some(notice) = &notice {
                let _ = reports.send((notice.clone(), event));
            }
        };
        let shown = match (&mut bus, &notice) {
            // Nothing is shown where nobody is connected.
            (None, None) => Ok(()),
            (bus, _) => show(bus, notice.as_ref(), &icons, &report).await,
        };
        pending = shown.is_err() && notice.is_some();
        report(shown.map_or_else(Event::Failed, |()| Event::Shown));
    }
}

/// Why nothing can be shown; shows nothing.
pub async fn problem() -> Option<String> {
    let look = async {
        let bus = Service::connect(Builder::session(), SERVER, &[]).await?;
        bus.is_there().await
    };
    match timeout(LIMIT, look).await {
        Ok(Ok(true)) => None,
        Ok(Ok(false)) => Some("no notification server".to_owned()),
        Ok(Err(error)) => Some(format!("no session bus: {error}")),
        Err(_) => Some("the session bus does not answer".to_owned()),
    }
}

/// Brings the screen to what it shall be.
async fn show(
    bus: &mut Option<Bus<Notice>>,
    notice: Option<&Notice>,
    icons: &DataFolders,
    report: impl Fn(Event),
) -> Result<(), String> {
    let connected = match bus {
        Some(bus) => bus,
        None => bus.insert(Bus::connect().await?),
    };
    let work = async {
        match notice {
            Some(notice) => connected.show_notice(notice, icons).await,
            None => connected.close().await,
        }
    };
    // It may just be starting, and shows it late. Without its answer nobody knows what is on the screen.
    let late = || report(Event::Failed("the notification server does not answer".to_owned()));
    patiently(work, late).await.map_err(|error| {
        if is_answer(&error) {
            return format!("no notification server: {error}");
        }
        *bus = None;
        format!("the session bus is gone: {error}")
    })
}

/// Waits for an answer, and says so once it is late.
async fn patiently<T>(answer: impl Future<Output = T>, late: impl FnOnce()) -> T {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout(LIMIT, &mut answer).await {
        return answer;
    }
    late();
    answer.await
}

/// What a notification looks like.
struct Popup<'a> {
    summary: &'a str,
    body: &'a str,
    /// Keys and labels, by turns.
    actions: &'a [&'a str],
    urgency: u8,
    /// When the server takes it away, in milliseconds; 0 for never, -1 for when it thinks best.
    timeout: i32,
}

/// What somebody did to a notification.
enum Reaction {
    /// A button was clicked.
    Action(String),
    /// It is gone, for a reason of the specification.
    Closed(u32),
}

/// The session bus, and what is known of the notification server there.
struct Bus<What> {
    service: Service,
    /// Whose capabilities, and whose notification, those below are.
    owner: Option<String>,
    capabilities: Option<Vec<String>>,
    /// What is on the screen, and its id with the owner.
    shown: Option<(u32, What)>,
}

impl<What: Clone> Bus<What> {
    /// Connects within [`LIMIT`].
    async fn connect() -> Result<Self, String> {
        // Before the first notification, so that no click is missed.
        let signals = format!("path='{SERVER_PATH}',interface='{SERVER}'");
        let service = timeout(LIMIT, Service::connect(Builder::session(), SERVER, &[&signals])).await;
        let service = service.map_err(|_| "the session bus does not answer".to_owned())?;
        let service = service.map_err(|error| format!("no session bus: {error}"))?;
        let mut bus = Self { service, owner: None, capabilities: None, shown: None };
        bus.meet_owner();
        Ok(bus)
    }

    /// With another owner everything begins anew.
    fn meet_owner(&mut self) {
        if self.service.owner() != self.owner.as_deref() {
            self.owner = self.service.owner().map(str::to_owned);
            self.capabilities = None;
            self.shown = None;
        }
    }

    async fn call<Body>(&mut self, method: &str, body: &Body) -> zbus::Result<Message>
    where
        Body: serde::Serialize + zbus::DynamicType,
    {
        let reply = self.service.call(SERVER_PATH, SERVER, method, body).await;
        self.meet_owner();
        reply
    }

    /// What the server can.
    async fn capabilities(&mut self) -> zbus::Result<Vec<String>> {
        if self.capabilities.is_none() {
            self.capabilities = Some(self.call("GetCapabilities", &()).await?.body().deserialize()?);
        }
        Ok(self.capabilities.clone().unwrap_or_default())
    }

    /// Shows something in the place of what was shown before.
    async fn show(&mut self, what: What, popup: &Popup<'_>, icons: &DataFolders) -> zbus::Result<()> {
        let hints: BTreeMap<&str, Variant<'_>> =
            [("urgency", Variant::from(popup.urgency)), ("desktop-entry", Variant::from(APPLICATION))].into();
        let replaces = self.shown.as_ref().map_or(0, |(id, _)| *id);
        let icon = icons.find(ICON).map_or(ANY_ICON.to_owned(), |path| path.display().to_string());
        let Popup { summary, body, actions, timeout, .. } = popup;
        let notification = (APPLICATION, replaces, icon, summary, body, actions, hints, timeout);
        let id = self.call("Notify", &notification).await?.body().deserialize()?;
        self.shown = Some((id, what));
        Ok(())
    }

    async fn close(&mut self) -> zbus::Result<()> {
        let Some((id, _)) = self.shown.take() else { return Ok(()) };
        match self.call("CloseNotification", &id).await {
            // Gone already is as good.
            Err(error) if is_answer(&error) => Ok(()),
            other => other.map(drop),
        }
    }

    /// What was heard of what is on the screen.
    fn understand(&mut self, heard: &Heard) -> Option<(What, Reaction)> {
        self.meet_owner();
        let Heard::Signal(message) = heard else { return None };
        let header = message.header();
        if header.interface()? != SERVER {
            return None;
        }
        let (shown, what) = self.shown.clone()?;
        let (id, reaction) = match header.member()?.as_str() {
            "ActionInvoked" => {
                let (id, key): (u32, String) = message.body().deserialize().ok()?;
                (id, Reaction::Action(key))
            }
            "NotificationClosed" => {
                let (id, reason): (u32, u32) = message.body().deserialize().ok()?;
                (id, Reaction::Closed(reason))
            }
            _ => return None,
        };
        if id != shown {
            return None;
        }
        if matches!(reaction, Reaction::Closed(_)) {
            self.shown = None;
        }
        Some((what, reaction))
    }
}

impl Bus<Notice> {
    async fn show_notice(&mut self, notice: &Notice, icons: &DataFolders) -> zbus::Result<()> {
        let capabilities = self.capabilities().await?;
        let can = |what: &str| capabilities.iter().any(|capability| capability == what);
        let words = notice.words(can("actions"), can("body-markup"));
        let critical = notice.is_critical();
        let popup = Popup {
            summary: &words.summary,
            body: &words.body,
            actions: if can("actions") { &[REFRESH, "Refresh", SNOOZE, "Snooze 10 min"] } else { &[] },
            urgency: if critical { CRITICAL } else { NORMAL },
            // The server's own time, and for an end until somebody has seen it.
            timeout: if critical { 0 } else { -1 },
        };
        self.show(notice.clone(), &popup, icons).await
    }
}
