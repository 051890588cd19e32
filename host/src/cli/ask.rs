//! Questions to whoever sits at the terminal.

use super::logging;
use std::io::IsTerminal as _;

/// Asks a question on the terminal; none if standard input is not one, and nobody can answer.
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
