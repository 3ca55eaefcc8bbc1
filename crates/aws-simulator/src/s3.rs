//! The one action of S3: who may list buckets is a caller with MFA, as for everything else.

use crate::action::Invocation;
use crate::answer::Answer;
use crate::clock::iso;
use crate::xml::{element, leaf};

/// The only bucket there is.
const BUCKET: &str = "mfa-only";

pub(crate) fn list_buckets(invocation: &mut Invocation) -> Answer {
    invocation.authorize("s3:ListAllMyBuckets", "*")?;
    let owner = leaf("ID", &invocation.world.id(&invocation.caller.identity));
    let bucket = leaf("Name", BUCKET) + &leaf("CreationDate", &iso(0));
    Ok(element("Owner", &owner) + &element("Buckets", &element("Bucket", &bucket)))
}
