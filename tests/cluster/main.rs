//! Tests from outside against a real server; each starts a private cluster of its own.

mod calls;
mod cancel;
mod concurrency;
mod damage;
mod determinism;
mod dump;
mod dump_computed;
mod encodings;
mod extension;
mod fixture;
mod harness;
mod hostile;
mod interrupts;
mod jobs;
mod long_rows;
mod memory;
mod model_users;
mod openblas;
mod refused_memory;
mod rights;
mod rollback;
mod scan_bad_cases;
mod scan_property;
mod score_table;
mod standby;
mod weights_shared;
