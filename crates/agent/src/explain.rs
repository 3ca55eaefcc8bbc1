//! What a failed call means for the person who asked.

use protocol::{AwsProblem, KeyOrigin, NetworkProblem, Refusal};

use crate::profile::Hop;
use crate::sts::{CallError, TOO_LONG};

/// The call that failed.
#[derive(Debug)]
pub struct Call<'a> {
    /// What was called, e.g. `sts:GetSessionToken`.
    pub action: &'static str,
    /// Where, in words.
    pub endpoint: String,
    /// The device, where a code went along.
    pub code_of: Option<&'a str>,
    /// The long-term key, where it signed.
    pub key: Option<&'a KeyOrigin>,
    /// The role that was to be assumed, and for how many seconds.
    pub role: Option<(&'a Hop, u32)>,
    /// AWS's clock minus this machine's, in seconds.
    pub skew: Option<i64>,
}

impl Call<'_> {
    /// What the failure means.
    pub fn explain(&self, error: CallError) -> Refusal {
        if let Some(serial) = self.code_of
            && error.is_about_the_code()
        {
            return Refusal::WrongCode { serial: serial.to_owned() };
        }
        match error {
            CallError::Aws { code, message } => {
                let problem = self.problem(&code, &message);
                Refusal::Aws { action: self.action.to_owned(), code, message, problem }
            }
            CallError::Network { problem, detail, sent } => Refusal::Network {
                action: self.action.to_owned(),
                endpoint: self.endpoint.clone(),
                problem,
                detail,
                code_spent: sent && self.code_of.is_some(),
            },
            CallError::CaBundle { file, problem } => Refusal::Unparseable { file, line: None, problem },
        }
    }

    fn problem(&self, code: &str, message: &str) -> AwsProblem {
        match (code, self.key, self.role, self.code_of) {
            ("SignatureDoesNotMatch" | "RequestExpired", _, _, _)
                if message.contains("Signature expired") || message.contains("Signature not yet current") =>
            {
                AwsProblem::ClockSkew { seconds: self.skew.unwrap_or(0) }
            }
            ("SignatureDoesNotMatch", Some(key), _, _) => AwsProblem::SecretWrong(key.clone()),
            ("InvalidClientTokenId", Some(key), _, _) => AwsProblem::KeyInvalid(key.clone()),
            ("AccessDenied", _, _, Some(serial)) if message.contains("unable to validate MFA code") => {
                AwsProblem::SerialNotYours { serial: serial.to_owned() }
            }
            ("AccessDenied", _, Some((hop, _)), _) => {
                AwsProblem::RoleDenied { role_arn: hop.role_arn.clone(), profile: hop.profile.clone() }
            }
            ("ValidationError", _, Some((hop, seconds)), _) if message.contains(TOO_LONG) => {
                AwsProblem::RoleTooLong { role_arn: hop.role_arn.clone(), seconds }
            }
            ("RegionDisabledException", ..) => AwsProblem::RegionDisabled,
            _ => AwsProblem::Other,
        }
    }
}

/// Whether a code is used up after such a failure: AWS took it, or may have. `for_role`: the call was
/// `AssumeRole`, which looks at more than the code after it.
pub fn code_is_spent(error: &CallError, for_role: bool) -> bool {
    match error {
        CallError::Aws { code, message } => {
            let not_taken = message.contains("MultiFactorAuthentication failed");
            let before_it = matches!(code.as_str(), "InvalidClientTokenId" | "SignatureDoesNotMatch");
            for_role && !not_taken && !before_it
        }
        CallError::CaBundle { .. } | CallError::Network { problem: NetworkProblem::Throttled, .. } => false,
        CallError::Network { sent, .. } => *sent,
    }
}
