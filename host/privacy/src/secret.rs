//! Reads keys from files, the environment or commands, and makes new ones.

use crate::error::PrivacyError;
use crate::hex;
use everyframe_config::SecretSource;
use everyframe_types::hexadecimal::hexadecimal;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// A key: 32 bytes, overwritten when they are not needed any more.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// The most that is read of a place; a key and a line end are much less.
const MAX_BYTES: u64 = 4096;

/// Reads a key. The error names the place, never the content.
pub(crate) fn read_secret(source: &SecretSource) -> Result<Secret, PrivacyError> {
    let failed = |message: String| PrivacyError::Secret(message);
    let (text, place) = match source {
        SecretSource::Env(name) => {
            let place = format!("the environment variable {name}");
            let text = std::env::var(name).map_err(|_| failed(format!("{place} is not set")))?;
            (Zeroizing::new(text.into_bytes()), place)
        }
        SecretSource::File(path) => {
            let place = path.display().to_string();
            let read = |path: &Path| {
                let file = File::open(path)?;
                let mode = file.metadata()?.mode();
                let mut text = Zeroizing::new(Vec::new());
                file.take(MAX_BYTES).read_to_end(&mut text)?;
                Ok((text, mode))
            };
            let (text, mode) =
                read(path).map_err(|error: std::io::Error| failed(format!("{place}: {error}")))?;
            if mode & 0o007 != 0 {
                tracing::warn!("{place}: every user of this machine can read this key; `chmod o= {place}`");
            }
            (text, place)
        }
        SecretSource::Command(words) => {
            let [program, arguments @ ..] = words.as_slice() else {
                return Err(failed("a command is empty".into()));
            };
            let place = format!("the command `{program}`");
            let run = Command::new(program).args(arguments).stdin(Stdio::null()).output();
            let output = run.map_err(|error| failed(format!("{place}: {error}")))?;
            let text = Zeroizing::new(output.stdout);
            if !output.status.success() {
                return Err(failed(format!("{place} failed ({})", output.status)));
            }
            (text, place)
        }
    };
    let digits = std::str::from_utf8(&text).ok().map(str::trim);
    digits.and_then(hex::parse).map(Zeroizing::new).ok_or_else(|| {
        failed(format!(
            "{place} is not a key: 64 hexadecimal digits are wanted; `everyframe gallery make-key` makes one"
        ))
    })
}

/// Makes a new key: 64 hexadecimal digits.
///
/// # Errors
///
/// The system has no random numbers.
pub fn make_secret() -> Result<Zeroizing<String>, PrivacyError> {
    let mut secret = Zeroizing::new([0; 32]);
    fill_random(&mut *secret)?;
    Ok(Zeroizing::new(hexadecimal(&*secret)))
}

/// Makes a new key and writes it to a new file that only this user can read.
///
/// # Errors
///
/// The file exists, which is never overwritten, or its folder cannot be written.
pub fn write_secret(path: &Path) -> Result<(), PrivacyError> {
    let secret = make_secret()?;
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
            file.write_all(secret.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
    written.map_err(|error| PrivacyError::Secret(format!("{}: {error}", path.display())))
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), PrivacyError> {
    SystemRandom::new().fill(bytes).map_err(|_| PrivacyError::Cryptography)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_a_file_and_from_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write_secret(&path).unwrap();
        assert!(write_secret(&path).is_err(), "a key is never overwritten");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let file = read_secret(&SecretSource::File(path.clone())).unwrap();
        let words = ["cat".to_owned(), path.display().to_string()];
        assert_eq!(file, read_secret(&SecretSource::Command(words.into())).unwrap());
    }

    #[test]
    fn errors_name_the_place_and_not_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short.key");
        std::fs::write(&path, "deadbeef").unwrap();
        let command = |words: &[&str]| SecretSource::Command(words.iter().map(ToString::to_string).collect());
        for (source, expected) in [
            (SecretSource::File(path), "short.key is not a key"),
            (SecretSource::File(folder.path().join("none")), "none: No such file"),
            (SecretSource::Env("EVERYFRAME_NO_SUCH".into()), "EVERYFRAME_NO_SUCH is not set"),
            (command(&["echo", "deadbeef"]), "the command `echo` is not a key"),
            (command(&["false"]), "the command `false` failed"),
            (command(&["/no/such/program"]), "No such file"),
        ] {
            let error = read_secret(&source).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("deadbeef"), "{error}");
        }
    }
}
