//! `mfa-agent keys import`: a key from the console's CSV file, a pasted section or the keyboard into the shared
//! credentials file, or into the keyring.

use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::path::Path;

use aws_files::Kind;
use zeroize::Zeroizing;

use super::{LONG_TERM, exposure, section};
use crate::access_key::{self, AccessKey, Held, remove_plaintext, set_keyring_key};
use crate::agent::Agent;
use crate::args::KeysImport;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::key_text::{self, Found, Owner};
use crate::platform::Terminal;
use crate::shell::word;
use crate::{aws_file, interview, keyring, output, platform};

/// The largest text with a key, in bytes.
const LARGEST: usize = 64 * 1024;

/// `leads_on`: says what comes next.
pub fn run(
    args: &KeysImport,
    option: Option<&str>,
    environment: &Environment,
    leads_on: bool,
) -> Result<(), Failure> {
    let file = aws_file::path(Kind::Credentials)?;
    let default = match &environment.aws_profile {
        Some(name) => {
            name.to_str().ok_or_else(|| Failure::new(Exit::Usage, "AWS_PROFILE is not UTF-8"))?.to_owned()
        }
        None => "default".to_owned(),
    };
    let (key, profile) = match &args.file {
        None => {
            let profile = option.unwrap_or(&default).to_owned();
            let held = if args.keyring { in_the_clear(&file, &profile)? } else { None };
            (held.map_or_else(|| typed(&profile), Ok)?, profile)
        }
        Some(source) => {
            let (key, section) = given(source, args, &file)?;
            (key, option.map(str::to_owned).or(section).unwrap_or(default))
        }
    };

    let said = if args.keyring {
        into_keyring(&key, &profile, &file, args.force, environment)?
    } else {
        into_file(&key, &profile, &file, args.force)?
    };
    output::words(&said);
    if let Some(words) = exposure(&file).filter(|_| !args.keyring) {
        output::words(&words);
    }
    if let Some(source) = args.file.as_deref().filter(|source| !is_stdin(source)) {
        dispose(source, args.remove_file)?;
    }
    let profile = profile.strip_suffix(LONG_TERM).unwrap_or(&profile);
    if leads_on {
        output::words(&format!("next: mfa-agent login {}", word(profile)));
    }
    Ok(())
}

/// Writes the key into the credentials file, and says so.
fn into_file(key: &AccessKey, profile: &str, file: &Path, force: bool) -> Result<String, Failure> {
    let mut said = String::new();
    aws_file::edit(file, Kind::Credentials, |document| {
        let section = section(document, file, profile)?;
        let place = format!("[{section}] of {}", file.display());
        let last_four = access_key::last_four(key.id());
        said = match key.held(document, file, &section)? {
            Held::Same => {
                said = format!("the key …{last_four} is in {place} already");
                return Ok(());
            }
            Held::Nothing => format!("the key …{last_four} is in {place} now"),
            Held::Other(what) if force => {
                format!("the key …{last_four} is in {place} now, in the place of {what}")
            }
            Held::Other(what) => return Err(another(&place, &what)),
        };
        key.set(document, file, &section)
    })?;
    Ok(said)
}

/// Puts the key into the keyring, and only then out of the files, where they have it in the clear.
fn into_keyring(
    key: &AccessKey,
    profile: &str,
    file: &Path,
    force: bool,
    environment: &Environment,
) -> Result<String, Failure> {
    let document = aws_file::read(file, Kind::Credentials)?;
    let section = section(&document, file, profile)?;
    let place = format!("[{section}] of {}", file.display());
    let last_four = access_key::last_four(key.id());
    let mut said = format!("the key …{last_four} is in the keyring now, and {place} names it");
    match key.held(&document, file, &section)? {
        Held::Other(what) if !force => return Err(another(&place, &what)),
        Held::Other(what) => said = format!("{said}, in the place of {what}"),
        Held::Same => said = format!("the key …{last_four} is in the keyring now, and out of {place}"),
        Held::Nothing => {}
    }

    keyring::store(&Agent::locate(environment)?, key)?;

    aws_file::edit(file, Kind::Credentials, |document| {
        // It may have been changed while the keyring was asked.
        match key.held(document, file, &section)? {
            Held::Other(what) if !force => Err(another(&place, &what)),
            _ => set_keyring_key(document, file, &section, key.id()),
        }
    })?;
    // The same key may stand in the other file, where it would win.
    let config = aws_file::path(Kind::Config)?;
    let document = aws_file::read(&config, Kind::Config)?;
    if matches!(key.held(&document, &config, &section)?, Held::Same) {
        aws_file::edit(&config, Kind::Config, |document| remove_plaintext(document, &config, &section))?;
        said = format!("the key …{last_four} is in the keyring now, and out of {}", config.display());
    }
    Ok(said)
}

/// The key that a profile has in the clear, in either file.
fn in_the_clear(file: &Path, profile: &str) -> Result<Option<AccessKey>, Failure> {
    let document = aws_file::read(file, Kind::Credentials)?;
    let section = section(&document, file, profile)?;
    if let Some(key) = AccessKey::plaintext(&document, file, &section)? {
        return Ok(Some(key));
    }
    let config = aws_file::path(Kind::Config)?;
    AccessKey::plaintext(&aws_file::read(&config, Kind::Config)?, &config, &section)
}

