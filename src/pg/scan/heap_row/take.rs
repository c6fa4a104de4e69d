//! A row's columns on their way into a batch.

use pgrx::pg_sys::{self, Datum};

use super::layout::{Layout, Shape, Step, align};
use crate::pg::scan::copy::Part;

/// Rows that lie one after the other: the arguments of a call, or the batch's own.
#[derive(Clone, Copy)]
pub(in crate::pg::scan) struct Lane {
    pub(in crate::pg::scan) values: *mut Datum,
    pub(in crate::pg::scan) nulls: *mut bool,
    /// Columns of a row.
    pub(in crate::pg::scan) width: usize,
}

/// A row of a batch, in all of its lanes.
#[derive(Clone, Copy)]
struct Place {
    lanes: *const Lane,
    row: usize,
    memory: pg_sys::MemoryContext,
}

impl Layout {
    /// Writes what is wanted of a stored row into a row of the lanes, and what it refers to into
    /// `memory`; returns the bytes that this takes. None: the row was stored before the table had
    /// all the columns that are wanted, of which the slot knows more.
    ///
    /// # Safety
    /// A row of that layout; lanes that have the row, with the columns that are wanted.
    #[inline(always)]
    pub(in crate::pg::scan) unsafe fn take(
        &self,
        stored: pg_sys::HeapTupleHeader,
        lanes: &[Lane],
        row: usize,
        memory: pg_sys::MemoryContext,
    ) -> Option<usize> {
        // SAFETY: as the caller says.
        unsafe {
            let columns = u32::from((*stored).t_infomask2) & pg_sys::HEAP_NATTS_MASK;
            if (columns as usize) < self.deepest {
                return None;
            }
            let place = Place {
                lanes: lanes.as_ptr(),
                row,
                memory,
            };
            let data = stored.cast::<u8>().add(usize::from((*stored).t_hoff));
            if u32::from((*stored).t_infomask) & pg_sys::HEAP_HASNULL != 0 {
                let bits = (&raw const (*stored).t_bits).cast::<u8>();
                return Some(self.take_with_nulls(data, bits, place));
            }
            let mut bytes = 0;
            for step in &self.fixed {
                bytes += self.put(step, data.add(step.offset), place);
            }
            if self.varying < self.steps.len() {
                bytes += self.take_varying(data, place);
            }
            Some(bytes)
        }
    }

    /// Takes the columns that are not always at the same offset, of a row without NULLs.
    unsafe fn take_varying(&self, data: *const u8, place: Place) -> usize {
        // SAFETY: as for `take`.
        unsafe {
            let mut at = self.varying_offset;
            let mut bytes = 0;
            for step in &self.steps[self.varying..] {
                at = step.begin(data, at);
                bytes += self.put(step, data.add(at), place);
                at += step.count * step.size(data.add(at));
            }
            bytes
        }
    }

    /// Takes a row that has NULLs, of which nothing is stored.
    unsafe fn take_with_nulls(&self, data: *const u8, bits: *const u8, place: Place) -> usize {
        // SAFETY: as for `take`; there is a bit for each column.
        unsafe {
            let mut at = 0;
            let mut bytes = 0;
            for step in &self.steps {
                if all_there(bits, step.first, step.count) {
                    at = step.begin(data, at);
                    bytes += self.put(step, data.add(at), place);
                    at += step.count * step.size(data.add(at));
                    continue;
                }
                let copied;
                (at, copied) = self.put_there(step, (data, bits), at, place);
                bytes += copied;
            }
            bytes
        }
    }

    /// Writes a step's values, of which none is NULL; returns the bytes that were copied.
    #[inline(always)]
    unsafe fn put(&self, step: &Step, from: *const u8, place: Place) -> usize {
        // SAFETY: as for `take`.
        unsafe {
            let mut bytes = 0;
            for target in self.targets.get_unchecked(step.targets.clone()) {
                let (values, nulls) = place.cell(target.lane, target.to);
                match step.shape {
                    // A datum is its bits.
                    Shape::Value(8) => {
                        from.copy_to_nonoverlapping(values.cast(), step.count * size_of::<Datum>())
                    }
                    Shape::Value(size) => {
                        for i in 0..step.count {
                            *values.add(i) = value(size, from.add(i * size));
                        }
                    }
                    _ => {
                        let (copy, size) = target.copying.copy(Datum::from(from), place.memory);
                        *values = copy;
                        bytes += size;
                    }
                }
                nulls.write_bytes(0, step.count);
            }
            bytes
        }
    }

    /// Writes a step's values, of which some are NULL; returns where the next begins, and the bytes
    /// that were copied.
    #[inline(always)]
    unsafe fn put_there(
        &self,
        step: &Step,
        (data, bits): (*const u8, *const u8),
        mut at: usize,
        place: Place,
    ) -> (usize, usize) {
        // SAFETY: as for `take`.
        unsafe {
            let targets = self.targets.get_unchecked(step.targets.clone());
            if let (Shape::Value(size), [target]) = (step.shape, targets) {
                let to = place.cell(target.lane, target.to);
                // Compiled for each size.
                let at = match size {
                    8 => values_there::<8>(step, (data, bits), at, to),
                    4 => values_there::<4>(step, (data, bits), at, to),
                    2 => values_there::<2>(step, (data, bits), at, to),
                    _ => values_there::<1>(step, (data, bits), at, to),
                };
                return (at, 0);
            }
            let mut bytes = 0;
            for i in 0..step.count {
                if is_there(bits, step.first + i) {
                    at = step.begin(data, at);
                    bytes += self.put_one(step, i, data.add(at), place);
                    at += step.size(data.add(at));
                    continue;
                }
                for target in targets {
                    let (_, null) = place.cell(target.lane, target.to + i);
                    *null = true;
                }
            }
            (at, bytes)
        }
    }

