//! A name is never carried to another face.

use everyframe_tests::{Frame, Site, Topic, pictures};
use opencv::core::{BORDER_REPLICATE, Mat, Rect, Size, Vector};
use opencv::imgcodecs::{IMREAD_COLOR, imdecode};
use opencv::imgproc::{INTER_LINEAR, warp_affine};
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
