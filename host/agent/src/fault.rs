//! Why a connection gives nothing.

/// Why a connection gives nothing. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The content ended, or the camera closed the connection.
    #[error("the connection was closed")]
    Ended,
    /// The agent is stopping.
    #[error("stopped")]
    Stopped,
    /// Nothing came for as long as the settings allow.
    #[error("no data within the time limit")]
    TimedOut,
    /// The user or the password is wrong, or this user may not see it.
    #[error("401: the user name or the password is wrong, or this user has no access")]
    WrongPassword,
    /// There is a server, but not this path.
    #[error("404: nothing has this path on the server")]
    NotFound,
    /// Nothing listens at this port.
    #[error("nothing listens there: the connection was refused")]
    Refused,
    /// No way to the host, or the name is unknown.
    #[error("cannot be reached: no such host, or the network does not reach it")]
    Unreachable,
    /// FFmpeg cannot read it as a video.
    #[error("this is not a video that FFmpeg can read")]
    NotAVideo,
    /// Any other error, in FFmpeg's words.
    #[error("{0}")]
    Other(String),
}
