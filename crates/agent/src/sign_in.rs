//! The AWS console's sign-in: temporary credentials become a token, and the token a link.

use std::convert::Infallible;
use std::fmt;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::{BodyExt, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use protocol::{NetworkProblem, Refusal, Secret};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::ca_bundle::CaBundle;
use crate::endpoint::{self, Partition};
use crate::environment::{Environment, without_password};
use crate::sts::{Aws, CallError, Signer, no_answer};

/// Where the endpoint does all of it.
const PATH: &str = "/federation";

/// How many bytes an answer may have. AWS's have some two thousand.
const ANSWER_BYTES: usize = 16 * 1024;

/// For how long AWS takes a link, in seconds.
pub const OPENS_FOR: u32 = 15 * 60;

/// What stands in a link as it is; the rest is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where one signs in, and where one is then.
#[derive(Debug)]
pub struct SignIn {
    /// The endpoint, without a slash at its end.
    base: String,
    /// The console's host.
    console: &'static str,
    /// The certificates that are trusted there, where not the system's.
    ca_bundle: Option<CaBundle>,
}

/// Whether a text is a service as the console's addresses name it.
pub fn is_service(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

impl SignIn {
    /// Those of a partition. `MFA_AGENT_SIGNIN_ENDPOINT` wins, as far as credentials may go there.
    pub fn new(
        environment: &Environment,
        profile: &str,
        partition: Partition,
        ca_bundle: Option<CaBundle>,
    ) -> Result<Self, Refusal> {
        let (host, console) = match partition {
            Partition::Aws => ("https://signin.aws.amazon.com", "console.aws.amazon.com"),
            Partition::China => ("https://signin.amazonaws.cn", "console.amazonaws.cn"),
            Partition::GovCloud => ("https://signin.amazonaws-us-gov.com", "console.amazonaws-us-gov.com"),
        };
        let host = environment.sign_in_endpoint.as_deref().unwrap_or(host);
        endpoint::check(profile, "MFA_AGENT_SIGNIN_ENDPOINT", host)?;
        Ok(Self { base: host.trim_end_matches('/').to_owned(), console, ca_bundle })
    }

    /// The endpoint in an error's words.
    pub fn describe(&self) -> String {
        without_password("", &self.base)
    }

    /// The link: the page of a service, in a region.
    pub fn link(&self, token: &Secret, service: Option<&str>, region: Option<&str>) -> Secret {
        let escape = |text| utf8_percent_encode(text, ESCAPED);
        let region = region.map(|region| format!("?region={}", escape(region))).unwrap_or_default();
        let page = format!("https://{}/{}/home{region}", self.console, service.unwrap_or("console"));
        Secret::new(format!(
            "{}{PATH}?Action=login&Issuer=mfa-agent&Destination={}&SigninToken={}",
            self.base,
            escape(&page),
            escape(token.expose())
        ))
    }
}

impl Aws {
    /// A sign-in token for the credentials of a role or of `GetFederationToken`. They go in the request's body:
    /// proxies and servers write addresses down. `SessionDuration` is left out, as AWS refuses it for a role that was
    /// assumed from a session, and for a federated user: the console's session ends with the credentials.
    pub async fn sign_in_token(&self, sign_in: &SignIn, signer: &Signer) -> Result<Secret, CallError> {
        let Answer { status, body } = timeout(self.limits().call, self.post(sign_in, form(signer)))
            .await
            .unwrap_or_else(|_| Err(network(NetworkProblem::TimedOut, String::new())))?;
        match status {
            200 => token(&body).ok_or_else(|| {
                network(NetworkProblem::Unintelligible, "an answer without a sign-in token".to_owned())
            }),
            400..500 => Err(CallError::Aws {
                code: format!("HTTP status {status}"),
                message: "it does not take these credentials".to_owned(),
            }),
            500.. => Err(network(NetworkProblem::ServerError, format!("HTTP status {status}"))),
            _ => Err(network(NetworkProblem::Unintelligible, format!("HTTP status {status}"))),
        }
    }

    async fn post(&self, sign_in: &SignIn, form: Secret) -> Result<Answer, CallError> {
        let operation = Operation::builder()
            .service_name("signin")
            .operation_name("getSigninToken")
            .http_client(self.http(Some(&sign_in.base), sign_in.ca_bundle.as_ref())?)
            .endpoint_url(&sign_in.base)
            .no_auth()
            .no_retry()
            .timeout_config(self.limits().into())
            .serializer(|form: Secret| {
                let mut request = HttpRequest::new(SdkBody::from(form.expose()));
                request.set_method("POST")?;
                request.set_uri(PATH)?;
                let headers = request.headers_mut();
                headers.insert("content-type", "application/x-www-form-urlencoded");
                headers.insert("content-length", form.expose().len().to_string());
                headers.insert("accept", "application/json");
                Ok(request)
            })
            .deserializer_impl::<Response, Infallible>(Unread)
            .build();
        let Response { status, body } = operation.invoke(form).await.map_err(|error| no_answer(&error))?;
        let body = Limited::new(body, ANSWER_BYTES).collect().await.map_err(|error| {
            network(NetworkProblem::Unintelligible, format!("its answer cannot be read: {error}"))
        })?;
        Ok(Answer { status, body: Secret::new(String::from_utf8_lossy(&body.to_bytes()).into_owned()) })
    }
}

/// An answer.
struct Answer {
    status: u16,
    body: Secret,
}

/// An answer whose body is still to come. The SDK would read it whole, however long it is.
struct Response {
    status: u16,
    body: SdkBody,
}

impl fmt::Debug for Response {
    /// Without the body: the sign-in token is in it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Takes the body over unread.
#[derive(Debug)]
struct Unread;

impl DeserializeResponse for Unread {
    fn deserialize_streaming_with_config(
        &self,
        response: &mut HttpResponse,
        _settings: &ConfigBag,
    ) -> Option<Result<Output, OrchestratorError<Error>>> {
        let status = response.status().as_u16();
        Some(Ok(Output::erase(Response { status, body: response.take_body() })))
    }
}

fn network(problem: NetworkProblem, detail: String) -> CallError {
    CallError::Network { problem, detail, sent: true }
}

fn form(signer: &Signer) -> Secret {
    #[derive(Serialize)]
    struct Session<'a> {
        #[serde(rename = "sessionId")]
        id: &'a str,
        #[serde(rename = "sessionKey")]
        key: &'a Secret,
        #[serde(rename = "sessionToken")]
        token: Option<&'a Secret>,
    }
    let session = Session {
        id: &signer.access_key_id,
        key: &signer.secret_access_key,
        token: signer.session_token.as_ref(),
    };
    // Texts alone: that cannot fail.
    let session = Secret::new(serde_json::to_string(&session).unwrap_or_default());
    Secret::new(format!("Action=getSigninToken&Session={}", utf8_percent_encode(session.expose(), ESCAPED)))
}

fn token(body: &Secret) -> Option<Secret> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Token {
        signin_token: Secret,
    }
    let Token { signin_token } = serde_json::from_str(body.expose()).ok()?;
    let token = signin_token.expose();
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then_some(signin_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_partitions_console_and_escapes_what_it_is_made_of() {
        let token = Secret::new("a+b/c=&d".to_owned());
        for (partition, sign_in, console) in [
            (Partition::Aws, "signin.aws.amazon.com", "console.aws.amazon.com"),
            (Partition::China, "signin.amazonaws.cn", "console.amazonaws.cn"),
            (Partition::GovCloud, "signin.amazonaws-us-gov.com", "console.amazonaws-us-gov.com"),
        ] {
            let found = SignIn::new(&Environment::default(), "dev", partition, None).unwrap();
            assert_eq!(
                found.link(&token, Some("s3"), Some("eu-west-1")).expose(),
                format!(
                    "https://{sign_in}/federation?Action=login&Issuer=mfa-agent\
                     &Destination=https%3A%2F%2F{console}%2Fs3%2Fhome%3Fregion%3Deu-west-1\
                     &SigninToken=a%2Bb%2Fc%3D%26d"
                )
            );
        }
    }

    #[test]
    fn credentials_go_to_https_or_this_machine() {
        for (endpoint, good) in [
            ("http://127.0.0.1:1", true),
            ("https://signin.example/", true),
            ("http://signin.example", false),
        ] {
            let mut environment = Environment::default();
            environment.sign_in_endpoint = Some(endpoint.to_owned());
            assert_eq!(SignIn::new(&environment, "dev", Partition::Aws, None).is_ok(), good, "{endpoint}");
        }
    }

    #[test]
    fn a_service_is_a_word_of_an_address() {
        for good in ["s3", "ec2", "systems-manager"] {
            assert!(is_service(good), "{good}");
        }
        for bad in ["", "S3", "../x", "s3?x=1", "s3#", "ä", &"a".repeat(65)] {
            assert!(!is_service(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        let token = |text: &str| token(&Secret::new(text.to_owned()));
        assert_eq!(token(r#"{"SigninToken":"abc"}"#).unwrap().expose(), "abc");
        for bad in ["", "<html>", "{}", r#"{"SigninToken":""}"#, r#"{"SigninToken":"a b"}"#] {
            assert!(token(bad).is_none(), "{bad}");
        }
    }
}
