//! The temporary files of scores that memory has no room for.
//!
//! They are PostgreSQL's own: they count against `temp_file_limit` and are gone when the aggregate's
//! memory is, or at the end of the transaction, however that comes. A file of a query that runs in
//! parallel has a name, by which the leader reads what its workers wrote: their scores never travel.
//! Such files stand in a directory of the leader's, in the database's tablespace; all others follow
//! `temp_tablespaces`.

use std::cell::RefCell;
use std::ffi::CString;
use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use pgrx::pg_sys::{self, MemoryContext};
use pgrx::{PgSqlErrorCode as Code, pg_guard};

use crate::encryption::Blocks;
use crate::metrics::{Run, RunFiles};
use crate::pg::encryption::blocks;
use crate::pg::error::{OrRaise, Report};
use crate::pg::in_context::in_context;
use crate::pg::interrupt;

/// Small runs are gathered to as many bytes before they are written.
const BUFFER: usize = 64 << 10;
/// Most bytes that are written at once, between two looks for a cancel.
const PIECE: usize = 1 << 20;
/// The number of the leader's directory; those that PostgreSQL makes itself count from 0.
const DIRECTORY: u32 = 0x6e65_7572;

/// A file that other processes of the query can open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FileName {
    /// The process that wrote it.
    pub process: u32,
    /// Its number among that process's files.
    pub number: u32,
}

impl FileName {
    fn text(self) -> CString {
        CString::new(format!("{}.{}", self.process, self.number)).unwrap_or_default()
    }

    /// Removes the file, if it is still there.
    fn remove(self) {
        // SAFETY: both are valid for the call, which logs what goes wrong.
        unsafe { pg_sys::FileSetDelete(&mut directory(), self.text().as_ptr(), false) };
    }
}

/// The directory of the query's leader.
fn directory() -> pg_sys::FileSet {
    let mut directory = pg_sys::FileSet::default();
    // SAFETY: a worker belongs to its leader's lock group from its start to its end; the others are
    // plain variables.
    unsafe {
        directory.creator_pid = match pg_sys::ParallelWorkerNumber < 0 {
            true => pg_sys::MyProcPid,
            false => match (*pg_sys::MyProc).lockGroupLeader.as_ref() {
                Some(leader) => leader.pid,
                None => pg_sys::MyProcPid,
            },
        };
        directory.number = DIRECTORY;
        directory.ntablespaces = 1;
        directory.tablespaces[0] = pg_sys::MyDatabaseTableSpace;
    }
    directory
}

/// Sees to it that what workers wrote is removed at the end of each transaction, also when the leader
/// never heard of it.
pub(super) fn sweep_at_transaction_end() {
    #[pg_guard]
    unsafe extern "C-unwind" fn end(
        event: pg_sys::XactEvent::Type,
        _nothing: *mut std::ffi::c_void,
    ) {
        use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
        if matches!(
            event,
            XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE
        ) {
            // SAFETY: one look whether the directory is there; all workers have ended by now.
            unsafe { pg_sys::FileSetDeleteAll(&mut directory()) };
        }
    }
    static ONCE: Once = Once::new();
    // SAFETY: a function of this library, which is never unloaded.
    ONCE.call_once(|| unsafe { pg_sys::RegisterXactCallback(Some(end), std::ptr::null_mut()) });
}

/// The file that the states of one memory context write to.
pub(super) struct OwnFile {
    /// None once its resource owner closed it.
    file: Option<pg_sys::File>,
    owner: pg_sys::ResourceOwner,
    /// Bytes in the file, as they were before they were encrypted.
    bytes: u64,
    /// What they go through, where the server has keys.
    sealed: Option<Blocks>,
    /// What is still to be written behind them.
    buffer: Vec<u8>,
    name: Option<FileName>,
    /// Whether the leader was told of it, and removes it.
    handed_over: bool,
}

impl OwnFile {
    /// An empty file, for other processes too where the query runs in parallel.
    pub fn create() -> OwnFile {
        forget_what_is_released();
        // SAFETY: both kinds of files belong to the current resource owner, the query's.
        unsafe {
            let name = pg_sys::IsInParallelMode().then(|| {
                static NUMBER: AtomicU32 = AtomicU32::new(0);
                FileName {
                    process: pg_sys::MyProcPid as u32,
                    number: NUMBER.fetch_add(1, Ordering::Relaxed),
                }
            });
            let file = match name {
                Some(name) => pg_sys::FileSetCreate(&mut directory(), name.text().as_ptr()),
                None => {
                    pg_sys::PrepareTempTablespaces();
                    pg_sys::OpenTemporaryFile(false)
                }
            };
            OwnFile {
                file: Some(file),
                owner: pg_sys::CurrentResourceOwner,
                bytes: 0,
                sealed: blocks().or_raise(),
                buffer: Vec::new(),
                name,
                handed_over: false,
            }
        }
    }

