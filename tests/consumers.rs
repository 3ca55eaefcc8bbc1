//! The programs that consume credentials take them in the ways that `docs/consumers.md` says.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{ACCOUNT, Run, Sandbox, Terminal, aws_cli_2, exported, page_holds, tool};

fn with_session(sandbox: &Sandbox, program: &str, arguments: &[&str]) -> Run {
    let run = sandbox.run(&["env", "dev", "--no-prompt"]);
    assert_eq!(run.status, 0, "{run:?}");
    let variables = exported(&run.stdout, &[]);
    let mut command = sandbox.command(tool(program), arguments);
    Run::of(command.envs(variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
}

#[test]
fn the_aws_cli_proves_the_session() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let run = with_session(&sandbox, "aws", &["sts", "get-caller-identity", "--output", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.contains(&format!("arn:aws:iam::{ACCOUNT}:user/alice")), "{run:?}");
    // Only a session that MFA opened may do this.
    let run = with_session(&sandbox, "aws", &["iam", "list-access-keys", "--output", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    let without = Run::of(&mut sandbox.command(tool("aws"), ["iam", "list-access-keys", "--profile", "dev"]));
    assert_ne!(without.status, 0, "the key alone must not be enough: {without:?}");
}

#[test]
fn boto3_proves_the_session_and_reads_its_end() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let script = "import boto3\n\
                  session = boto3.Session()\n\
                  print(session.client('sts').get_caller_identity()['Arn'])\n\
                  print(session.get_credentials()._expiry_time is not None)\n";
    let run = with_session(&sandbox, "python3", &["-c", script]);
    assert_eq!(
        (run.status, run.stdout.trim()),
        (0, format!("arn:aws:iam::{ACCOUNT}:user/alice\nTrue").as_str()),
        "{run:?}"
    );
}

#[test]
fn boto3_is_asked_for_a_code_on_its_terminal_through_a_credential_process() {
    let sandbox = Sandbox::new();
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    let process = format!("{} credential-process dev", env!("CARGO_BIN_EXE_mfa-agent"));
    sandbox.write(".aws/config", &format!("{config}[profile dev-session]\ncredential_process = {process}\n"));
    let script = "import boto3\n\
                  client = boto3.Session(profile_name='dev-session').client('sts', region_name='us-east-1')\n\
                  print(client.get_caller_identity()['Arn'])\n";
    // Without a terminal, the SDK shows our words for its failure.
    let run = Run::of(&mut sandbox.command(tool("python3"), ["-c", script]));
    assert!(run.status != 0 && run.stderr.contains("dev needs an MFA code"), "{run:?}");
    assert!(run.stderr.contains("hint: mfa-agent login dev"), "{run:?}");
    // The SDK keeps stdin, stdout and stderr of the process to itself, and not the terminal.
    let terminal = Terminal::run(&sandbox, tool("python3"), ["-c", script]);
    terminal.wait_for("MFA code for dev");
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    assert_eq!(run.stdout.trim(), format!("arn:aws:iam::{ACCOUNT}:user/alice"), "{run:?}");
}

/// A program that consumes credentials.
struct Consumer {
    name: &'static str,
    /// The program that proves who it is to AWS.
    command: fn(&Sandbox) -> Command,
    /// What it shows when it is who it should be: the user's ARN, or the bucket that nobody sees without MFA.
    proof: Proof,
}

enum Proof {
    Arn,
    Bucket,
}

/// How the credentials get to it.
struct Way {
    heading: &'static str,
    set: fn(&Sandbox, &mut Command),
}

const CONSUMERS: [Consumer; 8] = [
    Consumer {
        name: "AWS CLI 2",
        command: |sandbox| {
            let endpoint = sandbox.simulator.endpoint();
            let arguments = ["--endpoint-url", &endpoint, "sts", "get-caller-identity"];
            sandbox.command(aws_cli_2(), arguments)
        },
        proof: Proof::Arn,
    },
    Consumer {
        name: "AWS CLI 1",
        command: |sandbox| sandbox.command(tool("aws"), ["sts", "get-caller-identity"]),
        proof: Proof::Arn,
    },
    Consumer {
        name: "boto3",
        command: |sandbox| {
            let script = "import boto3; print(boto3.client('sts').get_caller_identity())";
            sandbox.command(tool("python3"), ["-c", script])
        },
        proof: Proof::Arn,
    },
    Consumer { name: "AWS SDK for JavaScript v3", command: javascript, proof: Proof::Arn },
    Consumer { name: "AWS SDK for Rust", command: rust, proof: Proof::Arn },
    Consumer { name: "AWS SDK for Go v2", command: go, proof: Proof::Arn },
    Consumer {
        name: "rclone",
        command: |sandbox| {
            let endpoint = sandbox.simulator.endpoint();
            let remote = ["--s3-provider=AWS", "--s3-env-auth", "--s3-region=us-east-1", "--retries=1"];
            let mut command = sandbox.command(tool("rclone"), ["lsd", ":s3:", "--s3-endpoint", &endpoint]);
            command.args(remote).arg("--low-level-retries=1");
            command
        },
        proof: Proof::Bucket,
    },
    Consumer {
        name: "s3cmd",
        command: |sandbox| {
            let host = sandbox.simulator.endpoint().replace("http://", "");
            sandbox.write(".s3cfg", "[default]\nuse_https = False\n");
            sandbox.command(tool("s3cmd"), ["--host", &host, "--host-bucket", &host, "ls"])
        },
        proof: Proof::Bucket,
    },
];

const WAYS: [Way; 3] = [
    Way {
        heading: "`env`, `exec`",
        set: |sandbox, command| {
            let run = sandbox.run(&["env", "dev", "--no-prompt"]);
            assert_eq!(run.status, 0, "{run:?}");
            command.envs(exported(&run.stdout, &[]));
        },
    },
    Way {
        heading: "`credential-process`",
        set: |sandbox, command| {
            let dev = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
            let client = env!("CARGO_BIN_EXE_mfa-agent");
            let process = format!("{client} credential-process dev --no-prompt");
            let session = format!("[profile dev-session]\ncredential_process = {process}\n");
            sandbox.write(".aws/config", &format!("{dev}{session}region = eu-central-1\n"));
            command.env("AWS_PROFILE", "dev-session");
        },
    },
    Way {
        heading: "`env --live`, `exec --live`",
        set: |sandbox, command| {
            let run = sandbox.run(&["env", "dev", "--live", "--no-prompt"]);
            assert_eq!(run.status, 0, "{run:?}");
            let variables = exported(&run.stdout, &[]);
            assert!(!variables.contains_key("AWS_SECRET_ACCESS_KEY"), "{variables:?}");
            command.envs(variables);
        },
    },
];

/// What a program itself cannot do: the program, the way, and why.
const CANNOT: [(&str, &str, &str); 2] = [
    ("s3cmd", "`credential-process`", "no: it reads no AWS config file"),
    ("s3cmd", "`env --live`, `exec --live`", "no: it knows no container's endpoint"),
];

#[test]
fn the_table_of_consumers_is_what_they_do() {
    let mut table = String::from("| |");
    for way in &WAYS {
        write!(table, " {} |", way.heading).unwrap();
    }
    writeln!(table, "\n|{}", "---|".repeat(WAYS.len() + 1)).unwrap();
    for consumer in &CONSUMERS {
        write!(table, "| {} |", consumer.name).unwrap();
        for way in &WAYS {
            let reason =
                CANNOT.iter().find(|(name, heading, _)| (*name, *heading) == (consumer.name, way.heading));
            let works = serves(consumer, way);
            assert_eq!(works, reason.is_none(), "{} by {}", consumer.name, way.heading);
            write!(table, " {} |", reason.map_or("yes", |(_, _, reason)| reason)).unwrap();
        }
        table.push('\n');
    }
    page_holds("consumers.md", "consumers", &table);
}

/// Whether a program that gets its credentials in this way proves that MFA was used.
fn serves(consumer: &Consumer, way: &Way) -> bool {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let mut command = (consumer.command)(&sandbox);
    (way.set)(&sandbox, &mut command);
    let run = Run::of(&mut command);
    let proof = match consumer.proof {
        Proof::Arn => format!("arn:aws:iam::{ACCOUNT}:user/alice"),
        Proof::Bucket => "mfa-only".to_owned(),
    };
    let works = run.status == 0 && run.stdout.contains(&proof);
    // Not with the key that lies in the files.
    let session = |call: &aws_simulator::Call| {
        call.access_key_id.as_deref().is_some_and(|key| key.starts_with("ASIA")) && call.status == Some(200)
    };
    let proven = sandbox.simulator.calls().iter().any(session);
    assert_eq!(works, proven, "{}: {run:?}", consumer.name);
    works
}

/// Asks who it is, by the SDK for JavaScript.
pub fn javascript(sandbox: &Sandbox) -> Command {
    let script = "const {STSClient, GetCallerIdentityCommand} = require('@aws-sdk/client-sts');\n\
                  new STSClient({}).send(new GetCallerIdentityCommand({})).then(\n\
                  answer => console.log(answer.Arn), error => { console.error(error); process.exit(1); });";
    let mut command = sandbox.command(tool("node"), ["-e", script]);
    command.env("NODE_PATH", node_modules());
    command
}

/// What npm installed for the tests.
fn node_modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools/node_modules")
}

/// This very program, which is [`the_rust_sdk`] then.
pub fn rust(sandbox: &Sandbox) -> Command {
    let arguments = ["--exact", "consumers::the_rust_sdk", "--ignored", "--nocapture"];
    sandbox.command(std::env::current_exe().unwrap(), arguments)
}

/// Asks who it is, by the SDK for Go. `tests/run` builds it of `support/go_sdk.go`.
pub fn go(sandbox: &Sandbox) -> Command {
    sandbox.command(tool("go-sdk"), [""; 0])
}

#[test]
#[ignore = "a program of its own, which the table of consumers runs"]
fn the_rust_sdk() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let arn = runtime.block_on(async {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config =
            aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(http).load().await;
        let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
        identity.arn.unwrap()
    });
    std::io::Write::write_all(&mut std::io::stdout(), arn.as_bytes()).unwrap();
}
