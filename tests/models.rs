//! Importing a model, and moving the gallery to it.

use everyframe_tests::{Site, pictures, places, shipped_rules};
use std::path::Path;

/// Fills a models' folder of the site with the shipped detector, and imports the shipped embedder as another one: with another
/// declared operator set its file has another sum, and so another identity.
fn import_other_embedder(site: &Site) {
    let shipped = places::cached("models");
    for file in ["yunet-2023mar.toml", "yunet-2023mar.onnx"] {
        let bytes = std::fs::read(shipped.join(file)).unwrap();
        site.file(&format!("models/{file}"), &bytes);
    }
    let models = site.folder().join("models");
    let file = shipped.join("sface-2021dec.onnx");
    let words = ["model", "import", &text(&file), "--kind", "embedder", "--name", "other"];
    let options = ["--opset", "14", "--licence", "Apache-2.0", "--into", &text(&models)];
    let out = site.everyframe(&[&words[..], &options[..]].concat()).expect_success();
    // Providers round differently, so the last digits depend on the machine.
    let agrees = ["1.0000", "0.9999"]
        .map(|cosine| format!("agrees with the original on 6 faces, least cosine {cosine}"));
    assert!(agrees.iter().any(|agrees| out.contains(agrees)), "{out}");
    assert!(out.contains("use it with [vision.embedder] model = \"other\""), "{out}");
    let vision = format!(
        "[vision]\nmodels = \"{}\"\n\n[vision.embedder]\nmodel = \"other\"\nprovider = \"cpu\"\n",
        models.display()
    );
    site.configure(&vision, &shipped_rules(""));
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn people_move_to_another_embedder_by_their_pictures() {
    let site = Site::start(1);
    let man = pictures::man();
    let (kept, lost) = (site.file("kept/a/renamed.jpg", &man[0]), site.file("lost.jpg", &man[30]));
    let woman = site.file("woman.jpg", &pictures::clip("WolfgangLanger_Pexels.mp4")[0]);
    site.everyframe(&["enrol", "viktor", &text(&kept), &text(&lost)]).expect_success();
    site.everyframe(&["enrol", "ada", &text(&woman)]).expect_success();
    import_other_embedder(&site);

    let folder = text(&site.folder().join("kept"));
    let trial = site.everyframe(&["gallery", "migrate", "--pictures", &folder, "--dry-run"]);
    assert_eq!(trial.code, Some(1), "{trial:?}");
    let expected = format!(
        "viktor: {}: would be embedded again\n\
         viktor: some samples are of another embedder still\n\
         ada: enrol again\n\
         embedder other: samples of it 0, would be embedded again 1, people to enrol again 1\n",
        kept.display()
    );
    assert_eq!(trial.out, expected);

    let done = site.everyframe(&["gallery", "migrate", "--pictures", &folder]);
    assert_eq!(done.out, expected.replace("would be embedded", "embedded"));
    // With the other embedder, a further picture of the man resembles the migrated template.
    let further = site.file("further.jpg", &man[5]);
    let other = site.everyframe(&["enrol", "somebody", &text(&further)]);
    assert_eq!(other.code, Some(1));
    assert!(other.err.contains("the face resembles `viktor`"), "{}", other.err);

    site.everyframe(&["enrol", "ada", &text(&woman)]).expect_success();
    let again = site.everyframe(&["gallery", "migrate"]).expect_success();
    assert!(again.ends_with("samples of it 2, embedded again 0, people to enrol again 0\n"), "{again}");
}

#[test]
fn models_are_listed_with_licence_and_provider() {
    let site = Site::start(1);
    import_other_embedder(&site);
    let out = site.everyframe(&["model", "list"]).expect_success();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("* other ") && lines[0].contains(" embedder  Apache-2.0 "), "{out}");
    assert!(lines[0].contains(" cpu ") && lines[0].ends_with(" ms"), "{out}");
    assert!(lines[1].starts_with("* yunet-2023mar ") && lines[1].contains(" detector "), "{out}");

    let stills = text(&places::cached("stills"));
    let out = site.everyframe(&["model", "check", &stills]).expect_success();
    assert!(out.contains("6 pictures, with a face 6, with several 0, faces embedded 6"), "{out}");
    assert!(out.contains("accuracy not measured: "), "the stills have no folder for each person: {out}");

    for still in ["person_a_1", "person_a_2", "person_b_1", "person_b_2"] {
        let bytes = std::fs::read(places::cached(&format!("stills/{still}.jpg"))).unwrap();
        site.file(&format!("people/{}/{still}.jpg", &still[..8]), &bytes);
    }
    let out = site.everyframe(&["model", "check", &text(&site.folder().join("people"))]).expect_success();
    assert!(out.contains("2 people, 4 pictures; rates in percent"), "{out}");
}

#[test]
fn a_missing_gpu_provider_says_what_to_do() {
    let site = Site::start(1);
    site.configure("[vision.detector]\nprovider = \"cuda\"\n", &shipped_rules(""));
    let ended = site.everyframe(&["run"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("is a build without CUDA"), "{}", ended.err);
}
