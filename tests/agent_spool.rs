//! The spool of `everyframe camera`: frames wait on disk while the broker is away, and after a crash of the agent.

use everyframe_tests::places::clip;
use everyframe_tests::stamped::{assert_stamped, sources};
use everyframe_tests::{Part, Record, Site, Topic};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Starts an agent that sends 50 frames a second without end.
fn endless(site: &Site, name: &str, more: &[&str]) -> Part {
    let clip = clip("single_face.mp4");
    let mut words = vec!["camera", "--id", "gate", "--loop", "--rate", "50"];
    words.extend(more);
    words.push(&clip);
    site.start_everyframe(name, &words)
}

/// The sessions in the order of their first record. Each has its id, the numbers of its frames in topic order, and the
/// numbers that it reported as refused.
fn sessions(records: &[Record]) -> Vec<(String, Vec<u64>, Vec<u64>)> {
    let mut sessions: Vec<(String, Vec<u64>, Vec<u64>)> = Vec::new();
    for record in records {
        assert_eq!(record.key.as_deref(), Some("gate"));
        let session = record.header("everyframe-session");
        if sessions.iter().all(|(known, ..)| known != session) {
            sessions.push((session.to_owned(), Vec::new(), Vec::new()));
        }
        let place = sessions.iter_mut().find(|(known, ..)| known == session).expect("it is there");
        match record.header("everyframe-refused").split_once('-') {
            Some((first, last)) => {
                assert_eq!(record.value, None, "a refusal is no frame");
                let number = |text: &str| text.parse::<u64>().expect("a number");
                place.2.extend(number(first)..=number(last));
            }
            None => place.1.push(record.header("everyframe-sequence").parse().expect("a number")),
        }
    }
    sessions
}

/// The numbers of the closing line: read, acknowledged, in the spool, refused.
fn closing(out: &str) -> (u64, u64, u64, u64) {
    let after = |what: &str| {
        let words: Vec<&str> = out.trim().split(" · ").collect();
        let found = words.iter().find_map(|part| part.strip_suffix(what));
        found.map_or(0, |text| text.rsplit(' ').next().unwrap_or_default().parse().expect("a number"))
    };
    (after(" frames read"), after(" acknowledged"), after(" in the spool"), after(" refused"))
}

#[test]
fn frames_wait_in_the_spool_while_the_broker_is_away() {
    let site = Site::with_a_broker(1);
    let mut camera = endless(&site, "camera", &[]);
    site.wait_for_records(Topic::Frames, 20);
    site.stop_broker();
    camera.wait_for_word("broker away: frames go to the spool (");
    std::thread::sleep(Duration::from_secs(3));
    site.start_broker();
    camera.wait_for_word("frames of the spool caught up");
    let before = site.read(Topic::Frames).len();
    site.wait_for_records(Topic::Frames, before + 20);
    let ended = camera.terminate();
    let said = ended.err.clone();
    let (read, acknowledged, in_spool, refused) = closing(&ended.expect_success());
    assert_eq!((read, in_spool, refused), (acknowledged, 0, 0));
    let lines = said.lines().filter(|line| !line.contains("topic created")).count();
    assert_eq!(lines, 2, "one line when it went, one when it came back: {said}");
    let records = site.read(Topic::Frames);
    assert_eq!(records.len() as u64, read, "each once");
    assert_stamped(&records, "gate", 20);
    let (_, audit) = site.audit();
    assert_eq!((&audit["total"]["sent"], &audit["total"]["gaps"]), (&read.into(), &0.into()), "{audit}");
}

