//! The rows that a sequential scan has left on its page.
//!
//! A scan looks at a page as a whole, notes which of its rows the snapshot sees, and then returns
//! them one by one. The first of a page comes from the scan itself, which so does all that it has
//! to: finds the next page, by itself or with others, looks at it and locks what has to be locked.
//! The rest of what it noted is taken from there, and the scan is left as if it had returned it.

use pgrx::pg_sys::{self, NodeTag};

use super::layout::{Layout, Want};
use crate::pg::scan::executor::ExecStoreBufferHeapTuple;
use crate::pg::scan::lists;

/// How many rows ahead memory is asked for, and for how many bytes of each. On a table that does not
/// fit in the processor's caches, 20 columns a row, this takes a third off copying them.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 4;
#[cfg(target_arch = "x86_64")]
const MOST_AHEAD: usize = 512;

/// A sequential scan of a table that is stored as PostgreSQL itself stores tables.
pub(in crate::pg::scan) struct Pages {
    scan: *mut pg_sys::ScanState,
    layout: Option<Box<Layout>>,
}

/// What is left on a page.
pub(in crate::pg::scan) struct Rest {
    scan: *mut pg_sys::HeapScanDescData,
    page: *const u8,
    /// Where the scan stands among the rows of the page, and how many there are.
    at: usize,
    end: usize,
    begin: usize,
}

impl Pages {
    /// The pages of a plan below that is such a scan; `wants` are the columns of what it returns that
    /// go into a batch as they are, if these are all that is asked of a row.
    ///
    /// # Safety
    /// A plan's state that has begun.
    pub(in crate::pg::scan) unsafe fn of(
        state: *mut pg_sys::PlanState,
        wants: Option<&[Want]>,
    ) -> Option<Pages> {
        // SAFETY: looked at as what its tag says.
        unsafe {
            // Where a row is looked at once more, it is another version of it that the scan returns.
            if (*state).type_ != NodeTag::T_SeqScanState
                || !(*(*state).state).es_epq_active.is_null()
            {
                return None;
            }
            let scan: *mut pg_sys::ScanState = state.cast();
            let table = (*scan).ss_currentRelation;
            if (*table).rd_tableam != pg_sys::GetHeapamTableAmRoutine() {
                return None;
            }
            let descriptor = (*(*scan).ss_ScanTupleSlot).tts_tupleDescriptor;
            let wants = wants.and_then(|wants| stored(state, wants));
            let layout = wants.and_then(|wants| Layout::new(descriptor, &wants));
            Some(Pages {
                scan,
                layout: layout.map(Box::new),
            })
        }
    }

    /// How what is wanted of a row lies in it; null where more is asked of a row than its columns.
    pub(in crate::pg::scan) fn layout(&self) -> *const Layout {
        self.layout
            .as_deref()
            .map_or(std::ptr::null(), |layout| layout)
    }

    /// What is left on the page of the row that the scan has just returned.
    ///
    /// # Safety
    /// The scan is not at its end.
    #[inline]
    pub(in crate::pg::scan) unsafe fn rest(&self) -> Option<Rest> {
        // SAFETY: a table of this kind is scanned by such a scan.
        unsafe {
            let general = (*self.scan).ss_currentScanDesc;
            let forward = pg_sys::ScanDirection::ForwardScanDirection;
            if general.is_null()
                || (*general).rs_flags & pg_sys::ScanOptions::SO_ALLOW_PAGEMODE == 0
                || (*general).rs_nkeys != 0
                || (*(*self.scan).ps.state).es_direction != forward
            {
                return None;
            }
            let scan: *mut pg_sys::HeapScanDescData = general.cast();
            let (at, end) = ((*scan).rs_cindex as usize, (*scan).rs_ntuples as usize);
            if !(*scan).rs_inited || (*scan).rs_cbuf == 0 || at + 1 >= end {
                return None;
            }
            Some(Rest {
                scan,
                page: pg_sys::BufferGetPage((*scan).rs_cbuf).cast(),
                at,
                end,
                begin: at,
            })
        }
    }
}

impl Rest {
    /// Whether there is another row.
    #[inline(always)]
    pub(in crate::pg::scan) fn has_more(&self) -> bool {
        self.at + 1 < self.end
    }

    /// Comes to the next row, which has to be there.
    ///
    /// # Safety
    /// The scan is where it was.
    #[inline(always)]
    pub(in crate::pg::scan) unsafe fn next(&mut self) -> pg_sys::HeapTupleHeader {
        self.at += 1;
        // SAFETY: as below.
        unsafe { self.ask_ahead() };
        // SAFETY: a row that the snapshot sees stays where it is while its page is pinned, which it
        // is by the scan.
        unsafe { self.page.add(self.item().0).cast_mut().cast() }
    }

