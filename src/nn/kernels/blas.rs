//! OpenBLAS, loaded when the first training of a process needs it.
//!
//! Prediction has a kernel of its own. To load OpenBLAS takes some 6 ms, more than all else that a
//! new connection's first call does, so the extension is not linked to it: a library that is
//! (`src/blas`) lies beside the extension's file, and whoever trains opens it.
//!
//! Loading it starts helper threads, which take whatever signal comes their way: a host whose signal
//! handlers assume one thread, as PostgreSQL's do, must have none of them. Parallelism is above the
//! products here, so it is told to start none, and if it does they end at once. A child of a process
//! that has loaded it inherits that state: no helpers, one thread.
//!
//! A thread's products need a buffer, which the library maps at the thread's first product and keeps;
//! later ones than Debian 12's (that of Debian 13, 0.3.29) map one for each of its threads when they are
//! loaded. Where the system refuses it, it asks again for ever, and nothing but SIGKILL ends that. So
//! there is room for one before it is loaded, with one thread whatever the environment says, and the
//! buffers are there before the threads begin (`Blas::prepare`), or it is an error.
//!
//! Debian's serial variant of the library shares the threaded one's name and is not safe to call
//! from two threads at once; which of them was loaded shows only at run time.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf, absolute};
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::os::unix::{Library, Symbol};
use ndarray::{ArrayRef2, ArrayView2, ArrayViewMut2};

use self::table::{ABI, Place, Product, Table};
use crate::memory;
use crate::nn::base::error::Error;
use crate::nn::threads::signals::without_signals;

#[path = "../../blas/table.rs"]
mod table;

/// The file, as cargo names it.
const FILE: &str = "libpg_neural_blas.so";
/// Its [`Table`].
const TABLE: &[u8] = b"PG_NEURAL_BLAS\0";

/// How many threads OpenBLAS shall start helpers for.
const THREADS: &str = "OPENBLAS_NUM_THREADS";
/// What loading it takes of the address space: 38 MB, with the libraries that it needs.
const LIBRARY: usize = 48 << 20;
/// What a buffer takes of it: BUFFER_SIZE of 0.3.21 and later, and what lies around it.
const BUFFER: usize = (128 << 20) + (1 << 20);

/// The loaded library.
#[derive(Debug)]
pub struct Blas {
    table: &'static Table,
    is_thread_safe: bool,
    name: String,
    buffers: Option<Buffers>,
    /// Threads that have had a buffer at once.
    had: Mutex<usize>,
}

/// How its buffers are taken and given back; it keeps them for the next who takes one.
#[derive(Debug)]
struct Buffers {
    take: Symbol<unsafe extern "C" fn(c_int) -> *mut c_void>,
    give_back: Symbol<unsafe extern "C" fn(*mut c_void)>,
}

/// OpenBLAS, loaded if it is not yet. What the first attempt of a process came to stays so, unless
/// there was no memory for it.
///
/// # Errors
/// [`Error::Library`] if it or the library linked to it is missing, or is something else;
/// [`Error::Refused`] if there is no memory.
pub fn load() -> Result<&'static Blas, Error> {
    static LOADED: OnceLock<Result<Blas, Error>> = OnceLock::new();
    if LOADED.get().is_none() {
        memory::ask(LIBRARY + BUFFER)?;
    }
    LOADED
        .get_or_init(|| without_signals(open))
        .as_ref()
        .map_err(Error::clone)
}

fn open() -> Result<Blas, Error> {
    let file = beside_this().map_err(|error| incomplete(error.to_string()))?;
    if let Err(error) = file.metadata() {
        return Err(incomplete(format!("{}: {error}", file.display())));
    }
    let library = {
        let _alone = Alone::begin();
        open_file(&file)?
    };
    // SAFETY: a pointer to what has this name: a table, whose first value tells whether it is ours.
    let table = unsafe { library.get::<*const Table>(TABLE) };
    let table = *table.map_err(|error| incomplete(error.to_string()))?;
    // SAFETY: as above; the library stays where it is.
    let abi = unsafe { (*table).abi };
    if abi != ABI {
        return Err(Error::Library {
            message: format!("{} is another version's ({abi}, not {ABI})", file.display()),
            hint: "Connect again: the extension was installed anew since this connection began.",
        });
    }
    // SAFETY: these are OpenBLAS's, with the signatures in its cblas.h and common.h. They are looked
    // for in the library and in what it is linked to, nowhere else. Setting the number starts helpers
    // where they are missing, so it comes before their end.
    let blas = unsafe {
        let set_threads = library
            .get::<unsafe extern "C" fn(c_int)>(b"openblas_set_num_threads\0")
            .map_err(|error| missing(error.to_string()))?;
        set_threads(1);
        // Only the threaded variant has it.
        if let Ok(end_helpers) =
            library.get::<unsafe extern "C" fn() -> c_int>(b"blas_thread_shutdown_\0")
        {
            end_helpers();
        }
        // 0: serial, 1: threads of its own, 2: OpenMP.
        let parallel = library
            .get::<unsafe extern "C" fn() -> c_int>(b"openblas_get_parallel\0")
            .map_or(0, |get| get());
        Blas {
            table: &*table,
            is_thread_safe: parallel != 0,
            name: name(&library, parallel),
            buffers: library
                .get(b"blas_memory_alloc\0")
                .and_then(|take| {
                    let give_back = library.get(b"blas_memory_free\0")?;
                    Ok(Buffers { take, give_back })
                })
                .ok(),
            had: Mutex::new(0),
        }
    };
    // Never closed.
    std::mem::forget(library);
    Ok(blas)
}

