//! The calls to STS, and the way to AWS. It and `iam.rs` are the only files that name AWS's clients. What comes back is
//! a value or a [`CallError`]; what that means for the person is `explain.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials as SigningKey;
use aws_sdk_sts::config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use aws_smithy_http_client::pool;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::date_time::{DateTime, Format};
use protocol::{CallerIdentity, NetworkProblem, Secret};

use crate::bounded::Bounded;
use crate::ca_bundle::CaBundle;
use crate::configuration::Configuration;
use crate::endpoint::Endpoint;
use crate::platform::Fingerprint;
use crate::profile::{Hop, LongTermKey, RoleContext};
use crate::skew::{Skew, SkewMeter};

/// How long a connection to AWS is kept for the next call. Its buffers keep the last answer, credentials and all, for
/// as long as it is there; the roles of one profile are assumed within this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait for AWS. The SDK itself sets no limit to a whole call.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For a whole call, its retries included.
    pub call: Duration,
}

impl From<&Configuration> for Limits {
    fn from(configuration: &Configuration) -> Self {
        Self {
            connect: Duration::from_secs(configuration.connect_timeout.into()),
            call: Duration::from_secs(configuration.call_timeout.into()),
        }
    }
}

/// What signs a call.
#[derive(Debug, Clone)]
pub struct Signer {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret,
    /// `AWS_SESSION_TOKEN`, for temporary credentials.
    pub session_token: Option<Secret>,
}

impl From<LongTermKey> for Signer {
    fn from(key: LongTermKey) -> Self {
        Self { access_key_id: key.id, secret_access_key: key.secret, session_token: None }
    }
}

/// Temporary credentials as AWS gave them.
#[derive(Debug)]
pub struct Issued {
    /// What they sign with.
    pub signer: Signer,
    /// When AWS stops taking them, by AWS's clock, in seconds since the epoch.
    pub expires_at: u64,
}

/// An MFA code and the device that it is from.
#[derive(Debug, Clone, Copy)]
pub struct Mfa<'a> {
    /// The device.
    pub serial: &'a str,
    /// The code.
    pub code: &'a Secret,
}

/// AWS's words where a role gives no session that lasts as long as was asked for.
pub const TOO_LONG: &str = "DurationSeconds exceeds";

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// AWS answered with an error.
    Aws {
        /// Its code.
        code: String,
        /// Its words.
        message: String,
    },
    /// No answer that can be understood.
    Network {
        /// How it failed.
        problem: NetworkProblem,
        /// The lowest layer's words.
        detail: String,
        /// The request may have reached AWS.
        sent: bool,
    },
    /// The certificates to trust cannot be used.
    CaBundle {
        /// The file.
        file: String,
        /// Why.
        problem: String,
    },
}

impl CallError {
    /// AWS did not take the code: another one may be taken.
    pub fn is_about_the_code(&self) -> bool {
        matches!(self, Self::Aws { message, .. } if message.contains("invalid MFA one time pass code"))
    }

    /// The role gives no sessions that last so long: a shorter one it may give.
    pub fn is_about_the_duration(&self) -> bool {
        matches!(self, Self::Aws { code, message }
            if code == "ValidationError" && message.contains(TOO_LONG))
    }
}

/// The way to AWS. Its parts are built at the first call: an agent that was never asked for anything needs
/// no certificates in memory.
#[derive(Debug)]
pub struct Aws {
    clients: Mutex<Clients>,
    limits: Mutex<Limits>,
    skew: Skew,
}

/// Those that were built.
#[derive(Debug, Default)]
struct Clients {
    /// For plain HTTP.
    plain: Option<SharedHttpClient>,
    /// For https, by the file of certificates that it trusts, as that was.
    https: BTreeMap<Option<PathBuf>, (Option<Fingerprint>, SharedHttpClient)>,
}

impl Aws {
    /// A way to AWS. Nothing is opened yet.
    pub fn new() -> Self {
        Self {
            clients: Mutex::default(),
            limits: Mutex::new(Limits::from(&Configuration::default())),
            skew: Skew::default(),
        }
    }

    /// A way that leads to whatever this client answers.
    #[cfg(any(test, fuzzing))]
    pub fn through(http: SharedHttpClient) -> Self {
        let https = BTreeMap::from([(None, (None, http.clone()))]);
        Self { clients: Mutex::new(Clients { plain: Some(http), https }), ..Self::new() }
    }

    /// From here on, calls take no longer than this.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// How long a call may take.
    pub fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// AWS's clock minus this machine's, in seconds, by the latest reply.
    pub fn skew(&self) -> Option<i64> {
        self.skew.get()
    }

