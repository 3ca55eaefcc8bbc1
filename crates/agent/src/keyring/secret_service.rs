//! The Secret Service of a freedesktop.org desktop, over D-Bus, by the Secret Service API 0.2. Why not by a library:
//! docs/decisions/0027-keyring.md.

use std::collections::HashMap;
use std::time::Duration;

use protocol::{KeyringProblem, KeyringState, Secret};
use serde::Serialize;
use zbus::connection::Builder;
use zbus::message::Message;
use zbus::{DynamicType, OwnedObjectPath, OwnedVariant, Variant};

use super::cipher::{self, Cipher, Exchange, NoRandomness, Wrapped};
use super::{Item, SERVICE, Unlock};
use crate::bus::{Heard, Service, is_answer};

const NAME: &str = "org.freedesktop.secrets";
const PATH: &str = "/org/freedesktop/secrets";
const THE_SERVICE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";
const ITEM: &str = "org.freedesktop.Secret.Item";
const PROMPT: &str = "org.freedesktop.Secret.Prompt";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// What stands for no object.
const NOTHING: &str = "/";

/// How long the bus or the service may take for one answer. The first one may start the service.
const LIMIT: Duration = Duration::from_secs(5);

/// How many items of ours are looked at: a person has a few keys and devices.
const MOST_ITEMS: usize = 64;

/// How long a person may take with the keyring's dialog.
const PROMPT_LIMIT: Duration = Duration::from_mins(1);

/// A secret as the API has it: the session, the parameters of the cipher, the text, what kind of text.
type Packed = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

pub async fn read(item: Item<'_>, unlock: Unlock) -> Result<Option<Secret>, KeyringProblem> {
    let mut keyring = Keyring::open().await?;
    match keyring.find(item, unlock).await? {
        Some(path) => keyring.secret_of(&path).await.map(Some),
        None => Ok(None),
    }
}

pub async fn store(item: Item<'_>, secret: &Secret) -> Result<(), KeyringProblem> {
    let mut keyring = Keyring::open().await?;
    let collection = keyring.collection().await?;
    let label = item.label();
    let properties: HashMap<&str, Variant<'_>> = [
        ("org.freedesktop.Secret.Item.Label", Variant::from(label.as_str())),
        ("org.freedesktop.Secret.Item.Attributes", Variant::from(attributes(item))),
    ]
    .into();
    let wrapped = keyring.cipher.wrap(secret).map_err(no_randomness)?;
    let packed: Packed =
        (keyring.session.clone(), wrapped.parameters, wrapped.value, "text/plain; charset=utf8".to_owned());
    let reply =
        keyring.call(collection.as_str(), COLLECTION, "CreateItem", &(properties, packed, true)).await?;
    let (_, prompt): (OwnedObjectPath, OwnedObjectPath) = body(&reply)?;
    keyring.prompt(&prompt).await
}

pub async fn forget(item: Item<'_>) -> Result<bool, KeyringProblem> {
    let mut keyring = Keyring::open().await?;
    let Some(path) = keyring.find(item, Unlock::Ask).await? else { return Ok(false) };
    let reply = keyring.call(path.as_str(), ITEM, "Delete", &()).await?;
    let prompt: OwnedObjectPath = body(&reply)?;
    keyring.prompt(&prompt).await.map(|()| true)
}

/// By their attributes, which are no secret. A locked keyring may keep them to itself.
pub async fn seeds() -> Option<Vec<String>> {
    let look = async {
        let mut service = limited(Service::connect(Builder::session(), NAME, &[])).await?;
        if !limited(service.is_there()).await? || service.owner().is_none() {
            return Err(no_service());
        }
        let ours: HashMap<&str, &str> = [("service", SERVICE)].into();
        let reply = limited(service.call(PATH, THE_SERVICE, "SearchItems", &ours)).await?;
        let (open, _): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = body(&reply)?;
        let mut serials = Vec::new();
        for item in open.iter().take(MOST_ITEMS) {
            let property = (ITEM, "Attributes");
            let reply = limited(service.call(item.as_str(), PROPERTIES, "Get", &property)).await?;
            let attributes: OwnedVariant = body(&reply)?;
            let attributes = HashMap::<String, String>::try_from(attributes)
                .map_err(|_| failed("it does not say what an item is"))?;
            serials.extend(attributes.get(Item::Seed("").attribute().0).cloned());
        }
        Ok::<_, KeyringProblem>(serials)
    };
    look.await.ok()
}

