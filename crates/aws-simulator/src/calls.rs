//! What was asked, in the order it arrived.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{Seconds, iso};
use crate::locked;
use crate::request::Request;
use crate::signature::Authorization;

/// One request for an action.
#[derive(Clone, Debug)]
pub struct Call {
    number: u64,
    /// When it arrived by the simulator's clock, in seconds since 1970.
    pub at: i64,
    /// Such as `GetSessionToken`.
    pub action: String,
    /// The path and query, which proxies and servers write down.
    pub target: String,
    /// Who signed it.
    pub access_key_id: Option<String>,
    /// The region it was signed for.
    pub region: Option<String>,
    /// All parameters, a `TokenCode` too: nothing here is anyone's secret.
    pub parameters: BTreeMap<String, String>,
    /// The HTTP status of the answer; none as long as there was no answer.
    pub status: Option<u16>,
    /// The error code of the answer, also of one that was lost on its way.
    pub error_code: Option<String>,
    /// The statement of a policy that allowed or denied it, as `POLICY/SID`; none where no policy had a say.
    pub decided_by: Option<String>,
}

impl Call {
    /// A parameter's value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "at": iso(self.at),
            "action": self.action,
            "access_key_id": self.access_key_id,
            "region": self.region,
            "parameters": self.parameters,
            "status": self.status,
            "error_code": self.error_code,
            "decided_by": self.decided_by,
        })
    }
}

#[derive(Default)]
pub(crate) struct CallLog {
    entries: Mutex<Entries>,
    changed: Condvar,
}

#[derive(Default)]
struct Entries {
    calls: Vec<Call>,
    next_number: u64,
}

impl CallLog {
    /// Notes a request that has arrived; its number is for [`CallLog::answered`].
    pub(crate) fn arrived(&self, request: &Request, at: Seconds) -> u64 {
        let authorization = Authorization::of(request).ok();
        let mut entries = locked(&self.entries);
        let number = entries.next_number;
        entries.next_number += 1;
        entries.calls.push(Call {
            number,
            at,
            action: request.action().to_owned(),
            target: format!("{}?{}", request.path, request.query),
            access_key_id: authorization.as_ref().map(|signed| signed.access_key_id.clone()),
            region: authorization.map(|signed| signed.region),
            parameters: request.parameters.0.clone(),
            status: None,
            error_code: None,
            decided_by: None,
        });
        self.changed.notify_all();
        number
    }

    pub(crate) fn answered(&self, number: u64, status: Option<u16>, error_code: Option<&str>) {
        let mut entries = locked(&self.entries);
        // The log may have been cleared in between.
        if let Some(call) = entries.calls.iter_mut().find(|call| call.number == number) {
            call.status = status;
            call.error_code = error_code.map(str::to_owned);
        }
        self.changed.notify_all();
    }

    pub(crate) fn decided(&self, number: u64, decided_by: Option<String>) {
        let mut entries = locked(&self.entries);
        if let Some(call) = entries.calls.iter_mut().find(|call| call.number == number) {
            call.decided_by = decided_by;
        }
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        locked(&self.entries).calls.clone()
    }

    pub(crate) fn clear(&self) {
        locked(&self.entries).calls.clear();
    }

    pub(crate) fn wait_until(&self, timeout: Duration, holds: impl Fn(&[Call]) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut entries = locked(&self.entries);
        while !holds(&entries.calls) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(entries, left);
            entries = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