    /// `sts:GetSessionToken`. A code goes out at most once: no retries.
    pub async fn get_session_token(
        &self,
        endpoint: &Endpoint,
        signer: &Signer,
        mfa: Mfa<'_>,
        duration: u32,
    ) -> Result<Issued, CallError> {
        let output = aws_sdk_sts::Client::from_conf(self.sts(endpoint, signer, Retries::None)?)
            .get_session_token()
            .serial_number(mfa.serial)
            .token_code(mfa.code.expose())
            .duration_seconds(i32::try_from(duration).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        issued(output.credentials)
    }

    /// `sts:AssumeRole`; with a code at most once, else with retries.
    pub async fn assume_role(
        &self,
        endpoint: &Endpoint,
        signer: &Signer,
        hop: &Hop,
        duration: u32,
        mfa: Option<Mfa<'_>>,
    ) -> Result<Issued, CallError> {
        let retries = if mfa.is_some() { Retries::None } else { Retries::Standard };
        // An empty list is no parameter.
        let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        let RoleContext { tags, transitive_tags, source_identity, policy_arns } = &hop.context;
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags = tags.collect::<Result<Vec<_>, _>>().unwrap_or_default();
        let policies = policy_arns.iter().map(|arn| PolicyDescriptorType::builder().arn(arn).build());
        let output = aws_sdk_sts::Client::from_conf(self.sts(endpoint, signer, retries)?)
            .assume_role()
            .role_arn(&hop.role_arn)
            .role_session_name(&hop.session_name)
            .set_external_id(hop.external_id.clone())
            .set_tags((!tags.is_empty()).then_some(tags))
            .set_transitive_tag_keys(some(transitive_tags))
            .set_source_identity(source_identity.clone())
            .set_policy_arns((!policy_arns.is_empty()).then(|| policies.collect()))
            .duration_seconds(i32::try_from(duration).unwrap_or(i32::MAX))
            .set_serial_number(mfa.map(|mfa| mfa.serial.to_owned()))
            .set_token_code(mfa.map(|mfa| mfa.code.expose().to_owned()))
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        issued(output.credentials)
    }

    /// Whose key it is (`sts:GetCallerIdentity`, which no policy can deny).
    pub async fn caller_identity(
        &self,
        endpoint: &Endpoint,
        signer: &Signer,
    ) -> Result<CallerIdentity, CallError> {
        let output = aws_sdk_sts::Client::from_conf(self.sts(endpoint, signer, Retries::Standard)?)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        Ok(CallerIdentity {
            account: output.account.unwrap_or_default(),
            arn: output.arn.unwrap_or_default(),
        })
    }

    /// `sts:GetFederationToken`, by a long-term key: a session that may do what this policy and the user's own both
    /// allow.
    pub async fn get_federation_token(
        &self,
        endpoint: &Endpoint,
        signer: &Signer,
        name: &str,
        policy: &str,
        duration: u32,
    ) -> Result<Issued, CallError> {
        let output = aws_sdk_sts::Client::from_conf(self.sts(endpoint, signer, Retries::Standard)?)
            .get_federation_token()
            .name(name)
            .policy(policy)
            .duration_seconds(i32::try_from(duration).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        issued(output.credentials)
    }

    fn sts(
        &self,
        endpoint: &Endpoint,
        signer: &Signer,
        retries: Retries,
    ) -> Result<aws_sdk_sts::Config, CallError> {
        let mut config = aws_sdk_sts::Config::builder()
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
        Ok(config.build())
    }

    /// What learns AWS's clock from every answer.
    pub fn skew_meter(&self) -> SkewMeter {
        SkewMeter(self.skew.clone())
    }

    /// The way to a URL; to none, for one of AWS's own. Certificates that have changed are read anew.
    pub fn http(
        &self,
        url: Option<&str>,
        ca_bundle: Option<&CaBundle>,
    ) -> Result<SharedHttpClient, CallError> {
        let plain = url.is_some_and(|url| url.starts_with("http://"));
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if plain {
            if let Some(client) = &clients.plain {
                return Ok(client.clone());
            }
            // For this machine alone; a proxy would carry it elsewhere.
            let client = client(ProxyConfig::disabled(), TrustStore::empty())?;
            clients.plain = Some(client.clone());
            return Ok(client);
        }
        // Before it is read: a change in between is seen at the next look.
        let fingerprint = ca_bundle.and_then(CaBundle::fingerprint);
        let file = ca_bundle.map(|bundle| bundle.file.clone());
        match clients.https.get(&file) {
            Some((known, client)) if *known == fingerprint => return Ok(client.clone()),
            _ => {}
        }
        let trust = ca_bundle.map_or_else(|| Ok(TrustStore::default()), CaBundle::read)?;
        let client = client(ProxyConfig::from_env(), trust)?;
        clients.https.insert(file, (fingerprint, client.clone()));
        Ok(client)
    }
}

fn client(proxy: ProxyConfig, trust: TrustStore) -> Result<SharedHttpClient, CallError> {
    let build_failed = |error: &(dyn std::error::Error + 'static)| CallError::Network {
        problem: NetworkProblem::Unreachable,
        detail: lowest(error),
        sent: false,
    };
    let context =
        TlsContext::builder().with_trust_store(trust).build().map_err(|error| build_failed(&error))?;
    let pool = pool::ConnectionPool::builder()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .proxy_config(proxy)
        .idle_timeout(IDLE_TIMEOUT)
        .build_https()
        .map_err(|error| build_failed(&error))?;
    let client = pool::Client::new(&pool).map_err(|error| build_failed(&error))?;
    Ok(SharedHttpClient::new(client))
}

/// What is done where an answer does not come, or is one to come back later.
#[derive(Clone, Copy)]
pub enum Retries {
    /// For a call that carries a code: AWS takes each once, so a second sending turns a lost answer into a
    /// refusal. And for one that makes or changes something, which must not happen twice.
    None,
    /// Three attempts for throttling, 5xx and broken connections.
    Standard,
}

impl From<Retries> for RetryConfig {
    fn from(retries: Retries) -> Self {
        match retries {
            Retries::None => Self::disabled(),
            Retries::Standard => Self::standard(),
        }
    }
}

impl From<Limits> for TimeoutConfig {
    fn from(limits: Limits) -> Self {
        Self::builder().connect_timeout(limits.connect).operation_timeout(limits.call).build()
    }
}

/// A signer as AWS's clients take it.
pub fn signing_key(signer: &Signer) -> SigningKey {
    SigningKey::new(
        signer.access_key_id.clone(),
        signer.secret_access_key.expose().to_owned(),
        signer.session_token.as_ref().map(|token| token.expose().to_owned()),
        None,
        "mfa-agent",
    )
}

fn issued(credentials: Option<aws_sdk_sts::types::Credentials>) -> Result<Issued, CallError> {
    let unintelligible = |detail: &str| CallError::Network {
        problem: NetworkProblem::Unintelligible,
        detail: detail.to_owned(),
        sent: true,
    };
    let credentials = credentials.ok_or_else(|| unintelligible("an answer without credentials"))?;
    let expires_at = u64::try_from(credentials.expiration.secs())
        .map_err(|_| unintelligible("an expiration before 1970"))?;
    // What no shell would be given is no session: better known now than after a code was spent for nothing.
    let base64 = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    };
    let id = |text: &str| {
        text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !id(&credentials.access_key_id)
        || !base64(&credentials.secret_access_key)
        || !base64(&credentials.session_token)
    {
        return Err(unintelligible("credentials that are none of AWS's"));
    }
    Ok(Issued {
        signer: Signer {
            access_key_id: credentials.access_key_id,
            secret_access_key: Secret::new(credentials.secret_access_key),
            session_token: Some(Secret::new(credentials.session_token)),
        },
        expires_at,
    })
}

/// A time as the SDKs and the shells want it: RFC 3339, UTC, `Z`.
pub fn rfc3339(seconds: u64) -> String {
    let time = DateTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    time.fmt(Format::DateTime).unwrap_or_default()
}

/// Why a call failed.
pub fn call_error<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
) -> CallError {
    let network = |problem, detail: String, sent| CallError::Network { problem, detail, sent };
    match error {
        SdkError::ServiceError(service) => {
            let metadata = service.err().meta();
            let status = service.raw().status().as_u16();
            let message = metadata.message().unwrap_or_default().trim().to_owned();
            match metadata.code() {
                Some("Throttling" | "ThrottlingException" | "RequestLimitExceeded") => {
                    network(NetworkProblem::Throttled, message, false)
                }
                _ if status >= 500 => {
                    network(NetworkProblem::ServerError, format!("HTTP status {status}"), true)
                }
                Some(code) => CallError::Aws { code: code.to_owned(), message },
                None => network(
                    NetworkProblem::Unintelligible,
                    format!("HTTP status {status}, no AWS error"),
                    true,
                ),
            }
        }
        other => no_answer(other),
    }
}

/// Why no answer came that can be understood.
pub fn no_answer<E: std::error::Error + 'static>(
    error: &SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
) -> CallError {
    let network = |problem, detail: String, sent| CallError::Network { problem, detail, sent };
    match error {
        SdkError::TimeoutError(_) => network(NetworkProblem::TimedOut, String::new(), true),
        SdkError::DispatchFailure(failure) => {
            let detail = failure
                .as_connector_error()
                .map_or_else(|| "no connection".to_owned(), |error| lowest(error));
            // The words of rustls for whatever it does not trust.
            let untrusted = detail.starts_with("invalid peer certificate");
            // Without a connection nothing went out.
            let sent = failure.as_connector_error().is_none_or(|error| error.connection_metadata().is_some());
            if failure.is_timeout() {
                network(NetworkProblem::TimedOut, detail, sent)
            } else if untrusted {
                network(NetworkProblem::Untrusted, detail, false)
            } else {
                network(NetworkProblem::Unreachable, detail, sent)
            }
        }
        SdkError::ResponseError(_) => network(NetworkProblem::Unintelligible, lowest(error), true),
        other => network(NetworkProblem::Unintelligible, lowest(other), false),
    }
}

/// The words of the innermost cause: "Connection refused (os error 111)" rather than "dispatch failure".
fn lowest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut lowest = error;
    while let Some(source) = lowest.source() {
        lowest = source;
    }
    lowest.to_string()
}
