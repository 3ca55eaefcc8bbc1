//! Asking for the code.

use crate::stub::{CREDENTIALS, Call, NEEDS_MFA, SESSION, Stub, WRONG_CODE};
use crate::tty::Tty;

const ENV: &str = "client env dev --shell posix";
const PROMPT: &str = "MFA code for dev (device arn:aws:iam::111122223333:mfa/alice): ";
const AGAIN: &str = "\rMFA code for dev: ";

/// A client that asks, and the connection by which it claims to be the one who asks.
fn asking(code: &str) -> (Stub, Tty, Call) {
    let stub = Stub::new();
    let mut tty = Tty::run(&stub, code);
    let claim = stub.expect(r#""ask":"person""#).reply(NEEDS_MFA);
    tty.shows(PROMPT);
    (stub, tty, claim)
}

#[test]
fn the_sixth_digit_submits_and_the_claim_is_held_meanwhile() {
    let (stub, mut tty, claim) = asking(ENV);
    assert!(!tty.is_as_found());
    // Typed as phones show it, with a digit mended, beside keys that mean nothing.
    tty.types("12x\x7f2 \x1b[A\x1bOP3-4");
    tty.shows("••••");
    tty.types("\r");
    tty.shows("2 digits are missing");
    tty.types("56");
    let login = stub.call();
    assert!(
        login.line.ends_with("{\"login\":{\"profile\":\"dev\",\"code\":\"123456\"}}}\n"),
        "{}",
        login.line
    );
    assert!(claim.is_open());
    drop(login.reply(SESSION));
    let _last = stub.expect("credentials").reply(CREDENTIALS);
    let (status, stdout, shown) = tty.end();
    assert_eq!(status, 0, "{shown}");
    assert!(stdout.starts_with("export AWS_ACCESS_KEY_ID='ASIAIOSFODNN7EXAMPLE';\n"), "{stdout}");
}

#[test]
fn the_digits_are_never_shown() {
    let (stub, mut tty, _claim) = asking(ENV);
    tty.types("987654");
    drop(stub.expect("987654").reply(SESSION));
    let _last = stub.call().reply(CREDENTIALS);
    let (_, _, shown) = tty.end();
    assert!(!shown.contains('9') && shown.contains("••••••"), "{shown}");
}

#[test]
fn a_question_is_withdrawn_when_the_session_comes_from_elsewhere() {
    let (stub, mut tty, claim) = asking(ENV);
    tty.types("12");
    tty.shows("••");
    drop(claim);
    let _last = stub.expect("credentials").reply(CREDENTIALS);
    let (status, stdout, shown) = tty.end();
    assert_eq!(status, 0);
    assert!(stdout.starts_with("export "), "{stdout}");
    // The line is taken away and nothing is said.
    let line = format!("\r{}\r", " ".repeat(PROMPT.len() + 2));
    assert!(shown.starts_with(&line), "{shown:?}");
    assert!(stub.is_quiet());
}

#[test]
fn three_wrong_codes_are_enough() {
    let (stub, mut tty, claim) = asking(ENV);
    for (code, left) in [("111111", "2 tries left"), ("222222", "1 try left")] {
        tty.types(code);
        drop(stub.expect(code).reply(WRONG_CODE));
        tty.shows(&format!("That code was not accepted by AWS; {left}."));
        tty.shows(AGAIN);
        assert!(claim.is_open());
    }
    tty.types("333333");
    drop(stub.expect("333333").reply(WRONG_CODE));
    let (status, stdout, shown) = tty.end();
    assert_eq!((status, stdout.as_str()), (4, "false\n"));
    assert!(
        shown.contains("mfa-agent: AWS did not accept the code of arn:aws:iam::111122223333:mfa/alice"),
        "{shown}"
    );
    assert!(stub.is_quiet());
}

#[test]
fn a_used_code_counts_no_try_and_blocks_no_typing() {
    let (stub, mut tty, _claim) = asking(ENV);
    for code in ["111111", "222222", "333333", "444444"] {
        tty.types(code);
        let used = r#"{"refused":{"used_code":{"serial":"GAHT1","wait_seconds":30}}}"#;
        drop(stub.expect(code).reply(used));
        tty.shows("that code was used already; the next one comes in 30 s");
    }
    // It counts down while nobody types.
    tty.shows("comes in 29 s");
    tty.types("555555");
    drop(stub.expect("555555").reply(SESSION));
    let _last = stub.call().reply(CREDENTIALS);
    assert_eq!(tty.end().0, 0);
}

#[test]
fn four_keys_and_an_empty_line_cancel() {
    for (name, keys) in
        [("Ctrl-C", "\x03"), ("Ctrl-D", "12\x04"), ("Esc", "12\x1b"), ("Enter", "\r"), ("Ctrl-\\", "\x1c")]
    {
        let (stub, mut tty, claim) = asking(ENV);
        tty.types(keys);
        let (status, stdout, shown) = tty.end();
        assert_eq!((status, stdout.as_str()), (130, "false\n"), "{name}: {shown}");
        assert!(!claim.is_open() && stub.is_quiet(), "{name}");
    }
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for signal in ["TERM", "HUP"] {
        let stub = Stub::new();
        let go = "while [ ! -e $XDG_RUNTIME_DIR/go ]; do sleep 0.01; done";
        let mut tty = Tty::run(&stub, &format!("{ENV} & pid=$!; {go}; kill -{signal} $pid; wait $pid"));
        let _claim = stub.call().reply(NEEDS_MFA);
        tty.shows(PROMPT);
        std::fs::write(stub.folder.path().join("go"), "").unwrap();
        let (status, stdout, _) = tty.end();
        assert_eq!((status, stdout.as_str()), (130, "false\n"), "{signal}");
    }
}

#[test]
fn a_second_profile_is_asked_for_after_the_first_one_failed() {
    let (stub, mut tty, claim) = asking("client login dev prod");
    for _ in 0..3 {
        tty.types("111111");
        drop(stub.expect("\"login\"").reply(WRONG_CODE));
    }
    drop(claim);
    let _claim = stub.expect(r#""profile":"prod","ask":"person""#).reply(&NEEDS_MFA.replace("dev", "prod"));
    tty.shows("MFA code for prod (");
    tty.types("222222");
    drop(stub.expect("222222").reply(SESSION));
    tty.shows("prod: valid for 11h 02m");
    assert_eq!(tty.end().0, 4);
}

#[test]
fn ctrl_c_works_while_the_code_is_tried() {
    let (stub, mut tty, _claim) = asking(&format!("trap : INT; {ENV}"));
    tty.types("123456");
    let _unanswered = stub.expect("login");
    tty.types("\x03");
    let (status, stdout, _) = tty.end();
    assert_eq!((status, stdout.as_str()), (130, "false\n"));
}

#[test]
fn the_enter_of_habit_is_swallowed_and_nothing_more() {
    // What is typed together with the code.
    let (stub, mut tty, _claim) = asking(&format!("{ENV}; read line; echo \"left: $line\""));
    tty.types("123456\rls -l\r");
    drop(stub.expect("login").reply(SESSION));
    let _last = stub.call().reply(CREDENTIALS);
    let (_, stdout, _) = tty.end();
    assert!(stdout.ends_with("left: ls -l\n"), "{stdout}");

    // What is typed while AWS is asked.
    let (stub, mut tty, _claim) = asking(&format!("{ENV}; read line; echo \"left: $line\""));
    tty.types("123456");
    let login = stub.expect("login");
    tty.types("\r");
    tty.types("ls -l\n");
    tty.holds(6);
    drop(login.reply(SESSION));
    let _last = stub.call().reply(CREDENTIALS);
    let (_, stdout, _) = tty.end();
    assert!(stdout.ends_with("left: ls -l\n"), "{stdout}");
}

#[test]
fn the_enter_of_habit_does_not_cancel_the_next_try() {
    let (stub, mut tty, _claim) = asking(ENV);
    tty.types("111111");
    drop(stub.expect("111111").reply(WRONG_CODE));
    tty.shows(AGAIN);
    tty.types("\r222222");
    drop(stub.expect("222222").reply(SESSION));
    let _last = stub.call().reply(CREDENTIALS);
    assert_eq!(tty.end().0, 0);
}

#[test]
fn who_waits_for_another_terminal_is_told() {
    let stub = Stub::new();
    let mut tty = Tty::run(&stub, ENV);
    let call = stub.call();
    tty.shows("mfa-agent: waiting; you may be asked in another terminal, or on the desktop");
    let _call = call.reply(CREDENTIALS);
    assert_eq!(tty.end().0, 0);
}

#[test]
fn an_endpoint_that_is_not_awss_is_named_before_the_code_is_typed() {
    let stub = Stub::new();
    let mut tty = Tty::run(&stub, ENV);
    let question = NEEDS_MFA.replace("\"expired\"", "\"endpoint\":\"http://127.0.0.1:4566\",\"expired\"");
    let _claim = stub.call().reply(&question);
    tty.shows("This code goes to http://127.0.0.1:4566, which is not AWS.");
    tty.shows(PROMPT);
    tty.types("\x03");
    assert_eq!(tty.end().0, 130);
}

#[test]
fn a_job_in_the_background_asks_nobody() {
    let stub = Stub::new();
    let tty = Tty::run(&stub, "set -m; client env dev --shell posix & wait $!");
    let _waits = stub.expect(r#""ask":"wait""#).reply(NEEDS_MFA);
    let (status, stdout, shown) = tty.end();
    assert_eq!((status, stdout.as_str()), (3, "false\n"), "{shown}");
}

#[test]
fn without_a_terminal_or_unasked_nobody_is_asked() {
    let stub = Stub::new();
    for (arguments, ask) in [("env dev", "wait"), ("env dev --no-prompt", "never")] {
        let child = stub.client(arguments).spawn().unwrap();
        let _refused = stub.expect(&format!(r#""ask":"{ask}""#)).reply(NEEDS_MFA);
        let expected =
            "mfa-agent: dev needs an MFA code, and nobody can be asked\nhint: mfa-agent login dev\n";
        assert_eq!(crate::stub::end(child), (3, "false\n".to_owned(), expected.to_owned()));
    }
}

#[test]
fn a_given_code_is_sent_once() {
    let stub = Stub::new();
    for (code, status, reply) in [("123456", 0, SESSION), ("123456", 4, WRONG_CODE)] {
        let child = stub.client(&format!("env dev --shell posix --code {code}")).spawn().unwrap();
        // Who has the code stands in no line.
        drop(stub.expect(r#""ask":"never""#).reply(NEEDS_MFA));
        let login = stub.call();
        assert_eq!(login.code(), code);
        drop(login.reply(reply));
        if status == 0 {
            drop(stub.call().reply(CREDENTIALS));
        }
        assert_eq!(crate::stub::end(child).0, status);
    }
    for arguments in
        ["env dev --code 12345", "env dev --code 12345a", "login dev --code ١٢٣٤٥٦", "login dev --code="]
    {
        let (status, _, stderr) = crate::stub::ended(&stub.client(arguments).output().unwrap());
        assert_eq!(
            (status, stderr.as_str()),
            (
                2,
                "mfa-agent: an MFA code is six digits\nhint: type the six digits that the MFA device shows now\n"
            ),
            "{arguments}"
        );
    }
    assert!(stub.is_quiet());
}

#[test]
fn a_code_comes_from_stdin_and_the_lines_after_it_stay() {
    let stub = Stub::new();
    let child =
        stub.shell("printf '123456\\nnext\\n' | { client login dev --code -; cat; }").spawn().unwrap();
    let _claim = stub.call().reply(NEEDS_MFA);
    let login = stub.call();
    assert_eq!(login.code(), "123456");
    drop(login.reply(SESSION));
    let (status, stdout, stderr) = crate::stub::end(child);
    assert_eq!((status, stdout.as_str()), (0, "next\n"));
    assert!(stderr.starts_with("dev: valid for 11h 02m (until "), "{stderr}");
}
