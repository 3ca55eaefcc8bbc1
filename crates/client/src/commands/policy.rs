//! `mfa-agent policy`: the IAM policy that denies everything without MFA.

mod text;

use crate::args::Policy;
use crate::failure::Failure;
use crate::output;

pub fn run(verb: &Policy) -> Result<(), Failure> {
    match verb {
        Policy::Print(args) => output::data(text::of(args.text.variant, args.partition).as_bytes()),
    }
}
