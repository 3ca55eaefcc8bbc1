//! `mfa-agent status`: what the agent holds, and for how long.

use std::time::Duration;

use protocol::role::{shown, shown_all};
use protocol::{Grant, GrantedSocket, Memory, NamedRole, Session, SessionKind, Status, frame};

use crate::agent::Agent;
use crate::args::Color;
use crate::environment::{Environment, refuses_color, writes_unicode};
use crate::failure::{Exit, Failure};
use crate::shell::word;
use crate::{clock, output, platform, span, table};
use protocol::sanitize::sanitize;

/// How many characters a whole bar has.
const BAR: u64 = 10;

/// How often it is shown anew.
const EVERY: Duration = Duration::from_secs(1);

pub fn run(
    profile: Option<&str>,
    json: bool,
    color: Color,
    environment: &Environment,
) -> Result<(), Failure> {
    let status = ask(profile, environment)?;
    if json {
        let json = frame::pretty(&status).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot write the status as JSON: {error}"))
        })?;
        return output::data(&json);
    }
    output::data(text(&status, Look::of(color)).as_bytes())
}

/// Shows it anew every second. What fails may not fail the next time: an agent is started, a session opened.
pub fn watch(profile: Option<&str>, color: Color, environment: &Environment) -> Result<(), Failure> {
    let terminal = platform::stdout_is_terminal();
    loop {
        let text = match ask(profile, environment) {
            Ok(status) => text(&status, Look::of(color)),
            Err(failure) => {
                let hint = failure.what_to_do().map(|hint| format!("hint: {}\n", sanitize(hint)));
                format!("{}\n{}", sanitize(&failure.what), hint.unwrap_or_default())
            }
        };
        let screen = if terminal {
            // Over what was there, line by line: cleared as a whole it would flicker.
            format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\r\n"))
        } else {
            format!("{text}\n")
        };
        output::data(screen.as_bytes())?;
        std::thread::sleep(EVERY);
    }
}

/// What the agent says, of one profile or of all.
fn ask(profile: Option<&str>, environment: &Environment) -> Result<Status, Failure> {
    let Some(mut status) = Agent::locate(environment)?.status()? else {
        return Err(Failure::new(Exit::Agent, "no agent is running")
            .hint("mfa-agent login PROFILE starts it and opens a session"));
    };
    if let Some(profile) = profile {
        let is_it =
            |name: &String| name == profile || NamedRole::of(name).is_some_and(|role| role.arn == profile);
        status.sessions.retain(|session| session.profiles.iter().any(is_it));
        status.grants.retain(|grant| is_it(&grant.profile));
        status.sockets.retain(|socket| socket.profiles.iter().any(is_it));
        if status.sessions.is_empty() {
            return Err(Failure::new(Exit::NeedsCode, format!("no session is held for {}", shown(profile)))
                .hint(format!("mfa-agent login {}", word(profile))));
        }
    }
    Ok(status)
}

/// How it may look.
#[derive(Clone, Copy)]
pub struct Look {
    pub unicode: bool,
    pub color: bool,
}

impl Look {
    pub fn of(color: Color) -> Self {
        Self {
            unicode: writes_unicode(),
            color: match color {
                Color::Auto => platform::stdout_is_terminal() && !refuses_color(),
                Color::Always => true,
                Color::Never => false,
            },
        }
    }
}

fn text(status: &Status, look: Look) -> String {
    let mut text = if status.sessions.is_empty() {
        "No session is held.\n".to_owned()
    } else {
        sessions(&status.sessions, look)
    };
    if status.locked {
        text.push_str("\nLocked: nothing is given out until mfa-agent unlock.\n");
    }
    if let Some(address) = &status.live
        && !status.grants.is_empty()
    {
        text.extend(["\nLive access at ", address, ":\n", &grants(&status.grants)]);
    }
    if !status.sockets.is_empty() {
        text.extend(["\nGranted sockets:\n", &sockets(&status.sockets)]);
    }
    let uptime = span::of(u32::try_from(status.uptime).unwrap_or(u32::MAX));
    let mut lines =
        vec![format!("agent {}, pid {}, up {uptime}, at {}", status.version, status.pid, status.socket)];
    if status.version != env!("CARGO_PKG_VERSION") {
        lines.push(format!("this is mfa-agent {}: mfa-agent agent restart", env!("CARGO_PKG_VERSION")));
    } else if status.replaced {
        lines.push("its program was replaced since it started: mfa-agent agent restart".to_owned());
    }
    if let Some(skew) = status.clock_skew.filter(|skew| skew.abs() >= 60) {
        let span = span::of(u32::try_from(skew.unsigned_abs()).unwrap_or(u32::MAX));
        lines.push(format!("your clock is {span} {} AWS", if skew > 0 { "behind" } else { "ahead of" }));
    }
    if status.memory == Some(Memory::Swappable) {
        lines.push(
            "the key of its memory may be swapped out: raise the limit of locked memory, ulimit -l"
                .to_owned(),
        );
    }
    if status.memory == Some(Memory::Secret) {
        lines.push(
            "its key is in memory that the kernel cannot read; the machine does not hibernate".to_owned(),
        );
    }
    if status.waiting > 0 {
        lines.push(format!(
            "{} for a code to be typed",
            match status.waiting {
                1 => "one client waits".to_owned(),
                clients => format!("{clients} clients wait"),
            }
        ));
    }
    // A granted socket does not tell.
    if !status.config_files.is_empty() {
        lines.push(format!("reads {}", status.config_files.join(", ")));
    }
    lines.extend(status.environment.iter().map(|(name, value)| format!("with {name}={value}")));
    text.push('\n');
    for line in lines {
        text.push_str(&sanitize(&line));
        text.push('\n');
    }
    text
}

