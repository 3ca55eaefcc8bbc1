//! A call to AWS that failed while others waited for what it was to bring. Whoever would meet the same is told the same,
//! at the same moment, and makes no call of its own.
//!
//! That is so for whatever has nothing to do with the code: no answer, an answer that is none of AWS's, throttling and
//! 5xx past the retries, a key, a serial, a role, a clock or a certificate that AWS or we do not take. Not so:
//!
//! - for a code that AWS did not take, which says nothing of anybody else's: only who waited with the very same code is
//!   told so. In line for a question it goes on as before: the one who is asked is asked again, and the others wait;
//! - for a span that a role does not give, which says nothing of another one;
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
    /// How long what it was to bring was to last, in seconds.
    pub duration: Option<u32>,
    /// How it failed.
    pub error: CallError,
}

impl FailedCall {
    /// A call that carried no code.
    pub fn without_code(
        endpoint: &Endpoint,
        signer: &Signer,
        duration: Option<u32>,
        error: &CallError,
    ) -> Self {
        Self {
            endpoint: endpoint.clone(),
            access_key_id: signer.access_key_id.clone(),
            code: None,
            duration,
            error: error.clone(),
        }
    }

    /// A call that carried a code.
    pub fn with_code(
        endpoint: &Endpoint,
        signer: &Signer,
        code: Mark,
        duration: u32,
        error: &CallError,
    ) -> Self {
        Self { code: Some(code), ..Self::without_code(endpoint, signer, Some(duration), error) }
    }

    /// How a call without a code would fail that is signed by this key, goes to this endpoint and is for something that
    /// lasts so many seconds. Nothing where it might not.
    pub fn meets(
        &self,
        endpoint: &Endpoint,
        access_key_id: &str,
        duration: Option<u32>,
    ) -> Option<CallError> {
        let met = self.is_met_by(endpoint, access_key_id, duration) && !self.error.is_about_the_code();
        met.then(|| self.error.clone())
    }

    /// The same for a call with a code, which has not gone out unless it was this very one.
    pub fn meets_code(
        &self,
        endpoint: &Endpoint,
        access_key_id: &str,
        code: Mark,
        duration: u32,
    ) -> Option<CallError> {
        let duration = Some(duration);
        if self.code == Some(code) && self.is_met_by(endpoint, access_key_id, duration) {
            return Some(self.error.clone());
        }
        let mut error = self.meets(endpoint, access_key_id, duration)?;
        if let CallError::Network { sent, .. } = &mut error {
            *sent = false;
        }
        Some(error)
    }

    fn is_met_by(&self, endpoint: &Endpoint, access_key_id: &str, duration: Option<u32>) -> bool {
        self.endpoint == *endpoint
            && self.access_key_id == access_key_id
            && (self.duration == duration || !self.error.is_about_the_duration())
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
            duration: None,
            error: no_answer(true),
        }
    }

    #[test]
    fn what_has_nothing_to_do_with_the_code_meets_all_who_call_the_same() {
        let sealer = Sealer::new().unwrap();
        let [code, other] = ["123456", "654321"].map(|code| sealer.mark("a", &Secret::new(code.to_owned())));
        let failed = FailedCall { code: Some(code), ..unanswered() };
        let here = endpoint("eu-west-1");
        assert_eq!(failed.meets(&here, "AKIA", None), Some(no_answer(true)));
        assert_eq!(failed.meets_code(&here, "AKIA", code, 900), Some(no_answer(true)));
        // That one has not gone out.
        assert_eq!(failed.meets_code(&here, "AKIA", other, 900), Some(no_answer(false)));
        assert_eq!(failed.meets(&endpoint("eu-west-2"), "AKIA", None), None);
        assert_eq!(failed.meets(&here, "ASIA", None), None);
        assert_eq!(failed.meets_code(&here, "ASIA", code, 900), None);
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
        assert_eq!(failed.meets(&here, "AKIA", None), None);
        assert_eq!(failed.meets_code(&here, "AKIA", other, 900), None);
        assert_eq!(failed.meets_code(&here, "AKIA", code, 900), Some(wrong));
    }

    #[test]
    fn a_span_that_a_role_does_not_give_is_told_to_who_wants_the_same() {
        let sealer = Sealer::new().unwrap();
        let [code, other] = ["123456", "654321"].map(|code| sealer.mark("a", &Secret::new(code.to_owned())));
        let too_long = CallError::Aws {
            code: "ValidationError".to_owned(),
            message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
                .to_owned(),
        };
        let failed =
            FailedCall { code: Some(code), duration: Some(43_200), error: too_long.clone(), ..unanswered() };
        let here = endpoint("eu-west-1");
        assert_eq!(failed.meets(&here, "AKIA", Some(43_200)), Some(too_long.clone()));
        assert_eq!(failed.meets_code(&here, "AKIA", other, 43_200), Some(too_long));
        assert_eq!(failed.meets(&here, "AKIA", Some(3_600)), None);
        for code in [code, other] {
            assert_eq!(failed.meets_code(&here, "AKIA", code, 3_600), None);
        }
        // What has nothing to do with the span is.
        let unanswered = FailedCall { duration: Some(43_200), ..unanswered() };
        assert!(unanswered.meets(&here, "AKIA", Some(3_600)).is_some());
    }
}