fn another(place: &str, what: &str) -> Failure {
    Failure::new(Exit::Configuration, format!("{place} has {what}"))
        .hint("give the new one a profile of its own, --profile NAME, or replace it: --force")
}

/// The key that the person types.
fn typed(profile: &str) -> Result<AccessKey, Failure> {
    let mut terminal = Terminal::open().ok_or_else(|| {
        Failure::new(Exit::Usage, "no file is named, and nobody can be asked")
            .hint("mfa-agent keys import FILE, or - for stdin")
    })?;
    let id = interview::shown(&mut terminal, &format!("Access key ID for {profile}"))?;
    access_key::check_id(&id).map_err(access_key::mistyped)?;
    let secret = interview::unseen(&mut terminal, "Secret access key")?;
    AccessKey::new(id, secret).map_err(access_key::mistyped)
}

/// The key of a file or of stdin, and the section that it stands in.
fn given(source: &Path, args: &KeysImport, target: &Path) -> Result<(AccessKey, Option<String>), Failure> {
    let name = if is_stdin(source) { "stdin".into() } else { source.to_string_lossy() };
    let refuse = |what: &str| Failure::new(Exit::Configuration, format!("{name}: {what}"));
    let text = text(source, args, target)?;
    let mut all = key_text::read(&text).map_err(|problem| {
        refuse(&problem).hint("download the CSV file anew, or type the key: mfa-agent keys import")
    })?;
    let names =
        all.iter().filter_map(|found| Some(found.owner.as_ref()?.name())).collect::<Vec<_>>().join(", ");
    if args.remove_file && all.len() > 1 {
        return Err(
            refuse("it has more than this key, and is not removed").hint("import without --remove-file")
        );
    }
    if let Some(user) = &args.user {
        all.retain(|found| found.owner.as_ref().is_some_and(|owner| owner.name() == user));
        if all.is_empty() {
            let of = if names.is_empty() { "no names in it".to_owned() } else { format!("of {names}") };
            return Err(
                refuse(&format!("it has no key of {user}; {of}")).hint("leave --user out, or name one")
            );
        }
    }
    let Found { owner, id, secret, temporary } = match (all.pop(), all.is_empty()) {
        (Some(found), true) => found,
        (Some(_), false) if names.is_empty() => {
            return Err(refuse("it has several keys, and no names").hint("leave one of them in it"));
        }
        (Some(_), false) => {
            return Err(refuse(&format!("it has several keys: of {names}")).hint("choose one: --user NAME"));
        }
        (None, _) => {
            return Err(refuse("there is no access key in it")
                .hint("AWS console, Security credentials, Access keys makes one"));
        }
    };
    if temporary {
        return Err(refuse("its key is temporary, and those open no MFA session")
            .hint("AWS console, Security credentials, Access keys makes one that stays"));
    }
    let key = AccessKey::new(id, secret).map_err(|problem| {
        refuse(problem).hint("download the CSV file anew, or type the key: mfa-agent keys import")
    })?;
    let section = owner.and_then(|owner| match owner {
        Owner::Section(name) => Some(name),
        Owner::User(_) => None,
    });
    Ok((key, section))
}

fn text(source: &Path, args: &KeysImport, target: &Path) -> Result<Zeroizing<String>, Failure> {
    let name = source.display();
    let read = if is_stdin(source) {
        if args.remove_file {
            return Err(
                Failure::new(Exit::Usage, "stdin is no file to remove").hint("mfa-agent keys import -")
            );
        }
        if io::stdin().is_terminal() {
            return Err(Failure::new(Exit::Usage, "stdin is the terminal, which shows what is typed")
                .hint("mfa-agent keys import asks for the secret unseen"));
        }
        platform::read_all(io::stdin(), LARGEST + 1)
    } else {
        if let (Ok(source), Ok(target)) = (source.canonicalize(), target.canonicalize())
            && source == target
        {
            return Err(Failure::new(Exit::Usage, format!("{name} is where the key would go"))
                .hint("mfa-agent keys list"));
        }
        if args.remove_file && !fs::symlink_metadata(source).is_ok_and(|metadata| metadata.is_file()) {
            return Err(Failure::new(Exit::Usage, format!("{name} is no regular file, and is not removed"))
                .hint("import without --remove-file"));
        }
        File::open(source).and_then(|file| platform::read_all(file, LARGEST + 1))
    };
    let refuse = |what: &str| {
        Failure::new(Exit::Configuration, format!("{name}: {what}"))
            .hint("download the CSV file anew, or type the key: mfa-agent keys import")
    };
    let bytes = read.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot read {name}: {error}"))
            .hint("mfa-agent keys import FILE, with what the AWS console let you download")
    })?;
    if bytes.len() > LARGEST {
        return Err(refuse("it is larger than 64 KiB"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| refuse("it is no UTF-8 text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Removes the file that the key came from, or says that it should go.
fn dispose(source: &Path, remove: bool) -> Result<(), Failure> {
    let name = source.display();
    let command = format!("rm {}", word(&source.to_string_lossy()));
    if remove {
        fs::remove_file(source).map_err(|error| {
            Failure::new(Exit::Failed, format!("the key is written, and {name} cannot be removed: {error}"))
                .hint(command)
        })?;
        output::words(&format!("{name} is removed"));
    } else if source.is_file() {
        output::words(&format!("the secret is still in {name}: {command}"));
    }
    Ok(())
}

fn is_stdin(source: &Path) -> bool {
    source == Path::new("-")
}
