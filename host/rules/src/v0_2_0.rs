//! The bindings of `everyframe:rules@0.2.0`.

use super::contract::{Answer, Contract, Input, RulePre, wrong_input};
use super::error::LoadError;
use super::frame::FrameFacts;
use super::host_state::HostState;
use super::limits::presentable;
use super::rule_pre::rule_pre;
use super::rule_state::SetError;
use everyframe_config::RuleKind;
use everyframe_types::face::{Face, RecentStranger};
use everyframe_types::judgement::{Alert, Decision, Severity, Share, Stranger, StrangerEvent, Subject};
use policy::everyframe::rules::{embeddings, gallery, log, state, types};
use unknown::everyframe::rules::recent_strangers;
use unknown::exports::everyframe::rules::strangers::Sighting;
use wasmtime::component::{Component, HasSelf, Linker};

pub(super) const CONTRACT: Contract = Contract { version: VERSION, link, bind };

const VERSION: &str = "0.2.0";

// The three worlds import the same interfaces, so the others use the first one's bindings. Unknown-person rules also import
// `recent-strangers`.
#[allow(missing_docs)]
mod policy {
    wasmtime::component::bindgen!({
        path: "../../wit/0.2.0",
        world: "matching-policy",
        exports: { default: async },
    });
}
#[allow(missing_docs)]
mod unknown {
    wasmtime::component::bindgen!({
        path: "../../wit/0.2.0",
        world: "unknown-person",
        exports: { default: async },
        with: {
            "everyframe:rules/types@0.2.0": super::policy::everyframe::rules::types,
            "everyframe:rules/embeddings@0.2.0": super::policy::everyframe::rules::embeddings,
            "everyframe:rules/gallery@0.2.0": super::policy::everyframe::rules::gallery,
            "everyframe:rules/state@0.2.0": super::policy::everyframe::rules::state,
            "everyframe:rules/log@0.2.0": super::policy::everyframe::rules::log,
        },
    });
}
#[allow(missing_docs)]
mod alerting {
    wasmtime::component::bindgen!({
        path: "../../wit/0.2.0",
        world: "alerting",
        exports: { default: async },
        with: {
            "everyframe:rules/types@0.2.0": super::policy::everyframe::rules::types,
            "everyframe:rules/embeddings@0.2.0": super::policy::everyframe::rules::embeddings,
            "everyframe:rules/gallery@0.2.0": super::policy::everyframe::rules::gallery,
            "everyframe:rules/state@0.2.0": super::policy::everyframe::rules::state,
            "everyframe:rules/log@0.2.0": super::policy::everyframe::rules::log,
        },
    });
}

fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    fn this(state: &mut HostState) -> &mut HostState {
        state
    }
    embeddings::add_to_linker::<HostState, HasSelf<HostState>>(linker, this)?;
    gallery::add_to_linker::<HostState, HasSelf<HostState>>(linker, this)?;
    recent_strangers::add_to_linker::<HostState, HasSelf<HostState>>(linker, this)?;
    state::add_to_linker::<HostState, HasSelf<HostState>>(linker, this)?;
    log::add_to_linker::<HostState, HasSelf<HostState>>(linker, this)
}

fn bind(
    linker: &Linker<HostState>,
    component: &Component,
    kind: RuleKind,
) -> Result<Box<dyn RulePre>, LoadError> {
    let mismatch = |error: wasmtime::Error| LoadError::Mismatch {
        version: VERSION,
        reason: presentable(&format!("{error:#}"), 1000),
    };
    let pre = linker.instantiate_pre(component).map_err(mismatch)?;
    Ok(match kind {
        RuleKind::MatchingPolicy => Box::new(policy::MatchingPolicyPre::new(pre).map_err(mismatch)?),
        RuleKind::UnknownPerson => Box::new(unknown::UnknownPersonPre::new(pre).map_err(mismatch)?),
        RuleKind::Alerting => Box::new(alerting::AlertingPre::new(pre).map_err(mismatch)?),
    })
}

impl embeddings::Host for HostState {
    fn get(&mut self, face: u32) -> Option<Vec<f32>> {
        self.embedding(face).map(|embedding| embedding.values().to_vec())
    }
}

impl gallery::Host for HostState {
    fn find(&mut self, person: String) -> Option<gallery::Person> {
        let everyframe_types::face::Person { id, name, samples } = self.context.people().find(&person)?;
        Some(gallery::Person { id, name, samples })
    }
}

impl recent_strangers::Host for HostState {
    fn find(&mut self, face: u32, count: u32) -> Vec<recent_strangers::RecentStranger> {
        let strangers = self.recent_strangers(face, count as usize).into_iter();
        let lower = |stranger: RecentStranger| recent_strangers::RecentStranger {
            id: stranger.id,
            similarity: stranger.similarity,
            first_seen_at: stranger.first_seen_at,
            last_seen_at: stranger.last_seen_at,
            visits: stranger.visits,
        };
        strangers.map(lower).collect()
    }

    fn merged_into(&mut self, stranger: String) -> Option<String> {
        self.context.people().merged_into(&stranger)
    }

    fn changed_at(&mut self, stranger: String) -> Option<i64> {
        self.context.people().changed_at(&stranger)
    }
}

impl state::Host for HostState {
    fn get(&mut self, key: String) -> Option<Vec<u8>> {
        self.state.get(&key)
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl: Option<u64>) -> Result<(), state::Error> {
        let limit = self.state.limit() as u64;
        self.state.set(key, value, ttl).map_err(|error| match error {
            SetError::Full => state::Error::Full(limit),
            SetError::BadKey => state::Error::BadKey,
        })
    }

