//! AWS's own clients take what `env` sets.

use crate::support::{ACCOUNT, Run, Sandbox, exported, tool};

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
