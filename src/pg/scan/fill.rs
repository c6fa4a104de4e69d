//! Rows of the plan below, gathered into a batch.

use std::ptr::null;

use pgrx::{pg_sys, pgrx_extern_c_guard};

use super::batch::Batch;
use super::executor::{
    InstrStartNode, InstrStopNode, MemoryContextReset, check_for_interrupts, next_row, passes,
    project, slot_getsomeattrs_int,
};
use super::heap_row::{Layout, Rest};

/// Fills a batch with the next rows of the plan below.
///
/// Errors of that plan and of the arguments jump over this function, which therefore holds nothing
/// with a destructor; the batch is as good as new after a rescan and never read again otherwise.
///
/// # Safety
/// The state of the node that the batch was made for.
pub(super) unsafe fn fill(batch: &mut Batch, state: *mut pg_sys::PlanState) {
    // SAFETY: the room for rows was made before; columns and arguments were planned for the slots
    // that the child and the projection return.
    unsafe {
        let child = (*state).lefttree;
        let context = (*state).ps_ExprContext;
        batch.begin(child);
        let mut taken = Taken { rows: 0, bytes: 0 };
        while taken.leaves_room(batch) {
            let slot = next_row(child);
            if slot.is_null() {
                batch.finish();
                break;
            }
            taken.bytes += take(batch, slot, taken.rows, context);
            taken.rows += 1;
            if taken.leaves_room(batch)
                && let Some(rest) = batch.pages.as_ref().and_then(|pages| pages.rest())
            {
                taken = take_rest(batch, child, rest, taken, context);
            }
        }
        batch.gathered(taken.rows);
    }
}

/// What a batch has taken so far.
#[derive(Clone, Copy)]
struct Taken {
    rows: usize,
    /// That were copied.
    bytes: usize,
}

impl Taken {
    #[inline(always)]
    fn leaves_room(self, batch: &Batch) -> bool {
        self.rows < batch.wanted() && self.bytes <= batch.most_bytes()
    }
}

/// Takes what a sequential scan has left on its page, as far as there is room, and as if the scan
/// had returned it.
///
/// # Safety
/// As for [`fill`].
unsafe fn take_rest(
    batch: &mut Batch,
    child: *mut pg_sys::PlanState,
    mut rest: Rest,
    mut taken: Taken,
    context: *mut pg_sys::ExprContext,
) -> Taken {
    // SAFETY: as for `fill`.
    unsafe {
        let instrument = (*child).instrument;
        if !instrument.is_null() {
            InstrStartNode(instrument);
        }
        let before = taken.rows;
        let layout = batch.pages.as_ref().map_or(null(), |pages| pages.layout());
        let filter = (*child).qual;
        if layout.is_null() || !filter.is_null() {
            taken = take_rest_evaluated(batch, child, &mut rest, taken, layout, context);
        } else {
            let memory = batch.memory();
            while rest.has_more() && taken.leaves_room(batch) {
                let stored = rest.next();
                let bytes = (*layout).take(stored, batch.lanes(), taken.rows, memory);
                taken.bytes += match bytes {
                    Some(bytes) => bytes,
                    None => {
                        let slot = (*child.cast::<pg_sys::ScanState>()).ss_ScanTupleSlot;
                        rest.store(slot);
                        take_stored(batch, slot, taken.rows, &*layout)
                    }
                };
                taken.rows += 1;
            }
        }
        rest.leave();
        if !instrument.is_null() {
            InstrStopNode(instrument, (taken.rows - before) as f64);
        }
        taken
    }
}

/// The same where there is a filter, or more is computed of a row: PostgreSQL's ExecScan.
unsafe fn take_rest_evaluated(
    batch: &mut Batch,
    child: *mut pg_sys::PlanState,
    rest: &mut Rest,
    mut taken: Taken,
    layout: *const Layout,
    context: *mut pg_sys::ExprContext,
) -> Taken {
    // SAFETY: as for `fill`.
    unsafe {
        let slot = (*child.cast::<pg_sys::ScanState>()).ss_ScanTupleSlot;
        let own = (*child).ps_ExprContext;
        while rest.has_more() && taken.leaves_room(batch) {
            check_for_interrupts();
            let stored = rest.next();
            rest.store(slot);
            MemoryContextReset((*own).ecxt_per_tuple_memory);
            (*own).ecxt_scantuple = slot;
            if !passes((*child).qual, own) {
                if let Some(instrument) = (*child).instrument.as_mut() {
                    instrument.nfiltered1 += 1.0;
                }
                continue;
            }
            taken.bytes += if layout.is_null() {
                let projection = (*child).ps_ProjInfo;
                let slot = if projection.is_null() {
                    slot
                } else {
                    project(projection)
                };
                take(batch, slot, taken.rows, context)
            } else {
                let bytes = (*layout).take(stored, batch.lanes(), taken.rows, batch.memory());
                match bytes {
                    Some(bytes) => bytes,
                    None => take_stored(batch, slot, taken.rows, &*layout),
                }
            };
            taken.rows += 1;
        }
        taken
    }
}

