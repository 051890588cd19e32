//! A camera that speaks RTSP (RFC 2326): live, with H.264, H.265 or motion JPEG in RTP (RFC 6184, 7798, 2435), over TCP or UDP, with
//! digest authentication.

use crate::numbered::{Coding, Unit};
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Pictures per second.
const FPS: u64 = 25;
/// The largest part of a picture in one packet, bytes.
const PACKET: usize = 1200;

/// What the camera does now.
#[derive(Default)]
struct Behaviour {
    /// Of so many packets, one is not sent; 0: all are.
    lose_one_of: AtomicU64,
    /// Connections stay open, and nothing comes.
    is_silent: AtomicBool,
    /// No connection is accepted, and there are none.
    is_gone: AtomicBool,
    /// User and password.
    login: Mutex<Option<(String, String)>>,
    clients: Mutex<Vec<TcpStream>>,
    /// When the first client began to watch.
    begun: OnceLock<Instant>,
}

impl Behaviour {
    /// The place in the pictures that is sent now.
    fn position(&self) -> u64 {
        self.begun.get().map_or(0, |begun| begun.elapsed().as_millis() as u64 * FPS / 1000)
    }
}

/// A camera. Its thread ends with the process.
pub struct RtspCamera {
    port: u16,
    behaviour: Arc<Behaviour>,
}

impl RtspCamera {
    /// Starts a camera. From its first client on, it sends these pictures, 25 a second, whoever is connected; then it closes its
    /// connections.
    pub fn start(units: Vec<Unit>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (behaviour, units) = (Arc::new(Behaviour::default()), Arc::new(units));
        let shared = behaviour.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if shared.is_gone.load(Ordering::Relaxed) {
                    continue;
                }
                let copy = client.try_clone().expect("a copy");
                shared.clients.lock().expect("no panic").push(copy);
                let connection = Connection {
                    client: Arc::new(Mutex::new(client)),
                    behaviour: shared.clone(),
                    units: units.clone(),
                };
                std::thread::spawn(move || connection.serve());
            }
        });
        Self { port, behaviour }
    }

    /// Its address without a user.
    pub fn address(&self) -> String {
        format!("rtsp://127.0.0.1:{}/live", self.port)
    }

    /// Its address with this user and password.
    pub fn address_for(&self, user: &str, password: &str) -> String {
        format!("rtsp://{user}:{password}@127.0.0.1:{}/live", self.port)
    }

    /// From now on, it asks for this user and password.
    pub fn ask_for(&self, user: &str, password: &str) {
        *self.behaviour.login.lock().expect("no panic") = Some((user.to_owned(), password.to_owned()));
    }

    /// From now on, one of so many packets is lost; 0: none.
    pub fn lose_one_of(&self, packets: u64) {
        self.behaviour.lose_one_of.store(packets, Ordering::Relaxed);
    }

    /// Sends nothing more on open connections, or sends again.
    pub fn set_silent(&self, is_silent: bool) {
        self.behaviour.is_silent.store(is_silent, Ordering::Relaxed);
    }

    /// Loses power, or has it again.
    pub fn set_gone(&self, is_gone: bool) {
        self.behaviour.is_gone.store(is_gone, Ordering::Relaxed);
        if is_gone {
            for client in self.behaviour.clients.lock().expect("no panic").drain(..) {
                let _ = client.shutdown(Shutdown::Both);
            }
        }
    }

    /// The place in the pictures that is sent now.
    pub fn position(&self) -> u64 {
        self.behaviour.position()
    }
}

struct Connection {
    client: Arc<Mutex<TcpStream>>,
    behaviour: Arc<Behaviour>,
    units: Arc<Vec<Unit>>,
}

/// Where packets go.
enum Way {
    Interleaved(Arc<Mutex<TcpStream>>),
    Datagrams(UdpSocket, u16),
}

