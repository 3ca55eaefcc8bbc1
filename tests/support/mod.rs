//! What the tests share.

mod sandbox;
mod terminal;

pub use sandbox::{ACCOUNT, Run, Sandbox, exported, key_of, tool};
pub use terminal::Terminal;