/// Takes a row that was stored before the table had all its columns, from a slot that has it.
unsafe fn take_stored(
    batch: &Batch,
    slot: *mut pg_sys::TupleTableSlot,
    row: usize,
    layout: &Layout,
) -> usize {
    // SAFETY: as for `fill`.
    unsafe {
        if layout.deepest() > i32::from((*slot).tts_nvalid) {
            slot_getsomeattrs_int(slot, layout.deepest());
        }
        let found = (
            (*slot).tts_values.cast_const(),
            (*slot).tts_isnull.cast_const(),
        );
        layout.take_found(found, batch.lanes(), row, batch.memory())
    }
}

/// Takes a row that the plan below has returned; returns the bytes that were copied for it.
///
/// # Safety
/// As for [`fill`].
#[inline(always)]
unsafe fn take(
    batch: &mut Batch,
    slot: *mut pg_sys::TupleTableSlot,
    row: usize,
    context: *mut pg_sys::ExprContext,
) -> usize {
    // SAFETY: as for `fill`.
    unsafe {
        let layout = layout(batch, slot);
        if !layout.is_null() {
            let stored = (*(*slot.cast::<pg_sys::HeapTupleTableSlot>()).tuple).t_data;
            if let Some(bytes) = (*layout).take(stored, batch.lanes(), row, batch.memory()) {
                return bytes;
            }
        }
        let bytes = take_found(batch, slot, row);
        if batch.projection.is_null() {
            return bytes;
        }
        bytes + compute(batch, slot, row, context)
    }
}

/// The layout of a slot's row, where it is one that is stored, and what is wanted of it is not
/// there in the slot already; else null.
#[inline(always)]
unsafe fn layout(batch: &mut Batch, slot: *mut pg_sys::TupleTableSlot) -> *const Layout {
    // SAFETY: a slot with a row; looked at as what its functions say that it is.
    unsafe {
        // What computes arguments has the slot find the columns.
        if (*slot).tts_ops != &raw const pg_sys::TTSOpsBufferHeapTuple
            || batch.deepest <= i32::from((*slot).tts_nvalid)
            || !batch.projection.is_null()
            || (*slot.cast::<pg_sys::HeapTupleTableSlot>()).tuple.is_null()
        {
            return null();
        }
        let descriptor = (*slot).tts_tupleDescriptor;
        match batch.layouts.last(descriptor) {
            Some(layout) => layout,
            None => pgrx_extern_c_guard(|| batch.layouts.of(descriptor)),
        }
    }
}

/// Takes what the slot has of the row, or finds.
unsafe fn take_found(batch: &mut Batch, slot: *mut pg_sys::TupleTableSlot, row: usize) -> usize {
    // SAFETY: as for `fill`.
    unsafe {
        if batch.deepest > i32::from((*slot).tts_nvalid) {
            slot_getsomeattrs_int(slot, batch.deepest);
        }
        let given = (
            (*slot).tts_values.cast_const(),
            (*slot).tts_isnull.cast_const(),
        );
        let own = batch.cell(row, 0);
        for call in &batch.calls {
            let arguments = call.arguments.row(row);
            for stretch in &call.arguments.columns {
                stretch.copy(given, arguments);
            }
        }
        for stretch in &batch.kept {
            stretch.copy(given, own);
        }
        let mut bytes = 0;
        if batch.copies {
            let memory = batch.memory();
            for call in &batch.calls {
                let arguments = call.arguments.row(row);
                for part in &call.arguments.references {
                    bytes += part.copy(given, arguments, memory);
                }
            }
            for part in &batch.kept_references {
                bytes += part.copy(given, own, memory);
            }
        }
        bytes
    }
}

/// Takes the arguments that are computed of a row.
unsafe fn compute(
    batch: &mut Batch,
    slot: *mut pg_sys::TupleTableSlot,
    row: usize,
    context: *mut pg_sys::ExprContext,
) -> usize {
    // SAFETY: as for `fill`.
    unsafe {
        MemoryContextReset((*context).ecxt_per_tuple_memory);
        (*context).ecxt_outertuple = slot;
        let slot = project(batch.projection);
        let computed = (
            (*slot).tts_values.cast_const(),
            (*slot).tts_isnull.cast_const(),
        );
        let memory = batch.memory();
        let mut bytes = 0;
        for call in &batch.calls {
            if let Some(condition) = call.arguments.condition {
                let (values, nulls) = computed;
                let yes = !*nulls.add(condition) && (*values.add(condition)).value() != 0;
                *call.arguments.reached.add(row) = yes;
            }
            let arguments = call.arguments.row(row);
            for part in &call.arguments.computed {
                bytes += part.copy(computed, arguments, memory);
            }
        }
        bytes
    }
}
