//! Tests of the core through its public interface; no PostgreSQL is needed.

mod math;
mod optimizer;
