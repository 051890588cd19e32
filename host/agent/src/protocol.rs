//! How an address is reached.

use everyframe_config::Transport;

/// How an address is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// A file.
    File,
    /// A device of Video4Linux.
    Device,
    /// A web server, or another protocol of FFmpeg.
    Network,
    /// RTSP.
    Rtsp(Transport),
}
