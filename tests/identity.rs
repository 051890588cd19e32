//! A name is never carried to another face.

use everyframe_tests::{Frame, Site, Topic, pictures, places};
use opencv::core::{BORDER_REPLICATE, Mat, Rect, Size, Vector, add_weighted};
use opencv::imgcodecs::{IMREAD_COLOR, imdecode};
use opencv::imgproc::{INTER_AREA, INTER_LINEAR, resize, warp_affine};
use opencv::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

/// The man's face in his clip and the woman's in hers: left, top, width, height, pixels of 640 × 360.
const MAN: [f32; 4] = [222.6, 84.6, 144.8, 212.5];
const WOMAN: [f32; 4] = [326.2, 45.0, 212.3, 304.0];

fn decoded(picture: &[u8]) -> Mat {
    imdecode(&Vector::from_slice(picture), IMREAD_COLOR).expect("a picture can be decoded")
}

/// The woman's pictures, moved and scaled so that her face is where the man's is.
fn woman_in_his_place(picture: &[u8]) -> Mat {
    let scale = MAN[3] / WOMAN[3];
    let centre = |face: [f32; 4]| (face[0] + face[2] / 2.0, face[1] + face[3] / 2.0);
    let (hers, his) = (centre(WOMAN), centre(MAN));
    let map = [[scale, 0.0, his.0 - scale * hers.0], [0.0, scale, his.1 - scale * hers.1]];
    let map = Mat::from_slice_2d(&map).expect("a matrix");
    let (mut moved, size) = (Mat::default(), Size::new(640, 360));
    warp_affine(
        &decoded(picture),
        &mut moved,
        &map,
        size,
        INTER_LINEAR,
        BORDER_REPLICATE,
        Default::default(),
    )
    .expect("a picture can be moved");
    moved
}

/// Her head in his picture; the background stays the same.
fn on_his_picture(hers: &Mat, his: &Mat) -> Mat {
    let mut both = his.clone();
    let head = Rect::new(170, 20, 250, 320);
    let from = Mat::roi(hers, head).expect("a part").try_clone().expect("a copy");
    from.copy_to(&mut Mat::roi_mut(&mut both, head).expect("a part")).expect("a copy");
    both
}

/// By camera, the names of the people in the result of each frame.
fn names(site: &Site, count: usize) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut names: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for record in site.wait_for_records(Topic::Results, count) {
        let result = record.json();
        let data = &result["data"];
        let faces = data["faces"].as_array().map_or(&[][..], Vec::as_slice);
        let known = faces.iter().filter(|face| face["decision"] == "known");
        let of = |face: &Value| face["person"].as_str().unwrap_or_default().to_owned();
        let camera = data["camera"].as_str().unwrap_or_default().to_owned();
        names.entry(camera).or_default().push(known.map(of).collect());
    }
    names
}

#[test]
fn two_people_in_the_same_place_keep_their_names() {
    const FRAMES: usize = 60;
    let (man, woman) = (pictures::man(), pictures::clip("WolfgangLanger_Pexels.mp4"));
    let site = Site::start(2);
    site.enrol("viktor", &man.iter().step_by(12).collect::<Vec<_>>());
    site.enrol("wilma", &woman.iter().step_by(60).collect::<Vec<_>>());
    let mut truth: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut frames = Vec::new();
    for period in [1, 2, 5, 30] {
        for is_same_room in [false, true] {
            let camera = format!("every {period}{}", if is_same_room { ", same room" } else { "" });
            let shown = (0..FRAMES).map(|n| {
                let his = decoded(&man[n % man.len()]);
                if (n / period) % 2 == 0 {
                    return ("viktor", pictures::jpeg(&his));
                }
                let hers = woman_in_his_place(&woman[n]);
                ("wilma", pictures::jpeg(&if is_same_room { on_his_picture(&hers, &his) } else { hers }))
            });
            let (people, pictures): (Vec<&str>, Vec<Vec<u8>>) = shown.unzip();
            frames.extend(Frame::stream(&camera, &pictures));
            truth.insert(camera, people);
        }
    }
    let _host = site.host();
    site.send(&frames);
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    for (camera, names) in names(&site, frames.len()) {
        let people = &truth[&camera];
        assert_eq!(names.len(), people.len(), "{camera}");
        let wrong =
            names.iter().zip(people).filter(|(names, person)| names.iter().any(|name| name != *person));
        assert_eq!(wrong.count(), 0, "wrong names at {camera}: {names:?}");
        let right =
            names.iter().zip(people).filter(|(names, person)| names.iter().any(|name| name == *person));
        let right = right.count();
        assert!(right * 10 >= 9 * people.len(), "{camera}: {right} of {} named", people.len());
    }
}

