//! `mfa-agent device seed`: the device's seed in the keyring, so that the agent makes the codes.

use protocol::Secret;

use super::setting;
use crate::agent::Agent;
use crate::args::DeviceSeed;
use crate::failure::{Exit, Failure};
use crate::platform::Terminal;
use crate::{interview, keyring, output, platform};

/// What it gives up.
const PRICE: &str = "The second factor is then on this machine, beside the first: whoever can open your keyring can make codes.";

/// The longest line, in bytes.
const LONGEST: usize = 4096;

pub fn run(agent: &Agent, args: &DeviceSeed, profile: Option<String>) -> Result<(), Failure> {
    if args.forget {
        let (profile, serial) = keyring::forget_seed(agent, profile)?;
        let place = setting::set_seed(&profile, false)?;
        output::words(&format!("the seed of {serial} is out of the keyring, and {place} says so no more"));
        return Ok(());
    }
    let mut terminal = if args.stdin && args.yes { None } else { Some(terminal()?) };
    match &terminal {
        Some(terminal) if !args.yes => {
            terminal.write(&format!("{PRICE}\n"));
            if !interview::agrees(terminal, "Put the seed into the keyring?")? {
                return Err(Failure::cancelled());
            }
        }
        _ => output::words(PRICE),
    }
    let seed = match &mut terminal {
        Some(terminal) if !args.stdin => interview::unseen(terminal, "Seed, or otpauth:// line")?,
        _ => line()?,
    };
    let (profile, serial) = keyring::store_seed(agent, profile, seed)?;
    let place = setting::set_seed(&profile, true)?;
    output::words(&format!("the seed of {serial} is in the keyring now, and {place} says so"));
    Ok(())
}

fn terminal() -> Result<Terminal, Failure> {
    Terminal::open().ok_or_else(|| {
        Failure::new(Exit::Usage, "nobody can be asked for the seed")
            .hint("--stdin --yes takes a line of stdin")
    })
}

fn line() -> Result<Secret, Failure> {
    let cannot = |what: String| {
        Failure::new(Exit::Usage, format!("cannot read the seed from stdin: {what}"))
            .hint("mfa-agent device seed asks for it unseen")
    };
    let line = platform::stdin_line(LONGEST).map_err(|error| cannot(error.to_string()))?;
    let text = std::str::from_utf8(line.trim_ascii()).map_err(|_| cannot("it is no text".to_owned()))?;
    Ok(Secret::new(text.to_owned()))
}
