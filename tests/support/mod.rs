//! What the tests share.

mod desktop;
pub mod memory;
mod sandbox;
mod session;
mod terminal;

pub use desktop::{Bus, Server};
pub use memory::memory_holds;
pub use sandbox::{ACCOUNT, Run, Sandbox, exported, key_of, tool};
pub use session::{SHELLS, Session, Shell, processes};
pub use terminal::Terminal;

/// Waits for what no descriptor tells of. A test that waits for half a minute has failed.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 30, "it does not come true: {what}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
