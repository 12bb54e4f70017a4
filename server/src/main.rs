//! The one binary, `farthing`.

/// Short-lived strings and rows dominate: twice as fast here as the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    server::main()
}
