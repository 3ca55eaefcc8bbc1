//! `mfa-agent keys`: a long-term key comes into the credentials file, and nowhere else.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{Run, Sandbox, aws_cli_2, key_of, open_to_others, tool};

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A home with a device and a region for `dev`, and no key.
fn without_key() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::remove_file(file(&sandbox)).unwrap();
    sandbox
}

fn file(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".aws/credentials")
}

fn credentials(sandbox: &Sandbox) -> String {
    fs::read_to_string(file(sandbox)).unwrap_or_default()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// What the console lets alice download.
fn csv(sandbox: &Sandbox) -> String {
    format!(
        "Access key ID,Secret access key\n{},{}\n",
        sandbox.alice.access_key_id, sandbox.alice.secret_access_key
    )
}

/// Imports with these options from a file of this text.
fn import(sandbox: &Sandbox, text: &str, options: &[&str]) -> Run {
    sandbox.write("key.csv", text);
    let path = sandbox.home().join("key.csv");
    let run = sandbox.run(&[&["keys", "import", path.to_str().unwrap()], options].concat());
    assert_says_no_secret(sandbox, &run);
    run
}

#[track_caller]
fn assert_says_no_secret(sandbox: &Sandbox, run: &Run) {
    for secret in [sandbox.alice.secret_access_key.as_str(), SECRET, "pass,word"] {
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{run:?}");
    }
}

/// Imports from stdin.
fn piped(sandbox: &Sandbox, command: &mut std::process::Command, text: &str) -> Run {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    let run: Run = child.wait_with_output().unwrap().into();
    assert_says_no_secret(sandbox, &run);
    run
}

#[test]
fn every_form_of_the_consoles_file_is_read() {
    let sandbox = without_key();
    let (id, secret) = (&sandbox.alice.access_key_id, &sandbox.alice.secret_access_key);
    let link = "https://111122223333.signin.aws.amazon.com/console";
    let old = "User Name,Password,Access key ID,Secret access key,Console login link\n";
    let several = format!(
        "{old}bob,,{ID},{SECRET},{link}\nalice,\"pass,word\",{id},{secret},{link}\ncarol,p,,,{link}\n"
    );
    let key = key_of(&sandbox.alice);
    let cases: &[(String, &[&str])] = &[
        (csv(&sandbox), &["--profile", "dev"]),
        (format!("\u{feff}{}", csv(&sandbox).replace('\n', "\r\n")), &["--profile", "dev"]),
        (format!("\"Access key ID\",\"Secret access key\"\r\n\"{id}\",\"{secret}\""), &["--profile", "dev"]),
        (format!("{old}alice,\"pass,word\",{id},{secret},{link}\n"), &["--profile", "dev"]),
        (format!("SECRET ACCESS KEY,access key id\n{secret},{id}\n"), &["--profile", "dev"]),
        (several, &["--profile", "dev", "--user", "alice"]),
        (format!("# pasted\n[dev]\n{key}region = eu-west-1\n"), &[]),
        (format!("[other]\r\n{}", key.replace('\n', "\r\n")), &["--profile", "dev"]),
        (key, &["--profile", "dev"]),
        (format!("[dev]\n{}[bob]\naws_access_key_id = {ID}\n", key_of(&sandbox.alice)), &["--user", "dev"]),
    ];
    let expected = format!("[dev]\n{}", key_of(&sandbox.alice));
    for (text, options) in cases {
        let _ = fs::remove_file(file(&sandbox));
        let run = import(&sandbox, text, options);
        assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{text}: {run:?}");
        assert_eq!(credentials(&sandbox), expected, "{text}");
        let words = format!("the key …{} is in [dev] of {} now\n", &id[16..], file(&sandbox).display());
        assert!(run.stderr.starts_with(&words), "{run:?}");
        assert!(
            run.stderr.contains("key.csv: rm ") && run.stderr.ends_with("next: mfa-agent login dev\n"),
            "{run:?}"
        );
        assert_eq!(fs::read_to_string(sandbox.home().join("key.csv")).unwrap(), *text);
    }
    // From a pipe as well; where nobody names a profile, it is the default one.
    fs::remove_file(file(&sandbox)).unwrap();
    let run = piped(&sandbox, &mut sandbox.client(["keys", "import", "-"]), &csv(&sandbox));
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(credentials(&sandbox), expected.replace("[dev]", "[default]"));
    let script = "exec \"$1\" keys import --profile \"$2\" <(cat \"$3\")";
    let key = sandbox.home().join("key.csv");
    fs::write(&key, csv(&sandbox)).unwrap();
    let arguments = ["-c", script, "bash", env!("CARGO_BIN_EXE_mfa-agent"), "dev", key.to_str().unwrap()];
    let run = Run::of(&mut sandbox.command(tool("bash"), arguments));
    assert!(run.status == 0 && !run.stderr.contains("rm "), "{run:?}");
    assert!(credentials(&sandbox).contains(&expected));
}

#[test]
fn an_imported_key_opens_a_session_and_awss_own_client_reads_it() {
    let sandbox = without_key();
    fs::remove_file(sandbox.home().join(".aws/config")).unwrap();
    fs::remove_dir(sandbox.home().join(".aws")).unwrap();
    let run = import(&sandbox, &csv(&sandbox), &["--profile", "dev", "--remove-file"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("key.csv is removed\n"), "{run:?}");
    assert!(!sandbox.home().join("key.csv").exists());
    assert_eq!((mode(&file(&sandbox)), mode(&sandbox.home().join(".aws"))), (0o600, 0o700));
    sandbox.log_in("dev");
    let endpoint = sandbox.simulator.endpoint();
    let caller = ["--profile", "dev", "--endpoint-url", &endpoint, "sts", "get-caller-identity"];
    for aws in [tool("aws"), aws_cli_2().to_owned()] {
        let run = Run::of(sandbox.command(aws, caller).env("AWS_DEFAULT_REGION", "us-east-1"));
        assert!(run.status == 0 && run.stdout.contains("user/alice"), "{run:?}");
    }
}

#[test]
fn a_person_types_the_key_and_the_secret_is_not_seen() {
    let sandbox = without_key();
    let (id, secret) = (&sandbox.alice.access_key_id, &sandbox.alice.secret_access_key);
    let terminal = sandbox.terminal(&["keys", "import", "--profile", "dev"]);
    terminal.wait_for("Access key ID for dev: ");
    terminal.type_in(&format!("wrong\u{15}{}x\u{7f}", &id[..19]));
    terminal.wait_for(&format!("{}x\u{8} \u{8}", &id[..19]));
    // The last character and the secret in one paste.
    terminal.type_in(&format!("{}\r{secret}x\u{7f}", &id[19..]));
    terminal.wait_for("Secret access key: ");
    terminal.type_in("\r");
    let run = terminal.finish();
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    assert!(!run.stderr.contains(&secret[..8]), "{run:?}");
    assert_eq!(credentials(&sandbox), format!("[dev]\n{}", key_of(&sandbox.alice)));
    sandbox.log_in("dev");

    // Put into the wrong place, it is said so before the other is asked for; Ctrl-C leaves everything.
    let terminal = sandbox.terminal(&["keys", "import", "--profile", "ops"]);
    terminal.wait_for("Access key ID for ops: ");
    terminal.type_in(&format!("{SECRET}\r"));
    terminal.wait_for("a secret access key is where the access key id should be");
    assert_eq!(terminal.finish().status, 2);
    let terminal = sandbox.terminal(&["keys", "import", "--profile", "ops"]);
    terminal.wait_for("Access key ID for ops: ");
    terminal.type_in(&format!("{ID}\r"));
    terminal.wait_for("Secret access key: ");
    terminal.type_in("\u{3}");
    assert_eq!(terminal.finish().status, 130);
    assert!(!credentials(&sandbox).contains("ops"));
    let run = sandbox.run(&["keys", "import"]);
    assert!(run.status == 2 && run.stderr.contains("nobody can be asked"), "{run:?}");
}

#[test]
fn another_key_of_the_profile_stays_unless_it_is_said() {
    let sandbox = without_key();
    let own = key_of(&sandbox.alice);
    let id = &sandbox.alice.access_key_id;
    let old = format!("aws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n");
    let check = |before: &str, options: &[&str], status: i32, words: &str, after: &str| {
        sandbox.write(".aws/credentials", before);
        let run = import(&sandbox, &csv(&sandbox), &[&["--profile", "dev"], options].concat());
        assert_eq!(run.status, status, "{before}: {run:?}");
        assert!(run.stderr.contains(words), "{before}: {run:?}");
        assert_eq!(credentials(&sandbox), after);
        assert_eq!(run.hint().contains("--force"), status != 0, "{run:?}");
    };
    let dev = |settings: &str| format!("[dev]\n{settings}");
    check(&dev(&old), &[], 5, "has another key, …MPLE", &dev(&old));
    check(&dev(&old), &["--force"], 0, "in the place of another key, …MPLE", &dev(&own));
    // Nothing to do, again and again; half of it is completed.
    check(&dev(&own), &[], 0, &format!("the key …{} is in [dev] of ", &id[16..]), &dev(&own));
    check(&dev(&own), &["--force"], 0, " already\n", &dev(&own));
    let (first, second) = own.split_at(own.find("aws_secret").unwrap());
    check(&dev(first), &[], 0, " now\n", &dev(&own));
    check(&dev(second), &[], 0, " now\n", &format!("[dev]\n{second}{first}"));
    let other_secret = own.replace(&sandbox.alice.secret_access_key, SECRET);
    check(&dev(&other_secret), &[], 5, "with another secret", &dev(&other_secret));
    let lone = format!("aws_secret_access_key = {SECRET}\n");
    check(&dev(&lone), &[], 5, "a secret access key without its id", &dev(&lone));
    // A session's leftovers would make the new key useless.
    let session = format!("{}aws_session_token = t\nregion = x\n", old.replace("AKIA", "ASIA"));
    check(&dev(&session), &[], 5, "temporary credentials", &dev(&session));
    check(&dev(&session), &["--force"], 0, "temporary credentials", &dev(&format!("{own}region = x\n")));
    // Where aws-mfa's section has the key, that is the one that counts.
    let long_term = format!("[dev-long-term]\n{old}");
    check(&long_term, &[], 5, "[dev-long-term] of ", &long_term);
    check(&long_term, &["--force"], 0, "[dev-long-term] of ", &format!("[dev-long-term]\n{own}"));
    check(&format!("[dev-long-term]\n{own}"), &[], 0, " already\n", &format!("[dev-long-term]\n{own}"));
}

#[test]
fn all_else_in_the_file_and_its_mode_stay() {
    let sandbox = without_key();
    let before =
        "# mine: Zürich\r\n[dev]  ; of alice\r\nregion   =\tx  \r\n\r\n; the end\r\n[ops]\r\nregion=y";
    sandbox.write(".aws/credentials", before);
    open_to_others(&file(&sandbox), 0o640);
    let run = import(&sandbox, &csv(&sandbox), &["--profile", "dev"]);
    assert_eq!(run.status, 0, "{run:?}");
    let key = key_of(&sandbox.alice).replace('\n', "\r\n");
    assert_eq!(credentials(&sandbox), before.replace("x  \r\n", &format!("x  \r\n{key}")));
    assert_eq!(mode(&file(&sandbox)), 0o640);
    let said = format!("others can read {0} (mode 0640): chmod 600 {0}\n", file(&sandbox).display());
    assert!(run.stderr.contains(&said), "{run:?}");
    let names: Vec<_> =
        fs::read_dir(sandbox.home().join(".aws")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(
        names.len() == 2 && names.iter().all(|name| name == "config" || name == "credentials"),
        "{names:?}"
    );
}

#[test]
fn what_is_no_key_is_refused_and_quoted_nowhere() {
    let sandbox = without_key();
    let before = "[ops]\nregion = x\n";
    sandbox.write(".aws/credentials", before);
    let old = "User Name,Password,Access key ID,Secret access key\n";
    let check = |text: &str, options: &[&str], status: i32, words: &str| {
        let run = import(&sandbox, text, options);
        assert_eq!(run.status, status, "{text}: {run:?}");
        assert!(run.stderr.contains(words) && !run.hint().is_empty(), "{text}: {run:?}");
        assert_eq!(credentials(&sandbox), before);
        assert_eq!(fs::read_to_string(sandbox.home().join("key.csv")).unwrap(), text, "kept");
    };
    let one = csv(&sandbox);
    let two = format!("{old}alice,,{ID},{SECRET}\nbob,,{ID},{SECRET}\n");
    check(&two, &[], 5, "it has several keys: of alice, bob");
    check(&two, &["--user", "carol"], 5, "it has no key of carol; of alice, bob");
    check(&two, &["--user", "bob", "--remove-file"], 5, "it has more than this key, and is not removed");
    check(&one, &["--user", "alice"], 5, "it has no key of alice; no names in it");
    check(&format!("{one}{ID},{SECRET}\n"), &[], 5, "it has several keys, and no names");
    check(&format!("{old}alice,p,,\n"), &[], 5, "there is no access key in it");
    check("", &[], 5, "it is neither the console's CSV file");
    check(&format!("{ID},{SECRET}\n"), &[], 5, "it is neither the console's CSV file");
    check(
        &format!("Access key ID,Secret access key\n{SECRET},{ID}\n"),
        &[],
        5,
        "where the access key id should be",
    );
    check(&format!("Access key ID,Secret access key\n{ID}\n"), &[], 5, "no secret access key");
    check(&one.replace("\nAKIA", "\nASIA"), &[], 5, "temporary");
    check(
        &format!("[dev]\n{}aws_session_token = x\n", key_of(&sandbox.alice)),
        &[],
        5,
        "its key is temporary",
    );
    check(&one, &["--profile", "de v"], 5, "cannot be a profile's name");
    check(&"x".repeat(65 * 1024), &[], 5, "larger than 64 KiB");
    check(
        &format!("{}[ dev ]\n[dev]\n{}", one, key_of(&sandbox.alice)),
        &["--user", "dev"],
        5,
        "no key of dev",
    );

    let run = sandbox.run(&["keys", "import", "/nowhere"]);
    assert!(run.status == 1 && run.stderr.contains("cannot read /nowhere: "), "{run:?}");
    let own = file(&sandbox);
    let run = sandbox.run(&["keys", "import", own.to_str().unwrap(), "--profile", "dev", "--remove-file"]);
    assert!(run.status == 2 && run.stderr.contains("is where the key would go"), "{run:?}");
    // A link would go, and the key stay.
    sandbox.write("key.csv", &one);
    let link = sandbox.home().join("link.csv");
    std::os::unix::fs::symlink(sandbox.home().join("key.csv"), &link).unwrap();
    let run = sandbox.run(&["keys", "import", link.to_str().unwrap(), "--remove-file"]);
    assert!(run.status == 2 && run.stderr.contains("no regular file, and is not removed"), "{run:?}");
    let run = piped(&sandbox, &mut sandbox.client(["keys", "import", "-", "--remove-file"]), &one);
    assert!(run.status == 2 && run.stderr.contains("stdin is no file"), "{run:?}");
    let terminal = sandbox.terminal(&["keys", "import", "-"]);
    terminal.wait_for("stdin is the terminal");
    assert_eq!(terminal.finish().status, 2);
    assert_eq!(credentials(&sandbox), before);
}

#[test]
fn the_secret_goes_into_the_file_and_nowhere_else() {
    let sandbox = without_key();
    let trace = sandbox.home().join("trace");
    let arguments = [
        "-f",
        "-y",
        "-s",
        "65536",
        "-e",
        "trace=execve,write,pwrite64,writev,sendto,sendmsg",
        "-o",
        trace.to_str().unwrap(),
        env!("CARGO_BIN_EXE_mfa-agent"),
        "keys",
        "import",
        "--profile",
        "dev",
        "-",
    ];
    let run = piped(&sandbox, &mut sandbox.command(tool("strace"), arguments), &csv(&sandbox));
    assert_eq!(run.status, 0, "{run:?}");
    let traced = fs::read_to_string(&trace).unwrap();
    let lines: Vec<_> =
        traced.lines().filter(|line| line.contains(&sandbox.alice.secret_access_key)).collect();
    assert!(lines.len() == 1 && lines[0].contains("/.aws/.credentials.mfa-agent-"), "{lines:?}");
    assert!(!sandbox.socket().exists(), "it needs no agent");
}

#[test]
fn the_profiles_that_rest_on_a_key_are_listed_with_its_end() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["keys", "list"]);
    let dev = &sandbox.alice.access_key_id[16..];
    let key = key_of(&sandbox.alice);
    let config = sandbox.home().join(".aws/config");
    sandbox.write(
        ".aws/credentials",
        &format!(
            "[dev]\n{key}\n[short]\n{}aws_session_token = t\n[old-long-term]\naws_access_key_id = {ID}\n\
             aws_secret_access_key = {SECRET}\n[old]\n{}aws_session_token = t\n[half]\naws_access_key_id = {ID}\n",
            key.replace("AKIA", "ASIA"),
            key.replace("AKIA", "ASIA"),
        ),
    );
    let arn = "arn:aws:iam::111122223333:role/ops";
    sandbox.write(
        ".aws/config",
        &format!(
            "[profile dev]\nmfa_serial = {}\n[profile ops]\nrole_arn = {arn}\nsource_profile = deep\n\
             [profile deep]\nrole_arn = {arn}\nsource_profile = dev\n[profile a]\nrole_arn = {arn}\nsource_profile = b\n\
             [profile b]\nrole_arn = {arn}\nsource_profile = a\n[profile here]\n{key}[profile none]\nregion = x\n",
            sandbox.serial
        ),
    );
    for (path, mode) in [(file(&sandbox), 0o600), (config.clone(), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    assert_eq!(run.status, 0, "{run:?}");
    let run = sandbox.run(&["keys", "list"]);
    assert_says_no_secret(&sandbox, &run);
    let rows: Vec<Vec<&str>> = run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let (credentials, config) = (file(&sandbox).display().to_string(), config.display().to_string());
    let key = format!("…{dev}");
    let expected = [
        ["PROFILE", "KEY", "SECTION", "WHERE"],
        ["deep", &key, "dev", &credentials],
        ["dev", &key, "dev", &credentials],
        ["here", &key, "here", &config],
        ["old", "…MPLE", "old-long-term", &credentials],
        ["ops", &key, "dev", &credentials],
    ];
    assert_eq!(rows, expected);
    assert_eq!(run.stderr, format!("others can read {config} (mode 0644): chmod 600 {config}\n"));
    assert!(!run.stdout.contains(&sandbox.alice.access_key_id), "{run:?}");

    let json = sandbox.run(&["keys", "list", "--json", "--profile", "here"]);
    let expected = format!(
        "[\n  {{\n    \"profile\": \"here\",\n    \"key\": \"{dev}\",\n    \"section\": \"here\",\n    \
         \"file\": \"{config}\",\n    \"keyring\": false,\n    \"mode\": \"0644\"\n  }}\n]\n"
    );
    assert_eq!((json.status, json.stdout), (0, expected));
    sandbox.write(".aws/credentials", "");
    sandbox.write(".aws/config", "");
    let run = sandbox.run(&["keys", "list"]);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    assert!(run.stderr.contains("mfa-agent keys import"), "{run:?}");
}
