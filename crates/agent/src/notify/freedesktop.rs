//! The notification server of a freedesktop.org desktop, over D-Bus (Desktop Notifications Specification).
//!
//! One connection, made when there is first something to show, and kept: servers send the clicks to the connection
//! that showed the notification, and some take it down when that goes. notify-rust hides its connections, and makes
//! one for each notification (docs/decisions/0013-notifications.md).

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{mpsc, watch};
use zbus::message::{Message, Type};
use zbus::{Connection, MessageStream, Variant};

use super::{Event, Notice, Screen};
use crate::environment::DataFolders;

const SERVER: &str = "org.freedesktop.Notifications";
const SERVER_PATH: &str = "/org/freedesktop/Notifications";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

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
        let message = async {
            match &mut bus {
                Some(bus) => bus.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            message = message => {
                let (Some(message), Some(known)) = (message, &mut bus) else {
                    bus = None;
                    continue;
                };
                let missing = known.owner.is_none();
                if let Some(report) = known.understand(&message) {
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

/// Whether somebody answered, though with an error.
fn is_answer(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(..) | zbus::Error::FDO(_))
}

/// The session bus, and what is known of the notification server there.
struct Bus {
    connection: Connection,
    messages: MessageStream,
    /// Who owns the server's name, by the bus's word. Signals of others are none.
    owner: Option<String>,
    /// Of the owner.
    capabilities: Option<Vec<String>>,
    /// What is on the screen, and its id with the owner.
    shown: Option<(u32, Notice)>,
}

impl Bus {
    async fn connect() -> zbus::Result<Self> {
        let connection = zbus::connection::Builder::session().build().await?;
        // In one stream, so that it is certain whether a click came before or after a change of the owner; and
        // before the first notification, so that no click is missed.
        let messages = MessageStream::from(&connection);
        for rule in [
            format!("type='signal',sender='{SERVER}',path='{SERVER_PATH}',interface='{SERVER}'"),
            format!(
                "type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{SERVER}'"
            ),
        ] {
            connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "AddMatch", &rule).await?;
        }
        let mut bus = Self { connection, messages, owner: None, capabilities: None, shown: None };
        match bus.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "GetNameOwner", &SERVER).await {
            Ok(reply) => bus.owned_by(reply.body().deserialize()?),
            // Perhaps it is started by the first call to it.
            Err(error) if is_answer(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(bus)
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            match poll_fn(|context| Pin::new(&mut self.messages).poll_next(context)).await? {
                Ok(message) => return Some(message),
                // Not for us to understand.
                Err(zbus::Error::InputOutput(_)) => return None,
                Err(_) => {}
            }
        }
    }

    /// Somebody owns the server's name; nobody, if it is empty. With another owner everything begins anew.
    fn owned_by(&mut self, owner: String) {
        let owner = Some(owner).filter(|owner| !owner.is_empty());
        if owner != self.owner {
            self.capabilities = None;
            self.shown = None;
        }
        self.owner = owner;
    }

    async fn call<Body>(&mut self, method: &str, body: &Body) -> zbus::Result<Message>
    where
        Body: serde::Serialize + zbus::DynamicType,
    {
        let reply =
            self.connection.call_method(Some(SERVER), SERVER_PATH, Some(SERVER), method, body).await?;
        // The server may have been started by this call.
        if let Some(sender) = reply.header().sender() {
            self.owned_by(sender.to_string());
        }
        Ok(reply)
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

    /// What a message says of the notification on the screen.
    fn understand(&mut self, message: &Message) -> Option<(Notice, Event)> {
        let header = message.header();
        if header.message_type() != Type::Signal {
            return None;
        }
        let sender = header.sender()?.as_str();
        let (interface, member) = (header.interface()?.as_str(), header.member()?.as_str());
        if (sender, interface, member) == (BUS, BUS, "NameOwnerChanged") {
            let (name, _, owner): (String, String, String) = message.body().deserialize().ok()?;
            if name == SERVER {
                self.owned_by(owner);
            }
            return None;
        }
        // Anybody on the bus can send a signal, and straight to us.
        if interface != SERVER || self.owner.as_deref() != Some(sender) {
            return None;
        }
        let (shown, notice) = self.shown.clone()?;
        match member {
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
