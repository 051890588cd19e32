//! The address of a source, which may contain a password.

use super::protocol::Protocol;
use everyframe_config::Transport;
use everyframe_kafka::remember_secret;
use everyframe_types::redact::{find_secrets, percent_decoded, redact_address};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// An address that ends like this is a recording on a web server, not a camera that is off.
const RECORDINGS: [&str; 12] =
    [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".flv", ".gif", ".mpg", ".mpeg", ".wmv"];

/// A video or picture file, a folder of pictures, a device, or a network address. `Display` and `Debug` hide the user, the
/// password and secret parameters; only code that opens the source gets the whole address.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceAddress {
    text: String,
    shown: String,
}

impl SourceAddress {
    /// The address as the user wrote it.
    pub fn new(text: &str) -> Self {
        // The name of an existing file is not secret, whatever it looks like.
        if !text.contains("://") && Path::new(text).exists() {
            return Self { text: text.to_owned(), shown: text.to_owned() };
        }
        // OpenCV and FFmpeg may print parts of the address, and their output goes to the log.
        find_secrets(text).into_iter().for_each(remember_secret);
        Self { text: text.to_owned(), shown: redact_address(text) }
    }

    /// The whole address, secrets included.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// True if `Display` hides a part of it.
    pub fn has_secret(&self) -> bool {
        self.text != self.shown
    }

    /// The path, if this is a path or a `file:` address.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let Some(path) = self.text.strip_prefix("file:") else {
            return (!self.text.contains("://")).then(|| PathBuf::from(&self.text));
        };
        let path = path
            .strip_prefix("//localhost/")
            .map_or_else(|| path.strip_prefix("//").unwrap_or(path).to_owned(), |path| format!("/{path}"));
        // FFmpeg does not decode such an address; browsers and file managers encode it.
        let decoded = PathBuf::from(percent_decoded(&path));
        let written = PathBuf::from(path);
        Some(if !written.exists() && decoded.exists() { decoded } else { written })
    }

    /// True for an `http:` or `https:` address.
    pub(super) fn is_http(&self) -> bool {
        self.has_scheme(&["http", "https"])
    }

    /// True for a device, and for a network address that does not end like a recording: a camera, which may be off just now.
    pub fn may_be_live(&self) -> bool {
        let path = self.text.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        match self.protocol(Transport::default()) {
            Protocol::Rtsp(_) | Protocol::Device => true,
            Protocol::Network => !RECORDINGS.iter().any(|end| path.ends_with(end)),
            Protocol::File => false,
        }
    }

    /// How FFmpeg opens it. `transport` is for RTSP.
    pub(super) fn protocol(&self, transport: Transport) -> Protocol {
        match self.path() {
            _ if self.device().is_some() => Protocol::Device,
            Some(_) => Protocol::File,
            None if self.has_scheme(&["rtsp", "rtsps"]) => Protocol::Rtsp(transport),
            None => Protocol::Network,
        }
    }

    /// The number of a device: `0` or `/dev/video0`.
    fn device(&self) -> Option<u32> {
        self.text.strip_prefix("/dev/video").unwrap_or(&self.text).parse().ok()
    }

    /// The name of a device's file; for all others the address.
    pub(super) fn device_or_text(&self) -> Cow<'_, str> {
        self.device().map_or(Cow::Borrowed(&self.text), |number| format!("/dev/video{number}").into())
    }

    fn has_scheme(&self, schemes: &[&str]) -> bool {
        let scheme = self.text.split_once("://").map_or("", |(scheme, _)| scheme);
        schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known))
    }
}

impl From<&Path> for SourceAddress {
    fn from(path: &Path) -> Self {
        Self::new(&path.to_string_lossy())
    }
}

impl fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_password() {
        let address = SourceAddress::new("rtsp://admin:hunter2@cam/stream?token=abcdef");
        for shown in [address.to_string(), format!("{address:?}"), format!("{:?}", Some(&address))] {
            assert!(
                !shown.contains("hunter2") && !shown.contains("abcdef") && !shown.contains("admin"),
                "{shown}"
            );
            assert!(shown.contains("cam/stream"), "{shown}");
        }
        assert!(address.has_secret());
        assert_eq!(address.text(), "rtsp://admin:hunter2@cam/stream?token=abcdef");
    }

    #[test]
    fn a_file_is_shown_by_its_whole_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("12:30@gate?key=1.mp4");
        std::fs::write(&path, b"").unwrap();
        let address = SourceAddress::from(path.as_path());
        assert_eq!(address.to_string(), path.display().to_string());
        assert!(!address.has_secret());
    }

    #[test]
    fn a_camera_that_is_off_is_waited_for() {
        for camera in ["rtsp://cam/a.mp4", "0", "/dev/video1", "http://cam/stream?x=.mp4", "udp://@:5000"] {
            assert!(SourceAddress::new(camera).may_be_live(), "{camera}");
        }
        for recording in ["clip.mp4", "http://cam/a.MP4?key=1", "/dev/null", "file:///a.mkv"] {
            assert!(!SourceAddress::new(recording).may_be_live(), "{recording}");
        }
    }

    #[test]
    fn a_file_address_is_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.mp4");
        std::fs::write(&path, b"").unwrap();
        let plain = path.display().to_string();
        let encoded = plain.replace(' ', "%20");
        for address in [
            plain.clone(),
            format!("file:{plain}"),
            format!("file://{plain}"),
            format!("file://{encoded}"),
            format!("file://localhost{encoded}"),
        ] {
            assert_eq!(SourceAddress::new(&address).path().as_deref(), Some(path.as_path()), "{address}");
        }
        assert_eq!(SourceAddress::new("rtsp://cam/a").path(), None);
    }
}
