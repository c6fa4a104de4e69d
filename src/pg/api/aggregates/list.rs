//! Lists of plain values in a memory context.

use std::slice;

use pgrx::pg_sys::{self, MemoryContext};

/// A growing list in a memory context, which owns it.
#[derive(Clone, Copy)]
pub(super) struct List<T> {
    pub values: *mut T,
    pub length: usize,
    pub capacity: usize,
}

impl<T: Copy> List<T> {
    pub const EMPTY: List<T> = List {
        values: std::ptr::null_mut(),
        length: 0,
        capacity: 0,
    };

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn slice(&self) -> &[T] {
        match self.values.is_null() {
            true => &[],
            // SAFETY: `length` values are initialised.
            false => unsafe { slice::from_raw_parts(self.values, self.length) },
        }
    }

    pub fn slice_mut(&mut self) -> &mut [T] {
        match self.values.is_null() {
            true => &mut [],
            // SAFETY: as above, and nobody else has the pointer.
            false => unsafe { slice::from_raw_parts_mut(self.values, self.length) },
        }
    }

    /// Bytes of its room.
    pub fn bytes(&self) -> usize {
        self.capacity * size_of::<T>()
    }

    /// Makes the room that large.
    ///
    /// # Safety
    /// The context is alive, and the one that an earlier room is in.
    pub unsafe fn grow(&mut self, capacity: usize, context: MemoryContext) {
        let bytes = capacity.saturating_mul(size_of::<T>());
        // SAFETY: both raise an ERROR instead of returning no room, and then the list is unchanged.
        self.values = unsafe {
            match self.values.is_null() {
                true => pg_sys::MemoryContextAllocHuge(context, bytes),
                false => pg_sys::repalloc_huge(self.values.cast(), bytes),
            }
        }
        .cast();
        self.capacity = capacity;
    }

    /// Appends values for which there is room.
    ///
    /// # Safety
    /// There is.
    pub unsafe fn extend(&mut self, values: impl Iterator<Item = T>) {
        for value in values {
            // SAFETY: by this function's contract the place is inside of the allocation.
            unsafe { self.values.add(self.length).write(value) };
            self.length += 1;
        }
    }

    /// Appends a value.
    ///
    /// # Safety
    /// As for [`List::grow`].
    pub unsafe fn push(&mut self, value: T, first: usize, context: MemoryContext) {
        // SAFETY: by this function's contract.
        unsafe {
            if self.length == self.capacity {
                self.grow((self.capacity * 2).max(first), context);
            }
            self.extend(std::iter::once(value));
        }
    }

    pub fn free(&mut self) {
        if !self.values.is_null() {
            // SAFETY: allocated by grow.
            unsafe { pg_sys::pfree(self.values.cast()) };
        }
        *self = List::EMPTY;
    }
}
