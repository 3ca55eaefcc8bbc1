//! A service on a message bus: calls to it, and the signals of its owner alone, in the bus's order.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use serde::Serialize;
use zbus::connection::Builder;
use zbus::message::{Message, Type};
use zbus::names::{MemberName, UniqueName};
use zbus::{Connection, DynamicType, MessageStream};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// A connection to a bus, for one service on it.
pub struct Service {
    connection: Connection,
    messages: MessageStream,
    name: &'static str,
    owner: Option<String>,
}

/// What was heard on the bus.
pub enum Heard {
    /// A signal of the service's owner.
    Signal(Message),
    /// The service has another owner now, or none.
    Owner,
}

/// Whether somebody answered, though with an error.
pub fn is_answer(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(..) | zbus::Error::FDO(_))
}

impl Service {
    /// Connects to a bus, and listens to the signals of a service that these rules describe; its name as the
    /// sender is added. The service itself may not be there yet. A bus may never answer: the caller sets the limit.
    pub async fn connect(bus: Builder<'_>, name: &'static str, rules: &[&str]) -> zbus::Result<Self> {
        let connection = bus.build().await?;
        // All in one stream, so that it is certain whether a signal came before or after a change of the owner.
        let messages = MessageStream::from(&connection);
        let mut service = Self { connection, messages, name, owner: None };
        let of_the_bus = format!("interface='{BUS}',member='NameOwnerChanged',arg0='{name}'");
        service.listen(BUS, &of_the_bus).await?;
        for rule in rules {
            service.listen(name, rule).await?;
        }
        let owner = service.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "GetNameOwner", &name);
        match owner.await {
            Ok(reply) => service.owner = Some(reply.body().deserialize()?),
            // Perhaps the first call starts it.
            Err(error) if is_answer(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(service)
    }

    /// Who owns the service's name, by the bus's word.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Whether the service runs, or is started by the first call. Starts nothing.
    pub async fn is_there(&self) -> zbus::Result<bool> {
        if self.owner.is_some() {
            return Ok(true);
        }
        let names = self.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "ListActivatableNames", &());
        let names: Vec<String> = names.await?.body().deserialize()?;
        Ok(names.iter().any(|name| name == self.name))
    }

    /// Calls a method of the service.
    pub async fn call<Body>(
        &mut self,
        path: &str,
        interface: &str,
        method: &str,
        body: &Body,
    ) -> zbus::Result<Message>
    where
        Body: Serialize + DynamicType,
    {
        let reply = self.connection.call_method(Some(self.name), path, Some(interface), method, body).await?;
        // The service may have been started by this call.
        self.owner = reply.header().sender().map(ToString::to_string).or(self.owner.take());
        Ok(reply)
    }

    /// What is heard next; none once the bus is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let message = match poll_fn(|context| Pin::new(&mut self.messages).poll_next(context)).await? {
                Ok(message) => message,
                Err(zbus::Error::InputOutput(_)) => return None,
                // Not for us to understand.
                Err(_) => continue,
            };
            let header = message.header();
            if header.message_type() != Type::Signal {
                continue;
            }
            let sender = header.sender().map(UniqueName::as_str);
            let member = header.member().map(MemberName::as_str);
            if sender == Some(BUS) && member == Some("NameOwnerChanged") {
                let change = message.body().deserialize::<(String, String, String)>();
                if let Ok((name, _, owner)) = change
                    && name == self.name
                {
                    self.owner = Some(owner).filter(|owner| !owner.is_empty());
                    return Some(Heard::Owner);
                }
            } else if sender.is_some() && sender == self.owner() {
                // Anybody on the bus can send a signal, also straight to us.
                drop(header);
                return Some(Heard::Signal(message));
            }
        }
    }

    async fn listen(&self, sender: &str, rule: &str) -> zbus::Result<()> {
        let rule = format!("type='signal',sender='{sender}',{rule}");
        self.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "AddMatch", &rule).await.map(drop)
    }
}
