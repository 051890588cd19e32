//! The decision about one face, as pure functions.

use crate::settings::Settings;
use everyframe_rule::{Candidate, Decision, Identity, Probe};

/// Decides about one face. A face without candidates has either met an empty gallery, or could not be embedded.
/// `has_embedding` distinguishes the two, and is called only in this case.
pub fn decide(settings: &Settings, probe: &Probe, has_embedding: impl FnOnce() -> bool) -> Decision {
    // A comparison with NaN is false, so a NaN quality counts as too low.
    let good_enough = probe.face.quality >= settings.min_quality;
    if !good_enough {
        return undecided(format!(
            "too poor to tell: quality {:.2}, {:.2} needed",
            probe.face.quality, settings.min_quality
        ));
    }
    let Some(best) = most_alike(probe.candidates.iter()) else {
        return match probe.candidates.is_empty() {
            false => undecided("no similarity to the gallery's people is a number".into()),
            true if has_embedding() => Decision::Unknown,
            true => undecided("the face could not be embedded".into()),
        };
    };
    if best.similarity < settings.threshold {
        return if best.similarity >= settings.threshold - settings.undecided_band {
            undecided(format!(
                "nearly like {}: {:.2}, {:.2} needed",
                best.person, best.similarity, settings.threshold
            ))
        } else {
            Decision::Unknown
        };
    }
    let rival = most_alike(probe.candidates.iter().filter(|other| other.person != best.person));
    match rival {
        Some(rival) if best.similarity - rival.similarity < settings.margin => undecided(format!(
            "two people alike: {} {:.2}, {} {:.2}",
            best.person, best.similarity, rival.person, rival.similarity
        )),
        _ => Decision::Known(Identity {
            person: best.person.clone(),
            confidence: confidence(best.similarity, settings.threshold),
        }),
    }
}

/// The confidence of a similarity, 0 to 1: a logistic curve with ½ at the threshold. With the steepness of 12 the
/// confidence is 0.92 at 0.2 above the threshold, where SFace puts most pictures of one person. It orders decisions; it
/// is not a probability.
fn confidence(similarity: f32, threshold: f32) -> f32 {
    1.0 / (1.0 + (-12.0 * (similarity - threshold)).exp())
}

/// The candidate with the highest similarity that is a number. The host sorts candidates, but a wrong person would be
/// the price of relying on it.
fn most_alike<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Option<&'a Candidate> {
    candidates
        .filter(|candidate| candidate.similarity.is_finite())
        .reduce(|best, other| if other.similarity > best.similarity { other } else { best })
}

