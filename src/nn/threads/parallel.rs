//! Workers that compute in step, watched by the thread that started them.
//!
//! A training step of a small network takes some ten microseconds, so workers live through many
//! steps and meet at a barrier that spins before it yields. Nobody may be left waiting: an abort,
//! whether asked for or caused by a worker that panics, opens every barrier.
//!
//! The process may belong to a host that wants its main thread now and then, and wants it alone: what
//! it does there may end the process, with whatever the workers compute on. So whoever waits for them
//! asks cheaply whether that is so, and only then lets them pause where they next look whether to
//! go on.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use rayon::ThreadPool;

use crate::memory;
use crate::nn::base::stop::Stop;

/// How often the calling thread is asked whether to go on.
const POLL: Duration = Duration::from_millis(2);
/// How often one who waits for a thread aside looks whether it still computes.
const PATIENCE: Duration = Duration::from_millis(100);
/// Looks at a barrier before the processor is offered to others: some ten microseconds.
const SPINS: u32 = 400;
/// Offers of the processor before the thread sleeps, for a barrier that is long in coming.
const YIELDS: u32 = 2000;
/// How long such a sleep is.
const NAP: Duration = Duration::from_micros(50);

/// Threads that compute for whoever calls, who waits for them.
#[derive(Clone, Copy, Debug)]
pub struct Crew<'a> {
    /// Where they live.
    pub pool: &'a ThreadPool,
    /// How many of them.
    pub threads: usize,
    /// Whether the host wants the calling thread: cheap, and asked every 2 ms while they compute.
    /// Only then they pause, and it is asked whether to abort.
    pub wanted: fn() -> bool,
}

impl<'a> From<&'a ThreadPool> for Crew<'a> {
    /// All threads of a pool, for a host that is asked each time.
    fn from(pool: &'a ThreadPool) -> Crew<'a> {
        Crew {
            pool,
            threads: pool.current_num_threads(),
            wanted: || true,
        }
    }
}

/// The training was aborted: the worker returns as soon as it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted;

/// Keeps two values that different threads write from sharing a cache line (or the pair of
/// lines that processors fetch together).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// A place in the computation that no worker leaves before all have reached it.
#[derive(Debug)]
pub struct Barrier {
    workers: usize,
    spins: u32,
    arrived: Apart<AtomicUsize>,
    generation: Apart<AtomicUsize>,
    /// Shared with what computes for long between two looks.
    state: Arc<State>,
}

/// Tells a computation that nobody waits for its result any more, or lets it pause; one by default
/// does neither.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Option<Arc<State>>);

impl Stop for StopFlag {
    /// Whether to stop. A pause that is asked for is made here.
    #[inline]
    fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.look().is_err())
    }
}

/// Whether workers go on, pause or stop.
#[derive(Debug, Default)]
struct State {
    /// One of the constants below.
    now: Apart<AtomicU8>,
    /// Workers that pause.
    paused: Mutex<usize>,
    /// They are told here that the pause has ended, and whoever waits for them that they make it.
    changed: Condvar,
}

const RUNNING: u8 = 0;
const PAUSING: u8 = 1;
const ABORTED: u8 = 2;

impl State {
    /// A worker's look: it goes on at once, after a pause, or not.
    #[inline]
    fn look(&self) -> Result<(), Aborted> {
        match self.now.0.load(Ordering::Relaxed) {
            RUNNING => Ok(()),
            PAUSING => self.pause(),
            _ => Err(Aborted),
        }
    }

