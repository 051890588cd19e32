//! A small HTTP client for one address of this machine.

use crate::WAIT_TIMEOUT;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// An address, and the headers of every request.
#[derive(Debug, Clone)]
pub struct Http {
    /// Host and port.
    pub address: String,
    headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON, after a check of the status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }
}

impl Http {
    /// A client without headers of its own.
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), headers: Vec::new() }
    }

    /// The same client, with one header more in every request.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut more = self.clone();
        more.headers.push((name.to_owned(), value.to_owned()));
        more
    }

    /// Asks; none while nobody answers.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.try_request("GET", path, "", b"")
    }

    /// Asks.
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|| panic!("no answer of {} to {path}", self.address))
    }

    /// Makes a request with a body.
    pub fn request(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.try_request(method, path, kind, body)
            .unwrap_or_else(|| panic!("no answer of {} to {method} {path}", self.address))
    }

    /// Makes a request with JSON.
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.request(method, path, "application/json", body.to_string().as_bytes())
    }

    /// Makes a request with a body; none while nobody answers, or if the answer breaks off.
    pub fn try_request(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Option<Answer> {
        let mut stream = self.connect(method, path, kind, body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let (status, headers) = parse_head(head.lines())?;
        let mut body = answer[end + 4..].to_vec();
        if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
            body = unchunk(&body);
        }
        Some(Answer { status, headers, body })
    }

    fn connect(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).expect("a timeout");
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !kind.is_empty() {
            head += &format!("Content-Type: {kind}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(b"\r\n").ok()?;
        // A server may answer before it has read the whole body.
        let _ = stream.write_all(body);
        Some(stream)
    }

    /// Opens a stream of server-sent events.
    pub fn events(&self, path: &str) -> EventStream {
        let stream = self.connect("GET", path, "", b"").expect("a connection");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        EventStream { reader: BufReader::new(stream), line: Vec::new(), id: String::new() }
    }
}

/// A stream of server-sent events.
pub struct EventStream {
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
    /// The id of the last event that had one.
    pub id: String,
}

impl EventStream {
    /// Waits for the next event of this kind, and returns its data. Other events are dropped.
    pub fn wait_for(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            assert!(Instant::now() < deadline, "no event `{kind}` within {} s", WAIT_TIMEOUT.as_secs());
            match self.reader.read_until(b'\n', &mut self.line) {
                Ok(0) => panic!("the stream of events ended"),
                Ok(_) => {}
                Err(_) => continue,
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end().to_owned();
            if let Some(value) = line.strip_prefix("event: ") {
                name = value.to_owned();
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = value.to_owned();
            } else if let Some(value) = line.strip_prefix("id: ") {
                self.id = value.to_owned();
            } else if line.is_empty() && !name.is_empty() {
                if name == kind {
                    return serde_json::from_str(&data).expect("the data of an event are JSON");
                }
                name.clear();
            }
        }
    }
}

fn parse_head<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<(u16, Vec<(String, String)>)> {
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    };
    Some((status, lines.filter_map(header).collect()))
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&body[..end]).trim(), 16).unwrap_or(0);
        let start = end + 2;
        if size == 0 || start + size > body.len() {
            break;
        }
        whole.extend_from_slice(&body[start..start + size]);
        body = &body[(start + size + 2).min(body.len())..];
    }
    whole
}
