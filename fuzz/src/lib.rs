//! What comes from outside, given to the host's own readers: none may panic, none may hang.
//!
//! Each function takes any bytes, and tells whether they were taken for what they are meant to be. `fuzz/targets` has
//! a program for each; `host/tests/fuzz.rs` includes this file and calls them with damaged samples.

use everyframe_account::audit::Ledger;
use everyframe_config::Site;
use everyframe_config::{Config, Limits, Loaded, RuleKind, RuleSettings, VisionSettings};
use everyframe_pipeline::live_ledger::{LiveLedger, SequenceCheck};
use everyframe_rule_tools::scenario::{
    Scenario, ScenarioFrame, evaluate_frame, format_time, run_scenario, update_expectations,
};
use everyframe_rules::{LoadedComponent, RuleState};
use everyframe_types::event::rfc3339;
use everyframe_types::face::Rect;
use everyframe_types::frame::Position;
use everyframe_types::record::{
    CAPTURED_AT, IncomingRecord, REFUSED, REPLAY_OF, SEQUENCE, SESSION, parse_frame, parse_stamp,
};
use everyframe_vision::{DecodedPicture, PictureDecoder};
use std::path::{Path, PathBuf};
use std::str::from_utf8;
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;

/// Each with the shipped rule of its kind, as it is kept for the contract's first version.
const KINDS: [(RuleKind, &str); 3] = [
    (RuleKind::MatchingPolicy, "matching_policy"),
    (RuleKind::UnknownPerson, "unknown_person"),
    (RuleKind::Alerting, "alerting"),
];

/// Times that no clock should say.
const TIMES: [i64; 5] = [i64::MIN, -1, 0, 1_795_392_000_000, i64::MAX];

/// Records of one input are read one after another, and so are a scenario's frames; no more of them.
const FRAMES: usize = 16;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
});

static SHIPPED: LazyLock<Vec<(RuleSettings, LoadedComponent)>> = LazyLock::new(|| {
    let opened = |(kind, file): (RuleKind, &str)| {
        let rule = rule(kind, repository(&format!("tests/fixtures/contract/0.1.0/{file}.wasm")));
        let opened = LoadedComponent::read(&rule, RUNTIME.handle().clone(), None);
        (rule, opened.unwrap_or_else(|(_, error)| panic!("{file}: {error}")))
    };
    KINDS.into_iter().map(opened).collect()
});

/// A frame with a face that an alert rule is told of: one of a stranger.
static STRANGER: LazyLock<Scenario> = LazyLock::new(|| {
    let text = "[[frames]]\nfaces = [{ unknown = true, stranger = { id = \"s\" } }]\n";
    Scenario::parse(text, Path::new("stranger.toml"), RuleKind::Alerting).expect("a scenario")
});

static KNOWN_PICTURE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    std::fs::read(repository("tests/fixtures/pictures/plain.jpg")).expect("a picture of the tests")
});

static MASKED: LazyLock<Site> = LazyLock::new(|| {
    let config: Config =
        toml::from_str("masks = [{ polygon = [[0, 0], [0.5, 0], [0.5, 1]] }]").expect("a configuration");
    Site::new(&config)
});

fn repository(path: &str) -> PathBuf {
    // Built as a crate of its own, and as a part of the host's tests.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root =
        here.ancestors().find(|folder| folder.join("wit").is_dir()).expect("a folder of the repository");
    root.join(path)
}

/// A rule that may use little: what it does with more is the same, and takes longer.
fn rule(kind: RuleKind, component: PathBuf) -> RuleSettings {
    let limits = Limits { time_ms: 50, memory_mb: 16, log_lines: 5, ..Limits::default() };
    RuleSettings { limits, ..RuleSettings::new("fuzz", kind, component) }
}

