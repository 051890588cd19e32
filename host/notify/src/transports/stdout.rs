//! A line of JSON on standard output.

use super::{Outgoing, SendError, Transport};
use std::io::Write as _;

/// Prints the CloudEvents of messages.
#[derive(Debug, Clone, Copy)]
pub struct Stdout;

impl Transport for Stdout {
    fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let mut line = outgoing.message.cloud_event(outgoing.channel);
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let written = out.write_all(&line).and_then(|()| out.flush());
        written.map_err(|error| SendError::failed(format!("standard output cannot be written: {error}")))
    }
}
