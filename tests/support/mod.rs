//! What the tests share.

mod desktop;
mod keyring;
pub mod memory;
mod prompter;
mod sandbox;
mod screen;
mod session;
mod ssh;
mod terminal;
mod user_manager;

pub use desktop::{Bus, Dunst, Logind, Notified, Server};
pub use keyring::{Keyring, PASSWORD};
pub use memory::memory_holds;
pub use prompter::TestPrompter;
pub use sandbox::{ACCOUNT, Run, Sandbox, aws_cli_2, copy, exported, install, key_of, open_to_others, tool};
pub use screen::Screen;
pub use session::{SHELLS, Session, Shell, processes};
pub use ssh::Host;
pub use terminal::Terminal;
pub use user_manager::UserManager;

/// Waits for what no descriptor tells of. A test that waits for half a minute has failed.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 30, "it does not come true: {what}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Sees to it that a page of `docs/` holds what a test module found out, between the marks that name the module. With
/// `MFA_AGENT_WRITE_DOCS` set it is written there.
#[track_caller]
pub fn page_holds(page: &str, module: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- Written by tests/{module}.rs. -->\n");
    let end = "<!-- End. -->\n";
    let (before, rest) = text.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let expected = format!("{before}{begin}{found}{end}{after}");
    if std::env::var_os("MFA_AGENT_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    } else {
        assert!(
            text == expected,
            "docs/{page} says something else; MFA_AGENT_WRITE_DOCS=1 writes it:\n{found}"
        );
    }
}
