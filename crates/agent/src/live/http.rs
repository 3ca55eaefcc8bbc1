//! The SDKs' container-credentials protocol: one GET, one answer, on 127.0.0.1. Whoever can connect is nobody yet:
//! the kernel says whose connection it is, the headers say that no browser or proxy stands in between, and the
//! token says which grant it is.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, RETRY_AFTER, VIA,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::{Refusal, Secret};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::number_of;
use crate::platform;
use crate::sessions::Sessions;

/// How many connections are served at once; more wait in the socket's queue.
const CONNECTIONS: usize = 256;

/// How long a request's head may take to arrive.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long a connection may last in all.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// How many bytes a request's head may have. The SDKs' are below 1 KiB.
const HEAD_BYTES: usize = 8 * 1024;

/// How many headers a request may have.
const HEADERS: usize = 64;

/// How long to leave off after the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a browser or a proxy adds. No SDK does.
const FOREIGN: [HeaderName; 9] = [
    ORIGIN,
    FORWARDED,
    VIA,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("proxy-connection"),
];

type Answer = Response<Full<Bytes>>;

/// Serves whatever is granted, for as long as the agent lives: there is a socket while there are grants.
pub async fn serve(sessions: Arc<Sessions>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let changed = sessions.grants_changed();
        let listener = sessions.state().grants.listener();
        let Some(listener) = listener else {
            changed.await;
            continue;
        };
        let Ok(place) = places.clone().acquire_owned().await else { return };
        tokio::select! {
            () = changed => {}
            accepted = listener.accept() => match accepted {
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                Ok((stream, peer)) => {
                    let Ok(own) = listener.local_addr() else { continue };
                    // Somebody else's connection is closed without a word.
                    if platform::is_own_connection(peer, own) {
                        let sessions = sessions.clone();
                        tokio::spawn(async move {
                            let _ = timeout(CONNECTION_TIME, converse(stream, own, sessions)).await;
                            drop(place);
                        });
                    }
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, own: SocketAddr, sessions: Arc<Sessions>) {
    let _ = stream.set_nodelay(true);
    converse_over(stream, |request| {
        let sessions = sessions.clone();
        async move { answer(&request, own, &sessions).await }
    })
    .await;
}

/// One request, and its answer.
async fn converse_over<S, F>(stream: S, answer: impl Fn(Request<Incoming>) -> F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // What fails here is a client that went away or was cut off. One request a connection: whatever is sent
    // behind it is not read.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(2 * HEAD_BYTES)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: &Request<Incoming>, own: SocketAddr, sessions: &Arc<Sessions>) -> Answer {
    let (number, token) = match admit(request, own) {
        Ok(admitted) => admitted,
        Err(refused) => return refused,
    };
    match sessions.live_credentials(number, token).await {
        None => refuse(StatusCode::UNAUTHORIZED, "Unauthorized", "this token opens nothing here"),
        Some(Ok(credentials)) => json(StatusCode::OK, &credentials),
        Some(Err(problem)) => {
            let (status, code, message) = words(&problem);
            refuse(status, code, &message)
        }
    }
}

/// What is asked for and the token, where the request may be answered at all.
fn admit(request: &Request<Incoming>, own: SocketAddr) -> Result<(u64, &[u8]), Answer> {
    let forbidden = |message: &str| Err(refuse(StatusCode::FORBIDDEN, "Forbidden", message));
    if request.method() != Method::GET {
        let mut refused = refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "GET alone is answered");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Err(refused);
    }
    let headers = request.headers();
    let hosts = [format!("127.0.0.1:{}", own.port()), format!("localhost:{}", own.port())];
    match single(headers, &HOST) {
        Some(host) if hosts.iter().any(|ours| ours.as_bytes().eq_ignore_ascii_case(host)) => {}
        // A name that leads here for a moment (DNS rebinding) is in `Host` as what it is.
        _ => return forbidden("Host must be 127.0.0.1 or localhost, with the port"),
    }
    // `GET http://elsewhere/` is meant for a proxy.
    if request.uri().authority().is_some() || request.version() < Version::HTTP_10 {
        return forbidden("this is no proxy");
    }
    if FOREIGN.iter().any(|name| headers.contains_key(name)) {
        return forbidden("browsers and proxies are not answered");
    }
    if !request.body().is_end_stream() {
        return Err(refuse(StatusCode::BAD_REQUEST, "BadRequest", "a GET has no body"));
    }
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let Some(number) = number_of(path) else {
        return Err(refuse(StatusCode::NOT_FOUND, "NotFound", "there is nothing here"));
    };
    match single(headers, &AUTHORIZATION) {
        Some(token) => Ok((number, token)),
        None => Err(refuse(StatusCode::UNAUTHORIZED, "Unauthorized", "one Authorization token is needed")),
    }
}

/// What is answered to these bytes, by one who takes any token that comes to him.
#[cfg(any(test, fuzzing))]
pub async fn answer_to(bytes: &[u8], own: SocketAddr) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(bytes).await.expect("it is read, or there is room for it");
    client.shutdown().await.expect("it is open");
    converse_over(server, |request| async move {
        admit(&request, own).map_or_else(|refused| refused, |_| json(StatusCode::OK, &()))
    })
    .await;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("it is closed");
    answer
}

/// The value of a header that is there once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

/// What the SDKs read.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LiveCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret,
    /// `AWS_SESSION_TOKEN`.
    pub token: Secret,
    /// RFC 3339, UTC, `Z`.
    pub expiration: String,
}

