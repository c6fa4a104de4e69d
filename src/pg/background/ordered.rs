//! What a worker is told when it starts: 128 bytes that the postmaster hands on.

use std::ffi::c_char;

use pgrx::pg_sys;

/// A job, and as whom and after what its worker does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ordered {
    pub(crate) job: i64,
    pub(crate) database: pg_sys::Oid,
    pub(crate) role: pg_sys::Oid,
    /// The transaction that made the job.
    pub(crate) transaction: u32,
    /// The place among those of `neural.max_jobs`.
    pub(crate) place: u32,
}

impl Ordered {
    /// Writes it into a worker's record.
    pub(crate) fn write(&self, extra: &mut [c_char; 128]) {
        let text = format!(
            "{} {} {} {} {}",
            self.job,
            self.database.to_u32(),
            self.role.to_u32(),
            self.transaction,
            self.place
        );
        put(&text, extra);
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(crate) fn read(extra: &[c_char; 128]) -> Option<Ordered> {
        let bytes = extra.iter().map(|&c| c.cast_unsigned());
        let bytes: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
        let text = std::str::from_utf8(&bytes).ok()?;
        let mut parts = text.split(' ');
        Some(Ordered {
            job: parts.next()?.parse().ok()?,
            database: pg_sys::Oid::from(parts.next()?.parse::<u32>().ok()?),
            role: pg_sys::Oid::from(parts.next()?.parse::<u32>().ok()?),
            transaction: parts.next()?.parse().ok()?,
            place: parts.next()?.parse().ok()?,
        })
    }
}

/// Puts a text where PostgreSQL has a fixed place for one.
pub(super) fn put(text: &str, into: &mut [c_char]) {
    let room = into.len().saturating_sub(1);
    let bytes = text.bytes().take(room).chain(std::iter::once(0));
    for (place, byte) in into.iter_mut().zip(bytes) {
        *place = byte as c_char;
    }
}
