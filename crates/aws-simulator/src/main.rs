//! `aws-simulator [--port PORT]`: one account, alice and her device, two roles, until it is ended.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use aws_simulator::{Role, Simulator};

const ACCOUNT: &str = "111122223333";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let port = match arguments[..] {
        [] => Some(0),
        ["--port", port] => port.parse::<u16>().ok(),
        _ => None,
    };
    let Some(port) = port else { return complain("usage: aws-simulator [--port PORT]") };
    match Simulator::start_on((Ipv4Addr::LOCALHOST, port).into()) {
        Ok(simulator) => serve(&simulator),
        Err(error) => complain(&format!("aws-simulator: 127.0.0.1:{port}: {error}")),
    }
}

fn serve(simulator: &Simulator) -> ExitCode {
    simulator.enable_control();
    let alice = simulator.user(ACCOUNT, "alice");
    simulator.name_account(ACCOUNT, "example-company");
    let audit = Role { trusted_accounts: vec![ACCOUNT.to_owned()], ..Role::new("444455556666", "audit") };
    let lines = [
        ("AWS_ENDPOINT_URL", simulator.endpoint()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", alice.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", alice.secret_access_key.clone()),
        ("MFA_SERIAL", alice.device("alice")),
        ("ROLE_OPS", simulator.role(Role::new(ACCOUNT, "ops"))),
        ("ROLE_AUDIT", simulator.role(audit)),
    ];
    let text = lines.map(|(name, value)| format!("{name}={value}\n")).concat();
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        std::thread::park();
    }
}

fn complain(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(2)
}