/// Why a program that may ask gets nothing.
#[derive(Debug)]
pub enum LiveProblem {
    /// The grant was ended.
    LoggedOut {
        /// Its profile.
        profile: String,
    },
    /// A code is needed first.
    NoSession {
        /// The profile.
        profile: String,
        /// There was a session, and it has expired.
        expired: bool,
    },
    /// The role is being renewed.
    Renewing {
        /// The profile.
        profile: String,
    },
    /// It cannot be had.
    Refused(Refusal),
}

impl From<Refusal> for LiveProblem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An error as the SDKs show it: boto and the AWS CLI print the whole body, the others these two.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Problem<'a> {
    code: &'a str,
    message: &'a str,
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    json(status, &Problem { code, message })
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // What is freed is wiped, by the allocator.
    let body = protocol::frame::encode(value).map(|line| Bytes::copy_from_slice(&line)).unwrap_or_default();
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// A problem in the words that a person reads behind an SDK's own, with the command that mends it.
fn words(problem: &LiveProblem) -> (StatusCode, &'static str, String) {
    // 5xx is what may be better in a second; the rest waits for a person.
    let (later, person) = (StatusCode::SERVICE_UNAVAILABLE, StatusCode::FORBIDDEN);
    match problem {
        LiveProblem::LoggedOut { profile } => (
            person,
            "LoggedOut",
            format!("mfa-agent logged {profile} out: log in, and start this program again with live access"),
        ),
        LiveProblem::NoSession { profile, expired } => {
            let what = if *expired { "the session has expired" } else { "there is no session" };
            (person, "ExpiredToken", format!("{what}: run mfa-agent login {profile}"))
        }
        LiveProblem::Renewing { profile } => {
            (later, "Renewing", format!("the role of {profile} is being renewed: try again"))
        }
        LiveProblem::Refused(Refusal::Locked) => {
            (person, "Locked", "mfa-agent is locked: run mfa-agent unlock".to_owned())
        }
        LiveProblem::Refused(Refusal::NeedsMfa(question)) => {
            (person, "ExpiredToken", format!("a code is needed: run mfa-agent login {}", question.profile))
        }
        LiveProblem::Refused(Refusal::Aws { action, code, message, .. }) => {
            (person, "AccessDenied", format!("AWS refused {action}: {code}: {message}"))
        }
        LiveProblem::Refused(Refusal::Network { action, .. }) => {
            (later, "ServiceUnavailable", format!("AWS does not answer {action}: see mfa-agent status"))
        }
        LiveProblem::Refused(_) => {
            (person, "Refused", "this profile cannot be served any more: see mfa-agent profiles".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_counts_where_it_is_there_once() {
        let mut headers = HeaderMap::new();
        assert_eq!(single(&headers, &AUTHORIZATION), None);
        headers.append(AUTHORIZATION, HeaderValue::from_static("one"));
        assert_eq!(single(&headers, &AUTHORIZATION), Some(&b"one"[..]));
        headers.append(AUTHORIZATION, HeaderValue::from_static("one"));
        assert_eq!(single(&headers, &AUTHORIZATION), None);
    }
}
