//! macOS's notification centre, by notify-rust. Compiled in its own CI job; not run by the authors. A notification
//! cannot be taken back or replaced here, and has no buttons: it names the command.

use notify_rust::Notification;
use tokio::sync::{mpsc, watch};

use super::{Event, Notice, Screen};
use crate::environment::DataFolders;

/// Why nothing can be shown: the notification centre is always there.
pub async fn problem() -> Option<String> {
    None
}

/// Shows what is wanted, until nobody wants anything any more.
pub async fn serve(
    mut wanted: watch::Receiver<Screen>,
    reports: mpsc::UnboundedSender<(Notice, Event)>,
    _icons: DataFolders,
) {
    while wanted.changed().await.is_ok() {
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