fn sessions(sessions: &[Session], look: Look) -> String {
    let mut rows = vec![["PROFILES", "ACCOUNT", "KIND", "LEFT", "", "UNTIL", "NOTICE"].map(str::to_owned)];
    rows.extend(sessions.iter().map(|session| {
        [
            shown_all(&session.profiles),
            match (&session.account, &session.account_alias) {
                (Some(account), Some(alias)) => format!("{alias} ({account})"),
                (account, _) => account.clone().unwrap_or_else(|| "-".to_owned()),
            },
            match session.kind {
                SessionKind::Mfa => "mfa",
                SessionKind::Role => "role",
                SessionKind::RoleWithMfa => "role (own code)",
            }
            .to_owned(),
            match session.seconds_left {
                0 => "expired".to_owned(),
                left => span::of(u32::try_from(left).unwrap_or(u32::MAX)),
            },
            bar(session, look),
            clock::time_of_day(session.expires_at),
            session.next_notification.map_or_else(
                || "-".to_owned(),
                |left| format!("in {}", span::of(u32::try_from(left).unwrap_or(u32::MAX))),
            ),
        ]
    }));
    let table = table::of(&rows);
    if !look.color {
        return table;
    }
    // The colour comes after the columns are measured, and after the cells were made harmless.
    let mut lines = table.lines();
    let mut colored = lines.next().map(|heading| format!("\x1b[1m{heading}\x1b[0m\n")).unwrap_or_default();
    for (line, session) in lines.zip(sessions) {
        let bar = bar(session, look);
        let color = match session.seconds_left {
            0..600 => 31,
            600..3600 => 33,
            _ => 32,
        };
        colored.push_str(&line.replacen(&bar, &format!("\x1b[{color}m{bar}\x1b[0m"), 1));
        colored.push('\n');
    }
    colored
}

fn grants(grants: &[Grant]) -> String {
    let mut rows = vec![["NUMBER", "PROFILE", "FOR", "SINCE"].map(str::to_owned)];
    rows.extend(grants.iter().map(|grant| {
        [
            grant.number.to_string(),
            shown(&grant.profile).into_owned(),
            match (&grant.pid, &grant.program) {
                _ if grant.ended => "nobody: logged out".to_owned(),
                (None, _) => "shells".to_owned(),
                (Some(pid), None) => format!("process {pid}"),
                (Some(pid), Some(program)) => format!("{program}, process {pid}"),
            },
            clock::time_of_day(grant.since),
        ]
    }));
    table::of(&rows)
}

fn sockets(sockets: &[GrantedSocket]) -> String {
    let mut rows = vec![["NUMBER", "PROFILES", "LEFT", "LAST USED", "SOCKET"].map(str::to_owned)];
    rows.extend(sockets.iter().map(|socket| {
        [
            socket.number.to_string(),
            shown_all(&socket.profiles),
            span::of(u32::try_from(socket.seconds_left).unwrap_or(u32::MAX)),
            socket.last_used.map_or_else(|| "never".to_owned(), clock::time_of_day),
            socket.socket.clone(),
        ]
    }));
    table::of(&rows)
}

