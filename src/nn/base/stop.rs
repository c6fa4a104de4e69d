//! Whether to go on: what long computations look at.
//!
//! A row may be of any length and a layer of any width, so it is within the layers, too, that a
//! computation looks, each time so much work is done: what is small never does.

use std::cell::Cell;
use std::fmt::Debug;
use std::ops::Range;

/// Work between two looks, in multiply-adds or what takes as long: some milliseconds of one.
pub(in crate::nn) const WORK: usize = 1 << 25;
/// Work that a value is which an exponential is taken of, or that is read and written from memory.
pub(in crate::nn) const VALUE: usize = 16;
/// Work that a tensor's name is which is read, copied or looked up.
pub(crate) const NAME: usize = 1 << 13;

/// Says whether to stop.
pub trait Stop: Debug {
    /// Whether nobody waits for the result any more: whoever computes returns as soon as it can,
    /// with whatever result. A look may wait, or unwind: all that a pass writes to may be left half
    /// written.
    fn is_set(&self) -> bool;
}

/// Never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl Stop for Never {
    #[inline]
    fn is_set(&self) -> bool {
        false
    }
}

/// Counts work, and looks when there was enough of it.
#[derive(Debug)]
pub struct Pace<'a> {
    stop: &'a dyn Stop,
    work: Cell<usize>,
    stopped: Cell<bool>,
}

impl<'a> Pace<'a> {
    /// Work that goes on until `stop` is set.
    pub fn new(stop: &'a dyn Stop) -> Self {
        Self {
            stop,
            work: Cell::new(0),
            stopped: Cell::new(false),
        }
    }

    /// Work that goes on to its end.
    pub fn endless() -> Pace<'static> {
        Pace::new(&Never)
    }

    /// What it looks at.
    pub(in crate::nn) fn stop(&self) -> &'a dyn Stop {
        self.stop
    }

    /// Whether it was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// Counts work that was done or is about to be, in multiply-adds; whether to stop, which stays
    /// so.
    #[inline(always)]
    pub fn spend(&self, work: usize) -> bool {
        let sum = self.work.get().saturating_add(work);
        self.work.set(sum);
        sum >= WORK && self.look()
    }

    /// [`Pace::spend`] for so many values.
    #[inline(always)]
    pub fn spend_values(&self, values: usize) -> bool {
        self.spend(values.saturating_mul(VALUE))
    }

    /// Looks now.
    pub fn look(&self) -> bool {
        if self.stopped.get() || self.stop.is_set() {
            self.stopped.set(true);
            return true;
        }
        self.work.set(0);
        false
    }

    /// Parts of `0..count`, whose elements are so much work each, with a look before each but what is
    /// small; they begin at multiples of `step`. Once it is to stop there are no more.
    #[inline(always)]
    pub fn parts(&self, count: usize, work: usize, step: usize) -> Parts<'_> {
        let all = count.saturating_mul(work);
        Parts {
            pace: self,
            rest: 0..count,
            most: match all <= WORK {
                true => count,
                false => (WORK / work.max(1) / step * step).max(step),
            },
            work,
        }
    }
}

/// See [`Pace::parts`].
#[derive(Debug)]
pub struct Parts<'a> {
    pace: &'a Pace<'a>,
    rest: Range<usize>,
    most: usize,
    work: usize,
}

impl Iterator for Parts<'_> {
    type Item = Range<usize>;

    #[inline(always)]
    fn next(&mut self) -> Option<Range<usize>> {
        let begin = self.rest.start;
        let count = self.rest.len().min(self.most);
        if count == 0 || self.pace.spend(count.saturating_mul(self.work)) {
            return None;
        }
        self.rest.start = begin + count;
        Some(begin..begin + count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    struct After(AtomicUsize);

    impl Stop for After {
        fn is_set(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) == 1
        }
    }

    #[test]
    fn what_is_small_is_done_without_a_look_and_what_is_large_in_parts() {
        let stop = After(AtomicUsize::new(3));
        let pace = Pace::new(&stop);
        let parts: Vec<_> = pace.parts(1000, 10, 7).collect();
        assert!(parts.len() == 1 && parts[0] == (0..1000));
        let parts: Vec<_> = pace.parts(1000, WORK / 20, 7).collect();
        // Two looks let two parts pass; the third stops, and it stays so.
        assert_eq!(stop.0.into_inner(), 0);
        assert!(parts.iter().all(|part| part.len() == 14));
        assert!(parts.len() < 6, "{parts:?}");
    }
}
