//! A matching policy with feedback: people once taken for each other are told apart with more care.

use everyframe_rule::{
    Candidate, Decision, Frame, Host, Identity, MatchingPolicy, Probe, Problems, Rule, Verdict, settings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The policy, which is its table in the TOML.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct NotThisPerson {
    /// Cosine similarity from which a face is that person, 0 to 1.
    #[serde(serialize_with = "settings::short")]
    threshold: f32,
    /// How much less alike the next best person must be.
    #[serde(serialize_with = "settings::short")]
    margin: f32,
    /// Whom a guard saw taken for each other, by their ids: `[["anna", "berta"]]`.
    confused: Vec<(String, String)>,
    /// How much less alike the other one of such a pair must be.
    #[serde(serialize_with = "settings::short")]
    confused_margin: f32,
}

everyframe_rule::export_matching_policy!(NotThisPerson);

impl Default for NotThisPerson {
    fn default() -> Self {
        NotThisPerson { threshold: 0.45, margin: 0.05, confused: Vec::new(), confused_margin: 0.2 }
    }
}

impl Rule for NotThisPerson {
    const ABOUT: &str = "Says who a face is, and is more careful about people once taken for each other.";

    fn check(&self, problems: &mut Problems) {
        problems.check_range("threshold", self.threshold, 0.0..=1.0);
        problems.check_range("margin", self.margin, 0.0..=1.0);
        problems.check_range("confused_margin", self.confused_margin, self.margin..=1.0);
        for (place, _) in self.confused.iter().enumerate().filter(|(_, (one, other))| one == other) {
            problems.error(format!("confused[{place}]"), "a pair is of two people: name the other one");
        }
    }
}

impl NotThisPerson {
    fn margin_between(&self, one: &str, other: &str) -> f32 {
        let is_pair = |(a, b): &(String, String)| (a == one && b == other) || (a == other && b == one);
        if self.confused.iter().any(is_pair) { self.confused_margin } else { self.margin }
    }

    /// Candidates come best first.
    fn decision(&self, candidates: &[Candidate]) -> Decision {
        let Some(best) = candidates.first().filter(|best| best.similarity >= self.threshold) else {
            return Decision::Unknown;
        };
        let is_rival = |other: &&Candidate| {
            other.person != best.person
                && best.similarity - other.similarity < self.margin_between(&best.person, &other.person)
        };
        match candidates.iter().find(is_rival) {
            Some(rival) => Decision::Undecided(format!("{} or {}", best.person, rival.person)),
            None => Decision::Known(Identity { person: best.person.clone(), confidence: best.similarity }),
        }
    }
}

impl MatchingPolicy for NotThisPerson {
    fn decide(&self, _: &Frame, probes: &[Probe], host: &mut dyn Host) -> Vec<Verdict> {
        let verdict = |probe: &Probe| {
            let face = probe.face.index;
            // Without candidates, either the gallery is empty or the face could not be embedded.
            let is_blind = probe.candidates.is_empty() && host.embedding(face).is_none();
            let decision = if is_blind {
                Decision::Undecided("the face could not be embedded".into())
            } else {
                self.decision(&probe.candidates)
            };
            Verdict { face, decision }
        };
        probes.iter().map(verdict).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_rule::testing::{Shown, Trial, problems, unknown};

    fn decision(settings: &str, shown: Shown) -> Decision {
        Trial::<NotThisPerson>::new(settings).decide([shown]).remove(0).decision
    }

    #[test]
    fn people_once_taken_for_each_other_need_more_between_them() {
        let face = || unknown().like("anna", 0.7).like("berta", 0.6);
        assert!(matches!(decision("{}", face()), Decision::Known(it) if it.person == "anna"));
        for pair in [r#"{"confused": [["anna", "berta"]]}"#, r#"{"confused": [["berta", "anna"]]}"#] {
            assert_eq!(decision(pair, face()), Decision::Undecided("anna or berta".into()));
            assert!(matches!(
                decision(pair, unknown().like("anna", 0.9).like("berta", 0.6)),
                Decision::Known(_)
            ));
            assert!(matches!(
                decision(pair, unknown().like("anna", 0.7).like("cara", 0.6)),
                Decision::Known(_)
            ));
        }
    }

    #[test]
    fn who_is_like_nobody_is_unknown_and_who_was_not_embedded_undecided() {
        assert_eq!(decision("{}", unknown().like("anna", 0.3)), Decision::Unknown);
        assert_eq!(decision("{}", unknown().embedding([1.0])), Decision::Unknown);
        assert!(matches!(decision("{}", unknown()), Decision::Undecided(_)));
    }

    #[test]
    fn a_pair_of_one_and_a_margin_below_the_usual_are_refused() {
        let wrong = r#"{"confused": [["anna", "anna"]], "confused_margin": 0.01}"#;
        let keys: Vec<String> =
            problems::<NotThisPerson>(wrong).into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["confused_margin", "confused[0]"]);
    }
}
