//! What the tests share.

mod memory;
mod sandbox;
mod session;
mod terminal;

pub use memory::memory_holds;
pub use sandbox::{ACCOUNT, Run, Sandbox, exported, key_of, tool};
pub use session::{SHELLS, Session, Shell};
pub use terminal::Terminal;