/// How much of its time a session has left.
fn bar(session: &Session, look: Look) -> String {
    let share = session.seconds_left.min(session.duration) * BAR;
    let full = share.div_ceil(session.duration.max(1));
    let (on, off) = if look.unicode { ("█", "░") } else { ("#", ".") };
    let count = |number: u64| usize::try_from(number).unwrap_or_default();
    format!("{}{}", on.repeat(count(full)), off.repeat(count(BAR - full)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let session = Session {
            kind: SessionKind::Mfa,
            profiles: vec!["dev".to_owned(), "prod".to_owned()],
            account: Some("111122223333".to_owned()),
            account_alias: Some("company".to_owned()),
            serial: "arn:aws:iam::111122223333:mfa/alice".to_owned(),
            role_arn: None,
            expiration: "2026-11-05T18:20:00Z".to_owned(),
            expires_at: 0,
            seconds_left: 39_720,
            duration: 43_200,
            next_notification: Some(39_120),
            reused: true,
        };
        let role = Session {
            kind: SessionKind::Role,
            seconds_left: 0,
            account: None,
            next_notification: None,
            ..session.clone()
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: 1,
            pid: 42,
            uptime: 61,
            socket: "/run/user/1/mfa-agent/sock".to_owned(),
            environment: [("AWS_ENDPOINT_URL".to_owned(), "http://127.0.0.1:4566\x1b".to_owned())].into(),
            config_files: vec!["/home/a/.aws/config".to_owned()],
            clock_skew: Some(3),
            locked: false,
            memory: Some(Memory::Locked),
            replaced: true,
            waiting: 2,
            sessions: vec![session, role],
            left_out: 0,
            live: None,
            grants: Vec::new(),
            sockets: Vec::new(),
        }
    }

    #[test]
    fn granted_sockets_are_listed() {
        let socket = GrantedSocket {
            number: 3,
            profiles: vec!["dev".to_owned(), "ops".to_owned()],
            socket: "/run/user/1/mfa-agent/grant/3-0123456789abcdef".to_owned(),
            since: 0,
            expires_at: 3_600,
            seconds_left: 3_600,
            last_used: None,
        };
        let used = GrantedSocket { number: 12, last_used: Some(0), ..socket.clone() };
        let status = Status { sockets: vec![socket, used], config_files: Vec::new(), ..status() };
        let plain = text(&status, Look { unicode: false, color: false });
        let expected = format!(
            "\nGranted sockets:\n\
             NUMBER  PROFILES  LEFT  LAST USED  SOCKET\n\
             3       dev, ops  1h    never      /run/user/1/mfa-agent/grant/3-0123456789abcdef\n\
             12      dev, ops  1h    {}  /run/user/1/mfa-agent/grant/3-0123456789abcdef\n\n",
            clock::time_of_day(0)
        );
        assert!(plain.contains(&expected), "{plain}");
        assert!(!plain.contains("reads"), "{plain}");
    }

    #[test]
    fn it_reads_as_a_table() {
        let plain = text(&status(), Look { unicode: false, color: false });
        let until = clock::time_of_day(0);
        let expected = format!(
            "PROFILES   ACCOUNT                 KIND  LEFT                 UNTIL      NOTICE\n\
             dev, prod  company (111122223333)  mfa   11h 02m  ##########  {until}  in 10h 52m\n\
             dev, prod  -                       role  expired  ..........  {until}  -\n\n\
             agent 0.1.0, pid 42, up 1m 01s, at /run/user/1/mfa-agent/sock\n\
             its program was replaced since it started: mfa-agent agent restart\n\
             2 clients wait for a code to be typed\n\
             reads /home/a/.aws/config\n\
             with AWS_ENDPOINT_URL=http://127.0.0.1:4566\\u{{1b}}\n"
        );
        assert_eq!(plain, expected);
    }

    #[test]
    fn live_access_is_listed() {
        let shells =
            Grant { number: 1, profile: "dev".to_owned(), since: 0, pid: None, program: None, ended: false };
        let process =
            Grant { number: 12, pid: Some(42), program: Some("terraform".to_owned()), ..shells.clone() };
        let ended = Grant { number: 13, ended: true, ..shells.clone() };
        let status = Status {
            live: Some("127.0.0.1:40001".to_owned()),
            grants: vec![shells, process, ended],
            ..status()
        };
        let since = clock::time_of_day(0);
        let plain = text(&status, Look { unicode: false, color: false });
        let expected = format!(
            "\nLive access at 127.0.0.1:40001:\n\
             NUMBER  PROFILE  FOR                    SINCE\n\
             1       dev      shells                 {since}\n\
             12      dev      terraform, process 42  {since}\n\
             13      dev      nobody: logged out     {since}\n\n"
        );
        assert!(plain.contains(&expected), "{plain}");
    }

    #[test]
    fn colours_change_no_column() {
        let plain = text(&status(), Look { unicode: true, color: false });
        let mut colored = text(&status(), Look { unicode: true, color: true });
        assert!(
            colored.contains("\x1b[32m██████████\x1b[0m") && colored.contains("\x1b[31m░░░░░░░░░░\x1b[0m")
        );
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m"] {
            colored = colored.replace(code, "");
        }
        assert_eq!(colored, plain);
    }
}
