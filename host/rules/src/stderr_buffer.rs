//! A guest's standard error, kept to explain a trap.

use super::limits::STDERR_BYTES;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Keeps the first [`STDERR_BYTES`] bytes and discards the rest. wasmtime's own in-memory pipe fails when it is full,
/// and Rust guests panic on that.
#[derive(Clone, Default)]
pub(super) struct StderrBuffer(Arc<Mutex<Vec<u8>>>);

impl StderrBuffer {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl IsTerminal for StderrBuffer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for StderrBuffer {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI p1 and p3 call this, and they are not linked.
        Box::new(MemoryOutputPipe::new(STDERR_BYTES))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for StderrBuffer {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = STDERR_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for StderrBuffer {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_keeps_its_beginning_and_never_fails() {
        let stderr = StderrBuffer::default();
        for _ in 0..10 {
            stderr.clone().write(bytes::Bytes::from(vec![b'x'; 1000])).unwrap();
        }
        assert_eq!(stderr.bytes().len(), STDERR_BYTES);
    }
}
