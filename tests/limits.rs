//! What AWS, or who poses as it, can take of the agent's time and memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws_simulator::Fault;
use rustix::net::{AddressFamily, SocketAddrAny, SocketType};

use crate::support::{Run, Sandbox};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_call_takes_as_long_as_it_may() {
    let sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "call_timeout = '2s'\n");
    sandbox.simulator.fault(Fault::Hang.on("GetSessionToken"));
    let (run, took) = login(&sandbox, "000001");
    given_up(&run);
    assert!((2..14).contains(&took.as_secs()), "{took:?}");

    // What is configured now counts, without a new agent.
    sandbox.write(".config/mfa-agent/config.toml", "call_timeout = '17s'\n");
    let (run, took) = login(&sandbox, "000002");
    given_up(&run);
    assert!(took >= Duration::from_secs(17), "{took:?}");
}

#[test]
fn a_connection_takes_as_long_as_it_may() {
    // A queue with no place left: whoever knocks is not answered.
    let full = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&full, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let address = address(&full);
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        waiting.push(stream);
    }

    let mut sandbox = Sandbox::new();
    sandbox.set("AWS_ENDPOINT_URL", format!("http://{address}"));
    sandbox.write(".config/mfa-agent/config.toml", "connect_timeout = '1s'\ncall_timeout = '1m'\n");
    let (run, took) = login(&sandbox, "000003");
    given_up(&run);
    assert!((1..50).contains(&took.as_secs()), "{took:?}");
    // It never left.
    assert!(!run.stderr.contains("used up"), "{run:?}");
    sandbox.write(".config/mfa-agent/config.toml", "connect_timeout = '6s'\n");
    let (run, took) = login(&sandbox, "000004");
    given_up(&run);
    assert!(took >= Duration::from_secs(5), "{took:?}");
}

#[test]
fn an_answer_that_trickles_takes_no_longer_than_a_call_may() {
    let mut sandbox = Sandbox::new();
    let server = Impostor::start(|mut stream| {
        let _ = stream.write_all(HEAD.as_bytes());
        // One byte at a time, for as long as somebody reads them.
        while stream.write_all(b"1\r\n<\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
        0
    });
    sandbox.set("AWS_ENDPOINT_URL", &server.url);
    sandbox.write(".config/mfa-agent/config.toml", "call_timeout = '3s'\n");
    let (run, took) = login(&sandbox, "000005");
    given_up(&run);
    assert!((3..14).contains(&took.as_secs()), "{took:?}");
    assert!(run.stderr.contains("used up"), "{run:?}");
    server.end();
}

#[test]
fn an_answer_without_an_end_fills_no_memory() {
    let mut sandbox = Sandbox::new();
    let server = Impostor::start(|mut stream| {
        let mut sent = 0;
        let mebibyte = vec![b'<'; 1 << 20];
        let _ = stream.write_all(HEAD.as_bytes());
        for _ in 0..1024 {
            if write!(stream, "{:x}\r\n", mebibyte.len()).is_err() || stream.write_all(&mebibyte).is_err() {
                break;
            }
            sent += mebibyte.len();
            let _ = stream.write_all(b"\r\n");
        }
        sent
    });
    sandbox.set("AWS_ENDPOINT_URL", &server.url);
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let before = peak(sandbox.agent_pid());
    let (run, _) = login(&sandbox, "000006");
    assert_eq!(run.status, 7, "{run:?}");
    assert!(run.stderr.contains("not as AWS does"), "{run:?}");
    let grown = peak(sandbox.agent_pid()) - before;
    assert!(grown < 16 << 10, "{grown} KiB for an answer without an end");
    // The rest was never asked for.
    let sent = server.end();
    assert!(sent < 64 << 20, "{sent} bytes were taken");
}

fn login(sandbox: &Sandbox, code: &str) -> (Run, Duration) {
    let start = Instant::now();
    (sandbox.run(&["login", "dev", "--code", code]), start.elapsed())
}

fn given_up(run: &Run) {
    assert_eq!(run.status, 7, "{run:?}");
    assert!(run.stderr.contains("did not answer") && run.stderr.contains("in time"), "{run:?}");
}

/// The most memory that a process ever had, in KiB.
fn peak(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

fn address(socket: &OwnedFd) -> std::net::SocketAddr {
    SocketAddrAny::try_into(rustix::net::getsockname(socket).unwrap()).unwrap()
}

/// Who answers one request in AWS's place.
struct Impostor {
    url: String,
    serves: JoinHandle<usize>,
}

impl Impostor {
    fn start(answer: impl FnOnce(TcpStream) -> usize + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serves = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                request.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            request.read_exact(&mut vec![0; length]).unwrap();
            answer(stream)
        });
        Self { url, serves }
    }

    /// What the answer came to.
    fn end(self) -> usize {
        self.serves.join().unwrap()
    }
}