    /// The name for other processes, if it has one.
    pub fn name(&self) -> Option<FileName> {
        self.name
    }

    /// The name for other processes, one of which removes the file from now on.
    pub fn hand_over(&mut self) -> Option<FileName> {
        self.handed_over = self.name.is_some();
        self.name
    }

    /// Where the next scores will stand.
    pub fn end(&self) -> u64 {
        self.bytes + self.buffer.len() as u64
    }

    /// Puts scores at the end; they can be read after [`OwnFile::flush`].
    pub fn append(&mut self, scores: &[f64]) {
        let length = size_of_val(scores);
        // SAFETY: any bytes of numbers are bytes.
        let bytes = unsafe { std::slice::from_raw_parts(scores.as_ptr().cast::<u8>(), length) };
        if self.buffer.len() + length > BUFFER {
            self.flush();
        }
        if length > BUFFER {
            self.write(bytes);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Writes what [`OwnFile::append`] left.
    pub fn flush(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer);
    }

    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            interrupt::check();
            let Some(file) = self.file else {
                lost().raise();
            };
            match &mut self.sealed {
                None => write_at(file, self.bytes, piece).or_raise(),
                Some(blocks) => blocks
                    .append(piece, |place, record| write_at(file, place, record))
                    .or_raise(),
            }
            self.bytes += piece.len() as u64;
        }
    }
}

fn write_at(file: pg_sys::File, place: u64, bytes: &[u8]) -> Result<(), Report> {
    // SAFETY: the file is open and the bytes are there; temp_file_limit raises PostgreSQL's own error.
    let written = unsafe {
        pg_sys::FileWrite(
            file,
            bytes.as_ptr().cast_mut().cast(),
            bytes.len() as _,
            place as _,
            pg_sys::WaitEventIO::WAIT_EVENT_BUFFILE_WRITE,
        )
    };
    match written as usize == bytes.len() {
        true => Ok(()),
        false => Err(unwritten(io::Error::last_os_error())),
    }
}

/// How many bytes could be read.
fn read_at(file: pg_sys::File, place: u64, into: &mut [u8]) -> Result<usize, Report> {
    // SAFETY: the file is open and there is room for that many bytes.
    let read = unsafe {
        pg_sys::FileRead(
            file,
            into.as_mut_ptr().cast(),
            into.len() as _,
            place as _,
            pg_sys::WaitEventIO::WAIT_EVENT_BUFFILE_READ,
        )
    };
    usize::try_from(read).map_err(|_| unread(io::Error::last_os_error()))
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // An error that unwinds leaves it to the resource owner to close.
        if let Some(file) = self.file.take()
            && !std::thread::panicking()
        {
            // SAFETY: open, and closed once.
            unsafe { pg_sys::FileClose(file) };
        }
        if let Some(name) = self.name.filter(|_| !self.handed_over) {
            name.remove();
        }
    }
}

thread_local! {
    /// The files that a resource owner may close.
    static OWN: RefCell<Vec<*mut OwnFile>> = const { RefCell::new(Vec::new()) };
    /// The files of other processes that queries of this one read.
    static QUERIES: RefCell<Vec<*mut QueryFiles>> = const { RefCell::new(Vec::new()) };
}

/// A resource owner that ends closes its files, and memory may live a little longer: a file that was
/// closed so is not to be closed again, as its number may be another's by then.
fn forget_what_is_released() {
    #[pg_guard]
    unsafe extern "C-unwind" fn released(
        phase: pg_sys::ResourceReleasePhase::Type,
        _commit: bool,
        _top: bool,
        _nothing: *mut std::ffi::c_void,
    ) {
        if phase != pg_sys::ResourceReleasePhase::RESOURCE_RELEASE_BEFORE_LOCKS {
            return;
        }
        OWN.with_borrow(|files| {
            for &file in files {
                // SAFETY: those in the list are alive; the current owner is the one that ends.
                unsafe {
                    if (*file).owner == pg_sys::CurrentResourceOwner {
                        (*file).file = None;
                    }
                }
            }
        });
    }
    static ONCE: Once = Once::new();
    // SAFETY: a function of this library, which is never unloaded.
    ONCE.call_once(|| unsafe {
        pg_sys::RegisterResourceReleaseCallback(Some(released), std::ptr::null_mut());
    });
}

/// A file that is known to [`forget_what_is_released`] as long as it is here.
pub(super) struct Registered(*mut OwnFile);

impl Registered {
    pub fn create() -> Registered {
        let file = Box::into_raw(Box::new(OwnFile::create()));
        OWN.with_borrow_mut(|files| files.push(file));
        Registered(file)
    }

