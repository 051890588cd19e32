//! Motion: which parts of a picture differ from an earlier one of the same camera. Pure arithmetic on a reduced picture.

use super::thumbnail::Thumbnail;

/// Side of a cell, pixels. A cell is the mean of 2 × 2 of its pixels.
const CELL: usize = 4;
/// Cells along the side of a block.
const CELLS: usize = 4;
/// Side of a block, pixels: the unit in which motion is found.
pub(super) const BLOCK: usize = CELL * CELLS;
/// A block has changed if its cells differ by more than this on average, brightness 0 to 255. Two pictures of a still scene
/// with sensor noise of standard deviation 4 differ by about 2.3.
const NOISE: u32 = 5;

/// The brightness of a picture in cells of 4 × 4 pixels: 32 KB for 960 × 540 pixels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LumaGrid {
    columns: usize,
    rows: usize,
    cells: Vec<u8>,
}

/// The blocks of a picture that have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChangedBlocks {
    columns: usize,
    rows: usize,
    changed: Vec<bool>,
}

/// A rectangle of blocks: from `left`, `top` to before `right`, `bottom`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockRect {
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
}

impl LumaGrid {
    /// The grid of a picture: rows of BGR bytes without gaps. Green stands for brightness.
    pub fn new(bgr: &[u8], width: usize, height: usize) -> Self {
        let (columns, rows) = (width / CELL, height / CELL);
        let mut cells = Vec::with_capacity(columns * rows);
        let stride = 3 * width;
        if columns > 0 {
            for band in bgr.chunks_exact(CELL * stride).take(rows) {
                let (upper, lower) = (&band[..stride], &band[2 * stride..3 * stride]);
                let pairs = upper.chunks_exact(3 * CELL).zip(lower.chunks_exact(3 * CELL));
                cells.extend(pairs.map(|(upper, lower)| {
                    let sum = [upper[1], upper[7], lower[1], lower[7]].map(u16::from).iter().sum::<u16>();
                    (sum / 4) as u8
                }));
            }
        }
        Self { columns, rows, cells }
    }

    /// The picture's thumbnail; none if a side has fewer than 64 pixels, or if the picture is of one brightness.
    pub fn thumbnail(&self) -> Option<Thumbnail> {
        Thumbnail::new(&self.cells, self.columns, self.rows)
    }

    /// The blocks in which this picture differs from an earlier one. None if the two differ in size.
    pub fn changed_since(&self, earlier: &Self) -> Option<ChangedBlocks> {
        if (self.columns, self.rows) != (earlier.columns, earlier.rows) {
            return None;
        }
        let (columns, rows) = (self.columns.div_ceil(CELLS), self.rows.div_ceil(CELLS));
        let mut changed = Vec::with_capacity(columns * rows);
        let band = CELLS * self.columns.max(1);
        let mut sums = vec![(0u32, 0u32); columns];
        for (now, before) in self.cells.chunks(band).zip(earlier.cells.chunks(band)) {
            sums.fill((0, 0));
            for (now, before) in now.chunks(self.columns).zip(before.chunks(self.columns)) {
                for ((now, before), (sum, count)) in
                    now.chunks(CELLS).zip(before.chunks(CELLS)).zip(&mut sums)
                {
                    *sum += now.iter().zip(before).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
                    *count += now.len() as u32;
                }
            }
            changed.extend(sums.iter().map(|(sum, count)| *sum > NOISE * count));
        }
        Some(ChangedBlocks { columns, rows, changed })
    }
}

impl ChangedBlocks {
    /// True if no block has changed.
    pub fn is_empty(&self) -> bool {
        !self.changed.contains(&true)
    }

    /// True if a block of this rectangle has changed.
    pub fn intersects(&self, rect: BlockRect) -> bool {
        let (right, bottom) = (rect.right.min(self.columns), rect.bottom.min(self.rows));
        (rect.top..bottom).any(|row| {
            (rect.left..right.max(rect.left)).any(|column| self.changed[row * self.columns + column])
        })
    }

    /// The changed blocks together with their eight neighbours.
    pub fn widened(&self) -> Self {
        let mut changed = vec![false; self.changed.len()];
        for at in (0..self.changed.len()).filter(|at| self.changed[*at]) {
            let (row, column) = (at / self.columns, at % self.columns);
            for row in row.saturating_sub(1)..(row + 2).min(self.rows) {
                let columns = column.saturating_sub(1)..(column + 2).min(self.columns);
                changed[row * self.columns..][columns].fill(true);
            }
        }
        Self { changed, ..*self }
    }

