//! Neural networks trained, stored and called inside PostgreSQL.
//!
//! The core (`nn`, `features`, `metrics`, `artifact`, `training`, `weights`, `encryption`, `memory`) knows nothing of PostgreSQL and builds
//! alone with `--no-default-features`; `pg` is the thin layer that connects it to the server.

pub mod artifact;
pub mod encryption;
pub mod features;
mod hex;
mod json_number;
pub mod memory;
pub mod metrics;
pub mod models;
mod nearest;
pub mod nn;
pub mod training;
pub mod weights;

#[cfg(feature = "pg")]
mod pg;

#[cfg(feature = "pg")]
::pgrx::pg_module_magic!(name, version);
