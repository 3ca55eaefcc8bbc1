//! What the prompt's hook calls: the whole of its slow path. `sync` never touches the terminal and is done in
//! an instant; `ask` is for the terminal alone.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::role::shown;
use protocol::sanitize::sanitize;
use protocol::{EndReason, Reply, Request, ShellState, TerminalNotification};

use super::env::{self, ALWAYS_THERE, Access, Given, LOOK};
use crate::agent::{Agent, unexpected};
use crate::args::{Code, Hook, Use};
use crate::environment::{Consumed, Environment};
use crate::failure::{Exit, Failure};
use crate::mfa::{Asker, Round};
use crate::output::{self, WipedBytes};
use crate::shell::{self, Shell, word};
use crate::{clock, platform, regions, span};

/// How long a prompt leaves an agent alone that did not answer, in seconds.
const RETRY_SECONDS: u64 = 30;

pub fn run(args: &Hook, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    match args {
        Hook::Sync { shell, command } => sync(*shell, *command, environment),
        Hook::Ask { shell } => ask(*shell, environment),
        Hook::Use { shell, args } => use_profile(*shell, args, option, environment),
        Hook::Profiles => profiles(environment),
        Hook::Regions => {
            let names: String = regions::all().flat_map(|region| [region.name, "\n"]).collect();
            output::data(names.as_bytes())
        }
    }
}

/// `use`, typed where no hook has taken the command over.
pub fn use_without_hook(args: &Use) -> Result<(), Failure> {
    let what =
        if args.none { "--none".to_owned() } else { args.name.as_deref().map(word).unwrap_or_default() };
    Err(Failure::new(Exit::Failed, format!("`use {what}` acts on a shell, and its hook is not loaded here"))
        .hint("eval \"$(mfa-agent init bash)\", or zsh; in fish: mfa-agent init fish | source"))
}

/// Prints what makes this shell right. What the agent answers may be for this client alone, as that a session comes
/// to its end: nobody asks again.
pub fn sync(shell: Shell, command: bool, environment: &Environment) -> Result<(), Failure> {
    let Some(profile) = environment.own_profile.as_deref().and_then(OsStr::to_str) else {
        return output::data(stop_managing(shell, environment).bytes());
    };
    if key_is_foreign(environment) || other_profile_is_set(environment) {
        // The person set keys or another profile by hand: they are not ours to touch.
        return output::data(stop_managing(shell, environment).bytes());
    }
    let agent = Agent::locate(environment);
    let live = environment.live;
    let request = Request::Shell { profile: profile.to_owned(), live };
    let reply = agent.as_ref().map(|agent| agent.ask_running(request));
    let script = match (&agent, reply) {
        (
            Ok(agent),
            Ok(Ok(Some(Reply::Shell(ShellState::Ready { credentials, ends_in, terminal, ask })))),
        ) if !live => {
            tell_end(profile, ends_in, terminal);
            let has_it = environment.key_id.as_deref() == Some(OsStr::new(&credentials.access_key_id));
            if ask && command && has_it {
                asked_at_the_prompt()
            } else {
                ready(shell, &Given::Keys(*credentials), agent, environment, ask && !command)?
            }
        }
        (
            Ok(agent),
            Ok(Ok(Some(Reply::Shell(ShellState::Live { live: access, ends_in, terminal, ask })))),
        ) if live => {
            tell_end(profile, ends_in, terminal);
            if ask && command {
                asked_at_the_prompt()
            } else {
                ready(shell, &Given::Live(*access), agent, environment, ask)?
            }
        }
        (Ok(agent), Ok(Ok(Some(Reply::Shell(ShellState::Ended { reason, lease, ask, host }))))) => {
            let lease = lease.as_deref().and_then(|name| env::lease(agent, name));
            // Without a lease it is asked every half minute, and said once.
            if (!ask || command) && (lease.is_some() || !looks_again(environment)) {
                aside(&ended(profile, reason, host.as_deref()));
            }
            // Its grant stands over an expiry and a lock, and tells programs what to do.
            let stands = live && matches!(reason, EndReason::Expired | EndReason::Locked);
            if reason == EndReason::Revoked {
                // The person took it back: it comes again when it is asked for again.
                let mut script = stop_managing(shell, environment);
                drop_live(shell, &mut script);
                script
            } else if ask && command {
                // Nobody can be asked now. The lease that is gone stays the shell's, so that the next prompt asks.
                without(shell, live && !stands)
            } else {
                let lease = lease.as_deref().map(|path| shell::bytes(path.as_os_str()));
                waiting(shell, lease, ask, live && !stands, environment)
            }
        }
        // The line to another host's agent is down, and what the shell has is good until its end.
        (_, Err(_) | Ok(Ok(None) | Err(_))) if let Some(tail) = still_good(environment) => {
            let mut script = WipedBytes::with_capacity(64);
            shell.export(&mut script, LOOK, env::next_look(tail).as_bytes());
            script
        }
        (_, answer) => {
            let why = match answer {
                Ok(Ok(None)) => without_agent(environment).map(str::to_owned),
                Ok(Ok(Some(Reply::Refused(refusal)))) => Some(crate::message::short(&refusal)),
                _ => Some("the agent does not answer".to_owned()),
            };
            // Said once, not every half minute.
            if let Some(why) = why.filter(|_| !looks_again(environment)) {
                aside(&format!("{}: {why}; mfa-agent use {}", shown(profile), word(profile)));
            }
            // With the agent gone, its port is anybody's.
            waiting(shell, None, false, live, environment)
        }
    };
    output::data(script.bytes())
}

