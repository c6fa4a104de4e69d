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
pub(super) unsafe fn fill(batch: &mut Batch, state: *mut pg_sys::PlanState) {
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
            if batch.copies {
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
            if !batch.projection.is_null() {
                MemoryContextReset((*context).ecxt_per_tuple_memory);
                (*context).ecxt_outertuple = slot;
                let slot = project(batch.projection);
                let computed = (
                    (*slot).tts_values.cast_const(),
                    (*slot).tts_isnull.cast_const(),
                );
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
            }
            row += 1;
            if bytes > batch.most_bytes() {
                break;
            }
        }
        batch.gathered(row);
    }
}
