use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::child::tests::ended;

/// A program of this name that is this shell script.
fn program(name: &str, script: &str) -> (TempDir, ChildEnvironment) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut folders = vec![folder.path().to_owned()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let path = std::env::join_paths(folders).unwrap();
    let environment =
        ChildEnvironment::from([("PATH".into(), path), ("FOLDER".into(), folder.path().into())]);
    (folder, environment)
}

/// A pinentry that knows these commands besides those that set something; it notes down all that it is told.
fn pinentry(commands: &str) -> String {
    format!(
        "echo OK Pleased to meet you\n\
         while read -r line; do printf '%s\\n' \"$line\" >> \"$FOLDER/heard\"; case $line in {commands} *) echo OK;; esac; done"
    )
}

fn dialog() -> Dialog {
    Dialog {
        title: "MFA code for d_v".to_owned(),
        about: vec![plain("AWS profile d_v <b> &"), "50 %".to_owned()],
        note: Some("AWS did not accept that code.".to_owned()),
        wanted: Wanted::Code,
    }
}

async fn asked(name: &str, script: &str, limit: Duration) -> (TempDir, Result<Answer, Trouble>) {
    let (folder, environment) = program(name, script);
    let prompters = find(Some(name), &environment);
    assert_eq!(prompters.len(), 1);
    let answer = ask(&prompters, &dialog(), &environment, limit).await;
    (folder, answer)
}

fn code(text: &str) -> Answer {
    Answer::Typed(Secret::new(text.to_owned()))
}

const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn pinentry_is_told_what_it_is_about_and_hands_the_code_over() {
    let script = pinentry("GETPIN) echo '# thinking'; echo 'S STATUS x'; echo 'D 12%33456'; echo OK;;");
    let (folder, answer) = asked("pinentry-test", &script, LONG).await;
    assert_eq!(answer.unwrap(), code("123456"));
    let heard = fs::read_to_string(folder.path().join("heard")).unwrap();
    let expected = "SETTIMEOUT 57\n\
                    SETTITLE MFA code for d_v\n\
                    SETDESC AWS profile d_v ‹b› &%0A50 %25\n\
                    SETERROR AWS did not accept that code.\n\
                    SETPROMPT Code:\n\
                    GETPIN\n";
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn pinentrys_errors_are_understood() {
    for (line, expected) in [
        ("ERR 83886179 Operation cancelled <Pinentry>", Some(Answer::Cancelled)),
        ("ERR 83886278 Fully cancelled", Some(Answer::Cancelled)),
        ("ERR 83886142 Timeout <Pinentry>", Some(Answer::TimedOut)),
        ("ERR 83918950 Inappropriate ioctl for device <Pinentry>", None),
        ("ERR", None),
        ("OK", Some(code(""))),
    ] {
        let script = pinentry(&format!("GETPIN) echo '{line}'; exit;;"));
        let (_folder, answer) = asked("pinentry-test", &script, LONG).await;
        assert_eq!(answer.ok(), expected, "{line}");
    }
}

#[tokio::test]
async fn what_speaks_no_assuan_is_ended() {
    for script in
        ["exit 0", "echo", "yes OK", "yes ''", "head -c 5000 /dev/zero; exec sleep 1000", "echo D; yes '#'"]
    {
        let (_folder, answer) = asked("pinentry-test", script, Duration::from_secs(5)).await;
        assert!(!matches!(answer, Ok(Answer::Typed(ref text)) if !text.expose().is_empty()), "{script}");
    }
}

#[tokio::test]
async fn one_that_hangs_is_ended_with_all_its_children() {
    let children = "sleep 1000 & echo $! > \"$FOLDER/pids\"; echo $$ >> \"$FOLDER/pids\"; trap '' TERM; ";
    for (name, script) in [
        ("pinentry-test", format!("{children}echo OK; wait; wait")),
        ("zenity", format!("{children}wait; wait")),
    ] {
        let (folder, answer) = asked(name, &script, Duration::from_secs(2)).await;
        assert_eq!(answer.unwrap(), Answer::TimedOut, "{name}");
        for pid in fs::read_to_string(folder.path().join("pids")).unwrap().lines() {
            ended(pid).await;
        }
    }
}

#[tokio::test]
async fn who_goes_away_takes_the_dialog_along() {
    let script = "mkfifo \"$FOLDER/pipe\"; echo $$ > \"$FOLDER/pid.new\"; mv \"$FOLDER/pid.new\" \"$FOLDER/pid\"; read line < \"$FOLDER/pipe\"";
    let (folder, environment) = program("zenity", script);
    let prompters = find(Some("zenity"), &environment);
    let question = dialog();
    let asking = ask(&prompters, &question, &environment, LONG);
    let file = folder.path().join("pid");
    let shown = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = asking => panic!("nobody answers"),
        () = shown => {}
    }
    ended(fs::read_to_string(&file).unwrap().trim()).await;
}

