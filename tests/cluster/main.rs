//! Tests from outside against a real server; each starts a private cluster of its own.

mod extension;
mod harness;
