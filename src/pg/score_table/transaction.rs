//! The transactions that one CALL makes.

use pgrx::PgTryBuilder;
use pgrx::pg_sys::{self, panic::CaughtError};

/// A connection to SPI that may end the transaction it runs in.
pub(super) struct Procedure(());

impl Procedure {
    /// Connects: for a procedure that was called where it may commit.
    pub(super) fn connect() -> Self {
        // SAFETY: `drop` closes the connection, or the transaction's end after an error.
        unsafe { pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC as i32) };
        Self(())
    }

    /// Commits, and begins the next transaction.
    ///
    /// It is READ COMMITTED whatever the session's default: only there an UPDATE follows a row
    /// that another session has changed meanwhile to its newest version.
    ///
    /// # Errors
    /// What a constraint says that was deferred until now; then the transaction has been rolled
    /// back, and the next one begun.
    pub(super) fn commit(&self) -> Result<(), Box<CaughtError>> {
        // SAFETY: connected as non-atomic; no snapshot, lock or memory of the transaction that
        // ends is used hereafter. Nothing has run yet in the new one, so that its isolation can
        // still be set.
        unsafe {
            PgTryBuilder::new(|| {
                pg_sys::SPI_commit();
                Ok(())
            })
            .catch_others(|error| Err(Box::new(error)))
            .execute()?;
            if pg_sys::XactIsoLevel != pg_sys::XACT_READ_COMMITTED as i32 {
                pg_sys::set_config_option(
                    c"transaction_isolation".as_ptr(),
                    c"read committed".as_ptr(),
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_LOCAL,
                    true,
                    0,
                    false,
                );
            }
        }
        Ok(())
    }
}

impl Drop for Procedure {
    fn drop(&mut self) {
        // After an error the transaction's abort closes it.
        if !std::thread::panicking() {
            // SAFETY: connected by `connect`.
            unsafe { pg_sys::SPI_finish() };
        }
    }
}
