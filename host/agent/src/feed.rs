//! The feed: the thread that connects to an address, reads its packets as they come, and connects again.
//!
//! It takes the time of each packet when it arrives, whatever the agent is doing. What it read waits in a queue of bounded size.

use super::address::SourceAddress;
use super::decoder::Decoder;
use super::encoded::has_jpeg_end;
use super::fault::Fault;
use super::ffmpeg::{Input, Packet};
use super::multipart::{MAX_PART, PartReader, find_boundary};
use super::options::SourceOptions;
use super::protocol::Protocol;
use everyframe_config::SlowPolicy;
use everyframe_types::machine::unix_ms;
use everyframe_vision::{PictureError, check_header};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Pauses between attempts to connect, seconds; the last one is repeated.
const RECONNECT_PAUSES: [u64; 4] = [1, 2, 5, 10];
/// The most bytes, and the most packets, that wait for the agent.
const QUEUE_BYTES: usize = 16 << 20;
const QUEUE_PACKETS: usize = 300;
/// How often a waiting thread looks whether it is to stop.
const CHECK: Duration = Duration::from_millis(50);
/// Bytes of the longest signature of a picture, which is that of WebP.
const SIGNATURE_BYTES: usize = 12;
/// The end of a JPEG, and the start of the next one.
const NEXT_JPEG: &[u8] = b"\xff\xd9\xff\xd8\xff";
/// Bytes of a snapshot that are read at once.
const READ_BYTES: usize = 64 << 10;

/// The kind of an open address.
pub(super) struct Opened {
    /// True for a camera or a stream, false for something with an end.
    pub is_live: bool,
    /// Pictures per second, if it states them.
    pub rate: Option<f64>,
    /// What is there: `h264`, `mjpeg`, `JPEG parts`, `snapshots`.
    pub codec: String,
    /// Decodes its packets; none for pictures that are JPEG already.
    pub decoder: Option<Decoder>,
}

/// What happened, in order.
pub(super) enum Event {
    /// The address answers.
    Opened(Opened),
    /// A packet for the decoder, or with a JPEG picture; and when it arrived, Unix microseconds.
    Packet(Packet, i64),
    /// A picture that is encoded already.
    Picture {
        bytes: Vec<u8>,
        /// When it began to arrive, Unix milliseconds.
        arrived: i64,
        /// False if some of it did not come.
        is_complete: bool,
    },
    /// The connection ended, or could not be made. The feed tries again, unless `is_final`.
    Lost { fault: Fault, is_final: bool },
}

impl Event {
    fn size(&self) -> usize {
        match self {
            Self::Packet(packet, _) => packet.bytes().len(),
            Self::Picture { bytes, .. } => bytes.len(),
            Self::Opened(_) | Self::Lost { .. } => 0,
        }
    }

    /// True if nothing before it is needed to show it.
    fn is_key(&self) -> bool {
        match self {
            Self::Packet(packet, _) => packet.is_key,
            _ => true,
        }
    }

    fn is_content(&self) -> bool {
        matches!(self, Self::Packet(..) | Self::Picture { .. })
    }
}

/// The events that wait.
#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    /// Set while packets are dropped until the next one that needs none before.
    is_dropping: bool,
    dropped: u64,
}

impl Queue {
    fn is_full(&self) -> bool {
        self.bytes >= QUEUE_BYTES || self.events.len() >= QUEUE_PACKETS
    }

