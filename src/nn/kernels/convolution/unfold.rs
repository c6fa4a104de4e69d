//! Images unfolded for the kernels, and gradients folded back.

use std::ops::Range;

use super::Convolution;
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::vector::{LANES, Vector, VectorTask, load, store};

impl Convolution {
    /// Writes the unfolded image.
    ///
    /// # Panics
    /// If a slice is shorter than its geometry asks for.
    pub fn unfold(&self, processor: Processor, image: &[f32], unfolded: &mut [f32]) {
        assert!(image.len() >= self.inputs() && unfolded.len() >= self.unfolded());
        processor.run_vectors(Unfold {
            convolution: self,
            image: image.as_ptr(),
            unfolded: unfolded.as_mut_ptr(),
        });
    }

    /// Adds what the unfolded gradient holds for each of the image's values.
    ///
    /// # Panics
    /// If a slice is shorter than its geometry asks for.
    pub fn fold(&self, processor: Processor, unfolded: &[f32], image: &mut [f32]) {
        assert!(image.len() >= self.inputs() && unfolded.len() >= self.unfolded());
        processor.run_vectors(Fold {
            convolution: self,
            image: image.as_mut_ptr(),
            unfolded: unfolded.as_ptr(),
        });
    }
}

struct Unfold<'a> {
    convolution: &'a Convolution,
    image: *const f32,
    unfolded: *mut f32,
}

impl VectorTask for Unfold<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let convolution = self.convolution;
        let columns = convolution.columns;
        let image_size = convolution.rows.input * columns.input;
        let mut target = self.unfolded;
        let plane_size = convolution.plane_rows.len() * columns.output;
        let lines = Lines::of(convolution);
        for channel in 0..convolution.channels {
            for tap in 0..columns.kernel {
                let (inside, first) = columns.inside(tap);
                let whole = inside.len() == columns.output;
                if let (Some(lines), false) = (&lines, inside.is_empty()) {
                    // SAFETY: a plane of the unfolded image, and one of the image.
                    unsafe {
                        let image = self.image.add(channel * image_size);
                        lines.shift::<V>(image, target, plane_size, inside, first);
                        target = target.add(plane_size);
                    }
                    continue;
                }
                for row in &convolution.plane_rows {
                    // SAFETY: the row and the columns lie within the image, the plane's row within
                    // the unfolded image.
                    unsafe {
                        if !whole || row.is_none() {
                            zero::<V>(target, columns.output);
                        }
                        if let Some(row) = row {
                            let source = self
                                .image
                                .add(channel * image_size + row * columns.input + first);
                            let target = target.add(inside.start);
                            if columns.stride == 1 {
                                copy::<V>(source, target, inside.len());
                            } else if columns.stride == 2 {
                                // As a loop of its own, which the compiler makes one of vectors.
                                for i in 0..inside.len() {
                                    *target.add(i) = *source.add(2 * i);
                                }
                            } else {
                                for i in 0..inside.len() {
                                    *target.add(i) = *source.add(i * columns.stride);
                                }
                            }
                        }
                        target = target.add(columns.output);
                    }
                }
            }
        }
    }
}

/// Planes whose lines are as long as the image's, and stand as they do: each is a part of the image,
/// shifted, with some columns of zeros.
struct Lines {
    width: usize,
    /// Lines of padding before the image's.
    above: usize,
    /// The first of the image's lines, and how many there are.
    first: usize,
    count: usize,
}

impl Lines {
    fn of(convolution: &Convolution) -> Option<Lines> {
        let (rows, columns) = (convolution.rows, convolution.columns);
        let is_same = columns.stride == 1 && rows.stride == 1 && columns.output == columns.input;
        let lines = &convolution.plane_rows;
        let above = lines.iter().position(Option::is_some)?;
        is_same.then(|| Lines {
            width: columns.input,
            above,
            first: lines[above].unwrap_or(0),
            count: lines.iter().flatten().count(),
        })
    }

    /// Writes a plane of `size` values, of whose columns those `inside` are the image's from its column
    /// `first` on.
    #[inline(always)]
    unsafe fn shift<V: Vector>(
        &self,
        image: *const f32,
        plane: *mut f32,
        size: usize,
        inside: Range<usize>,
        first: usize,
    ) {
        let (start, count) = (self.above * self.width, self.count * self.width);
        // From the first value that is the image's to the last one, over the ends of lines.
        let values = count - (self.width - inside.len());
        // SAFETY: the values lie within the image's lines, and all that is written within the plane.
        unsafe {
            zero::<V>(plane, start);
            let lines = plane.add(start);
            let from = image.add(self.first * self.width + first);
            copy::<V>(from, lines.add(inside.start), values);
            for line in 0..self.count {
                let line = lines.add(line * self.width);
                for column in (0..inside.start).chain(inside.end..self.width) {
                    *line.add(column) = 0.0;
                }
            }
            zero::<V>(lines.add(count), size - start - count);
        }
    }
}

struct Fold<'a> {
    convolution: &'a Convolution,
    image: *mut f32,
    unfolded: *const f32,
}

impl VectorTask for Fold<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let convolution = self.convolution;
        let columns = convolution.columns;
        let image_size = convolution.rows.input * columns.input;
        let mut source = self.unfolded;
        for channel in 0..convolution.channels {
            // A row gets its next addition only after all the others: what a vector wrote can be
            // read at another alignment at once only at great cost.
            for tap in 0..columns.kernel {
                let (inside, first) = columns.inside(tap);
                for row in &convolution.plane_rows {
                    // SAFETY: as for unfolding.
                    unsafe {
                        if let Some(row) = row {
                            let target = self
                                .image
                                .add(channel * image_size + row * columns.input + first);
                            let source = source.add(inside.start);
                            if columns.stride == 1 {
                                add::<V>(source, target, inside.len());
                            } else {
                                for i in 0..inside.len() {
                                    *target.add(i * columns.stride) += *source.add(i);
                                }
                            }
                        }
                        source = source.add(columns.output);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn zero<V: Vector>(to: *mut f32, count: usize) {
    for i in (0..count).step_by(LANES) {
        // SAFETY: the caller's.
        unsafe { store(V::splat(0.0), to.add(i), count - i) }
    }
}

#[inline(always)]
unsafe fn copy<V: Vector>(from: *const f32, to: *mut f32, count: usize) {
    for i in (0..count).step_by(LANES) {
        // SAFETY: the caller's.
        unsafe { store(load::<V>(from.add(i), count - i), to.add(i), count - i) }
    }
}

#[inline(always)]
unsafe fn add<V: Vector>(from: *const f32, to: *mut f32, count: usize) {
    for i in (0..count).step_by(LANES) {
        let count = count - i;
        // SAFETY: the caller's.
        unsafe {
            let sum = load::<V>(to.add(i), count).add(load::<V>(from.add(i), count));
            store(sum, to.add(i), count);
        }
    }
}