/// Asks on the terminal, and prints what sets the credentials. What is printed on failure is nothing: the shell
/// is already as it should be without an answer.
fn ask(shell: Shell, environment: &Environment) -> Result<(), Failure> {
    let Some(profile) = environment.own_profile.as_deref().and_then(OsStr::to_str) else { return Ok(()) };
    let agent = Agent::locate(environment)?;
    let Some(mut asker) = Asker::uncalled(&agent) else {
        // Something is typed already, and belongs to the shell: at the next prompt, then.
        let mut script = WipedBytes::with_capacity(64);
        shell.set(&mut script, "__mfa_agent_ask", b"1");
        return output::data(script.bytes());
    };
    let access = Access::of(environment);
    let ends = ends(&agent, profile, environment);
    let renewed = if ends { renew(&mut asker, profile) } else { Ok(()) };
    match renewed.and_then(|()| env::obtain_access(asker, Some(profile), environment, access, None)) {
        Ok(given) => output::data(env::script(shell, &given, &agent, environment)?.bytes()),
        Err(failure) => {
            if failure.exit != Exit::Cancelled {
                aside(&format!("{}: {}", shown(profile), failure.what));
            }
            let profile = word(profile);
            let again = if ends { format!("login {profile} --force") } else { format!("use {profile}") };
            aside(&format!("put off; mfa-agent {again} asks again"));
            // The exit status would say no more than that.
            Ok(())
        }
    }
}

/// What it means to a shell that no agent runs. One that had nothing left was told why, and an agent that nobody
/// needed may have ended.
fn without_agent(environment: &Environment) -> Option<&'static str> {
    let is_over = || Consumed::read().expires_at.is_some_and(|expires_at| expires_at <= clock::now());
    match environment {
        // The line to another host's may be down.
        Environment { live: true, .. } | Environment { look: Some(_), .. } => Some("the agent is gone"),
        Environment { key_id: None, .. } => None,
        _ if is_over() => Some("the session has expired"),
        _ => Some("the agent is gone"),
    }
}

/// Whether the session is there still, and a new one is wanted before its end.
fn ends(agent: &Agent, profile: &str, environment: &Environment) -> bool {
    let request = Request::Shell { profile: profile.to_owned(), live: environment.live };
    let Ok(Some(Reply::Shell(state))) = agent.ask_running(request) else { return false };
    matches!(state, ShellState::Ready { ask: true, .. } | ShellState::Live { ask: true, .. })
}

