//! How a program of the client's begins.

// The unwinder, out of an archive. Rust takes it from libgcc_s.so.1, which the loader would have to find, map and
// relocate at every prompt: a tenth of the whole run.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a block of foreign functions that names none; it carries the link attribute")]
#[link(name = "gcc_eh", kind = "static", modifiers = "-bundle")]
unsafe extern "C" {}

/// The program's entry, which returns the exit status of this function.
///
/// On Linux with glibc it is C's: Rust's own set-up before `main` costs a tenth of the whole run, and nothing here
/// needs it. `std::env::args_os` works without it, and SIGPIPE keeps its default, as a program in a pipe should.
macro_rules! enter {
    ($main:path) => {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        #[expect(
            unsafe_code,
            reason = "the C runtime looks for this name; nothing else in this program has it"
        )]
        #[unsafe(no_mangle)]
        extern "C" fn main() -> i32 {
            $main().into()
        }

        #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
        fn main() -> std::process::ExitCode {
            $main().into()
        }
    };
}
pub(crate) use enter;
