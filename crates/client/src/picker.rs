//! Chooses one of a few names on the terminal.

use crate::failure::{Exit, Failure};
use crate::platform::Terminal;
use protocol::sanitize::sanitize;

/// Asks for a name, or its number, until one of the list is meant.
pub fn pick(names: &[String]) -> Result<String, Failure> {
    let missing = |what: &str| Failure::new(Exit::Usage, what).hint("mfa-agent use PROFILE");
    if names.is_empty() {
        return Err(Failure::new(Exit::Configuration, "there is no profile that can work")
            .hint("mfa-agent profiles says why not"));
    }
    let terminal = Terminal::open().ok_or_else(|| missing("no profile is named, and nobody can be asked"))?;
    let width = names.len().to_string().len();
    for (number, name) in names.iter().enumerate() {
        terminal.write(&format!("{:>width$}  {}\n", number + 1, sanitize(name)));
    }
    loop {
        terminal.write("profile: ");
        let line = terminal.line().ok_or_else(Failure::cancelled)?;
        let wanted = line.trim();
        if wanted.is_empty() {
            return Err(Failure::cancelled());
        }
        let by_number = wanted.parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?));
        let mut beginning = names.iter().filter(|name| name.starts_with(wanted));
        let exact = names.iter().find(|name| *name == wanted);
        let only = beginning.next().filter(|_| beginning.next().is_none());
        match exact.or(by_number).or(only) {
            Some(name) => return Ok(name.clone()),
            None => terminal.write("a number or a name of these\n"),
        }
    }
}
