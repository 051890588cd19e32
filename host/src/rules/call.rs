//! One call: all that an instance can reach, made for the call and thrown away after it.

use super::limits::{Guard, LOG_LINE_BYTES, RANDOM_BYTES, RESOURCES, STDERR_BYTES, presentable};
use super::memory::{Changes, Memory, Notebook};
use super::{FrameFacts, People};
use crate::config::Limits;
use crate::face::{Embedding, Face};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{Deterministic, HostWallClock, WasiCtx, WasiCtxView, WasiView};

/// What every rule of one frame is given; made once for the frame.
#[derive(Clone)]
pub(super) struct Scene {
    /// By `face.index`.
    embeddings: Arc<[(u32, Option<Embedding>)]>,
    people: Arc<dyn People>,
}

impl Scene {
    pub(super) fn new(faces: &[Face], people: &Arc<dyn People>) -> Self {
        let embeddings = faces.iter().map(|face| (face.index, face.embedding.clone())).collect();
        Self { embeddings, people: Arc::clone(people) }
    }

    /// No faces, nobody enrolled: for the calls made when rules are loaded.
    pub(super) fn empty() -> Self {
        struct Nobody;
        impl People for Nobody {
            fn find(&self, _: &str) -> Option<super::Person> {
                None
            }
        }
        Self { embeddings: Arc::new([]), people: Arc::new(Nobody) }
    }

    pub(super) fn embedding(&self, face: u32) -> Option<&Embedding> {
        self.embeddings.iter().find(|(index, _)| *index == face)?.1.as_ref()
    }

    pub(super) fn people(&self) -> &dyn People {
        &*self.people
    }
}

/// The data of a call's store.
pub(super) struct Call {
    pub(super) scene: Scene,
    pub(super) state: Notebook,
    pub(super) log: Log,
    pub(super) guard: Guard,
    stderr: Stderr,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Call {
    pub(super) fn new(
        rule: &str,
        limits: &Limits,
        frame: &FrameFacts<'_>,
        scene: &Scene,
        memory: &Memory,
    ) -> Self {
        let stderr = Stderr::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Self {
            scene: scene.clone(),
            state: memory.open(rule, frame.camera, limits.state_bytes, frame.captured_at),
            log: Log::new(rule, frame, limits.log_lines),
            guard: Guard::new(limits),
            wasi: sandbox(rule, frame, &stderr),
            stderr,
            table,
        }
    }

    /// What the guest wrote to its standard error, made presentable.
    pub(super) fn stderr(&self, bytes: usize) -> String {
        presentable(&String::from_utf8_lossy(&self.stderr.kept()), bytes)
    }

    pub(super) fn close(self, rule: &str) -> Changes {
        self.state.close(rule)
    }
}

impl WasiView for Call {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// WASI with nothing granted. Clock and random numbers are functions of rule and frame, so that a replay
/// gives the same answers: they are not for secrets.
fn sandbox(rule: &str, frame: &FrameFacts<'_>, stderr: &Stderr) -> WasiCtx {
    // `DefaultHasher::new` has fixed keys; another Rust release may hash otherwise, as a replay with
    // another release of the host may.
    let mut hasher = DefaultHasher::new();
    (rule, frame.camera, frame.session, frame.sequence, frame.captured_at).hash(&mut hasher);
    let mut seed = SplitMix(hasher.finish());
    let insecure_seed = u128::from(seed.next()) << 64 | u128::from(seed.next());
    WasiCtx::builder()
        .stderr(stderr.clone())
        .wall_clock(FrameClock(frame.captured_at))
        .secure_random(Deterministic::new(seed.bytes()))
        .insecure_random(Deterministic::new(seed.bytes()))
        .insecure_random_seed(insecure_seed)
        .max_random_size(RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 512 bytes: sixteen UUIDs before the cycle begins again.
    fn bytes(&mut self) -> Vec<u8> {
        (0..64).flat_map(|_| self.next().to_le_bytes()).collect()
    }
}

/// The frame's time; it stands still during a call.
struct FrameClock(i64);

impl HostWallClock for FrameClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

/// The lines that a rule logs, on their way to the operator.
pub(super) struct Log {
    rule: String,
    camera: String,
    session: String,
    sequence: u64,
    left: usize,
    dropped: u64,
}

impl Log {
    fn new(rule: &str, frame: &FrameFacts<'_>, lines: usize) -> Self {
        Self {
            rule: rule.to_owned(),
            camera: frame.camera.to_owned(),
            session: frame.session.to_owned(),
            sequence: frame.sequence,
            left: lines,
            dropped: 0,
        }
    }

    /// Lines that were not logged.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn write(&mut self, level: tracing::Level, message: &str) {
        if self.left == 0 {
            self.dropped += 1;
            return;
        }
        self.left -= 1;
        let message = presentable(message, LOG_LINE_BYTES);
        let Self { rule, camera, session, sequence, .. } = self;
        // The level of a tracing event is part of its call site, hence the four sites.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(target: "everyframe::rule", %rule, %camera, %session, sequence, "{message}")
            };
        }
        match level {
            tracing::Level::ERROR => line!(error),
            tracing::Level::WARN => line!(warn),
            tracing::Level::INFO => line!(info),
            _ => line!(debug),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.dropped > 0 {
            let Self { rule, camera, session, sequence, dropped, .. } = self;
            tracing::warn!(
                target: "everyframe::rule", %rule, %camera, %session, sequence,
                "{dropped} more lines were not logged: the rule's `limits.log_lines` is used up"
            );
        }
    }
}

/// A guest's standard error: the beginning is kept, the rest swallowed. (wasmtime's own in-memory pipe
/// fails when it is full, and Rust guests panic on that.)
#[derive(Clone, Default)]
struct Stderr(Arc<Mutex<Vec<u8>>>);

impl Stderr {
    fn kept(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl IsTerminal for Stderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stderr {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Asked for by WASI p1 and p3 only, which are not linked.
        Box::new(MemoryOutputPipe::new(STDERR_BYTES))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Stderr {
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
impl Pollable for Stderr {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::facts;
    use super::*;

    /// What a subscriber at level DEBUG writes while `f` runs.
    fn written(f: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::default();
        let writer = sink.clone();
        tracing::subscriber::with_default(
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::DEBUG)
                .with_writer(move || writer.clone())
                .finish(),
            f,
        );
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_rule_logs_so_many_lines_and_no_escapes() {
        let text = written(|| {
            let mut log = Log::new("policy", &facts(7), 2);
            log.write(tracing::Level::INFO, "first\x1b[2J\nsecond line?");
            log.write(tracing::Level::DEBUG, &"x".repeat(5000));
            log.write(tracing::Level::ERROR, "too much");
            log.write(tracing::Level::ERROR, "too much");
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("first [2J second line?") && lines[0].contains("rule=policy"), "{text}");
        assert!(lines[0].contains("camera=gate") && lines[0].contains("sequence=7"), "{text}");
        assert!(lines[1].len() < 1300 && lines[2].contains("2 more lines"), "{text}");
    }

    #[test]
    fn standard_error_keeps_its_beginning_and_never_fails() {
        let stderr = Stderr::default();
        for _ in 0..10 {
            stderr.clone().write(bytes::Bytes::from(vec![b'x'; 1000])).unwrap();
        }
        assert_eq!(stderr.kept().len(), STDERR_BYTES);
    }
}
