//! Access keys.

use super::existing_user;
use crate::action::Invocation;
use crate::answer::Answer;
use crate::clock::iso;
use crate::world::CredentialKind;
use crate::xml::{element, leaf};

pub(crate) fn list(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:ListAccessKeys")?;
    let mut members = String::new();
    for (id, credential) in &invocation.world.credentials {
        let CredentialKind::LongTerm { user: owner, active, created_at } = &credential.kind else { continue };
        if *owner == user {
            let inner = leaf("UserName", &user.name)
                + &leaf("AccessKeyId", id)
                + &leaf("Status", if *active { "Active" } else { "Inactive" })
                + &leaf("CreateDate", &iso(*created_at));
            members += &element("member", &inner);
        }
    }
    Ok(element("AccessKeyMetadata", &members) + &leaf("IsTruncated", "false"))
}
