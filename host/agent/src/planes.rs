//! The planes of a picture, as JPEG wants them: BT.601, full range, colours at half the size, in whole blocks.

/// The rows and columns of a block of JPEG with colours at half the size.
const BLOCK: usize = 16;

/// A plane whose rows and columns are filled up to whole blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plane {
    pub width: usize,
    pub height: usize,
    /// Bytes a row.
    pub stride: usize,
    pub samples: Vec<u8>,
}

impl Plane {
    /// Makes it this large, in whole blocks of `block`. Its samples are undefined.
    pub fn resize(&mut self, width: usize, height: usize, block: usize) {
        self.width = width;
        self.height = height;
        self.stride = width.div_ceil(block) * block;
        self.samples.resize(self.stride * height.div_ceil(block) * block, 0);
    }

    /// Fills it from rows, each converted by `convert`.
    pub fn fill<'a>(&mut self, rows: impl Iterator<Item = &'a [u8]>, convert: impl Fn(&[u8], &mut [u8])) {
        let width = self.width;
        for (row, to) in rows.zip(self.samples.chunks_exact_mut(self.stride.max(1))) {
            let count = row.len().min(width);
            convert(&row[..count], &mut to[..count]);
        }
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.samples.chunks_exact(self.stride.max(1)).take(self.height).map(|row| &row[..self.width])
    }

    /// Repeats the last column and the last row in the rest of their blocks. Anything else would be visible at the edge.
    fn pad(&mut self) {
        let (width, height, stride) = (self.width, self.height, self.stride);
        if width == 0 || height == 0 {
            return;
        }
        for row in self.samples.chunks_exact_mut(stride).take(height) {
            let last = row[width - 1];
            row[width..].fill(last);
        }
        let (picture, rest) = self.samples.split_at_mut(stride * height);
        let last = &picture[stride * (height - 1)..];
        rest.chunks_exact_mut(stride).for_each(|row| row.copy_from_slice(last));
    }

    /// The plane turned clockwise by 90, 180 or 270 degrees.
    fn rotated(&self, degrees: i32, block: usize) -> Self {
        let mut turned = Self::default();
        let (width, height) = (self.width, self.height);
        match degrees {
            90 | 270 => turned.resize(height, width, block),
            _ => turned.resize(width, height, block),
        }
        for (y, row) in self.rows().enumerate() {
            for (x, sample) in row.iter().enumerate() {
                let (to_x, to_y) = match degrees {
                    90 => (height - 1 - y, x),
                    180 => (width - 1 - x, height - 1 - y),
                    270 => (y, width - 1 - x),
                    _ => (x, y),
                };
                turned.samples[to_y * turned.stride + to_x] = *sample;
            }
        }
        turned
    }
}

/// Luma, and both colours at half the width and height.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Planes(pub [Plane; 3]);

impl Planes {
    /// Makes them this large. Their samples are undefined.
    pub fn resize(&mut self, width: usize, height: usize) {
        let [luma, blue, red] = &mut self.0;
        luma.resize(width, height, BLOCK);
        for colour in [blue, red] {
            colour.resize(width.div_ceil(2), height.div_ceil(2), BLOCK / 2);
        }
    }

    /// Turns the picture clockwise.
    pub fn rotate(&mut self, degrees: i32) {
        if matches!(degrees, 90 | 180 | 270) {
            for (plane, block) in self.0.iter_mut().zip([BLOCK, BLOCK / 2, BLOCK / 2]) {
                *plane = plane.rotated(degrees, block);
            }
        }
    }

    /// Fills the blocks at the edges.
    pub fn pad(&mut self) {
        self.0.iter_mut().for_each(Plane::pad);
    }

    /// Converts colours from the matrix of BT.709 to that of BT.601; both of full range.
    pub fn convert_bt709(&mut self) {
        let [luma, blue, red] = &mut self.0;
        let mut change = vec![0i16; blue.stride];
        let luma_rows = luma.samples.chunks_mut((2 * luma.stride).max(1));
        let colours =
            blue.samples.chunks_mut(blue.stride.max(1)).zip(red.samples.chunks_mut(red.stride.max(1)));
        for ((blue, red), luma_rows) in colours.zip(luma_rows) {
            for ((blue, red), change) in blue.iter_mut().zip(red.iter_mut()).zip(&mut change) {
                let (b, r) = (centred(*blue), centred(*red));
                // The product of both matrices, times 2^16 and then 2^10: see `multiply`.
                *change = multiply(b, 6657) + multiply(r, 12850);
                *blue = sample(128 + round(multiply(b, 64871) - multiply(r, 7252)));
                *red = sample(128 + round(multiply(r, 64448) - multiply(b, 4748)));
            }
            for row in luma_rows.chunks_mut(luma.stride.max(1)) {
                for (pair, change) in row.chunks_exact_mut(2).zip(&change) {
                    pair[0] = sample(i16::from(pair[0]) + round(*change));
                    pair[1] = sample(i16::from(pair[1]) + round(*change));
                }
            }
        }
    }
}

