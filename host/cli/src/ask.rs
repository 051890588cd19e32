//! Questions to the user at the terminal.

use super::logging;
use std::io::IsTerminal as _;

/// Asks a yes-or-no question on the terminal. None if standard input is not a terminal, so that nobody can answer.
///
/// # Errors
///
/// The terminal cannot be read.
pub fn confirm(question: &str) -> std::io::Result<Option<bool>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    logging::prompt(&format!("{question}? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
}
