//! Resizing and cropping of images.
//!
//! Bilinear, with the triangle widened when the image shrinks, as Pillow's `BILINEAR` and
//! PyTorch's `interpolate(mode="bilinear", antialias=True, align_corners=False)`. Sums have a
//! fixed order, so that a pixel has the same bits on every processor.

use super::geometry::Geometry;
use crate::features::error::Error;

/// The values of an image as they lie in memory.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a, T> {
    data: &'a [T],
    height: usize,
    width: usize,
    /// Steps in memory from a channel to the next, a row to the next, a column to the next.
    strides: [usize; 3],
}

impl<'a, T: Copy + Into<f32>> Pixels<'a, T> {
    /// An image of this shape (channels, height, width), whose channels lie one after the other or
    /// side by side at each pixel. The data must hold as many values.
    pub fn new(data: &'a [T], [channels, height, width]: [usize; 3], side_by_side: bool) -> Self {
        let strides = if side_by_side {
            [1, width * channels, channels]
        } else {
            [height * width, width, 1]
        };
        Pixels {
            data,
            height,
            width,
            strides,
        }
    }

    /// The pixels of a row of one channel.
    fn row(&self, channel: usize, row: usize) -> impl Fn(usize) -> f32 {
        let [c, r, step] = self.strides;
        let row = self.data.get(channel * c + row * r..).unwrap_or_default();
        // A pixel that is not there cannot be asked for by a window that was checked.
        move |column| row.get(column * step).map_or(0.0, |&value| value.into())
    }
}

/// What part of an image is kept: a rectangle of the image resized to some size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// Height and width that the whole image is resized to.
    resized: [usize; 2],
    /// Where the rectangle begins in it.
    from: [usize; 2],
    /// The rectangle's height and width.
    size: [usize; 2],
}

impl Window {
    /// Of an array, or of raw pixels, of this shape.
    pub fn of_array(
        geometry: &Geometry,
        [_, height, width]: [usize; 3],
        column: &str,
    ) -> Result<Window, Error> {
        middle(
            geometry.resize.unwrap_or([height, width]),
            geometry.crop,
            column,
        )
    }

    /// Of an encoded image, to be brought to the shape if nothing else is said: resized, its
    /// proportions kept, until it covers the shape, of which the middle is taken.
    pub fn of_encoded(
        geometry: &Geometry,
        [_, height, width]: [usize; 3],
        given: [usize; 2],
        column: &str,
    ) -> Result<Window, Error> {
        if geometry.resize.is_some() || geometry.crop.is_some() {
            return middle(geometry.resize.unwrap_or(given), geometry.crop, column);
        }
        let wanted = [height, width];
        let [down, across] = [0, 1].map(|i| wanted[i] as f64 / given[i].max(1) as f64);
        let factor = down.max(across);
        let covering = [0, 1].map(|i| ((given[i] as f64 * factor).round() as usize).max(wanted[i]));
        middle(covering, Some(wanted), column)
    }

    /// Whether it is an image of this size as it is.
    pub fn is_whole(&self, size: [usize; 2]) -> bool {
        self.resized == size && self.size == size
    }
}

/// The middle of an image that was resized.
fn middle(resized: [usize; 2], crop: Option<[usize; 2]>, column: &str) -> Result<Window, Error> {
    let size = crop.unwrap_or(resized);
    if size[0] > resized[0] || size[1] > resized[1] {
        return Err(Error::invalid(format!(
            "an image in column \"{column}\" has {} × {} pixels, of which {} × {} cannot be cropped",
            resized[0], resized[1], size[0], size[1]
        ))
        .with_hint("Choose a smaller \"crop\", or resize the images first with \"resize\"."));
    }
    Ok(Window {
        resized,
        from: [0, 1].map(|i| (resized[i] - size[i]) / 2),
        size,
    })
}

/// The weights by which values of one axis become those of the resized one.
#[derive(Clone, Debug, Default)]
struct Axis {
    /// Of each value that is wanted: the first that it is made of, and where its weights end.
    parts: Vec<(usize, usize)>,
    weights: Vec<f32>,
}

