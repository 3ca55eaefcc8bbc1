//! The account that a user is in.

use crate::endpoint::Endpoint;
use crate::sts::{Aws, CallError, Retries, Signer, call_error};

/// How long an alias may be, in characters, and how short.
const ALIAS_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=63;

impl Aws {
    /// The name that somebody gave the account; none where nobody did.
    pub async fn account_alias(
        &self,
        endpoint: &Endpoint,
        signer: &Signer,
    ) -> Result<Option<String>, CallError> {
        let client = self.iam_client(endpoint, signer, Retries::None)?;
        let output = client.list_account_aliases().send().await.map_err(|error| call_error(&error))?;
        Ok(output.account_aliases.into_iter().find(|alias| is_alias(alias)))
    }
}

/// Whether this is what IAM lets an alias be: it is shown to people.
fn is_alias(name: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ALIAS_CHARACTERS.contains(&name.len()) && name.bytes().all(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_iam_would_not_take_is_no_alias() {
        assert!(is_alias("my-company-1"));
        for name in ["", "ab", "My-Company", "my company", "<b>", "m\u{202e}y", &"x".repeat(64)] {
            assert!(!is_alias(name), "{name}");
        }
    }
}
