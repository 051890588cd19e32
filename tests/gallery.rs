//! Enrolment, and hosts that follow the gallery.

use everyframe_tests::{Frame, Part, Site, Topic, pictures, places, wait_for};
use std::path::PathBuf;

fn enrol(site: &Site, person: &str, files: &[&PathBuf]) -> everyframe_tests::Ended {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let mut words = vec!["enrol", person];
    words.extend(files.iter().map(String::as_str));
    site.everyframe(&words)
}

#[test]
fn enrolment_refuses_unsuitable_pictures_by_name() {
    let site = Site::start(1);
    let man = pictures::man();
    let good = site.file("good.jpg", &man[0]);
    let nobody = site.file("nobody.jpg", &pictures::grey(640, 480));
    let several = places::cached("footage/multi_face.jpg");
    let text = site.file("text.jpg", b"no picture");
    let absent = site.folder().join("absent.jpg");

    let ended = enrol(&site, "viktor", &[&good, &nobody, &several, &text, &absent]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.starts_with(&format!("{}: enrolled, quality 0.", good.display())), "{}", ended.out);
    assert!(ended.out.ends_with("viktor: enrolled 1, refused 4\n"), "{}", ended.out);
    let said: Vec<&str> = ended.err.lines().filter(|line| line.starts_with("everyframe: ")).collect();
    assert_eq!(
        said,
        [
            format!(
                "everyframe: {}: refused: no face found; use a picture that shows the face from the front",
                nobody.display()
            ),
            format!(
                "everyframe: {}: refused: 5 faces found; cut the picture so that it shows one",
                several.display()
            ),
            format!("everyframe: {}: refused: not a JPEG, PNG or WebP picture", text.display()),
            format!("everyframe: {}: refused: No such file or directory (os error 2)", absent.display()),
        ]
    );

    let ended = site.everyframe(&["enrol", "viktor", "--min-quality", "0.99", &good.to_string_lossy()]);
    assert_eq!(ended.code, Some(1));
    let poor = format!("everyframe: {}: refused: the face is poor (quality 0.", good.display());
    assert!(ended.err.contains(&poor), "{}", ended.err);
    assert!(
        ended.err.contains("at least 0.99 wanted): it is not clear; use a picture in which"),
        "{}",
        ended.err
    );
}

#[test]
fn enrolment_says_what_is_wrong_with_a_face() {
    let site = Site::start(1);
    let man = &pictures::man()[0];
    // His face is 212 pixels high, between 223 and 367 pixels from the left.
    for (name, picture, fault) in [
        ("small", pictures::scaled(man, 0.15), "pixels high, "),
        ("blurred", pictures::blurred(man, 9.0), "it is blurred; use a sharper picture"),
        ("dark", pictures::exposed(man, 0.12), "it is too dark; use a picture with more light on it"),
        ("bright", pictures::exposed(man, 2.5), "it is too bright; use a picture with less light on it"),
        ("cut", pictures::cut(man, 300), "the edge of the picture cuts it off; use a picture of all of it"),
    ] {
        let file = site.file(&format!("{name}.jpg"), &picture);
        let ended = site.everyframe(&["enrol", "viktor", "--min-quality", "0.75", &file.to_string_lossy()]);
        assert_eq!(ended.code, Some(1), "{name}: {}", ended.out);
        assert!(ended.err.contains("refused: the face is poor (quality 0."), "{name}: {}", ended.err);
        assert!(ended.err.contains(fault), "{name}: {}", ended.err);
    }
}

#[test]
fn a_picture_of_somebody_else_is_pointed_out() {
    let site = Site::start(1);
    let man = pictures::man();
    let files = [site.file("1.jpg", &man[0]), site.file("2.jpg", &man[30])];
    let woman = site.file("woman.jpg", &pictures::clip("WolfgangLanger_Pexels.mp4")[0]);
    let ended = enrol(&site, "viktor", &[&files[0], &files[1]]);
    assert!(!ended.err.contains("looks unlike"), "{}", ended.err);
    let warning = "everyframe: warning: the face of woman.jpg looks unlike the other samples of `viktor`";
    for ended in [enrol(&site, "viktor", &[&woman]), site.everyframe(&["gallery", "list"])] {
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert_eq!(ended.err.matches("looks unlike").count(), 1, "{}", ended.err);
        assert!(ended.err.contains(warning), "{}", ended.err);
    }
}

