//! Statistics of face verification: from the similarities of pairs of faces to error rates.

use serde::Serialize;

/// The share of pictures that [`Verification::tar_without_worst`] leaves out.
pub const WORST_SHARE: f64 = 0.1;

/// Two faces that were compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Cosine similarity, −1 to 1.
    pub similarity: f32,
    /// The lower quality of the two, 0 to 1.
    pub quality: f32,
}

/// All pairs of faces that were compared.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// Pairs of faces of one person.
    pub same: Vec<Pair>,
    /// Pairs of faces of two people.
    pub different: Vec<Pair>,
}

/// Error rates, in percent. A rate is none if there are too few pairs to measure it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Number of pairs of one person.
    pub same_pairs: usize,
    /// Number of pairs of two people.
    pub different_pairs: usize,
    /// Equal error rate: the error at the threshold at which as many pairs of one person are rejected as pairs of two people
    /// are accepted.
    pub eer: Option<f64>,
    /// True accept rate: pairs of one person that are accepted at the threshold that accepts 1 in 1,000 pairs of two people.
    pub tar_at_far_1e3: Option<f64>,
    /// The same at the threshold that accepts 1 in 10,000 pairs of two people.
    pub tar_at_far_1e4: Option<f64>,
    /// As `tar_at_far_1e3`, for pairs whose quality is below 0.2, from 0.2 to 0.4, and so on up to 1.
    pub tar_by_quality: [Option<f64>; 5],
    /// As `tar_at_far_1e3`, at the same threshold, without the pairs of a face whose quality is below that of 90 % of the faces.
    pub tar_without_worst: Option<f64>,
}

impl Pairs {
    /// Computes the error rates. Pairs of a lower quality than `worst_quality` are left out of `tar_without_worst`.
    pub fn verify(&self, worst_quality: f32) -> Verification {
        let sorted = |pairs: &[Pair]| {
            let mut similarities: Vec<f32> = pairs.iter().map(|pair| pair.similarity).collect();
            similarities.sort_by(f32::total_cmp);
            similarities
        };
        let (same, different) = (sorted(&self.same), sorted(&self.different));
        let of_quality = |is_selected: &dyn Fn(f32) -> bool| {
            sorted(&self.same.iter().copied().filter(|pair| is_selected(pair.quality)).collect::<Vec<Pair>>())
        };
        let threshold = highest_accepted(&different, 1e-3);
        let accepted = |same: &[f32], threshold: Option<f32>| {
            threshold.filter(|_| !same.is_empty()).map(|threshold| {
                100.0 * share(same.len() - same.partition_point(|it| *it <= threshold), same.len())
            })
        };
        Verification {
            same_pairs: same.len(),
            different_pairs: different.len(),
            eer: equal_error(&same, &different).map(|share| 100.0 * share),
            tar_at_far_1e3: accepted(&same, threshold),
            tar_at_far_1e4: accepted(&same, highest_accepted(&different, 1e-4)),
            tar_by_quality: [0, 1, 2, 3, 4]
                .map(|fifth| accepted(&of_quality(&|it| ((5.0 * it) as u32).min(4) == fifth), threshold)),
            tar_without_worst: accepted(&of_quality(&|it| it >= worst_quality), threshold),
        }
    }
}

/// The similarity that a pair must exceed, so that at most the share `far` of `different` (ascending) exceeds it. None if one
/// pair of `different` is already more.
fn highest_accepted(different: &[f32], far: f64) -> Option<f32> {
    let may_exceed = (far * different.len() as f64).floor() as usize;
    (may_exceed > 0).then(|| different.len().checked_sub(may_exceed + 1)).flatten().map(|at| different[at])
}

/// The error rate, 0 to 1, at the threshold at which both errors are most nearly equal: their mean. Both lists ascend. None
/// without pairs of both kinds.
fn equal_error(same: &[f32], different: &[f32]) -> Option<f64> {
    if same.is_empty() || different.is_empty() {
        return None;
    }
    let errors = same.iter().chain(different).map(|threshold| {
        let rejected = share(same.partition_point(|it| it < threshold), same.len());
        let accepted =
            share(different.len() - different.partition_point(|it| it < threshold), different.len());
        ((rejected - accepted).abs(), (rejected + accepted) / 2.0)
    });
    errors.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))).map(|(_, error)| error)
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(similarities: impl IntoIterator<Item = f32>) -> Vec<Pair> {
        similarities.into_iter().map(|similarity| Pair { similarity, quality: 1.0 }).collect()
    }

    #[test]
    fn separated_similarities_have_no_errors() {
        let pairs = Pairs { same: pairs([0.6, 0.7]), different: pairs((0..10_000).map(|n| n as f32 / 2e4)) };
        let found = pairs.verify(0.0);
        assert_eq!((found.same_pairs, found.different_pairs), (2, 10_000));
        assert_eq!(found.eer, Some(0.0));
        assert_eq!((found.tar_at_far_1e3, found.tar_at_far_1e4), (Some(100.0), Some(100.0)));
    }

    #[test]
    fn rates_are_those_counted_by_hand() {
        // One of ten pairs of one person is below 100 of 1,000 pairs of two people.
        let different = (0..900).map(|_| 0.1).chain((0..100).map(|n| 0.3 + n as f32 / 1e4));
        let same = [0.2, 0.3095, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
        let found = Pairs { same: pairs(same), different: pairs(different) }.verify(0.0);
        // At 0.3001 one of ten is rejected and 99 of 1,000 are accepted.
        assert!((found.eer.unwrap() - 9.95).abs() < 0.06, "{found:?}");
        // One of 1,000 may exceed the threshold: 0.3098.
        assert_eq!(found.tar_at_far_1e3, Some(80.0));
        assert_eq!(found.tar_at_far_1e4, None, "1,000 pairs cannot show it");
    }

    #[test]
    fn the_worst_pairs_can_be_left_out() {
        let mut same = pairs([0.9, 0.9, 0.9, 0.1]);
        same[3].quality = 0.2;
        let found = Pairs { same, different: pairs((0..2000).map(|_| 0.5)) }.verify(0.5);
        assert_eq!((found.tar_at_far_1e3, found.tar_without_worst), (Some(75.0), Some(100.0)));
        assert_eq!(found.tar_by_quality, [None, Some(0.0), None, None, Some(100.0)]);
    }

    #[test]
    fn without_pairs_there_are_no_rates() {
        let found = Pairs::default().verify(0.0);
        assert_eq!((found.eer, found.tar_at_far_1e3, found.tar_without_worst), (None, None, None));
    }
}
