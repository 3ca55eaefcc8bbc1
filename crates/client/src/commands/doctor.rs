//! `mfa-agent doctor`: what is wrong, and the command that mends it. Here the facts are gathered; what they mean is in
//! the files beside, which look at nothing themselves.

mod agent;
mod aws;
mod elsewhere;
mod files;
mod seeds;
pub mod shell;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use protocol::sanitize::sanitize;
use protocol::{
    Ask, Health, IamAnswer, IamCall, KeyringState, NamedRole, Profile, Refusal, Reply, Request, Sections,
    Signed, Status, frame,
};
use serde::Serialize;

use self::aws::{Answer, Answers, Trouble};
use self::elsewhere::Elsewhere;
use super::policy::check;
use super::status::Look;
use super::why;
use crate::agent::{Agent, Started, unexpected};
use crate::args::{Color, Doctor};
use crate::environment::{self, Consumed, Environment, Traces};
use crate::failure::{Exit, Failure};

use crate::{clock, message, output, platform};

/// How long all questions to AWS may take together.
const AWS_LIMIT: Duration = Duration::from_secs(5);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Error,
}

/// What a check found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    check: &'static str,
    state: State,
    /// What it is like, and where it is wrong why that matters.
    what: String,
    /// The command that mends it, or what else to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, state: State::Ok, what: what.into(), hint: None }
    }

    /// What is not there yet.
    pub fn missing(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, state: State::Error, what: what.into(), hint: None }
    }

    fn warning(check: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, state: State::Warning, what: what.into(), hint: Some(hint.into()) }
    }

    fn error(check: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, state: State::Error, what: what.into(), hint: Some(hint.into()) }
    }

    fn failure(check: &'static str, failure: &Failure) -> Self {
        let hint = failure.what_to_do().map(str::to_owned);
        Self { check, state: State::Error, what: failure.what.clone(), hint }
    }
}

/// All of them, for programs.
#[derive(Serialize)]
struct Report<'a> {
    /// The worst.
    state: State,
    checks: &'a [Finding],
}

pub fn run(
    args: &Doctor,
    option: Option<&str>,
    color: Color,
    environment: &Environment,
) -> Result<(), Failure> {
    let findings = examine(args.name.as_deref().or(option), args.offline, environment);
    let state = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
    let report = if args.json {
        frame::pretty(&Report { state, checks: &findings })
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot write it as JSON: {error}")))?
    } else {
        text(&findings, Look::of(color)).into_bytes()
    };
    output::data(&report)?;
    match state {
        State::Error => Err(Failure::new(Exit::Failed, String::new())),
        State::Ok | State::Warning => Ok(()),
    }
}

/// A line for each, with a mark before it.
pub fn text(findings: &[Finding], look: Look) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { check, state, what, hint } in findings {
        let (unicode, ascii, color) = match state {
            State::Ok => ("✓", "+", 32),
            State::Warning => ("!", "!", 33),
            State::Error => ("✗", "x", 31),
        };
        let mark = if look.unicode { unicode } else { ascii };
        let mark = if look.color { format!("\x1b[{color}m{mark}\x1b[0m") } else { mark.to_owned() };
        text.extend([format!("{mark} {check:width$}  {}\n", sanitize(what))]);
        if let Some(hint) = hint {
            text.extend(["  hint: ", &sanitize(hint), "\n"]);
        }
    }
    text
}

/// What the agent says of itself and of the AWS files.
struct Heard {
    status: Status,
    health: Option<Health>,
    profiles: Result<Vec<Profile>, Failure>,
    /// Those that decide what SDKs pick up in this shell.
    sections: Option<Sections>,
    /// All there are, in pieces.
    all: Vec<Sections>,
    asked: Asked,
}

/// Whose agent it is.
enum Answered {
    /// This host's; and whether it was started for the question.
    Here(Box<Heard>, bool),
    /// Another host's, by a socket that was granted.
    Elsewhere(Box<Elsewhere>),
}

/// What AWS was asked.
enum Asked {
    /// Nothing: it is not wanted, or the key is locked away.
    Nobody,
    /// Nothing: there is no telling of which profile.
    NoProfile,
    /// How a profile stands there: the one that is named, or else the one whose key signed.
    Aws { named: Option<String>, answers: Box<Answers> },
}

/// What is looked at.
struct Question<'a> {
    /// The profile that was named.
    wanted: Option<&'a str>,
    /// That of this shell.
    own: Option<&'a str>,
    /// AWS is not to be asked.
    offline: bool,
}