#[test]
fn the_next_agent_sends_the_frames_of_a_killed_one() {
    let site = Site::with_a_broker(1);
    site.stop_broker();
    let mut camera = endless(&site, "camera", &[]);
    camera.wait_for_word("broker away: frames go to the spool (");
    std::thread::sleep(Duration::from_secs(2));
    camera.kill();

    site.start_broker();
    let ended = site.everyframe(&["camera", "--id", "gate", &clip("single_face.mp4")]);
    assert!(ended.err.contains("frames wait in the spool; they are sent first"), "{}", ended.err);
    assert_eq!(ended.expect_success(), "gate: 72 frames read · 72 acknowledged\n");
    let records = site.read(Topic::Frames);
    let sessions = sessions(&records);
    assert_eq!(sessions.len(), 2);
    let (first, second) = (&sessions[0].1, &sessions[1].1);
    assert!(first.len() > 150, "four seconds at 50 frames a second, but the last quarter: {}", first.len());
    assert!(first.iter().copied().eq(0..first.len() as u64), "in order, each once: {first:?}");
    assert!(second.iter().copied().eq(0..72), "in order, each once: {second:?}");
    let begins = records.iter().position(|record| record.header("everyframe-session") == sessions[1].0);
    assert_eq!(begins, Some(first.len()), "the old session comes first");
}

#[test]
fn an_agent_killed_in_an_outage_repeats_few_frames() {
    let site = Site::with_a_broker(1);
    let mut camera = endless(&site, "camera", &[]);
    site.wait_for_records(Topic::Frames, 50);
    site.stop_broker();
    camera.wait_for_word("broker away: frames go to the spool (");
    camera.kill();
    site.start_broker();
    let got_in = site.read(Topic::Frames).len();
    site.everyframe(&["camera", "--id", "gate", &clip("single_face.mp4")]).expect_success();
    let records = site.read(Topic::Frames);
    let numbers = &sessions(&records)[0].1;
    let highest = numbers.iter().copied().max().expect("there are frames");
    assert!(numbers[..got_in].iter().copied().eq(0..got_in as u64), "{numbers:?}");
    let again = &numbers[got_in..];
    assert!(again.iter().copied().eq(again[0]..=highest), "the tail, in order: {again:?}");
    assert!(again[0] as usize <= got_in, "nothing is missing: {got_in} got in, then {again:?}");
    assert!(highest as usize >= got_in + 80, "two seconds of the outage were saved: {got_in}, {highest}");
}

