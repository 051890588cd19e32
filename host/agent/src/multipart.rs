//! A stream of pictures in one answer of a web server: `multipart/x-mixed-replace`, as cameras send motion JPEG.
//!
//! FFmpeg could read it, too, but it gives half a part as a whole one, and loses its place after a part that is no picture.

use super::fault::Fault;
use everyframe_types::machine::unix_ms;
use std::time::{Duration, Instant};

/// The longest line of a part's head, bytes.
const MAX_LINE: usize = 4096;
/// The most lines of a part's head, and between two parts.
const MAX_LINES: usize = 200;
/// What every boundary begins with.
const HYPHENS: &[u8] = b"--";
/// The largest part, bytes.
pub(super) const MAX_PART: usize = 64 << 20;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// One part of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its content type; empty if it has none.
    pub content_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// When it began to arrive, Unix milliseconds.
    pub arrived: i64,
    /// False if its stated length is longer: the camera cut it.
    pub is_complete: bool,
}

/// Reads parts.
pub(super) struct PartReader<R> {
    read: R,
    boundary: Vec<u8>,
    buffer: Vec<u8>,
    /// True if the line of the next part's boundary was read.
    is_at_part: bool,
    /// When the first boundary must have come; none once it has.
    deadline: Option<Instant>,
}

/// The boundary in a content type, with its two hyphens; only these if it is not named. None if it is not a stream of parts.
pub(super) fn find_boundary(content_type: &str) -> Option<Vec<u8>> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let mut boundaries = split_parameters(parameters).into_iter().filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    });
    let boundary = boundaries.next().unwrap_or_default();
    // Some cameras write the hyphens here already.
    Some(format!("--{}", boundary.strip_prefix("--").unwrap_or(&boundary)).into_bytes())
}

/// The parameters of a content type. A semicolon in double quotes separates none.
fn split_parameters(text: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let is_separator = |character: char| {
        is_quoted ^= character == '"';
        character == ';' && !is_quoted
    };
    text.split(is_separator).collect()
}

impl<R: FnMut(&mut [u8]) -> Result<usize, Fault>> PartReader<R> {
    /// Reads parts separated by `boundary`, of which the first must begin within `patience`. `read` gives at least one byte, or an
    /// error.
    pub fn new(boundary: Vec<u8>, patience: Duration, read: R) -> Self {
        let deadline = Some(Instant::now() + patience);
        Self { read, boundary, buffer: Vec::new(), is_at_part: false, deadline }
    }

