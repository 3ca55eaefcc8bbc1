//! The notification server of a freedesktop.org desktop, over D-Bus (Desktop Notifications Specification).
//!
//! One connection, made when there is first something to show, and kept: servers send the clicks to the connection
//! that showed the notification, and some take it down when that goes. notify-rust hides its connections, and makes
//! one for each notification (docs/decisions/0013-notifications.md).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use zbus::Variant;
use zbus::connection::Builder;
use zbus::message::Message;

use super::{Event, Notice, Screen};
use crate::bus::{Heard, Service, is_answer};
use crate::environment::DataFolders;

const SERVER: &str = "org.freedesktop.Notifications";
const SERVER_PATH: &str = "/org/freedesktop/Notifications";

/// How long the bus and the server may take, all in all: a bus can be silent for ever.
const LIMIT: Duration = Duration::from_secs(2);

/// Our name, which the desktop entry is installed under.
const APPLICATION: &str = "mfa-agent";

/// Where a package puts our icon, in a folder of data.
const ICON: &str = "icons/hicolor/scalable/apps/mfa-agent.svg";

/// What every icon theme has, for where ours is not installed.
const ANY_ICON: &str = "dialog-password";

const REFRESH: &str = "refresh";
const SNOOZE: &str = "snooze";

/// Shows what is wanted, and reports what comes of it, until nobody wants anything any more.
pub async fn serve(
    mut wanted: watch::Receiver<Screen>,
    reports: mpsc::UnboundedSender<(Notice, Event)>,
    icons: DataFolders,
) {
    let mut bus: Option<Bus> = None;
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
                let missing = known.owner.is_none();
                if let Some(report) = known.understand(&heard) {
                    let _ = reports.send(report);
                }
                let came = missing && known.owner.is_some();
                if !(pending && came) {
                    continue;
                }
            }
        }
        let screen = wanted.borrow_and_update().clone();
        let notice = if let Screen::Notice(notice) = screen { Some(notice) } else { None };
        let shown = tokio::time::timeout(LIMIT, show(&mut bus, notice.as_ref(), &icons)).await;
        let problem = match shown {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => {
                // Whatever it answers later belongs to nothing.
                bus = None;
                Some("the session bus does not answer".to_owned())
            }
        };
        pending = problem.is_some() && notice.is_some();
        if let Some(notice) = notice {
            let _ = reports.send((notice, problem.map_or(Event::Shown, Event::Failed)));
        }
    }
}

/// Why nothing can be shown; shows nothing.
pub async fn problem() -> Option<String> {
    let look = async {
        let bus = Service::connect(Builder::session(), SERVER, &[]).await?;
        bus.is_there().await
    };
    match tokio::time::timeout(LIMIT, look).await {
        Ok(Ok(true)) => None,
        Ok(Ok(false)) => Some("no notification server".to_owned()),
        Ok(Err(error)) => Some(format!("no session bus: {error}")),
        Err(_) => Some("the session bus does not answer".to_owned()),
    }
}

/// Brings the screen to what it shall be.
async fn show(bus: &mut Option<Bus>, notice: Option<&Notice>, icons: &DataFolders) -> Result<(), String> {
    let connected = match (bus.as_mut(), notice) {
        (Some(bus), _) => bus,
        // Nothing is shown where nobody is connected.
        (None, None) => return Ok(()),
        (None, Some(_)) => {
            let connected = Bus::connect().await.map_err(|error| format!("no session bus: {error}"))?;
            bus.insert(connected)
        }
    };
    let done = match notice {
        Some(notice) => connected.show(notice, icons).await,
        None => connected.close().await,
    };
    done.map_err(|error| {
        if is_answer(&error) {
            return format!("no notification server: {error}");
        }
        *bus = None;
        format!("the session bus is gone: {error}")
    })
}

/// The session bus, and what is known of the notification server there.
struct Bus {
    service: Service,
    /// Whose capabilities, and whose notification, those below are.
    owner: Option<String>,
    capabilities: Option<Vec<String>>,
    /// What is on the screen, and its id with the owner.
    shown: Option<(u32, Notice)>,
}

impl Bus {
    async fn connect() -> zbus::Result<Self> {
        // Before the first notification, so that no click is missed.
        let signals = format!("path='{SERVER_PATH}',interface='{SERVER}'");
        let service = Service::connect(Builder::session(), SERVER, &[&signals]).await?;
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

    async fn show(&mut self, notice: &Notice, icons: &DataFolders) -> zbus::Result<()> {
        if self.capabilities.is_none() {
            self.capabilities = Some(self.call("GetCapabilities", &()).await?.body().deserialize()?);
        }
        let capabilities = self.capabilities.clone().unwrap_or_default();
        let can = |what: &str| capabilities.iter().any(|capability| capability == what);
        let words = notice.words(can("actions"), can("body-markup"));
        let actions: &[&str] =
            if can("actions") { &[REFRESH, "Refresh", SNOOZE, "Snooze 10 min"] } else { &[] };
        let critical = notice.is_critical();
        let urgency: u8 = if critical { 2 } else { 1 };
        let hints: BTreeMap<&str, Variant<'_>> =
            [("urgency", Variant::from(urgency)), ("desktop-entry", Variant::from(APPLICATION))].into();
        // The server's own time, and for an end until somebody has seen it.
        let timeout = if critical { 0 } else { -1 };
        let replaces = self.shown.as_ref().map_or(0, |(id, _)| *id);
        let (summary, body) = (&words.summary, &words.body);
        let icon = icons.find(ICON).map_or(ANY_ICON.to_owned(), |path| path.display().to_string());
        let notification = (APPLICATION, replaces, icon, summary, body, actions, hints, timeout);
        let id = self.call("Notify", &notification).await?.body().deserialize()?;
        self.shown = Some((id, notice.clone()));
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

    /// What was heard of the notification on the screen.
    fn understand(&mut self, heard: &Heard) -> Option<(Notice, Event)> {
        self.meet_owner();
        let Heard::Signal(message) = heard else { return None };
        let header = message.header();
        if header.interface()? != SERVER {
            return None;
        }
        let (shown, notice) = self.shown.clone()?;
        match header.member()?.as_str() {
            "ActionInvoked" => {
                let (id, action): (u32, String) = message.body().deserialize().ok()?;
                let event = match action.as_str() {
                    REFRESH => Event::Refresh,
                    SNOOZE => Event::Snooze,
                    _ => return None,
                };
                (id == shown).then_some((notice, event))
            }
            "NotificationClosed" => {
                let (id, _reason): (u32, u32) = message.body().deserialize().ok()?;
                (id == shown).then(|| {
                    self.shown = None;
                    (notice, Event::Gone)
                })
            }
            _ => None,
        }
    }
}
