//! A question for the person's consent, as a notification with two buttons. It is alone on a connection of its own:
//! whatever goes wrong there can make it no answer, and never a yes.

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Bus, CRITICAL, LIMIT, Popup, Reaction, patiently};
use crate::environment::DataFolders;
use crate::live::random_token;
use crate::notify::Leaving;
use crate::notify::words::escaped;
use crate::prompter::{ALLOW, Answer, DENY, Dialog};

/// The server took it away because its time was over, in the words of the specification.
const EXPIRED: u32 = 1;

/// How many digits of a random number are in a button's name.
const NAME_DIGITS: usize = 16;

/// Asks, and sends the answer. Where the question cannot be asked, or is lost with its server or its bus, nothing is
/// sent. When nobody waits for the answer any more, or we are `leaving`, it is taken off the screen.
pub async fn ask(dialog: Dialog, answer: oneshot::Sender<Answer>, mut leaving: Leaving, icons: DataFolders) {
    let Ok(mut bus) = Bus::connect().await else { return };
    let Ok(Ok(capabilities)) = timeout(LIMIT, bus.capabilities()).await else { return };
    let can = |what: &str| capabilities.iter().any(|capability| capability == what);
    let Ok(token) = random_token() else { return };
    if !can("actions") {
        return;
    }
    // Known to this server alone: a click that was meant for another question, or made up, is no yes to this one.
    let allow = format!("allow-{}", &token.expose()[..NAME_DIGITS]);
    let (summary, body) = dialog.about.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    let body = body.join("\n");
    let popup = Popup {
        summary,
        body: &if can("body-markup") { escaped(&body) } else { body },
        actions: &[&allow, ALLOW, "deny", DENY],
        urgency: CRITICAL,
        // Until it is answered; we take it away.
        timeout: 0,
    };
    // Where that is late it is asked elsewhere, and taken away here as soon as the server has said its id.
    let mut answer = Some(answer);
    if patiently(bus.show((), &popup, &icons), || answer = None).await.is_err() {
        return;
    }
    while let Some(waiting) = &mut answer {
        let heard = tokio::select! {
            heard = bus.service.next() => heard,
            () = waiting.closed() => break,
            () = leaving.asked() => break,
        };
        let Some(heard) = heard else { return };
        let said = match bus.understand(&heard) {
            Some(((), Reaction::Action(key))) if key == allow => Answer::Allowed,
            Some(((), Reaction::Closed(EXPIRED))) => Answer::TimedOut,
            Some(_) => Answer::Cancelled,
            // The server that showed it is gone.
            None if bus.shown.is_none() => return,
            None => continue,
        };
        let _ = answer.take().map(|answer| answer.send(said));
    }
    let _ = timeout(LIMIT, bus.close()).await;
}
