//! Preprocessing: from rows of BGR bytes to the three planes of floats that a model takes.

use super::manifest::{Channels, Manifest};

/// The input of a model: `[n, 3, height, width]`, each value `(pixel - mean) * scale` with pixels of 0 to 255. The memory is
/// reused.
pub(super) struct Planes {
    channels: Channels,
    /// Of each plane, in their order.
    mean: [f32; 3],
    scale: f32,
    values: Vec<f32>,
    shape: [usize; 4],
    /// Height and width of each picture; the rest is padding.
    picture: (usize, usize),
}

impl Planes {
    /// An empty input in the form that a model takes.
    pub fn for_model(manifest: &Manifest) -> Self {
        let Manifest { channels, mean, scale, .. } = *manifest;
        Self { channels, mean, scale, values: Vec::new(), shape: [0; 4], picture: (0, 0) }
    }

    /// Makes room for `n` pictures of `(height, width)`, each padded with black on the right and below to multiples of `multiple`.
    /// Write every picture afterwards.
    pub fn reshape(&mut self, n: usize, picture: (usize, usize), multiple: usize) {
        let padded = |side: usize| side.max(1).next_multiple_of(multiple);
        let shape = [n, 3, padded(picture.0), padded(picture.1)];
        if self.shape != shape || self.picture != picture {
            self.shape = shape;
            self.picture = picture;
            // Inputs of many sizes take turns: the memory never shrinks, so that it is cleared once.
            self.values.resize(shape.iter().product::<usize>().max(self.values.len()), 0.0);
        }
    }

    /// Writes picture `index`: rows of BGR bytes without gaps, of the size given to [`Planes::reshape`].
    pub fn write(&mut self, index: usize, bgr: &[u8]) {
        let (_, width) = self.picture;
        self.write_rows(index, bgr.chunks_exact((3 * width).max(1)));
    }

    /// Writes picture `index` by its rows of BGR bytes. They have the size given to [`Planes::reshape`].
    pub fn write_rows<'a>(&mut self, index: usize, rows: impl Iterator<Item = &'a [u8]>) {
        let (_, width) = self.picture;
        let [_, _, plane_height, plane_width] = self.shape;
        let plane = plane_height * plane_width;
        let Some(place) = self.values.chunks_exact_mut((3 * plane).max(1)).nth(index) else { return };
        let (first, rest) = place.split_at_mut(plane);
        let (second, third) = rest.split_at_mut(plane);
        let (blue, green, red) = match self.channels {
            Channels::Bgr => (first, second, third),
            Channels::Rgb => (third, second, first),
        };
        let split = choose_splitter();
        let planes = blue
            .chunks_exact_mut(plane_width)
            .zip(green.chunks_exact_mut(plane_width))
            .zip(red.chunks_exact_mut(plane_width));
        for (row, ((blue, green), red)) in rows.zip(planes) {
            split(row, &mut blue[..width], &mut green[..width], &mut red[..width]);
        }
        self.normalise_and_pad(index);
    }

    /// Normalises the pixels of picture `index`, and pads it with black.
    fn normalise_and_pad(&mut self, index: usize) {
        let (picture_height, width) = self.picture;
        let [_, _, height, plane_width] = self.shape;
        let planes = self.values.chunks_exact_mut((height * plane_width).max(1)).skip(3 * index);
        for (plane, mean) in planes.zip(self.mean) {
            let black = -mean * self.scale + 0.0; // no negative zero
            let (rows, below) = plane.split_at_mut(picture_height * plane_width);
            for row in rows.chunks_exact_mut(plane_width.max(1)) {
                let (pixels, beside) = row.split_at_mut(width);
                if mean != 0.0 || self.scale != 1.0 {
                    pixels.iter_mut().for_each(|value| *value = (*value - mean) * self.scale);
                }
                beside.fill(black);
            }
            below.fill(black);
        }
    }

    pub fn values(&self) -> &[f32] {
        &self.values[..self.shape.iter().product()]
    }

    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }
}

