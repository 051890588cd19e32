//! Printing. `println!` and the like of the standard library panic when standard output is a closed pipe, as in
//! `everyframe config schema | head -1`. The macros here take their place in every file of the command line.

use super::{FAILED, logging};
use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// Writes to standard output. When nobody reads it any more, the rest goes nowhere: the command finishes its work, and its
/// exit status tells about the work. Ends the process when writing fails for another reason, such as a full disk.
pub(super) fn print(text: Arguments<'_>) {
    match std::io::stdout().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => {
            logging::print_message(&format!("everyframe: cannot write to standard output: {error}"));
            logging::exit(FAILED);
        }
    }
}

/// Writes to standard error. If that fails, there is nowhere to report it.
pub(super) fn print_error(text: Arguments<'_>) {
    let _ = std::io::stderr().write_fmt(text);
}

macro_rules! print {
    ($($words:tt)*) => { $crate::output::print(format_args!($($words)*)) };
}

macro_rules! println {
    () => { $crate::output::print(format_args!("\n")) };
    ($($words:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($words)*))) };
}

macro_rules! eprint {
    ($($words:tt)*) => { $crate::output::print_error(format_args!($($words)*)) };
}

macro_rules! eprintln {
    ($($words:tt)*) => { $crate::output::print_error(format_args!("{}\n", format_args!($($words)*))) };
}
