//! `mfa-agent policy check`: calls that only look, without MFA and with it, and what becomes of them.

use protocol::{IamAnswer, IamCall, PolicyHolder, Refusal, Signed, frame};
use serde::Serialize;

use super::document::{self, Policy, Question};
use super::{Caller, is_denied, is_missing, with_all_rights};
use crate::agent::unexpected;
use crate::args::Color;
use crate::commands::status::Look;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::{message, output, table};

/// A call to try, on a user; none is the one whose key signs.
struct Probe {
    call: fn(Option<String>) -> IamCall,
    /// Without MFA it is to be refused; else it is one of those that lead to a session.
    needs_mfa: bool,
}

/// In this order. None of them changes anything.
const PROBES: [Probe; 4] = [
    Probe { call: |user| IamCall::GetUser { user }, needs_mfa: false },
    Probe { call: |user| IamCall::ListMfaDevices { user }, needs_mfa: false },
    Probe { call: |user| IamCall::ListAccessKeys { user }, needs_mfa: true },
    Probe { call: |_| IamCall::ListUsers, needs_mfa: true },
];

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// It may be made.
    Allowed,
    /// A policy denies it.
    Denied,
    /// No policy allows it.
    NotAllowed,
    /// It was not made: there is no device that could open a session.
    NotMade,
}

/// A call, and what became of it.
#[derive(Debug, Serialize)]
struct Tried {
    /// Such as `iam:GetUser`.
    call: &'static str,
    /// What AWS's policy says: without MFA it is denied. With MFA nothing is.
    denied_without_mfa: bool,
    without_mfa: Seen,
    with_mfa: Seen,
}

/// For programs.
#[derive(Serialize)]
struct Report<'a> {
    user: &'a str,
    in_force: bool,
    calls: &'a [Tried],
    decided_by: &'a [String],
}

pub fn run(iam: &mut Iam<'_>, json: bool, color: Color) -> Result<(), Failure> {
    let caller = Caller::of(iam)?;
    let user = &caller.user;
    let mut tried = Vec::new();
    for probe in PROBES {
        let call = (probe.call)(Some(user.clone()));
        tried.push(Tried {
            call: call.action(),
            denied_without_mfa: probe.needs_mfa,
            without_mfa: seen(iam.try_call(&Signed::LongTerm, &call)?)?,
            with_mfa: Seen::NotMade,
        });
    }
    let mut has_device = true;
    for (probe, tried) in PROBES.iter().zip(&mut tried) {
        match iam.try_call(&Signed::Session, &(probe.call)(Some(user.clone())))? {
            Err(Refusal::NoDevice { .. }) => {
                has_device = false;
                break;
            }
            answer => tried.with_mfa = seen(answer)?,
        }
    }
    let verdict = verdict(&tried, user, has_device);
    let deciders = deciders(iam, &caller, &tried)?;
    let report = if json {
        let report = Report { user, in_force: verdict.is_ok(), calls: &tried, decided_by: &deciders };
        frame::pretty(&report)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot write it as JSON: {error}")))?
    } else {
        let mut text = table(&tried, Look::of(color));
        for line in &deciders {
            text.extend([&protocol::sanitize::sanitize(line), "\n"]);
        }
        text.into_bytes()
    };
    output::data(&report)?;
    output::words(&verdict?);
    Ok(())
}