    fn has_room_again(&self) -> bool {
        self.bytes < QUEUE_BYTES / 2 && self.events.len() < QUEUE_PACKETS / 2
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The feed of one address. Dropping it ends its thread soon, without waiting for it.
pub(super) struct Feed {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
}

impl Feed {
    /// Starts to connect.
    ///
    /// # Errors
    ///
    /// The operating system cannot start a thread.
    pub fn start(address: &SourceAddress, options: &SourceOptions) -> std::io::Result<Self> {
        let (shared, stop) = (Arc::new(Shared::default()), Arc::new(AtomicBool::new(false)));
        let worker = Worker {
            address: address.clone(),
            options: options.clone(),
            shared: shared.clone(),
            stop: stop.clone(),
            is_live: options.may_be_live(address),
            has_read: false,
        };
        // Not joined: a name that cannot be resolved may block it for longer than an agent may take to end.
        std::thread::Builder::new().name("feed".into()).spawn(move || worker.run())?;
        Ok(Self { shared, stop })
    }

    /// The next event; none if there was none within `wait`.
    pub fn next(&self, wait: Duration) -> Option<Event> {
        let until = Instant::now() + wait;
        let mut queue = self.shared.lock();
        loop {
            if let Some(event) = queue.events.pop_front() {
                queue.bytes -= event.size();
                self.shared.changed.notify_all();
                return Some(event);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            queue = self.shared.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The number of events that wait, and the number of packets that were dropped because too many did.
    pub fn backlog(&self) -> (usize, u64) {
        let queue = self.shared.lock();
        (queue.events.len(), queue.dropped)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
    }
}

struct Worker {
    address: SourceAddress,
    options: SourceOptions,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    /// True if it is known, or presumed, to be a camera.
    is_live: bool,
    /// True if anything came over the present connection.
    has_read: bool,
}

impl Worker {
    fn run(mut self) {
        let mut attempt = 0;
        while !self.is_stopped() {
            self.has_read = false;
            // Returns only when there is no more.
            let Err(fault) = self.read_connection() else { return };
            if fault == Fault::Stopped {
                return;
            }
            if self.has_read {
                attempt = 0;
            }
            let is_final = !self.is_live;
            self.push(Event::Lost { fault, is_final });
            if is_final {
                return;
            }
            let pause = RECONNECT_PAUSES.get(attempt).or(RECONNECT_PAUSES.last()).copied().unwrap_or(1);
            self.pause(Duration::from_secs(pause));
            attempt += 1;
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_stopped() && Instant::now() < until {
            std::thread::sleep(CHECK.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Connects, and reads until the connection ends.
    fn read_connection(&mut self) -> Result<(), Fault> {
        let mut input = Input::new(&self.stop)?;
        let timeout = self.options.connect_timeout;
        match self.address.protocol(self.options.transport) {
            protocol @ (Protocol::Rtsp(_) | Protocol::Device) => {
                input.open(self.address.device_or_text().as_bytes(), protocol, true, timeout)?;
                self.read_video(input)
            }
            _ if self.address.is_http() => self.read_answer(input),
            protocol => {
                input.open(self.address.text().as_bytes(), protocol, false, timeout)?;
                self.is_live = !input.has_length();
                self.read_video(input)
            }
        }
    }

    /// Reads what a web server answers: parts, a single picture, or a video.
    fn read_answer(&mut self, mut input: Input) -> Result<(), Fault> {
        let timeout = self.options.connect_timeout;
        input.connect(&self.address, timeout)?;
        let (content_type, length) = input.content();
        if let Some(boundary) = find_boundary(&content_type) {
            return self.read_parts(input, boundary);
        }
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if matches!(kind.as_str(), "image/jpeg" | "image/jpg" | "image/png" | "image/webp") {
            return self.read_snapshots(input, length);
        }
        // Some cameras send pictures with another content type, or with none.
        if !kind.starts_with("video/") && self.may_begin_picture(&mut input)? {
            let is_picture = self.is_single_picture(&mut input, length)?;
            input = Input::new(&self.stop)?;
            input.connect(&self.address, timeout)?;
            if is_picture {
                let length = input.content().1;
                return self.read_snapshots(input, length);
            }
        }
        input.open(self.address.text().as_bytes(), Protocol::Network, false, timeout)?;
        self.is_live = self.options.is_camera || length.is_none() && !input.has_length();
        self.read_video(input)
    }

    /// True if the answer begins like a picture, as far as its first bytes show.
    fn may_begin_picture(&self, input: &mut Input) -> Result<bool, Fault> {
        let mut first = [0; SIGNATURE_BYTES];
        match input.peek(&mut first, self.options.read_timeout) {
            Ok(count) => Ok(may_be_picture(&first[..count])),
            Err(Fault::Ended) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Reads the answer until it is known whether it is a single picture. If another JPEG follows the first, it is a video.
    fn is_single_picture(&self, input: &mut Input, length: Option<u64>) -> Result<bool, Fault> {
        let is_video = |bytes: &[u8], from: usize| {
            let from = from.saturating_sub(NEXT_JPEG.len());
            !may_be_picture(bytes) || bytes[from..].windows(NEXT_JPEG.len()).any(|window| window == NEXT_JPEG)
        };
        let (bytes, _) = self.read_snapshot(input, length, is_video)?;
        Ok(!is_video(&bytes, 0))
    }

    fn read_video(&mut self, mut input: Input) -> Result<(), Fault> {
        let decoder = if input.is_jpeg() { None } else { Some(Decoder::new(&input, self.options.device)?) };
        self.push(Event::Opened(Opened {
            is_live: self.is_live,
            rate: input.rate(),
            codec: input.codec(),
            decoder,
        }));
        let mut last = Instant::now();
        loop {
            let left = self.options.read_timeout.saturating_sub(last.elapsed());
            match input.read_packet(left)? {
                Some(packet) => {
                    let arrived = unix_us();
                    self.has_read = true;
                    self.push(Event::Packet(packet, arrived));
                    last = Instant::now();
                }
                None if left.is_zero() => return Err(Fault::TimedOut),
                None => self.pause(Duration::from_millis(5)),
            }
        }
    }

    fn read_parts(&mut self, mut input: Input, boundary: Vec<u8>) -> Result<(), Fault> {
        self.is_live = true;
        self.push_encoded("JPEG parts", None);
        let timeout = self.options.read_timeout;
        let mut reader =
            PartReader::new(boundary, timeout, move |bytes: &mut [u8]| input.read(bytes, timeout));
        loop {
            let part = reader.next_part()?;
            self.has_read = true;
            self.push(Event::Picture {
                bytes: part.bytes,
                arrived: part.arrived,
                is_complete: part.is_complete,
            });
        }
    }

    /// Reads a picture, and asks for the next one when it is due.
    fn read_snapshots(&mut self, mut input: Input, mut length: Option<u64>) -> Result<(), Fault> {
        self.is_live = true;
        let step = Duration::from_secs_f64(1.0 / self.options.snapshot_rate());
        self.push_encoded("snapshots", Some(self.options.snapshot_rate()));
        let mut due = Instant::now();
        loop {
            let arrived = unix_ms();
            let (bytes, is_complete) = self.read_snapshot(&mut input, length, |_, _| false)?;
            self.has_read = true;
            self.push(Event::Picture { bytes, arrived, is_complete });
            due = (due + step).max(Instant::now());
            self.pause(due.saturating_duration_since(Instant::now()));
            if self.is_stopped() {
                return Err(Fault::Stopped);
            }
            input = Input::new(&self.stop)?;
            input.connect(&self.address, self.options.connect_timeout)?;
            length = input.content().1;
        }
    }

    /// Reads a picture, and whether it is complete. It stops when `is_enough`, which gets the bytes so far and the index of
    /// the first new one.
    fn read_snapshot(
        &self,
        input: &mut Input,
        length: Option<u64>,
        is_enough: impl Fn(&[u8], usize) -> bool,
    ) -> Result<(Vec<u8>, bool), Fault> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let before = bytes.len();
            match input.read(&mut buffer, self.options.read_timeout) {
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(Fault::Ended) => break,
                // The rest did not come.
                Err(Fault::Other(_) | Fault::Unreachable) if !bytes.is_empty() => break,
                Err(Fault::TimedOut) if has_jpeg_end(&bytes) => break,
                Err(fault) => return Err(fault),
            }
            if bytes.len() > MAX_PART {
                return Err(Fault::Other(format!("a picture of more than {MAX_PART} bytes")));
            }
            if is_enough(&bytes, before) || length.is_some_and(|length| bytes.len() as u64 >= length) {
                break;
            }
        }
        // Some cameras state a length that is too large.
        let is_complete = has_jpeg_end(&bytes) || length.is_none_or(|length| bytes.len() as u64 == length);
        Ok((bytes, is_complete))
    }

    fn push_encoded(&self, codec: &str, rate: Option<f64>) {
        let opened = Opened { is_live: true, rate, codec: codec.into(), decoder: None };
        self.push(Event::Opened(opened));
    }

    /// Adds an event to the queue. If it is full: waits for room, or drops packets of a camera, by the settings.
    fn push(&self, event: Event) {
        let may_drop = self.is_live && self.options.slow == SlowPolicy::Drop && event.is_content();
        let mut queue = self.shared.lock();
        if may_drop {
            queue.is_dropping |= queue.is_full();
            if queue.is_dropping {
                if !(event.is_key() && queue.has_room_again()) {
                    queue.dropped += 1;
                    return;
                }
                queue.is_dropping = false;
            }
        }
        while event.is_content() && queue.is_full() && !self.is_stopped() {
            queue = self.shared.changed.wait_timeout(queue, CHECK).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.bytes += event.size();
        queue.events.push_back(event);
        self.shared.changed.notify_all();
    }
}

/// True if bytes may be the first ones of a picture.
fn may_be_picture(bytes: &[u8]) -> bool {
    const WEBP: &[u8] = b"RIFF";
    let may_be_webp =
        bytes.len() < SIGNATURE_BYTES && bytes.iter().zip(WEBP).all(|(byte, expected)| byte == expected);
    may_be_webp || !matches!(check_header(bytes), Err(PictureError::Empty | PictureError::NotAPicture))
}

/// The present Unix time, microseconds.
pub(super) fn unix_us() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