    fn delete(&mut self, key: String) {
        self.state.delete(&key);
    }

    fn keys(&mut self, prefix: String) -> Vec<String> {
        self.state.keys(&prefix)
    }
}

impl log::Host for HostState {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => tracing::Level::DEBUG,
            log::Level::Info => tracing::Level::INFO,
            log::Level::Warn => tracing::Level::WARN,
            log::Level::Error => tracing::Level::ERROR,
        };
        self.log.write(level, &message);
    }
}

impl types::Host for HostState {}

rule_pre!(policy, MatchingPolicyPre, MatchingPolicy, |rule, store, frame, input| {
    let Input::Decide(faces) = input else { return Err(wrong_input()) };
    let probes: Vec<types::Probe> = faces.into_iter().map(lower_probe).collect();
    let verdicts = rule.everyframe_rules_matching().call_decide(store, frame, &probes).await?;
    Ok(Answer::Verdicts(verdicts.into_iter().map(|v| (v.face, lift_decision(v.decision))).collect()))
});
rule_pre!(unknown, UnknownPersonPre, UnknownPerson, |rule, store, frame, input| {
    let Input::Observe(faces) = input else { return Err(wrong_input()) };
    let faces: Vec<types::Face> = faces.into_iter().map(lower_face).collect();
    let sightings = rule.everyframe_rules_strangers().call_observe(store, frame, &faces).await?;
    Ok(Answer::Strangers(sightings.into_iter().map(|s| (s.stranger.face, lift_sighting(s))).collect()))
});
rule_pre!(alerting, AlertingPre, Alerting, |rule, store, frame, input| {
    let Input::Judge(subjects) = input else { return Err(wrong_input()) };
    let subjects: Vec<types::Subject> = subjects.into_iter().map(lower_subject).collect();
    let alerts = rule.everyframe_rules_alerts().call_judge(store, frame, &subjects).await?;
    Ok(Answer::Alerts(alerts.into_iter().map(lift_alert).collect()))
});

fn lower_frame(frame: &FrameFacts<'_>) -> types::Frame {
    types::Frame {
        camera: frame.camera.to_owned(),
        session: frame.session.to_owned(),
        sequence: frame.sequence,
        captured_at: frame.captured_at,
        width: frame.width,
        height: frame.height,
        schedules: frame.schedules.to_vec(),
    }
}

fn lower_face(face: &Face) -> types::Face {
    let bounds = face.detection.bounds;
    types::Face {
        index: face.index,
        track: face.track.id,
        track_started_at: face.track.started_at,
        bounds: types::Rect { x: bounds.x, y: bounds.y, width: bounds.width, height: bounds.height },
        score: face.detection.score,
        quality: face.quality,
        zones: face.zones.clone(),
    }
}

fn lower_probe(face: &Face) -> types::Probe {
    let candidates = face.candidates.iter();
    types::Probe {
        face: lower_face(face),
        candidates: candidates
            .map(|c| types::Candidate { person: c.person.to_string(), similarity: c.similarity })
            .collect(),
    }
}

fn lower_subject(subject: &Subject) -> types::Subject {
    types::Subject {
        face: lower_face(&subject.face),
        decision: match subject.decision.clone() {
            Decision::Known { person, confidence } => {
                types::Decision::Known(types::Identity { person, confidence })
            }
            Decision::Unknown => types::Decision::Unknown,
            Decision::Undecided { reason } => types::Decision::Undecided(reason),
        },
        stranger: subject.stranger.as_ref().map(|stranger| types::Stranger {
            face: subject.face.index,
            id: stranger.id.clone(),
            event: stranger.event.map(|event| match event {
                StrangerEvent::FirstSeen => types::Event::FirstSeen,
                StrangerEvent::Returned => types::Event::Returned,
                StrangerEvent::Loitering => types::Event::Loitering,
                StrangerEvent::Merged => types::Event::Merged,
            }),
            first_seen_at: stranger.first_seen_at,
            dwell: stranger.dwell,
            visits: stranger.visits,
            merged: stranger.merged.clone(),
        }),
    }
}

fn lift_decision(decision: types::Decision) -> Decision {
    match decision {
        types::Decision::Known(types::Identity { person, confidence }) => {
            Decision::Known { person, confidence }
        }
        types::Decision::Unknown => Decision::Unknown,
        types::Decision::Undecided(reason) => Decision::Undecided { reason },
    }
}

fn lift_sighting(Sighting { stranger, share }: Sighting) -> Stranger {
    Stranger {
        id: stranger.id,
        event: stranger.event.map(|event| match event {
            types::Event::FirstSeen => StrangerEvent::FirstSeen,
            types::Event::Returned => StrangerEvent::Returned,
            types::Event::Loitering => StrangerEvent::Loitering,
            types::Event::Merged => StrangerEvent::Merged,
        }),
        first_seen_at: stranger.first_seen_at,
        dwell: stranger.dwell,
        visits: stranger.visits,
        merged: stranger.merged,
        share: share.map(|share| Share { view: share.view, expires_in: share.expires_in }),
    }
}

fn lift_alert(alert: types::Alert) -> Alert {
    Alert {
        rule: String::new(),
        severity: match alert.severity {
            types::Severity::Info => Severity::Info,
            types::Severity::Warning => Severity::Warning,
            types::Severity::Critical => Severity::Critical,
        },
        kind: alert.kind,
        subject: alert.subject,
        dedup_key: alert.dedup_key,
        text: alert.text,
        face: alert.face,
    }
}
