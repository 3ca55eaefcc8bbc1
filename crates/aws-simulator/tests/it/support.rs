//! A small world, and the AWS SDK as its client.

use std::fmt::Debug;
use std::time::Duration;

use aws_sdk_iam::Client as Iam;
use aws_sdk_sts::Client as Sts;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder;
use aws_sdk_sts::operation::get_session_token::builders::GetSessionTokenFluentBuilder;
use aws_simulator::{Role, Simulator, User};

pub const ACCOUNT: &str = "111122223333";
/// When what should happen at once counts as not happening.
pub const LONG: Duration = Duration::from_secs(20);

/// One account with alice, her device, and a role `ops` for her with MFA.
pub struct World {
    pub simulator: Simulator,
    pub alice: User,
    pub serial: String,
    pub ops: String,
}

pub fn world() -> World {
    let simulator = Simulator::start();
    let alice = simulator.user(ACCOUNT, "alice");
    let serial = alice.device("alice");
    let ops = simulator.role(Role::new(ACCOUNT, "ops"));
    World { simulator, alice, serial, ops }
}

/// A key, or a session's three values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(pub String, pub String, pub Option<String>);

impl World {
    pub fn alice_keys(&self) -> Keys {
        Keys(self.alice.access_key_id.clone(), self.alice.secret_access_key.clone(), None)
    }

    pub fn sts(&self, keys: &Keys) -> Sts {
        Sts::from_conf(
            aws_sdk_sts::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::from_static("eu-west-1"))
                .credentials_provider(credentials(keys))
                .endpoint_url(self.simulator.endpoint())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                // The SDK would repeat a throttled call, and correct a wrong clock.
                .retry_config(RetryConfig::disabled())
                .timeout_config(TimeoutConfig::builder().operation_timeout(LONG).build())
                .build(),
        )
    }

    pub fn iam(&self, keys: &Keys) -> Iam {
        Iam::from_conf(
            aws_sdk_iam::Config::builder()
                .behavior_version(aws_sdk_iam::config::BehaviorVersion::latest())
                .region(aws_sdk_iam::config::Region::from_static("us-east-1"))
                .credentials_provider(credentials(keys))
                .endpoint_url(self.simulator.endpoint())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .retry_config(aws_sdk_iam::config::retry::RetryConfig::disabled())
                .build(),
        )
    }

    /// `GetSessionToken` by alice, the second factor still to be filled in.
    pub fn session_token(&self) -> GetSessionTokenFluentBuilder {
        self.sts(&self.alice_keys()).get_session_token()
    }

    /// `GetSessionToken` by alice with her device and this code.
    pub fn session_with(&self, code: &str) -> GetSessionTokenFluentBuilder {
        self.session_token().serial_number(&self.serial).token_code(code)
    }

    /// A session of alice's with MFA.
    pub fn mfa_session(&self) -> Keys {
        let code = self.simulator.unused_code(&self.serial).expect("a code is left");
        let answer = wait(self.session_with(&code).send()).expect("the session is given");
        keys(answer.credentials())
    }

    /// `AssumeRole` of `ops`.
    pub fn assume_ops(&self, keys: &Keys) -> AssumeRoleFluentBuilder {
        self.sts(keys).assume_role().role_arn(&self.ops).role_session_name("test")
    }
}

pub fn keys(credentials: Option<&aws_sdk_sts::types::Credentials>) -> Keys {
    let credentials = credentials.expect("the answer has credentials");
    Keys(
        credentials.access_key_id().to_owned(),
        credentials.secret_access_key().to_owned(),
        Some(credentials.session_token().to_owned()),
    )
}

/// Runs a request to its end.
pub fn wait<T>(request: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(request)
}

/// What a refused request was refused with: status, code, message.
pub type Refusal = (u16, String, String);

/// Runs a request that is refused.
pub fn refusal<T, E>(request: impl Future<Output = Result<T, SdkError<E>>>) -> Refusal
where
    T: Debug,
    E: ProvideErrorMetadata + Debug + std::error::Error + 'static,
{
    let error = wait(request).expect_err("the request is refused");
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    (status, text(error.code()), text(error.message()))
}

/// Checks a refusal word for word.
#[track_caller]
pub fn assert_refused(refusal: &Refusal, status: u16, code: &str, message: &str) {
    assert_eq!((refusal.0, refusal.1.as_str(), refusal.2.trim_end()), (status, code, message.trim_end()));
}

fn credentials(Keys(id, secret, token): &Keys) -> Credentials {
    Credentials::new(id, secret, token.clone(), None, "test")
}
