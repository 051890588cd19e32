//! The remembered views by which a stranger is recognised.

/// Number of views kept for each stranger: enough for a face from the front and from both sides.
const MAX_VIEWS: usize = 4;
/// A face whose similarity to every view is below this becomes a new view. More similar views would be redundant: with 0.8
/// the four views are soon used up, and in some orders of her pictures the woman of the clip became two strangers.
const NEW_VIEW_BELOW: f32 = 0.6;
/// A face with a similarity below this is no view of the same person, even on the same track: trackers jump from one person
/// to another. Two pictures of one woman in one clip go down to 0.23; one pair in six of different ORL people is above
/// 0.2.
const SAME_TRACK_FROM: f32 = 0.2;

/// Up to four different views of one person: unit vectors with 8 bits for each number, which changes a cosine by about
/// 0.002.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Views(Vec<Vec<i8>>);

impl Views {
    /// One view, if the embedding is a unit vector.
    pub fn of(embedding: &[f32]) -> Option<Views> {
        Some(Views(vec![quantise(embedding)?]))
    }

    /// The views of a stored record: `count` vectors of equal length, one after the other.
    pub fn from_bytes(count: usize, bytes: &[u8]) -> Option<Views> {
        if count == 0 || count > MAX_VIEWS || bytes.is_empty() || !bytes.len().is_multiple_of(count) {
            return None;
        }
        let vector = |chunk: &[u8]| chunk.iter().map(|byte| byte.cast_signed()).collect();
        Some(Views(bytes.chunks(bytes.len() / count).map(vector).collect()))
    }

    /// The number of views.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The vectors, one after the other.
    pub fn bytes(&self) -> impl Iterator<Item = u8> {
        self.0.iter().flatten().map(|number| number.cast_unsigned())
    }

    /// Whether there is room for another.
    pub fn wants_more(&self) -> bool {
        self.0.len() < MAX_VIEWS
    }

    /// Cosine similarity to the nearest view, −1 to 1; −1 also for an embedding of another model.
    ///
    /// The nearest view, not a mean: the mean of the two nearest separated the ORL people a little better, but in some
    /// orders of her pictures it made two strangers of the woman of the clip.
    pub fn similarity(&self, embedding: &[f32]) -> f32 {
        let length = norm(embedding.iter().copied());
        self.0.iter().map(|view| cosine(view, embedding, length)).fold(-1.0, f32::max)
    }

    /// The number of the view that is most similar to the embedding, from 0.
    pub fn nearest(&self, embedding: &[f32]) -> usize {
        let length = norm(embedding.iter().copied());
        let similarities = self.0.iter().map(|view| cosine(view, embedding, length));
        similarities
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
            .map_or(0, |(place, _)| place)
    }

    /// Adds the views of the same person that another record has, as long as there is room.
    pub fn absorb(&mut self, other: Views) {
        let same_model = |view: &Vec<i8>| self.0.first().is_some_and(|own| own.len() == view.len());
        let others: Vec<_> = other.0.into_iter().filter(same_model).take(MAX_VIEWS - self.0.len()).collect();
        self.0.extend(others);
    }

    /// Keeps the embedding if it shows the same person from a new side. Returns whether it did.
    pub fn learn(&mut self, embedding: &[f32]) -> bool {
        let similarity = self.similarity(embedding);
        if !self.wants_more() || !(SAME_TRACK_FROM..NEW_VIEW_BELOW).contains(&similarity) {
            return false;
        }
        let view = quantise(embedding);
        let is_new = view.is_some();
        self.0.extend(view);
        is_new
    }
}

fn quantise(embedding: &[f32]) -> Option<Vec<i8>> {
    let largest = embedding.iter().fold(0.0, |largest: f32, number| largest.max(number.abs()));
    let is_direction = largest > 0.0 && embedding.iter().all(|number| number.is_finite());
    is_direction.then(|| embedding.iter().map(|number| (number / largest * 127.0).round() as i8).collect())
}

