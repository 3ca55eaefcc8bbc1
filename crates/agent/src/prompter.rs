//! Asks the person through the desktop, by a program that is made for it. What is asked is no secret and may be
//! among its arguments; what is typed comes back through a pipe.

mod kdialog;
mod osascript;
mod pinentry;
mod zenity;

use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::Secret;
use protocol::sanitize::sanitize;
use tokio::time::timeout;

use crate::child::{Child, ChildEnvironment, Finished, Trouble};
use crate::platform;

/// How long a person may take to answer.
pub const LIMIT: Duration = Duration::from_mins(2);

/// How much earlier a dialog takes itself away than it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// The longest answer that is taken, in bytes.
const LONGEST_ANSWER: usize = 256;

/// The buttons under a question for consent: yes.
pub const ALLOW: &str = "Allow";
/// And no.
pub const DENY: &str = "Deny";

/// What is looked for where nothing is configured, in this order.
#[cfg(not(target_os = "macos"))]
const KNOWN: [&str; 3] = ["pinentry", "zenity", "kdialog"];
#[cfg(target_os = "macos")]
const KNOWN: [&str; 2] = ["pinentry-mac", "osascript"];

/// Text of others, for a dialog. Qt takes a text with a tag in it for HTML and shows one without as it is, so
/// that in pinentry nothing can be escaped.
pub fn plain(text: &str) -> String {
    sanitize(text).replace('<', "‹").replace('>', "›")
}

/// A question on the screen. Its texts are [`plain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    /// The window's name.
    pub title: String,
    /// What it is about, line by line.
    pub about: Vec<String>,
    /// What the person should know of the last answer.
    pub note: Option<String>,
    /// What is wanted of the person.
    pub wanted: Wanted,
}

/// What is wanted of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A code.
    Code,
    /// A yes.
    Consent,
}

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// This was typed.
    Typed(Secret),
    /// The person said yes.
    Allowed,
    /// The person said no, or does not want to answer.
    Cancelled,
    /// Nobody answered in time.
    TimedOut,
}

/// A program that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompter {
    kind: Kind,
    program: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pinentry,
    Zenity,
    Kdialog,
    Osascript,
}

impl Kind {
    /// The kind of a program, by its file's name.
    fn of(program: &Path) -> Option<Self> {
        match program.file_name()?.to_str()? {
            name if name.starts_with("pinentry") => Some(Self::Pinentry),
            "zenity" => Some(Self::Zenity),
            "kdialog" => Some(Self::Kdialog),
            "osascript" => Some(Self::Osascript),
            _ => None,
        }
    }
}

/// Whether a name or a path can be a prompter's.
pub fn is_known(name: &str) -> bool {
    let path = Path::new(name);
    Kind::of(path).is_some() && (path.is_absolute() || !name.contains('/'))
}

/// The programs that can be asked, best first: the configured one, else all of the known ones that are there.
pub fn find(configured: Option<&str>, environment: &ChildEnvironment) -> Vec<Prompter> {
    let folders = environment.get(std::ffi::OsStr::new("PATH")).map(std::env::split_paths);
    let folders: Vec<PathBuf> = folders.into_iter().flatten().filter(|folder| folder.is_absolute()).collect();
    let names = configured.map_or(KNOWN.to_vec(), |name| vec![name]);
    let programs = names.into_iter().filter_map(|name| {
        let places = folders.iter().map(|folder| folder.join(name));
        places.into_iter().find(|program| platform::is_program(program))
    });
    programs.filter_map(|program| Some(Prompter { kind: Kind::of(&program)?, program })).collect()
}

/// Asks with the first program that can show a dialog. Ends with it when dropped.
pub async fn ask(
    prompters: &[Prompter],
    dialog: &Dialog,
    environment: &ChildEnvironment,
    limit: Duration,
) -> Result<Answer, Trouble> {
    let mut trouble = Trouble::Io(std::io::ErrorKind::NotFound.into());
    for prompter in prompters {
        match prompter.ask(dialog, environment, limit).await {
            // It hung: another one would ask for as long again.
            Err(Trouble::TimedOut) => return Ok(Answer::TimedOut),
            Err(why) => trouble = why,
            answer => return answer,
        }
    }
    Err(trouble)
}

impl Prompter {
    async fn ask(
        &self,
        dialog: &Dialog,
        environment: &ChildEnvironment,
        limit: Duration,
    ) -> Result<Answer, Trouble> {
        let seconds = limit.saturating_sub(GRACE).as_secs().max(1);
        let arguments = match self.kind {
            Kind::Pinentry => {
                let mut child =
                    Child::start(&self.program, [""; 0], environment, true).map_err(Trouble::Io)?;
                let asked = timeout(limit, pinentry::ask(&mut child, dialog, seconds)).await;
                return asked.unwrap_or(Err(Trouble::TimedOut));
            }
            Kind::Zenity => zenity::question(dialog, seconds),
            Kind::Kdialog => kdialog::question(dialog),
            Kind::Osascript => osascript::question(dialog, seconds),
        };
        let child = Child::start(&self.program, &arguments, environment, false).map_err(Trouble::Io)?;
        let finished = child.finish(limit, LONGEST_ANSWER).await?;
        match (finished.status.code(), dialog.wanted) {
            (Some(0), Wanted::Code) => Ok(typed(&finished)),
            (Some(0), Wanted::Consent) => Ok(Answer::Allowed),
            (Some(1), _) => Ok(Answer::Cancelled),
            // zenity says so.
            (Some(5), _) => Ok(Answer::TimedOut),
            _ => Err(Trouble::Io(std::io::Error::other(finished.status.to_string()))),
        }
    }
}

/// A button's name, with its first letter as the key to press.
fn with_key(name: &str) -> String {
    format!("_{name}")
}

/// A line that a program wrote, as an answer.
fn typed(finished: &Finished) -> Answer {
    let line = finished.output.strip_suffix(b"\n").unwrap_or(&finished.output);
    Answer::Typed(Secret::new(String::from_utf8_lossy(line).into_owned()))
}

/// All the lines of a dialog that has one text.
fn text(dialog: &Dialog) -> String {
    let mut lines: Vec<&str> = dialog.note.as_deref().into_iter().collect();
    lines.extend(dialog.about.iter().map(String::as_str));
    lines.join("\n")
}

#[cfg(test)]
mod tests;
