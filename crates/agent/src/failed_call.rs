//! A call to AWS that failed while others waited for what it was to bring. Whoever would meet the same is told the same,
//! at the same moment, and makes no call of its own.
//!
//! That is so for whatever has nothing to do with the code: no answer, an answer that is none of AWS's, throttling and
//! 5xx past the retries, a key, a serial, a role, a clock or a certificate that AWS or we do not take. Not so:
//!
//! - for a code that AWS did not take, which says nothing of anybody else's: only who waited with the very same code is
//!   told so. In line for a question it goes on as before: the one who is asked is asked again, and the others wait;
//! - for another endpoint, or another key that signs;
//! - for who comes after the failure, and for who is being asked for a code at that moment.

use crate::endpoint::Endpoint;
use crate::sealed::Mark;
use crate::sts::{CallError, Signer};

/// A call that failed.
#[derive(Debug, Clone)]
pub struct FailedCall {
    /// Where it went.
    pub endpoint: Endpoint,
    /// Which key signed it.
    pub access_key_id: String,
    /// The code that it carried.
    pub code: Option<Mark>,
    /// How it failed.
    pub error: CallError,
}

impl FailedCall {
    /// A call that carried no code.
    pub fn without_code(endpoint: &Endpoint, signer: &Signer, error: &CallError) -> Self {
        Self {
            endpoint: endpoint.clone(),
            access_key_id: signer.access_key_id.clone(),
            code: None,
            error: error.clone(),
        }
    }

    /// A call that carried a code.
    pub fn with_code(endpoint: &Endpoint, signer: &Signer, code: Mark, error: &CallError) -> Self {
        Self { code: Some(code), ..Self::without_code(endpoint, signer, error) }
    }

    /// How a call without a code would fail that is signed by this key and goes to this endpoint. Nothing where it might
    /// not.
    pub fn meets(&self, endpoint: &Endpoint, access_key_id: &str) -> Option<CallError> {
        let same = self.endpoint == *endpoint && self.access_key_id == access_key_id;
        (same && !self.error.is_about_the_code()).then(|| self.error.clone())
    }

    /// The same for a call with a code, which has not gone out unless it was this very one.
    pub fn meets_code(&self, endpoint: &Endpoint, access_key_id: &str, code: Mark) -> Option<CallError> {
        if self.code == Some(code) && self.endpoint == *endpoint && self.access_key_id == access_key_id {
            return Some(self.error.clone());
        }
        let mut error = self.meets(endpoint, access_key_id)?;
        if let CallError::Network { sent, .. } = &mut error {
            *sent = false;
        }
        Some(error)
    }
}

#[cfg(test)]
pub mod tests {
    use protocol::{NetworkProblem, Secret};

    use super::*;
    use crate::sealed::Sealer;

    fn endpoint(region: &str) -> Endpoint {
        Endpoint { region: region.to_owned(), ..Endpoint::default() }
    }

    fn no_answer(sent: bool) -> CallError {
        CallError::Network { problem: NetworkProblem::TimedOut, detail: String::new(), sent }
    }

    /// A call that got no answer.
    pub fn unanswered() -> FailedCall {
        FailedCall {
            endpoint: endpoint("eu-west-1"),
            access_key_id: "AKIA".to_owned(),
            code: None,
            error: no_answer(true),
        }
    }

    #[test]
    fn what_has_nothing_to_do_with_the_code_meets_all_who_call_the_same() {
        let sealer = Sealer::new().unwrap();
        let [code, other] = ["123456", "654321"].map(|code| sealer.mark("a", &Secret::new(code.to_owned())));
        let failed = FailedCall { code: Some(code), ..unanswered() };
        let here = endpoint("eu-west-1");
        assert_eq!(failed.meets(&here, "AKIA"), Some(no_answer(true)));
        assert_eq!(failed.meets_code(&here, "AKIA", code), Some(no_answer(true)));
        // That one has not gone out.
        assert_eq!(failed.meets_code(&here, "AKIA", other), Some(no_answer(false)));
        assert_eq!(failed.meets(&endpoint("eu-west-2"), "AKIA"), None);
        assert_eq!(failed.meets(&here, "ASIA"), None);
        assert_eq!(failed.meets_code(&here, "ASIA", code), None);
    }

    #[test]
    fn a_code_that_is_not_taken_is_nobody_elses_affair() {
        let sealer = Sealer::new().unwrap();
        let [code, other] = ["123456", "654321"].map(|code| sealer.mark("a", &Secret::new(code.to_owned())));
        let wrong = CallError::Aws {
            code: "AccessDenied".to_owned(),
            message: "MultiFactorAuthentication failed with invalid MFA one time pass code.".to_owned(),
        };
        let failed = FailedCall { code: Some(code), error: wrong.clone(), ..unanswered() };
        let here = endpoint("eu-west-1");
        assert_eq!(failed.meets(&here, "AKIA"), None);
        assert_eq!(failed.meets_code(&here, "AKIA", other), None);
        assert_eq!(failed.meets_code(&here, "AKIA", code), Some(wrong));
    }
}
