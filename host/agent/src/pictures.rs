//! Picture files as a source: the files of a folder, or a single file. They are sent unchanged.

use super::source_error::SourceError;
use everyframe_vision::{PictureError, check_whole};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest file that is read, bytes: far above the limit of a Kafka record, and small enough for memory.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The extensions of picture files, in lower case.
const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Picture files, in sending order.
pub(super) struct Pictures {
    folder: Option<PathBuf>,
    files: Vec<PathBuf>,
    next: usize,
    /// Files that were skipped with a warning. Each file causes one warning, even if the folder is sent repeatedly.
    warned: BTreeSet<PathBuf>,
}

impl Pictures {
    /// The pictures of a folder, sorted by name, with numbers by value: `frame2` before `frame10`.
    ///
    /// # Errors
    ///
    /// The folder cannot be read, or has no picture files: show the message.
    pub fn in_folder(folder: &Path) -> Result<Self, SourceError> {
        let mut pictures =
            Self { folder: Some(folder.to_owned()), files: Vec::new(), next: 0, warned: BTreeSet::new() };
        pictures.start_over()?;
        Ok(pictures)
    }

    /// A single picture.
    pub fn single(file: &Path) -> Self {
        Self { folder: None, files: vec![file.to_owned()], next: 0, warned: BTreeSet::new() }
    }

    /// Lists the folder again, and goes back to the first picture.
    ///
    /// # Errors
    ///
    /// As [`Pictures::in_folder`].
    pub fn start_over(&mut self) -> Result<(), SourceError> {
        self.next = 0;
        let Some(folder) = &self.folder else { return Ok(()) };
        let unreadable = |reason: std::io::Error| SourceError::Unreadable {
            path: folder.clone(),
            reason: reason.to_string(),
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            match entry {
                Ok(entry) if has_picture_extension(&entry.path()) => files.push(entry.path()),
                Ok(_) => {}
                // The other entries may still be readable.
                Err(error) => {
                    tracing::warn!("{}: an entry of this folder cannot be read: {error}", folder.display());
                }
            }
        }
        if files.is_empty() {
            return Err(SourceError::NoPictures(folder.clone()));
        }
        files.sort_by(|a, b| compare_names(name_of(a), name_of(b)));
        self.files = files;
        Ok(())
    }

    /// Reads the next file; none at the end.
    ///
    /// # Errors
    ///
    /// The file is not a picture that can be sent: skip it.
    pub fn read_next(&mut self) -> Option<Result<Vec<u8>, SourceError>> {
        let path = self.files.get(self.next)?;
        self.next += 1;
        let read =
            read_picture(path).map_err(|reason| SourceError::BadPicture { path: path.clone(), reason });
        Some(read)
    }

    /// Warns that the last file is skipped. There is no second warning for a file, and none for a single picture: the agent then
    /// ends with the reason as its error.
    pub fn warn_of_skipped(&mut self, reason: &SourceError) {
        let Some(path) = self.next.checked_sub(1).and_then(|last| self.files.get(last)) else { return };
        if self.folder.is_some() && self.warned.insert(path.clone()) {
            tracing::warn!("{reason}; skipped");
        }
    }

    /// The error for a source of which no picture could be read; `last` is the reason of the last one.
    pub fn no_picture_error(&self, last: Option<SourceError>) -> SourceError {
        match (&self.folder, last) {
            (None, Some(reason)) => reason,
            (Some(folder), _) => {
                SourceError::NoGoodPicture { folder: folder.clone(), files: self.files.len() }
            }
            (None, None) => SourceError::NoPictures(self.files.first().cloned().unwrap_or_default()),
        }
    }
}

/// True for a file with one picture. A file of several concatenated JPEG pictures is a video.
pub(super) fn is_picture_file(path: &Path) -> bool {
    if has_picture_extension(path) {
        return true;
    }
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(16).read_to_end(&mut start));
    // Most videos are recognised by their first bytes.
    if read.is_err() || matches!(check_whole(&start), Err(PictureError::Empty | PictureError::NotAPicture)) {
        return false;
    }
    let Ok(bytes) = read_file(path, MAX_FILE_BYTES) else { return false };
    check_whole(&bytes).is_ok() && !bytes.windows(5).any(|bytes| bytes == b"\xff\xd9\xff\xd8\xff")
}

fn has_picture_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().map_or(&[], |name| name.as_encoded_bytes())
}

/// Reads a picture file, or returns why it cannot be sent.
fn read_picture(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = read_file(path, MAX_FILE_BYTES)?;
    check_whole(&bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    // Opening a pipe would block until another process writes to it.
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err(if metadata.is_dir() { "is a folder" } else { "is not a regular file" }.to_owned());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > limit {
        return Err(format!("has more than {limit} bytes; no Kafka record could hold it"));
    }
    Ok(bytes)
}

/// Compares names byte by byte, but numbers by value. Of equal numbers, the one with more leading zeros is first.
fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(first), Some(second)) = (left.first(), right.first()) else {
            // One name is a prefix of the other, apart from leading zeros.
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            let (number, other) = (take_number(&mut left), take_number(&mut right));
            // Without leading zeros, the longer number is the greater one.
            number.len().cmp(&other.len()).then_with(|| number.cmp(other))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            first.cmp(second)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Removes the digits at the start of a name, and returns them without leading zeros.
fn take_number<'a>(name: &mut &'a [u8]) -> &'a [u8] {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    *name = rest;
    &digits[digits.iter().position(|byte| *byte != b'0').unwrap_or(digits.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(names: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort_by(|a, b| compare_names(a.as_bytes(), b.as_bytes()));
        names
    }

    #[test]
    fn numbers_in_names_are_ordered_by_value() {
        let ordered =
            ["C.JPEG", "a.jpg", "b.png", "frame1.jpg", "frame2.jpg", "frame010.jpg", "frame10a.jpg"];
        let mut mixed = ordered;
        mixed.reverse();
        assert_eq!(sorted(&mixed), ordered);
        assert_eq!(sorted(&["2-10", "10-1", "2-9", "2"]), ["2", "2-9", "2-10", "10-1"]);
        assert_eq!(sorted(&["f02", "f2", "f002"]), ["f002", "f02", "f2"]);
    }

    #[test]
    fn a_number_may_have_any_length() {
        let (nines, more) = ("9".repeat(300), format!("1{}", "0".repeat(300)));
        assert_eq!(sorted(&[&more, &nines, "5"]), ["5", &nines, &more]);
    }

    proptest! {
        #[test]
        fn names_have_a_total_order(names in prop::collection::vec(
            prop::collection::vec(prop_oneof![Just(b'0'), Just(b'1'), Just(b'9'), Just(b'a'), any::<u8>()], 0..6), 3,
        )) {
            let [a, b, c] = [&names[0], &names[1], &names[2]];
            prop_assert_eq!(compare_names(a, b), compare_names(b, a).reverse());
            prop_assert_eq!(compare_names(a, b) == Ordering::Equal, a == b);
            if compare_names(a, b).is_le() && compare_names(b, c).is_le() {
                prop_assert!(compare_names(a, c).is_le());
            }
        }
    }
}
