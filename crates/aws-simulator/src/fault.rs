//! Trouble on demand: what can go wrong between a client and AWS.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

use crate::answer::Failure;
use crate::locked;

/// One kind of trouble. By itself it meets every request until the faults are cleared;
/// [`Fault::times`] and [`Fault::on`] narrow it: `Fault::Throttle.on("AssumeRole").times(2)`.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The right answer, but only after this long.
    Latency(Duration),
    /// 400 `Throttling`.
    Throttle,
    /// 500 `InternalFailure`.
    InternalFailure,
    /// 503 `ServiceUnavailable`.
    ServiceUnavailable,
    /// Any other refusal; the message may hold control characters.
    Error {
        /// The HTTP status.
        status: u16,
        /// The code, such as `RegionDisabledException`.
        code: String,
        /// The message.
        message: String,
    },
    /// The connection is closed, nothing done.
    DropBefore,
    /// The action is carried out (a code is used up, a session begun), then the connection is
    /// closed without an answer.
    DropAfter,
    /// The request is read and never answered.
    Hang,
    /// 200 with a page of HTML, as from a captive portal.
    Garbage,
    /// 200 with a document of this many bytes.
    Huge(usize),
}

impl Fault {
    /// Meets only the next `requests` requests.
    pub fn times(self, requests: u32) -> Injection {
        Injection::from(self).times(requests)
    }

    /// Meets only requests for this action.
    pub fn on(self, action: &str) -> Injection {
        Injection::from(self).on(action)
    }

    /// The refusal this fault consists of, if it is one.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match self {
            Fault::Throttle => Some(Failure::new(400, "Throttling", "Rate exceeded")),
            Fault::InternalFailure => Some(Failure::new(
                500,
                "InternalFailure",
                "The request processing has failed because of an unknown error, exception or failure.",
            )),
            Fault::ServiceUnavailable => Some(Failure::new(
                503,
                "ServiceUnavailable",
                "The request has failed due to a temporary failure of the server.",
            )),
            Fault::Error { status, code, message } => Some(Failure::new(*status, code, message)),
            _ => None,
        }
    }
}

/// A fault and the requests it meets.
#[derive(Clone, Debug)]
pub struct Injection {
    fault: Fault,
    action: Option<String>,
    remaining: Option<u32>,
}

impl From<Fault> for Injection {
    fn from(fault: Fault) -> Injection {
        Injection { fault, action: None, remaining: None }
    }
}

impl Injection {
    /// Meets only the next `requests` requests.
    #[must_use]
    pub fn times(self, requests: u32) -> Injection {
        Injection { remaining: Some(requests), ..self }
    }

    /// Meets only requests for this action.
    #[must_use]
    pub fn on(self, action: &str) -> Injection {
        Injection { action: Some(action.to_owned()), ..self }
    }
}

/// The faults in force, in the order they were injected.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Injection>>);

impl Faults {
    pub(crate) fn inject(&self, injection: Injection) {
        locked(&self.0).push(injection);
    }

    pub(crate) fn clear(&self) {
        locked(&self.0).clear();
    }

    /// The fault this request meets: the first that is meant for it and not used up.
    pub(crate) fn meet(&self, action: &str) -> Option<Fault> {
        let mut injections = locked(&self.0);
        let met = injections.iter_mut().find(|injection| {
            injection.remaining != Some(0) && injection.action.as_deref().is_none_or(|only| only == action)
        })?;
        if let Some(remaining) = &mut met.remaining {
            *remaining -= 1;
        }
        Some(met.fault.clone())
    }
}

/// Requests of one action stay parked, unanswered and not carried out, as long as this lives.
#[must_use = "the requests go on as soon as this is dropped"]
pub struct Hold {
    _parked: watch::Sender<()>,
}

impl Hold {
    /// Lets the parked requests go on, and later ones pass.
    pub fn release(self) {}
}

/// The actions that are held.
#[derive(Default)]
pub(crate) struct Gates(Mutex<Vec<(String, watch::Receiver<()>)>>);

impl Gates {
    pub(crate) fn hold(&self, action: &str) -> Hold {
        let (sender, receiver) = watch::channel(());
        let mut gates = locked(&self.0);
        gates.retain(|(_, gate)| gate.has_changed().is_ok());
        gates.push((action.to_owned(), receiver));
        Hold { _parked: sender }
    }

    /// What holds a request for this action now.
    pub(crate) fn holding(&self, action: &str) -> Held {
        let gates = locked(&self.0);
        Held(gates.iter().filter(|(held, _)| held == action).map(|(_, gate)| gate.clone()).collect())
    }
}

/// The holds that one request waits for.
pub(crate) struct Held(Vec<watch::Receiver<()>>);

impl Held {
    /// Waits for as long as it is held.
    pub(crate) async fn pass(self) {
        for mut gate in self.0 {
            // Nothing is ever sent: the wait ends with an error, when the hold is dropped.
            while gate.changed().await.is_ok() {}
        }
    }
}
