//! All that `mfa-agent` can do.
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

/// Wipes what is freed: a key or a seed passes through buffers of libraries, and a person may take minutes to answer the
/// next question. Not so in `mfa-agent`, which is gone when its answer is out.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

#[path = "../entry.rs"]
mod entry;

entry::enter!(client::main);