impl Connection {
    fn serve(self) {
        let reader = self.client.lock().expect("no panic").try_clone().expect("a copy");
        let mut reader = BufReader::new(reader);
        let mut way = None;
        while let Some(request) = read_request(&mut reader) {
            let words: Vec<&str> = request[0].split(' ').collect();
            let header = |name: &str| {
                request.iter().find_map(|line| {
                    let (found, value) = line.split_once(':')?;
                    found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let sequence = header("CSeq").unwrap_or_default();
            let login = self.behaviour.login.lock().expect("no panic").clone();
            let authorization = header("Authorization");
            let is_known = login.is_none_or(|login| {
                words[0] == "OPTIONS"
                    || authorization.is_some_and(|text| is_digest_right(&text, words[0], &login))
            });
            let (status, more) = match words[0] {
                _ if !is_known => (
                    "401 Unauthorized",
                    "WWW-Authenticate: Digest realm=\"camera\", nonce=\"f00d\"\r\n".into(),
                ),
                "OPTIONS" => {
                    ("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\n".into())
                }
                "DESCRIBE" => ("200 OK", describe(self.units[0].coding)),
                "SETUP" => {
                    let transport = header("Transport").unwrap_or_default();
                    let (chosen, answer) = self.set_up(&transport);
                    way = Some(chosen);
                    ("200 OK", format!("Session: 1\r\nTransport: {answer}\r\n"))
                }
                _ => ("200 OK", "Session: 1\r\n".to_owned()),
            };
            let head = format!("RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n{more}");
            let end = if words[0] == "DESCRIBE" && is_known { "" } else { "\r\n" };
            let sent = self.client.lock().expect("no panic").write_all((head + end).as_bytes());
            if sent.is_err() || words[0] == "TEARDOWN" {
                return;
            }
            if words[0] == "PLAY"
                && let Some(way) = way.take()
            {
                let (behaviour, units) = (self.behaviour.clone(), self.units.clone());
                let client = self.client.clone();
                std::thread::spawn(move || {
                    send_units(&way, &behaviour, &units);
                    let _ = client.lock().expect("no panic").shutdown(Shutdown::Both);
                });
            }
        }
    }

    /// Chooses the way, and gives the transport of the answer.
    fn set_up(&self, transport: &str) -> (Way, String) {
        let ports = transport.split(';').find_map(|part| part.strip_prefix("client_port="));
        match ports.and_then(|ports| ports.split('-').next()?.parse::<u16>().ok()) {
            Some(port) if !transport.contains("TCP") => {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
                let own = socket.local_addr().expect("an address").port();
                let answer =
                    format!("RTP/AVP;unicast;client_port={port}-{};server_port={own}-{}", port + 1, own + 1);
                (Way::Datagrams(socket, port), answer)
            }
            _ => (Way::Interleaved(self.client.clone()), "RTP/AVP/TCP;unicast;interleaved=0-1".to_owned()),
        }
    }
}

/// Reads the lines of a request, without the binary packets between requests.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        if reader.fill_buf().ok()?.first() == Some(&b'$') {
            let mut head = [0; 4];
            reader.read_exact(&mut head).ok()?;
            let mut packet = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            reader.read_exact(&mut packet).ok()?;
            continue;
        }
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" if lines.is_empty() => {}
            "" => return Some(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

/// The type of a coding's payloads.
fn payload_type(coding: Coding) -> u8 {
    if coding == Coding::Jpeg { 26 } else { 96 }
}

fn describe(coding: Coding) -> String {
    let (number, format) = match coding {
        Coding::H264 => (96, "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"),
        Coding::Hevc => (96, "a=rtpmap:96 H265/90000\r\n"),
        Coding::Jpeg => (26, "a=rtpmap:26 JPEG/90000\r\n"),
    };
    // The description states an end, as those of some cameras do.
    let body = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\na=range:npt=0-10.0\r\n\
         m=video 0 RTP/AVP {number}\r\n{format}a=control:track\r\n"
    );
    format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Sends each picture when its time has come, from the present one on.
fn send_units(way: &Way, behaviour: &Behaviour, units: &[Unit]) {
    let begun = *behaviour.begun.get_or_init(Instant::now);
    let due = |index: u64| begun + Duration::from_millis(1000 * index / FPS);
    let mut index = behaviour.position();
    let mut sequence = 7u16;
    let mut packets = 0u64;
    while let Some(unit) = units.get(index as usize) {
        std::thread::sleep(due(index).saturating_duration_since(Instant::now()));
        if behaviour.is_gone.load(Ordering::Relaxed) {
            return;
        }
        if !behaviour.is_silent.load(Ordering::Relaxed) {
            let timestamp = (index * 90_000 / FPS) as u32;
            let payloads = payloads(unit);
            let last = payloads.len() - 1;
            for (number, payload) in payloads.iter().enumerate() {
                sequence = sequence.wrapping_add(1);
                packets += 1;
                let one_of = behaviour.lose_one_of.load(Ordering::Relaxed);
                if one_of > 0 && packets.is_multiple_of(one_of) {
                    continue;
                }
                let marker = if number == last { 0x80 } else { 0 };
                let mut packet = vec![0x80, marker | payload_type(unit.coding)];
                packet.extend(sequence.to_be_bytes());
                packet.extend(timestamp.to_be_bytes());
                packet.extend([0, 0, 0, 1]);
                packet.extend(payload);
                if !way.send(&packet) {
                    return;
                }
            }
        }
        index += 1;
    }
}

impl Way {
    fn send(&self, packet: &[u8]) -> bool {
        match self {
            Self::Interleaved(client) => {
                let length = (packet.len() as u16).to_be_bytes();
                let bytes = [&[b'$', 0, length[0], length[1]], packet].concat();
                client.lock().expect("no panic").write_all(&bytes).is_ok()
            }
            Self::Datagrams(socket, port) => {
                let _ = socket.send_to(packet, ("127.0.0.1", *port));
                true
            }
        }
    }
}

/// The payloads of a picture: small parts as they are, large ones in fragments.
fn payloads(unit: &Unit) -> Vec<Vec<u8>> {
    if unit.coding == Coding::Jpeg {
        return jpeg_payloads(&unit.nals[0]);
    }
    let mut payloads = Vec::new();
    for nal in &unit.nals {
        if nal.len() <= PACKET {
            payloads.push(nal.clone());
            continue;
        }
        let (head, kind) = match unit.coding {
            Coding::Hevc => (vec![nal[0] & 0x81 | 49 << 1, nal[1]], nal[0] >> 1 & 0x3f),
            _ => (vec![nal[0] & 0x60 | 28], nal[0] & 0x1f),
        };
        let pieces: Vec<&[u8]> = nal[head.len()..].chunks(PACKET).collect();
        for (number, piece) in pieces.iter().enumerate() {
            let start = if number == 0 { 0x80 } else { 0 };
            let end = if number + 1 == pieces.len() { 0x40 } else { 0 };
            payloads.push([&head, &[start | end | kind][..], *piece].concat());
        }
    }
    payloads
}

/// The payloads of a JPEG file of 4:2:0: its scan in pieces, the first one with the tables of quantisation.
fn jpeg_payloads(file: &[u8]) -> Vec<Vec<u8>> {
    let (mut tables, mut size, mut place) = (Vec::new(), [0, 0], 2);
    let scan = loop {
        let length = usize::from(u16::from_be_bytes([file[place + 2], file[place + 3]]));
        let (marker, segment) = (file[place + 1], &file[place + 4..place + 2 + length]);
        place += 2 + length;
        match marker {
            // One table or more, each after a byte with its number.
            0xdb => segment.chunks(65).for_each(|table| tables.extend(&table[1..])),
            0xc0 => {
                assert_eq!(segment[7], 0x22, "4:2:0");
                let eighth = |at: usize| (u16::from_be_bytes([segment[at], segment[at + 1]]) / 8) as u8;
                size = [eighth(3), eighth(1)];
            }
            0xda => break &file[place..file.len() - 2],
            _ => {}
        }
    };
    let piece = |(number, piece): (usize, &[u8])| {
        let offset = (number * PACKET) as u32;
        // Type 1 is 4:2:0; 255 says that the tables follow.
        let mut payload = [&offset.to_be_bytes()[..], &[1, 255], &size].concat();
        if number == 0 {
            payload.extend([0, 0]);
            payload.extend((tables.len() as u16).to_be_bytes());
            payload.extend(&tables);
        }
        payload.extend(piece);
        payload
    };
    scan.chunks(PACKET).enumerate().map(piece).collect()
}

/// RFC 2617 without `qop`.
fn is_digest_right(authorization: &str, method: &str, (user, password): &(String, String)) -> bool {
    let field = |name: &str| {
        let (_, rest) = authorization.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let (Some(name), Some(uri), Some(response)) = (field("username"), field("uri"), field("response")) else {
        return false;
    };
    let who = md5(&format!("{user}:camera:{password}"));
    let what = md5(&format!("{method}:{uri}"));
    name == *user && response == md5(&format!("{who}:f00d:{what}"))
}

fn md5(text: &str) -> String {
    let mut child = Command::new("md5sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("coreutils have md5sum");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned()
}
