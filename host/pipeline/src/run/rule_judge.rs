//! Judges a frame: searches the gallery for its faces and evaluates the active rules.

use super::active_rules::ActiveRules;
use super::judge::{Judge, LaneMemory};
use super::prepared::{Prepared, Ready, guarded};
use crate::erasure::Traces;
use crate::intake::forget_cameras;
use crate::observe::Metrics;
use crate::publish::Outcome;
use arc_swap::ArcSwap;
use everyframe_config::Config;
use everyframe_gallery::{Erasures, Gallery, Index, StrangerIndex, Strangers};
use everyframe_rules::{FrameFacts, RuleFailure};
use everyframe_telemetry::cpu_timer::CpuTimer;
use everyframe_types::dead_letter::{Parked, Stage};
use everyframe_types::event::Timings;
use everyframe_types::face::{Embedding, People, Person, RecentStranger};
use everyframe_types::frame::Frame;
use everyframe_types::judgement::{Decision, Judgement, Subject};
use everyframe_vision::EmbeddingCache;
use std::sync::Arc;
use std::time::Duration;

/// The gallery, the strangers and the active rules of a host.
pub(super) struct RuleJudge {
    pub config: Config,
    pub gallery: Gallery,
    pub strangers: Strangers,
    pub active_rules: ArcSwap<ActiveRules>,
    pub metrics: Arc<Metrics>,
}

/// The gallery and the strangers at one moment: what rules look up while they judge a frame. Strangers who were erased are not
/// there, also if the topic brings a record of one again.
struct KnownFaces {
    index: Arc<Index>,
    strangers: Arc<StrangerIndex>,
    erasures: Arc<Erasures>,
}

impl People for KnownFaces {
    fn find(&self, person: &str) -> Option<Person> {
        self.index.find(person)
    }

    fn recent_strangers(&self, face: &Embedding, count: usize, now: i64) -> Vec<RecentStranger> {
        let mut found = self.strangers.find(face, count, now);
        found.retain(|stranger| !self.erasures.has_stranger(&stranger.id));
        found
    }

    fn merged_into(&self, stranger: &str) -> Option<String> {
        let present = self.strangers.merged_into(stranger);
        present.filter(|present| !self.erasures.has_stranger(present)).map(str::to_owned)
    }

    fn changed_at(&self, stranger: &str) -> Option<i64> {
        self.strangers.changed_at(stranger)
    }

    fn is_erased(&self, stranger: &str) -> bool {
        self.erasures.has_stranger(stranger)
    }
}

impl Judge for RuleJudge {
    fn judge(&self, ready: &Ready, memory: &mut LaneMemory) -> Result<Outcome, RuleFailure> {
        if let Some(alert) = ready.frame.host_alert() {
            self.metrics.alert_raised(alert.severity);
        }
        if !ready.frame.is_frame() {
            return Ok(Outcome::RefusalNotice);
        }
        let judged = match &ready.prepared {
            Ok(prepared) => guarded(|| Ok(self.judge_prepared(&ready.frame, prepared, memory))),
            Err(parked) => Err(parked.clone()),
        };
        let outcome = judged.unwrap_or_else(|parked| Ok(Outcome::Parked(parked)))?;
        match &outcome {
            Outcome::Judged { judgement, timings, .. } => {
                self.metrics.frame_judged(judgement, timings);
                if let Ok(prepared) = &ready.prepared {
                    let (search, shadow) = prepared.search();
                    self.metrics.frame_searched(search, shadow);
                }
            }
            Outcome::Parked(Parked { stage, reason, message }) => {
                self.metrics.frame_parked(stage.as_str(), reason);
                if let Some(kept_back) = self.metrics.may_log_parked() {
                    let (Frame { camera, identity, .. }, stage) = (&*ready.frame, stage.as_str());
                    tracing::warn!(%camera, frame = %identity, reason, stage, kept_back, "frame parked: {message}");
                }
            }
            Outcome::RefusalNotice => {}
        }
        Ok(outcome)
    }

    fn has_rule(&self, name: &str) -> bool {
        self.active_rules.load().rules.description(name).is_some()
    }

    fn rules_version(&self) -> u64 {
        self.active_rules.load().version
    }
}

