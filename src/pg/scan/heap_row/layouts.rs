//! The layouts of what a plan returns, which may be rows of several tables.

use std::collections::HashMap;
use std::ptr::{null, null_mut};

use pgrx::pg_sys;

use super::layout::{Layout, Want};

/// A layout for each descriptor that a plan's rows come with: partitions have theirs.
pub(in crate::pg::scan) struct Layouts {
    wants: Vec<Want>,
    known: HashMap<pg_sys::TupleDesc, Option<Box<Layout>>>,
    /// The one of the last row.
    descriptor: pg_sys::TupleDesc,
    layout: *const Layout,
}

impl Layouts {
    pub(in crate::pg::scan) fn new(wants: Vec<Want>) -> Layouts {
        Layouts {
            wants,
            known: HashMap::new(),
            descriptor: null_mut(),
            layout: null(),
        }
    }

    pub(in crate::pg::scan) fn wants(&self) -> &[Want] {
        &self.wants
    }

    /// The layout of rows with a descriptor, if it is that of the last row; null: they have none.
    #[inline(always)]
    pub(in crate::pg::scan) fn last(&self, descriptor: pg_sys::TupleDesc) -> Option<*const Layout> {
        (self.descriptor == descriptor).then_some(self.layout)
    }

    /// The same of any descriptor.
    ///
    /// # Safety
    /// The descriptor of a slot that is there, with its columns, as long as the query runs.
    pub(in crate::pg::scan) unsafe fn of(
        &mut self,
        descriptor: pg_sys::TupleDesc,
    ) -> *const Layout {
        let wants = &self.wants;
        let layout = self.known.entry(descriptor).or_insert_with(|| {
            // SAFETY: as the caller says.
            unsafe { Layout::new(descriptor, wants) }.map(Box::new)
        });
        self.layout = layout.as_deref().map_or(null(), |layout| layout);
        self.descriptor = descriptor;
        self.layout
    }
}