    /// The bounds of each group of changed blocks that touch each other, also at a corner. From top to bottom.
    pub fn groups(&self) -> Vec<BlockRect> {
        let mut left = self.changed.clone();
        let mut groups = Vec::new();
        let mut pending = Vec::new();
        for start in 0..left.len() {
            if !std::mem::take(&mut left[start]) {
                continue;
            }
            pending.push(start);
            let (row, column) = (start / self.columns, start % self.columns);
            let mut bounds = BlockRect { left: column, top: row, right: column + 1, bottom: row + 1 };
            while let Some(at) = pending.pop() {
                let (row, column) = (at / self.columns, at % self.columns);
                bounds.left = bounds.left.min(column);
                bounds.right = bounds.right.max(column + 1);
                bounds.top = bounds.top.min(row);
                bounds.bottom = bounds.bottom.max(row + 1);
                for row in row.saturating_sub(1)..(row + 2).min(self.rows) {
                    for column in column.saturating_sub(1)..(column + 2).min(self.columns) {
                        let near = row * self.columns + column;
                        if std::mem::take(&mut left[near]) {
                            pending.push(near);
                        }
                    }
                }
            }
            groups.push(bounds);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: usize = 160;
    const HEIGHT: usize = 96;

    fn picture(brightness: impl Fn(usize, usize) -> u8) -> LumaGrid {
        let bytes: Vec<u8> = (0..HEIGHT)
            .flat_map(|y| (0..WIDTH).map(move |x| (x, y)))
            .flat_map(|(x, y)| [brightness(x, y); 3])
            .collect();
        LumaGrid::new(&bytes, WIDTH, HEIGHT)
    }

    fn scene(x: usize, y: usize) -> u8 {
        (40 + x / 2 + y) as u8
    }

    /// A number from 0 to 1 that looks random.
    fn dice(seed: u64) -> f64 {
        let mixed = (seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 32)) % 10_000) as f64 / 10_000.0
    }

    /// The scene with noise of this standard deviation.
    fn noisy(seed: u64, deviation: f64) -> LumaGrid {
        picture(|x, y| {
            let at = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((y * WIDTH + x) as u64) << 8;
            // The sum of four uniform numbers has a standard deviation of 0.577.
            let sum: f64 = (0..4).map(|n| dice(at.wrapping_add(n * 0x1234_5677))).sum::<f64>() - 2.0;
            (f64::from(scene(x, y)) + sum / 0.577 * deviation).clamp(0.0, 255.0) as u8
        })
    }

    #[test]
    fn noise_is_no_motion() {
        for seed in 0..20 {
            let (before, now) = (noisy(2 * seed, 4.0), noisy(2 * seed + 1, 4.0));
            assert!(now.changed_since(&before).unwrap().is_empty(), "seed {seed}");
        }
    }

    #[test]
    fn a_moved_patch_has_changed_where_it_was_and_where_it_is() {
        let patch = |left: usize| {
            picture(move |x, y| {
                let inside = (left..left + 24).contains(&x) && (32..56).contains(&y);
                if inside { scene(x, y) + 60 } else { scene(x, y) }
            })
        };
        let changed = patch(112).changed_since(&patch(16)).unwrap();
        let groups = changed.groups();
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0], BlockRect { left: 1, top: 2, right: 3, bottom: 4 });
        assert_eq!(groups[1], BlockRect { left: 7, top: 2, right: 9, bottom: 4 });
        assert!(changed.intersects(groups[0]));
        assert!(!changed.intersects(BlockRect { left: 4, top: 0, right: 6, bottom: 6 }));
        assert_eq!(changed.widened().groups()[0], BlockRect { left: 0, top: 1, right: 4, bottom: 5 });
    }

    #[test]
    fn pictures_of_other_sizes_cannot_be_compared() {
        let other = LumaGrid::new(&[0; 3 * 64 * 64], 64, 64);
        assert_eq!(picture(scene).changed_since(&other), None);
    }

    proptest! {
        #[test]
        fn any_picture_gives_blocks_inside_it(
            width in 0usize..70, height in 0usize..70, seed in any::<u64>(),
        ) {
            let bytes = |seed: u64| -> Vec<u8> {
                (0..3 * width * height).map(|i| (dice(seed ^ i as u64) * 255.0) as u8).collect()
            };
            let grid = |seed| LumaGrid::new(&bytes(seed), width, height);
            let changed = grid(seed).changed_since(&grid(!seed)).unwrap();
            for group in changed.widened().groups() {
                prop_assert!(group.left < group.right && group.right <= width.div_ceil(BLOCK));
                prop_assert!(group.top < group.bottom && group.bottom <= height.div_ceil(BLOCK));
            }
            prop_assert!(grid(seed).changed_since(&grid(seed)).unwrap().is_empty());
        }
    }
}
