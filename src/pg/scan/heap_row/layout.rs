//! How the rows of a table are laid out, as far as a batch wants them.

use std::ops::Range;

use pgrx::{PgTupleDesc, pg_sys};

use crate::pg::scan::copy::Copying;

/// A column that a batch wants, and where it goes.
#[derive(Clone, Copy, Debug)]
pub(in crate::pg::scan) struct Want {
    /// Its place in the row, counted from 0.
    pub(in crate::pg::scan) from: usize,
    /// Which of the batch's rows take it: those of a call's arguments, or its own.
    pub(in crate::pg::scan) lane: usize,
    /// The column there.
    pub(in crate::pg::scan) to: usize,
    pub(in crate::pg::scan) copying: Copying,
}

/// What is stored for a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// So many bytes that are the value: 1, 2, 4 or 8.
    Value(usize),
    /// So many bytes.
    Bytes(usize),
    /// A length and what follows; a short one is not aligned.
    Varlena,
    /// To the terminating zero.
    CString,
}

/// Where values go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) lane: usize,
    /// The first column there.
    pub(super) to: usize,
    pub(super) copying: Copying,
}

/// Neighbouring columns of one shape whose values go to neighbours.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The first of them.
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) shape: Shape,
    /// A power of two.
    pub(super) alignment: usize,
    /// Bytes before them in a row without NULLs, if it is the same in all.
    pub(super) offset: usize,
    /// None where nobody wants them.
    pub(super) targets: Range<usize>,
}

/// The way of a table's columns into a batch.
pub(in crate::pg::scan) struct Layout {
    /// The last column that is wanted, counted from 1.
    pub(super) deepest: usize,
    /// Up to that one.
    pub(super) steps: Vec<Step>,
    /// Of these steps, those that are wanted and whose offset is the same in all rows without NULLs.
    pub(super) fixed: Vec<Step>,
    /// The first step after which offsets differ, and its own.
    pub(super) varying: usize,
    pub(super) varying_offset: usize,
    pub(super) targets: Vec<Target>,
    pub(super) wants: Vec<Want>,
}

impl Layout {
    /// The layout of rows with that descriptor. There is none where nothing is wanted, and where a
    /// column is not what it is taken for.
    ///
    /// # Safety
    /// A descriptor, and columns of the types that it says.
    pub(in crate::pg::scan) unsafe fn new(
        descriptor: pg_sys::TupleDesc,
        wants: &[Want],
    ) -> Option<Layout> {
        let mut wants = wants.to_vec();
        wants.sort_unstable_by_key(|want| (want.from, want.lane, want.to));
        let deepest = wants.last()?.from + 1;
        let mut layout = Layout {
            deepest,
            steps: Vec::new(),
            fixed: Vec::new(),
            varying: 0,
            varying_offset: 0,
            targets: Vec::new(),
            wants: Vec::new(),
        };
        // SAFETY: as the caller says.
        let descriptor = unsafe { PgTupleDesc::from_pg_unchecked(descriptor) };
        let mut rest = &wants[..];
        for (place, attribute) in descriptor.iter().enumerate().take(deepest) {
            let (here, after) = rest.split_at(rest.partition_point(|want| want.from == place));
            rest = after;
            let shape = match (attribute.attlen, attribute.attbyval) {
                (-1, _) => Shape::Varlena,
                (-2, _) => Shape::CString,
                (length @ (1 | 2 | 4 | 8), true) => Shape::Value(length as usize),
                (length, false) if length > 0 => Shape::Bytes(length as usize),
                _ => return None,
            };
            let alignment = match attribute.attalign as u8 {
                b'c' => 1,
                b's' => align_of::<i16>(),
                b'i' => align_of::<i32>(),
                b'd' => align_of::<f64>(),
                _ => return None,
            };
            if here.iter().any(|want| want.copying != copying(shape)) {
                return None;
            }
            layout.push(place, shape, alignment, here);
        }
        if !rest.is_empty() {
            return None;
        }
        layout.set_offsets();
        layout.wants = wants;
        Some(layout)
    }

    /// Adds a column: to the neighbours before it, where it goes beside them.
    fn push(&mut self, place: usize, shape: Shape, alignment: usize, wants: &[Want]) {
        if let Some(last) = self.steps.last_mut() {
            let targets = &self.targets[last.targets.clone()];
            // Without anything between one and the next.
            let packed = match shape {
                Shape::Value(size) => size % alignment == 0,
                Shape::Bytes(size) => size % alignment == 0 && wants.is_empty(),
                Shape::Varlena | Shape::CString => false,
            };
            let beside = targets.len() == wants.len()
                && targets.iter().zip(wants).all(|(target, want)| {
                    (target.lane, target.to + last.count) == (want.lane, want.to)
                });
            if packed && beside && (last.shape, last.alignment) == (shape, alignment) {
                last.count += 1;
                return;
            }
        }
        let begin = self.targets.len();
        self.targets.extend(wants.iter().map(|want| Target {
            lane: want.lane,
            to: want.to,
            copying: want.copying,
        }));
        self.steps.push(Step {
            first: place,
            count: 1,
            shape,
            alignment,
            offset: 0,
            targets: begin..self.targets.len(),
        });
    }

    /// Finds where columns are in rows without NULLs: the same place in each up to the first whose
    /// length differs.
    fn set_offsets(&mut self) {
        let mut offset = 0;
        for step in &mut self.steps {
            let (Shape::Value(size) | Shape::Bytes(size)) = step.shape else {
                break;
            };
            step.offset = align(offset, step.alignment);
            offset = step.offset + size * step.count;
            self.varying += 1;
            if !step.targets.is_empty() {
                self.fixed.push(step.clone());
            }
        }
        self.varying_offset = offset;
    }
}

/// How what is so stored is copied.
fn copying(shape: Shape) -> Copying {
    match shape {
        Shape::Value(_) => Copying::Value,
        Shape::Bytes(size) => Copying::Bytes(size),
        Shape::Varlena => Copying::Varlena,
        Shape::CString => Copying::CString,
    }
}

/// The next multiple of a power of two.
#[inline(always)]
pub(super) fn align(offset: usize, alignment: usize) -> usize {
    (offset + alignment - 1) & !(alignment - 1)
}
