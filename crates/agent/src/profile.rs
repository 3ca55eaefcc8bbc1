//! The person's AWS config files: what they say of a profile, and what is to be done for it.

mod files;
mod found;
mod plan;

pub use files::{ConfigFiles, ForeignCommand, LongTermKey, ServiceEndpoints};
pub use found::last_four;
pub use plan::{
    Hop, Plan, ROLE_BOUNDS, ROLE_SECONDS, RoleContext, Serial, Target, User, described_role, list, plan,
    plan_aws_mfa, plan_without_device, region, sections, target, wins_over_live,
};

#[cfg(test)]
mod tests;
