use std::os::unix::net::UnixStream;

use protocol::Reply;

use super::*;
use crate::environment::{DataFolders, Environment};
use crate::notify::Desktop;
use crate::requests::Outcome;
use crate::sealed::Sealer;
use crate::sessions::State;

/// Serves on a socket of its own until the test is over; a request for the profiles meets a bug.
fn serve_for<T: Send + 'static>(
    connections: usize,
    test: impl FnOnce(&std::path::Path) -> T + Send + 'static,
) -> T {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = listen(&socket).unwrap();
        let (desktop, _events) = Desktop::new(DataFolders::default());
        let sealer = Sealer::new().unwrap();
        let sessions =
            Sessions::new(Environment::default(), desktop, State::default(), sealer, Duration::ZERO);
        let sessions = Arc::new(sessions);
        let handle = |_peer: Peer, request: Request, _work: Work| async move {
            assert!(!matches!(request, Request::Profiles { .. }), "a bug");
            Outcome::from(Reply::LoggedOut { sessions: 7, grants: 0 })
        };
        let traffic = Arc::new(Traffic::new(Vec::new()).0);
        let hall = Hall { traffic, sessions, stop: Arc::new(Notify::new()), handle };
        let path = socket.clone();
        let test = tokio::task::spawn_blocking(move || test(&path));
        tokio::select! {
            () = serve(&listener, None, hall, connections) => unreachable!(),
            result = test => result.unwrap(),
        }
    })
}

fn ask(socket: &std::path::Path, line: &[u8]) -> Reply {
    use std::io::{BufRead, BufReader, Write};
    let mut stream = UnixStream::connect(socket).unwrap();
    // The agent may have had enough before all of it is written.
    let _ = stream.write_all(line);
    let mut reply = Vec::new();
    BufReader::new(stream).read_until(b'\n', &mut reply).unwrap();
    frame::decode(&reply).unwrap()
}

#[test]
fn a_panic_in_one_request_leaves_the_others_alone() {
    serve_for(8, |socket| {
        let waiting = UnixStream::connect(socket).unwrap();
        assert!(matches!(
            ask(socket, b"{\"protocol\":1,\"request\":{\"profiles\":{}}}\n"),
            Reply::Refused(Refusal::Internal)
        ));
        assert!(matches!(
            ask(socket, b"{\"protocol\":1,\"request\":\"status\"}\n"),
            Reply::LoggedOut { sessions: 7, grants: 0 }
        ));
        drop(waiting);
    });
}

#[test]
fn what_is_no_request_is_refused_and_nobody_else_waits() {
    serve_for(8, |socket| {
        let silent = UnixStream::connect(socket).unwrap();
        for garbage in [&b"\n"[..], b"hunter2\n", b"\xff\xff\xff\xff\n", &vec![b'x'; 5_000_000]] {
            match ask(socket, garbage) {
                Reply::Refused(Refusal::Malformed { problem }) => assert!(!problem.contains("hunter2")),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(ask(socket, b"{\"protocol\":1,\"request\":\"status\"}\n"), Reply::LoggedOut { .. }));
        drop(silent);
    });
}

#[test]
fn a_request_that_trickles_is_cut_off_and_its_place_is_free_again() {
    serve_for(1, |socket| {
        use std::io::{Read, Write};
        let mut trickle = UnixStream::connect(socket).unwrap();
        trickle.write_all(b"{").unwrap();
        // The only place is taken: this is answered once the trickle is cut off.
        assert!(matches!(ask(socket, b"{\"protocol\":1,\"request\":\"status\"}\n"), Reply::LoggedOut { .. }));
        let mut refusal = String::new();
        trickle.read_to_string(&mut refusal).unwrap();
        assert!(refusal.contains("no whole line within 5 seconds"), "{refusal}");
    });
}
