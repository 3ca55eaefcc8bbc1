use super::*;

fn document(kind: Kind, text: &str) -> Document {
    Document::new(kind, Zeroizing::new(text.to_owned())).unwrap()
}

#[track_caller]
fn check(kind: Kind, before: &str, change: impl FnOnce(&mut Document), after: &str) {
    let mut document = document(kind, before);
    change(&mut document);
    assert_eq!(document.text(), after);
}

#[test]
fn a_value_changes_and_nothing_else_does() {
    check(
        Kind::Credentials,
        "# mine\n\n[ops]\nregion=a\n[dev]\n; old\naws_access_key_id   =  A\t\nREGION=x # home\nlast = 1",
        |document| {
            document.set("dev", "aws_access_key_id", "B").unwrap();
            document.set("dev", "region", "y").unwrap();
            document.set("dev", "last", "2").unwrap();
        },
        "# mine\n\n[ops]\nregion=a\n[dev]\n; old\naws_access_key_id   =  B\n# home\nREGION=y\nlast = 2",
    );
}

#[test]
fn a_new_setting_stands_behind_the_last_one_and_before_what_follows() {
    check(
        Kind::Config,
        "[profile dev]\ns3 =\n  max = 3\n\n  # in\n  style = path\n\n# about ops\n[profile ops]\n",
        |document| document.set("dev", "region", "x").unwrap(),
        "[profile dev]\ns3 =\n  max = 3\n\n  # in\n  style = path\nregion = x\n\n# about ops\n[profile ops]\n",
    );
}

#[test]
fn a_new_section_is_at_the_end() {
    let set = |document: &mut Document| document.set("dev", "region", "x").unwrap();
    check(Kind::Config, "", set, "[profile dev]\nregion = x\n");
    check(Kind::Config, "[default]\na = b", set, "[default]\na = b\n\n[profile dev]\nregion = x\n");
    check(Kind::Credentials, "[default]\n\n", set, "[default]\n\n[dev]\nregion = x\n");
    check(Kind::Credentials, "\u{feff}[a]\r\n", set, "\u{feff}[a]\r\n\r\n[dev]\r\nregion = x\r\n");
    check(Kind::Credentials, "\u{feff}", set, "\u{feff}[dev]\nregion = x\n");
}

#[test]
fn a_nested_setting_is_not_the_profiles_own() {
    let document = document(Kind::Config, "[default]\ns3 =\n  region = nested\nregion = own\n");
    assert_eq!(document.get("default", "region").unwrap(), Some("own"));
}

#[test]
fn what_is_set_twice_is_set_twice_anew() {
    check(
        Kind::Credentials,
        "[dev]\na = 1\na = 2\n[ops]\n[dev]\na = 3\n",
        |document| {
            assert_eq!(document.get("dev", "a").unwrap(), Some("3"));
            document.set("dev", "a", "9").unwrap();
            document.set("dev", "b", "9").unwrap();
        },
        "[dev]\na = 9\na = 9\n[ops]\n[dev]\na = 9\nb = 9\n",
    );
}

#[test]
fn a_value_of_several_lines_is_replaced_whole() {
    check(
        Kind::Credentials,
        "[dev]\r\na: 1\r\n  2\r\n\r\n  # why\r\n  3\r\nb = 1\r\n",
        |document| document.set("dev", "a", "9").unwrap(),
        "[dev]\r\na = 9\r\n\r\n# why\r\nb = 1\r\n",
    );
}

#[test]
fn what_is_indented_stays_indented() {
    // Python takes it; less indented, the new line would swallow what follows.
    check(
        Kind::Credentials,
        "[dev]\n  a = 1\n  b = 2\n  [ops]\n  c = 3\n",
        |document| {
            document.set("dev", "a", "9").unwrap();
            document.set("dev", "d", "4").unwrap();
        },
        "[dev]\n  a = 9\n  b = 2\n  d = 4\n  [ops]\n  c = 3\n",
    );
}

#[test]
fn an_indented_section_stays_one() {
    let set = |document: &mut Document| document.set("dev", "a", "1").unwrap();
    check(Kind::Credentials, "[dev]\n\n  [ops]\n  b = 2\n", set, "[dev]\n  a = 1\n\n  [ops]\n  b = 2\n");
}

#[test]
fn a_setting_goes_and_its_comments_stay() {
    check(
        Kind::Credentials,
        "[dev]\na = 1\n# about b\nb = 2\n  3\n# about c\nc = 4\n",
        |document| {
            assert!(document.remove("dev", "b").unwrap());
            assert!(!document.remove("dev", "x").unwrap());
        },
        "[dev]\na = 1\n# about b\n# about c\nc = 4\n",
    );
}

#[test]
fn what_readers_differ_about_is_refused() {
    for (kind, text) in [
        (Kind::Credentials, "[ dev ]\n"),
        (Kind::Credentials, "[dev] # [x]\n"),
        (Kind::Config, "[profile \"dev\"]\n"),
        (Kind::Config, "[ profile dev ]\n"),
        (Kind::Config, "[profiles dev]\n"),
    ] {
        let mut document = document(kind, text);
        let refused = document.set("dev", "a", "1").unwrap_err();
        assert!(matches!(refused, NotSettable::Ambiguous(Ambiguous { line: 1, .. })), "{text}");
        assert_eq!(document.text(), text);
    }
    let mut both = document(Kind::Config, "[default]\n[profile default]\n");
    assert!(both.set("default", "a", "1").is_err());
    // Spaces within are no matter.
    check(
        Kind::Config,
        "[profile   dev]\n",
        |document| document.set("dev", "a", "1").unwrap(),
        "[profile   dev]\na = 1\n",
    );
}

#[test]
fn what_no_reader_would_read_back_is_refused() {
    let mut document = document(Kind::Credentials, "[dev]\n");
    for value in ["", " a", "a ", "a\nb", "a\r", "a #b", "#a", "a\t;b", "\u{85}", "a\0"] {
        assert_eq!(document.set("dev", "a", value), Err(NotSettable::Value("a".to_owned())), "{value:?}");
    }
    for name in ["", "a b", "a]", "ä", "a\n"] {
        assert_eq!(document.set(name, "a", "1"), Err(NotSettable::Name(name.to_owned())), "{name:?}");
    }
    document.set("dev", "a", "x#y;z = 'ä'").unwrap();
    for (text, line) in [("[a]\nb = 1\r2\n", 2), ("[a]\r\nb = 1\r", 2), ("[a]\r\n\r", 2), ("\r[a]\n", 1)] {
        let read = Document::new(Kind::Config, Zeroizing::new(text.to_owned()));
        assert_eq!(read.err(), Some(Unclear::LoneReturn { line }), "{text:?}");
    }
}

#[test]
fn a_line_that_only_python_takes_for_blank_is_refused() {
    for text in ["[a]\nb = 1\n \u{1f}\n", "[a]\nb = 1\n\u{c}\n", "[a]\nb = 1\n\u{a0}c = 2\n"] {
        let read = Document::new(Kind::Config, Zeroizing::new(text.to_owned()));
        assert_eq!(read.err(), Some(Unclear::Indentation { line: 3 }), "{text:?}");
    }
    document(Kind::Config, "[a]\n  \n\t\r\n\nb = 1\n");
}

#[test]
fn a_debug_of_a_document_shows_nothing_of_it() {
    assert!(!format!("{:?}", document(Kind::Config, "needle")).contains("needle"));
}
