//! The simulator as a client sees it, the client being the AWS SDK.

mod iam;
mod policies;
mod sts;
mod support;
mod trouble;