pub async fn state() -> KeyringState {
    let look = async {
        let mut service = limited(Service::connect(Builder::session(), NAME, &[])).await?;
        if !limited(service.is_there()).await? {
            return Err(no_service());
        }
        if service.owner().is_none() {
            // What the first call starts is locked.
            return Ok(KeyringState::Locked);
        }
        let collection = default_collection(&mut service).await?;
        let locked = match collection {
            Some(collection) => is_locked(&mut service, &collection).await?,
            // Made with a password of the person's when first needed.
            None => true,
        };
        Ok(if locked { KeyringState::Locked } else { KeyringState::Unlocked })
    };
    look.await.unwrap_or_else(|problem| KeyringState::Missing {
        detail: match problem {
            KeyringProblem::NoService { detail } | KeyringProblem::Failed { detail } => detail,
            KeyringProblem::Silent => "it does not answer".to_owned(),
            KeyringProblem::Locked | KeyringProblem::NotThere => "it has no collection".to_owned(),
        },
    })
}

/// The service, and the session in which it tells us secrets.
struct Keyring {
    service: Service,
    session: OwnedObjectPath,
    cipher: Cipher,
}

impl Keyring {
    async fn open() -> Result<Self, KeyringProblem> {
        let completed = format!("interface='{PROMPT}',member='Completed'");
        let rules = [completed.as_str()];
        let mut service = limited(Service::connect(Builder::session(), NAME, &rules)).await.map_err(
            |problem| match problem {
                // To whom it matters, a bus that is silent is one that is not there.
                KeyringProblem::Failed { detail } => KeyringProblem::NoService { detail },
                other => other,
            },
        )?;
        let exchange = Exchange::new().map_err(no_randomness)?;
        let request = (cipher::ALGORITHM, Variant::from(exchange.public()));
        let reply = limited(service.call(PATH, THE_SERVICE, "OpenSession", &request)).await?;
        let (theirs, session): (OwnedVariant, OwnedObjectPath) = body(&reply)?;
        let theirs = Vec::<u8>::try_from(theirs).map_err(|_| failed("its half of the key is no number"))?;
        let cipher =
            exchange.agree(&theirs).ok_or_else(|| failed("its half of the key is none that can be used"))?;
        Ok(Self { service, session, cipher })
    }

    async fn call<Body>(
        &mut self,
        path: &str,
        interface: &str,
        method: &str,
        request: &Body,
    ) -> Result<Message, KeyringProblem>
    where
        Body: Serialize + DynamicType,
    {
        limited(self.service.call(path, interface, method, request)).await
    }

    /// The item, unlocked.
    async fn find(
        &mut self,
        item: Item<'_>,
        unlock: Unlock,
    ) -> Result<Option<OwnedObjectPath>, KeyringProblem> {
        let (open, locked) = self.search(item).await?;
        if let Some(path) = open {
            return Ok(Some(path));
        }
        // Some services do not tell what is in a locked collection.
        let locked = match locked {
            Some(path) => path,
            None => match default_collection(&mut self.service).await? {
                Some(collection) if is_locked(&mut self.service, &collection).await? => collection,
                _ => return Ok(None),
            },
        };
        if unlock == Unlock::Never {
            return Err(KeyringProblem::Locked);
        }
        self.unlock(&locked).await?;
        Ok(self.search(item).await?.0)
    }

    /// The first item that is open, and the first that is locked.
    async fn search(
        &mut self,
        item: Item<'_>,
    ) -> Result<(Option<OwnedObjectPath>, Option<OwnedObjectPath>), KeyringProblem> {
        let reply = self.call(PATH, THE_SERVICE, "SearchItems", &attributes(item)).await?;
        let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = body(&reply)?;
        Ok((open.into_iter().next(), locked.into_iter().next()))
    }

    async fn secret_of(&mut self, item: &OwnedObjectPath) -> Result<Secret, KeyringProblem> {
        let session = self.session.clone();
        let reply = self.call(item.as_str(), ITEM, "GetSecret", &session).await?;
        let (_, parameters, value, _): Packed = body(&reply)?;
        let wrapped = Wrapped { parameters, value };
        self.cipher.unwrap(&wrapped).ok_or_else(|| failed("what it gives is no secret text"))
    }

    /// Where new items go, unlocked; made where there is none.
    async fn collection(&mut self) -> Result<OwnedObjectPath, KeyringProblem> {
        if let Some(collection) = default_collection(&mut self.service).await? {
            if is_locked(&mut self.service, &collection).await? {
                self.unlock(&collection).await?;
            }
            return Ok(collection);
        }
        let label: HashMap<&str, Variant<'_>> = [(LABEL_OF_COLLECTION, Variant::from("Default"))].into();
        let reply = self.call(PATH, THE_SERVICE, "CreateCollection", &(label, "default")).await?;
        let (collection, prompt): (OwnedObjectPath, OwnedObjectPath) = body(&reply)?;
        if collection.as_str() != NOTHING {
            return Ok(collection);
        }
        self.prompt(&prompt).await?;
        default_collection(&mut self.service).await?.ok_or_else(|| failed("it has no default collection"))
    }