    /// Writes one of a step's values.
    unsafe fn put_one(&self, step: &Step, i: usize, from: *const u8, place: Place) -> usize {
        // SAFETY: as for `take`.
        unsafe {
            let mut bytes = 0;
            for target in &self.targets[step.targets.clone()] {
                let (at, null) = place.cell(target.lane, target.to + i);
                *null = false;
                match step.shape {
                    Shape::Value(size) => *at = value(size, from),
                    _ => {
                        let (copy, size) = target.copying.copy(Datum::from(from), place.memory);
                        *at = copy;
                        bytes += size;
                    }
                }
            }
            bytes
        }
    }

    /// [`Layout::take`] of a slot's row, whose columns the slot has found.
    ///
    /// # Safety
    /// Columns of such a row up to the [deepest](Layout::deepest).
    pub(in crate::pg::scan) unsafe fn take_found(
        &self,
        found: (*const Datum, *const bool),
        lanes: &[Lane],
        row: usize,
        memory: pg_sys::MemoryContext,
    ) -> usize {
        // SAFETY: as the caller says.
        unsafe {
            let mut bytes = 0;
            for want in &self.wants {
                let lane = &lanes[want.lane];
                let part = Part {
                    from: want.from,
                    to: want.to,
                    copying: want.copying,
                };
                let to = (
                    lane.values.add(row * lane.width),
                    lane.nulls.add(row * lane.width),
                );
                bytes += part.copy(found, to, memory);
            }
            bytes
        }
    }

    /// The last column that is wanted, counted from 1.
    pub(in crate::pg::scan) fn deepest(&self) -> i32 {
        self.deepest as i32
    }
}

impl Place {
    /// Where a column of a lane's row lies.
    #[inline(always)]
    unsafe fn cell(self, lane: usize, column: usize) -> (*mut Datum, *mut bool) {
        // SAFETY: as for `take`.
        unsafe {
            let lane = &*self.lanes.add(lane);
            let at = self.row * lane.width + column;
            (lane.values.add(at), lane.nulls.add(at))
        }
    }
}

impl Step {
    /// Where the first of the step's columns begins that come next, at the offset or behind what
    /// aligns it: PostgreSQL's att_align_pointer.
    #[inline(always)]
    unsafe fn begin(&self, data: *const u8, offset: usize) -> usize {
        // SAFETY: one of the columns is there. What aligns is zero, as the first byte of a short
        // varlena, which is not aligned, never is.
        if self.shape == Shape::Varlena && unsafe { *data.add(offset) } != 0 {
            return offset;
        }
        align(offset, self.alignment)
    }

    /// The bytes of one of its values: PostgreSQL's att_addlength_pointer.
    #[inline(always)]
    unsafe fn size(&self, value: *const u8) -> usize {
        // SAFETY: such a value begins there.
        unsafe {
            match self.shape {
                Shape::Value(size) | Shape::Bytes(size) => size,
                Shape::Varlena => pgrx::varsize_any(value.cast()),
                Shape::CString => libc::strlen(value.cast()) + 1,
            }
        }
    }
}

/// Writes those of a step's values that are not NULL, of so many bytes each, from an offset on;
/// returns where the next begins.
unsafe fn values_there<const SIZE: usize>(
    step: &Step,
    (data, bits): (*const u8, *const u8),
    mut at: usize,
    (values, nulls): (*mut Datum, *mut bool),
) -> usize {
    // SAFETY: as for `take`.
    unsafe {
        for i in 0..step.count {
            let there = is_there(bits, step.first + i);
            *nulls.add(i) = !there;
            if there {
                at = align(at, step.alignment);
                *values.add(i) = value(SIZE, data.add(at));
                at += SIZE;
            }
        }
        at
    }
}

/// A stored value of 1, 2, 4 or 8 bytes as a datum: PostgreSQL's fetch_att.
#[inline(always)]
unsafe fn value(size: usize, from: *const u8) -> Datum {
    // SAFETY: so many bytes are there.
    let value = unsafe {
        match size {
            1 => from.cast::<std::ffi::c_char>().read() as isize,
            2 => from.cast::<i16>().read_unaligned() as isize,
            4 => from.cast::<i32>().read_unaligned() as isize,
            _ => from.cast::<isize>().read_unaligned(),
        }
    };
    Datum::from(value as usize)
}

/// Whether a column is not NULL.
#[inline(always)]
unsafe fn is_there(bits: *const u8, column: usize) -> bool {
    // SAFETY: the row has a bit for it.
    unsafe { *bits.add(column / 8) & 1 << (column % 8) != 0 }
}

/// Whether none of these columns is NULL.
#[inline(always)]
unsafe fn all_there(bits: *const u8, first: usize, count: usize) -> bool {
    let (begin, end) = (first, first + count - 1);
    let from_begin = 0xff_u8 << (begin % 8);
    let to_end = 0xff_u8 >> (7 - end % 8);
    // SAFETY: the row has bits for them.
    unsafe {
        let all = |byte: usize, mask: u8| *bits.add(byte) & mask == mask;
        if begin / 8 == end / 8 {
            return all(begin / 8, from_begin & to_end);
        }
        all(begin / 8, from_begin)
            && (begin / 8 + 1..end / 8).all(|byte| all(byte, 0xff))
            && all(end / 8, to_end)
    }
}