#[test]
fn an_agent_that_ends_in_an_outage_leaves_its_frames() {
    let site = Site::with_a_broker(1);
    site.stop_broker();
    let ended = site.everyframe(&["camera", "--id", "gate", &clip("single_face.mp4")]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert_eq!(ended.out, "gate: 72 frames read · 0 acknowledged · 72 in the spool\n");
    let last = ended.err.lines().last().unwrap_or_default();
    assert!(last.starts_with("everyframe: 72 frames wait in "), "{last}");
    assert!(last.ends_with("gate.redb; the next start sends them"), "{last}");
    site.start_broker();
    let said = site.everyframe(&["camera", "--id", "gate", &clip("single_face.mp4")]).expect_success();
    assert_eq!(said, "gate: 72 frames read · 72 acknowledged\n");
    let records = site.read(Topic::Frames);
    assert_eq!(sources(&records), BTreeSet::from(["recording".to_owned()]), "also through the spool");
    let sessions = sessions(&records);
    assert!(sessions.iter().all(|(_, numbers, _)| numbers.iter().copied().eq(0..72)), "{sessions:?}");
}

#[test]
fn a_stopped_agent_with_time_waits_for_its_broker() {
    let site = Site::with_a_broker(1);
    let mut camera = endless(&site, "camera", &["--stop-wait", "600"]);
    site.wait_for_records(Topic::Frames, 20);
    site.stop_broker();
    camera.wait_for_word("broker away");
    camera.signal("TERM");
    // Longer than an agent waits by default.
    std::thread::sleep(Duration::from_secs(2));
    site.start_broker();
    let ended = camera.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let (read, acknowledged, in_spool, refused) = closing(&ended.out);
    assert_eq!((acknowledged, in_spool, refused), (read, 0, 0), "{}", ended.out);
}

#[test]
fn frames_refused_by_a_full_spool_are_reported() {
    let site = Site::with_a_broker(1);
    let mut camera = endless(&site, "camera", &["--spool-bytes", "2MB", "--stop-wait", "60"]);
    site.wait_for_records(Topic::Frames, 20);
    site.stop_broker();
    camera.wait_for_word("the spool is full (2 MB): frames are refused from number ");
    std::thread::sleep(Duration::from_secs(2));
    site.start_broker();
    camera.wait_for_word("frames were refused in all; frames are taken again");
    let log = camera.err();
    let before = site.read(Topic::Frames).len();
    site.wait_for_records(Topic::Frames, before + 20);
    let ended = camera.terminate();
    assert_eq!(ended.code, Some(1), "frames were refused: {}", ended.err);
    let (read, acknowledged, in_spool, refused) = closing(&ended.out);
    assert_eq!((acknowledged + refused, in_spool), (read, 0), "{}", ended.out);
    assert!(refused >= 50, "two seconds at 50 frames a second: {refused}");
    assert!(log.contains(&format!("{refused} frames were refused in all")), "{log}");
    let records = site.read(Topic::Frames);
    let sessions = sessions(&records);
    let [(_, sent, missing)] = sessions.as_slice() else { panic!("one session: {sessions:?}") };
    assert_eq!((sent.len() as u64, missing.len() as u64), (acknowledged, refused));
    let all: BTreeSet<u64> = sent.iter().chain(missing).copied().collect();
    assert!(all.into_iter().eq(0..read), "each frame is there or said to be missing");
    // Refusals are in order among the frames.
    let order = records.iter().map(|record| {
        let word = record.header("everyframe-refused");
        let text = word.split('-').next().filter(|first| !first.is_empty());
        text.unwrap_or(record.header("everyframe-sequence")).parse::<u64>().expect("a number")
    });
    assert!(order.is_sorted(), "refusals stand where the frames would");
}

/// A limit on the size of files stands for a full disk: the agent gets the same error.
#[test]
fn frames_refused_by_a_full_disk_are_reported() {
    let site = Site::with_a_broker(1);
    let clip = clip("single_face.mp4");
    let words = ["camera", "--id", "gate", "--loop", "--rate", "50", "--stop-wait", "60", &clip];
    let agent = site.command(&words);
    // The limit is in blocks of 1024 bytes. The trap ignores the signal that a file at its limit causes.
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 3000; exec \"$0\" \"$@\""]).arg(agent.get_program());
    limited.args(agent.get_args()).arg("--config").arg(site.config()).current_dir(site.folder());
    limited.envs(agent.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let mut camera = Part::start("camera", site.folder(), &mut limited);
    site.wait_for_records(Topic::Frames, 20);
    site.stop_broker();
    camera.wait_for_word("frames are refused from number ");
    std::thread::sleep(Duration::from_secs(1));
    site.start_broker();
    camera.wait_for_word("frames were refused in all; frames are taken again");
    let before = site.count(Topic::Frames);
    site.wait_for_records(Topic::Frames, before + 20);
    let ended = camera.terminate();
    assert_eq!(ended.code, Some(1), "frames were refused: {}", ended.err);
    let (read, acknowledged, in_spool, refused) = closing(&ended.out);
    assert_eq!((acknowledged + refused, in_spool), (read, 0), "{}", ended.out);
    let sessions = sessions(&site.read(Topic::Frames));
    let all: BTreeSet<u64> =
        sessions.iter().flat_map(|(_, sent, missing)| sent.iter().chain(missing)).copied().collect();
    let unmentioned: Vec<u64> = (0..read).filter(|number| !all.contains(number)).collect();
    assert!(unmentioned.is_empty(), "of {read} frames neither there nor said to be missing: {unmentioned:?}");
    assert!(refused > 0 && all.len() as u64 == read, "{refused} refused, {} of {read} there", all.len());
}

#[test]
fn a_file_waits_for_a_full_spool_to_empty() {
    let site = Site::with_a_broker(1);
    site.stop_broker();
    let clip = clip("WolfgangLanger_Pexels.mp4");
    let words = ["camera", "--id", "gate", "--spool-bytes", "2MB", &clip];
    let mut camera = site.start_everyframe("camera", &words);
    camera.wait_for_word("broker away: frames go to the spool (");
    std::thread::sleep(Duration::from_secs(2));
    site.start_broker();
    assert_eq!(camera.end().expect_success(), "gate: 472 frames read · 472 acknowledged\n");
    assert!(sessions(&site.read(Topic::Frames))[0].1.iter().copied().eq(0..472));
}