    async fn unlock(&mut self, object: &OwnedObjectPath) -> Result<(), KeyringProblem> {
        let reply = self.call(PATH, THE_SERVICE, "Unlock", &vec![object.clone()]).await?;
        let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) = body(&reply)?;
        self.prompt(&prompt).await
    }

    /// Has the service ask the person, where it wants to. Its dialog goes with us: at its limit, or with the connection.
    async fn prompt(&mut self, prompt: &OwnedObjectPath) -> Result<(), KeyringProblem> {
        if prompt.as_str() == NOTHING {
            return Ok(());
        }
        // No window of ours that it could stand in front of.
        let shown = self.call(prompt.as_str(), PROMPT, "Prompt", &"").await;
        if let Err(KeyringProblem::Failed { .. }) = shown {
            // There is no screen for it.
            return Err(KeyringProblem::Locked);
        }
        shown?;
        let completed = async {
            loop {
                let Some(Heard::Signal(message)) = self.service.next().await else { return None };
                if message.header().path().is_some_and(|path| path.as_str() == prompt.as_str()) {
                    let completed = message.body().deserialize::<(bool, OwnedVariant)>();
                    return completed.ok().map(|(dismissed, _)| !dismissed);
                }
            }
        };
        match tokio::time::timeout(PROMPT_LIMIT, completed).await {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(KeyringProblem::Locked),
            Ok(None) => Err(failed("it went away while it asked")),
            Err(_) => {
                // Whether it is gone or not: nobody waits for it any more.
                let _ = self.call(prompt.as_str(), PROMPT, "Dismiss", &()).await;
                Err(KeyringProblem::Locked)
            }
        }
    }
}

const LABEL_OF_COLLECTION: &str = "org.freedesktop.Secret.Collection.Label";

fn attributes(item: Item<'_>) -> HashMap<&'static str, &str> {
    let (name, value) = item.attribute();
    [("service", SERVICE), (name, value)].into()
}

async fn default_collection(service: &mut Service) -> Result<Option<OwnedObjectPath>, KeyringProblem> {
    let reply = limited(service.call(PATH, THE_SERVICE, "ReadAlias", &"default")).await?;
    let collection: OwnedObjectPath = body(&reply)?;
    Ok(Some(collection).filter(|collection| collection.as_str() != NOTHING))
}

async fn is_locked(service: &mut Service, collection: &OwnedObjectPath) -> Result<bool, KeyringProblem> {
    let property = (COLLECTION, "Locked");
    let reply = limited(service.call(collection.as_str(), PROPERTIES, "Get", &property)).await?;
    let locked: OwnedVariant = body(&reply)?;
    bool::try_from(locked).map_err(|_| failed("it does not say whether it is locked"))
}

fn body<Body>(message: &Message) -> Result<Body, KeyringProblem>
where
    Body: serde::de::DeserializeOwned + DynamicType + zbus::Type,
{
    message.body().deserialize().map_err(|_| failed("its answer is not understood"))
}

fn failed(detail: &str) -> KeyringProblem {
    KeyringProblem::Failed { detail: detail.to_owned() }
}

fn no_service() -> KeyringProblem {
    KeyringProblem::NoService { detail: format!("nothing on the session bus has the name {NAME}") }
}

fn no_randomness(_: NoRandomness) -> KeyringProblem {
    failed("the system has no random numbers")
}

async fn limited<T>(answer: impl Future<Output = zbus::Result<T>>) -> Result<T, KeyringProblem> {
    let error = match tokio::time::timeout(LIMIT, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error,
        Err(_) => return Err(KeyringProblem::Silent),
    };
    let detail = error.to_string();
    Err(match &error {
        zbus::Error::MethodError(name, ..) if name.as_str() == "org.freedesktop.Secret.Error.IsLocked" => {
            KeyringProblem::Locked
        }
        error if is_answer(error) => {
            // Of the bus itself, in one of its two forms.
            let nobody = ["DBus.Error.ServiceUnknown", "DBus.Error.NameHasNoOwner", "Spawn.ServiceNotFound"];
            if nobody.iter().any(|name| detail.contains(name)) {
                no_service()
            } else {
                KeyringProblem::Failed { detail }
            }
        }
        _ => KeyringProblem::NoService { detail: format!("no session bus: {detail}") },
    })
}