/// Puts a new session in the place of one that is good still.
fn renew(asker: &mut Asker<'_>, profile: &str) -> Result<(), Failure> {
    let reply = asker.get(|ask, round| Request::Session {
        profile: Some(profile.to_owned()),
        ask,
        // While we asked, somebody else opened a new one: that is new enough.
        force: round == Round::First,
        duration: None,
    })?;
    if matches!(reply, Reply::Session(_)) { Ok(()) } else { Err(unexpected()) }
}

/// Prints what `use` does to this shell.
fn use_profile(
    shell: Shell,
    args: &Use,
    option: Option<&str>,
    environment: &Environment,
) -> Result<(), Failure> {
    if args.none {
        return output::data(env::unset(shell, environment).bytes());
    }
    let named = match (args.name.as_deref().or(option), args.source.as_deref()) {
        (None, None) => None,
        (name, source) => environment.profile(name, source)?,
    };
    let agent = Agent::locate(environment)?;
    let profile = match named {
        Some(named) => named,
        None => crate::picker::pick(&names(&agent)?)?,
    };
    let asker = Asker::new(&agent, &Code::default(), false)?;
    let access = if args.live { Access::Live { own: false } } else { Access::Keys };
    let given = env::obtain_access(asker, Some(&profile), environment, access, None)?;
    output::data(env::script(shell, &given, &agent, environment)?.bytes())
}

/// Prints the names of the profiles that can work.
fn profiles(environment: &Environment) -> Result<(), Failure> {
    let names = names(&Agent::locate(environment)?)?;
    let lines = names.iter().fold(String::new(), |lines, name| lines + name + "\n");
    output::data(lines.as_bytes())
}

/// The profiles that can work, the last used ones first.
fn names(agent: &Agent) -> Result<Vec<String>, Failure> {
    let mut profiles = agent.profiles()?;
    profiles.retain(|profile| profile.problem.is_none());
    profiles.sort_by_key(|profile| profile.recent.unwrap_or(u32::MAX));
    Ok(profiles.into_iter().map(|profile| profile.name).collect())
}

/// Before a command nobody can be asked. The lease that is gone stays the shell's, so that the next prompt asks.
fn asked_at_the_prompt() -> WipedBytes {
    WipedBytes::with_capacity(0)
}

fn ready(
    shell: Shell,
    given: &Given,
    agent: &Agent,
    environment: &Environment,
    ask: bool,
) -> Result<WipedBytes, Failure> {
    let mut script = env::script(shell, given, agent, environment)?;
    if ask {
        shell.set(&mut script, "__mfa_agent_ask", b"1");
    }
    Ok(script)
}

/// A dim line for the shell that is the one to say it.
fn tell_end(profile: &str, ends_in: Option<u64>, terminal: Option<TerminalNotification>) {
    let Some(seconds) = ends_in else { return };
    let left = span::of(u32::try_from(seconds).unwrap_or(u32::MAX));
    aside(&format!("{}: {left} left; mfa-agent login {} --force", shown(profile), word(profile)));
    if let Some(terminal) = terminal
        && platform::stderr_is_terminal()
    {
        platform::write_stderr(
            notification(terminal, &format!("AWS session of {} ends in {left}", shown(profile))).as_bytes(),
        );
    }
}

/// What makes a terminal show a notification. <https://iterm2.com/documentation-escape-codes.html>, urxvt's extension
/// `notify`, <https://sw.kovidgoyal.net/kitty/desktop-notifications/>.
fn notification(terminal: TerminalNotification, text: &str) -> String {
    // What commands is spelled out, and a semicolon separates.
    let text = sanitize(text).replace(';', ",");
    match terminal {
        TerminalNotification::Osc9 => format!("\x1b]9;{text}\x1b\\"),
        TerminalNotification::Osc777 => format!("\x1b]777;notify;mfa-agent;{text}\x1b\\"),
        TerminalNotification::Osc99 => format!("\x1b]99;;{text}\x1b\\"),
    }
}

/// A shell without credentials.
fn without(shell: Shell, nor_live: bool) -> WipedBytes {
    let mut script = WipedBytes::with_capacity(1024);
    for name in env::CREDENTIALS {
        shell.unset(&mut script, name);
    }
    if nor_live {
        drop_live(shell, &mut script);
    }
    script
}

