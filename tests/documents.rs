//! What the documents point at is there.

use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every page of the repository, with its text out of blocks of code.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = Vec::new();
    let mut folders = vec![repository()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = without_code(&fs::read_to_string(&path).unwrap());
                pages.push((path, text));
            }
        }
    }
    assert!(pages.len() > 10);
    pages
}

fn without_code(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced && !line.starts_with("    ")
    });
    // What stands in backquotes is no link either.
    let line = |line: &str| line.split('`').step_by(2).collect::<Vec<_>>().join("`") + "\n";
    lines.map(line).collect()
}

/// Where the links of a text lead, those of pictures too.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
}

/// A heading's anchor, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|&letter| letter.is_alphanumeric() || " -_".contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    for (page, text) in pages() {
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, heading) =
                link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            if let Some(heading) = heading {
                let target = fs::read_to_string(&target).unwrap();
                let there = target.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(there, "{}: {link}", page.display());
            }
        }
    }
}

#[test]
fn the_book_has_every_page_once() {
    let docs = repository().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut named: Vec<_> = links(&summary).map(|link| docs.join(link).canonicalize().unwrap()).collect();
    let mut wanted: Vec<_> = pages().into_iter().map(|(path, _)| path).collect();
    // Pages for who reads another language, and the summary itself, are no chapters.
    wanted.retain(|path| !path.ends_with("SUMMARY.md") && !path.to_string_lossy().ends_with(".ja.md"));
    named.sort();
    wanted.sort();
    assert_eq!(named, wanted);
}
