//! What a source gives.

use super::fault::Fault;
use super::view::View;
use std::time::Duration;

/// A picture of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// JPEG, PNG or WebP.
    pub bytes: Vec<u8>,
    /// Only of a recording: the time since its first picture. It keeps growing when the recording starts again.
    pub at: Option<Duration>,
    /// Only of a live source: when it was taken, Unix milliseconds.
    pub captured_at: Option<i64>,
    /// The decoder, the protocol or the container found it damaged, and the options say to send such pictures.
    pub is_damaged: bool,
    /// What it shows: of a live source, about once a second.
    pub view: Option<View>,
}

impl Picture {
    /// A picture file.
    pub(super) fn of_file(bytes: Vec<u8>) -> Self {
        Self { bytes, at: None, captured_at: None, is_damaged: false, view: None }
    }
}

/// The result of one read from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A picture.
    Picture(Picture),
    /// No picture this time; the next read may return one.
    Nothing,
    /// A damaged picture, which is not sent.
    Damaged,
    /// The address answers; its kind and its rate are known now.
    Opened,
    /// The connection to a live source ended, or could not be made. It is being made anew.
    Lost(Fault),
    /// The source ended.
    End,
}
