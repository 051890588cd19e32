//! The `everyframe` command.

fn main() -> std::process::ExitCode {
    everyframe::cli::main()
}
