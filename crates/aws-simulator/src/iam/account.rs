//! The account.

use crate::action::Invocation;
use crate::answer::Answer;
use crate::xml::{element, leaf};

pub(crate) fn list_aliases(invocation: &mut Invocation) -> Answer {
    invocation.authorize("iam:ListAccountAliases", "*")?;
    let account = invocation.world.account(&invocation.caller.identity);
    let alias = invocation.world.aliases.get(&account).map(|alias| leaf("member", alias));
    Ok(element("AccountAliases", &alias.unwrap_or_default()) + &leaf("IsTruncated", "false"))
}
