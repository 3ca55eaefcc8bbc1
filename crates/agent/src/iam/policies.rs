//! Policies of users and groups, and who is in which group.

use aws_sdk_iam::Client;
use percent_encoding::percent_decode_str;
use protocol::PolicyHolder;

use super::missing;
use crate::sts::{CallError, call_error};

/// The text of an inline policy.
pub async fn document(client: &Client, of: &PolicyHolder, name: &str) -> Result<String, CallError> {
    let document = match of {
        PolicyHolder::User(user) => {
            client
                .get_user_policy()
                .user_name(user)
                .policy_name(name)
                .send()
                .await
                .map_err(|error| call_error(&error))?
                .policy_document
        }
        PolicyHolder::Group(group) => {
            client
                .get_group_policy()
                .group_name(group)
                .policy_name(name)
                .send()
                .await
                .map_err(|error| call_error(&error))?
                .policy_document
        }
    };
    decoded(&document)
}

/// Which version of a managed policy holds.
pub async fn version(client: &Client, arn: &str) -> Result<String, CallError> {
    let output = client.get_policy().policy_arn(arn).send().await.map_err(|error| call_error(&error))?;
    let version = output.policy.and_then(|policy| policy.default_version_id);
    version.ok_or_else(|| missing("a policy's version"))
}

/// The text of a managed policy.
pub async fn managed(client: &Client, arn: &str, version: &str) -> Result<String, CallError> {
    let output = client.get_policy_version().policy_arn(arn).version_id(version).send().await;
    let version = output.map_err(|error| call_error(&error))?.policy_version;
    decoded(&version.and_then(|version| version.document).ok_or_else(|| missing("a policy's text"))?)
}

/// The names of the inline policies.
pub async fn names(client: &Client, of: &PolicyHolder) -> Result<Vec<String>, CallError> {
    match of {
        PolicyHolder::User(user) => {
            let pages = client.list_user_policies().user_name(user).into_paginator().items().send();
            pages.try_collect().await.map_err(|error| call_error(&error))
        }
        PolicyHolder::Group(group) => {
            let pages = client.list_group_policies().group_name(group).into_paginator().items().send();
            pages.try_collect().await.map_err(|error| call_error(&error))
        }
    }
}

/// The ARNs of the managed policies that are attached.
pub async fn attached(client: &Client, of: &PolicyHolder) -> Result<Vec<String>, CallError> {
    let attached = match of {
        PolicyHolder::User(user) => {
            let pages = client.list_attached_user_policies().user_name(user).into_paginator().items().send();
            pages.try_collect().await.map_err(|error| call_error(&error))
        }
        PolicyHolder::Group(group) => {
            let pages =
                client.list_attached_group_policies().group_name(group).into_paginator().items().send();
            pages.try_collect().await.map_err(|error| call_error(&error))
        }
    };
    Ok(attached?.into_iter().filter_map(|policy| policy.policy_arn).collect())
}

/// Gives an inline policy, or another one of that name.
pub async fn put(client: &Client, of: &PolicyHolder, name: &str, document: &str) -> Result<(), CallError> {
    match of {
        PolicyHolder::User(user) => {
            let call = client.put_user_policy().user_name(user).policy_name(name).policy_document(document);
            call.send().await.map(|_| ()).map_err(|error| call_error(&error))
        }
        PolicyHolder::Group(group) => {
            let call =
                client.put_group_policy().group_name(group).policy_name(name).policy_document(document);
            call.send().await.map(|_| ()).map_err(|error| call_error(&error))
        }
    }
}

/// Takes an inline policy away.
pub async fn delete(client: &Client, of: &PolicyHolder, name: &str) -> Result<(), CallError> {
    match of {
        PolicyHolder::User(user) => {
            let call = client.delete_user_policy().user_name(user).policy_name(name);
            call.send().await.map(|_| ()).map_err(|error| call_error(&error))
        }
        PolicyHolder::Group(group) => {
            let call = client.delete_group_policy().group_name(group).policy_name(name);
            call.send().await.map(|_| ()).map_err(|error| call_error(&error))
        }
    }
}

/// The groups that a user is in: at most ten.
pub async fn groups(client: &Client, user: &str) -> Result<Vec<String>, CallError> {
    let pages = client.list_groups_for_user().user_name(user).into_paginator().items().send();
    let groups = pages.try_collect().await.map_err(|error| call_error(&error))?;
    Ok(groups.into_iter().map(|group| group.group_name).collect())
}

/// The users in a group.
pub async fn members(client: &Client, group: &str) -> Result<Vec<String>, CallError> {
    let pages = client.get_group().group_name(group).into_paginator().items().send();
    let users = pages.try_collect().await.map_err(|error| call_error(&error))?;
    Ok(users.into_iter().map(|user| user.user_name).collect())
}

/// The account's first users.
pub async fn users(client: &Client) -> Result<Vec<String>, CallError> {
    let output = client.list_users().max_items(10).send().await.map_err(|error| call_error(&error))?;
    Ok(output.users.into_iter().map(|user| user.user_name).collect())
}

/// IAM gives documents percent-encoded.
fn decoded(document: &str) -> Result<String, CallError> {
    let text = percent_decode_str(document).decode_utf8().map_err(|_| missing("a text that is UTF-8"))?;
    Ok(text.into_owned())
}
