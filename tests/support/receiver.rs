//! An HTTP server for notifications. It keeps each request, and answers as the test says.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it was read, Unix milliseconds.
    pub at: i64,
    /// The path.
    pub path: String,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The id of the event in the body.
    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_default().to_owned()
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With this status and these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// With 200, after this time.
    Slow(Duration),
    /// The connection is closed without an answer.
    Cut,
    /// The connection is closed in the middle of an answer.
    CutMidway,
    /// With something that is not HTTP.
    Garbage,
    /// Not at all, as long as the test lasts.
    Never,
}

impl Reply {
    /// 200.
    pub fn accept() -> Self {
        Self::Status(200, Vec::new())
    }
}

type Answering = dyn Fn(&Request, usize) -> Reply + Send + Sync;

/// The server. It listens as long as the process lives.
pub struct Receiver {
    /// Where it listens: `127.0.0.1:24000`.
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    /// Accepts everything.
    pub fn start() -> Self {
        Self::answering(|_, _| Reply::accept())
    }

    /// Answers as `reply` says: it gets the request, and how many requests with the same id came before.
    pub fn answering(reply: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, reply): (_, Arc<Answering>) = (requests.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, reply) = (kept.clone(), reply.clone());
                std::thread::spawn(move || serve(stream, &kept, &*reply));
            }
        });
        Self { address, requests }
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no thread panicked").clone()
    }

    /// Waits until `what` of the requests so far is something.
    pub fn wait<T>(&self, name: &str, what: impl Fn(&[Request]) -> Option<T>) -> T {
        crate::wait_for(name, || what(&self.requests()))
    }

    /// Waits for this many requests.
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        self.wait(&format!("{count} requests"), |all| (all.len() >= count).then(|| all.to_vec()))
    }

    /// Checks that no further request comes for a while.
    pub fn expect_no_more_than(&self, count: usize, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let now = self.requests().len();
            assert!(now <= count, "{now} requests, not {count}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Request>>, reply: &Answering) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        let before = {
            let mut kept = kept.lock().expect("no thread panicked");
            let before = kept.iter().filter(|it| it.id() == request.id() && it.path == request.path).count();
            kept.push(request.clone());
            before
        };
        match reply(&request, before) {
            Reply::Status(status, headers) => {
                let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: 5\r\n");
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                if out.write_all(format!("{head}\r\nwords").as_bytes()).is_err() {
                    return;
                }
            }
            Reply::Slow(time) => {
                std::thread::sleep(time);
                let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
            Reply::Cut => return,
            Reply::CutMidway => {
                let _ = out.write_all(b"HTTP/1.1 200 O");
                return;
            }
            Reply::Garbage => {
                let _ = out.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n");
                return;
            }
            Reply::Never => std::thread::sleep(Duration::from_secs(3600)),
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
    Some(Request { at, path, headers, body })
}
