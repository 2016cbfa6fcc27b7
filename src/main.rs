//! The `livestreamd` binary: see [`livestreamd::cli`].

fn main() -> std::process::ExitCode {
    livestreamd::cli::main(std::env::args_os()).into()
}