#[test]
fn people_are_listed_with_their_samples_and_removed() {
    let site = Site::start(1);
    let man = pictures::man();
    let files = [site.file("1.jpg", &man[0]), site.file("2.jpg", &man[30])];
    enrol(&site, "viktor", &[&files[0], &files[1]]).expect_success();
    // The same picture with another file name is still the same sample.
    let copy = site.file("copy.jpg", &man[0]);
    enrol(&site, "viktor", &[&copy]).expect_success();
    let woman = site.file("woman.jpg", &pictures::clip("WolfgangLanger_Pexels.mp4")[0]);
    site.everyframe(&["enrol", "ada", "--name", "Ada L.", &woman.to_string_lossy()]).expect_success();

    assert_eq!(
        site.everyframe(&["gallery", "list"]).expect_success(),
        "ada  Ada L.  samples: 1\nviktor  viktor  samples: 2\n"
    );
    assert_eq!(
        site.everyframe(&["gallery", "list", "--json"]).expect_success(),
        "{\"name\":\"Ada L.\",\"person\":\"ada\",\"samples\":1}\n\
         {\"name\":\"viktor\",\"person\":\"viktor\",\"samples\":2}\n"
    );
    let receipt = site.everyframe(&["gallery", "erase", "viktor"]);
    assert!(receipt.err.contains("viktor: samples erased: 2,"), "{}", receipt.err);
    receipt.expect_success();
    let again = site.everyframe(&["gallery", "erase", "viktor"]);
    assert_eq!(again.code, Some(1));
    let said = "everyframe: nobody with the id `viktor` is enrolled, and no stranger has it; `everyframe gallery list` shows who is \
                enrolled\n";
    assert!(again.err.ends_with(said), "{}", again.err);
    site.everyframe(&["gallery", "erase", "ada"]).expect_success();
    assert_eq!(
        site.everyframe(&["gallery", "list"]).expect_success(),
        "nobody is enrolled; `everyframe enrol PERSON PICTURES…` does it\n"
    );
    let topic = site.read(Topic::Gallery);
    assert!(topic.iter().any(|record| record.value.is_none()), "an erasure is a tombstone");
}

#[test]
fn a_running_host_follows_enrolments_and_removals() {
    let site = Site::start(1);
    let host = site.host();
    let man = pictures::man();
    let mut sent = 0;
    // Another camera each time, so that no track has an earlier embedding.
    let mut decision = || {
        sent += 1;
        site.send(&Frame::stream(&format!("camera-{sent}"), &man[..1]));
        let results = site.wait_for_records(Topic::Results, sent);
        results[sent - 1].json()["data"]["faces"][0].clone()
    };
    assert_eq!(decision()["decision"], "unknown");

    let changes = |host: &Part| host.err().matches("gallery changed").count();
    site.enrol("viktor", &[&man[40]]);
    wait_for("the host to take in the person", || (changes(&host) == 1).then_some(()));
    let face = decision();
    assert_eq!((&face["decision"], &face["person"]), (&"known".into(), &"viktor".into()), "{face}");

    site.everyframe(&["gallery", "erase", "viktor"]).expect_success();
    wait_for("the host to forget the person", || (changes(&host) == 2).then_some(()));
    let face = decision();
    assert_eq!(
        (&face["decision"], face["candidates"].as_array().map(Vec::len)),
        (&"unknown".into(), Some(0))
    );
}

#[test]
fn a_host_reads_the_whole_gallery_before_its_first_frame() {
    let site = Site::start(1);
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    site.send(&Frame::stream("gate", &man[..3]));
    let host = site.host();
    for record in site.wait_for_records(Topic::Results, 3) {
        assert_eq!(record.json()["data"]["faces"][0]["person"], "viktor");
    }
    assert!(host.err().contains("gallery read people=1"), "{}", host.err());
}

#[test]
fn one_face_under_two_ids_is_refused_without_force() {
    let site = Site::start(1);
    let man = pictures::man();
    let (one, other) = (site.file("1.jpg", &man[0]), site.file("2.jpg", &man[40]));
    enrol(&site, "Jose\u{301} ", &[&one]).expect_success();
    enrol(&site, "Jos\u{e9}", &[&other]).expect_success();
    assert_eq!(site.everyframe(&["gallery", "list"]).expect_success(), "Jos\u{e9}  Jos\u{e9}  samples: 2\n");

    let refused = enrol(&site, "viktor", &[&other]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), "viktor: enrolled 0, refused 1\n"));
    assert!(
        refused.err.contains("refused: the face resembles `Jos\u{e9}`, who is enrolled, similarity "),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("--force"), "{}", refused.err);
    let refused = enrol(&site, "JOS\u{c9}", &[&other]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert!(refused.err.contains("looks like `Jos\u{e9}`"), "{}", refused.err);
    for wrong in ["a/b", "a\nb", "\u{202a}", ""] {
        assert_eq!(enrol(&site, wrong, &[&one]).code, Some(2), "{wrong:?}");
    }

    site.everyframe(&["enrol", "viktor", "--force", &other.to_string_lossy()]).expect_success();
    let list = site.everyframe(&["gallery", "list"]);
    assert!(
        list.err.contains("`Jos\u{e9}` and `viktor` have nearly the same face (similarity "),
        "{}",
        list.err
    );
    let host = site.host();
    wait_for("the host to say so", || host.err().contains("have nearly the same face").then_some(()));
}