    pub fn get(&self) -> &OwnFile {
        // SAFETY: alive until self is dropped.
        unsafe { &*self.0 }
    }

    pub fn get_mut(&mut self) -> &mut OwnFile {
        // SAFETY: as above.
        unsafe { &mut *self.0 }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        OWN.with_borrow_mut(|files| files.retain(|file| *file != self.0));
        // SAFETY: made by Box::into_raw, and nobody else has it any more.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// Files of other processes, removed when the query's memory goes.
struct QueryFiles {
    context: MemoryContext,
    names: Vec<FileName>,
}

impl Drop for QueryFiles {
    fn drop(&mut self) {
        let this: *mut QueryFiles = self;
        QUERIES.with_borrow_mut(|queries| queries.retain(|other| *other != this));
        self.names.iter().for_each(|name| name.remove());
    }
}

/// Removes a file that was handed over when the memory of the query goes.
///
/// # Safety
/// The context lives as long as the query reads the file.
pub(super) unsafe fn remove_with(context: MemoryContext, name: FileName) {
    let of_context = |query: &&*mut QueryFiles| {
        // SAFETY: those in the list are alive.
        unsafe { (***query).context == context }
    };
    let known = QUERIES.with_borrow(|queries| queries.iter().find(of_context).copied());
    let query = known.unwrap_or_else(|| {
        let names = Vec::new();
        // SAFETY: the context is alive, as the caller says.
        let query = unsafe { in_context(context, QueryFiles { context, names }) };
        QUERIES.with_borrow_mut(|queries| queries.push(query));
        query
    });
    // SAFETY: alive, and nobody else looks at it meanwhile.
    let names = unsafe { &mut (*query).names };
    if !names.contains(&name) {
        names.push(name);
    }
}

/// The files that runs refer to, opened: number 0 is the own one, the others those handed over.
pub(super) struct Opened {
    own: Option<pg_sys::File>,
    others: Vec<Option<pg_sys::File>>,
    /// What all of them went through: one key is every process's.
    sealed: Option<Blocks>,
}

impl Opened {
    /// Opens what the runs need.
    pub fn new<'a>(
        own: Option<&OwnFile>,
        names: &[FileName],
        runs: impl Iterator<Item = &'a Run>,
    ) -> Opened {
        let mut opened = Opened {
            own: own.and_then(|own| own.file),
            others: vec![None; names.len()],
            sealed: blocks().or_raise(),
        };
        for run in runs {
            let Some(number) = (run.file as usize).checked_sub(1) else {
                continue;
            };
            if let (Some(slot), Some(name)) = (opened.others.get_mut(number), names.get(number))
                && slot.is_none()
            {
                // SAFETY: opens for reading what a process of this query wrote.
                let file = unsafe {
                    pg_sys::FileSetOpen(&mut directory(), name.text().as_ptr(), libc::O_RDONLY)
                };
                *slot = (file > 0).then_some(file);
            }
        }
        opened
    }
}

impl RunFiles for Opened {
    type Error = Report;

    fn read(&self, file: u32, offset: u64, bytes: &mut [u8]) -> Result<(), Report> {
        interrupt::check();
        let file = match (file as usize).checked_sub(1) {
            None => self.own,
            Some(number) => self.others.get(number).copied().flatten(),
        };
        let file = file.ok_or_else(lost)?;
        match &self.sealed {
            None if read_at(file, offset, bytes)? == bytes.len() => Ok(()),
            None => Err(lost()),
            Some(blocks) => blocks.read(offset, bytes, &mut Vec::new(), |place, record| {
                read_at(file, place, record)
            }),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // An error that unwinds leaves it to the resource owner to close them.
        if !std::thread::panicking() {
            for file in self.others.iter().flatten() {
                // SAFETY: opened above, closed once.
                unsafe { pg_sys::FileClose(*file) };
            }
        }
    }
}

fn lost() -> Report {
    Report::new(
        Code::ERRCODE_IO_ERROR,
        "the temporary file of the scores ends too early",
    )
    .hint("Look whether something removes files of the server's; the query can be run again.")
}

fn unread(error: io::Error) -> Report {
    Report::new(
        Code::ERRCODE_IO_ERROR,
        format!("could not read the temporary file of the scores: {error}"),
    )
    .hint("Look at the server's disk; the query can be run again.")
}

fn unwritten(error: io::Error) -> Report {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::ERRCODE_DISK_FULL,
        _ => Code::ERRCODE_IO_ERROR,
    };
    Report::new(
        code,
        format!("could not write the temporary file of the scores: {error}"),
    )
    .hint("Free disk space where temp_tablespaces points, or raise neural.max_memory.")
}