    /// Asks memory for a row that comes soon: rows lie one before the other, which the processor does
    /// not always foresee.
    #[inline(always)]
    unsafe fn ask_ahead(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a row of the page; asking reads nothing.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let at = self.at + AHEAD;
            if at < self.end {
                let (offset, length) = self.item_at(at);
                let row = self.page.add(offset);
                for line in (0..length.min(MOST_AHEAD)).step_by(64) {
                    _mm_prefetch::<_MM_HINT_T0>(row.add(line).cast());
                }
            }
        }
    }

    /// Where the row begins on the page, and its bytes.
    #[inline(always)]
    unsafe fn item(&self) -> (usize, usize) {
        // SAFETY: as for `next`.
        unsafe { self.item_at(self.at) }
    }

    /// The same of any of the rows.
    #[inline(always)]
    unsafe fn item_at(&self, at: usize) -> (usize, usize) {
        // SAFETY: as for `next`.
        unsafe {
            let number = usize::from(*(&raw const (*self.scan).rs_vistuples).cast::<u16>().add(at));
            let header: *const pg_sys::PageHeaderData = self.page.cast();
            let items: *const pg_sys::ItemIdData = (&raw const (*header).pd_linp).cast();
            let item = items.add(number - 1);
            if cfg!(target_endian = "big") {
                return ((*item).lp_off() as usize, (*item).lp_len() as usize);
            }
            // The bindings read bit by bit.
            let bits = item.cast::<u32>().read() as usize;
            (bits & 0x7fff, bits >> 17)
        }
    }

    /// Puts the row into the scan's slot, as the scan would.
    ///
    /// # Safety
    /// As for [`Rest::next`], which has come to it.
    pub(in crate::pg::scan) unsafe fn store(&self, slot: *mut pg_sys::TupleTableSlot) {
        // SAFETY: as the caller says; the scan's own room for a row is what its slot refers to.
        unsafe {
            let (offset, length) = self.item();
            let row = &raw mut (*self.scan).rs_ctup;
            let number = *(&raw const (*self.scan).rs_vistuples)
                .cast::<u16>()
                .add(self.at);
            (*row).t_data = self.page.add(offset).cast_mut().cast();
            (*row).t_len = length as u32;
            (*row).t_self.ip_posid = number;
            ExecStoreBufferHeapTuple(row, slot, (*self.scan).rs_cbuf);
        }
    }

    /// Leaves the scan where these rows have come to, and counts them as the scan would have.
    ///
    /// # Safety
    /// The scan is where it was.
    pub(in crate::pg::scan) unsafe fn leave(self) {
        // SAFETY: as the caller says.
        unsafe {
            (*self.scan).rs_cindex = self.at as _;
            let counted = (*(*self.scan).rs_base.rs_rd).pgstat_info;
            if !counted.is_null() {
                *returned(counted) += (self.at - self.begin) as i64;
            }
        }
    }
}

/// The count of the rows that scans of a table have returned.
#[cfg(feature = "pg15")]
unsafe fn returned(counted: *mut pg_sys::PgStat_TableStatus) -> *mut pg_sys::PgStat_Counter {
    // SAFETY: a table's counts.
    unsafe { &raw mut (*counted).t_counts.t_tuples_returned }
}
#[cfg(not(feature = "pg15"))]
unsafe fn returned(counted: *mut pg_sys::PgStat_TableStatus) -> *mut pg_sys::PgStat_Counter {
    // SAFETY: a table's counts.
    unsafe { &raw mut (*counted).counts.tuples_returned }
}

/// Where the columns of what a scan returns are in the rows as stored; none where one is computed.
unsafe fn stored(scan: *mut pg_sys::PlanState, wants: &[Want]) -> Option<Vec<Want>> {
    // SAFETY: a scan's state, of which the target list is expressions over its table.
    unsafe {
        if (*scan).ps_ProjInfo.is_null() {
            return Some(wants.to_vec());
        }
        let plan: *mut pg_sys::Scan = (*scan).plan.cast();
        let columns: Vec<Option<usize>> =
            lists::items::<pg_sys::TargetEntry>((*plan).plan.targetlist)
                .map(|entry| {
                    if (*(*entry).expr).type_ != NodeTag::T_Var {
                        return None;
                    }
                    let variable = &*(*entry).expr.cast::<pg_sys::Var>();
                    let of_table = variable.varno as i64 == i64::from((*plan).scanrelid);
                    (of_table && variable.varattno > 0).then(|| variable.varattno as usize - 1)
                })
                .collect();
        wants
            .iter()
            .map(|want| {
                let from = columns.get(want.from).copied().flatten()?;
                Some(Want { from, ..*want })
            })
            .collect()
    }
}
