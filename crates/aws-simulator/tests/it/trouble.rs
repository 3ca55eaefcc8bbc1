//! Faults, holds, the log, and the simulator's own pages.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use aws_simulator::Fault;

use crate::support::{LONG, World, assert_refused, refusal, wait, world};

/// Sends bytes and reads all that comes back.
fn raw(world: &World, request: &str) -> String {
    let address = world.simulator.endpoint();
    let mut stream =
        TcpStream::connect(address.trim_start_matches("http://")).expect("the simulator listens");
    stream.write_all(request.as_bytes()).expect("the request is taken");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer comes");
    String::from_utf8_lossy(&answer).into_owned()
}

fn unsigned(body: &str) -> String {
    let form = "Content-Type: application/x-www-form-urlencoded";
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{form}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn refusals_for_a_number_of_requests_of_one_action() {
    let world = world();
    let session = || refusal(world.session_token().send());
    world.simulator.fault(Fault::Throttle.on("GetSessionToken").times(2));
    world.simulator.fault(Fault::ServiceUnavailable.on("GetSessionToken").times(1));
    world.simulator.fault(Fault::InternalFailure.on("GetSessionToken").times(1));
    wait(world.sts(&world.alice_keys()).get_caller_identity().send()).unwrap();
    let met: Vec<_> = (0..4).map(|_| session()).map(|(status, code, _)| (status, code)).collect();
    let expected =
        [(400, "Throttling"), (400, "Throttling"), (503, "ServiceUnavailable"), (500, "InternalFailure")];
    assert_eq!(met, expected.map(|(status, code)| (status, code.to_owned())));
    wait(world.session_token().send()).unwrap();
}

#[test]
fn a_fault_without_a_number_lasts_until_it_is_cleared() {
    let world = world();
    let code = "RegionDisabledException".to_owned();
    let message = "\u{1b}]0;owned\u{7}<b>\r\n".to_owned();
    world.simulator.fault(Fault::Error { status: 403, code, message: message.clone() });
    for _ in 0..3 {
        let refused = refusal(world.session_token().send());
        assert_refused(&refused, 403, "RegionDisabledException", &message);
    }
    world.simulator.clear_faults();
    wait(world.session_token().send()).unwrap();
}

#[test]
fn an_answer_lost_after_the_code_was_used_and_one_before() {
    let world = world();
    let code = world.simulator.code(&world.serial);
    world.simulator.fault(Fault::DropBefore.times(1));
    wait(world.session_with(&code).send()).unwrap_err();
    world.simulator.fault(Fault::DropAfter.times(1));
    wait(world.session_with(&code).send()).unwrap_err();
    assert_eq!(refusal(world.session_with(&code).send()).1, "AccessDenied");
    let answers: Vec<_> = world.simulator.calls().iter().map(|call| call.status).collect();
    assert_eq!(answers, [None, None, Some(403)]);
}

#[test]
fn answers_that_are_not_aws() {
    let world = world();
    world.simulator.fault(Fault::Garbage.times(1));
    world.simulator.fault(Fault::Huge(3_000_000).times(1));
    let request = unsigned("Action=GetSessionToken");
    let garbage = raw(&world, &request);
    assert!(garbage.starts_with("HTTP/1.1 200") && garbage.contains("<!DOCTYPE html>"), "{garbage}");
    let huge = raw(&world, &request);
    let (_, body) = huge.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 3_000_000);
}

#[test]
fn latency_delays_the_right_answer() {
    let world = world();
    world.simulator.fault(Fault::Latency(Duration::from_millis(40)).times(1));
    let start = Instant::now();
    wait(world.session_token().send()).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(40));
}

#[test]
fn a_hanging_request_hinders_nobody_else_nor_the_end() {
    let world = world();
    world.simulator.fault(Fault::Hang.on("GetSessionToken"));
    let session = world.session_token();
    let hanging = thread::spawn(move || wait(session.send()).is_err());
    assert!(world.simulator.wait_for_calls("GetSessionToken", 1, LONG));
    wait(world.sts(&world.alice_keys()).get_caller_identity().send()).unwrap();
    drop(world);
    assert!(hanging.join().unwrap());
}

