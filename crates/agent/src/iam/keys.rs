//! Access keys.

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;
use protocol::{LastUse, NewAccessKey, Secret, UserKey};

use super::{missing, seconds};
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

/// A new key of the caller's.
pub async fn create(client: &Client) -> Result<NewAccessKey, CallError> {
    let output = client.create_access_key().send().await.map_err(|error| call_error(&error))?;
    let key = output.access_key.ok_or_else(|| missing("an access key"))?;
    Ok(NewAccessKey { id: key.access_key_id, secret: Secret::new(key.secret_access_key) })
}

/// Makes a key active or inactive.
pub async fn set_active(client: &Client, id: &str, active: bool) -> Result<(), CallError> {
    let status = if active { StatusType::Active } else { StatusType::Inactive };
    let output = client.update_access_key().access_key_id(id).status(status).send().await;
    output.map(drop).map_err(|error| call_error(&error))
}

/// Deletes a key.
pub async fn delete(client: &Client, id: &str) -> Result<(), CallError> {
    let output = client.delete_access_key().access_key_id(id).send().await;
    output.map(drop).map_err(|error| call_error(&error))
}

/// When a key was used last; none for never.
pub async fn last_use(client: &Client, id: &str) -> Result<Option<LastUse>, CallError> {
    let output = client.get_access_key_last_used().access_key_id(id).send().await;
    let used = output.map_err(|error| call_error(&error))?.access_key_last_used;
    Ok(used.and_then(|used| {
        Some(LastUse { at: seconds(used.last_used_date.as_ref()?), service: used.service_name })
    }))
}
