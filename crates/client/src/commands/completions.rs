//! `mfa-agent completions`: what a package installs for a shell to complete by, made of the arguments themselves. The
//! hook brings a smaller one of its own.

use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

use crate::args::Invocation;
use crate::failure::Failure;
use crate::{output, programs};

/// What marks an argument that names a profile, while the script is made: no argument of ours is a user of this
/// system.
const PROFILE: ValueHint = ValueHint::Username;

/// What the generators write for it.
const ZSH_HINT: &str = ":_users'";
const FISH_HINT: &str = "\"(__fish_complete_users)\"";

/// The names of the profiles, one a line.
const PROFILES: &str = "mfa-agent hook profiles 2>/dev/null";

pub fn run(shell: Shell) -> Result<(), Failure> {
    output::data(script(shell).as_bytes())
}

fn script(shell: Shell) -> String {
    let mut command = marked(visible(&Invocation::command()));
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, programs::FRONT, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // clap_complete 4.6 sets one name for a program with a hyphen, and looks for another.
        Shell::Bash => script.replace("mfa__subcmd__agent", "mfa__agent") + &bash(&command),
        Shell::Zsh => {
            let names = format!(
                "(( $+functions[_mfa_agent_profiles] )) ||\n_mfa_agent_profiles() {{\n    \
                 compadd -- ${{(f)\"$({PROFILES})\"}}\n}}\n\n"
            );
            let script = script.replace(ZSH_HINT, ":_mfa_agent_profiles'");
            // Before what runs it.
            match script.rsplit_once("if [ \"$funcstack[1]\"") {
                Some((functions, run)) => format!("{functions}{names}if [ \"$funcstack[1]\"{run}"),
                None => script,
            }
        }
        Shell::Fish => script.replace(FISH_HINT, &format!("\"({PROFILES})\"")) + &fish(&command),
        _ => script,
    }
}

/// What people see of the program: some generators offer hidden commands.
fn visible(program: &Command) -> Command {
    Command::new(programs::FRONT)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(program.get_arguments().cloned())
        .subcommands(program.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned())
}

/// The same with every argument marked that names a profile.
fn marked(command: Command) -> Command {
    let mark = |arg: Arg| if names_profile(&arg) { arg.value_hint(PROFILE) } else { arg };
    command.mut_args(mark).mut_subcommands(marked)
}

fn names_profile(arg: &Arg) -> bool {
    let named = arg.get_value_names().is_some_and(|names| names.iter().any(|name| *name == "PROFILE"));
    named || arg.get_long() == Some("profile")
}

/// The commands, each with those above it, that take a profile without an option.
fn takers(command: &Command) -> Vec<String> {
    let mut found = Vec::new();
    for verb in command.get_subcommands() {
        if verb.get_positionals().any(names_profile) {
            found.push(verb.get_name().to_owned());
        }
        found.extend(takers(verb).iter().map(|below| format!("{} {below}", verb.get_name())));
    }
    found
}

/// The generator offers what stands for a value (`[PROFILE]`) as a word, and no name of a profile.
fn bash(command: &Command) -> String {
    let mut places: Vec<String> = Vec::new();
    for taker in takers(command) {
        places.push(format!("'{taker} '*"));
    }
    format!(
        "
_mfa_agent_with_profiles() {{
    _mfa__agent \"$@\"
    local IFS=$'\\n' word=${{COMP_WORDS[COMP_CWORD]}} candidate kept
    kept=()
    for candidate in ${{COMPREPLY[@]+\"${{COMPREPLY[@]}}\"}}; do
        case $candidate in
            '['* | '<'*) ;;
            *) kept+=(\"$candidate\") ;;
        esac
    done
    COMPREPLY=(${{kept[@]+\"${{kept[@]}}\"}})
    local before=\"${{COMP_WORDS[1]}} ${{COMP_WORDS[2]-}} \"
    if [[ ${{COMP_WORDS[COMP_CWORD-1]}} == --profile || ${{COMP_WORDS[COMP_CWORD-1]}} == --source ]]; then
        COMPREPLY=($(compgen -W \"$({PROFILES})\" -- \"$word\"))
    elif [[ $COMP_CWORD -gt 1 && $word != -* ]]; then
        case $before in
            {})
                COMPREPLY+=($(compgen -W \"$({PROFILES})\" -- \"$word\"))
                ;;
        esac
    fi
}}

complete -F _mfa_agent_with_profiles -o bashdefault -o default mfa-agent
",
        places.join(" | ")
    )
}

/// The generator completes the values of options alone.
fn fish(command: &Command) -> String {
    let mut lines = String::new();
    let mut complete = |taker: &str, words: &str| {
        let (verb, below) = taker.split_once(' ').unwrap_or((taker, ""));
        let below = if below.is_empty() {
            String::new()
        } else {
            format!("; and __fish_seen_subcommand_from {below}")
        };
        let seen = format!("__fish_mfa_agent_using_subcommand {verb}{below}");
        lines.extend(["complete -c mfa-agent -n \"", &seen, "\" -f -a \"", words, "\"\n"]);
    };
    for taker in takers(command) {
        complete(&taker, &format!("({PROFILES})"));
    }
    for verb in command.get_subcommands() {
        let values = verb.get_positionals().flat_map(Arg::get_possible_values);
        let names: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        if !names.is_empty() {
            complete(verb.get_name(), &names.join(" "));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_are_where_names_of_profiles_go_and_nowhere_else() {
        let (bash, zsh, fish) = (script(Shell::Bash), script(Shell::Zsh), script(Shell::Fish));
        for script in [&bash, &zsh, &fish] {
            assert!(script.contains("mfa-agent hook profiles"), "{script}");
            assert!(!script.contains("_users"), "a generator writes another mark");
        }
        assert!(zsh.matches(":_mfa_agent_profiles'").count() > 10);
        for script in [bash.as_str(), &zsh, &fish, &script(Shell::Elvish), &script(Shell::PowerShell)] {
            assert!(script.contains("credential-process") && !script.contains("not for people"), "{script}");
        }
        assert!(bash.contains("'env '*") && bash.contains("'login '*") && !bash.contains("'init '*"));
    }
}