#[test]
fn held_requests_have_arrived_but_not_been_carried_out() {
    let world = world();
    let hold = world.simulator.hold("GetSessionToken");
    let code = world.simulator.code(&world.serial);
    let requests = [world.session_with(&code), world.session_with(&code)];
    let parked = requests.map(|request| thread::spawn(move || wait(request.send()).is_ok()));
    assert!(world.simulator.wait_for_calls("GetSessionToken", 2, LONG));
    assert!(world.simulator.calls().iter().all(|call| call.status.is_none()));
    wait(world.sts(&world.alice_keys()).get_caller_identity().send()).unwrap();
    hold.release();
    let accepted = parked.into_iter().map(|thread| thread.join().unwrap());
    assert_eq!(accepted.filter(|accepted| *accepted).count(), 1, "one code, one session");
    assert!(!world.simulator.wait_for_calls("GetSessionToken", 3, Duration::ZERO));
}

#[test]
fn the_log_tells_who_asked_what_and_what_came_of_it() {
    let world = world();
    refusal(world.session_with("000000").duration_seconds(900).send());
    let calls = world.simulator.calls_of("GetSessionToken");
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(call.access_key_id.as_deref(), Some(world.alice.access_key_id.as_str()));
    assert_eq!(call.region.as_deref(), Some("eu-west-1"));
    assert_eq!(call.parameter("TokenCode"), Some("000000"));
    assert_eq!(call.parameter("DurationSeconds"), Some("900"));
    assert_eq!((call.status, call.error_code.as_deref()), (Some(403), Some("AccessDenied")));
    assert!((world.simulator.now() - call.at) < 60);
    world.simulator.clear_calls();
    assert!(world.simulator.calls().is_empty());
}

#[test]
fn unsigned_and_unknown_requests() {
    let world = world();
    for (body, status, code) in [
        ("Action=GetSessionToken&Version=2011-06-15", "403", "MissingAuthenticationToken"),
        ("Action=GetSessionToken&Version=2010-05-08", "400", "InvalidAction"),
        ("Action=Nonsense&Version=2011-06-15", "400", "InvalidAction"),
        ("", "400", "MissingAction"),
    ] {
        let answer = raw(&world, &unsigned(body));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains(&format!("<Type>Sender</Type><Code>{code}</Code>")), "{answer}");
        assert!(answer.contains("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"));
        assert!(answer.to_lowercase().contains("x-amzn-requestid: "), "{answer}");
    }
}

#[test]
fn the_date_header_is_the_simulators() {
    let world = world();
    world.simulator.set_offset(-1_600_000_000);
    let answer = raw(&world, &unsigned("")).to_lowercase();
    assert_eq!(answer.matches("\r\ndate: ").count(), 1);
    let year = answer.split_once("\r\ndate: ").unwrap().1[12..16].parse::<i64>().unwrap();
    assert!((1970..1990).contains(&year), "{answer}");
}

#[test]
fn codes_and_calls_over_http_only_if_enabled() {
    let world = world();
    let get =
        |path: &str| raw(&world, &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let code = format!("/_simulator/code?serial={}", world.serial);
    assert!(get(&code).starts_with("HTTP/1.1 404 "));
    world.simulator.enable_control();
    for _ in 0..2 {
        let page = get(&code);
        let digits = page.trim_end().rsplit("\r\n").next().unwrap();
        wait(world.session_with(digits).send()).unwrap();
    }
    assert!(get("/_simulator/code?serial=nobody").starts_with("HTTP/1.1 404 "));
    let calls = get("/_simulator/calls");
    let calls: serde_json::Value = serde_json::from_str(calls.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(calls.as_array().unwrap().len(), 2);
    assert_eq!(calls[0]["action"], "GetSessionToken");
}
