//! Rows of the plan below, gathered into a batch.

use pgrx::pg_sys;

use super::batch::Batch;
use super::executor::{MemoryContextReset, next_row, project, slot_getsomeattrs_int};

/// Fills a batch with the next rows of the plan below.
///
/// Errors of that plan and of the arguments jump over this function, which therefore holds nothing
/// with a destructor; the batch is as good as new after a rescan and never read again otherwise.
///
/// # Safety
/// The state of the node that the batch was made for.
pub(super) unsafe fn gather(batch: &mut Batch, state: *mut pg_sys::PlanState) {
    // SAFETY: the room for rows was made before; columns and arguments were planned for the slots
    // that the child and the projection return.
    unsafe {
        let child = (*state).lefttree;
        let context = (*state).ps_ExprContext;
        batch.begin(child);
        let most = batch.wanted();
        let memory = batch.memory();
        let mut bytes = 0;
        let mut row = 0;
        while row < most {
            let slot = next_row(child);
            if slot.is_null() {
                batch.finish();
                break;
            }
            if batch.deepest > i32::from((*slot).tts_nvalid) {
                slot_getsomeattrs_int(slot, batch.deepest);
            }
            let (values, nulls) = ((*slot).tts_values, (*slot).tts_isnull);
            for call in &batch.calls {
                let arguments = call.arguments(row);
                for part in &call.columns {
                    let argument = arguments.add(part.to);
                    (*argument).isnull = *nulls.add(part.from);
                    (*argument).value = *values.add(part.from);
                }
            }
            for kept in &batch.kept {
                let (value, null) = batch.cell(row, kept.to);
                *null = *nulls.add(kept.from);
                *value = *values.add(kept.from);
            }
            if batch.copies {
                for call in &batch.calls {
                    let arguments = call.arguments(row);
                    for part in &call.references {
                        let argument = arguments.add(part.to);
                        (*argument).isnull = *nulls.add(part.from);
                        if !(*argument).isnull {
                            let (copy, size) = part.copying.copy(*values.add(part.from), memory);
                            (*argument).value = copy;
                            bytes += size;
                        }
                    }
                }
                for kept in &batch.kept_references {
                    let (value, null) = batch.cell(row, kept.to);
                    *null = *nulls.add(kept.from);
                    if !*null {
                        let (copy, size) = kept.copying.copy(*values.add(kept.from), memory);
                        *value = copy;
                        bytes += size;
                    }
                }
            }
            if !batch.projection.is_null() {
                MemoryContextReset((*context).ecxt_per_tuple_memory);
                (*context).ecxt_outertuple = slot;
                let computed = project(batch.projection);
                let (values, nulls) = ((*computed).tts_values, (*computed).tts_isnull);
                for call in &batch.calls {
                    if let Some(condition) = call.condition {
                        let yes = !*nulls.add(condition) && (*values.add(condition)).value() != 0;
                        *call.reached.add(row) = yes;
                    }
                    let arguments = call.arguments(row);
                    for part in &call.computed {
                        let argument = arguments.add(part.to);
                        (*argument).isnull = *nulls.add(part.from);
                        if !(*argument).isnull {
                            let (copy, size) = part.copying.copy(*values.add(part.from), memory);
                            (*argument).value = copy;
                            bytes += size;
                        }
                    }
                }
            }
            row += 1;
            if bytes > batch.most_bytes() {
                break;
            }
        }
        batch.gathered(row);
    }
}
