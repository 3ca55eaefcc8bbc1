//! osascript, `AppleScript`'s dialogs. Its words are arguments of the script and no part of it. Not run by the
//! authors.

use super::{ALLOW, DENY, Dialog, Wanted, text};

const CODE: &str = r#"on run {heading, question, seconds}
set answer to display dialog question default answer "" with title heading with hidden answer giving up after (seconds as integer)
if gave up of answer then error number 5
return text returned of answer
end run"#;

const CONSENT: &str = r"on run {heading, question, seconds, allow, deny}
set answer to display dialog question with title heading buttons {deny, allow} default button deny cancel button deny giving up after (seconds as integer)
if gave up of answer then error number 5
end run";

/// Its arguments.
pub fn question(dialog: &Dialog, seconds: u64) -> Vec<String> {
    let script = match dialog.wanted {
        Wanted::Code => CODE,
        Wanted::Consent => CONSENT,
    };
    let mut arguments = vec!["-e".to_owned(), script.to_owned()];
    arguments.extend([dialog.title.clone(), text(dialog), seconds.to_string()]);
    if dialog.wanted == Wanted::Consent {
        arguments.extend([ALLOW.to_owned(), DENY.to_owned()]);
    }
    arguments
}
