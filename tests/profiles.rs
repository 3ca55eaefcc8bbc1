//! `mfa-agent profiles --write-config`: AWS's tools ask mfa-agent by themselves.

use std::fs;
use std::path::Path;

use crate::support::{ACCOUNT, Run, Sandbox, tool};

const FILE: &str = ".aws/config";

fn config(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join(FILE)).unwrap()
}

#[test]
fn the_lines_are_shown_written_when_agreed_to_and_work() {
    let sandbox = Sandbox::new();
    let before = format!("# mine\n{}\n; the end", config(&sandbox));
    sandbox.write(FILE, &before);
    let refused = sandbox.terminal(&["profiles", "--write-config"]);
    refused.wait_for("Write this? [y/N] ");
    refused.type_in("\n");
    assert_eq!((refused.finish().status, config(&sandbox)), (130, before.clone()));

    let terminal = sandbox.terminal(&["profiles", "--write-config", "dev"]);
    terminal.wait_for("Write this? [y/N] ");
    assert!(terminal.shows("+[profile dev-session]\r\n+credential_process = "), "{}", terminal.screen());
    assert!(terminal.shows(" ; the end\r\n+\r\n"), "{}", terminal.screen());
    terminal.type_in("y\n");
    terminal.wait_for("written; try it: aws sts get-caller-identity --profile dev-session");
    let run = terminal.finish();
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    let after = config(&sandbox);
    assert_eq!(
        after,
        format!(
            "{before}\n\n[profile dev-session]\ncredential_process = {client} credential-process dev\n\
             region = eu-central-1\n"
        )
    );

    // Again: nothing. AWS's own client takes the session.
    let again = sandbox.run(&["profiles", "--write-config", "--yes", "--profile", "dev"]);
    assert!(again.status == 0 && again.stderr.starts_with("nothing to add to "), "{again:?}");
    assert_eq!(config(&sandbox), after);
    sandbox.log_in("dev");
    let arguments = ["iam", "list-access-keys", "--output", "json", "--profile", "dev-session"];
    let run = Run::of(&mut sandbox.command(tool("aws"), arguments));
    assert_eq!(run.status, 0, "only a session that MFA opened may do this: {run:?}");
    // The agent itself goes on as before, and does not ask itself.
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    assert_ne!(sandbox.run(&["env", "dev-session", "--no-prompt"]).status, 0);
    assert_eq!(sandbox.run(&["profiles", "--write-config", "--yes"]).status, 0);
    assert_eq!(config(&sandbox), after);
}

#[test]
fn it_is_called_by_the_link_that_the_path_has() {
    let mut sandbox = Sandbox::new();
    let links = sandbox.home().join("bin");
    fs::create_dir(&links).unwrap();
    let link = links.join("mfa-agent");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mfa-agent"), &link).unwrap();
    let path = std::env::join_paths([links.as_path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    sandbox.set("PATH", path);
    let ops = format!(
        "[profile ops]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/ops\nsource_profile = dev\n\
         [profile none]\noutput = json\n"
    );
    sandbox.write(FILE, &(config(&sandbox) + &ops));
    let run = sandbox.run(&["profiles", "--write-config", "--yes"]);
    assert_eq!(run.status, 0, "{run:?}");
    let after = config(&sandbox);
    for profile in ["dev", "ops"] {
        let setting = format!("credential_process = {} credential-process {profile}\n", link.display());
        assert!(after.contains(&setting), "{after}");
    }
    assert!(!after.contains("[profile none-session]"), "{after}");
    assert!(run.stderr.contains("+[profile ops-session]"), "{run:?}");
}

#[test]
fn what_must_not_be_written_is_not() {
    let sandbox = Sandbox::new();
    let check = |file: &str, arguments: &[&str], status: i32, words: &str| {
        sandbox.write(FILE, file);
        let run = sandbox.run(&[&["profiles", "--write-config"], arguments].concat());
        assert_eq!(run.status, status, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(words), "{arguments:?}: {run:?}");
        assert_eq!(config(&sandbox), file);
    };
    let base = config(&sandbox);
    check(&base, &[], 2, "nobody can be asked");
    check(&base, &["elsewhere", "--yes"], 5, "no profile elsewhere");
    check(
        &format!("{base}[profile sso]\nsso_session = x\n"),
        &["sso", "--yes"],
        5,
        "gets its credentials by sso_session",
    );
    check(&format!("{base}[profile dev-session]\nregion = x\n"), &["dev", "--yes"], 5, "none of ours");
    check(&format!("{base}[profile \"dev-session\"]\n"), &["dev", "--yes"], 5, "some tools take");
}