#[test]
fn refusals_survive_the_kill_of_an_agent() {
    let site = Site::with_a_broker(1);
    site.stop_broker();
    let mut camera = endless(&site, "camera", &["--spool-bytes", "1MB"]);
    camera.wait_for_word("the spool is full (1 MB): frames are refused from number ");
    std::thread::sleep(Duration::from_secs(2));
    camera.kill();
    site.start_broker();
    site.everyframe(&["camera", "--id", "gate", &clip("single_face.mp4")]).expect_success();
    let sessions = sessions(&site.read(Topic::Frames));
    let (_, sent, missing) = &sessions[0];
    assert!(missing.len() >= 50, "two seconds at 50 frames a second, but the last quarter: {missing:?}");
    let all: BTreeSet<u64> = sent.iter().chain(missing).copied().collect();
    assert!(all.into_iter().eq(0..(sent.len() + missing.len()) as u64), "{sent:?} {missing:?}");
}

#[test]
fn two_agents_do_not_share_a_spool() {
    let site = Site::start(1);
    let mut first = endless(&site, "first", &[]);
    site.wait_for_records(Topic::Frames, 5);
    let second = site.everyframe(&["camera", "--id", "gate", &clip("single_face.mp4")]);
    assert_eq!((second.code, second.out.as_str()), (Some(1), ""));
    assert!(second.err.contains("another agent of this camera uses this spool"), "{}", second.err);
    // Another camera, and the same camera with another folder, are accepted.
    site.everyframe(&["camera", "--id", "yard", &clip("single_face.mp4")]).expect_success();
    site.everyframe(&["camera", "--id", "gate", "--spool", "other", &clip("single_face.mp4")])
        .expect_success();
    assert!(first.is_running());
    first.terminate().expect_success();
}

#[test]
fn a_damaged_spool_is_named_and_not_changed() {
    let site = Site::with_a_broker(1);
    site.stop_broker();
    let mut camera = endless(&site, "camera", &["--spool", "spool"]);
    camera.wait_for_word("broker away: frames go to the spool (");
    camera.kill();
    site.start_broker();
    let path = site.folder().join("spool/gate.redb");
    let whole = std::fs::read(&path).expect("the spool is there");
    let mut halved = whole.clone();
    halved.truncate(whole.len() / 2);
    let mut scratched = whole.clone();
    scratched[4096..].chunks_mut(4096).for_each(|page| page[..64].fill(0xab));
    for damaged in [b"no spool".to_vec(), halved, scratched] {
        std::fs::write(&path, &damaged).expect("it can be written");
        let ended =
            site.everyframe(&["camera", "--id", "gate", "--spool", "spool", &clip("single_face.mp4")]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
        assert!(ended.err.contains("spool/gate.redb: this spool is damaged or not a spool"), "{}", ended.err);
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
        assert!(std::fs::metadata(&path).is_ok_and(|file| file.len() >= damaged.len() as u64));
    }
    std::fs::write(&path, whole).expect("it can be written");
    let said = site
        .everyframe(&["camera", "--id", "gate", "--spool", "spool", &clip("single_face.mp4")])
        .expect_success();
    assert_eq!(said, "gate: 72 frames read · 72 acknowledged\n");
    assert!(site.read(Topic::Frames).len() > 72 + 50, "what was in it got in");
}

#[test]
fn without_a_spool_frames_go_straight_to_the_broker() {
    let site = Site::start(1);
    site.file("taken", b"a file where the folder would be");
    let ended = site.everyframe(&["camera", "--id", "gate", "--spool", "taken", &clip("single_face.mp4")]);
    assert!(ended.err.contains("cannot be used as a spool"), "{}", ended.err);
    assert_eq!(ended.expect_success(), "gate: 72 frames read · 72 acknowledged\n");
    assert_stamped(&site.wait_for_records(Topic::Frames, 72), "gate", 33);
}