/// Whether calls are denied for want of MFA: by those calls that would be, with the key alone.
pub fn is_in_force(iam: &mut Iam<'_>, user: &str) -> Result<bool, Failure> {
    for call in denied_without_mfa(Some(user)) {
        if seen(iam.try_call(&Signed::LongTerm, &call)?)? != Seen::Denied {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The calls that are to be denied without MFA, on a user; none is the one whose key signs.
pub fn denied_without_mfa(user: Option<&str>) -> impl Iterator<Item = IamCall> {
    let probes = PROBES.iter().filter(|probe| probe.needs_mfa);
    probes.map(move |probe| (probe.call)(user.map(str::to_owned)))
}

/// What became of a call. A failure where AWS said neither yes nor no.
pub fn seen(answer: Result<IamAnswer, Refusal>) -> Result<Seen, Failure> {
    match answer {
        Ok(_) => Ok(Seen::Allowed),
        Err(refusal) if is_missing(&refusal) => Ok(Seen::Allowed),
        Err(refusal) if is_denied(&refusal) => {
            let explicit =
                matches!(&refusal, Refusal::Aws { message, .. } if message.contains("explicit deny"));
            Ok(if explicit { Seen::Denied } else { Seen::NotAllowed })
        }
        Err(refusal) => Err(message::refused(&refusal)),
    }
}

/// What all of it means, in words.
fn verdict(tried: &[Tried], user: &str, has_device: bool) -> Result<String, Failure> {
    let not = |what: String| Failure::new(Exit::Failed, what);
    let passes = |tried: &&Tried| tried.denied_without_mfa && tried.without_mfa == Seen::Allowed;
    if let Some(open) = tried.iter().find(passes) {
        let what = format!("not in force: {user} may call {} without MFA", open.call);
        return Err(not(what).hint("attach it: mfa-agent policy attach"));
    }
    // Refused for want of rights, with MFA as without it: nothing is proved.
    let proved = |tried: &&Tried| {
        tried.denied_without_mfa && (tried.without_mfa == Seen::Denied || tried.with_mfa == Seen::Allowed)
    };
    if !tried.iter().any(|tried| proved(&tried)) {
        let what = format!("nothing denies {user} anything for want of MFA; nothing is allowed either");
        return Err(not(what).hint("attach it: mfa-agent policy attach"));
    }
    if let Some(shut) = tried.iter().find(|tried| tried.with_mfa == Seen::Denied) {
        let what = format!("in force, but {user} is denied {} with MFA too", shut.call);
        return Err(not(what).hint("see which statement denies it, and take it out"));
    }
    if !has_device {
        let what = format!("in force, and {user} has no MFA device to work with");
        return Err(not(what).hint("mfa-agent device add"));
    }
    if let Some(strict) =
        tried.iter().find(|tried| !tried.denied_without_mfa && tried.without_mfa != Seen::Allowed)
    {
        return Ok(format!(
            "in force for {user}, and stricter than AWS's: {} needs MFA as well, so a lost device is for others to replace",
            strict.call
        ));
    }
    Ok(format!("in force for {user}: denied without MFA, and not with it"))
}

fn table(tried: &[Tried], look: Look) -> String {
    let mut rows = vec![["CALL", "WITHOUT MFA", "WITH MFA"].map(str::to_owned)];
    rows.extend(tried.iter().map(|tried| {
        let without = match (tried.without_mfa, tried.denied_without_mfa) {
            (Seen::Allowed, true) => cell(look, Mark::Bad, "allowed, and must be denied"),
            (seen, true) => cell(look, Mark::Good, words(seen)),
            (Seen::Allowed, false) => cell(look, Mark::Good, "allowed"),
            (seen, false) => {
                cell(look, Mark::Doubt, &format!("{}, where AWS's policy allows it", words(seen)))
            }
        };
        let with = match tried.with_mfa {
            Seen::Allowed => cell(look, Mark::Good, "allowed"),
            Seen::Denied => cell(look, Mark::Bad, "denied"),
            seen => cell(look, Mark::None, words(seen)),
        };
        [tried.call.to_owned(), without, with]
    }));
    table::of(&rows)
}

enum Mark {
    Good,
    Doubt,
    Bad,
    None,
}

fn cell(look: Look, mark: Mark, words: &str) -> String {
    let mark = match (mark, look.unicode) {
        (Mark::Good, true) => "✓",
        (Mark::Good, false) => "+",
        (Mark::Doubt, _) => "!",
        (Mark::Bad, true) => "✗",
        (Mark::Bad, false) => "x",
        (Mark::None, _) => "-",
    };
    format!("{mark} {words}")
}

fn words(seen: Seen) -> &'static str {
    match seen {
        Seen::Allowed => "allowed",
        Seen::Denied => "denied",
        Seen::NotAllowed => "allowed by no policy",
        Seen::NotMade => "no device",
    }
}

/// Which statements decide, in words: as far as IAM lets the caller read them.
fn deciders(iam: &mut Iam<'_>, caller: &Caller, tried: &[Tried]) -> Result<Vec<String>, Failure> {
    let Caller { user, identity } = caller;
    let mut unreadable = None;
    let policies = read(iam, user, &mut unreadable)?;
    let users = format!("arn:{}:iam::{}:user/", identity.partition(), identity.account);
    let mut lines: Vec<String> = Vec::new();
    for tried in tried {
        let resource = if tried.call == "iam:ListUsers" { &users } else { &identity.arn };
        for (seen, mfa) in [(tried.without_mfa, false), (tried.with_mfa, true)] {
            let question = Question { action: tried.call, resource, user, mfa };
            let with = if mfa { "with" } else { "without" };
            let (did, by) = match seen {
                Seen::Denied => ("denied by", document::decider(&policies, question, true)),
                Seen::Allowed => ("allowed by", document::decider(&policies, question, false)),
                Seen::NotAllowed | Seen::NotMade => continue,
            };
            // What lets it through is worth a line only where it should not.
            let asked_for = seen == Seen::Denied || (tried.denied_without_mfa && (mfa || by.is_some()));
            if let Some(by) = by.filter(|_| asked_for) {
                lines.push(format!("{} {with} MFA: {did} {by}", tried.call));
            }
            if seen == Seen::Allowed
                && !mfa
                && tried.denied_without_mfa
                && let Some(trap) = document::trap(&policies, question)
            {
                lines.push(format!(
                    "{} passes {trap}: its Bool is not met by a key, which has no word on MFA; BoolIfExists is",
                    tried.call
                ));
            }
        }
    }
    if let Some(action) = unreadable {
        lines.push(format!(
            "{user} may not read all policies ({action}), and AWS does not say which statement decides"
        ));
    }
    Ok(lines)
}

/// The policies of a user and of its groups. `unreadable`: the first call that IAM did not let pass.
fn read(
    iam: &mut Iam<'_>,
    user: &str,
    unreadable: &mut Option<&'static str>,
) -> Result<Vec<Policy>, Failure> {
    let mut ask = |call: &IamCall| match with_all_rights(iam, call)? {
        Ok(answer) => Ok(Some(answer)),
        Err(refusal) if is_denied(&refusal) => {
            unreadable.get_or_insert(call.action());
            Ok(None)
        }
        Err(refusal) => Err(message::refused(&refusal)),
    };
    let names = |answer| match answer {
        Some(IamAnswer::Names(names)) => Ok(names),
        None => Ok(Vec::new()),
        Some(_) => Err(unexpected()),
    };
    let mut holders = vec![(PolicyHolder::User(user.to_owned()), format!("user {user}"))];
    for group in names(ask(&IamCall::ListGroupsForUser { user: user.to_owned() })?)? {
        holders.push((PolicyHolder::Group(group.clone()), format!("group {group}")));
    }
    let mut policies = Vec::new();
    for (of, whose) in holders {
        for name in names(ask(&IamCall::ListInlinePolicies { of: of.clone() })?)? {
            let call = IamCall::GetInlinePolicy { of: of.clone(), name: name.clone() };
            if let Some(IamAnswer::Document(text)) = ask(&call)? {
                policies.extend(Policy::read(format!("policy {name} of {whose}"), &text));
            }
        }
        for arn in names(ask(&IamCall::ListAttachedPolicies { of: of.clone() })?)? {
            let Some(IamAnswer::Version(version)) = ask(&IamCall::GetPolicy { arn: arn.clone() })? else {
                continue;
            };
            if let Some(IamAnswer::Document(text)) =
                ask(&IamCall::GetPolicyVersion { arn: arn.clone(), version })?
            {
                policies.extend(Policy::read(format!("{arn}, attached to {whose}"), &text));
            }
        }
    }
    Ok(policies)
}
