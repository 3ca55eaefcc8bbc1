//! Whatever stands in a file, the readers that people have read from it afterwards what they read before, but for
//! the change: botocore (the AWS CLI, boto3, aws-mfa's parser) and the SDKs' own specification, in Rust's form.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_files::{Document, Kind};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

/// Profile → setting → value.
type Reading = BTreeMap<String, BTreeMap<String, String>>;

const PROFILES: [&str; 4] = ["default", "dev", "ops", "new"];
const KEYS: [&str; 5] = ["region", "aws_access_key_id", "output", "s3", "x"];

/// botocore in a process of its own: a file's text in, what it reads of it out.
const BOTOCORE: &str = r"
import json, sys, tempfile
from botocore.configloader import load_config, raw_config_parse
for line in sys.stdin:
    kind, text = json.loads(line)
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode())
        file.flush()
        try:
            read = load_config(file.name)['profiles'] if kind == 'config' else raw_config_parse(file.name)
        except Exception:
            read = None
    print(json.dumps(read), flush=True)
";

struct Botocore {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Botocore {
    fn start() -> Self {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools/bin/python3");
        let mut process = Command::new(python)
            .args(["-c", BOTOCORE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs botocore; tests/run installs all that is needed");
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, answers }
    }

    fn read(&mut self, kind: Kind, text: &str) -> Option<Reading> {
        let kind = if kind == Kind::Config { "config" } else { "credentials" };
        let question = serde_json::to_string(&(kind, text)).unwrap();
        writeln!(self.process.stdin.as_ref().unwrap(), "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let read: Option<BTreeMap<String, BTreeMap<String, serde_json::Value>>> =
            serde_json::from_str(&answer).unwrap();
        let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(
            read?
                .into_iter()
                .map(|(name, keys)| (name, keys.into_iter().map(|(key, value)| (key, text(value))).collect()))
                .collect(),
        )
    }
}

impl Drop for Botocore {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn sdk(kind: Kind, text: &str) -> Option<Reading> {
    // Two spellings of one section are merged in an order that differs from run to run.
    if text.contains("[ dev ]") && text.contains("[dev]") {
        return None;
    }
    let kind = match kind {
        Kind::Config => EnvConfigFileKind::Config,
        Kind::Credentials => EnvConfigFileKind::Credentials,
    };
    let files = EnvConfigFiles::builder().with_contents(kind, text).build();
    let (fs, env) = (Fs::from_slice(&[]), Env::from_slice(&[]));
    let load = aws_config::profile::load(&fs, &env, &files, None);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let read = runtime.block_on(load).ok()?;
    let profile = |name: &str| {
        let keys = KEYS.iter().filter_map(|key| {
            let value = read.get_profile(name)?.get(key)?;
            Some(((*key).to_owned(), value.to_owned()))
        });
        (name.to_owned(), keys.collect())
    };
    Some(read.profiles().map(profile).collect())
}

/// A line of a file: usual ones, odd ones, and a few that not every reader takes.
fn line(kind: Kind) -> BoxedStrategy<String> {
    let headers = match kind {
        Kind::Credentials => select(vec!["[default]", "[dev]", "[ops]", "[dev] # c", "[ dev ]", "[x y]"]),
        Kind::Config => select(vec![
            "[default]",
            "[profile dev]",
            "[profile ops]",
            "[profile ops] ; c",
            "[profile default]",
            "[profile \"dev\"]",
            "[sso-session dev]",
            "[dev]",
        ]),
    };
    let option = (
        select(vec!["region", "aws_access_key_id", "output", "Region", "x", "s3"]),
        select(vec![" = ", "=", "   =\t", " =", "= ", " = ", " = ", ": "]),
        select(vec!["v", "", "a # b", "a #", "ü", "x=y", "a:b", "c\t", "[z]", "a;b", "'q'"]),
    );
    let other = select(vec![
        "",
        "",
        "   ",
        "# c",
        "; region = y",
        "#[dev]",
        "  # in",
        "\t; in",
        "  max = 3",
        "    style = x",
        "\tregion = nested",
        "  more",
        "  [dev]",
        "  region = in",
        "junk",
    ]);
    prop_oneof![
        3 => headers.prop_map(str::to_owned),
        8 => option.prop_map(|(key, between, value)| format!("{key}{between}{value}")),
        5 => other.prop_map(str::to_owned),
    ]
    .boxed()
}

fn file(kind: Kind) -> impl Strategy<Value = String> {
    let ends = prop_oneof![Just(vec!["\n"]), Just(vec!["\r\n"]), Just(vec!["\n", "\r\n"])];
    (prop::collection::vec(line(kind), 0..14), ends, 0..20, any::<bool>()).prop_map(
        |(lines, ends, mark, final_end)| {
            let mut text = if mark == 0 { "\u{feff}".to_owned() } else { String::new() };
            let count = lines.len();
            for (number, line) in lines.into_iter().enumerate() {
                text.push_str(&line);
                if number + 1 < count || final_end {
                    text.push_str(ends[number % ends.len()]);
                }
            }
            text
        },
    )
}

#[derive(Debug, Clone)]
enum Change {
    Set(&'static str),
    Remove,
}

fn cases() -> impl Strategy<Value = (Kind, String, &'static str, &'static str, Change)> {
    let change = prop_oneof![
        3 => select(vec!["n", "arn:aws:iam::1:mfa/a", "a+b/c=="]).prop_map(Change::Set),
        1 => Just(Change::Remove),
    ];
    select(vec![Kind::Config, Kind::Credentials]).prop_flat_map(move |kind| {
        (Just(kind), file(kind), select(PROFILES.to_vec()), select(KEYS.to_vec()), change.clone())
    })
}

#[test]
fn every_reader_reads_what_it_read_but_for_the_change() {
    let botocore = RefCell::new(Botocore::start());
    let counted = RefCell::new([0_u32; 3]);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 4_000,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    });
    let done = runner.run(&cases(), |(kind, text, profile, key, change)| {
        let mut document = Document::new(kind, text.clone().into()).unwrap();
        let changed = match change {
            Change::Set(value) => document.set(profile, key, value).is_ok(),
            Change::Remove => document.remove(profile, key).is_ok(),
        };
        let after = document.text();
        if !changed {
            prop_assert_eq!(&text, after);
            return Ok(());
        }
        counted.borrow_mut()[0] += 1;

        // Every line that is not the setting's own is there, in order, byte for byte.
        let mut left = after.split_inclusive('\n');
        for line in text.trim_start_matches('\u{feff}').split_inclusive('\n') {
            let its_own = line.starts_with([' ', '\t']) || line.to_lowercase().starts_with(key);
            // The last line may have got an end.
            let is = |other: &str| {
                other
                    .trim_start_matches('\u{feff}')
                    .strip_prefix(line)
                    .is_some_and(|rest| rest.trim().is_empty())
            };
            prop_assert!(its_own || left.any(is), "{:?} is lost in {:?}", line, after);
        }

        let botocore = &mut *botocore.borrow_mut();
        let readings =
            [(botocore.read(kind, &text), botocore.read(kind, after)), (sdk(kind, &text), sdk(kind, after))];
        for (number, (read_before, read_after)) in readings.into_iter().enumerate() {
            let Some(mut expected) = read_before else { continue };
            match change {
                Change::Set(value) => {
                    expected.entry(profile.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
                }
                Change::Remove => {
                    expected.entry(profile.to_owned()).and_modify(|keys| {
                        keys.remove(key);
                    });
                }
            }
            counted.borrow_mut()[number + 1] += 1;
            let reader = ["botocore", "the SDK"][number];
            prop_assert_eq!(Some(expected), read_after, "{}: {:?} became {:?}", reader, text, after);
        }
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
    // Enough of the files were legal to say something.
    let [changed, by_botocore, by_sdk] = *counted.borrow();
    assert!(changed > 2_000 && by_botocore > 500 && by_sdk > 500, "{:?}", counted.borrow());
}
