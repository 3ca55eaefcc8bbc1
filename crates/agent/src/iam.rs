//! The calls to IAM. It and `sts.rs` are the only files that name AWS's clients.

mod account;
mod devices;
mod keys;
mod policies;

use aws_sdk_iam::config::{BehaviorVersion, Region};
use aws_smithy_types::DateTime;
use protocol::{IamAnswer, IamCall, IamUser, NetworkProblem};

use crate::bounded::Bounded;
use crate::endpoint::Endpoint;
use crate::sts::{Aws, CallError, Retries, Signer, call_error, signing_key};

impl Aws {
    /// Makes a call, at the endpoint of its service. One that only looks is made again where no answer comes; one that
    /// changes something is made once.
    pub async fn iam(
        &self,
        endpoint: &Endpoint,
        signer: &Signer,
        call: &IamCall,
    ) -> Result<IamAnswer, CallError> {
        let look = || self.iam_client(endpoint, signer, Retries::Standard);
        let change = || self.iam_client(endpoint, signer, Retries::None);
        match call {
            IamCall::DeleteInlinePolicy { of, name } => {
                policies::delete(&change()?, of, name).await.map(|()| IamAnswer::Done)
            }
            IamCall::GetGroup { group } => policies::members(&look()?, group).await.map(IamAnswer::Names),
            IamCall::GetInlinePolicy { of, name } => {
                policies::document(&look()?, of, name).await.map(IamAnswer::Document)
            }
            IamCall::GetPolicy { arn } => policies::version(&look()?, arn).await.map(IamAnswer::Version),
            IamCall::GetPolicyVersion { arn, version } => {
                policies::managed(&look()?, arn, version).await.map(IamAnswer::Document)
            }
            IamCall::ListAccessKeys { user } => {
                keys::list(&look()?, user.as_deref()).await.map(IamAnswer::AccessKeys)
            }
            IamCall::ListAttachedPolicies { of } => {
                policies::attached(&look()?, of).await.map(IamAnswer::Names)
            }
            IamCall::ListGroupsForUser { user } => {
                policies::groups(&look()?, user).await.map(IamAnswer::Names)
            }
            IamCall::ListInlinePolicies { of } => policies::names(&look()?, of).await.map(IamAnswer::Names),
            IamCall::ListUsers => policies::users(&look()?).await.map(IamAnswer::Names),
            IamCall::PutInlinePolicy { of, name, document } => {
                policies::put(&change()?, of, name, document).await.map(|()| IamAnswer::Done)
            }
            IamCall::CreateVirtualMfaDevice { name } => devices::create(&change()?, name).await,
            IamCall::DeactivateMfaDevice { user, serial } => {
                done(devices::deactivate(&change()?, user, serial).await)
            }
            IamCall::DeleteVirtualMfaDevice { serial } => done(devices::delete(&change()?, serial).await),
            IamCall::EnableMfaDevice { user, serial, codes } => {
                done(devices::enable(&change()?, user, serial, codes).await)
            }
            IamCall::CreateAccessKey => keys::create(&change()?).await.map(IamAnswer::NewAccessKey),
            IamCall::DeleteAccessKey { id } => keys::delete(&change()?, id).await.map(|()| IamAnswer::Done),
            IamCall::GetAccessKeyLastUsed { id } => {
                keys::last_use(&look()?, id).await.map(IamAnswer::LastUse)
            }
            IamCall::UpdateAccessKey { id, active } => {
                keys::set_active(&change()?, id, *active).await.map(|()| IamAnswer::Done)
            }
            IamCall::GetCallerIdentity => {
                self.caller_identity(endpoint, signer).await.map(IamAnswer::CallerIdentity)
            }
            IamCall::GetUser { user } => get_user(&look()?, user.as_deref()).await.map(IamAnswer::User),
            IamCall::ListMfaDevices { user } => {
                devices::list(&look()?, user.as_deref()).await.map(IamAnswer::MfaDevices)
            }
            IamCall::ListUnassignedMfaDevices { name } => {
                devices::list_unassigned(&look()?, name).await.map(IamAnswer::VirtualMfaDevices)
            }
            IamCall::ResyncMfaDevice { user, serial, codes } => {
                done(devices::resync(&change()?, user, serial, codes).await)
            }
        }
    }

    fn iam_client(
        &self,
        endpoint: &Endpoint,
        signer: &Signer,
        retries: Retries,
    ) -> Result<aws_sdk_iam::Client, CallError> {
        let mut config = aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(endpoint.region.clone()))
            .credentials_provider(signing_key(signer))
            .http_client(self.http(endpoint.url.as_deref(), endpoint.ca_bundle.as_ref())?)
            .timeout_config(self.limits().into())
            .retry_config(retries.into())
            .interceptor(self.skew_meter())
            .interceptor(Bounded)
            .use_fips(endpoint.fips)
            .use_dual_stack(endpoint.dual_stack);
        config.set_endpoint_url(endpoint.url.clone());
        Ok(aws_sdk_iam::Client::from_conf(config.build()))
    }
}

async fn get_user(client: &aws_sdk_iam::Client, user: Option<&str>) -> Result<IamUser, CallError> {
    let output = client.get_user().set_user_name(user.map(str::to_owned)).send().await;
    let user = output.map_err(|error| call_error(&error))?.user.ok_or_else(|| missing("a user"))?;
    Ok(IamUser { name: user.user_name, arn: user.arn, created_at: seconds(&user.create_date) })
}

fn done(result: Result<(), CallError>) -> Result<IamAnswer, CallError> {
    result.map(|()| IamAnswer::Done)
}

/// Seconds since the epoch.
fn seconds(time: &DateTime) -> u64 {
    u64::try_from(time.secs()).unwrap_or(0)
}

/// AWS answered, and this was not in it.
fn missing(what: &str) -> CallError {
    CallError::Network {
        problem: NetworkProblem::Unintelligible,
        detail: format!("an answer without {what}"),
        sent: true,
    }
}