type Splitter = fn(&[u8], &mut [f32], &mut [f32], &mut [f32]);

/// Chooses the fastest version of the loop for this processor. The compiler vectorises it, but steps of three bytes need shuffles
/// that x86-64 has only from SSSE3 on: 960 × 540 pixels take 0.12 ms with AVX2 and 0.58 ms without (AMD EPYC, one core).
fn choose_splitter() -> Splitter {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the line above has checked that the processor has AVX2.
        return |row, blue, green, red| unsafe { split_avx2(row, blue, green, red) };
    }
    split
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn split_avx2(row: &[u8], blue: &mut [f32], green: &mut [f32], red: &mut [f32]) {
    split(row, blue, green, red);
}

#[inline(always)]
fn split(row: &[u8], blue: &mut [f32], green: &mut [f32], red: &mut [f32]) {
    for (((pixel, blue), green), red) in row.chunks_exact(3).zip(blue).zip(green).zip(red) {
        *blue = f32::from(pixel[0]);
        *green = f32::from(pixel[1]);
        *red = f32::from(pixel[2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Kind;

    fn planes(channels: Channels) -> Planes {
        Planes::for_model(&Manifest { channels, ..Manifest::new("m", Kind::Embedder) })
    }

    #[test]
    fn pixels_are_split_into_padded_planes() {
        let mut planes = planes(Channels::Bgr);
        planes.reshape(1, (1, 2), 4);
        planes.write(0, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(planes.shape(), [1, 3, 4, 4]);
        let expected = |at: usize| match at {
            0 | 1 => 1.0 + 3.0 * at as f32,
            16 | 17 => 2.0 + 3.0 * (at - 16) as f32,
            32 | 33 => 3.0 + 3.0 * (at - 32) as f32,
            _ => 0.0,
        };
        assert_eq!(planes.values(), (0..48).map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn pictures_of_a_batch_have_their_own_places() {
        let mut planes = planes(Channels::Rgb);
        planes.reshape(2, (1, 1), 1);
        planes.write(0, &[1, 2, 3]);
        planes.write(1, &[4, 5, 6]);
        assert_eq!(planes.values(), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    }

    #[test]
    fn padding_is_black_again_after_a_larger_picture() {
        let mut planes = planes(Channels::Bgr);
        planes.reshape(1, (2, 2), 2);
        planes.write(0, &[255; 12]);
        planes.reshape(1, (1, 1), 2);
        planes.write(0, &[7; 3]);
        let plane = [7.0, 0.0, 0.0, 0.0];
        assert_eq!(planes.values(), [plane, plane, plane].concat());
    }

    #[test]
    fn pixels_and_padding_are_normalised_alike() {
        let manifest = Manifest {
            channels: Channels::Bgr,
            mean: [1.0, 2.0, 4.0],
            scale: 0.5,
            ..Manifest::new("m", Kind::Detector)
        };
        let mut planes = Planes::for_model(&manifest);
        for _ in 0..2 {
            planes.reshape(2, (1, 1), 2);
            planes.write(0, &[0, 0, 0]);
            planes.write(1, &[3, 2, 14]);
        }
        let expected = |blue: f32, green: f32, red: f32| {
            [[blue, -0.5, -0.5, -0.5], [green, -1.0, -1.0, -1.0], [red, -2.0, -2.0, -2.0]].concat()
        };
        assert_eq!(planes.values(), [expected(-0.5, -1.0, -2.0), expected(1.0, 0.0, 5.0)].concat());
    }

    #[test]
    fn long_rows_agree_with_the_plain_loop() {
        let row: Vec<u8> = (0..3 * 101).map(|i| (i * 7) as u8).collect();
        let (mut a, mut b) = (vec![0.0; 303], vec![0.0; 303]);
        for (how, out) in [(choose_splitter(), &mut a), (split as Splitter, &mut b)] {
            let (blue, rest) = out.split_at_mut(101);
            let (green, red) = rest.split_at_mut(101);
            how(&row, blue, green, red);
        }
        assert_eq!(a, b);
    }
}