/// Copies samples as they are.
pub(super) fn copy(from: &[u8], to: &mut [u8]) {
    to.copy_from_slice(from);
}

/// Luma from 16 to 235 becomes 0 to 255.
pub(super) fn expand_luma(from: &[u8], to: &mut [u8]) {
    for (from, to) in from.iter().zip(to) {
        // In sixteenths, with the upper half of a product of 16 bits: the compiler has an instruction for many of them.
        let sixteenths = ((u32::from(u16::from(from.saturating_sub(16)) << 5) * 38155) >> 16) as u16;
        *to = ((sixteenths + 8) >> 4).min(255) as u8;
    }
}

/// Colours from 16 to 240 become 1 to 255, round 128.
pub(super) fn expand_colour(from: &[u8], to: &mut [u8]) {
    for (from, to) in from.iter().zip(to) {
        *to = sample(128 + round(multiply(centred(*from), 74606)));
    }
}

fn centred(sample: u8) -> i16 {
    i16::from(sample) - 128
}

/// A sample times a factor (65536 is 1), in sixteenths.
fn multiply(sample: i16, factor: i32) -> i16 {
    ((i32::from(sample << 6) * (factor >> 2)) >> 16) as i16
}

fn round(sixteenths: i16) -> i16 {
    (sixteenths + 8) >> 4
}

fn sample(value: i16) -> u8 {
    value.clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<u8> {
        (0..=255).collect()
    }

    #[test]
    fn samples_are_expanded_to_the_full_range() {
        let (mut luma, mut colour) = (all(), all());
        expand_luma(&all(), &mut luma);
        expand_colour(&all(), &mut colour);
        for number in 0..=255u8 {
            let expected = ((f64::from(number) - 16.0) * 255.0 / 219.0).clamp(0.0, 255.0);
            assert!((f64::from(luma[usize::from(number)]) - expected).abs() <= 0.6, "{number}");
            let expected = (128.0 + (f64::from(number) - 128.0) * 255.0 / 224.0).clamp(0.0, 255.0);
            assert!((f64::from(colour[usize::from(number)]) - expected).abs() <= 0.6, "{number}");
        }
    }

    /// Red, green and blue by the weights of red and blue in a standard's luma.
    fn colours([y, b, r]: [u8; 3], red: f64, blue: f64) -> [f64; 3] {
        let (y, b, r) = (f64::from(y), f64::from(b) - 128.0, f64::from(r) - 128.0);
        let (of_red, of_blue) = (y + 2.0 * (1.0 - red) * r, y + 2.0 * (1.0 - blue) * b);
        [of_red, (y - red * of_red - blue * of_blue) / (1.0 - red - blue), of_blue]
    }

    #[test]
    fn colours_stay_the_same_in_the_other_matrix() {
        for y in [60u8, 128, 200] {
            for b in (88..=168).step_by(8) {
                for r in (88..=168).step_by(8) {
                    let mut planes = Planes::default();
                    planes.resize(2, 2);
                    for (plane, value) in planes.0.iter_mut().zip([y, b, r]) {
                        plane.samples.fill(value);
                    }
                    planes.convert_bt709();
                    let converted = [0, 1, 2].map(|plane: usize| planes.0[plane].samples[0]);
                    let before = colours([y, b, r], 0.2126, 0.0722);
                    let after = colours(converted, 0.299, 0.114);
                    for (before, after) in before.iter().zip(after) {
                        assert!((before - after).abs() < 3.0, "{y} {b} {r}: {before} {after}");
                    }
                }
            }
        }
    }

    fn numbered(width: usize, height: usize) -> Planes {
        let mut planes = Planes::default();
        planes.resize(width, height);
        for plane in &mut planes.0 {
            let rows: Vec<Vec<u8>> =
                (0..plane.height).map(|y| (0..plane.width).map(|x| (10 * y + x) as u8).collect()).collect();
            plane.fill(rows.iter().map(Vec::as_slice), copy);
        }
        planes
    }

    #[test]
    fn four_quarter_turns_give_the_same_picture() {
        let upright = numbered(6, 4);
        let mut turned = upright.clone();
        turned.rotate(90);
        assert_eq!((turned.0[0].width, turned.0[0].height), (4, 6));
        assert_eq!(turned.0[0].rows().next(), Some(&[30, 20, 10, 0][..]), "the left column is on top");
        turned.rotate(180);
        turned.rotate(90);
        assert!(turned.0.iter().zip(&upright.0).all(|(turned, upright)| turned.rows().eq(upright.rows())));
        turned.rotate(270);
        assert_eq!(turned.0[0].rows().next(), Some(&[5, 15, 25, 35][..]), "the right column is on top");
    }

    #[test]
    fn edges_continue_to_the_end_of_their_blocks() {
        let mut planes = numbered(6, 4);
        planes.pad();
        let luma = &planes.0[0];
        assert_eq!((luma.stride, luma.samples.len()), (16, 256));
        assert_eq!(luma.samples[4..8], [4, 5, 5, 5]);
        assert_eq!(luma.samples[15 * 16..15 * 16 + 7], [30, 31, 32, 33, 34, 35, 35]);
    }
}
