//! The texts in which people have an access key: what the AWS console lets them download, and what they paste.

use aws_files::{Document, Kind};
use csv_core::ReadRecordResult;
use protocol::Secret;
use zeroize::Zeroizing;

/// A key as a text has it, in whatever form.
pub struct Found {
    /// Whose it is.
    pub owner: Option<Owner>,
    /// In the place of the key's id.
    pub id: Secret,
    /// In the place of the secret.
    pub secret: Secret,
    /// There is a session token with it.
    pub temporary: bool,
}

/// What a text says of a key's owner.
#[derive(Debug, PartialEq, Eq)]
pub enum Owner {
    /// The IAM user's name.
    User(String),
    /// The section, and so the profile.
    Section(String),
}

impl Owner {
    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::Section(name) => name,
        }
    }
}

/// The columns of a table at most.
const COLUMNS: usize = 32;

/// The keys in a text. The problem is said in words, and quotes nothing of it.
pub fn read(text: &str) -> Result<Vec<Found>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let significant = |line: &&str| !line.is_empty() && !line.starts_with(['#', ';']);
    let first = text.lines().map(str::trim).find(significant).unwrap_or_default();
    if first.starts_with('[') {
        sections(text)
    } else if first.contains('=') && !first.contains(',') {
        // A section without its first line.
        let mut whole = Zeroizing::new(String::with_capacity(NAMELESS.len() + text.len()));
        whole.push_str(NAMELESS);
        whole.push_str(text);
        let mut found = sections(&whole)?;
        let nameless = Owner::Section("default".to_owned());
        found
            .iter_mut()
            .filter(|found| found.owner.as_ref() == Some(&nameless))
            .for_each(|found| found.owner = None);
        Ok(found)
    } else {
        table(text)
    }
}

const NAMELESS: &str = "[default]\n";

/// Sections of either of AWS's files.
fn sections(text: &str) -> Result<Vec<Found>, String> {
    let mut all: Vec<Found> = Vec::new();
    for kind in [Kind::Credentials, Kind::Config] {
        let document =
            Document::new(kind, Zeroizing::new(text.to_owned())).map_err(|error| error.to_string())?;
        for name in document.profiles() {
            let owner = Owner::Section(name);
            let get = |key| document.get(owner.name(), key).map_err(|error| error.to_string());
            let [id, secret] = [get("aws_access_key_id")?, get("aws_secret_access_key")?]
                .map(|value| Secret::new(value.unwrap_or_default().to_owned()));
            let temporary = get("aws_session_token")?.or(get("aws_security_token")?).is_some();
            let is_key = !id.expose().is_empty() || !secret.expose().is_empty();
            if is_key && all.iter().all(|found| found.owner.as_ref() != Some(&owner)) {
                all.push(Found { owner: Some(owner), id, secret, temporary });
            }
        }
    }
    Ok(all)
}

/// The console's CSV file, its columns in any order and among others.
fn table(text: &str) -> Result<Vec<Found>, String> {
    let mut rows = rows(text)?.into_iter();
    let header = rows.next().unwrap_or_default();
    let column = |name: &str| header.iter().position(|cell| cell.expose().eq_ignore_ascii_case(name));
    let (Some(id), Some(secret)) = (column("Access key ID"), column("Secret access key")) else {
        return Err(
            "it is neither the console's CSV file, with the columns Access key ID and Secret access key, \
                    nor a section with aws_access_key_id"
                .to_owned(),
        );
    };
    let user = column("User name");
    let cell = |row: &[Secret], column: usize| row.get(column).cloned().unwrap_or(Secret::new(String::new()));
    let found = rows.map(|row| {
        let user = user.map(|user| cell(&row, user).expose().to_owned()).filter(|user| !user.is_empty());
        let (id, secret) = (cell(&row, id), cell(&row, secret));
        Found { owner: user.map(Owner::User), id, secret, temporary: false }
    });
    // A user may have a password alone.
    Ok(found.filter(|found| !found.id.expose().is_empty() || !found.secret.expose().is_empty()).collect())
}

