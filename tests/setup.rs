//! `mfa-agent setup`: the first hour.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Run, Sandbox, Shell, tool};

fn config(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join(".aws/config")).unwrap_or_default()
}

#[test]
fn the_list_of_regions_is_botocores() {
    let script = "import botocore.loaders\n\
                  for p in botocore.loaders.Loader().load_data('endpoints')['partitions']:\n  \
                    for r, v in p['regions'].items(): print(r, p['partition'], v['description'])";
    let output = Command::new(tool("python")).args(["-c", script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: BTreeSet<&str> = text.lines().collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/src/regions.txt");
    let text = fs::read_to_string(path).unwrap();
    let ours: BTreeSet<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(ours.len() > 40 && ours == theirs, "{:#?}", ours.symmetric_difference(&theirs));
}

#[test]
fn region_and_output_go_into_the_config_file_and_all_else_stays() {
    let sandbox = Sandbox::new();
    let before = "# mine: Zürich\r\n[profile dev]\r\nregion   =\tx  ; why\r\n\r\n[default]\r\noutput=text";
    sandbox.write(".aws/config", before);
    let run = sandbox.run(&["setup", "dev", "--region", "eu-west-1", "--output", "json"]);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    let file = sandbox.home().join(".aws/config");
    let place = format!("in {} for profile dev", file.display());
    assert_eq!(run.stderr, format!("region = eu-west-1, output = json is {place} now\n"));
    let after =
        before.replace("region   =\tx  ; why\r\n", "; why\r\nregion   =\teu-west-1\r\noutput = json\r\n");
    assert_eq!(config(&sandbox), after);
    // Again: nothing is there to do. And what AWS's own tool reads is what was written.
    let run = sandbox.run(&["setup", "--profile", "dev", "--region", "eu-west-1"]);
    assert_eq!(run.stderr, format!("nothing to change {place}\n"));
    assert_eq!(config(&sandbox), after);
    let read = Run::of(&mut sandbox.command(tool("aws"), ["configure", "get", "region", "--profile", "dev"]));
    assert_eq!(read.stdout, "eu-west-1\n", "{read:?}");

    // A region that AWS may have made since is taken, and doubted.
    let run = sandbox.run(&["setup", "dev", "--region", "eu-cental-1"]);
    assert_eq!(run.status, 0, "{run:?}");
    let doubt = "eu-cental-1 is no region that is known here; eu-central-1 is\n";
    assert!(run.stderr.starts_with(doubt), "{run:?}");
    assert!(config(&sandbox).contains("region   =\teu-cental-1\r\n"));
    let run = sandbox.run(&["setup", "dev", "--output", "xml"]);
    assert!(run.status == 2 && run.stderr.contains("yaml-stream"), "{run:?}");
    let run = sandbox.run(&["setup", "dev"]);
    assert!(run.status == 2 && run.hint().contains("--region"), "{run:?}");

    // Into a home without any file.
    fs::remove_dir_all(sandbox.home().join(".aws")).unwrap();
    let run = sandbox.run(&["setup", "--region", "us-east-1"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(config(&sandbox), "[default]\nregion = us-east-1\n");
}

#[test]
fn regions_are_completed() {
    let sandbox = Sandbox::new();
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    for (shell, script) in [
        (
            Shell::Bash,
            "COMP_WORDS=(mfa-agent setup dev --region eu-ce) COMP_CWORD=4; __mfa_agent_complete\n\
             printf '%s\\n' \"${COMPREPLY[@]}\"",
        ),
        (
            Shell::Zsh,
            "compadd() { print -l -- ${(M)@:#eu-ce*} }; words=(mfa-agent setup dev --region eu-ce); CURRENT=5\n\
             __mfa_agent_complete",
        ),
        (Shell::Fish, "complete -C 'mfa-agent setup dev --region eu-ce'"),
    ] {
        let script = format!("{}{script}\n", shell.load());
        // Interactive, since a script has no use for the hook.
        let arguments: &[&str] =
            if shell == Shell::Bash { &["--norc", "--noprofile", "-i", "-c"] } else { &["-i", "-c"] };
        let run = Run::of(sandbox.command(tool(shell.program()), arguments).arg(script));
        assert_eq!(run.stdout, "eu-central-1\neu-central-2\n", "{shell:?} with {client}: {run:?}");
    }
}
