//! Images varied at random, each time they are trained on.

use crate::nn::base::random::Random;

/// How the image that lies in some columns of the encoded row is varied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// The first of its columns; the others follow, `[channels][height][width]`.
    pub offset: usize,
    /// Number of channels.
    pub channels: usize,
    /// Number of lines.
    pub height: usize,
    /// Length of a line.
    pub width: usize,
    /// Whether half of the images are mirrored left to right.
    pub horizontal: bool,
    /// Whether half of the images are mirrored top to bottom.
    pub vertical: bool,
    /// Lines that an image moves at most, up or down.
    pub rows: usize,
    /// Columns that it moves at most, to the left or right.
    pub columns: usize,
    /// What comes in from beyond the edge, a value a channel.
    pub fill: Vec<f32>,
}

impl Augmentation {
    /// Columns of the encoded row that it needs.
    pub(super) fn end(&self) -> usize {
        let size = self
            .channels
            .saturating_mul(self.height)
            .saturating_mul(self.width);
        self.offset.saturating_add(size)
    }

    /// Varies the image of one row. Every row takes equally many random numbers, so that what is
    /// drawn for it depends on its place alone.
    pub(super) fn vary(&self, row: &mut [f32], random: &mut Random, plane: &mut Vec<f32>) {
        let mut coin = || random.next_u32() & 1 == 1;
        let (mirrored, upside_down) = (coin() && self.horizontal, coin() && self.vertical);
        let mut shift = |reach: usize| {
            let reach = reach as isize;
            random.below(2 * reach as u64 + 1) as isize - reach
        };
        let (down, right) = (shift(self.rows), shift(self.columns));
        if !mirrored && !upside_down && down == 0 && right == 0 {
            return;
        }
        let (height, width) = (self.height, self.width);
        let image = row.get_mut(self.offset..).unwrap_or_default();
        let planes = image.chunks_exact_mut((height * width).max(1));
        for (channel, to) in planes.take(self.channels).enumerate() {
            let fill = self.fill.get(channel).copied().unwrap_or(0.0);
            plane.clear();
            plane.extend_from_slice(to);
            for (line, to) in to.chunks_exact_mut(width.max(1)).enumerate() {
                let from = line as isize - down;
                let from = if upside_down {
                    height as isize - 1 - from
                } else {
                    from
                };
                let from = usize::try_from(from).ok().filter(|from| *from < height);
                match from.map(|from| &plane[from * width..(from + 1) * width]) {
                    Some(from) => vary_line(from, to, right, mirrored, fill),
                    None => to.fill(fill),
                }
            }
        }
    }
}

/// A worker's copy of rows whose images are varied.
#[derive(Debug, Default)]
pub(super) struct Varied {
    rows: Vec<f32>,
    plane: Vec<f32>,
}

impl Varied {
    /// The rows with their images varied; the rows themselves where no image is.
    pub fn vary<'a>(
        &'a mut self,
        images: &[Augmentation],
        x: &'a [f32],
        rows: usize,
        random: &mut Random,
    ) -> &'a [f32] {
        if images.is_empty() || rows == 0 {
            return x;
        }
        self.rows.clear();
        self.rows.extend_from_slice(x);
        for row in self.rows.chunks_exact_mut(x.len() / rows) {
            for image in images {
                image.vary(row, random, &mut self.plane);
            }
        }
        &self.rows
    }
}

/// Moves a line to the right, or with a negative number to the left, mirrored before if asked for.
fn vary_line(from: &[f32], to: &mut [f32], right: isize, mirrored: bool, fill: f32) {
    let width = to.len();
    let start = right.max(0).unsigned_abs().min(width);
    let skipped = right.min(0).unsigned_abs().min(width);
    let end = start + (width - start).saturating_sub(skipped);
    to[..start].fill(fill);
    to[end..].fill(fill);
    let kept = &mut to[start..end];
    if mirrored {
        for (to, from) in kept.iter_mut().zip(from.iter().rev().skip(skipped)) {
            *to = *from;
        }
    } else {
        kept.copy_from_slice(&from[skipped..skipped + kept.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_move_and_turn() {
        let from = [1.0, 2.0, 3.0, 4.0];
        let vary = |right, mirrored| {
            let mut to = [9.0; 4];
            vary_line(&from, &mut to, right, mirrored, 0.0);
            to
        };
        assert_eq!(vary(0, false), from);
        assert_eq!(vary(1, false), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(vary(-2, false), [3.0, 4.0, 0.0, 0.0]);
        assert_eq!(vary(0, true), [4.0, 3.0, 2.0, 1.0]);
        assert_eq!(vary(1, true), [0.0, 4.0, 3.0, 2.0]);
        assert_eq!(vary(-1, true), [3.0, 2.0, 1.0, 0.0]);
        assert_eq!(vary(4, true), [0.0; 4]);
        assert_eq!(vary(-4, false), [0.0; 4]);
    }

    #[test]
    fn an_image_is_varied_and_its_neighbours_are_not() {
        let image = Augmentation {
            offset: 1,
            channels: 2,
            height: 2,
            width: 2,
            horizontal: true,
            vertical: true,
            rows: 1,
            columns: 1,
            fill: vec![-1.0, -2.0],
        };
        let row: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let (mut random, mut plane) = (Random::new(7, 0), Vec::new());
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..400 {
            let mut varied = row.clone();
            image.vary(&mut varied, &mut random, &mut plane);
            assert_eq!((varied[0], varied[9]), (0.0, 9.0));
            for (channel, fill) in [(0, -1.0), (1, -2.0)] {
                let own = 1 + 4 * channel..5 + 4 * channel;
                let known = |x: &f32| *x == fill || row[own.clone()].contains(x);
                assert!(varied[own.clone()].iter().all(known), "{varied:?}");
            }
            seen.insert(varied.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        }
        // Four orientations, nine places.
        assert_eq!(seen.len(), 36);
    }
}
