//! A call as the function itself would be given it.

use pgrx::pg_sys::{self, Datum};

/// Bytes of a call's frame before its arguments.
const HEADER: usize = std::mem::offset_of!(pg_sys::FunctionCallInfoBaseData, args);

/// Room for a call's frame.
pub(super) struct Frame {
    /// What fmgr knows of the call: in the query's memory.
    pub(super) info: *mut pg_sys::FmgrInfo,
    collation: pg_sys::Oid,
    room: Vec<u64>,
}

impl Frame {
    /// # Safety
    /// A call that may be executed, and the query's memory context.
    pub(super) unsafe fn new(call: *mut pg_sys::FuncExpr, query: pg_sys::MemoryContext) -> Frame {
        // SAFETY: as the caller says.
        unsafe {
            let info: *mut pg_sys::FmgrInfo =
                pg_sys::MemoryContextAllocZero(query, size_of::<pg_sys::FmgrInfo>()).cast();
            pg_sys::fmgr_info_cxt((*call).funcid, info, query);
            (*info).fn_expr = call.cast();
            Frame {
                info,
                collation: (*call).inputcollid,
                room: Vec::new(),
            }
        }
    }

    /// The call with these arguments, which stays until the next one.
    pub(super) fn with(
        &mut self,
        (values, nulls): (&[Datum], &[bool]),
    ) -> pg_sys::FunctionCallInfo {
        let size = HEADER + values.len() * size_of::<pg_sys::NullableDatum>();
        self.room.resize(size.div_ceil(size_of::<u64>()), 0);
        // SAFETY: room for a frame with so many arguments, aligned as it is.
        unsafe {
            let frame: pg_sys::FunctionCallInfo = self.room.as_mut_ptr().cast();
            (*frame).flinfo = self.info;
            (*frame).fncollation = self.collation;
            (*frame).nargs = values.len() as i16;
            let to: *mut pg_sys::NullableDatum = frame.cast::<u8>().add(HEADER).cast();
            for (i, (&value, &isnull)) in values.iter().zip(nulls).enumerate() {
                *to.add(i) = pg_sys::NullableDatum { value, isnull };
            }
            frame
        }
    }
}
