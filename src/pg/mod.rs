//! Everything that touches PostgreSQL.

#![expect(unsafe_code, reason = "PostgreSQL's functions and structures")]

pub(crate) mod access;
pub(crate) mod agreement;
mod api;
pub(crate) mod attempt;
pub(crate) mod background;
mod backtrace;
pub(crate) mod cache;
pub(crate) mod call;
pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod duration;
pub(crate) mod element_type;
pub(crate) mod encoding;
pub(crate) mod encryption;
pub(crate) mod enum_labels;
pub(crate) mod error;
pub(crate) mod generated;
pub(crate) mod heap;
pub(crate) mod holders;
mod in_context;
pub(crate) mod inheritance;
pub(crate) mod interrupt;
pub(crate) mod learnt_from;
mod memory;
pub(crate) mod own_table;
pub(crate) mod query_settings;
pub(crate) mod reader;
pub(crate) mod refused;
pub(crate) mod restricted;
pub(crate) mod role;
pub(crate) mod rows;
pub(crate) mod scan;
pub(crate) mod score_table;
pub(crate) mod scoring;
pub(crate) mod search_path;
pub(crate) mod settings;
pub(crate) mod shared_models;
pub(crate) mod spelling;
pub(crate) mod sql_type;
pub(crate) mod stamp;
pub(crate) mod threads;
pub(crate) mod tree;
pub(crate) mod type_name;
pub(crate) mod usage;
pub(crate) mod wait_event;

/// Runs once a process, when PostgreSQL loads the library: in the postmaster under
/// `shared_preload_libraries`, else in the backend that needs it first.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    memory::end_the_connection_at_worst();
    backtrace::keep_out_of_errors();
    settings::define();
    encryption::start();
    scan::install();
}