/// The cells of a CSV text, without space around them. Passwords may be among them.
fn rows(text: &str) -> Result<Vec<Vec<Secret>>, String> {
    let mut reader = csv_core::Reader::new();
    let mut rest = text.as_bytes();
    let mut cells = Zeroizing::new(vec![0; text.len()]);
    let mut rows = Vec::new();
    loop {
        let mut ends = [0; COLUMNS];
        let (mut length, mut columns) = (0, 0);
        loop {
            let (result, read, written, ended) =
                reader.read_record(rest, &mut cells[length..], &mut ends[columns..]);
            rest = &rest[read..];
            length += written;
            columns += ended;
            match result {
                ReadRecordResult::Record => break,
                // Said once more, it is the end.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::End => return Ok(rows),
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(format!("it has more than {COLUMNS} columns"));
                }
            }
        }
        let mut start = 0;
        let row = ends[..columns].iter().map(|&end| {
            let cell = String::from_utf8_lossy(&cells[start..end]);
            start = end;
            Secret::new(cell.trim().to_owned())
        });
        rows.push(row.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `OWNER ID SECRET`, a line each.
    fn check(text: &str, expected: &str) {
        let found = read(text).unwrap_or_else(|problem| panic!("{text:?}: {problem}"));
        let lines: Vec<String> = found
            .iter()
            .map(|found| {
                let owner = found.owner.as_ref().map_or("-", Owner::name);
                let token = if found.temporary { " token" } else { "" };
                format!("{owner} {} {}{token}", found.id.expose(), found.secret.expose())
            })
            .collect();
        assert_eq!(lines.join("\n"), expected, "{text:?}");
    }

    #[test]
    fn the_consoles_files_are_read_by_their_headers() {
        let new = "Access key ID,Secret access key\nAKIA1,s/+\n";
        check(new, "- AKIA1 s/+");
        check(&format!("\u{feff}{}", new.replace('\n', "\r\n")), "- AKIA1 s/+");
        check(new.trim_end(), "- AKIA1 s/+");
        check("\"Access key ID\",\"Secret access key\"\r\n\"AKIA1\",\" s/+ \"\r\n\r\n", "- AKIA1 s/+");
        let old = "User Name,Password,Access key ID,Secret access key,Console login link\n";
        check(&format!("{old}alice,\"p,\"\"w\",AKIA1,s1,https://1\n"), "alice AKIA1 s1");
        check(
            &format!("{old}alice,p,AKIA1,s1,x\nbob,p,,,x\ncarol,,AKIA3,s3,x\n"),
            "alice AKIA1 s1\ncarol AKIA3 s3",
        );
        check("secret ACCESS key , access KEY id,User name\ns1,AKIA1,Zoë\n", "Zoë AKIA1 s1");
        check(&format!("{old}alice\n"), "");
        check("Access key ID,Secret access key\nAKIA1\n", "- AKIA1 ");
    }

    #[test]
    fn a_pasted_section_is_read_with_and_without_its_name() {
        let key = "aws_access_key_id = AKIA1\naws_secret_access_key=s1\n";
        check(&format!("[dev]\n{key}"), "dev AKIA1 s1");
        check(&format!("\u{feff}# mine\r\n\r\n[profile dev]\r\n{key}region = x\r\n"), "dev AKIA1 s1");
        check(&format!("  [dev]\n  {}", key.replace("\naws", "\n  aws")), "dev AKIA1 s1");
        check(&key.to_uppercase().replace("S1", "s1"), "- AKIA1 s1");
        check(&format!("{key}[ops]\n{}", key.replace('1', "2")), "- AKIA1 s1\nops AKIA2 s2");
        check(&format!("region = x\n[ops]\n{key}"), "ops AKIA1 s1");
        check(&format!("[none]\nregion = x\n[dev]\n{key}aws_session_token = t\n"), "dev AKIA1 s1 token");
    }

    #[test]
    fn what_is_neither_is_said_so() {
        for text in
            ["", "\n\n", "AKIA1,s1\n", "User name,Access key ID\nalice,AKIA1\n", "{\"AccessKey\": {}}"]
        {
            let problem = read(text).err().unwrap_or_else(|| panic!("{text:?}"));
            assert!(problem.starts_with("it is neither the console's CSV file"), "{text:?}: {problem}");
        }
        let wide = ",".repeat(COLUMNS);
        assert_eq!(read(&wide).err().as_deref(), Some("it has more than 32 columns"));
    }
}
