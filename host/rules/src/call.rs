//! One call: all that an instance can reach, made for the call and thrown away after it.

use super::FrameFacts;
use super::http::{Caller, context};
use super::limits::{Guard, STDERR_BYTES, presentable};
use super::load::RuleReady;
use super::log_rate::LogRate;
use super::rule_state::{Changes, RuleState, StateTransaction};
use everyframe_config::Limits;
use everyframe_types::face::{Embedding, Face, People};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// What every rule of one frame is given; made once for the frame.
#[derive(Clone)]
pub(super) struct FrameContext {
    /// By `face.index`.
    embeddings: Arc<[(u32, Option<Embedding>)]>,
    people: Arc<dyn People>,
}

impl FrameContext {
    pub(super) fn new(faces: &[Face], people: &Arc<dyn People>) -> Self {
        let embeddings = faces.iter().map(|face| (face.index, face.embedding.clone())).collect();
        Self { embeddings, people: Arc::clone(people) }
    }

    /// No faces, nobody enrolled: for the calls made when rules are loaded.
    pub(super) fn empty() -> Self {
        struct Nobody;
        impl People for Nobody {
            fn find(&self, _: &str) -> Option<everyframe_types::face::Person> {
                None
            }
        }
        Self { embeddings: Arc::new([]), people: Arc::new(Nobody) }
    }

    pub(super) fn embedding(&self, face: u32) -> Option<&Embedding> {
        self.embeddings.iter().find(|(index, _)| *index == face)?.1.as_ref()
    }

    fn has(&self, face: u32) -> bool {
        self.embeddings.iter().any(|(index, _)| *index == face)
    }

    pub(super) fn people(&self) -> &dyn People {
        &*self.people
    }
}

/// The data of a call's store.
pub(super) struct Call {
    pub(super) scene: FrameContext,
    pub(super) state: StateTransaction,
    pub(super) log: Log,
    pub(super) guard: Guard,
    /// Faces whose embedding the guest asked for, and which have none.
    pub(super) missed: Vec<u32>,
    /// The frame's time, which is the guest's.
    clock: Arc<AtomicI64>,
    stderr: Stderr,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(super) caller: Caller,
    table: ResourceTable,
}

impl Call {
    /// # Errors
    ///
    /// What the rule is granted is not there.
    pub(super) fn new(
        rule: &RuleReady,
        frame: &FrameFacts<'_>,
        scene: &FrameContext,
        memory: &RuleState,
    ) -> Result<Self, String> {
        let (name, limits, granted) = (&rule.name, &rule.limits, &rule.granted);
        let stderr = Stderr::default();
        let clock = Arc::new(AtomicI64::new(frame.captured_at));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        Ok(Self {
            scene: scene.clone(),
            state: memory.open(name, frame.camera, limits.state_bytes, frame.captured_at),
            log: Log::new(&rule.name, frame, &rule.limits, &rule.logs),
            guard: Guard::new(limits),
            missed: Vec::new(),
            wasi: granted.wasi(name, frame, &clock, stderr.clone())?,
            clock,
            http: context(),
            caller: Caller::new(&granted.hosts, limits.http_requests),
            stderr,
            table,
        })
    }

    /// A face's embedding, for the guest.
    pub(super) fn embedding(&mut self, face: u32) -> Option<&Embedding> {
        // Only of faces that there are: a guest may ask for any number, any number of times.
        if self.scene.has(face) && self.scene.embedding(face).is_none() && !self.missed.contains(&face) {
            self.missed.push(face);
        }
        self.scene.embedding(face)
    }

    /// What the guest wrote to its standard error, made presentable.
    pub(super) fn stderr(&self, bytes: usize) -> String {
        presentable(&String::from_utf8_lossy(&self.stderr.kept()), bytes)
    }

    /// What it keeps.
    pub(super) fn close(&mut self, rule: &str) -> Changes {
        std::mem::take(&mut self.state).close(rule)
    }

    /// For an instance that stays: lets go of what was the last frame's.
    pub(super) fn rest(&mut self) {
        self.log.finish();
        self.scene = FrameContext::empty();
        self.stderr.forget();
        self.missed.clear();
    }

    /// For an instance that stayed: it is asked about another frame.
    pub(super) fn renew(
        &mut self,
        rule: &RuleReady,
        frame: &FrameFacts<'_>,
        scene: &FrameContext,
        memory: &RuleState,
    ) {
        let limits = &rule.limits;
        self.scene = scene.clone();
        self.state = memory.open(&rule.name, frame.camera, limits.state_bytes, frame.captured_at);
        self.log = Log::new(&rule.name, frame, &rule.limits, &rule.logs);
        self.caller = Caller::new(&rule.granted.hosts, limits.http_requests);
        self.clock.store(frame.captured_at, Ordering::Relaxed);
    }
}

impl WasiView for Call {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Call {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.caller, table: &mut self.table, ctx: &mut self.http }
    }
}

/// The lines that a rule logs, on their way to the operator.
pub(super) struct Log {
    rule: String,
    camera: String,
    session: String,
    sequence: u64,
    left: usize,
    line_bytes: usize,
    rate: Arc<LogRate>,
    dropped: u64,
}

impl Log {
    fn new(rule: &str, frame: &FrameFacts<'_>, limits: &Limits, rate: &Arc<LogRate>) -> Self {
        Self {
            rule: rule.to_owned(),
            camera: frame.camera.to_owned(),
            session: frame.session.to_owned(),
            sequence: frame.sequence,
            left: limits.log_lines,
            line_bytes: limits.log_line_bytes,
            rate: rate.clone(),
            dropped: 0,
        }
    }

    /// Lines that were not logged.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn write(&mut self, level: tracing::Level, message: &str) {
        if self.left == 0 || !self.rate.may(Instant::now()) {
            self.dropped += 1;
            return;
        }
        self.left -= 1;
        let message = presentable(message, self.line_bytes);
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

    /// Tells of the lines that were dropped.
    fn finish(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 && self.rate.notices.may(Instant::now()).is_some() {
            let Self { rule, camera, session, sequence, .. } = self;
            tracing::warn!(
                target: "everyframe::rule", %rule, %camera, %session, sequence,
                "{dropped} more lines were not logged: the rule's `limits.log_lines` or `limits.log_rate` is used up"
            );
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.finish();
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

    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
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
            let limits = Limits { log_lines: 2, log_line_bytes: 500, ..Limits::default() };
            let mut log = Log::new("policy", &facts(7), &limits, &Arc::new(LogRate::new(100)));
            log.write(tracing::Level::INFO, "first\x1b[2J\nsecond line?");
            log.write(tracing::Level::DEBUG, &"x".repeat(5000));
            log.write(tracing::Level::ERROR, "too much");
            log.write(tracing::Level::ERROR, "too much");
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("first [2J second line?") && lines[0].contains("rule=policy"), "{text}");
        assert!(lines[0].contains("camera=gate") && lines[0].contains("sequence=7"), "{text}");
        assert!(lines[1].len() < 700 && lines[2].contains("2 more lines"), "{text}");
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