    /// The next part.
    ///
    /// # Errors
    ///
    /// The connection ended, also within a part; or no part came.
    pub fn next_part(&mut self) -> Result<Part, Fault> {
        self.find_part()?;
        self.is_at_part = false;
        let arrived = unix_ms();
        let (mut content_type, mut length) = (String::new(), None);
        for _ in 0..MAX_LINES {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            let line = String::from_utf8_lossy(&line);
            let Some((name, value)) = line.split_once(':') else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "content-type" => value.trim().clone_into(&mut content_type),
                "content-length" => length = value.trim().parse::<usize>().ok(),
                _ => {}
            }
        }
        let (bytes, is_complete) = match length {
            Some(length) if length <= MAX_PART => self.read_stated(length)?,
            _ => (self.read_to_boundary()?, true),
        };
        Ok(Part { content_type, bytes, arrived, is_complete })
    }

    /// Reads lines until one is a boundary.
    fn find_part(&mut self) -> Result<(), Fault> {
        while !self.is_at_part {
            let line = self.read_line()?;
            if self.boundary == HYPHENS && line.starts_with(HYPHENS) {
                self.boundary.clone_from(&line);
            }
            self.is_at_part = self.is_boundary(&line);
        }
        self.deadline = None;
        Ok(())
    }

    fn is_boundary(&self, line: &[u8]) -> bool {
        // Some cameras write more hyphens than they announced.
        let name = self.boundary.strip_prefix(b"--").unwrap_or(&self.boundary);
        let hyphens = line.iter().take_while(|byte| **byte == b'-').count();
        hyphens >= 2 && line[hyphens..].strip_suffix(b"--").unwrap_or(&line[hyphens..]) == name
            || line == self.boundary
    }

    /// Reads a part of a stated length. If a boundary follows earlier, the part was cut there.
    fn read_stated(&mut self, length: usize) -> Result<(Vec<u8>, bool), Fault> {
        while self.buffer.len() < length + 2 {
            self.fill()?;
        }
        let follows_line_end = matches!(self.buffer.get(length), Some(b'\r' | b'\n' | b'-'));
        if follows_line_end {
            let rest = self.buffer.split_off(length);
            return Ok((std::mem::replace(&mut self.buffer, rest), true));
        }
        match self.position_of_boundary(0, length) {
            Some((end, _)) => {
                let rest = self.buffer.split_off(end);
                Ok((std::mem::replace(&mut self.buffer, rest), false))
            }
            // The part is longer than it says.
            None => Ok((self.read_to_boundary()?, true)),
        }
    }

    /// Reads until the next boundary.
    fn read_to_boundary(&mut self) -> Result<Vec<u8>, Fault> {
        let mut searched = 0;
        loop {
            if let Some((end, _)) = self.position_of_boundary(searched, self.buffer.len()) {
                let rest = self.buffer.split_off(end);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            if self.buffer.len() > MAX_PART {
                return Err(Fault::Other(format!("a part of more than {MAX_PART} bytes")));
            }
            searched = self.buffer.len().saturating_sub(self.boundary.len() + 2);
            self.fill()?;
        }
    }

    /// The positions of the line end before a boundary, and of the boundary. Some cameras write it directly after a JPEG.
    fn position_of_boundary(&self, from: usize, to: usize) -> Option<(usize, usize)> {
        let within = self.buffer.get(from..to)?;
        let line_end = |at: usize| match &self.buffer[..at] {
            [.., b'\r', b'\n'] => Some(at - 2),
            [.., b'\n'] => Some(at - 1),
            [.., 0xff, 0xd9] => Some(at),
            _ => None,
        };
        let mut windows = within.windows(self.boundary.len()).enumerate();
        windows.find_map(|(at, window)| {
            let at = from + at;
            (window == self.boundary).then(|| line_end(at)).flatten().map(|end| (end, at))
        })
    }

    /// Reads a line without its end.
    fn read_line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            searched = self.buffer.len();
            if searched > MAX_LINE {
                // Not a head: the next boundary is searched line by line.
                self.buffer.drain(..searched - MAX_LINE / 2);
                searched = self.buffer.len();
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Fault> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let name = String::from_utf8_lossy(&self.boundary);
            return Err(Fault::Other(format!("the stream has no part that begins with {name}")));
        }
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let read = (self.read)(&mut self.buffer[before..]);
        self.buffer.truncate(before + read.as_ref().map_or(0, |count| *count));
        read.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The parts of a stream that arrives in pieces of this size.
    fn parts(stream: &[u8], piece: usize) -> Vec<(Vec<u8>, bool)> {
        parts_between("--frame", stream, piece)
    }

    fn parts_between(boundary: &str, stream: &[u8], piece: usize) -> Vec<(Vec<u8>, bool)> {
        let mut at = 0;
        let mut reader = PartReader::new(boundary.into(), Duration::from_secs(3600), |bytes| {
            let count = piece.min(bytes.len()).min(stream.len() - at);
            bytes[..count].copy_from_slice(&stream[at..at + count]);
            at += count;
            if count == 0 { Err(Fault::Ended) } else { Ok(count) }
        });
        std::iter::from_fn(|| reader.next_part().ok()).map(|part| (part.bytes, part.is_complete)).collect()
    }

    fn part(length: Option<usize>, content: &[u8]) -> Vec<u8> {
        let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
        [format!("--frame\r\nContent-Type: image/jpeg\r\n{length}\r\n").as_bytes(), content, b"\r\n"].concat()
    }

    #[test]
    fn the_boundary_is_found_as_cameras_write_it() {
        for (text, expected) in [
            ("multipart/x-mixed-replace; boundary=frame", Some("--frame")),
            ("Multipart/X-Mixed-Replace;boundary=\"--frame\"", Some("--frame")),
            ("multipart/x-mixed-replace; charset=x; BOUNDARY=a=b", Some("--a=b")),
            ("multipart/x-mixed-replace; boundary=\"a b;c=d\"; charset=x", Some("--a b;c=d")),
            ("multipart/x-mixed-replace;boundary='abc'", Some("--abc")),
            ("multipart/x-mixed-replace", Some("--")),
            ("image/jpeg", None),
            ("", None),
        ] {
            assert_eq!(find_boundary(text), expected.map(|text| text.as_bytes().to_vec()), "{text}");
        }
    }

    #[test]
    fn parts_are_read_with_and_without_a_length() {
        let contents = [&b"one\r\n--framed\r\n"[..], b"", b"three"];
        let with_length: Vec<u8> = contents.iter().flat_map(|it| part(Some(it.len()), it)).collect();
        let without: Vec<u8> = contents.iter().flat_map(|it| part(None, it)).collect();
        for piece in [1, 7, 1000] {
            let read = parts(&[&with_length, &b"--frame--\r\n"[..]].concat(), piece);
            assert!(read.iter().map(|(bytes, _)| bytes.as_slice()).eq(contents), "{read:?}");
        }
        let read = parts(&[&without[part(None, contents[0]).len()..], &b"--frame--\r\n"[..]].concat(), 3);
        assert!(read.iter().map(|(bytes, _)| bytes.as_slice()).eq(contents[1..].iter().copied()), "{read:?}");
    }

    #[test]
    fn a_cut_part_does_not_take_the_next_one_with_it() {
        let stream = [part(Some(100), b"cut"), part(Some(5), b"whole"), part(Some(3), b"end")].concat();
        let expected = [(b"cut".to_vec(), false), (b"whole".to_vec(), true), (b"end".to_vec(), true)];
        for piece in [1, 10, 1000] {
            assert_eq!(parts(&stream, piece)[..2], expected[..2], "{piece}");
        }
    }

    #[test]
    fn a_part_that_is_longer_than_it_says_is_read_whole() {
        let stream = [part(Some(2), b"longer"), part(Some(3), b"end"), b"--frame--\r\n".to_vec()].concat();
        assert_eq!(parts(&stream, 1000)[0], (b"longer".to_vec(), true));
    }

    #[test]
    fn a_boundary_without_a_name_is_that_of_the_first_part() {
        let contents = [&b"one\r\n--other\r\n"[..], b"two", b"three"];
        let stream: Vec<u8> = contents.iter().flat_map(|it| part(None, it)).collect();
        let stream = [b"a preamble\r\n", &stream[..], b"--frame--\r\n"].concat();
        for piece in [1, 1000] {
            let read = parts_between("--", &stream, piece);
            assert!(read.iter().map(|(bytes, _)| bytes.as_slice()).eq(contents), "{read:?}");
        }
    }

    #[test]
    fn a_boundary_may_follow_the_end_of_a_jpeg_directly() {
        let jpeg = b"\xff\xd8 picture \xff\xd9";
        let one = [b"--frame\r\n\r\n", &jpeg[..]].concat();
        let read = parts(&[one.repeat(3), b"--frame--\r\n".to_vec()].concat(), 7);
        assert_eq!(read, vec![(jpeg.to_vec(), true); 3]);
    }

    #[test]
    fn a_stream_without_its_boundary_is_an_error() {
        let mut reader = PartReader::new(b"--frame".to_vec(), Duration::ZERO, |bytes| {
            bytes[..9].copy_from_slice(b"--other\r\n");
            Ok(9)
        });
        let error = reader.next_part().unwrap_err();
        assert_eq!(error.to_string(), "the stream has no part that begins with --frame");
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'-'), Just(b'\n')], 0..500)) {
            let stream = [part(Some(20), &bytes), part(None, &bytes), b"--frame--".to_vec()].concat();
            prop_assert!(parts(&stream, 9).len() <= 500);
        }
    }
}