#[tokio::test]
async fn zenity_and_kdialog_are_understood() {
    for (name, status, expected) in [
        ("zenity", 0, Some(code("123456"))),
        ("zenity", 1, Some(Answer::Cancelled)),
        ("zenity", 5, Some(Answer::TimedOut)),
        ("zenity", 255, None),
        ("kdialog", 0, Some(code("123456"))),
        ("kdialog", 1, Some(Answer::Cancelled)),
        ("kdialog", 254, None),
    ] {
        let script = format!("printf '%s\\n' \"$@\" > \"$FOLDER/heard\"; echo 123456; exit {status}");
        let (folder, answer) = asked(name, &script, LONG).await;
        assert_eq!(answer.ok(), expected, "{name} {status}");
        let heard = fs::read_to_string(folder.path().join("heard")).unwrap();
        let text = match name {
            "zenity" => {
                "--text=AWS did not accept that code.\nAWS profile d__v ‹b› &\n50 %\n--title=MFA code for d_v\n--timeout=57\n"
            }
            _ => "--password\n<qt>AWS did not accept that code.<br>AWS profile d_v ‹b› &amp;<br>50 %</qt>\n",
        };
        assert!(heard.ends_with(text), "{heard}");
    }
}

#[tokio::test]
async fn the_first_that_can_show_something_is_taken() {
    let (folder, environment) = program("pinentry", &pinentry("GETPIN) echo ERR 83918950 no terminal;;"));
    let other = folder.path().join("zenity");
    fs::write(&other, "#!/bin/sh\necho 123456\n").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let prompters = find(None, &environment);
    let own: Vec<_> = prompters.iter().filter(|it| it.program.starts_with(folder.path())).cloned().collect();
    assert_eq!(own.iter().map(|it| it.kind).collect::<Vec<_>>(), [Kind::Pinentry, Kind::Zenity]);
    assert_eq!(ask(&own, &dialog(), &environment, LONG).await.unwrap(), code("123456"));
}

#[tokio::test]
async fn a_yes_is_asked_for_with_two_buttons() {
    let script = "printf '%s\\n' \"$@\" > \"$FOLDER/heard\"; exit $(cat \"$FOLDER/status\")";
    let confirm = "CONFIRM) cat \"$FOLDER/status\";;";
    for (name, script, status, expected, words) in [
        ("zenity", script, "0", Answer::Allowed, "--ok-label=_Allow\n--cancel-label=_Deny\n"),
        ("zenity", script, "1", Answer::Cancelled, "--default-cancel\n"),
        ("kdialog", script, "0", Answer::Allowed, "--yes-label\nAllow\n--no-label\nDeny\n"),
        ("kdialog", script, "1", Answer::Cancelled, "--yesno\n"),
        ("osascript", script, "0", Answer::Allowed, "\n57\nAllow\nDeny\n"),
        ("osascript", script, "1", Answer::Cancelled, "default button deny"),
        ("pinentry-x", &pinentry(confirm), "OK", Answer::Allowed, "SETOK _Allow\nSETCANCEL _Deny\nCONFIRM\n"),
        ("pinentry-x", &pinentry(confirm), "ERR 83886194 Not confirmed", Answer::Cancelled, "CONFIRM\n"),
    ] {
        let (folder, environment) = program(name, script);
        fs::write(folder.path().join("status"), format!("{status}\n")).unwrap();
        let prompters = find(Some(name), &environment);
        let question = Dialog { wanted: Wanted::Consent, ..dialog() };
        let answer = ask(&prompters, &question, &environment, LONG).await.unwrap();
        assert_eq!(answer, expected, "{name} {status}");
        let heard = fs::read_to_string(folder.path().join("heard")).unwrap();
        assert!(heard.contains(words), "{name}: {heard}");
    }
}

#[test]
fn what_looks_like_markup_or_commands_is_neither() {
    assert_eq!(plain("a<b>&\u{202e}\n"), "a‹b›&\\u{202e}\\n");
}

#[test]
fn a_prompter_is_known_by_its_name() {
    for name in ["pinentry", "pinentry-gnome3", "/opt/bin/pinentry-mac", "zenity", "kdialog", "osascript"] {
        assert!(is_known(name), "{name}");
    }
    for name in ["", "rofi", "bin/zenity", "/bin/sh", "./pinentry", "pinentry/x"] {
        assert!(!is_known(name), "{name}");
    }
    let (_folder, environment) = program("pinentry-test", "");
    assert_eq!(find(Some("pinentry-none"), &environment), []);
    assert_eq!(find(Some("/nonexistent/pinentry"), &environment), []);
}
