use std::os::unix::fs::symlink;

use super::*;

fn set(path: &Path, key: &str) -> Result<Edited, StoreError> {
    edit(path, Kind::Credentials, |document| {
        document.set("dev", key, "1").unwrap();
        Ok(())
    })
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_new_file_is_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".aws/credentials");
    assert_eq!(set(&path, "a").unwrap(), Edited::Written);
    assert_eq!(fs::read_to_string(&path).unwrap(), "[dev]\na = 1\n");
    assert_eq!((mode(&path), mode(&home.path().join(".aws"))), (0o600, 0o700));
    assert_eq!(set(&path, "a").unwrap(), Edited::Unchanged);
    assert_eq!(fs::read_dir(home.path().join(".aws")).unwrap().count(), 1);
}

#[test]
fn mode_owner_and_links_stay() {
    let home = tempfile::tempdir().unwrap();
    let [real, path] = ["dotfiles", "link"].map(|name| home.path().join(name));
    fs::create_dir(&real).unwrap();
    let file = real.join("credentials");
    fs::write(&file, "[x]\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    // Only root can give a file away.
    let given = std::os::unix::fs::chown(&file, Some(4_711), Some(4_712)).is_ok();
    symlink("dotfiles/credentials", home.path().join("second")).unwrap();
    symlink(home.path().join("second"), &path).unwrap();
    set(&path, "a").unwrap();
    assert_eq!(fs::read_link(&path).unwrap(), home.path().join("second"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "[x]\n\n[dev]\na = 1\n");
    assert_eq!(mode(&file), 0o640);
    if given {
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (4_711, 4_712));
    }
    // One that leads to nothing yet.
    let dangling = home.path().join("dangling");
    symlink("dotfiles/new", &dangling).unwrap();
    set(&dangling, "a").unwrap();
    assert!(real.join("new").is_file() && dangling.is_symlink());
}

#[test]
fn what_is_no_text_file_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("credentials");
    for bytes in [&b"[a]\nb = \xff\n"[..], b"[a]\rb = 1\n"] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(set(&path, "a"), Err(StoreError::Unfit { .. })));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    assert!(matches!(set(home.path(), "a"), Err(StoreError::Unfit { .. })));
    symlink(&path, home.path().join("circle")).unwrap();
    fs::remove_file(&path).unwrap();
    symlink("circle", &path).unwrap();
    assert!(matches!(set(&path, "a"), Err(StoreError::Unfit { .. })));
}

#[test]
fn writers_at_the_same_time_lose_nothing_of_each_other() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("credentials");
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for number in 0..10 {
                    set(path, &format!("k{writer}x{number}")).unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 81);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_change_by_another_program_meanwhile_is_not_lost() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("credentials");
    fs::write(&path, "[x]\n").unwrap();
    let mut others = 0;
    edit::<StoreError>(&path, Kind::Credentials, |document| {
        if others < 3 {
            // It knows no lock and writes in place.
            others += 1;
            fs::write(&path, format!("{}[y{others}]\n", document.text())).unwrap();
        }
        document.set("dev", "a", "1").unwrap();
        Ok(())
    })
    .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "[x]\n[y1]\n[y2]\n[y3]\n\n[dev]\na = 1\n");
}

#[test]
fn what_a_killed_one_left_is_cleared_away() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("credentials");
    for name in [".credentials.mfa-agent-1", ".config.mfa-agent-1"] {
        fs::write(home.path().join(name), "left").unwrap();
    }
    set(&path, "a").unwrap();
    assert!(!home.path().join(".credentials.mfa-agent-1").exists());
    // That of another file may be in use.
    assert!(home.path().join(".config.mfa-agent-1").exists());
}

#[test]
fn a_change_that_fails_writes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("credentials");
    let failed = edit::<StoreError>(&path, Kind::Credentials, |document| {
        document.set("dev", "a", "1").unwrap();
        Err(StoreError::Busy { path: PathBuf::new() })
    });
    assert!(matches!(failed, Err(StoreError::Busy { .. })) && !path.exists());
}
