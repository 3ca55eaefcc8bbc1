//! macOS's notification centre, by notify-rust. Compiled in its own CI job; not run by the authors. A notification
//! cannot be taken back or replaced here, and has no buttons: it names the command.

use notify_rust::Notification;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Event, Leaving, Notice, Screen};
use crate::environment::DataFolders;
use crate::prompter::{Answer, Dialog};

/// Why nothing can be shown: the notification centre is always there.
pub async fn problem() -> Option<String> {
    None
}

/// Nobody can be asked: there are no buttons.
pub async fn ask(_dialog: Dialog, _answer: oneshot::Sender<Answer>, _leaving: Leaving, _icons: DataFolders) {}

/// Shows what is wanted, until we are `leaving`.
pub async fn serve(
    mut wanted: watch::Receiver<Screen>,
    reports: mpsc::UnboundedSender<(Notice, Event)>,
    mut leaving: Leaving,
    _icons: DataFolders,
) {
    loop {
        tokio::select! {
            () = leaving.asked() => return,
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        let Screen::Notice(notice) = wanted.borrow_and_update().clone() else { continue };
        let words = notice.words(false, false);
        // It may wait for the notification centre.
        let shown = tokio::task::spawn_blocking(move || {
            Notification::new()
                .appname("mfa-agent")
                .summary(&words.summary)
                .body(&words.body)
                .show()
                .map(drop)
        });
        let event = match shown.await {
            Ok(Ok(())) => Event::Shown,
            Ok(Err(error)) => Event::Failed(error.to_string()),
            Err(_) => Event::Failed("the notification centre failed".to_owned()),
        };
        let _ = reports.send((notice, event));
    }
}
