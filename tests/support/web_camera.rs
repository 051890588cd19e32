//! A camera that sends JPEG parts in one endless answer, or single pictures.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A part of the stream.
#[derive(Debug, Clone)]
pub struct WebPart {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The length that its head states.
    pub stated: usize,
}

impl WebPart {
    /// A whole picture.
    pub fn whole(bytes: Vec<u8>) -> Self {
        let stated = bytes.len();
        Self { bytes, stated }
    }

    /// Half of a picture; its head states the length of the half.
    pub fn half(bytes: &[u8]) -> Self {
        Self::whole(bytes[..bytes.len() / 2].to_vec())
    }

    /// Half of a picture; its head states the length of the whole.
    pub fn broken_off(bytes: &[u8]) -> Self {
        Self { bytes: bytes[..bytes.len() / 2].to_vec(), stated: bytes.len() }
    }
}

struct State {
    parts: Mutex<Vec<WebPart>>,
    pause: Duration,
    is_gone: AtomicBool,
    /// The number of connections so far.
    clients: AtomicUsize,
}

/// A camera. Its thread ends with the process.
pub struct WebCamera {
    address: String,
    state: Arc<State>,
}

impl WebCamera {
    /// Starts a camera that repeats these parts for each client, with this pause between two.
    pub fn start(parts: Vec<WebPart>, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/stream", listener.local_addr().expect("an address"));
        let parts = Mutex::new(parts);
        let (is_gone, clients) = (AtomicBool::new(false), AtomicUsize::new(0));
        let state = Arc::new(State { parts, pause, is_gone, clients });
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(mut client) = client else { return };
                let state = shared.clone();
                if state.is_gone.load(Ordering::Relaxed) {
                    continue;
                }
                state.clients.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    let mut request = [0; 4096];
                    let _ = client.read(&mut request);
                    let head =
                        "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
                    let mut sent = client.write_all(head.as_bytes());
                    for number in 0.. {
                        let part = {
                            let parts = state.parts.lock().expect("no panic");
                            parts[number % parts.len()].clone()
                        };
                        let head = format!(
                            "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
                            part.stated
                        );
                        let bytes = [head.as_bytes(), &part.bytes, b"\r\n"].concat();
                        sent = sent.and_then(|()| client.write_all(&bytes));
                        if sent.is_err() || state.is_gone.load(Ordering::Relaxed) {
                            return;
                        }
                        std::thread::sleep(state.pause);
                    }
                });
            }
        });
        Self { address, state }
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on, it repeats these parts.
    pub fn show(&self, parts: Vec<WebPart>) {
        *self.state.parts.lock().expect("no panic") = parts;
    }

    /// Loses power, or has it again.
    pub fn set_gone(&self, is_gone: bool) {
        self.state.is_gone.store(is_gone, Ordering::Relaxed);
    }

    /// The number of connections so far.
    pub fn clients(&self) -> usize {
        self.state.clients.load(Ordering::Relaxed)
    }
}
