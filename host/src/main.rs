//! The `everyframe` command.

fn main() {
    everyframe::cli::main()
}
