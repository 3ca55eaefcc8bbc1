//! What each operating system does in its own way. One system, one file, the same names.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;