#[test]
fn photographs_of_two_people_get_two_names() {
    let (man, woman) = (pictures::man(), pictures::clip("WolfgangLanger_Pexels.mp4"));
    let site = Site::start(1);
    site.enrol("viktor", &man.iter().step_by(12).collect::<Vec<_>>());
    let hers = |n: usize| pictures::jpeg(&woman_in_his_place(&woman[n]));
    let shown = [
        ("viktor", man[3].clone()),
        ("", hers(0)),
        ("", hers(100)),
        ("viktor", man[40].clone()),
        ("", hers(9)),
    ];
    for (n, (_, picture)) in shown.iter().enumerate() {
        site.file(&format!("photographs/{n}.jpg"), picture);
    }
    let _host = site.host();
    site.everyframe(&["camera", "--id", "photographs", "photographs"]).expect_success();
    // The same from a producer without headers, and from one that starts a new session for each frame.
    site.send(&shown.iter().map(|(_, picture)| Frame::new("plain", picture)).collect::<Vec<_>>());
    let mut sessions: Vec<Frame> =
        shown.iter().flat_map(|(_, picture)| Frame::stream("sessions", [picture])).collect();
    for (n, frame) in sessions.iter_mut().enumerate() {
        if let Some((session, _, at)) = &mut frame.stamp {
            (*session, *at) = (format!("session-{n}"), *at + 100 * n as i64);
        }
    }
    site.send(&sessions);
    for (camera, names) in names(&site, 3 * shown.len()) {
        let right: Vec<&str> = shown.iter().map(|(person, _)| *person).collect();
        let told: Vec<String> = names.iter().map(|names| names.join(" and ")).collect();
        assert_eq!(told, right, "{camera}");
    }
}

/// The part of a picture with a head, scaled so that its face is `side` pixels wide.
fn head(picture: &Mat, face: [f32; 4], side: f32) -> Mat {
    let [x, y, width, height] = face;
    let left = (x - 0.3 * width).max(0.0) as i32;
    let top = (y - 0.2 * height).max(0.0) as i32;
    let right = ((x + 1.3 * width) as i32).min(picture.cols());
    let bottom = ((y + 1.2 * height) as i32).min(picture.rows());
    let part = Mat::roi(picture, Rect::new(left, top, right - left, bottom - top)).expect("a part");
    let scale = f64::from(side / width);
    let mut small = Mat::default();
    resize(&part, &mut small, Size::default(), scale, scale, INTER_AREA).expect("it can be scaled");
    small
}

/// A head in a picture, its left edge at `x`. True if it lies inside.
fn paste(picture: &mut Mat, head: &Mat, x: i32) -> bool {
    let place = Rect::new(x, 90, head.cols(), head.rows());
    let is_inside = x >= 0 && x + place.width <= picture.cols();
    if is_inside {
        head.copy_to(&mut Mat::roi_mut(picture, place).expect("a part")).expect("a copy");
    }
    is_inside
}

/// By camera: for each frame, the known faces as name and middle, pixels from the left.
fn known_faces(site: &Site, count: usize) -> BTreeMap<String, Vec<Vec<(String, f64)>>> {
    let mut all: BTreeMap<String, Vec<Vec<(String, f64)>>> = BTreeMap::new();
    for record in site.wait_for_records(Topic::Results, count) {
        let result = record.json();
        let data = &result["data"];
        let known = data["faces"].as_array().into_iter().flatten().filter(|face| face["decision"] == "known");
        let middle = |face: &Value| {
            let [x, width] = ["x", "width"].map(|key| face["bounds"][key].as_f64().expect("a number"));
            (face["person"].as_str().unwrap_or_default().to_owned(), x + width / 2.0)
        };
        let camera = data["camera"].as_str().unwrap_or_default().to_owned();
        all.entry(camera).or_default().push(known.map(middle).collect());
    }
    all
}