/// The library's name, version, kernel and kind of threads, as far as it tells them.
fn name(library: &Library, parallel: c_int) -> String {
    let told = |symbol: &[u8]| {
        // SAFETY: OpenBLAS's, with the signatures in its cblas.h: each gives a constant C string.
        unsafe {
            let text = library.get::<unsafe extern "C" fn() -> *const c_char>(symbol);
            let text = text.ok()?();
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    };
    // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …"
    let config = told(b"openblas_get_config\0").unwrap_or_default();
    let version = config.split_whitespace().take(2).map(str::to_owned);
    let threads = match parallel {
        0 => "serial",
        1 => "pthreads",
        _ => "openmp",
    };
    let parts = version.chain(told(b"openblas_get_corename\0"));
    let parts: Vec<String> = parts.chain([threads.to_owned()]).collect();
    parts.join(" ")
}

/// The library's path: in the directory of the file that this code was loaded from.
fn beside_this() -> std::io::Result<PathBuf> {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: an address of this code; what is found is filled where the answer is not 0, and the
    // name is a C string for as long as this code is loaded.
    let file = unsafe {
        let here = beside_this as *const c_void;
        if libc::dladdr(here, found.as_mut_ptr()) == 0 {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        CStr::from_ptr(found.assume_init().dli_fname)
    };
    let file = Path::new(OsStr::from_bytes(file.to_bytes()));
    // Without a directory in its name it would be looked for in the system's.
    Ok(absolute(file)?.with_file_name(FILE))
}

fn open_file(file: &Path) -> Result<Library, Error> {
    // Its names stay local: another OpenBLAS in the process, such as NumPy's, is not disturbed. And
    // it takes those of the libraries that it is linked to, whatever the process has by these names:
    // PL/R opens a `cblas_sgemm` for everybody.
    let flags = libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_DEEPBIND;
    // SAFETY: the constructors run with every signal blocked.
    unsafe { Library::open(Some(file), flags) }.map_err(|error| missing(error.to_string()))
}

/// The file beside the extension's is missing, or is something else.
fn incomplete(message: String) -> Error {
    Error::Library {
        message,
        hint: "Install the extension again on the server machine: libpg_neural_blas.so belongs \
               beside pg_neural.so. Then connect again.",
    }
}

/// OpenBLAS is missing.
fn missing(message: String) -> Error {
    Error::Library {
        message,
        hint: "Install it on the server machine (Debian's package is libopenblas0-pthread), and \
               connect again.",
    }
}

impl Blas {
    /// What it is, such as `OpenBLAS 0.3.21 Haswell pthreads`: other libraries, and other kernels of
    /// one, give products with other bits.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many threads may call it at once.
    pub fn threads(&self) -> usize {
        if self.is_thread_safe { usize::MAX } else { 1 }
    }

    /// Makes sure that so many threads can call it at once.
    ///
    /// # Errors
    /// The system refuses the memory for their buffers.
    pub(in crate::nn) fn prepare(&self, threads: usize) -> Result<(), Error> {
        let mut had = self.had.lock().unwrap_or_else(PoisonError::into_inner);
        if threads <= *had {
            return Ok(());
        }
        memory::ask((threads - *had).saturating_mul(BUFFER))?;
        if let Some(buffers) = &self.buffers {
            // Taken all at once, so that it does not give the same one twice; 1: for a product.
            // SAFETY: OpenBLAS's, each given back once.
            unsafe {
                let taken: Vec<_> = (0..threads).map(|_| (buffers.take)(1)).collect();
                taken
                    .into_iter()
                    .filter(|buffer| !buffer.is_null())
                    .for_each(|buffer| (buffers.give_back)(buffer));
            }
        }
        *had = threads;
        Ok(())
    }

    /// `c = a · b + beta · c`; where beta is 0, whatever `c` holds.
    ///
    /// # Safety
    /// The matrices must fit together, and a thread must not be one too many for [`Blas::threads`].
    #[inline]
    pub(super) unsafe fn multiply(
        &self,
        a: &ArrayView2<'_, f32>,
        b: &ArrayView2<'_, f32>,
        beta: f32,
        c: &mut ArrayViewMut2<'_, f32>,
    ) {
        let (rows, columns) = c.dim();
        let product = Product {
            rows,
            columns,
            inner: a.ncols(),
            a: place(a.as_ptr(), a),
            b: place(b.as_ptr(), b),
            beta,
            c: place(c.as_mut_ptr(), c),
        };
        // SAFETY: the views are of matrices that fit together, as the caller says.
        unsafe { (self.table.multiply)(&product) };
    }
}

fn place<P>(first: P, matrix: &ArrayRef2<f32>) -> Place<P> {
    let step = |axis: usize| matrix.strides()[axis].unsigned_abs();
    Place {
        first,
        row: step(0),
        column: step(1),
    }
}

/// The environment that says one thread, which is what it is told right afterwards; then again what it
/// said before.
struct Alone(Option<OsString>);

impl Alone {
    fn begin() -> Alone {
        let before = std::env::var_os(THREADS);
        // SAFETY: in a host's process this is its one thread; in one that has others, those that
        // read the environment do so through this library, which has a lock.
        unsafe { std::env::set_var(THREADS, "1") };
        Alone(before)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // SAFETY: as in `begin`.
        unsafe {
            match self.0.take() {
                Some(before) => std::env::set_var(THREADS, before),
                None => std::env::remove_var(THREADS),
            }
        }
    }
}
