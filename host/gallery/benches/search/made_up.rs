//! Made-up embeddings that are spread like those of real faces, for tests and measurements of the search.

/// Makes people and views of them. Its distribution follows SFace on the 400 pictures of the ORL set: a part that all faces share
/// (mean similarity of two people 0.11, standard deviation 0.096), about 80 directions in which people differ, and views that differ
/// from their person by 0.2 to 0.9 of the person's length. Two views of a person are as far apart as the worse half of ORL's.
pub struct Faces {
    state: u64,
    shared: Vec<f32>,
    /// How much faces differ in each direction.
    spread: Vec<f32>,
}

impl Faces {
    /// Embeddings of `dimension` numbers; always the same ones.
    pub fn new(dimension: usize) -> Self {
        let spread = (0..dimension).map(|place| (-(place as f32) / (0.7 * dimension as f32)).exp()).collect();
        let mut faces = Self { state: 7, shared: Vec::new(), spread: vec![1.0; dimension] };
        faces.shared = faces.direction();
        faces.spread = spread;
        faces
    }

    /// A person: the centre of their views, `[dimension]`, about 0.9 long.
    pub fn person(&mut self) -> Vec<f32> {
        let own = self.direction();
        self.shared.iter().zip(own).map(|(shared, own)| 0.36 * shared + 0.84 * own).collect()
    }

    /// The embedding of a picture of this person, a unit vector `[dimension]`.
    pub fn view(&mut self, person: &[f32]) -> Vec<f32> {
        let far = 0.2 + 0.7 * (self.random() >> 40) as f32 / (1 << 24) as f32;
        let noise = self.direction();
        normalise(person.iter().zip(noise).map(|(person, noise)| person + far * noise).collect())
    }

    fn direction(&mut self) -> Vec<f32> {
        let spread = std::mem::take(&mut self.spread);
        let values = spread.iter().map(|spread| spread * self.gaussian()).collect();
        self.spread = spread;
        normalise(values)
    }

    /// The sum of eight bytes, which is nearly Gaussian.
    fn gaussian(&mut self) -> f32 {
        let sum: u32 = self.random().to_le_bytes().map(u32::from).iter().sum();
        (sum as f32 - 1020.0) / 209.0
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn normalise(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= length);
    values
}
