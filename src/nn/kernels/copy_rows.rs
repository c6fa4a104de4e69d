//! Rows brought side by side.

use super::processor::Processor;
use super::vector::{LANES, Vector, VectorTask};

/// Copies the rows of these numbers, `width` values each, to the front of `to`.
///
/// Rows are short, so that a call of the library's copy would take longer than the copy itself, and
/// scattered, so that the next ones must be under way while one is waited for.
///
/// # Panics
/// If there is no such row, or too little room.
pub(in crate::nn) fn copy_rows(from: &[f32], width: usize, rows: &[u32], to: &mut [f32]) {
    let held = from.len() / width.max(1);
    assert!(
        rows.iter().all(|&row| (row as usize) < held) && rows.len() * width <= to.len(),
        "rows that are not there"
    );
    Processor::detect().run_vectors(CopyRows {
        from,
        width,
        rows,
        to,
    });
}

/// Values of a row up to which it pays to ask for all of it at once.
const SHORT: usize = 64;
/// Values of a cache line.
const LINE: usize = 16;

/// Asks the processor to fetch the rows of these numbers, as they are about to be copied. Rows that
/// are not there are left out.
pub(in crate::nn) fn prefetch_rows(from: &[f32], width: usize, rows: &[u32]) {
    if width > SHORT {
        return;
    }
    for &row in rows {
        let start = row as usize * width;
        if let Some(row) = from.get(start..start + width) {
            row.iter()
                .step_by(LINE)
                .chain(row.last())
                .for_each(prefetch);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch(value: &f32) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: a hint, and of an address that could be read.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(value).cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn prefetch(_: &f32) {}

struct CopyRows<'a> {
    from: &'a [f32],
    width: usize,
    rows: &'a [u32],
    to: &'a mut [f32],
}

impl VectorTask for CopyRows<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let whole = self.width / LANES * LANES;
        let rest = self.width - whole;
        for (place, &row) in self.rows.iter().enumerate() {
            // SAFETY: `copy_rows` saw that each row is there, and has its place.
            unsafe {
                let from = self.from.as_ptr().add(row as usize * self.width);
                let to = self.to.as_mut_ptr().add(place * self.width);
                let mut i = 0;
                while i < whole {
                    V::load(from.add(i)).store(to.add(i));
                    i += LANES;
                }
                if rest > 0 {
                    V::load_first(from.add(whole), rest).store_first(to.add(whole), rest);
                }
            }
        }
    }
}
