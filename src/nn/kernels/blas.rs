//! OpenBLAS, loaded when the first training of a process needs it.
//!
//! Prediction has a kernel of its own. To load OpenBLAS takes some 6 ms, more than all else that a
//! new connection's first call does, so the library is not linked: whoever trains loads it.
//!
//! Loading it starts helper threads, which take whatever signal comes their way: a host whose signal
//! handlers assume one thread, as PostgreSQL's do, must have none of them. Parallelism is above the
//! products here, so it is told to start none, and if it does they end at once. A child of a process
//! that has loaded it inherits that state: no helpers, one thread.
//!
//! A thread's products need a buffer, which the library maps at the thread's first product and keeps.
//! Where the system refuses it, it asks again for ever. So the buffers are there before the threads
//! begin (`Blas::prepare`), or it is an error.
//!
//! Debian's serial variant of the library shares the threaded one's name and is not safe to call
//! from two threads at once; which of them was loaded shows only at run time.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::memory;
use crate::nn::base::error::Error;
use crate::nn::threads::signals::without_signals;

/// Names to look for: the one of the variant that the system has chosen, and the linker's.
const NAMES: [&CStr; 2] = [c"libopenblas.so.0", c"libopenblas.so"];

/// How many threads it shall start helpers for.
const THREADS: &str = "OPENBLAS_NUM_THREADS";
/// What loading it takes of the address space: 38 MB, with the libraries that it needs.
const LIBRARY: usize = 48 << 20;
/// What a buffer takes of it: BUFFER_SIZE of 0.3.21 and later, and what lies around it.
const BUFFER: usize = (128 << 20) + (1 << 20);

/// `CBLAS_LAYOUT`: rows one after the other.
const ROW_MAJOR: c_int = 101;

/// `CBLAS_TRANSPOSE`: whether a factor is read with rows and columns exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(in crate::nn) enum Transpose {
    No = 111,
    Yes = 112,
}

/// `cblas_sgemm`, as cblas.h has it.
type Sgemm = unsafe extern "C" fn(
    layout: c_int,
    transpose_a: c_int,
    transpose_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: f32,
    a: *const f32,
    lda: c_int,
    b: *const f32,
    ldb: c_int,
    beta: f32,
    c: *mut f32,
    ldc: c_int,
);

/// The loaded library.
#[derive(Debug)]
pub struct Blas {
    sgemm: Sgemm,
    is_thread_safe: bool,
    buffers: Option<Buffers>,
    /// Threads that have had a buffer at once.
    had: Mutex<usize>,
}

/// How its buffers are taken and given back; it keeps them for the next who takes one.
#[derive(Debug)]
struct Buffers {
    take: unsafe extern "C" fn(c_int) -> *mut c_void,
    give_back: unsafe extern "C" fn(*mut c_void),
}

/// OpenBLAS, loaded if it is not yet. What the first attempt of a process came to stays so, unless
/// there was no memory for it.
///
/// # Errors
/// [`Error::Library`] if there is none, or what has its name is something else; [`Error::Refused`] if
/// there is no memory.
pub fn load() -> Result<&'static Blas, Error> {
    static LOADED: OnceLock<Result<Blas, String>> = OnceLock::new();
    if LOADED.get().is_none() {
        memory::ask(LIBRARY)?;
    }
    LOADED
        .get_or_init(|| without_signals(open))
        .as_ref()
        .map_err(|message| Error::Library {
            message: message.clone(),
        })
}

