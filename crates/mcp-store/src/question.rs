//! Questions on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

/// Returns whether there is a terminal to ask on.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and returns whether the answer is yes. Any other answer is no, and so is the end of
/// the input.
pub(crate) fn ask(question: &str) -> io::Result<bool> {
    let mut stderr = io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
