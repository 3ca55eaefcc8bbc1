//! The agent: whether it is the right one, and what it rests on.

use protocol::{Health, KeyringState, Memory, Status};

use super::Finding;
use crate::{message, span};

/// From so many seconds on a clock is worth a word; from five minutes on AWS refuses what is signed by it.
const SKEWED: u64 = 60;
const REFUSED: u64 = 300;

/// The command that puts a new agent in its place. It loses no session.
pub const RESTART: &str = "mfa-agent agent restart";

/// What an agent that answers says of itself; `started`: for this very question.
pub fn reached(status: &Status, started: bool) -> Vec<Finding> {
    let uptime = span::of(u32::try_from(status.uptime).unwrap_or(u32::MAX));
    let mut findings = vec![
        Finding::ok("socket", status.socket.clone()),
        Finding::ok(
            "agent",
            if started {
                "starts when it is needed".to_owned()
            } else {
                format!("pid {}, up {uptime}", status.pid)
            },
        ),
    ];
    let ours = env!("CARGO_PKG_VERSION");
    findings.push(if status.version == ours {
        Finding::ok("version", format!("{ours}, client and agent"))
    } else {
        let what = format!("the agent is {}, this mfa-agent is {ours}", status.version);
        Finding::warning("version", what, RESTART)
    });
    match status.memory {
        Some(Memory::Locked) => findings.push(Finding::ok("memory", "keys are never swapped out")),
        Some(Memory::Secret) => findings.push(Finding::ok(
            "memory",
            "the key is where the kernel cannot read it; the machine does not hibernate",
        )),
        Some(Memory::Swappable) => findings.push(Finding::warning(
            "memory",
            "the key of the agent's memory may be swapped out: the limit of locked memory is too low",
            format!("ulimit -l 64 && {RESTART}"),
        )),
        None => {}
    }
    if status.locked {
        findings.push(Finding::warning(
            "lock",
            "the agent is locked, and gives nothing out",
            "mfa-agent unlock",
        ));
    }
    findings.extend(status.clock_skew.map(clock));
    findings
}

/// AWS's clock minus this machine's, in seconds.
pub fn clock(skew: i64) -> Finding {
    let seconds = skew.unsigned_abs();
    if seconds < SKEWED {
        return Finding::ok("clock", "as AWS's");
    }
    let span = span::of(u32::try_from(seconds).unwrap_or(u32::MAX));
    let side = if skew > 0 { "behind" } else { "ahead of" };
    let what = format!("your clock is {span} {side} AWS: codes made on this machine are wrong");
    let mend = "sudo timedatectl set-ntp true";
    match seconds {
        REFUSED.. => Finding::error("clock", what, mend),
        _ => Finding::warning("clock", what, mend),
    }
}

/// What the agent rests on; none from one that is too old to say. `desktop`: there is one to show something on.
pub fn health(health: Option<&Health>, desktop: bool) -> Vec<Finding> {
    let Some(health) = health else {
        return vec![Finding::warning("program", "the agent is too old to be asked how it is", RESTART)];
    };
    let mut findings = Vec::new();
    if health.replaced {
        findings.push(Finding::warning(
            "program",
            "mfa-agentd was replaced since it started, and runs on as it was",
            RESTART,
        ));
    }
    findings.push(match &health.configuration {
        None => Finding::ok("config.toml", "nothing wrong in it"),
        Some(refusal) => Finding::failure("config.toml", &message::refused(refusal)),
    });
    findings.extend(health.endpoints.iter().map(|(source, url)| {
        let what = format!("codes go to {url}, which is not AWS ({source})");
        match source.split_once("endpoint_url of ") {
            Some((_, place)) => {
                let kind = if place.starts_with('[') { "" } else { "profile " };
                let hint = format!("if that is not meant, take endpoint_url out of {kind}{place}");
                Finding::warning("endpoint", what, hint)
            }
            None => Finding::warning("endpoint", what, format!("unset {source} && {RESTART}")),
        }
    }));
    findings.push(match (&health.notifications, desktop) {
        (None, _) => Finding::ok("notifications", "a server shows them"),
        (Some(_), false) => Finding::ok("notifications", "no desktop here; the prompt tells"),
        (Some(problem), true) => Finding::warning(
            "notifications",
            format!("nothing tells you of a session's end: {problem}"),
            // Without a bus the agent was started elsewhere, or before the desktop.
            if problem.starts_with("no notification server") { "dunst &" } else { RESTART },
        ),
    });
    match &health.prompter {
        None if desktop => findings.push(Finding::ok("prompter", "asks on the desktop")),
        Some(problem) if desktop => findings.push(Finding::warning(
            "prompter",
            format!("nobody can be asked on the desktop: {problem}"),
            format!("sudo apt install zenity && {RESTART}"),
        )),
        _ => {}
    }
    findings.extend(health.leases.as_ref().map(|problem| {
        let what = format!("prompts learn of changes a minute late, and make a process for it: {problem}");
        Finding::warning(
            "leases",
            what,
            "df -h and df -i show whether the disk of the socket's folder is full",
        )
    }));
    findings.extend(health.lock_on.as_ref().map(|problem| {
        Finding::error(
            "lock_on",
            format!("the agent is not told when to lock, though config.toml says so: {problem}"),
            "sudo systemctl start systemd-logind",
        )
    }));
    findings
}

/// How a person unlocks the keyring.
pub fn unlock(desktop: bool) -> &'static str {
    if desktop { "seahorse, or your desktop's own window for passwords" } else { "log in to the desktop" }
}

/// The keyring, where keys are in it.
pub fn keyring(state: &KeyringState, desktop: bool) -> Finding {
    match state {
        KeyringState::Unlocked => Finding::ok("keyring", "unlocked"),
        KeyringState::Locked => Finding::warning(
            "keyring",
            "the keyring is locked, and asks for its password when a key in it is needed",
            unlock(desktop),
        ),
        KeyringState::Missing { detail } => Finding::error(
            "keyring",
            format!("keys are in the keyring, and there is none here: {detail}"),
            // An agent that was started before the desktop, or elsewhere.
            if desktop { RESTART } else { "mfa-agent keys import puts a key into the file" },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_clock_is_judged_as_aws_judges_it() {
        for (skew, state) in [
            (0, State::Ok),
            (-59, State::Ok),
            (60, State::Warning),
            (-299, State::Warning),
            (300, State::Error),
            (i64::MIN, State::Error),
        ] {
            assert_eq!(clock(skew).state, state, "{skew}");
        }
        assert!(clock(-600).what.starts_with("your clock is 10m ahead of AWS"), "{:?}", clock(-600));
    }

    #[test]
    fn without_a_desktop_nothing_is_missing() {
        let server = Some("no notification server".to_owned());
        let ill = Health { notifications: server, ..Health::default() };
        let states = |desktop| health(Some(&ill), desktop).iter().map(|found| found.state).max();
        assert_eq!((states(false), states(true)), (Some(State::Ok), Some(State::Warning)));
    }
}
