//! What a plan of ours holds beside its expressions, in lists that PostgreSQL can copy and read.

use std::ptr::null_mut;

use pgrx::pg_sys;

use super::lists;
use crate::pg::stamp::{self, STAMP};

/// What is in `custom_private`.
pub(super) struct Private {
    /// Which columns of the plan below are passed on, counted from 0.
    pub(super) kept: Vec<usize>,
    /// Count and offset of a LIMIT on the node's rows, where both are known when execution begins; an
    /// offset that is not there is null.
    pub(super) bound: Option<[*mut pg_sys::Node; 2]>,
    /// No row may be read ahead where the statement is run a few rows at a time.
    pub(super) careful: bool,
    /// The columns that aggregates of the node are over, which are the last of its list of columns; of
    /// `count(*)` any.
    pub(super) aggregated: Vec<usize>,
}

impl Private {
    pub(super) fn to_list(&self) -> *mut pg_sys::List {
        lists::of([
            lists::of_integers(self.kept.iter().map(|&place| place as i32)),
            self.bound.map_or(null_mut(), lists::of),
            lists::of_integers([i32::from(self.careful)]),
            lists::of_integers([STAMP as u32 as i32, (STAMP >> 32) as i32]),
            lists::of_integers(self.aggregated.iter().map(|&column| column as i32)),
        ])
    }

    /// # Safety
    /// What `to_list` gave, or a copy of it.
    pub(super) unsafe fn from_list(list: *mut pg_sys::List) -> Private {
        // SAFETY: as the caller says.
        unsafe {
            let parts: Vec<*mut pg_sys::List> = lists::items(list).collect();
            let stamp = parts.get(3).map(|stamp| lists::integers(*stamp));
            stamp::check(match stamp.as_deref() {
                Some(&[low, high]) => Some(u64::from(low as u32) | u64::from(high as u32) << 32),
                _ => None,
            });
            let kept = lists::integers(parts[0]).into_iter();
            let aggregated = lists::integers(parts[4]).into_iter();
            let mut bound = lists::items::<pg_sys::Node>(parts[1]);
            Private {
                kept: kept.map(|place| place as usize).collect(),
                bound: bound.next().zip(bound.next()).map(<[_; 2]>::from),
                careful: lists::integers(parts[2]) == [1],
                aggregated: aggregated.map(|column| column as usize).collect(),
            }
        }
    }
}