fn open() -> Result<Blas, String> {
    let library = {
        let _alone = Alone::begin();
        Library::open()?
    };
    let missing = |name: &str| format!("it has no function \"{name}\"");
    let sgemm = library
        .symbol(c"cblas_sgemm")
        .ok_or_else(|| missing("cblas_sgemm"))?;
    let set_threads = library
        .symbol(c"openblas_set_num_threads")
        .ok_or_else(|| missing("openblas_set_num_threads"))?;
    // SAFETY: these are OpenBLAS's, with the signatures in its cblas.h and common.h. Setting the
    // number starts helpers where they are missing, so it comes before their end.
    unsafe {
        transmute::<*mut c_void, unsafe extern "C" fn(c_int)>(set_threads)(1);
        // Only the threaded variant has it.
        if let Some(end_helpers) = library.symbol(c"blas_thread_shutdown_") {
            transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(end_helpers)();
        }
        // 0: serial, 1: threads of its own, 2: OpenMP.
        let parallel = library.symbol(c"openblas_get_parallel").map_or(0, |get| {
            transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(get)()
        });
        Ok(Blas {
            sgemm: transmute::<*mut c_void, Sgemm>(sgemm),
            is_thread_safe: parallel != 0,
            buffers: match (
                library.symbol(c"blas_memory_alloc"),
                library.symbol(c"blas_memory_free"),
            ) {
                (Some(take), Some(give_back)) => Some(Buffers {
                    take: transmute::<*mut c_void, unsafe extern "C" fn(c_int) -> *mut c_void>(
                        take,
                    ),
                    give_back: transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(
                        give_back,
                    ),
                }),
                _ => None,
            },
            had: Mutex::new(0),
        })
    }
}

impl Blas {
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

    /// `c = a · b + beta · c` for matrices of rows that begin `stride` values apart: [m, k] or with
    /// [`Transpose::Yes`] [k, m], [k, n] or [n, k], [m, n].
    ///
    /// # Safety
    /// The matrices must lie at the pointers, and nobody else have access to `c`. A thread must not
    /// be one too many for [`Blas::threads`].
    #[inline]
    pub(in crate::nn) unsafe fn sgemm(
        &self,
        [m, n, k]: [c_int; 3],
        a: (*const f32, Transpose, c_int),
        b: (*const f32, Transpose, c_int),
        beta: f32,
        c: (*mut f32, c_int),
    ) {
        let (a_transpose, b_transpose) = (a.1 as c_int, b.1 as c_int);
        // SAFETY: as the caller says.
        unsafe {
            (self.sgemm)(
                ROW_MAJOR,
                a_transpose,
                b_transpose,
                m,
                n,
                k,
                1.0,
                a.0,
                a.2,
                b.0,
                b.2,
                beta,
                c.0,
                c.1,
            );
        }
    }
}

/// The environment that says one thread, unless the user has said how many.
struct Alone(bool);

impl Alone {
    fn begin() -> Alone {
        let begins = std::env::var_os(THREADS).is_none();
        if begins {
            // SAFETY: in a host's process this is its one thread; in one that has others, those that
            // read the environment do so through this library, which has a lock.
            unsafe { std::env::set_var(THREADS, "1") };
        }
        Alone(begins)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: as in `begin`.
            unsafe { std::env::remove_var(THREADS) };
        }
    }
}

/// What `dlopen` gave; never closed.
struct Library(*mut c_void);

impl Library {
    /// The first of the names that can be opened, or what is wrong with the first.
    fn open() -> Result<Self, String> {
        let mut first = None;
        for name in NAMES {
            // SAFETY: a name. The library's constructors run, with every signal blocked. Its names
            // stay local: another OpenBLAS in the process, such as NumPy's, is not disturbed.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            if !handle.is_null() {
                return Ok(Self(handle));
            }
            // SAFETY: asks for the failure just met.
            let why = unsafe { text(libc::dlerror()) };
            first.get_or_insert(why);
        }
        Err(first.unwrap_or_default())
    }

    fn symbol(&self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: a lookup by name in what is open.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        (!symbol.is_null()).then_some(symbol)
    }
}

/// # Safety
/// A C string or null.
unsafe fn text(message: *const c_char) -> String {
    if message.is_null() {
        return "it cannot be opened".to_string();
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(message) }
        .to_string_lossy()
        .into_owned()
}