impl RuleJudge {
    /// Deletes rule state and tracks of people who were erased since the lane's last frame, and drops reused rule instances, which may
    /// remember them. A person who is still in view begins a new track without the old embeddings, so that no rule can tell that it is
    /// the same face.
    fn forget_erased(&self, erasures: &Erasures, memory: &mut LaneMemory) {
        for notice in &erasures.notices {
            if memory.erased.get(&notice.id).is_some_and(|round| *round >= notice.round) {
                continue;
            }
            memory.erased.insert(notice.id.clone(), notice.round);
            self.active_rules.load().rules.drop_instances();
            // A person who was enrolled again has new rule state under the same id. Ids of strangers are never used again.
            let is_enrolled_again = notice.is_done && self.gallery.index().find(&notice.person).is_some();
            let traces = if is_enrolled_again { Traces::of_strangers(notice) } else { Traces::new(notice) };
            let deleted = memory.state.delete_where(|key, value| traces.are_in(key, value));
            memory.deletions.extend(deleted);
            for (camera, cache) in &mut memory.embedding_caches {
                let ended = cache.end_tracks(|_, names| names.iter().any(|name| traces.has(name)));
                if !ended.is_empty() {
                    memory.ended.entry(camera.clone()).or_default().extend(ended);
                }
            }
        }
    }

    /// Keeps whom the tracks of a frame were taken for. Ends those that a rule took for somebody who was erased.
    fn name_tracks(frame: &Frame, judgement: &Judgement, memory: &mut LaneMemory) {
        let Some(cache) = memory.embedding_caches.get_mut(&frame.camera) else { return };
        for Subject { face, decision, stranger } in &judgement.subjects {
            if let Decision::Known { person, .. } = decision {
                cache.add_name(face.track.id, person);
            }
            if let Some(stranger) = stranger {
                cache.add_name(face.track.id, &stranger.id);
            }
        }
        if judgement.erased.is_empty() {
            return;
        }
        let subjects = judgement.subjects.iter().map(|subject| &subject.face);
        let erased: Vec<u64> = subjects
            .filter(|face| judgement.erased.contains(&face.index))
            .map(|face| face.track.id)
            .collect();
        let ended = cache.end_tracks(|id, _| erased.contains(&id));
        memory.ended.entry(frame.camera.clone()).or_default().extend(ended);
    }

    fn judge_prepared(
        &self,
        frame: &Frame,
        prepared: &Prepared,
        memory: &mut LaneMemory,
    ) -> Result<Outcome, RuleFailure> {
        let erasures = self.gallery.erasures();
        self.forget_erased(&erasures, memory);
        let (index, active_rules) = (self.gallery.index(), self.active_rules.load());
        let ActiveRules { rules, site, judged_by, .. } = &**active_rules;
        let cache = memory.embedding_caches.entry(frame.camera.clone()).or_default();
        let (times, embed_time) = prepared.times();
        let count = self.config.gallery.candidates;
        let mut faces = prepared.faces(frame, cache, &index, count, site);
        // The index may still hold samples of somebody who is being erased. A track that got this name now would continue under
        // another name as soon as the samples are gone.
        for face in &mut faces {
            face.candidates.retain(|candidate| !erasures.is_being_erased(&candidate.person));
        }
        cache.remove_stale(
            frame.captured_at.saturating_sub_unsigned(self.config.vision.tracker.lost_after_ms),
        );
        let size = prepared.size();
        let (search, _) = prepared.search();
        let facts = FrameFacts {
            camera: &frame.camera,
            session: &frame.session,
            sequence: frame.sequence,
            captured_at: frame.captured_at,
            width: size.0,
            height: size.1,
            schedules: &site.schedules_at(frame.captured_at),
        };
        let mut cpu_timer = CpuTimer::start();
        let strangers = self.strangers.index();
        let people: Arc<dyn People> = Arc::new(KnownFaces { index, strangers, erasures });
        let mut judgement = match rules.judge(&facts, faces, &people, &mut memory.state) {
            Ok(judgement) => judgement,
            Err(failure) if rules.stops_on_failure(&failure.rule) => return Err(failure),
            Err(failure) => {
                let (reason, message) = (failure.kind.reason().to_owned(), failure.to_string());
                return Ok(Outcome::Parked(Parked { stage: Stage::Rules, reason, message }));
            }
        };
        Self::name_tracks(frame, &judgement, memory);
        for camera in forget_cameras(&mut memory.embedding_caches, EmbeddingCache::last_seen_at) {
            judgement.state.extend(memory.state.delete_camera(&camera));
        }
        judgement.state.append(&mut memory.deletions);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let timings = Timings {
            decode_ms: milliseconds(times.decode),
            detect_ms: milliseconds(times.detect),
            embed_ms: milliseconds(embed_time),
            rules_ms: milliseconds(cpu_timer.lap()),
        };
        Ok(Outcome::Judged { size, search, judgement, timings, judged_by: judged_by.clone() })
    }
}