impl Axis {
    /// For `count` values from `first` on, of an axis of `from` values resized to `to`.
    fn fill(&mut self, from: usize, to: usize, first: usize, count: usize) {
        self.parts.clear();
        self.weights.clear();
        let scale = from as f64 / to.max(1) as f64;
        let reach = scale.max(1.0);
        for place in first..first + count {
            let center = scale * (place as f64 + 0.5);
            let begin = (center - reach + 0.5).max(0.0) as usize;
            let end = ((center + reach + 0.5) as usize).clamp(begin + 1, from.max(begin + 1));
            let weight = |i: usize| {
                let distance = (i as f64 - center + 0.5) / reach;
                (1.0 - distance.abs()).max(0.0)
            };
            let sum: f64 = (begin..end).map(weight).sum();
            let sum = if sum > 0.0 { sum } else { 1.0 };
            self.weights
                .extend((begin..end).map(|i| (weight(i) / sum) as f32));
            self.parts.push((begin, self.weights.len()));
        }
    }

    /// Each value's first part and weights.
    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let mut start = 0;
        self.parts.iter().map(move |&(begin, end)| {
            let weights = self.weights.get(start..end).unwrap_or_default();
            start = end;
            (begin, weights)
        })
    }
}

/// Resizes and crops, in memory that is kept from one image to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Resampler {
    rows: Axis,
    columns: Axis,
    /// The rows that are needed, resized across.
    across: Vec<f32>,
}

impl Resampler {
    /// Adds one channel's part of an image to what `into` holds.
    pub fn plane<T: Copy + Into<f32>>(
        &mut self,
        pixels: &Pixels<'_, T>,
        channel: usize,
        window: &Window,
        into: &mut Vec<f32>,
    ) {
        let Window {
            resized,
            from: [top, left],
            size: [height, width],
        } = *window;
        if resized == [pixels.height, pixels.width] {
            for row in top..top + height {
                let pixel = pixels.row(channel, row);
                into.extend((left..left + width).map(pixel));
            }
            return;
        }
        self.columns.fill(pixels.width, resized[1], left, width);
        self.rows.fill(pixels.height, resized[0], top, height);
        let first = self.rows.parts.first().map_or(0, |part| part.0);
        let end = self
            .rows
            .iter()
            .map(|(begin, weights)| begin + weights.len())
            .max()
            .unwrap_or(first);
        self.across.clear();
        for row in first..end {
            let pixel = pixels.row(channel, row);
            self.across
                .extend(self.columns.iter().map(|(begin, weights)| {
                    let parts = weights.iter().enumerate();
                    parts.fold(0.0, |sum, (i, weight)| sum + weight * pixel(begin + i))
                }));
        }
        for (begin, weights) in self.rows.iter() {
            let start = into.len();
            into.resize(start + width, 0.0);
            for (i, weight) in weights.iter().enumerate() {
                let row = self.across.get((begin - first + i) * width..);
                let row = row.unwrap_or_default();
                for (sum, value) in into[start..].iter_mut().zip(row) {
                    *sum += weight * value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_image_stays_constant_whatever_its_size() {
        let data = [7.0_f32; 6 * 5];
        let pixels = Pixels::new(&data, [1, 6, 5], false);
        for size in [[1, 1], [3, 9], [12, 2], [7, 7]] {
            let window = middle(size, None, "x").expect("a window");
            let mut out = Vec::new();
            Resampler::default().plane(&pixels, 0, &window, &mut out);
            assert_eq!(out.len(), size[0] * size[1]);
            assert!(
                out.iter().all(|v| (v - 7.0).abs() < 1e-5),
                "{size:?}: {out:?}"
            );
        }
    }

    #[test]
    fn the_middle_of_an_encoded_image_covers_the_shape() {
        let geometry = Geometry::default();
        let window = Window::of_encoded(&geometry, [3, 32, 32], [64, 128], "x").expect("a window");
        assert_eq!(window.resized, [32, 64]);
        assert_eq!((window.from, window.size), ([0, 16], [32, 32]));
    }
}