/// A component file: compiled, taken apart, asked what it is, and put to a frame.
pub fn component(bytes: &[u8]) -> bool {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("a temporary file");
    let mut rule = rule(RuleKind::MatchingPolicy, file.path().to_owned());
    let opened = match LoadedComponent::read(&rule, RUNTIME.handle().clone(), None) {
        Ok(opened) => opened,
        Err((_, error)) => return error.to_string().is_empty(),
    };
    let component_info = opened.component_info();
    let _ = (component_info.packages(), component_info.problems(None, &rule.grants));
    rule.kind = component_info.kinds.first().copied().unwrap_or(rule.kind);
    let _ = opened.describe(&rule);
    let Ok(rule_runner) = opened.configure(&rule) else { return false };
    let text = match rule.kind {
        RuleKind::MatchingPolicy => {
            "people = [{ id = \"anna\" }]\nframes = [{ faces = [{ candidates = { anna = 0.9 } }] }]"
        }
        _ => "frames = [{ faces = [{ unknown = true }, { known = \"anna\" }] }]",
    };
    let scenario = Scenario::parse(text, Path::new("fuzz.toml"), rule.kind).expect("a scenario");
    run_scenario(&scenario, &rule_runner).iter().all(|ran| ran.got.is_ok())
}

/// A configuration, and the settings of a rule.
pub fn settings(bytes: &[u8]) -> bool {
    let Ok(text) = from_utf8(bytes) else { return false };
    if let Ok(settings) = text.parse::<toml::Table>() {
        for (rule, opened) in SHIPPED.iter() {
            let _ = opened.configure(&RuleSettings { settings: settings.clone(), ..rule.clone() });
        }
    }
    match Loaded::parse(text, Path::new("/nowhere/everyframe.toml")) {
        Ok(loaded) => {
            let site = Site::new(&loaded.config);
            TIMES.iter().for_each(|at| drop(site.schedules_at(*at)));
            for edge in [0.0, -1.0, 1e30, f32::INFINITY, f32::NAN] {
                let bounds = Rect { x: edge, y: edge, width: edge, height: edge };
                for size in [(0, 0), (1280, 720), (u32::MAX, u32::MAX)] {
                    site.zones_of("gate", size, &bounds);
                }
            }
            let masks = site.masks_of("gate");
            masks.iter().for_each(|mask| mask.corners((i32::MAX, i32::MAX)).for_each(drop));
            true
        }
        Err(error) => error.to_string().is_empty(),
    }
}

/// A scenario, for each kind of rule: read, put to the shipped rule, written anew with its answers.
pub fn scenario(bytes: &[u8]) -> bool {
    let Ok(text) = from_utf8(bytes) else { return false };
    let file = Path::new("fuzz.toml");
    let mut taken = false;
    for (rule, opened) in SHIPPED.iter() {
        let Ok(mut scenario) = Scenario::parse(text, file, rule.kind) else { continue };
        taken = true;
        scenario.frames.truncate(FRAMES);
        scenario.frames.iter_mut().for_each(|frame| frame.subjects.truncate(FRAMES));
        scenario.frames.iter().for_each(|frame| drop(format_time(frame.at)));
        let settings = RuleSettings { settings: scenario.settings.clone(), ..rule.clone() };
        // Without those that it does not take: the frames are of interest.
        let Ok(rule_runner) = opened.configure(&settings).or_else(|_| opened.configure(rule)) else {
            continue;
        };
        let ran = run_scenario(&scenario, &rule_runner);
        for difference in ran.iter().flat_map(|ran| &ran.differences) {
            let _ = difference.expected.iter().chain(&difference.got).map(ToString::to_string).count();
        }
        let _ = update_expectations(text, &scenario.frames, &ran);
    }
    taken
}

/// Records of the frames topic: fields in lines, a zero byte between two records.
///
/// The fields are offset, timestamp, key, the headers session, sequence, time, refused and replay, and the value. Of
/// those that are not there, there are none.
pub fn headers(bytes: &[u8]) -> bool {
    let topic: Arc<str> = "frames".into();
    let (mut live, mut ledger, mut memory) = (LiveLedger::default(), Ledger::new(false, 0), RuleState::new());
    let (rule, opened) = &SHIPPED[2];
    let rule_runner = opened.configure(rule).unwrap_or_else(|problems| panic!("{}", problems[0]));
    let mut numbered = false;
    for record in bytes.split(|byte| *byte == 0).take(FRAMES) {
        let record = Lines(record.split(|byte| *byte == b'\n').collect());
        let frame = parse_frame(&topic, &record);
        assert!(frame.camera.chars().count() <= 200 && !frame.camera.contains(char::is_control));
        assert!(frame.session.chars().count() <= 200 && !frame.session.contains(char::is_control));
        assert_eq!(Position::parse(&frame.identity.to_string()).as_ref(), Some(&frame.identity));
        numbered |= frame.is_numbered;
        note(&mut live, &frame);
        account(&mut ledger, &record, &frame);
        let _ = (rfc3339(frame.captured_at), format_time(frame.captured_at));
        let told = ScenarioFrame {
            camera: frame.camera.to_string(),
            sequence: frame.sequence,
            at: frame.captured_at,
            ..STRANGER.frames[0].clone()
        };
        let _ = evaluate_frame(&told, &STRANGER.people, &rule_runner, &mut memory);
    }
    let report = ledger.report();
    assert!(report.missing.len() <= FRAMES);
    numbered
}

