//! An address on this machine that leads to a link, once. A browser is started with its address as an argument, which
//! every user of the machine can read: this one is worth nothing to others, nor to anybody a second time.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, HOST, HeaderName, HeaderValue, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::Secret;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::live::random_token;
use crate::platform;
use crate::sealed::Sealed;
use crate::sessions::Sessions;

/// For how long the address is there, in seconds: until the browser has started.
pub const OPENS_FOR: u32 = 60;

/// How long a connection may last. Browsers open some that they then do not use.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// How many bytes a request's head may have. A browser sends the cookies of everything on this machine along.
const HEAD_BYTES: usize = 64 * 1024;

/// What leads there.
struct Redirect {
    sessions: Arc<Sessions>,
    path: Sealed,
    own: SocketAddr,
    /// Until it was used.
    link: Mutex<Option<Sealed>>,
    used: Notify,
}

/// Serves the address, for [`OPENS_FOR`] seconds or until it was used. Needs the event loop.
pub async fn serve(sessions: Arc<Sessions>, link: &Secret) -> io::Result<Secret> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let own = listener.local_addr()?;
    let path = Secret::new(format!("/console/{}", random_token()?.expose()));
    let address = Secret::new(format!("http://{own}{}", path.expose()));
    let (path, link) = (sessions.sealer().seal(&path), sessions.sealer().seal(link));
    let redirect = Redirect { sessions, path, own, link: Mutex::new(Some(link)), used: Notify::new() };
    let redirect = Arc::new(redirect);
    tokio::spawn(timeout(Duration::from_secs(OPENS_FOR.into()), async move {
        loop {
            tokio::select! {
                () = redirect.used.notified() => return,
                accepted = listener.accept() => match accepted {
                    // Somebody else's connection is closed without a word.
                    Ok((stream, peer)) if platform::is_own_connection(peer, own) => {
                        tokio::spawn(timeout(CONNECTION_TIME, redirect.clone().converse(stream)));
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        }
    }));
    Ok(address)
}

impl Redirect {
    async fn converse(self: Arc<Self>, stream: TcpStream) {
        let this = &self;
        let service = service_fn(|request| async move { Ok::<_, Infallible>(this.answer(&request)) });
        // What fails here is a client that went away or was cut off.
        let _ = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(CONNECTION_TIME)
            .max_buf_size(HEAD_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if self.link.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.used.notify_one();
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Empty<Bytes>> {
        let mut answer = Response::new(Empty::new());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        let sealer = self.sessions.sealer();
        let right = sealer.open(&self.path).map(|right| right.expose().as_bytes().ct_eq(path.as_bytes()));
        // A name that leads here for a moment (DNS rebinding) is in `Host` as what it is.
        let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
        if request.method() != Method::GET
            || host != Some(self.own.to_string().as_bytes())
            || !right.is_some_and(bool::from)
            || self.sessions.is_locked()
        {
            return answer;
        }
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).take();
        let link = link.and_then(|link| sealer.open(&link));
        if let Some(mut location) = link.and_then(|link| HeaderValue::from_str(link.expose()).ok()) {
            location.set_sensitive(true);
            *answer.status_mut() = StatusCode::SEE_OTHER;
            answer.headers_mut().insert(LOCATION, location);
        }
        answer
    }
}