fn examine(wanted: Option<&str>, offline: bool, environment: &Environment) -> Vec<Finding> {
    let (consumed, traces) = (Consumed::read(), Traces::read());
    let own = environment.aws_profile.as_deref().or(environment.own_profile.as_deref());
    let own = own.and_then(|name| name.to_str());
    let question = Question { wanted: wanted.map(source_of), own: own.map(source_of), offline };
    let mut findings = Vec::new();
    let mut heard = match Agent::locate(environment) {
        Ok(agent) => match hear(&agent, &question, environment, &consumed) {
            Ok(Answered::Elsewhere(far)) => {
                findings.extend(far.findings(wanted, clock::now()));
                None
            }
            Ok(Answered::Here(heard, started)) => {
                findings.extend(agent::reached(&heard.status, started));
                findings.extend(agent::health(heard.health.as_ref(), traces.desktop));
                Some(*heard)
            }
            Err(failure) => {
                findings.push(Finding::failure("agent", &failure));
                None
            }
        },
        Err(failure) => {
            findings.push(Finding::failure("socket", &failure));
            None
        }
    };

    // Which files: the agent's word counts, as it reads them.
    let files: Vec<PathBuf> = match &heard {
        Some(heard) => heard.status.config_files.iter().map(PathBuf::from).collect(),
        None => [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")]
            .into_iter()
            .filter_map(|(variable, name)| environment::aws_file(variable, name))
            .collect(),
    };
    let keys = heard.as_ref().is_some_and(|heard| heard.all.iter().any(|sections| sections.keys_in_config));
    let config = if keys { files::Holds::SettingsAndKeys } else { files::Holds::Settings };
    for (file, holds) in files.iter().zip([config, files::Holds::Keys]) {
        findings.extend(files::exposed(file, holds, platform::permissions(file)));
    }
    if let Some(Heard { profiles, all, health, .. }) = &heard {
        let state = health.as_ref().and_then(|health| health.keyring.as_ref());
        if let Some(state) = state.filter(|_| all.iter().any(files::names_keyring)) {
            findings.push(agent::keyring(state, traces.desktop));
        }
        match profiles {
            Ok(profiles) => {
                findings.extend(files::profiles(profiles, question.wanted, question.own));
                findings.extend(all.iter().flat_map(files::leftovers));
                findings.extend(all.iter().flat_map(files::in_the_clear));
                let kept = health.as_ref().and_then(|health| health.seeds.as_deref());
                findings.extend(seeds::findings(profiles, state, kept, traces.desktop));
            }
            Err(failure) => findings.push(Finding::failure("profiles", failure)),
        }
    }

    if let Some(Heard { asked, profiles: Ok(profiles), .. }) = &mut heard {
        findings.extend(match std::mem::replace(asked, Asked::Nobody) {
            Asked::Nobody => Vec::new(),
            Asked::NoProfile => vec![aws::not_asked()],
            Asked::Aws { named, answers } => aws::findings(*answers, named.as_deref(), profiles),
        });
    }

    let program = platform::parent_program();
    let syntax = shell::Syntax::of_program(program.as_deref());
    let sections = heard.as_ref().and_then(|heard| heard.sections.as_ref());
    let traps = why::variables_in_the_way(environment, &consumed, sections, wanted, clock::now());
    let ours = environment.own_profile.is_some() && environment.lease.is_some();
    findings.extend(shell::variables(&traps, &traces, ours, wanted, syntax));
    if let Some(hooked) = shell::Hooked::of_program(program.as_deref()) {
        let file = hooked.rc_file(environment.home.as_deref(), &traces);
        let loads = file.as_ref().is_some_and(|file| {
            std::fs::read(file).is_ok_and(|text| shell::loads_hook(&String::from_utf8_lossy(&text)))
        });
        let looked_at = platform::stdout_is_terminal();
        findings.push(shell::hook(hooked, file.as_deref(), traces.hook, loads, looked_at));
    }
    findings
}

/// The profile whose settings hold: of a role that is named by its ARN, the one that it is assumed from.
fn source_of(profile: &str) -> &str {
    NamedRole::of(profile).and_then(|role| role.source).unwrap_or(profile)
}

/// Asks the agent for all there is to know, and says whether it was started for that; then it is ended again.
fn hear(
    agent: &Agent,
    question: &Question<'_>,
    environment: &Environment,
    consumed: &Consumed,
) -> Result<Answered, Failure> {
    let Started { pid, .. } = agent.reach()?;
    let mut status = match agent.ask(Request::Status, None)?.reply {
        Reply::Status(status) => status,
        Reply::Refused(refusal) => return Err(message::refused(&refusal)),
        _ => return Err(unexpected()),
    };
    let health = match agent.ask(Request::Health, None)?.reply {
        Reply::Health(health) => Some(health),
        Reply::Refused(Refusal::NotGranted { profiles, host }) => {
            return hear_elsewhere(agent, status, profiles, host).map(Box::new).map(Answered::Elsewhere);
        }
        // One of before this was asked.
        _ => None,
    };
    let profiles = agent.profiles();
    let sections = agent.sections(why::profiles(environment, consumed)).ok();
    let names: Vec<String> = profiles
        .iter()
        .flatten()
        .flat_map(|profile| [profile.name.clone(), format!("{}{}", profile.name, why::LONG_TERM)])
        .collect();
    // A request is one line, and no line is endless. A profile's two sections stay together.
    let all: Vec<Sections> =
        names.chunks(200).filter_map(|names| agent.sections(names.to_vec()).ok()).collect();

    // Nobody is asked to unlock anything for this.
    let keyring = health.as_ref().and_then(|health| health.keyring.as_ref());
    let locked_away =
        status.locked || (keyring == Some(&KeyringState::Locked) && all.iter().any(files::names_keyring));
    let asked = match &profiles {
        Ok(profiles) if !question.offline && !locked_away => ask_aws(agent, question, profiles),
        _ => Asked::Nobody,
    };
    if let (Asked::Aws { .. }, Ok(Some(Reply::Status(latest)))) = (&asked, agent.ask_running(Request::Status))
    {
        // By the answers that just came.
        status.clock_skew = latest.clock_skew;
    }
    if pid.is_some()
        && let Ok(Some(Reply::Status(Status { waiting: 0, .. }))) = agent.ask_running(Request::Status)
    {
        // Unless somebody has a session by now.
        let _ = agent.ask_running(Request::Stop { only_if_empty: true });
    }
    let heard = Heard { status, health, profiles, sections, all, asked };
    Ok(Answered::Here(Box::new(heard), pid.is_some()))
}

/// Asks another host's agent of all that it gives out here.
fn hear_elsewhere(
    agent: &Agent,
    status: Status,
    profiles: Vec<String>,
    host: String,
) -> Result<Elsewhere, Failure> {
    let asked = profiles.into_iter().map(|name| {
        let profile = Some(name.clone());
        let request = Request::Session { profile, ask: Ask::Never, force: false, duration: None };
        match agent.ask(request, None)?.reply {
            Reply::Session(session) => Ok((name, Ok(session.seconds_left))),
            Reply::Refused(refusal) => Ok((name, Err(refusal))),
            _ => Err(unexpected()),
        }
    });
    let profiles = asked.collect::<Result<_, Failure>>()?;
    Ok(Elsewhere { socket: agent.socket().display().to_string(), status, host, profiles })
}

/// Asks AWS of the profile in question: the one that was named, the shell's, the default one, or the only one that works.
fn ask_aws(agent: &Agent, question: &Question<'_>, profiles: &[Profile]) -> Asked {
    let mut named = question.wanted.or(question.own);
    let mut answers = answers(agent, named);
    if named.is_none() && answers.is_without_profile() {
        let mut working = profiles.iter().filter(|profile| profile.problem.is_none());
        let (Some(only), None) = (working.next(), working.next()) else {
            return if profiles.is_empty() { Asked::Nobody } else { Asked::NoProfile };
        };
        named = Some(&only.name);
        answers = self::answers(agent, named);
    }
    Asked::Aws { named: named.map(str::to_owned), answers: Box::new(answers) }
}

/// Makes the calls side by side: with the key alone, none that changes anything, and nobody is asked for a code.
fn answers(agent: &Agent, profile: Option<&str>) -> Answers {
    let deadline = Instant::now() + AWS_LIMIT;
    let call = |call: IamCall| -> Answer {
        let profile = profile.map(str::to_owned);
        let request = Request::Iam { profile, call, signed: Signed::LongTerm, ask: Ask::Never };
        match agent.ask_within(request, deadline.saturating_duration_since(Instant::now())) {
            Ok(Reply::Iam { profile, answer }) => Ok((profile, answer)),
            Ok(Reply::Refused(refusal)) => Err(Trouble::Refused(refusal)),
            Ok(_) | Err(_) => Err(Trouble::Late),
        }
    };
    let call = &call;
    std::thread::scope(|scope| {
        let spawn = |wanted: IamCall| scope.spawn(move || call(wanted));
        let devices = spawn(IamCall::ListMfaDevices { user: None });
        let without_mfa: Vec<_> =
            check::denied_without_mfa(None).map(|wanted| (wanted.action(), spawn(wanted))).collect();
        let identity = call(IamCall::GetCallerIdentity);
        let user = match &identity {
            Ok((_, IamAnswer::CallerIdentity(identity))) => identity.user().map(str::to_owned),
            _ => None,
        };
        let half_done =
            user.map_or(Err(Trouble::Late), |name| call(IamCall::ListUnassignedMfaDevices { name }));
        let answer =
            |thread: std::thread::ScopedJoinHandle<'_, Answer>| thread.join().unwrap_or(Err(Trouble::Late));
        Answers {
            identity,
            devices: answer(devices),
            half_done,
            without_mfa: without_mfa.into_iter().map(|(action, thread)| (action, answer(thread))).collect(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_each_and_what_mends_it() {
        let findings = [
            Finding::ok("socket", "/run/sock"),
            Finding::warning("clock", "a\x1b", "b"),
            Finding::error("profiles", "c", "d\n"),
        ];
        assert_eq!(
            text(&findings, Look { unicode: true, color: false }),
            "✓ socket    /run/sock\n! clock     a\\u{1b}\n  hint: b\n✗ profiles  c\n  hint: d\\n\n"
        );
        let colored = text(&findings, Look { unicode: false, color: true });
        assert!(colored.starts_with("\x1b[32m+\x1b[0m socket    /run/sock\n"), "{colored:?}");
        assert!(colored.contains("\x1b[31mx\x1b[0m profiles"), "{colored:?}");
    }
}
