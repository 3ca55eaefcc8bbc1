//! Changes settings in the files that AWS's tools read (`~/.aws/credentials`, `~/.aws/config`), and leaves every
//! other byte of them as it is. [`Document`] is the text and knows no file; [`edit`] is the file, which is replaced
//! whole or not at all.

mod document;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod line;
mod store;

pub use document::{Ambiguous, Document, Kind, NotSettable, Unclear};
pub use store::{Edited, StoreError, edit, read};
