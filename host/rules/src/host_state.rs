//! The host's side of one instance: everything that its guest can reach.

use super::call_policy::CallPolicy;
use super::frame::{FrameContext, FrameFacts};
use super::limits::{MemoryGuard, presentable};
use super::rule_log::RuleLog;
use super::rule_state::{RuleState, StateChanges, StateTransaction};
use super::stderr_buffer::StderrBuffer;
use super::wasi_http::{HttpClient, http_context};
use everyframe_types::face::{Embedding, RecentStranger};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The data of a wasmtime store. A fresh one for each call, unless the rule's instances are reused.
pub(super) struct HostState {
    pub(super) context: FrameContext,
    pub(super) state: StateTransaction,
    pub(super) log: RuleLog,
    pub(super) guard: MemoryGuard,
    /// Faces whose embedding the guest requested and that have none.
    pub(super) missing_embeddings: Vec<u32>,
    pub(super) http_client: HttpClient,
    /// The guest's wall clock: the frame's time, Unix milliseconds.
    clock: Arc<AtomicI64>,
    stderr: StderrBuffer,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

impl HostState {
    /// # Errors
    ///
    /// The granted folder cannot be opened. The call cannot be made; the rule is not at fault.
    pub(super) fn new(
        policy: &CallPolicy,
        frame: &FrameFacts<'_>,
        context: &FrameContext,
        state: &RuleState,
    ) -> Result<Self, String> {
        let CallPolicy { rule, limits, grants, log_sink } = policy;
        let stderr = StderrBuffer::default();
        let clock = Arc::new(AtomicI64::new(frame.captured_at));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        Ok(Self {
            context: context.clone(),
            state: state.begin(rule, frame.camera, limits.state_bytes, frame.captured_at),
            log: RuleLog::new(rule, frame, limits, log_sink),
            guard: MemoryGuard::new(limits),
            missing_embeddings: Vec::new(),
            http_client: HttpClient::new(&grants.hosts, limits.http_requests),
            wasi: grants.build_wasi(rule, frame, &clock, stderr.clone())?,
            clock,
            http: http_context(),
            stderr,
            table,
        })
    }

    /// The embedding of a face, for the guest. Records a face that has none.
    pub(super) fn embedding(&mut self, face: u32) -> Option<&Embedding> {
        let embedding = self.context.embedding(face);
        // Only faces of the frame are recorded: a guest may request any number, any number of times.
        if embedding.is_none() && self.context.has_face(face) && !self.missing_embeddings.contains(&face) {
            self.missing_embeddings.push(face);
        }
        embedding
    }

    /// The strangers of all cameras most similar to a face, for the guest. Records a face without embedding.
    pub(super) fn recent_strangers(&mut self, face: u32, count: usize) -> Vec<RecentStranger> {
        let now = self.state.now();
        let Some(embedding) = self.embedding(face).cloned() else { return Vec::new() };
        self.context.people().recent_strangers(&embedding, count, now)
    }

    /// At most `bytes` bytes of the guest's standard error, without control characters.
    pub(super) fn stderr(&self, bytes: usize) -> String {
        presentable(&String::from_utf8_lossy(&self.stderr.bytes()), bytes)
    }

    /// Takes the state that the call changed.
    pub(super) fn take_changes(&mut self, rule: &str) -> StateChanges {
        std::mem::take(&mut self.state).into_changes(rule)
    }

    /// Drops everything of the last frame, before the instance waits in its pool.
    pub(super) fn detach_frame(&mut self) {
        self.log.report_dropped();
        self.context = FrameContext::empty();
        self.stderr.clear();
        self.missing_embeddings.clear();
    }

    /// Prepares a reused instance for another frame.
    pub(super) fn attach_frame(
        &mut self,
        policy: &CallPolicy,
        frame: &FrameFacts<'_>,
        context: &FrameContext,
        state: &RuleState,
    ) {
        let CallPolicy { rule, limits, grants, log_sink } = policy;
        self.context = context.clone();
        self.state = state.begin(rule, frame.camera, limits.state_bytes, frame.captured_at);
        self.log = RuleLog::new(rule, frame, limits, log_sink);
        self.http_client = HttpClient::new(&grants.hosts, limits.http_requests);
        self.clock.store(frame.captured_at, Ordering::Relaxed);
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.http_client, table: &mut self.table, ctx: &mut self.http }
    }
}
