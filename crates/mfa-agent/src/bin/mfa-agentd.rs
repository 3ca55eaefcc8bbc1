//! The agent's binary. What it does is in the crate `agent`.

/// Wipes what is freed: a secret's copies in buffers that no type of ours owns go with it.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    agent::main()
}
