//! What packages install: completions that real shells complete by, and pages of a manual.

use std::fs;

use crate::support::{Run, Sandbox, Terminal, tool};

/// A machine where `mfa-agent` is in `PATH`, with profiles, and a shell's script in its home.
fn sandbox(shell: &str, file: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let client = std::path::Path::new(env!("CARGO_BIN_EXE_mfa-agent"));
    let path = format!("{}:{}", client.parent().unwrap().display(), std::env::var("PATH").unwrap());
    sandbox.set("PATH", path);
    let script = sandbox.run(&["completions", shell]);
    assert_eq!(script.status, 0, "{script:?}");
    sandbox.write(file, &script.stdout);
    sandbox
}

/// The words that a line is completed to, by a command of the shell's that says so, one a line.
#[track_caller]
fn completes(run: &Run, wanted: &[&str], unwanted: &[&str]) {
    let words: Vec<&str> = run.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
    for word in wanted {
        assert!(words.contains(word), "no {word}: {run:?}");
    }
    for word in unwanted {
        assert!(!words.contains(word), "{word}: {run:?}");
    }
}

#[test]
fn bash_completes_commands_options_and_profiles() {
    let sandbox = sandbox("bash", "completion");
    // As readline calls what is registered.
    let script = "set -u; source ~/completion; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
        [[ $(complete -p mfa-agent) =~ -F\\ ([^ ]+) ]]
        ${BASH_REMATCH[1]} mfa-agent \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let complete = |words: &[&str]| {
        let mut command =
            sandbox.command(tool("bash"), ["--norc", "--noprofile", "-c", script, "bash", "mfa-agent"]);
        let run = Run::of(command.args(words));
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{words:?}: {run:?}");
        run
    };
    completes(&complete(&["log"]), &["login", "logout"], &["lock", "hook"]);
    completes(&complete(&[""]), &["env", "exec", "doctor"], &["hook"]);
    completes(&complete(&["env", ""]), &["dev"], &["[PROFILE]"]);
    completes(&complete(&["env", "--no"]), &["--no-prompt"], &["dev"]);
    completes(&complete(&["status", "--profile", ""]), &["dev"], &["--json"]);
    completes(&complete(&["exec", "--source", ""]), &["dev"], &["--json"]);
    completes(&complete(&["agent", "re"]), &["restart"], &["dev"]);
    completes(&complete(&["init", ""]), &["bash", "fish", "zsh"], &["dev"]);
}

#[test]
fn fish_completes_commands_options_and_profiles() {
    let sandbox = sandbox("fish", ".config/fish/completions/mfa-agent.fish");
    let complete = |line: &str| {
        let run = Run::of(&mut sandbox.command(tool("fish"), ["-c", "complete -C $argv[1]", line]));
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{line}: {run:?}");
        run
    };
    completes(&complete("mfa-agent log"), &["login", "logout"], &["lock", "hook"]);
    completes(&complete("mfa-agent env "), &["dev"], &[]);
    completes(&complete("mfa-agent env --no"), &["--no-prompt"], &["dev"]);
    completes(&complete("mfa-agent status --profile "), &["dev"], &[]);
    completes(&complete("mfa-agent init "), &["bash", "fish", "zsh"], &["dev"]);
}

#[test]
fn zsh_completes_commands_and_profiles() {
    let sandbox = sandbox("zsh", "functions/_mfa-agent");
    sandbox.write(
        ".zshrc",
        "PS1='> '\nunsetopt prompt_cr prompt_sp\nunset zle_bracketed_paste\nfpath=(~/functions $fpath)\n\
         autoload -U compinit\ncompinit -D -u\n",
    );
    let terminal = Terminal::run_shown(&sandbox, tool("zsh"), ["-d", "-i"]);
    terminal.wait_for("> ");
    terminal.type_in("mfa-agent en\tde\t--no\t");
    terminal.wait_for("mfa-agent env");
    // Between them is how zsh draws.
    terminal.wait_for(" dev");
    terminal.wait_for(" --no-prompt");
}

#[test]
fn elvish_completes_commands_and_options() {
    let sandbox = sandbox("elvish", "completion.elv");
    // What completes is of the line editor, which is there in a terminal alone.
    sandbox.write(
        ".config/elvish/rc.elv",
        "set edit:prompt = { put '> ' }\nset edit:rprompt = { put '' }\neval (slurp < ~/completion.elv)\n",
    );
    let terminal = Terminal::run_shown(&sandbox, tool("elvish"), [] as [&str; 0]);
    terminal.wait_for("> ");
    let complete = |words: &str| {
        let shown = terminal.screen().len();
        let ask = "$edit:completion:arg-completer[mfa-agent] mfa-agent";
        terminal
            .type_in(&format!("{ask} {words} | each {{|it| print \"<\"$it[stem]\">\" }}; print D\"ONE\"\r"));
        terminal.wait_for_after(shown, "DONE");
        terminal.screen()[shown..].to_owned()
    };
    let shown = complete("''");
    assert!(shown.contains("<doctor>") && shown.contains("<env>") && !shown.contains("<hook>"), "{shown}");
    let shown = complete("agent ''");
    assert!(shown.contains("<restart>") && !shown.contains("<env>"), "{shown}");
    let shown = complete("doctor --");
    assert!(shown.contains("<--offline>"), "{shown}");
    terminal.type_in("exit\r");
    terminal.finish();
}

#[test]
fn the_pages_of_the_manual_are_well_formed_and_complete() {
    let sandbox = Sandbox::new();
    let folder = sandbox.home().join("man");
    let missing = sandbox.run(&["man", folder.to_str().unwrap()]);
    assert_eq!(missing.status, 1);
    assert!(
        missing.stderr.contains("cannot write pages into") && missing.stderr.contains("hint: "),
        "{missing:?}"
    );
    fs::create_dir(&folder).unwrap();
    assert_eq!(sandbox.run(&["man", folder.to_str().unwrap()]).status, 0);
    let pages: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let names: Vec<_> = pages.iter().map(|page| page.file_name().unwrap().to_str().unwrap()).collect();
    for name in ["mfa-agent.1", "mfa-agent-env.1", "mfa-agent-keys-import.1", "mfa-agent-agent-restart.1"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("hook")), "{names:?}");
    let lint = Run::of(sandbox.command(tool("mandoc"), ["-T", "lint", "-W", "error"]).args(&pages));
    assert_eq!((lint.status, lint.stdout.as_str(), lint.stderr.as_str()), (0, "", ""), "{lint:?}");
    let page = fs::read_to_string(folder.join("mfa-agent-env.1")).unwrap();
    assert!(page.contains("Never ask for a code") && page.contains("Examples:"), "{page}");
}
