//! What must hold for whatever stands in the person's files and comes from the network, for the fuzzers and for the
//! tests.

use std::fmt::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use protocol::{AwsMfa, IamCall, NetworkProblem, Refusal, SESSION_SECONDS, Secret};
use tokio::runtime::Runtime;

use crate::configuration::{Configuration, Rules};
use crate::endpoint::Endpoint;
use crate::explain::Call;
use crate::profile::{ConfigFiles, Plan, ROLE_BOUNDS, Serial};
use crate::sts::{Aws, CallError, Issued, Mfa, Signer};
use crate::{live, profile};

/// The clock that waits are counted by. Nothing is waited for.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a clock needs nothing")
});

/// Any `config.toml` is one that is within its bounds, or a problem in one line that is in the file.
pub fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Configuration::parse(text) {
        Ok(configuration) => {
            let profiles = configuration.profile.values().map(|settings| settings.duration);
            for duration in profiles.chain([configuration.duration]).flatten() {
                assert!(SESSION_SECONDS.contains(&duration), "{duration}");
            }
            let rules = Rules::from(&configuration);
            for some in [Vec::new(), configuration.profile.keys().cloned().collect()] {
                let spans = rules.notify_before(&some);
                assert!(spans.is_sorted_by(|one, other| one > other), "{spans:?}");
                assert!(spans.iter().all(|seconds| *seconds > 0), "{spans:?}");
                assert_ne!(rules.lock_on(&some).idle, Some(0));
            }
        }
        Err((line, problem)) => {
            let lines = text.matches('\n').count() + 1;
            assert!(
                line.is_none_or(|line| (1..=lines).contains(&(line as usize))),
                "line {line:?} of {lines}"
            );
            assert!(!problem.is_empty() && !problem.contains('\n'), "{problem:?}");
        }
    }
}

/// Any pair of AWS files is worked out or refused, profile by profile: what is sent to AWS then is of AWS's own
/// alphabets, and no secret is in what is told of it. The input is both texts, with 0x1e between them.
pub fn aws_config(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let (config, credentials) = input.split_once('\u{1e}').unwrap_or((input, ""));
    let secrets = || {
        let values = [config, credentials].into_iter().flat_map(secrets);
        values.filter(|value| input.matches(value).count() == 1)
    };
    let files = match at_once(ConfigFiles::of_texts(config.to_owned(), credentials.to_owned())) {
        Some(Ok(files)) => files,
        Some(Err(Refusal::Unparseable { file, line, problem })) => {
            assert!(secrets().all(|secret| !problem.contains(secret)), "{problem}");
            let text = if file == "config" { config } else { credentials };
            let lines = text.matches(['\n', '\r']).count() + 1;
            return assert!(line.is_none_or(|line| line as usize <= lines), "line {line:?} of {lines}");
        }
        other => panic!("{other:?}"),
    };
    let names: Vec<String> = files.names().map(str::to_owned).collect();
    let mut told = String::new();
    for name in &names {
        let plan = profile::plan(&files, name);
        if let Ok(plan) = &plan {
            check_plan(plan);
        }
        let wanted = AwsMfa {
            profile: name.strip_suffix("-long-term").unwrap_or(name).to_owned(),
            key_section: name.clone(),
            serial: None,
            role_arn: None,
            role_session_name: None,
            duration: None,
        };
        let aws_mfa = profile::plan_aws_mfa(&files, &wanted);
        let _ = write!(told, "{plan:?}{aws_mfa:?}{:?}", profile::region(&files, name));
    }
    let _ = write!(told, "{:?}{:?}", profile::list(&files, None), profile::sections(&files, &names));
    let _ = write!(told, "{files:?}{:?}", profile::wins_over_live(&files));
    for secret in secrets() {
        assert!(!told.contains(secret), "{secret} is in {told}");
    }
}

/// The values of a file that must not be told.
fn secrets(text: &str) -> impl Iterator<Item = &str> {
    let values = text.split('\n').filter_map(|line| line.strip_prefix("aws_secret_access_key = "));
    values.filter(|value| {
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        value.len() >= 16 && plain
    })
}

fn check_plan(plan: &Plan) {
    let in_region = |region: &Option<String>| {
        region.as_deref().is_none_or(|name| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        })
    };
    assert!(!plan.user.key_id.is_empty() && !plan.user.key_id.starts_with("ASIA"), "{plan:?}");
    assert!(in_region(&plan.region) && in_region(&plan.user.target.region), "{plan:?}");
    if let Serial::Configured(serial) = &plan.serial {
        assert!((9..=256).contains(&serial.len()) && serial.is_ascii(), "{plan:?}");
    }
    assert!(plan.duration.is_none_or(|seconds| SESSION_SECONDS.contains(&seconds)), "{plan:?}");
    for hop in &plan.hops {
        assert!(hop.role_arn.starts_with("arn:") && in_region(&hop.region), "{plan:?}");
        assert!((2..=64).contains(&hop.session_name.len()) && hop.session_name.is_ascii(), "{plan:?}");
        assert!(hop.duration.is_none_or(|seconds| ROLE_BOUNDS.contains(&seconds)), "{plan:?}");
        assert!(hop.context.tags.len() <= 50 && hop.context.policy_arns.len() <= 10, "{plan:?}");
    }
}