    #[cold]
    fn pause(&self) -> Result<(), Aborted> {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        *paused += 1;
        self.changed.notify_all();
        while self.now.0.load(Ordering::Relaxed) == PAUSING {
            paused = self
                .changed
                .wait(paused)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *paused -= 1;
        drop(paused);
        self.look()
    }

    /// From one state to another, if it is in that; who waits for a change is told.
    fn set(&self, from: u8, to: u8) {
        // Under the lock, so that a worker that is about to wait does not miss it.
        let _paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        let set = |now| (now == from).then_some(to);
        let order = Ordering::Relaxed;
        let _ = self.now.0.fetch_update(order, order, set);
        self.changed.notify_all();
    }

    fn abort(&self) {
        let _paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        self.now.0.store(ABORTED, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Waits, for a while at most, until as many workers pause as `enough` says; whether they do.
    fn wait(&self, enough: impl Fn(usize) -> bool, time: Duration) -> bool {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(paused, time, |paused| !enough(*paused));
        let (paused, _) = waited.unwrap_or_else(PoisonError::into_inner);
        enough(*paused)
    }
}

/// Proof of having arrived, to wait with.
#[derive(Debug)]
#[must_use = "an arrival is to be waited for"]
pub struct Arrival(usize);

impl Barrier {
    /// A barrier for so many workers.
    pub fn new(workers: usize) -> Barrier {
        // With more workers than processors the one waited for may need this very processor.
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        Barrier {
            workers,
            spins: if workers <= processors { SPINS } else { 0 },
            arrived: Apart::default(),
            generation: Apart::default(),
            state: Arc::default(),
        }
    }

    /// Says that this worker is there; it may do something else before it waits.
    #[inline]
    pub fn arrive(&self) -> Arrival {
        let generation = self.generation.0.load(Ordering::Relaxed);
        if self.arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == self.workers {
            self.arrived.0.store(0, Ordering::Relaxed);
            self.generation
                .0
                .store(generation.wrapping_add(1), Ordering::Release);
        }
        Arrival(generation)
    }

    /// Waits for the others.
    #[inline]
    pub fn wait(&self, arrival: Arrival) -> Result<(), Aborted> {
        let mut looks = 0;
        loop {
            self.check()?;
            if self.generation.0.load(Ordering::Acquire) != arrival.0 {
                return Ok(());
            }
            if looks < self.spins {
                std::hint::spin_loop();
            } else if looks < self.spins + YIELDS {
                std::thread::yield_now();
            } else {
                std::thread::sleep(NAP);
                continue;
            }
            looks += 1;
        }
    }

    /// Arrives and waits.
    #[inline]
    pub fn meet(&self) -> Result<(), Aborted> {
        let arrival = self.arrive();
        self.wait(arrival)
    }

    /// Whether to go on. A pause that is asked for is made here.
    #[inline]
    pub fn check(&self) -> Result<(), Aborted> {
        self.state.look()
    }

    /// The barrier's flag, for a computation to look at.
    pub fn stop_flag(&self) -> StopFlag {
        StopFlag(Some(self.state.clone()))
    }

    /// Makes every worker stop at its next look.
    pub fn abort(&self) {
        self.state.abort();
    }
}

/// How many workers a pool can run at once beside the calling thread.
pub fn capacity(pool: &ThreadPool) -> usize {
    let own = usize::from(pool.current_thread_index().is_some());
    pool.current_num_threads() - own
}

/// Runs `work` for every worker at once, each on a thread of the crew's pool, while the calling
/// thread does `meanwhile` and then looks every 2 ms whether the host wants it. If so, the workers
/// pause, and `interrupted` is asked whether to abort; it may also unwind, or end the process.
///
/// There must be no more workers than the pool's [`capacity`]. A worker's panic aborts the
/// others and comes out here.
pub fn run<W: Send>(
    crew: Crew<'_>,
    barrier: &Barrier,
    workers: &mut [W],
    work: impl Fn(&mut W, &StopFlag) + Sync,
    meanwhile: impl FnOnce(),
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<(), Aborted> {
    let unfinished = Unfinished {
        count: AtomicUsize::new(workers.len()),
        state: &barrier.state,
    };
    let stop = barrier.stop_flag();
    let (work, unfinished, stop) = (&work, &unfinished, &stop);
    crew.pool.in_place_scope(|scope| {
        let _abort = AbortOnPanic(barrier);
        for worker in workers {
            scope.spawn(move |_| {
                let _finished = Finished(unfinished);
                let _abort = AbortOnPanic(barrier);
                work(worker, stop);
            });
        }
        meanwhile();
        // Asked at least once: there may be many short runs.
        loop {
            if (crew.wanted)() {
                let _resume = unfinished.pause();
                if memory::stuck() > 0 {
                    unfinished.give_up();
                }
                if interrupted() {
                    barrier.abort();
                    break;
                }
            }
            if memory::stuck() > 0 {
                unfinished.give_up();
            }
            if unfinished.wait(POLL) {
                break;
            }
        }
    });
    // Not a look of a worker: nobody is there who would end a pause.
    match barrier.state.now.0.load(Ordering::Relaxed) {
        ABORTED => Err(Aborted),
        _ => Ok(()),
    }
}

/// Hands out tasks in their order to workers that take the next one when they are done with one;
/// `work` is given the worker's own state, and a flag to look at if it takes long. The calling thread
/// asks as in [`run`]; where there is but one worker, or no thread to spare, it does the work by
/// itself and asks between two tasks.
///
/// The error is that of the first task that failed, whatever the number of workers.
pub fn for_each<S: Send, T: Send, E: Send>(
    crew: Crew<'_>,
    states: &mut [S],
    tasks: impl Iterator<Item = T> + Send,
    work: impl Fn(&mut S, T, &dyn Stop) -> Result<(), E> + Sync,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Result<(), E>, Aborted> {
    let workers = states.len().min(capacity(crew.pool));
    let (Some(first), true) = (states.first_mut(), workers < 2) else {
        return share_out(crew, &mut states[..workers], tasks, work, interrupted);
    };
    let asking = Asking::new(interrupted);
    for task in tasks {
        if asking.is_set() {
            break;
        }
        let done = work(first, task, &asking);
        // What was left undone may have failed for that.
        if asking.was_set() {
            break;
        }
        if done.is_err() {
            return Ok(done);
        }
    }
    match asking.was_set() {
        true => Err(Aborted),
        false => Ok(Ok(())),
    }
}

/// The calling thread's own look: it asks the host, and remembers what it was told.
pub struct Asking<'a> {
    interrupted: RefCell<&'a mut dyn FnMut() -> bool>,
    aborted: Cell<bool>,
}

impl<'a> Asking<'a> {
    /// Asks by `interrupted`.
    pub fn new(interrupted: &'a mut dyn FnMut() -> bool) -> Self {
        Self {
            interrupted: RefCell::new(interrupted),
            aborted: Cell::new(false),
        }
    }

    /// Whether it was told to stop before.
    pub fn was_set(&self) -> bool {
        self.aborted.get()
    }
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

impl Stop for Asking<'_> {
    fn is_set(&self) -> bool {
        if !self.aborted.get() {
            let aborted = (self.interrupted.borrow_mut())();
            self.aborted.set(aborted);
        }
        self.aborted.get()
    }
}

fn share_out<S: Send, T: Send, E: Send>(
    crew: Crew<'_>,
    states: &mut [S],
    tasks: impl Iterator<Item = T> + Send,
    work: impl Fn(&mut S, T, &dyn Stop) -> Result<(), E> + Sync,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Result<(), E>, Aborted> {
    let barrier = Barrier::new(states.len());
    let tasks = Mutex::new(tasks.enumerate());
    let failed = AtomicBool::new(false);
    let failure: Mutex<Option<(usize, E)>> = Mutex::new(None);
    let take = || {
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.next()
    };
    let work = |state: &mut S, stop: &StopFlag| {
        // Tasks before one that failed have been handed out by then, so that the first of all
        // failures is always found.
        while barrier.check().is_ok() && !failed.load(Ordering::Relaxed) {
            let Some((number, task)) = take() else {
                return;
            };
            if let Err(error) = work(state, task, stop) {
                failed.store(true, Ordering::Relaxed);
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                if failure.as_ref().is_none_or(|(first, _)| number < *first) {
                    *failure = Some((number, error));
                }
            }
        }
    };
    run(crew, &barrier, states, work, || {}, interrupted)?;
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(failure.map_or(Ok(()), |(_, error)| Err(error)))
}

/// Where the calling thread hands things over to one that works on them in their order.
#[derive(Debug)]
pub struct Aside<T> {
    to: mpsc::Sender<T>,
    done: mpsc::Receiver<T>,
}

impl<T> Aside<T> {
    /// Hands over the next.
    pub fn give(&self, thing: T) {
        // A worker that is not there any more has panicked, which comes out at the end.
        let _ = self.to.send(thing);
    }

    /// Waits for the first of those handed over that has not come back; none if the worker has
    /// panicked.
    pub fn take(&self) -> Option<T> {
        loop {
            match self.done.recv_timeout(PATIENCE) {
                Ok(thing) => return Some(thing),
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) if memory::stuck() == 0 => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    memory::last_resort(0);
                    std::process::abort();
                }
            }
        }
    }
}

/// Runs `body` on the calling thread while a thread of the pool does `work` on whatever `body`
/// hands over. The thread has ended when this returns or unwinds, and a panic of its comes out
/// here.
pub fn aside<T: Send, R>(
    pool: &ThreadPool,
    mut work: impl FnMut(&mut T) + Send,
    body: impl FnOnce(Aside<T>) -> R,
) -> R {
    let (to, things) = mpsc::channel::<T>();
    let (back, done) = mpsc::channel();
    pool.in_place_scope(|scope| {
        scope.spawn(move |_| {
            for mut thing in things {
                work(&mut thing);
                if back.send(thing).is_err() {
                    return;
                }
            }
        });
        body(Aside { to, done })
    })
}

/// The workers that have not finished.
struct Unfinished<'a> {
    count: AtomicUsize,
    state: &'a State,
}

impl Unfinished<'_> {
    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until there are none or the time is up; whether there are none.
    fn wait(&self, time: Duration) -> bool {
        self.state.wait(|_| self.count() == 0, time)
    }

    /// Lets them pause, and waits until each does or has finished. They go on when the result is
    /// dropped, unless they are to stop.
    fn pause(&self) -> Resume<'_> {
        self.state.set(RUNNING, PAUSING);
        // Who stands still for want of memory makes no pause.
        let enough = |paused| paused + memory::stuck() >= self.count();
        while !self.state.wait(enough, POLL) {}
        Resume(self.state)
    }

