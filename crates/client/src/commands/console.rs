//! `mfa-agent console`: signs the browser in to the AWS console, or prints the link.

use std::process::Command;
use std::time::Duration;

use protocol::role::shown;
use protocol::{Console, Reply, Request, Secret};

use crate::agent::{Agent, unexpected};
use crate::args::{self, Code};
use crate::environment::{self, Environment};
use crate::failure::{Exit, Failure};
use crate::mfa::Asker;
use crate::output::{self, WipedBytes};
use crate::{platform, span};

/// How often a session may be gone again as soon as it is there.
const ROUNDS: u32 = 3;

/// How long a program that starts a browser may take to fail. Some are the browser, and stay.
const START_TIME: Duration = Duration::from_secs(5);

/// What starts a browser where `BROWSER` names none.
const STARTER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

pub fn run(args: &args::Console, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let profile = environment.profile(args.name.as_deref().or(option), args.source.as_deref())?;
    let mut browsers = environment::browsers();
    if browsers.is_empty() && environment::in_path(STARTER).is_some() {
        browsers.push(STARTER.to_owned());
    }
    if browsers.is_empty() && !args.print {
        // Before a code is asked for.
        return Err(Failure::new(Exit::Failed, format!("no browser to start: no {STARTER}, no $BROWSER"))
            .hint("--print prints the link, to open it anywhere"));
    }
    let agent = Agent::locate(environment)?;
    let console = obtain(&agent, profile.as_deref(), args)?;
    if args.print {
        let mut line = WipedBytes::with_capacity(console.url.expose().len() + 1);
        line.push(console.url.expose().as_bytes());
        line.push(b"\n");
        output::data(line.bytes())?;
        if platform::stdout_is_terminal() {
            let left = span::of(console.opens_for);
            output::words(&format!("the link signs in whoever has it, for {left}"));
        }
        return Ok(());
    }
    let mut failure = String::new();
    for browser in &browsers {
        match start(browser, &console.url) {
            Ok(()) => {
                output::words(&format!("{}: the console opens in the browser", shown(&console.profile)));
                return Ok(());
            }
            Err(problem) => failure = problem,
        }
    }
    Err(Failure::new(Exit::Failed, failure).hint("--print prints the link, to open it anywhere"))
}

fn obtain(agent: &Agent, profile: Option<&str>, args: &args::Console) -> Result<Console, Failure> {
    let mut asker = Asker::new(agent, &Code::default(), false)?;
    for _ in 0..ROUNDS {
        let reply = asker.get(|ask, _| Request::Console {
            profile: profile.map(str::to_owned),
            ask,
            service: args.service.clone(),
            redirect: !args.print,
        })?;
        match reply {
            Reply::Console(console) => return Ok(console),
            // A code was taken: now it can be had.
            Reply::Session(_) => {}
            _ => return Err(unexpected()),
        }
    }
    Err(Failure::new(Exit::Failed, "the session is gone as soon as it is there"))
}

/// Starts a browser. The address is one that leads to the console once, and from this user alone: everybody can see
/// the arguments of a process.
fn start(browser: &str, address: &Secret) -> Result<(), String> {
    let mut words = browser.split_whitespace();
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(program);
    let mut placed = false;
    for word in words {
        placed |= word.contains("%s");
        command.arg(word.replace("%s", address.expose()));
    }
    if !placed {
        command.arg(address.expose());
    }
    match platform::start_apart(command, START_TIME) {
        Err(error) => Err(format!("cannot run {program}: {error}")),
        Ok(Some(status)) if !status.success() => Err(format!("{program} failed: {status}")),
        Ok(_) => Ok(()),
    }
}
