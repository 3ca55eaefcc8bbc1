//! What must not be: dependencies, words and files in the wrong place. ARCHITECTURE.md says why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The crates that a crate of ours links, by name.
fn linked(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(repository())
        .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--offline"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<_> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// All Rust files below a folder, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![repository().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// A file's text without its tests.
fn code(path: &str) -> String {
    let text = fs::read_to_string(repository().join(path)).unwrap();
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

#[test]
fn the_client_links_no_network_and_no_aws_code() {
    let names = linked("client");
    for name in &names {
        let forbidden = ["tokio", "rustls", "ring", "hyper", "notify-rust", "zbus", "toml", "agent"];
        let aws = name.starts_with("aws-") && name != "aws-files";
        assert!(!forbidden.contains(&name.as_str()) && !aws, "the client links {name}");
    }
    assert!(names.len() <= 40, "the client links {} crates: {names:?}", names.len());
}

#[test]
fn the_program_of_prompts_is_small() {
    // What the linker left of the crate that it shares with the whole client.
    let symbols = |program: &str| {
        let output = Command::new("nm").arg(program).output().expect("binutils");
        String::from_utf8(output.stdout).unwrap()
    };
    let (front, whole) =
        (symbols(env!("CARGO_BIN_EXE_mfa-agent")), symbols(env!("CARGO_BIN_EXE_mfa-agent-cli")));
    for word in ["12clap_builder", "9aws_files", "8csv_core", "11signal_hook", "8commands6doctor"] {
        assert!(whole.contains(word), "the whole client has no {word}: nothing is shown here");
        assert!(!front.contains(word), "prompts wait for {word}");
    }
    assert!(front.contains("8commands3env"));
}

#[test]
fn the_protocol_is_pure() {
    for name in linked("protocol") {
        for forbidden in ["tokio", "interprocess", "rustix", "anyhow", "tracing", "log"] {
            assert_ne!(name, forbidden);
        }
        assert!(!name.starts_with("aws-"), "the protocol links {name}");
    }
    for (path, text) in sources("crates/protocol/src") {
        for word in ["SystemTime", "Instant", "UnixStream", "std::env::var"] {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
    }
}

#[test]
fn the_product_links_neither_the_simulator_nor_openssl() {
    for name in linked("mfa-agent") {
        for forbidden in ["aws-simulator", "openssl", "openssl-sys", "native-tls", "aws-lc-sys"] {
            assert_ne!(name, forbidden);
        }
    }
}

#[test]
fn the_number_of_locked_crates_has_a_ceiling() {
    let lock = fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let packages = lock.matches("[[package]]").count();
    assert!(packages <= 320, "{packages} crates are locked; raise the ceiling if each is worth it");
}

#[test]
fn the_vault_knows_no_aws_no_socket_and_no_clock() {
    for file in ["vault.rs", "codes.rs", "questions.rs"] {
        let text = code(&format!("crates/agent/src/{file}"));
        for word in [
            "aws_",
            "interprocess",
            "tokio::net",
            "notify_rust",
            "env::",
            "Now::read",
            "SystemTime",
            "Instant",
        ] {
            assert!(!text.contains(word), "{word} in {file}");
        }
    }
}

#[test]
fn two_files_talk_to_aws() {
    for (path, text) in sources("crates/agent/src") {
        let iam = path.components().any(|part| part.as_os_str() == "iam") || path.ends_with("src/iam.rs");
        if !path.ends_with("sts.rs") && !iam {
            assert!(!text.contains("aws_sdk_"), "{}", path.display());
        }
    }
}

#[test]
fn the_agent_never_prints_and_never_asks() {
    for (path, text) in sources("crates/agent/src") {
        for word in ["println!(", "print!(", "dbg!(", "/dev/tty"] {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
        let talks = text.contains("io::stdout()") || text.contains("io::stderr()");
        assert!(!talks || path.ends_with("start.rs"), "{} talks", path.display());
    }
}

#[test]
fn nobody_prints_with_a_macro_that_panics() {
    for folder in ["crates/aws-files/src", "crates/client/src", "crates/agent/src", "crates/mfa-agent/src"] {
        for (path, text) in sources(folder) {
            for word in ["println!(", " print!("] {
                assert!(!text.contains(word), "{word} in {}", path.display());
            }
        }
    }
}

#[test]
fn aws_files_are_touched_by_the_commands_that_change_them() {
    assert!(!linked("agent").contains(&"aws-files".to_owned()), "the agent writes no file");
    for (path, text) in sources("crates/client/src") {
        let may = [
            "src/access_key.rs",
            "src/aws_file.rs",
            "src/key_text.rs",
            "commands/aws_mfa.rs",
            "commands/profiles.rs",
            "device/setting.rs",
            "commands/keys.rs",
            "keys/change.rs",
            "keys/import.rs",
            "keys/stored.rs",
            "keys/list.rs",
            "setup/settings.rs",
        ];
        let may = may.iter().any(|name| path.ends_with(name));
        let touches = text.contains("aws_files::") || text.contains("aws_file::");
        assert!(may || !touches, "{} touches the AWS files", path.display());
    }
}

#[test]
fn sockets_are_paths() {
    // Abstract names ignore their mode, and anybody can take them.
    for folder in ["crates/client/src", "crates/agent/src"] {
        for (path, text) in sources(folder) {
            assert!(!text.contains("GenericNamespaced"), "{}", path.display());
        }
    }
}

#[test]
fn nothing_of_ours_speaks_to_the_journal() {
    // What is on their streams goes there under systemd, and to a file that is watched in the tests.
    for program in [
        env!("CARGO_BIN_EXE_mfa-agent"),
        env!("CARGO_BIN_EXE_mfa-agent-cli"),
        env!("CARGO_BIN_EXE_mfa-agentd"),
    ] {
        let has = |pattern: &str| {
            let mut grep = Command::new("grep");
            let status = grep.args(["--text", "--quiet", "--extended-regexp", pattern, program]).status();
            status.unwrap().code().unwrap()
        };
        assert_eq!(has("libc[.]so"), 0, "what {program} has is found");
        assert_eq!(has("/dev/log|systemd/journal|syslog|sd_journal"), 1, "{program}");
    }
}

#[test]
fn unsafe_code_is_in_the_platform_files_alone_and_says_why_it_is_sound() {
    let mut count = 0;
    for folder in [
        "crates/aws-files/src",
        "crates/client/src",
        "crates/agent/src",
        "crates/protocol/src",
        "crates/mfa-agent/src",
    ] {
        for (path, text) in sources(folder) {
            let platform = path.components().any(|part| part.as_os_str() == "platform");
            let lines: Vec<&str> = text.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                if ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|word| line.contains(word)) {
                    let place = format!("{}:{}", path.display(), number + 1);
                    assert!(platform, "{place}");
                    let above = lines[..number].iter().rev().map(|line| line.trim());
                    let mut above = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
                    assert!(above.any(|line| line.starts_with("// SAFETY: ")), "{place}");
                    count += 1;
                }
            }
        }
    }
    let architecture = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let said = format!("{count} `unsafe` blocks and impls");
    assert!(architecture.contains(&said), "ARCHITECTURE.md does not say: {said}");
}

#[test]
fn secrets_have_no_debug_of_their_own_making() {
    let text = code("crates/protocol/src/secret.rs");
    assert!(!text.contains("derive(Debug"), "a derived Debug shows the secret");
    assert!(!text.contains("Display"), "a secret has no words");
}

#[test]
fn no_test_file_is_forgotten() {
    let main = fs::read_to_string(repository().join("tests/main.rs")).unwrap();
    for entry in fs::read_dir(repository().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("main.rs") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(main.contains(&format!("mod {name};")), "tests/{name}.rs is not in tests/main.rs");
        }
    }
}

#[test]
fn the_documents_name_files_and_tests_that_exist() {
    let tests: String = sources("tests").into_iter().chain(sources("crates")).map(|(_, text)| text).collect();
    for document in ["ARCHITECTURE.md", "SECURITY.md", "docs/requirements.md"] {
        let text = fs::read_to_string(repository().join(document)).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            if let Some((file, test)) = word.split_once("::")
                && file.starts_with("tests/")
            {
                assert!(repository().join(file).exists(), "{document} names {file}");
                assert!(tests.contains(&format!("fn {test}(")), "{document} names {word}");
            } else if (word.starts_with("crates/") || word.starts_with("tests/")) && !word.contains('*') {
                assert!(repository().join(word.trim_end_matches('/')).exists(), "{document} names {word}");
            }
        }
    }
}

