//! A server that nobody here wrote: the shapes of requests and answers are AWS's, not our idea of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use protocol::{Ask, IamAnswer, IamCall, Reply, Request, Signed};

use crate::support::{Run, Sandbox, exported, tool};

struct Moto {
    server: Child,
    endpoint: String,
}

impl Moto {
    fn start(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.command(tool("moto_server"), ["--host", "127.0.0.1", "--port", "0"]);
        let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let endpoint = lines
            .find_map(|line| Some(line.ok()?.split_once("Running on ")?.1.trim().to_owned()))
            .expect("moto says where it runs");
        // It writes a line for each request, and stops where nobody reads them.
        std::thread::spawn(move || lines.for_each(drop));
        Self { server, endpoint }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A user `alice` with a key in `[dev]` and a device, made by AWS's own client; the device's serial comes back.
fn alice(sandbox: &Sandbox) -> String {
    let aws = |arguments: &[&str]| {
        let run = Run::of(sandbox.command(tool("aws"), arguments).envs([
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
        ]));
        assert_eq!(run.status, 0, "{run:?}");
        serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap_or_default()
    };
    aws(&["iam", "create-user", "--user-name", "alice"]);
    let key = aws(&["iam", "create-access-key", "--user-name", "alice"]);
    let file = sandbox.home().join("qr");
    let device = aws(&[
        "iam",
        "create-virtual-mfa-device",
        "--virtual-mfa-device-name",
        "alice",
        "--outfile",
        file.to_str().unwrap(),
        "--bootstrap-method",
        "QRCodePNG",
    ]);
    let serial = device["VirtualMFADevice"]["SerialNumber"].as_str().unwrap().to_owned();
    aws(&[
        "iam",
        "enable-mfa-device",
        "--user-name",
        "alice",
        "--serial-number",
        &serial,
        "--authentication-code1",
        "123456",
        "--authentication-code2",
        "654321",
    ]);
    let text = |name: &str| key["AccessKey"][name].as_str().unwrap().to_owned();
    sandbox.write(
        ".aws/credentials",
        &format!(
            "[dev]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            text("AccessKeyId"),
            text("SecretAccessKey")
        ),
    );
    serial
}

#[test]
fn a_session_and_a_role_come_from_moto() {
    let mut sandbox = Sandbox::new();
    let moto = Moto::start(&sandbox);
    sandbox.set("AWS_ENDPOINT_URL", &moto.endpoint);
    let serial = alice(&sandbox);
    // moto lists no devices without a user's name; AWS does, and so does the simulator.
    let config = "[profile dev]\nmfa_serial = SERIAL\nregion = eu-central-1\n[profile ops]\nsource_profile = dev\n\
                  role_arn = arn:aws:iam::123456789012:role/ops\nregion = eu-central-1\n";
    sandbox.write(".aws/config", &config.replace("SERIAL", &serial));

    let run = sandbox.run(&["env", "dev", "--code", "123456"]);
    assert_eq!(run.status, 0, "{run:?}");
    let variables = exported(&run.stdout, &[]);
    // moto gives everybody the key of AWS's documentation, and a token.
    assert_eq!(variables["AWS_ACCESS_KEY_ID"], "AKIAIOSFODNN7EXAMPLE");
    assert!(variables["AWS_SESSION_TOKEN"].len() > 100);

    let role = sandbox.run(&["env", "ops", "--no-prompt"]);
    assert_eq!(role.status, 0, "{role:?}");
    let variables = exported(&role.stdout, &[]);
    // The same by its ARN.
    let arn = "arn:aws:iam::123456789012:role/ops";
    let named = sandbox.run(&["env", arn, "--source", "dev", "--no-prompt"]);
    assert_eq!(named.status, 0, "{named:?}");
    let named = exported(&named.stdout, &[]);
    assert_eq!(
        (named["MFA_AGENT_PROFILE"].as_str(), named["AWS_REGION"].as_str()),
        ("dev,arn:aws:iam::123456789012:role/ops", "eu-central-1")
    );
    // What came out works in AWS's own client.
    let identity = Run::of(
        sandbox
            .command(tool("aws"), ["sts", "get-caller-identity"])
            .envs(variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
    );
    assert_eq!(identity.status, 0, "{identity:?}");
    assert!(identity.stdout.contains("assumed-role/ops/mfa-agent"), "{identity:?}");
}

#[test]
fn a_policy_is_given_to_a_user_of_moto_and_taken_away() {
    let mut sandbox = Sandbox::new();
    let moto = Moto::start(&sandbox);
    sandbox.set("AWS_ENDPOINT_URL", &moto.endpoint);
    let serial = alice(&sandbox);
    sandbox.write(".aws/config", &format!("[profile dev]\nmfa_serial = {serial}\nregion = eu-central-1\n"));
    let policy = |arguments: &[&str]| {
        sandbox.run(&[&["policy"], arguments, &["--profile", "dev", "--code", "123456"]].concat())
    };
    let run = policy(&["attach", "--yes"]);
    assert!(run.status == 0 && run.stderr.contains("attached to user alice"), "{run:?}");
    let run = policy(&["attach"]);
    assert!(run.status == 0 && run.stderr.contains("says just that already"), "{run:?}");
    // moto lets everybody do everything, and that is what the table says.
    let run = policy(&["check"]);
    assert!(run.status == 1 && run.stdout.contains("✗ allowed, and must be denied"), "{run:?}");
    assert!(run.stderr.contains("alice may call iam:ListAccessKeys without MFA"), "{run:?}");
    let run = policy(&["detach", "--yes"]);
    assert_eq!(run.status, 0, "{run:?}");
    let run = policy(&["detach"]);
    assert!(run.status == 0 && run.stderr.contains("has no policy require-mfa"), "{run:?}");
}

#[test]
fn a_device_is_made_and_removed_at_moto() {
    let mut sandbox = Sandbox::new();
    let moto = Moto::start(&sandbox);
    sandbox.set("AWS_ENDPOINT_URL", &moto.endpoint);
    let aws = |arguments: &[&str]| {
        let run = Run::of(sandbox.command(tool("aws"), arguments).envs([
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
        ]));
        assert_eq!(run.status, 0, "{run:?}");
        serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap_or_default()
    };
    aws(&["iam", "create-user", "--user-name", "alice"]);
    let key = aws(&["iam", "create-access-key", "--user-name", "alice"]);
    let text = |name: &str| key["AccessKey"][name].as_str().unwrap().to_owned();
    let (id, secret) = (text("AccessKeyId"), text("SecretAccessKey"));
    let section = format!("[dev]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    sandbox.write(".aws/credentials", &section);
    sandbox.write(".aws/config", "[profile dev]\nregion = eu-central-1\n");

    // moto looks at no code.
    let device = |arguments: &[&str]| {
        let mut command = sandbox.client([&["device"], arguments, &["--profile", "dev"]].concat());
        let mut client =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = client.stdin.take().unwrap().write_all(b"123456\n654321\n");
        let run: Run = client.wait_with_output().unwrap().into();
        assert_eq!(run.status, 0, "{run:?}");
        run
    };
    let added = device(&["add", "--stdin"]);
    assert!(added.stdout.starts_with("otpauth://totp/AWS:alice@123456789012?secret="), "{added:?}");
    let serial = "arn:aws:iam::123456789012:mfa/alice";
    assert!(std::fs::read_to_string(sandbox.home().join(".aws/config")).unwrap().contains(serial));
    assert!(device(&["list"]).stdout.contains(serial));
    assert!(device(&["add", "--stdin"]).stderr.contains("alice has alice already"));
    let run = sandbox.run(&["login", "dev", "--code", "111111"]);
    assert_eq!(run.status, 0, "{run:?}");
    device(&["remove", "alice", "--yes", "--long-term"]);
    let left = aws(&["iam", "list-virtual-mfa-devices"]);
    assert_eq!(left["VirtualMFADevices"], serde_json::json!([]));
}

/// The calls of a rotation, in its order. `keys rotate` itself cannot be run here: its session signs them, moto gives
/// every session the key of AWS's documentation, and knows no user by it.
#[test]
fn the_calls_of_a_rotation_are_what_moto_takes_and_gives() {
    let mut sandbox = Sandbox::new();
    let moto = Moto::start(&sandbox);
    sandbox.set("AWS_ENDPOINT_URL", &moto.endpoint);
    let serial = alice(&sandbox);
    sandbox.write(".aws/config", &format!("[profile dev]\nmfa_serial = {serial}\nregion = eu-central-1\n"));
    assert_eq!(sandbox.run(&["login", "dev", "--code", "123456"]).status, 0);
    let refused = sandbox.run(&["keys", "rotate", "dev"]);
    assert!(
        refused.status == 4 && refused.stderr.contains("AKIAIOSFODNN7EXAMPLE cannot be found"),
        "{refused:?}"
    );

    let call = |call: IamCall, signed: Signed| {
        let profile = Some("dev".to_owned());
        match sandbox.ask(Request::Iam { profile, call, signed, ask: Ask::Never }) {
            Reply::Iam { answer, .. } => answer,
            other => panic!("{other:?}"),
        }
    };
    let keys = || match call(IamCall::ListAccessKeys { user: None }, Signed::LongTerm) {
        IamAnswer::AccessKeys(keys) => {
            keys.into_iter().map(|key| (key.id, key.active)).collect::<BTreeMap<_, _>>()
        }
        other => panic!("{other:?}"),
    };
    let before = keys();
    let (old, _) = before.first_key_value().unwrap();
    let IamAnswer::NewAccessKey(new) = call(IamCall::CreateAccessKey, Signed::LongTerm) else { panic!() };
    assert_eq!(keys(), [(old.clone(), true), (new.id.clone(), true)].into());
    let signed = Signed::Key { access_key_id: new.id.clone(), secret_access_key: new.secret.clone() };
    let IamAnswer::CallerIdentity(identity) = call(IamCall::GetCallerIdentity, signed) else { panic!() };
    assert_eq!(identity.user(), Some("alice"));
    for active in [false, true, false] {
        let answer = call(IamCall::UpdateAccessKey { id: new.id.clone(), active }, Signed::LongTerm);
        assert!(matches!(answer, IamAnswer::Done), "{answer:?}");
        assert_eq!(keys()[&new.id], active);
    }
    let used = call(IamCall::GetAccessKeyLastUsed { id: old.clone() }, Signed::LongTerm);
    assert!(matches!(used, IamAnswer::LastUse(Some(_))), "{used:?}");
    call(IamCall::DeleteAccessKey { id: new.id }, Signed::LongTerm);
    assert_eq!(keys(), before);
}