/// Decodes a picture after another one. The result must equal that of a new decoder.
pub fn picture(bytes: &[u8]) -> bool {
    // A larger one only takes longer.
    let settings = VisionSettings { max_pixels: 1 << 20, ..VisionSettings::default() };
    let masks = MASKED.masks_of("gate");
    let mut used = PictureDecoder::new(&settings);
    used.decode(&KNOWN_PICTURE, &masks).expect("a good picture");
    let after = used.decode(bytes, &masks);
    let alone = PictureDecoder::new(&settings).decode(bytes, &masks);
    assert!(
        after == alone,
        "the picture before shows through: {:?} alone",
        alone.map(|it| (it.width, it.height))
    );
    match after {
        Ok(DecodedPicture { width, height, .. }) => {
            assert!(u64::from(width) * u64::from(height) <= settings.max_pixels);
            true
        }
        Err(error) => error.to_string().is_empty(),
    }
}

/// As the lane's ledger does.
fn note(live: &mut LiveLedger, frame: &everyframe_types::frame::Frame) {
    use everyframe_types::sequence_gap::SequenceGap;
    let (camera, session) = (&frame.camera, &frame.session);
    if let Some(sequence_gap) = &frame.sequence_gap {
        let _ = (sequence_gap.count(), sequence_gap.numbers(), sequence_gap.alert(camera, session));
        if let SequenceGap::Refused(numbers) = sequence_gap {
            live.record_refusal(camera, session, numbers.clone());
        }
    } else if frame.is_numbered
        && let SequenceCheck::Gap(missing) = live.record_frame(camera, session, frame.sequence)
    {
        let sequence_gap = SequenceGap::Missing(missing);
        let _ = (sequence_gap.count(), sequence_gap.numbers());
    }
}

/// As the audit does.
fn account(ledger: &mut Ledger, record: &impl IncomingRecord, frame: &everyframe_types::frame::Frame) {
    use everyframe_types::sequence_gap::SequenceGap;
    let stamp = parse_stamp(record);
    let offset = record.offset().unsigned_abs();
    if let Some(SequenceGap::Refused(numbers)) = &frame.sequence_gap {
        ledger.add_refusal(&frame.camera, stamp.session.as_deref().unwrap_or_default(), numbers.clone());
    } else if frame.is_replayed() {
        let (of, at) = (frame.identity.partition, frame.identity.offset.unsigned_abs());
        ledger.add_replay(of, at, &frame.camera, offset, true);
    } else {
        ledger.add_frame(0, offset, &frame.camera, offset, stamp.session.as_deref().zip(stamp.sequence));
    }
}

/// A record told in lines.
struct Lines<'a>(Vec<&'a [u8]>);

impl Lines<'_> {
    fn line(&self, at: usize) -> Option<&[u8]> {
        self.0.get(at).copied()
    }

    fn number(&self, at: usize) -> i64 {
        self.line(at).and_then(|line| from_utf8(line).ok()?.parse().ok()).unwrap_or_default()
    }
}

impl IncomingRecord for Lines<'_> {
    fn partition(&self) -> i32 {
        0
    }

    fn offset(&self) -> i64 {
        // The broker's, never below 0.
        self.number(0) & i64::MAX
    }

    fn timestamp(&self) -> i64 {
        self.number(1)
    }

    fn key(&self) -> Option<&[u8]> {
        self.line(2)
    }

    fn value(&self) -> Option<&[u8]> {
        self.line(8)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let at = [SESSION, SEQUENCE, CAPTURED_AT, REFUSED, REPLAY_OF].iter().position(|it| *it == name)?;
        from_utf8(self.line(3 + at)?).ok()
    }
}
