//! What can be given out as it is.

use protocol::Credentials;

use super::{Sessions, margin};
use crate::journal::Peer;
use crate::profile;

impl Sessions {
    /// The credentials of a profile, if it takes no call to AWS, no wait and no question to give them. Leaves nothing
    /// behind where it does: whoever asked comes again.
    pub async fn at_hand(
        &self,
        peer: &Peer,
        profile: Option<&str>,
        replaces: Option<&str>,
        min_ttl: Option<u32>,
    ) -> Option<Credentials> {
        self.refuse_if_locked().ok()?;
        let configuration = self.configuration().ok()?;
        let files = self.files().await.ok()?;
        let plan = profile::plan(&files, &self.meant(&files, profile).ok()?).ok()?;
        // To look the device up is a call.
        self.known_serial(&plan)?;
        let resolved = self.resolve_plan(configuration, files, plan, true).await.ok()?;
        let last = resolved.last();
        let left = self.left(&last)?;
        let lasts = left > margin(&last) && left >= resolved.needed(min_ttl).ok()?;
        let given = lasts && self.may_give_unasked(&resolved.configuration, &resolved.plan.profile, peer);
        if given { self.give(&resolved, &last, replaces).ok() } else { None }
    }
}
