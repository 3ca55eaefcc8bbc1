//! Access keys.

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;
use protocol::UserKey;

use super::seconds;
use crate::sts::{CallError, call_error};

/// The keys that a user has: at most two.
pub async fn list(client: &Client, user: Option<&str>) -> Result<Vec<UserKey>, CallError> {
    let output = client.list_access_keys().set_user_name(user.map(str::to_owned)).send().await;
    let keys = output.map_err(|error| call_error(&error))?.access_key_metadata;
    let described = keys.into_iter().map(|key| UserKey {
        id: key.access_key_id.unwrap_or_default(),
        active: key.status == Some(StatusType::Active),
        created_at: key.create_date.as_ref().map(seconds).unwrap_or_default(),
    });
    Ok(described.collect())
}