fn cosine(view: &[i8], embedding: &[f32], length: f32) -> f32 {
    if view.len() != embedding.len() {
        return -1.0;
    }
    let dot: f32 = view.iter().zip(embedding).map(|(a, b)| f32::from(*a) * b).sum();
    let cosine = dot / (norm(view.iter().map(|number| f32::from(*number))) * length);
    if cosine.is_finite() { cosine } else { -1.0 }
}

fn norm(numbers: impl Iterator<Item = f32>) -> f32 {
    numbers.map(|number| number * number).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit vector at an angle in the plane of the first two of 128 numbers.
    fn at_cosine(cosine: f32) -> Vec<f32> {
        let mut vector = vec![0.0; 128];
        (vector[0], vector[1]) = (cosine, (1.0 - cosine * cosine).sqrt());
        vector
    }

    #[test]
    fn similarity_is_the_cosine_to_the_nearest_view() {
        let mut views = Views::of(&at_cosine(1.0)).unwrap();
        assert!((views.similarity(&at_cosine(0.5)) - 0.5).abs() < 0.005);
        assert!(views.learn(&at_cosine(0.3)));
        assert!((views.similarity(&at_cosine(0.3)) - 1.0).abs() < 0.005);
    }

    #[test]
    fn only_new_views_of_the_same_person_are_kept() {
        let mut views = Views::of(&at_cosine(1.0)).unwrap();
        assert!(!views.learn(&at_cosine(0.9)), "nothing new");
        assert!(!views.learn(&at_cosine(0.1)), "somebody else, whatever the track says");
        assert!(views.learn(&at_cosine(0.4)));
        assert_eq!(views.count(), 2);
    }

    #[test]
    fn there_are_at_most_four_views() {
        let mut views = Views::of(&at_cosine(1.0)).unwrap();
        for axis in 1..20 {
            let mut embedding = vec![0.0; 128];
            (embedding[0], embedding[axis]) = (0.5, 0.866);
            views.learn(&embedding);
        }
        assert_eq!(views.count(), MAX_VIEWS);
        assert!(!views.wants_more());
    }

    #[test]
    fn an_invalid_embedding_is_no_view() {
        let views = Views::of(&at_cosine(1.0)).unwrap();
        for odd in [vec![], vec![0.0; 128], vec![f32::NAN; 128], vec![f32::INFINITY; 128]] {
            assert_eq!(Views::of(&odd), None);
            assert_eq!(views.similarity(&odd), -1.0);
        }
    }

    #[test]
    fn embeddings_of_another_model_are_not_similar() {
        let mut views = Views::of(&at_cosine(1.0)).unwrap();
        assert_eq!(views.similarity(&[1.0; 512]), -1.0);
        assert!(!views.learn(&[1.0; 512]));
    }

    #[test]
    fn the_nearest_view_is_found_by_number() {
        let mut views = Views::of(&at_cosine(1.0)).unwrap();
        views.learn(&at_cosine(0.3));
        assert_eq!([views.nearest(&at_cosine(0.9)), views.nearest(&at_cosine(0.2))], [0, 1]);
    }

    #[test]
    fn absorbed_views_are_recognised() {
        let mut views = Views::of(&at_cosine(1.0)).unwrap();
        let mut others = Views::of(&at_cosine(-0.5)).unwrap();
        others.learn(&at_cosine(0.0));
        views.absorb(others);
        assert!(views.similarity(&at_cosine(-0.5)) > 0.99);
        views.absorb(Views::of(&[1.0; 512]).unwrap());
        views.absorb(Views(vec![vec![1; 128]; 4]));
        assert_eq!(views.count(), MAX_VIEWS);
    }

    #[test]
    fn views_are_decoded_as_they_were_encoded() {
        let mut views = Views::of(&at_cosine(1.0)).unwrap();
        views.learn(&at_cosine(-0.5));
        views.learn(&at_cosine(0.4));
        let bytes: Vec<u8> = views.bytes().collect();
        assert_eq!(Views::from_bytes(views.count(), &bytes), Some(views));
        assert_eq!(Views::from_bytes(3, &bytes), None);
        assert_eq!(Views::from_bytes(0, &[]), None);
    }
}
