//! HTTP in and out, with whatever trouble was asked for.

use std::convert::Infallible;
use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::action::{Service, perform, service_of};
use crate::answer::Answer;
use crate::fault::Fault;
use crate::request::Request;
use crate::{State, clock, control, federation, locked, random, xml};

/// Serves until the other end of `stop` is dropped; requests in flight end with it.
pub(crate) fn run(listener: TcpListener, state: &Arc<State>, stop: oneshot::Receiver<Infallible>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the simulator's runtime can be built");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("the simulator's socket is usable");
        tokio::select! {
            () = accept(&listener, state) => {}
            _ = stop => {}
        }
    });
}

async fn accept(listener: &tokio::net::TcpListener, state: &Arc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(state)))),
            // Out of descriptors, or the client left early: the others go on.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    // Without it a client waits 40 ms for what the kernel holds back.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&state, request));
    // An error here is a client that left, or a connection dropped on purpose.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("dropped")
    }
}

impl std::error::Error for Dropped {}

async fn answer(state: &State, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    if head.uri.path().starts_with("/_simulator/") {
        let query = head.uri.query().unwrap_or_default();
        let (status, content_type, body) = control::page(state, head.method.as_str(), head.uri.path(), query);
        return Ok(respond(state, status, content_type, &random::request_id(), body));
    }
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let request = Request::new(&head, body);
    let action = request.action().to_owned();
    // Before it is in the log: who sees it there may let it go on, and hold those behind it.
    let gate = state.gates.holding(&action);
    let number = state.calls.arrived(&request, state.clock.now());
    gate.pass().await;

    let fault = state.faults.meet(&action);
    match &fault {
        Some(Fault::Latency(delay)) => tokio::time::sleep(*delay).await,
        Some(Fault::DropBefore) => return Err(Dropped),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Garbage) => {
            let page = "<!DOCTYPE html>\n<html><body><h1>Welcome to the café's network</h1></body></html>\n";
            return Ok(odd_answer(state, number, "text/html", page.to_owned()));
        }
        Some(Fault::Huge(length)) => {
            return Ok(odd_answer(state, number, "text/xml", huge_document(&action, *length)));
        }
        _ => {}
    }
    if request.path == "/federation" {
        let failed = fault.as_ref().and_then(Fault::failure).map(|failure| (failure.status, failure.message));
        let answer = failed
            .map_or_else(|| federation::answer(&mut locked(&state.world), &request, state.clock.now()), Err);
        let (status, content_type, body) = match answer {
            Ok((content_type, body)) => (200, content_type, body),
            Err((status, body)) => (status, "text/plain", body),
        };
        state.calls.answered(number, Some(status), None);
        return Ok(respond(state, status, content_type, &random::request_id(), body));
    }
    let answer = if let Some(failure) = fault.as_ref().and_then(Fault::failure) {
        Err(failure)
    } else {
        let mut world = locked(&state.world);
        let answer = perform(&mut world, &request, state.clock.now());
        state.calls.decided(number, world.decided_by.take());
        answer
    };
    let error_code = answer.as_ref().err().map(|failure| failure.code.clone());
    if matches!(fault, Some(Fault::DropAfter)) {
        state.calls.answered(number, None, error_code.as_deref());
        return Err(Dropped);
    }
    let (status, request_id, document) = document(&action, &answer);
    state.calls.answered(number, Some(status), error_code.as_deref());
    Ok(respond(state, status, "text/xml", &request_id, document))
}

fn document(action: &str, answer: &Answer) -> (u16, String, String) {
    let service = service_of(action);
    let namespace = service.namespace();
    let request_id = random::request_id();
    let (status, document) = match answer {
        Ok(result) if service == Service::S3 => (200, xml::buckets(namespace, result)),
        Err(failure) if service == Service::S3 => (failure.status, xml::error(failure)),
        Ok(result) => (200, xml::response(action, namespace, result, &request_id)),
        Err(failure) => (failure.status, xml::error_response(failure, namespace, &request_id)),
    };
    (status, request_id, document)
}

fn odd_answer(state: &State, number: u64, content_type: &str, body: String) -> Response<Full<Bytes>> {
    state.calls.answered(number, Some(200), None);
    respond(state, 200, content_type, &random::request_id(), body)
}

/// Well-formed up to the end, so that only its size is wrong with it.
fn huge_document(action: &str, length: usize) -> String {
    let (open, close) = (format!("<{action}Response><!--"), format!("--></{action}Response>"));
    let filling = "a".repeat(length.saturating_sub(open.len() + close.len()));
    open + &filling + &close
}

fn respond(
    state: &State,
    status: u16,
    content_type: &str,
    request_id: &str,
    body: String,
) -> Response<Full<Bytes>> {
    let date = clock::http_date(state.clock.now());
    let mut response = Response::builder()
        .header("content-type", content_type)
        .header("date", date)
        .header("x-amzn-RequestId", request_id)
        .body(Full::new(Bytes::from(body)))
        .expect("these headers are valid");
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
