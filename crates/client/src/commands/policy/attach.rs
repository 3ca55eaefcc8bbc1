//! `mfa-agent policy attach` and `detach`: an inline policy of a user or a group, shown before it is put or taken away.

use protocol::{IamAnswer, IamCall, PolicyHolder, Refusal};

use super::{Caller, devices, is_denied, is_missing, text, with_all_rights};
use crate::agent::unexpected;
use crate::args::{Partition, PolicyAttach, PolicyChange};
use crate::difference::difference;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::platform::Terminal;
use crate::{interview, message, output};
use protocol::sanitize::sanitize;

pub fn attach(iam: &mut Iam<'_>, args: &PolicyAttach) -> Result<(), Failure> {
    let PolicyChange { policy, yes, .. } = &args.change;
    let caller = Caller::of(iam)?;
    let of = holder(&args.change, &caller);
    let whose = describe(&of);
    let partition = Partition::of(caller.identity.partition());
    let wanted = text::of(args.text.variant, partition);
    let held = held(iam, &of, policy)?;
    if held.as_deref().is_some_and(|held| without_space(held) == without_space(&wanted)) {
        output::words(&format!("policy {policy} of {whose} says just that already"));
        return Ok(());
    }
    if !args.force {
        refuse_lock_out(iam, &of)?;
    }
    let title = format!("policy {policy} of {whose}");
    let lines = difference(held.as_deref().unwrap_or_default(), &wanted);
    agree(&title, &lines, "Attach this?", *yes)?;
    let call = IamCall::PutInlinePolicy { of, name: policy.clone(), document: wanted };
    change(iam, &call, &whose)?;
    output::words(&format!(
        "policy {policy} is attached to {whose}; see what it does: mfa-agent policy check"
    ));
    Ok(())
}

pub fn detach(iam: &mut Iam<'_>, args: &PolicyChange) -> Result<(), Failure> {
    let PolicyChange { policy, yes, .. } = args;
    let caller = Caller::of(iam)?;
    let of = holder(args, &caller);
    let whose = describe(&of);
    let Some(held) = held(iam, &of, policy)? else {
        output::words(&format!("{whose} has no policy {policy} of its own"));
        return Ok(());
    };
    let title = format!("policy {policy} of {whose}");
    agree(&title, &difference(&held, ""), "Take it away?", *yes)?;
    let call = IamCall::DeleteInlinePolicy { of, name: policy.clone() };
    change(iam, &call, &whose)?;
    output::words(&format!("policy {policy} is taken from {whose}"));
    Ok(())
}

impl Partition {
    fn of(name: &str) -> Self {
        match name {
            "aws-cn" => Self::AwsCn,
            "aws-us-gov" => Self::AwsUsGov,
            "aws-eusc" => Self::AwsEusc,
            _ => Self::Aws,
        }
    }
}

fn holder(args: &PolicyChange, caller: &Caller) -> PolicyHolder {
    match (&args.user, &args.group) {
        (_, Some(group)) => PolicyHolder::Group(group.clone()),
        (Some(user), None) => PolicyHolder::User(user.clone()),
        (None, None) => PolicyHolder::User(caller.user.clone()),
    }
}

fn describe(of: &PolicyHolder) -> String {
    match of {
        PolicyHolder::User(user) => format!("user {user}"),
        PolicyHolder::Group(group) => format!("group {group}"),
    }
}

/// The text of the policy of that name, if there is one.
fn held(iam: &mut Iam<'_>, of: &PolicyHolder, name: &str) -> Result<Option<String>, Failure> {
    let call = IamCall::GetInlinePolicy { of: of.clone(), name: name.to_owned() };
    match with_all_rights(iam, &call)? {
        Ok(IamAnswer::Document(text)) => Ok(Some(text)),
        Ok(_) => Err(unexpected()),
        // The user's or the group's own absence shows at the next call.
        Err(refusal) if is_missing(&refusal) => Ok(None),
        Err(refusal) => Err(explained(&refusal, &describe(of))),
    }
}

/// Who has no device could do nothing any more but add one.
fn refuse_lock_out(iam: &mut Iam<'_>, of: &PolicyHolder) -> Result<(), Failure> {
    let users = match of {
        PolicyHolder::User(user) => vec![user.clone()],
        PolicyHolder::Group(group) => {
            let call = IamCall::GetGroup { group: group.clone() };
            match with_all_rights(iam, &call)? {
                Ok(IamAnswer::Names(names)) => names,
                Ok(_) => return Err(unexpected()),
                Err(refusal) => return Err(explained(&refusal, &describe(of))),
            }
        }
    };
    let mut without = Vec::new();
    for user in users {
        if devices(iam, &user)?.is_empty() {
            without.push(user);
        }
    }
    if without.is_empty() {
        return Ok(());
    }
    let has = if without.len() == 1 { "has" } else { "have" };
    let what = format!("{} {has} no MFA device, and could do nothing but add one", without.join(", "));
    Err(Failure::new(Exit::Failed, what)
        .hint("mfa-agent device add first, or attach it all the same: --force"))
}

/// Shows what is to be done, and asks unless the person said so before.
fn agree(title: &str, lines: &[String], question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        output::words(title);
        for line in lines {
            output::words(line);
        }
        return Ok(());
    }
    let terminal = Terminal::open().ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{title} is not changed unasked, and nobody can be asked"))
            .hint("the same with --yes")
    })?;
    for line in [title].into_iter().chain(lines.iter().map(String::as_str)) {
        terminal.write(&format!("{}\n", sanitize(line)));
    }
    if interview::agrees(&terminal, question)? { Ok(()) } else { Err(Failure::cancelled()) }
}

fn change(iam: &mut Iam<'_>, call: &IamCall, whose: &str) -> Result<(), Failure> {
    match with_all_rights(iam, call)? {
        Ok(IamAnswer::Done) => Ok(()),
        Ok(_) => Err(unexpected()),
        Err(refusal) => Err(explained(&refusal, whose)),
    }
}

/// A refusal with what to do about it here.
fn explained(refusal: &Refusal, whose: &str) -> Failure {
    let failure = message::refused(refusal);
    match refusal {
        refusal if is_denied(refusal) => failure
            .hint(format!("let one who may do it for {whose}: --profile NAME, or mfa-agent policy print")),
        Refusal::Aws { code, .. } if code == "LimitExceeded" => failure.hint(
            "a user has little room for policies; a group has more: mfa-agent policy attach --group GROUP",
        ),
        _ => failure,
    }
}

/// A document without the space that means nothing, to compare it.
fn without_space(document: &str) -> String {
    let mut quoted = false;
    let mut escaped = false;
    let keep = |character: &char| {
        if *character == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && *character == '\\' && !escaped;
        quoted || !character.is_whitespace()
    };
    document.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_between_words_means_nothing_and_within_them_it_does() {
        assert_eq!(without_space("{ \"a b\" :\n\t[ \"\\\" c\" ] }"), "{\"a b\":[\"\\\" c\"]}");
    }
}
