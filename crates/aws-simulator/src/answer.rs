//! What an action comes to: the inner XML of its result, or a failure in AWS's words.

/// The inner XML of `<…Result>`, or why not.
pub(crate) type Answer = Result<String, Failure>;

/// An error as AWS sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Failure {
        Failure { status, code: code.to_owned(), message: message.into() }
    }

    pub(crate) fn access_denied(message: impl Into<String>) -> Failure {
        Failure::new(403, "AccessDenied", message)
    }

    pub(crate) fn validation(message: impl Into<String>) -> Failure {
        Failure::new(400, "ValidationError", message)
    }

    pub(crate) fn signature(message: impl Into<String>) -> Failure {
        Failure::new(403, "SignatureDoesNotMatch", message)
    }

    /// AWS says the same of an unknown key, an inactive one, a wrong token, and of a session that
    /// may not call IAM.
    pub(crate) fn invalid_token() -> Failure {
        Failure::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    }

    pub(crate) fn expired_token() -> Failure {
        Failure::new(403, "ExpiredToken", "The security token included in the request is expired")
    }

    /// The text is the same for a wrong code and a used one; the space at its end is AWS's.
    pub(crate) fn wrong_code() -> Failure {
        Failure::access_denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
    }

    pub(crate) fn wrong_serial() -> Failure {
        Failure::access_denied(
            "MultiFactorAuthentication failed, unable to validate MFA code.  \
             Please verify your MFA serial number is valid and associated with this user.",
        )
    }

    pub(crate) fn half_a_second_factor() -> Failure {
        Failure::access_denied(
            "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
        )
    }
}
