//! The demo by itself: the same commands, each with what it said.

use std::error::Error;
use std::io::Write;
use std::process::Stdio;

use crate::stage::Stage;

/// Goes through the main job and fails at the first thing that is not as it should be.
pub fn run(stage: &Stage) -> Result<(), Box<dyn Error>> {
    let code =
        stage.simulator.unused_code(&stage.serial).ok_or("the device shows no code that AWS would take")?;
    let shown = say(stage, "code", "")?;
    if shown.trim() != code {
        return Err(format!("`code` printed {shown:?}, and the device shows {code}").into());
    }
    say(stage, "mfa-agent profiles", "")?;
    // What a person types at the prompt comes through a pipe here.
    let evaluated =
        "eval \"$(mfa-agent env dev --code -)\" && env | sed -n 's/^AWS_ACCESS_KEY_ID=\\(....\\).*/\\1…/p'";
    expect(&say(stage, evaluated, &code)?, "ASIA")?;
    let user = stage.alice.arn.clone();
    expect(&say(stage, "eval \"$(mfa-agent env dev)\" && caller-identity", "")?, &user)?;
    expect(&say(stage, "eval \"$(mfa-agent env ops)\" && caller-identity", "")?, ":assumed-role/ops/")?;
    if stage.has_aws_cli() {
        let identity =
            "eval \"$(mfa-agent env dev)\" && aws sts get-caller-identity --output text --query Arn";
        expect(&say(stage, identity, "")?, &user)?;
        // The policy denies this to the key alone.
        let keys = "eval \"$(mfa-agent env dev)\" && aws iam list-access-keys --output text --query 'AccessKeyMetadata[].UserName'";
        expect(&say(stage, keys, "")?, "alice")?;
    }
    say(stage, "mfa-agent status", "")?;

    let sessions = stage.simulator.calls_of("GetSessionToken");
    let assumed = stage.simulator.calls_of("AssumeRole");
    let opened =
        sessions.iter().filter(|call| call.status == Some(200) && call.parameter("TokenCode").is_some());
    let with_session = assumed.iter().filter(|call| call.status == Some(200)).count();
    if sessions.len() != 1 || opened.count() != 1 || with_session != 1 {
        return Err(format!("AWS saw {sessions:?} and {assumed:?}").into());
    }
    println!(
        "AWS saw one code, one session that MFA opened ({user}), and one role assumed from it. All well."
    );
    Ok(())
}

/// Runs a line, with the input typed into it, and prints both it and what it said.
fn say(stage: &Stage, line: &str, input: &str) -> Result<String, Box<dyn Error>> {
    println!("$ {line}");
    let mut child = stage.shell(line).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "{input}").or_else(|error| match error.kind() {
            // It did not want to know.
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        })?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stdout)?;
    println!("{}", said.trim_end());
    if output.status.success() { Ok(said) } else { Err(format!("{line}: {}", output.status).into()) }
}

fn expect(said: &str, words: &str) -> Result<(), Box<dyn Error>> {
    if said.contains(words) { Ok(()) } else { Err(format!("that does not say {words}").into()) }
}