#[test]
fn every_requirement_has_its_number_and_a_test_that_exists() {
    let text = fs::read_to_string(repository().join("docs/requirements.md")).unwrap();
    let mut count = 0;
    for line in text.lines() {
        let Some((number, rest)) = line.split_once(". ") else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        count += 1;
        assert_eq!(number, count, "{line}");
        let mut named = 0;
        // The crate or file that the last name was in: it goes for those after it.
        let mut place = None;
        let mut words = rest.split('`');
        assert!(words.next().is_some_and(|words| words.starts_with("Given ")), "{line}");
        while let (Some(word), after) = (words.next(), words.next()) {
            if let Some((file, test)) = word.split_once("::") {
                place = Some(vec![repository().join(file)]);
                assert!(has_test(place.as_deref().unwrap(), test), "{line}");
                named += 1;
            } else if after == Some(": ") && repository().join("crates").join(word).is_dir() {
                let files = sources(&format!("crates/{word}"));
                place = Some(files.into_iter().map(|(path, _)| path).collect());
            } else if let Some(place) = &place {
                assert!(has_test(place, word), "no test {word}: {line}");
                named += 1;
            }
        }
        assert!(named > 0, "no test: {line}");
    }
    assert!(count >= 100, "{count} requirements");
}

/// Whether one of these files has a test of this name.
fn has_test(files: &[PathBuf], name: &str) -> bool {
    files.iter().any(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.find(&format!("fn {name}()")).is_some_and(|at| {
            // Its attributes are right before it.
            text[..at].rsplit("\n\n").next().is_some_and(|before| before.contains("test]"))
        })
    })
}
