//! Which frames are searched as a whole, and which wait for their anchor.

use super::*;
use everyframe_types::frame::Position;
use std::time::Instant;

fn frame(camera: &str, offset: i64, sequence: u64, captured_at: i64) -> Frame {
    let position = Position { topic: "frames".into(), partition: 0, offset };
    Frame {
        identity: position.clone(),
        position,
        camera: camera.into(),
        session: "s".into(),
        sequence,
        captured_at,
        claimed_at: captured_at,
        recorded_at: captured_at,
        source: Some(SourceKind::Live),
        is_numbered: true,
        taken_in_at: Instant::now(),
        sequence_gap: None,
        notice: None,
        callback: None,
        picture: Vec::new(),
    }
}

/// Frames of one camera, ten a second, from this number on.
fn stream(first: u64, count: u64) -> impl Iterator<Item = Frame> {
    (first..first + count).map(|n| frame("gate", n as i64, n, 100 * n as i64))
}

/// The offsets of the frames that are searched as a whole. All others wait for an anchor, which is never searched here.
fn whole(frames: impl Iterator<Item = Frame>, every: u32) -> Vec<i64> {
    let mut order = SearchOrder::new(every);
    frames.filter_map(|frame| Some(order.push(Arc::new(frame))?.frame.position.offset)).collect()
}

#[test]
fn every_nth_frame_and_the_first_are_searched_whole() {
    assert_eq!(whole(stream(7, 20), 10), [7, 10, 20]);
    assert_eq!(whole(stream(7, 4), 1), [7, 8, 9, 10], "switched off");
}

#[test]
fn a_break_needs_a_whole_search() {
    let at = |change: &dyn Fn(&mut Frame)| {
        let mut frames: Vec<Frame> = stream(1, 6).collect();
        change(&mut frames[3]);
        whole(frames.into_iter(), 100)
    };
    assert_eq!(at(&|_| ()), [1]);
    assert_eq!(at(&|frame| frame.session = "other".into()), [1, 4, 5]);
    assert_eq!(at(&|frame| frame.sequence += 1), [1, 4, 5]);
    assert_eq!(at(&|frame| frame.captured_at += 1000), [1, 4, 5]);
    assert_eq!(at(&|frame| frame.captured_at -= 1000), [1, 4, 5]);
    assert_eq!(at(&|frame| frame.source = Some(SourceKind::Pictures)), [1, 4, 5]);
    assert_eq!(at(&|frame| frame.is_numbered = false), [1, 4, 5]);
}

#[test]
fn a_camera_is_searched_whole_every_second() {
    let slow = (1..8).map(|n| frame("gate", n, n as u64, 400 * n));
    assert_eq!(whole(slow, 100), [1, 4, 7]);
}

#[test]
fn cameras_have_anchors_of_their_own() {
    let both = (1..6)
        .flat_map(|n| [frame("gate", 2 * n, n as u64, 100 * n), frame("yard", 2 * n + 1, n as u64, 100 * n)]);
    assert_eq!(whole(both, 10), [2, 3]);
}

#[test]
fn a_dead_letter_that_is_replayed_changes_nothing() {
    let mut frames: Vec<Frame> = stream(1, 4).collect();
    let mut letter = frame("gate", 99, 1, 100);
    letter.identity.offset = 1;
    frames.insert(2, letter);
    assert_eq!(whole(frames.into_iter(), 10), [1, 99]);
}

#[test]
fn frames_wait_for_their_anchor_and_keep_their_order() {
    let mut order = SearchOrder::new(10);
    let frames: Vec<Arc<Frame>> = stream(10, 14).map(Arc::new).collect();
    let now: Vec<i64> = frames
        .iter()
        .filter_map(|frame| order.push(frame.clone()))
        .map(|search| search.frame.position.offset)
        .collect();
    assert_eq!(now, [10, 20]);
    let offsets = |searches: Vec<Searchable>| -> Vec<i64> {
        searches.iter().map(|search| search.frame.position.offset).collect()
    };
    // The later anchor is ready first.
    assert_eq!(offsets(order.searched(&frames[10], None)), [21, 22, 23]);
    assert_eq!(offsets(order.searched(&frames[0], None)), (11..20).collect::<Vec<_>>());
    assert!(order.searched(&frames[0], None).is_empty());
    let next = order.push(Arc::new(frame("gate", 24, 24, 2400))).expect("its anchor was searched");
    assert!(next.anchor.is_none(), "it could not be, so the frame is searched as a whole");
}

#[test]
fn cameras_without_end_are_forgotten() {
    let mut order = SearchOrder::new(10);
    for n in 0..20_000 {
        let frame = frame(&format!("camera-{n}"), n, 1, n);
        let search = order.push(Arc::new(frame)).expect("a first frame");
        order.searched(&search.frame, None);
    }
    assert!(order.cameras.len() <= 1000 && order.waiting.is_empty());
}

#[test]
fn one_of_a_hundred_frames_is_checked_by_a_full_search() {
    let anchor = Arc::new(Anchor::default());
    let search = |offset, anchor| Searchable { frame: Arc::new(frame("gate", offset, 1, 0)), anchor };
    let checked = (0..100_000).filter(|n| search(*n, Some(anchor.clone())).with_shadow()).count();
    assert!((800..1200).contains(&checked), "{checked}");
    assert!(!(0..1000).any(|n| search(n, None).with_shadow()), "they are searched as a whole");
}
