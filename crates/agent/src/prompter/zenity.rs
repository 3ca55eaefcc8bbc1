//! zenity, GNOME's dialogs for scripts.

use super::{ALLOW, DENY, Dialog, Wanted, text, with_key};

/// Its arguments.
pub fn question(dialog: &Dialog, seconds: u64) -> Vec<String> {
    let text = text(dialog);
    let mut arguments = match dialog.wanted {
        Wanted::Code => {
            vec!["--entry".to_owned(), "--hide-text".to_owned(), format!("--text={}", label(&text))]
        }
        Wanted::Consent => vec![
            "--question".to_owned(),
            "--no-markup".to_owned(),
            "--default-cancel".to_owned(),
            format!("--ok-label={}", with_key(ALLOW)),
            format!("--cancel-label={}", with_key(DENY)),
            format!("--text={}", text.replace('\\', "\\\\")),
        ],
    };
    arguments.push(format!("--title={}", dialog.title));
    arguments.push(format!("--timeout={seconds}"));
    arguments
}

/// The text of an entry knows C's escapes, as every text does, and an underscore that marks the key to press.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('_', "__")
}
