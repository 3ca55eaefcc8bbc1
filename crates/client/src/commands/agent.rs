//! `mfa-agent agent`: the daemon itself.

mod grant;

use protocol::{Refusal, Reply, Request};

use crate::agent::{self, Agent, unexpected};
use crate::args::{self, Color};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::message::{self, counted};
use crate::{clock, output, platform, programs};

pub fn run(args: &args::Agent, color: Color, environment: &Environment) -> Result<(), Failure> {
    match args {
        args::Agent::Run { memory } => be(memory.as_deref()),
        args::Agent::Start => start(&Agent::locate(environment)?),
        args::Agent::Stop => stop(&Agent::locate(environment)?),
        args::Agent::Restart => restart(&Agent::locate(environment)?),
        args::Agent::Status { json } => super::status::run(None, *json, color, environment),
        args::Agent::Log => log(&Agent::locate(environment)?),
        args::Agent::Grant(args) => grant::grant(args, environment),
        args::Agent::Revoke(args) => grant::revoke(args, environment),
    }
}

/// Becomes the agent, in the foreground.
fn be(memory: Option<&str>) -> Result<(), Failure> {
    let program = agent::program()?;
    let arguments: Vec<_> = memory.iter().flat_map(|kind| ["--memory".into(), (*kind).into()]).collect();
    let error = platform::become_agent(&program, &arguments);
    Err(match error.kind() {
        std::io::ErrorKind::NotFound => programs::missing(Exit::Agent, &program),
        _ => Failure::new(Exit::Agent, format!("cannot start {}: {error}", program.display())),
    })
}

fn start(agent: &Agent) -> Result<(), Failure> {
    if let Some(Reply::Status(status)) = agent.ask_running(Request::Status)? {
        output::words(&format!("the agent runs already (pid {})", status.pid));
        return Ok(());
    }
    output::words(&match agent.start()?.pid {
        Some(pid) => format!("the agent runs (pid {pid})"),
        None => "the agent runs already".to_owned(),
    });
    Ok(())
}

fn restart(agent: &Agent) -> Result<(), Failure> {
    match agent.ask_running(Request::Stop { only_if_empty: true })? {
        None => output::words("no agent is running"),
        Some(Reply::Stopping { pid, managed: true, .. }) => {
            output::words(&format!("the agent ends (pid {pid})"));
            let next = agent.wait_for_next(pid)?;
            output::words(&format!("the agent runs anew (pid {next})"));
            return Ok(());
        }
        // With nothing to lose the new one begins in this shell, and with its settings.
        Some(Reply::Stopping { pid, .. }) => {
            output::words(&format!("the agent ends (pid {pid})"));
            agent.wait_for_end()?;
        }
        Some(Reply::Refused(held @ Refusal::WouldForget { .. })) => {
            match agent.ask_running(Request::Restart)? {
                Some(Reply::Restarted { sessions, pid }) => {
                    let sessions = counted(sessions, "session");
                    output::words(&format!("the agent runs anew (pid {pid}) and holds {sessions}"));
                    return Ok(());
                }
                // It is too old for that.
                Some(Reply::Refused(Refusal::Protocol { .. } | Refusal::Malformed { .. })) => {
                    return Err(message::refused(&held));
                }
                Some(Reply::Refused(refusal)) => return Err(message::refused(&refusal)),
                Some(_) => return Err(unexpected()),
                None => {}
            }
        }
        Some(Reply::Refused(refusal)) => return Err(message::refused(&refusal)),
        Some(_) => return Err(unexpected()),
    }
    start(agent)
}

fn stop(agent: &Agent) -> Result<(), Failure> {
    match agent.ask_running(Request::Stop { only_if_empty: false })? {
        None => {
            output::words("no agent is running");
            Ok(())
        }
        Some(Reply::Stopping { sessions, pid, managed }) => {
            let lost = if sessions == 0 {
                String::new()
            } else {
                format!(", {} forgotten", counted(sessions, "session"))
            };
            let managed =
                if managed { "; the service manager starts it again when it is needed" } else { "" };
            output::words(&format!("the agent ends (pid {pid}){lost}{managed}"));
            Ok(())
        }
        Some(Reply::Refused(refusal)) => Err(message::refused(&refusal)),
        Some(_) => Err(unexpected()),
    }
}

fn log(agent: &Agent) -> Result<(), Failure> {
    let entries = match agent.ask_running(Request::Log)? {
        Some(Reply::Log(entries)) => entries,
        Some(Reply::Refused(refusal)) => return Err(message::refused(&refusal)),
        Some(_) => return Err(unexpected()),
        None => return Err(Failure::new(Exit::Agent, "no agent is running").hint("mfa-agent agent start")),
    };
    let mut text = String::new();
    for entry in entries {
        let asker = match (&entry.program, entry.pid) {
            (Some(program), Some(pid)) => format!("{program}[{pid}]: "),
            (None, Some(pid)) => format!("[{pid}]: "),
            (Some(program), None) => format!("{program}: "),
            (None, None) => String::new(),
        };
        let grant = entry.grant.map(|number| format!("by grant {number}: ")).unwrap_or_default();
        let line = format!("{} {asker}{grant}{}", clock::moment(entry.at), entry.event);
        text.push_str(&protocol::sanitize::sanitize(&line));
        text.push('\n');
    }
    output::data(text.as_bytes())
}
