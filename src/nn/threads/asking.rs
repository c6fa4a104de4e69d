//! The question to the host whether to go on.

use std::cell::{Cell, RefCell};
use std::fmt;

use crate::nn::base::stop::Stop;

/// The calling thread's own look: it asks the host, and remembers what it was told.
pub struct Asking<'a> {
    interrupted: RefCell<&'a mut dyn FnMut() -> bool>,
    aborted: Cell<bool>,
}

impl<'a> Asking<'a> {
    /// Asks by `interrupted`.
    pub fn new(interrupted: &'a mut dyn FnMut() -> bool) -> Self {
        Self {
            interrupted: RefCell::new(interrupted),
            aborted: Cell::new(false),
        }
    }

    /// Whether it was told to stop before.
    pub fn was_set(&self) -> bool {
        self.aborted.get()
    }
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

impl Stop for Asking<'_> {
    fn is_set(&self) -> bool {
        if !self.aborted.get() {
            let aborted = (self.interrupted.borrow_mut())();
            self.aborted.set(aborted);
        }
        self.aborted.get()
    }
}
