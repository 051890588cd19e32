//! WASI for one call: empty, except for the rule's grants.

use super::frame::FrameFacts;
use super::limits::RANDOM_BYTES;
use super::wasi_http::GrantedHosts;
use everyframe_config::Grants;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use wasmtime_wasi::cli::StdoutStream;
use wasmtime_wasi::{Deterministic, FsPerms, HostWallClock, WasiCtx};

/// A rule's grants, prepared once. No `Debug`: the environment holds secrets.
pub(super) struct WasiGrants {
    environment: Vec<(String, String)>,
    folder: Option<PathBuf>,
    pub(super) hosts: GrantedHosts,
}

impl WasiGrants {
    /// # Errors
    ///
    /// What is wrong with `grants.http`.
    pub(super) fn new(grants: &Grants) -> Result<Self, String> {
        let environment = grants.environment.iter();
        Ok(Self {
            environment: environment.map(|(name, value)| (name.clone(), value.text().to_owned())).collect(),
            folder: grants.folder.clone(),
            hosts: GrantedHosts::parse(grants)?,
        })
    }

    /// Builds WASI for one call. Clock and random numbers are functions of the rule and the frame, so that a replay gives the
    /// same answers. They are not suited for secrets.
    ///
    /// # Errors
    ///
    /// The granted folder cannot be opened.
    pub(super) fn build_wasi(
        &self,
        rule: &str,
        frame: &FrameFacts<'_>,
        clock: &Arc<AtomicI64>,
        stderr: impl StdoutStream + 'static,
    ) -> Result<WasiCtx, String> {
        // `DefaultHasher::new` has fixed keys. Another Rust release may hash differently: replays are comparable only within
        // one release of the host.
        let mut hasher = DefaultHasher::new();
        (rule, frame.camera, frame.session, frame.sequence, frame.captured_at).hash(&mut hasher);
        let mut seed = SplitMix(hasher.finish());
        let insecure_seed = u128::from(seed.next()) << 64 | u128::from(seed.next());
        let mut wasi = WasiCtx::builder();
        wasi.stderr(stderr)
            .envs(&self.environment)
            .wall_clock(FrameClock(clock.clone()))
            .secure_random(Deterministic::new(seed.bytes()))
            .insecure_random(Deterministic::new(seed.bytes()))
            .insecure_random_seed(insecure_seed)
            .max_random_size(RANDOM_BYTES)
            .allow_tcp(false)
            .allow_udp(false);
        if let Some(folder) = &self.folder {
            wasi.preopened_dir(folder, "/", FsPerms::ReadOnly).map_err(|error| {
                format!("the granted folder {} cannot be opened: {error}", folder.display())
            })?;
        }
        Ok(wasi.build())
    }
}

/// A pseudorandom generator. Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 512 bytes, after which the guest gets the same sequence again.
    fn bytes(&mut self) -> Vec<u8> {
        (0..64).flat_map(|_| self.next().to_le_bytes()).collect()
    }
}

/// The frame's time. It does not advance during a call.
struct FrameClock(Arc<AtomicI64>);

impl HostWallClock for FrameClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0))
    }
}
