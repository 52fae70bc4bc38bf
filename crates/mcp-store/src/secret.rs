//! Files with secrets.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::error::CliError;

/// Reads a file that other users cannot read.
pub(crate) fn read(path: &Path) -> Result<String, CliError> {
    let name = path.display();
    let failed = |error: io::Error| CliError::Message(format!("cannot read {name}: {error}"));
    let mut file = File::open(path).map_err(failed)?;
    check(path, &file).map_err(|error| CliError::Message(error.to_string()))?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Reads a key of 32 bytes, written as 64 hexadecimal digits.
pub(crate) fn read_key(path: &Path) -> Result<[u8; 32], CliError> {
    let text = read(path)?;
    parse_key(text.trim()).ok_or_else(|| {
        // The text may be a key with an error, so it is not shown.
        CliError::Message(format!(
            "{} holds no key of 64 hexadecimal digits; make one with: openssl rand -hex 32",
            path.display()
        ))
    })
}

fn parse_key(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| (high << 4) | low).collect();
    bytes.try_into().ok().filter(|_| rest.is_empty())
}

/// Returns an error if other users can read an open file. Its group may.
#[cfg(unix)]
pub(crate) fn check(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS: u32 = 0o007;
    let mode = file.metadata()?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let name = path.display();
    Err(io::Error::other(format!(
        "{name} holds a secret, and other users have access to it (mode {:03o}); \
         run: chmod o= {name}",
        mode & 0o777
    )))
}

/// The files of other systems have no modes.
#[cfg(not(unix))]
pub(crate) fn check(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_key;

    #[test]
    fn key_has_64_hexadecimal_digits() {
        let mut expected = [0; 32];
        (expected[0], expected[31]) = (0xfa, 0x01);
        let text = format!("fA{}01", "0".repeat(60));
        assert_eq!(parse_key(&text), Some(expected));
        for text in [
            "",
            "fa",
            &text[1..],
            &format!("{text}0"),
            &"g".repeat(64),
            &"\u{e9}".repeat(32),
        ] {
            assert_eq!(parse_key(text), None, "{text}");
        }
    }
}