#[test]
fn people_who_cross_or_follow_each_other_keep_their_names() {
    const FRAMES: i32 = 60;
    let (man, woman) = (pictures::man(), pictures::clip("WolfgangLanger_Pexels.mp4"));
    let site = Site::start(2);
    site.enrol("viktor", &man.iter().step_by(12).collect::<Vec<_>>());
    site.enrol("wilma", &woman.iter().step_by(60).collect::<Vec<_>>());
    let empty = decoded(&pictures::clip("no_face.mp4")[0]);
    let mut frames = Vec::new();
    // By camera and frame, where each person is: the middle of the head, pixels from the left.
    let mut truth: BTreeMap<String, Vec<Vec<(&str, f64)>>> = BTreeMap::new();
    let mut shot = |camera: &str, places: &dyn Fn(i32) -> Vec<(&'static str, i32)>| {
        let mut pictures = Vec::new();
        for n in 0..FRAMES {
            let (his, hers) = (decoded(&man[n as usize]), decoded(&woman[n as usize]));
            let mut picture = empty.clone();
            let mut people = Vec::new();
            for (person, x) in places(n) {
                let head = if person == "viktor" { head(&his, MAN, 90.0) } else { head(&hers, WOMAN, 90.0) };
                if paste(&mut picture, &head, x) {
                    people.push((person, f64::from(x) + f64::from(head.cols()) / 2.0));
                }
            }
            pictures.push(pictures::jpeg(&picture));
            truth.entry(camera.to_owned()).or_default().push(people);
        }
        frames.extend(Frame::stream(camera, &pictures));
    };
    // The later one of a list hides the earlier one.
    shot("she passes in front of him", &|n| vec![("viktor", 400), ("wilma", 20 + 12 * n)]);
    shot("both walk", &|n| vec![("viktor", 700 - 10 * n), ("wilma", 60 + 10 * n)]);
    shot("replaced while nobody is seen", &|n| match n {
        0..25 => vec![("viktor", 400)],
        25..31 => vec![],
        _ => vec![("wilma", 400)],
    });
    shot("replaced behind the other one", &|n| match n {
        0..20 => vec![("viktor", 400), ("wilma", 100 + 15 * n)],
        20..26 => vec![("wilma", 400)],
        _ => vec![("wilma", 400), ("viktor", (400 + 15 * (n - 26)).min(760))],
    });
    let _host = site.host();
    site.send(&frames);
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    for (camera, seen) in known_faces(&site, frames.len()) {
        let (mut wrong, mut right) = (Vec::new(), 0);
        for (n, (seen, people)) in seen.iter().zip(&truth[&camera]).enumerate() {
            for (name, middle) in seen {
                let nearest =
                    people.iter().min_by(|a, b| (a.1 - middle).abs().total_cmp(&(b.1 - middle).abs()));
                // Where one head covers the other in part, the face may be either's.
                let is_either = people.iter().filter(|(_, place)| (place - middle).abs() < 90.0).count() > 1;
                match nearest {
                    Some((person, _)) if person == name => right += 1,
                    Some(_) if is_either => {}
                    _ => wrong.push((n, name.clone(), *middle)),
                }
            }
        }
        assert!(wrong.is_empty(), "{camera}: wrong names {wrong:?}");
        assert!(right >= 30, "{camera}: {right} right names");
    }
}

#[test]
fn a_cross_fade_and_a_playlist_carry_no_name() {
    let (man, woman) = (pictures::man(), pictures::clip("WolfgangLanger_Pexels.mp4"));
    let site = Site::start(2);
    site.enrol("viktor", &man.iter().step_by(12).collect::<Vec<_>>());
    let mut frames = Vec::new();
    for (camera, length) in [("fade of 3", 3), ("fade of 10", 10), ("fade of 20", 20)] {
        let shown: Vec<Vec<u8>> = (0..60)
            .map(|n: usize| {
                let (his, hers) = (decoded(&man[n]), woman_in_his_place(&woman[n]));
                let share = (n.saturating_sub(20) as f64 / length as f64).min(1.0);
                let mut both = Mat::default();
                add_weighted(&his, 1.0 - share, &hers, share, 0.0, &mut both, -1).expect("a mixture");
                pictures::jpeg(&both)
            })
            .collect();
        frames.extend(Frame::stream(camera, &shown));
    }
    // Stills of four people, one after another, as a camera shows them; then him again.
    let stills = ["person_a_1", "person_b_1", "impostor_1", "person_a_2", "impostor_2", "person_b_2"];
    let mut playlist: Vec<Vec<u8>> = Vec::new();
    for still in stills {
        let bytes = std::fs::read(places::cached(&format!("stills/{still}.jpg"))).expect("a still");
        playlist.extend([man[5].clone(), bytes.clone(), bytes]);
    }
    frames.extend(Frame::stream("playlist", &playlist));
    let _host = site.host();
    site.send(&frames);
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    for (camera, names) in names(&site, frames.len()) {
        for (n, names) in names.iter().enumerate() {
            let may_be_him = match camera.as_str() {
                "playlist" => n % 3 == 0,
                "fade of 3" => n < 23,
                "fade of 10" => n < 30,
                _ => n < 40,
            };
            assert!(may_be_him || names.is_empty(), "{camera}, frame {n}: {names:?}");
        }
        let named = names.iter().filter(|names| !names.is_empty()).count();
        assert!(named >= if camera == "playlist" { 6 } else { 18 }, "{camera}: {named} frames with his name");
    }
}