/// A shell whose live access leads nowhere any more.
fn drop_live(shell: Shell, script: &mut WipedBytes) {
    for name in env::LIVE {
        shell.unset(script, name);
    }
}

/// A shell without credentials that keeps its profile, and looks again when its lease goes, or by the clock.
pub fn waiting(
    shell: Shell,
    lease: Option<&[u8]>,
    ask: bool,
    without_live: bool,
    environment: &Environment,
) -> WipedBytes {
    let mut script = without(shell, without_live);
    if environment.look.is_some() {
        shell.unset(&mut script, LOOK);
    }
    if let Some(lease) = lease {
        shell.export(&mut script, "MFA_AGENT_LEASE", lease);
        shell.unset(&mut script, "MFA_AGENT_EXP");
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        shell.export(&mut script, "MFA_AGENT_LEASE", ALWAYS_THERE.as_bytes());
        shell.export(&mut script, "MFA_AGENT_EXP", (now + RETRY_SECONDS).to_string().as_bytes());
    }
    if ask {
        shell.set(&mut script, "__mfa_agent_ask", b"1");
    }
    script
}

/// A shell whose credentials are none of ours, from here on.
fn stop_managing(shell: Shell, environment: &Environment) -> WipedBytes {
    let mut script = WipedBytes::with_capacity(256);
    for name in env::ours(environment) {
        shell.unset(&mut script, name);
    }
    script
}

/// The shell has a key that is not the one its lease was given with.
pub fn key_is_foreign(environment: &Environment) -> bool {
    let Some(key) = &environment.key_id else { return false };
    let key = key.as_encoded_bytes();
    let tail = &key[key.len().saturating_sub(4)..];
    let told = environment.look.as_ref().or(environment.lease.as_ref());
    match told.map(|told| told.as_encoded_bytes()) {
        Some(lease) => lease.iter().rposition(|byte| *byte == b'-').is_none_or(|at| &lease[at + 1..] != tail),
        None => true,
    }
}

/// This shell waits without a lease, and was told why.
fn looks_again(environment: &Environment) -> bool {
    environment.look.is_none() && environment.lease.as_deref() == Some(OsStr::new(ALWAYS_THERE))
}

/// The end of the id of the key that this shell has, where it has no lease and the key's time is not up.
fn still_good(environment: &Environment) -> Option<&str> {
    let (_, tail) = environment.look.as_deref()?.to_str()?.rsplit_once('-')?;
    let is_tail = tail.len() <= 4 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_good = Consumed::read().expires_at.is_some_and(|expires_at| expires_at > clock::now());
    (is_tail && is_good).then_some(tail)
}

/// Why a shell has no credentials, and what is to be done, on which host.
fn ended(profile: &str, reason: EndReason, host: Option<&str>) -> String {
    let what = match reason {
        EndReason::Expired => "the session has expired",
        EndReason::NoSession => "no session",
        EndReason::Locked => "locked",
        EndReason::Revoked => "its live access was ended",
    };
    let mend = match (reason, host) {
        (EndReason::Locked, _) => "mfa-agent unlock".to_owned(),
        (_, Some(_)) => format!("mfa-agent login {}", word(profile)),
        (_, None) => format!("mfa-agent use {}", word(profile)),
    };
    let on = host.map(|host| format!("on {host}: ")).unwrap_or_default();
    format!("{}: {what}; {on}{mend}", shown(profile))
}

/// The person has named another profile since this shell was given its own, which took `AWS_PROFILE` away.
fn other_profile_is_set(environment: &Environment) -> bool {
    environment.aws_profile.is_some() && environment.aws_profile != environment.own_profile
}

/// A dim line, for what the person did not ask for.
fn aside(line: &str) {
    if platform::stderr_is_terminal() && !crate::environment::refuses_color() {
        platform::write_stderr(format!("\x1b[2mmfa-agent: {}\x1b[0m\n", sanitize(line)).as_bytes());
    } else {
        output::words(&format!("mfa-agent: {line}"));
    }
}