/// Any answer is credentials that a shell can be given, or an error that quotes none. The input is a status, lines of
/// headers, an empty line, and the body.
pub fn aws_answer(input: &[u8]) {
    let Some(answer) = Answer::read(input) else { return };
    let http = http_client_fn({
        let answer = answer.clone();
        move |_, _| SharedHttpConnector::new(answer.clone())
    });
    let aws = Aws::through(SharedHttpClient::new(http));
    let endpoint = Endpoint {
        region: "eu-central-1".to_owned(),
        url: Some("http://127.0.0.1:1".to_owned()),
        ..Endpoint::default()
    };
    let signer = Signer {
        access_key_id: "AKIAEXAMPLEEXAMPLE00".to_owned(),
        secret_access_key: Secret::new("secret".to_owned()),
        session_token: None,
    };
    let code = Secret::new("123456".to_owned());
    let mfa = Mfa { serial: "arn:aws:iam::1:mfa/alice", code: &code };

    let session = at_once(aws.get_session_token(&endpoint, &signer, mfa, 3_600));
    match session.expect("a call with a code is not retried") {
        Ok(issued) => check_issued(&issued),
        Err(error) => check_error(error, &answer, true),
    }
    let calls =
        [IamCall::GetCallerIdentity, IamCall::GetUser { user: None }, IamCall::ListMfaDevices { user: None }];
    for call in calls {
        // It may be made again after a while: not here.
        if let Some(Err(error)) = at_once(aws.iam(&endpoint, &signer, &call)) {
            check_error(error, &answer, false);
        }
    }
    let _ = aws.skew();
}

/// An answer of AWS's, for whatever is asked.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// None where it is no HTTP, which the HTTP library refuses.
    fn read(input: &[u8]) -> Option<Self> {
        let end = input.windows(2).position(|two| two == b"\n\n")?;
        let mut lines = std::str::from_utf8(&input[..end]).ok()?.split('\n');
        let status = lines.next()?.parse().ok().filter(|status| (100..1_000).contains(status))?;
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(": ")?;
            hyper::header::HeaderName::from_bytes(name.as_bytes()).ok()?;
            hyper::header::HeaderValue::from_str(value).ok()?;
            headers.push((name.to_owned(), value.to_owned()));
        }
        Some(Self { status, headers, body: input[end + 2..].to_vec() })
    }
}

impl HttpConnector for Answer {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        let status = self.status.try_into().expect("a status by its number");
        let mut response = HttpResponse::new(status, SdkBody::from(self.body.clone()));
        for (name, value) in self.headers.clone() {
            response.headers_mut().append(name, value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

fn check_issued(issued: &Issued) {
    let Signer { access_key_id, secret_access_key, session_token } = &issued.signer;
    let token = session_token.as_ref().expect("they are temporary");
    assert!(access_key_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    for secret in [secret_access_key, token] {
        let text = secret.expose();
        assert!(!text.is_empty());
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)));
    }
    let shown = format!("{issued:?}");
    for secret in [secret_access_key.expose(), token.expose()] {
        let elsewhere = access_key_id.contains(secret) || secret.len() < 16;
        assert!(elsewhere || !shown.contains(secret), "{shown}");
    }
}

fn check_error(error: CallError, answer: &Answer, with_code: bool) {
    if let CallError::Network { problem: NetworkProblem::Unintelligible, detail, .. } = &error {
        // Whatever could not be read may be credentials. Shorter than that are words of our own.
        let quoted =
            answer.body.windows(40).any(|part| detail.as_bytes().windows(40).any(|other| other == part));
        assert!(!quoted, "{detail}");
    }
    let call = Call {
        action: "sts:GetSessionToken",
        endpoint: String::new(),
        code_of: with_code.then_some("serial"),
        key: None,
        role: None,
        skew: None,
    };
    let _ = call.explain(error);
}

/// Any bytes on the port of live access get one answer or none, and no credentials unless they are a plain question:
/// a GET with one `Host` of ours, one `Authorization`, and nothing of a browser or a proxy.
pub fn live_http(input: &[u8]) {
    let own = SocketAddr::from(([127, 0, 0, 1], 4242));
    let answer = RUNTIME.block_on(live::answer_to(input, own));
    let text = String::from_utf8_lossy(&answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    assert!(answer.is_empty() || status.is_some(), "{text}");
    assert_eq!(text.matches("HTTP/1.").count(), usize::from(status.is_some()), "{text}");
    if status != Some("200") {
        return;
    }
    let text = String::from_utf8_lossy(input).to_lowercase();
    // Empty lines may come before the first one.
    let head = text.trim_start_matches(['\r', '\n']).split('\n').map(|line| line.trim_end_matches('\r'));
    let head: Vec<&str> = head.take_while(|line| !line.is_empty()).collect();
    let values = |name: &str| {
        let found = head.iter().filter_map(|line| line.split_once(':')).filter(|(key, _)| *key == name);
        found.map(|(_, value)| value.trim().to_owned()).collect::<Vec<_>>()
    };
    assert!(head[0].starts_with("get /"), "{head:?}");
    assert!(
        matches!(values("host").as_slice(), [host] if ["127.0.0.1:4242", "localhost:4242"].contains(&host.as_str()))
    );
    assert_eq!(values("authorization").len(), 1, "{head:?}");
    for foreign in ["origin", "via", "forwarded", "x-forwarded-for", "sec-fetch-site", "transfer-encoding"] {
        assert!(values(foreign).is_empty(), "{head:?}");
    }
}

/// What a future comes to that waits for nothing but time; none where it does wait.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let _clock = RUNTIME.enter();
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_stands_in_config_toml_is_within_its_bounds_or_refused() {
        corpus::replay("configuration", 4_000, super::configuration);
    }

    #[test]
    fn whatever_stands_in_the_aws_files_is_worked_out_or_refused() {
        corpus::replay("aws_config", 4_000, super::aws_config);
    }

    #[test]
    fn whatever_aws_answers_is_credentials_or_an_error() {
        corpus::replay("aws_answer", 1_000, super::aws_answer);
    }

    #[test]
    fn whatever_asks_for_live_access_is_answered_once_or_not_at_all() {
        corpus::replay("live_http", 4_000, super::live_http);
    }
}
