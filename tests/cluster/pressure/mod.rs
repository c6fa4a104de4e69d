//! Servers that crash, that run out of disk or memory, and that are asked by many at once while models
//! come and go.

mod disk;
mod left;
mod oom;
mod readers;
mod storm;
mod timeline;
mod writers;

/// A number below a bound, from a state that goes on: the same seed, the same faults.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}