fn undecided(why: String) -> Decision {
    Decision::Undecided(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::{Face, Rect};

    fn probe(candidates: &[(&str, f32)]) -> Probe {
        let bounds = Rect { x: 0.0, y: 0.0, width: 80.0, height: 80.0 };
        Probe {
            face: Face {
                index: 0,
                track: 1,
                track_started_at: 0,
                bounds,
                score: 0.9,
                quality: 0.8,
                zones: vec![],
            },
            candidates: candidates
                .iter()
                .map(|(person, similarity)| Candidate { person: (*person).into(), similarity: *similarity })
                .collect(),
        }
    }

    fn decide_about(candidates: &[(&str, f32)]) -> Decision {
        decide(&Settings::default(), &probe(candidates), || true)
    }

    fn known(decision: &Decision) -> Option<&str> {
        match decision {
            Decision::Known(identity) => Some(&identity.person),
            _ => None,
        }
    }

    fn reason(decision: &Decision) -> &str {
        match decision {
            Decision::Undecided(why) => why,
            other => panic!("decided: {other:?}"),
        }
    }

    #[test]
    fn a_face_similar_to_one_person_is_known() {
        assert_eq!(known(&decide_about(&[("anna", 0.7), ("ben", 0.1)])), Some("anna"));
    }

    #[test]
    fn a_similarity_equal_to_the_threshold_is_enough() {
        assert_eq!(known(&decide_about(&[("anna", 0.45)])), Some("anna"));
    }

    #[test]
    fn a_face_similar_to_nobody_is_unknown() {
        assert_eq!(decide_about(&[("anna", 0.2), ("ben", 0.19)]), Decision::Unknown);
        assert_eq!(decide_about(&[("anna", -1.0)]), Decision::Unknown);
    }

    #[test]
    fn with_an_empty_gallery_everybody_is_unknown() {
        assert_eq!(decide_about(&[]), Decision::Unknown);
    }

    #[test]
    fn a_face_without_embedding_is_undecided() {
        let decision = decide(&Settings::default(), &probe(&[]), || false);
        assert_eq!(reason(&decision), "the face could not be embedded");
    }

    #[test]
    fn just_below_the_threshold_is_undecided_with_a_name() {
        assert_eq!(reason(&decide_about(&[("anna", 0.43)])), "nearly like anna: 0.43, 0.45 needed");
        assert_eq!(decide_about(&[("anna", 0.35)]), Decision::Unknown);
    }

    #[test]
    fn without_a_band_a_face_below_the_threshold_is_unknown() {
        let settings = Settings { undecided_band: 0.0, ..Settings::default() };
        assert_eq!(decide(&settings, &probe(&[("anna", 0.4199)]), || true), Decision::Unknown);
    }

    #[test]
    fn two_similar_people_are_undecided() {
        let decision = decide_about(&[("anna", 0.60), ("ben", 0.58)]);
        assert_eq!(reason(&decision), "two people alike: anna 0.60, ben 0.58");
    }

    #[test]
    fn a_second_person_below_the_threshold_counts() {
        reason(&decide_about(&[("anna", 0.43), ("ben", 0.41)]));
    }

    #[test]
    fn another_sample_of_the_same_person_does_not_count() {
        assert_eq!(known(&decide_about(&[("anna", 0.60), ("anna", 0.59), ("ben", 0.2)])), Some("anna"));
    }

    #[test]
    fn the_order_of_the_candidates_does_not_matter() {
        assert_eq!(known(&decide_about(&[("ben", 0.1), ("anna", 0.7)])), Some("anna"));
        reason(&decide_about(&[("cara", 0.1), ("ben", 0.58), ("anna", 0.60)]));
    }

    #[test]
    fn without_a_margin_the_best_wins() {
        let settings = Settings { margin: 0.0, ..Settings::default() };
        let decision = decide(&settings, &probe(&[("anna", 0.60), ("ben", 0.599)]), || true);
        assert_eq!(known(&decision), Some("anna"));
    }

    #[test]
    fn a_face_of_low_quality_is_undecided() {
        for candidates in [&[("anna", 0.9)][..], &[]] {
            let mut poor = probe(candidates);
            poor.face.quality = 0.1;
            let decision = decide(&Settings::default(), &poor, || true);
            assert_eq!(reason(&decision), "too poor to tell: quality 0.10, 0.25 needed");
        }
    }

    #[test]
    fn a_nan_quality_counts_as_low() {
        let mut odd = probe(&[("anna", 0.9)]);
        odd.face.quality = f32::NAN;
        reason(&decide(&Settings::default(), &odd, || true));
    }

    #[test]
    fn a_nan_similarity_makes_nobody_known() {
        assert_eq!(
            reason(&decide_about(&[("anna", f32::NAN), ("ben", f32::INFINITY)])),
            "no similarity to the gallery's people is a number"
        );
        assert_eq!(known(&decide_about(&[("anna", f32::NAN), ("ben", 0.7)])), Some("ben"));
        assert_eq!(decide_about(&[("anna", f32::NAN), ("ben", 0.1)]), Decision::Unknown);
    }

    #[test]
    fn confidence_rises_with_similarity_between_0_and_1() {
        let all: Vec<f32> = (-10..=10).map(|tenth| confidence(tenth as f32 / 10.0, 0.45)).collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
        assert!(all.iter().all(|sure| (0.0..=1.0).contains(sure)), "{all:?}");
        assert_eq!(confidence(0.45, 0.45), 0.5);
    }
}
