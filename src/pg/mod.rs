//! Everything that touches PostgreSQL.

mod api;