    /// Ends the process by the host's last resort, once the others have stopped: a worker that was
    /// refused memory never finishes.
    #[cold]
    fn give_up(&self) -> ! {
        self.state.abort();
        while !self.state.wait(|_| self.count() <= memory::stuck(), POLL) {}
        memory::last_resort(0);
        std::process::abort()
    }
}

struct Resume<'a>(&'a State);

impl Drop for Resume<'_> {
    fn drop(&mut self) {
        // Where the calling thread unwinds they must not run on until it has told them to stop.
        if !std::thread::panicking() {
            self.0.set(PAUSING, RUNNING);
        }
    }
}

struct Finished<'a>(&'a Unfinished<'a>);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        let Finished(unfinished) = self;
        let _paused = unfinished
            .state
            .paused
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        unfinished.count.fetch_sub(1, Ordering::Release);
        unfinished.state.changed.notify_all();
    }
}

struct AbortOnPanic<'a>(&'a Barrier);

impl Drop for AbortOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> ThreadPool {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool")
    }

    #[test]
    fn nobody_passes_a_barrier_before_all_are_there() {
        for threads in [1, 2, 3, 16] {
            let barrier = Barrier::new(threads);
            let counter = AtomicUsize::new(0);
            let mut workers: Vec<usize> = vec![0; threads];
            let work = |wrong: &mut usize, _: &StopFlag| {
                for round in 1..200 {
                    counter.fetch_add(1, Ordering::Relaxed);
                    if barrier.meet().is_err() {
                        return;
                    }
                    *wrong += usize::from(counter.load(Ordering::Relaxed) != round * threads);
                    if barrier.meet().is_err() {
                        return;
                    }
                }
            };
            let ran = run(
                (&pool(threads)).into(),
                &barrier,
                &mut workers,
                work,
                || {},
                &mut || false,
            );
            assert_eq!(ran, Ok(()));
            assert_eq!(workers, vec![0; threads]);
        }
    }

    #[test]
    fn every_task_is_done_once_and_the_first_failure_is_told() {
        for threads in [1, 2, 3] {
            let pool = pool(threads);
            let mut sums = vec![0; threads];
            let add = |sum: &mut usize, task: usize, _: &dyn Stop| -> Result<(), usize> {
                *sum += task;
                Ok(())
            };
            let ran = for_each((&pool).into(), &mut sums, 0..1000, add, &mut || false);
            assert_eq!(ran, Ok(Ok(())));
            assert_eq!(sums.iter().sum::<usize>(), 499_500);
            let fail = |_: &mut usize, task: usize, _: &dyn Stop| match task {
                0..700 => Ok(()),
                _ => Err(task),
            };
            let ran = for_each((&pool).into(), &mut sums, 0..1000, fail, &mut || false);
            assert_eq!(ran, Ok(Err(700)));
            let ran = for_each((&pool).into(), &mut sums, 0..1000, fail, &mut || true);
            assert_eq!(ran, Err(Aborted));
        }
    }

    #[test]
    fn what_is_handed_over_comes_back_in_order() {
        let doubled = aside(
            &pool(1),
            |number: &mut u32| *number *= 2,
            |aside| {
                (0..100).for_each(|number| aside.give(number));
                (0..100).filter_map(|_| aside.take()).collect::<Vec<_>>()
            },
        );
        assert_eq!(doubled, (0..100).map(|n| 2 * n).collect::<Vec<_>>());
    }

    #[test]
    fn panics_end_the_thread_aside_and_come_out() {
        let caught = std::panic::catch_unwind(|| {
            let panics = |number: &mut u32| assert!(*number < 3, "the worker's panic");
            aside(&pool(1), panics, |aside| {
                (0..5).for_each(|number| aside.give(number));
                while aside.take().is_some() {}
            });
        });
        assert!(caught.is_err());
        let worked = AtomicUsize::new(0);
        let caught = std::panic::catch_unwind(|| {
            let count = |_: &mut u32| {
                worked.fetch_add(1, Ordering::Relaxed);
            };
            aside(&pool(1), count, |aside| {
                aside.give(1);
                aside.take();
                panic!("the caller's panic");
            });
        });
        assert!(caught.is_err());
        assert_eq!(worked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_interrupt_opens_the_barrier() {
        let barrier = Barrier::new(2);
        // Only one of the two ever arrives.
        let work = |first: &mut bool, _: &StopFlag| {
            while *first && barrier.check().is_ok() {
                std::thread::yield_now();
            }
            if !*first {
                assert_eq!(barrier.meet(), Err(Aborted));
            }
        };
        let mut polls = 0;
        let mut interrupted = || {
            polls += 1;
            polls > 3
        };
        let ran = run(
            (&pool(2)).into(),
            &barrier,
            &mut [true, false],
            work,
            || {},
            &mut interrupted,
        );
        assert_eq!(ran, Err(Aborted));
    }

    #[test]
    fn a_panic_of_one_worker_frees_the_others_and_comes_out() {
        let caught = std::panic::catch_unwind(|| {
            let barrier = Barrier::new(2);
            let work = |first: &mut bool, _: &StopFlag| {
                assert!(!*first, "a worker's panic");
                while barrier.meet().is_ok() {}
            };
            run(
                (&pool(2)).into(),
                &barrier,
                &mut [true, false],
                work,
                || {},
                &mut || false,
            )
        });
        assert!(caught.is_err());
    }

    #[test]
    fn workers_pause_while_the_host_has_the_floor() {
        for threads in [1, 2, 3] {
            let barrier = Barrier::new(threads);
            let rounds = AtomicUsize::new(0);
            // One meets the others, and one looks at the flag alone.
            let work = |looks: &mut bool, stop: &StopFlag| {
                while !*looks && !stop.is_set() || *looks && barrier.check().is_ok() {
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            };
            let (mut asked, mut moved) = (0, 0);
            let mut interrupted = || {
                let before = rounds.load(Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(3));
                moved += rounds.load(Ordering::Relaxed) - before;
                asked += 1;
                asked == 20
            };
            let mut workers: Vec<bool> = (0..threads).map(|i| i % 2 == 0).collect();
            let pool = pool(threads);
            let ran = run(
                (&pool).into(),
                &barrier,
                &mut workers,
                work,
                || {},
                &mut interrupted,
            );
            assert_eq!(ran, Err(Aborted));
            assert_eq!(moved, 0);
            assert!(rounds.into_inner() > 0);
        }
    }

    #[test]
    fn a_host_that_unwinds_leaves_no_worker_behind() {
        let ended = AtomicUsize::new(0);
        let caught = std::panic::catch_unwind(|| {
            let barrier = Barrier::new(2);
            let work = |_: &mut (), stop: &StopFlag| {
                while !stop.is_set() {}
                ended.fetch_add(1, Ordering::Relaxed);
            };
            let mut interrupted = || panic!("the host's error");
            let pool = pool(2);
            run(
                (&pool).into(),
                &barrier,
                &mut [(), ()],
                work,
                || {},
                &mut interrupted,
            )
        });
        assert!(caught.is_err());
        assert_eq!(ended.into_inner(), 2);
    }
}
