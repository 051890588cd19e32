//! Thumbnails: small grey pictures that stand for large ones in comparisons. A comparison takes microseconds.

/// Cells across and down.
const CELLS: usize = 16;
/// A picture whose cells have a lower standard deviation (brightness 0 to 255) has nothing to compare.
const FLAT: f32 = 1.0;

/// The brightness of 16 × 16 cells, normalised to mean 0 and length 1, so that neither light nor contrast matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnail([f32; CELLS * CELLS]);

impl Thumbnail {
    /// The thumbnail of a grey picture: rows of brightness without gaps. None if a side has fewer pixels than cells, or if the
    /// picture is of one brightness.
    pub(super) fn new(grey: &[u8], width: usize, height: usize) -> Option<Self> {
        if width < CELLS || height < CELLS {
            return None;
        }
        // The first pixel of each cell in a row, and the end of the last cell.
        let edges: [usize; CELLS + 1] = std::array::from_fn(|cell| (cell * width).div_ceil(CELLS));
        let mut sums = [0u32; CELLS * CELLS];
        let mut counts = [0u32; CELLS * CELLS];
        for (y, row) in grey.chunks_exact(width).enumerate().take(height) {
            let first = y * CELLS / height * CELLS;
            for (across, edge) in edges.windows(2).enumerate() {
                let pixels = &row[edge[0]..edge[1]];
                sums[first + across] += pixels.iter().map(|pixel| u32::from(*pixel)).sum::<u32>();
                counts[first + across] += pixels.len() as u32;
            }
        }
        let mut cells = [0f32; CELLS * CELLS];
        for ((cell, sum), count) in cells.iter_mut().zip(sums).zip(counts) {
            *cell = sum as f32 / count.max(1) as f32;
        }
        let mean = cells.iter().sum::<f32>() / cells.len() as f32;
        cells.iter_mut().for_each(|cell| *cell -= mean);
        let length = cells.iter().map(|cell| cell * cell).sum::<f32>().sqrt();
        if length < FLAT * CELLS as f32 {
            return None;
        }
        cells.iter_mut().for_each(|cell| *cell /= length);
        Some(Self(cells))
    }

    /// The correlation of the cells of two thumbnails, −1 to 1.
    pub fn similarity(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose brightness at (x, y) is given.
    fn picture(width: usize, height: usize, brightness: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| brightness(x, y)).collect()
    }

    #[test]
    fn light_and_contrast_do_not_matter() {
        let dark = picture(160, 120, |x, y| (x / 2 + y / 4) as u8);
        let bright = picture(160, 120, |x, y| (30 + x + y / 2) as u8);
        let thumbnail = |grey: &[u8]| Thumbnail::new(grey, 160, 120).unwrap();
        assert!(thumbnail(&dark).similarity(&thumbnail(&bright)) > 0.99);
    }

    #[test]
    fn another_picture_is_not_similar() {
        let across = picture(160, 120, |x, _| x as u8);
        let down = picture(160, 120, |_, y| (2 * y) as u8);
        let thumbnail = |grey: &[u8]| Thumbnail::new(grey, 160, 120).unwrap();
        assert!(thumbnail(&across).similarity(&thumbnail(&down)).abs() < 0.1);
        assert!((thumbnail(&across).similarity(&thumbnail(&across)) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_picture_of_one_brightness_has_no_thumbnail() {
        assert_eq!(Thumbnail::new(&picture(160, 120, |_, _| 90), 160, 120), None);
        assert_eq!(Thumbnail::new(&[], 0, 0), None);
        assert_eq!(Thumbnail::new(&picture(15, 200, |x, y| (x * y) as u8), 15, 200), None);
    }
}
