//! `/_simulator/…`: what a person or script at the demo asks of the simulator itself.

use std::sync::atomic::Ordering;

use crate::State;
use crate::request::Parameters;

/// An answer: status, content type, body.
pub(crate) type Page = (u16, &'static str, String);

const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) fn page(state: &State, method: &str, path: &str, query: &str) -> Page {
    if !state.control.load(Ordering::SeqCst) || method != "GET" {
        return (404, TEXT, "not found\n".to_owned());
    }
    match path {
        "/_simulator/code" => code(state, Parameters::decode(query).get("serial").unwrap_or_default()),
        "/_simulator/calls" => calls(state),
        _ => (404, TEXT, "not found\n".to_owned()),
    }
}

fn code(state: &State, serial: &str) -> Page {
    if state.code(serial, 0).is_none() {
        return (404, TEXT, "no such device\n".to_owned());
    }
    match state.unused_code(serial) {
        Some(code) => (200, TEXT, code + "\n"),
        None => (409, TEXT, "this code and the next are used, wait half a minute\n".to_owned()),
    }
}

fn calls(state: &State) -> Page {
    let calls: Vec<_> = state.calls.all().iter().map(crate::Call::to_json).collect();
    (200, "application/json", serde_json::Value::from(calls).to_string() + "\n")
}
