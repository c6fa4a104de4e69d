//! What processes that exchange something tell each other by.
//!
//! A new library may lie in its place while connections still have the old one mapped. The parallel
//! workers of such a connection have the new one then, and nodes of a distributed database may have
//! different ones for days; what one wrote another must not read as if it were its own.

use super::error::Report;

/// The stamp of this library: of its version, FNV-1a.
pub(crate) const STAMP: u64 = {
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < version.len() {
        hash = (hash ^ version[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
};

/// 55000 where what another process gave does not bear this library's stamp.
pub(crate) fn check(stamp: Option<u64>) {
    if stamp != Some(STAMP) {
        Report::not_in_state("two processes of a query have different versions of pg_neural")
            .hint("The library was replaced while this session was connected: connect again.")
            .raise();
    }
}
