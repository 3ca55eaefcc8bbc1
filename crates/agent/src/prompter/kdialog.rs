//! kdialog, KDE's dialogs for scripts.

use super::{ALLOW, DENY, Dialog, Wanted, text};

/// Its arguments. It knows no limit of time.
pub fn question(dialog: &Dialog) -> Vec<String> {
    let text = rich(&text(dialog));
    let wanted = match dialog.wanted {
        Wanted::Code => vec!["--password", &text],
        // Enter is a yes: there is no question of its that has the other button chosen.
        Wanted::Consent => vec!["--yesno", &text, "--yes-label", ALLOW, "--no-label", DENY],
    };
    ["--title", &dialog.title].into_iter().chain(wanted).map(str::to_owned).collect()
}

/// It takes some of its texts for HTML always, and others when they look like it: this one does.
fn rich(text: &str) -> String {
    format!("<qt>{}</qt>", text.replace('&', "&amp;").replace('\n', "<br>"))
}
