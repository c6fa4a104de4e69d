//! The settings `neural.*`.

use std::ffi::CString;
use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};

/// PostgreSQL's MAX_KILOBYTES on 64-bit machines.
/// Least memory in which something can be done: 1 MB.
const LEAST_KILOBYTES: i32 = 1024;
const MOST_KILOBYTES: i32 = i32::MAX;

static THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(-1);
static MODEL_CACHE: GucSetting<i32> = GucSetting::<i32>::new(256 * 1024);
static BATCH_SCORING: GucSetting<bool> = GucSetting::<bool>::new(true);
static BATCH_ROWS: GucSetting<i32> = GucSetting::<i32>::new(256);
static MAX_MEMORY_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(-1);
static MAX_THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static CHECKPOINT_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(30);
static MAX_JOBS: GucSetting<i32> = GucSetting::<i32>::new(2);
static SHARED_MODELS: GucSetting<i32> = GucSetting::<i32>::new(4 * 1024 * 1024);
static LOG_MIN_LOAD_DURATION: GucSetting<i32> = GucSetting::<i32>::new(-1);
static ENCRYPTION_KEY_COMMAND: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(None);

/// Registers the settings and reserves their prefix.
pub(crate) fn define() {
    GucRegistry::define_int_guc(
        c"neural.threads",
        c"Number of threads that a training computes with.",
        c"0 means one more than max_parallel_maintenance_workers. Results do not depend on it.",
        &THREADS,
        0,
        1024,
        GucContext::Userset,
        GucFlags::default(),
    );
    // SAFETY: the hook reads a number, and cannot panic.
    unsafe {
        GucRegistry::define_int_guc_with_hooks(
            c"neural.max_memory",
            c"Memory that training and scoring may take in one backend, at least 1 MB.",
            c"-1 means maintenance_work_mem. Rows that do not fit are trained from a temporary file.",
            &MAX_MEMORY,
            -1,
            MOST_KILOBYTES,
            GucContext::Userset,
            GucFlags::UNIT_KB,
            Some(is_enough_memory),
            None,
            None,
        );
    }
    GucRegistry::define_int_guc(
        c"neural.model_cache",
        c"Memory for decoded models in one backend.",
        c"The models used longest ago are dropped first; the one in use always stays. What connections share does not count.",
        &MODEL_CACHE,
        0,
        MOST_KILOBYTES,
        GucContext::Userset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_bool_guc(
        c"neural.batch_scoring",
        c"Whether queries that call a model score their rows a batch at a time.",
        c"Results do not depend on it.",
        &BATCH_SCORING,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"neural.batch_rows",
        c"Most rows that a query scores at a time.",
        c"Results do not depend on it. Batches begin small and grow, so that a LIMIT scores few rows.",
        &BATCH_ROWS,
        1,
        65536,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"neural.shared_models",
        c"Disk space for the files that connections share large models through.",
        c"The models opened longest ago are removed first, and made again when they are called. 0 lets each connection keep its own copy in memory.",
        &SHARED_MODELS,
        0,
        MOST_KILOBYTES,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    // SAFETY: as above.
    unsafe {
        GucRegistry::define_int_guc_with_hooks(
            c"neural.max_memory_limit",
            c"Most that neural.max_memory counts for, whatever a user sets it to; at least 1 MB.",
            c"-1 means no limit.",
            &MAX_MEMORY_LIMIT,
            -1,
            MOST_KILOBYTES,
            GucContext::Suset,
            GucFlags::UNIT_KB,
            Some(is_enough_memory),
            None,
            None,
        );
    }
    GucRegistry::define_int_guc(
        c"neural.max_threads",
        c"Most threads that a training computes with, whatever a user asks for.",
        c"0 means as many as there are processors, which are never exceeded.",
        &MAX_THREADS,
        0,
        1024,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"neural.max_jobs",
        c"Most jobs of trainings in the background, in the whole cluster.",
        c"Each takes one of max_worker_processes, which parallel queries use as well. 0 takes no jobs.",
        &MAX_JOBS,
        0,
        1024,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"neural.checkpoint_interval",
        c"Least time between two times that a job keeps how far it is.",
        c"What is kept is as large as the network with what its optimizer remembers, and is written to the WAL.",
        &CHECKPOINT_INTERVAL,
        0,
        86_400,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"neural.log_min_load_duration",
        c"Milliseconds above which the log says that a connection's first call of a model had to wait for it.",
        c"-1 says nothing, 0 tells of every model that a connection makes ready.",
        &LOG_MIN_LOAD_DURATION,
        -1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_string_guc(
        c"neural.encryption_key_command",
        c"Shell command that prints the keys which stored models are encrypted with.",
        c"A key a line, of 64 hexadecimal digits; the first is in use, the others open what was encrypted before. Run when the server starts, which takes shared_preload_libraries.",
        &ENCRYPTION_KEY_COMMAND,
        // A setting that only a start of the server changes can be made only while it starts.
        match preloading() {
            true => GucContext::Postmaster,
            false => GucContext::Sighup,
        },
        GucFlags::SUPERUSER_ONLY,
    );
    // SAFETY: the string is static; PostgreSQL copies it.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"neural".as_ptr()) };
}

/// `neural.threads`, with its default worked out: at least 1.
pub(crate) fn threads() -> usize {
    let threads = match THREADS.get() {
        // SAFETY: a setting of PostgreSQL's, read in the main thread.
        0 => 1 + unsafe { pg_sys::max_parallel_maintenance_workers },
        threads => threads,
    };
    usize::try_from(threads).unwrap_or(1).max(1)
}

/// The most threads a training may have: `neural.max_threads`, and never more than processors, as
/// threads that wait for each other's turn only slow it down.
pub(crate) fn max_threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match usize::try_from(MAX_THREADS.get()) {
        Ok(cap) if cap > 0 => cap.min(processors),
        _ => processors,
    }
}

/// Refuses memory in which nothing can be done, as PostgreSQL does for `maintenance_work_mem`; -1 is
/// none that is given.
unsafe extern "C-unwind" fn is_enough_memory(
    kilobytes: *mut ::core::ffi::c_int,
    _extra: *mut *mut ::core::ffi::c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL gives the new value, and reads the hint before it calls another hook.
    unsafe {
        let is_enough = *kilobytes == -1 || *kilobytes >= LEAST_KILOBYTES;
        if !is_enough {
            pg_sys::GUC_check_errhint_string = c"It is at least 1MB, or -1.".as_ptr().cast_mut();
        }
        is_enough
    }
}

/// `neural.max_memory` in bytes, with its default worked out and `neural.max_memory_limit` kept: at
/// least 1 MB, as `maintenance_work_mem` may be less.
pub(crate) fn max_memory() -> usize {
    bytes(wanted_memory().min(memory_limit()).max(LEAST_KILOBYTES))
}

/// Whether `neural.max_memory_limit` keeps a user from what `neural.max_memory` says.
pub(crate) fn memory_is_limited() -> bool {
    wanted_memory() > memory_limit()
}

/// `neural.max_memory` in kB, with its default worked out.
fn wanted_memory() -> i32 {
    match MAX_MEMORY.get() {
        // SAFETY: a setting of PostgreSQL's, read in the main thread.
        -1 => unsafe { pg_sys::maintenance_work_mem },
        kilobytes => kilobytes,
    }
}

/// `neural.max_memory_limit` in kB.
fn memory_limit() -> i32 {
    match MAX_MEMORY_LIMIT.get() {
        -1 => MOST_KILOBYTES,
        limit => limit,
    }
}

/// `neural.checkpoint_interval`.
pub(crate) fn checkpoint_interval() -> Duration {
    Duration::from_secs(u64::try_from(CHECKPOINT_INTERVAL.get()).unwrap_or(0))
}

/// `neural.max_jobs`.
pub(crate) fn max_jobs() -> u32 {
    u32::try_from(MAX_JOBS.get()).unwrap_or(0)
}

/// `neural.shared_models` in bytes.
pub(crate) fn shared_models() -> u64 {
    u64::try_from(SHARED_MODELS.get()).unwrap_or(0) * 1024
}

/// `neural.model_cache` in bytes.
pub(crate) fn model_cache() -> usize {
    bytes(MODEL_CACHE.get())
}

/// `neural.batch_scoring`.
pub(crate) fn batch_scoring() -> bool {
    BATCH_SCORING.get()
}

/// `neural.batch_rows`: at least 1.
pub(crate) fn batch_rows() -> usize {
    usize::try_from(BATCH_ROWS.get()).unwrap_or(1).max(1)
}

fn bytes(kilobytes: i32) -> usize {
    usize::try_from(kilobytes).unwrap_or(0).saturating_mul(1024)
}

/// Whether the library is being loaded by the postmaster, from `shared_preload_libraries`.
pub(crate) fn preloading() -> bool {
    // SAFETY: a variable of PostgreSQL's.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// `neural.encryption_key_command`, if it is set.
pub(crate) fn encryption_key_command() -> Option<CString> {
    ENCRYPTION_KEY_COMMAND
        .get()
        .filter(|command| !command.is_empty())
}

/// `neural.log_min_load_duration`, if anything is to be said.
pub(crate) fn log_min_load_duration() -> Option<Duration> {
    u64::try_from(LOG_MIN_LOAD_DURATION.get())
        .ok()
        .map(Duration::from_millis)
}
