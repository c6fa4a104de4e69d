//! Workers that compute in step, watched by the thread that started them.
//!
//! A training step of a small network takes some ten microseconds, so workers live through many
//! steps and meet at a barrier that spins before it yields. Nobody may be left waiting: an abort,
//! whether asked for or caused by a worker that panics, opens every barrier.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use rayon::ThreadPool;

/// How often the calling thread is asked whether to go on.
const POLL: Duration = Duration::from_millis(2);
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
    aborted: Arc<Apart<AtomicBool>>,
}

/// Tells a computation that nobody waits for its result any more; one by default never does.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Option<Arc<Apart<AtomicBool>>>);

impl StopFlag {
    /// Whether to stop.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|flag| flag.0.load(Ordering::Relaxed))
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
            aborted: Arc::default(),
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

    /// Whether to go on.
    #[inline]
    pub fn check(&self) -> Result<(), Aborted> {
        if self.aborted.0.load(Ordering::Relaxed) {
            Err(Aborted)
        } else {
            Ok(())
        }
    }

    /// The barrier's flag, for a computation to look at.
    pub fn stop_flag(&self) -> StopFlag {
        StopFlag(Some(self.aborted.clone()))
    }

    /// Makes every worker stop at its next look.
    pub fn abort(&self) {
        self.aborted.0.store(true, Ordering::Relaxed);
    }
}

/// How many workers a pool can run at once beside the calling thread.
pub fn capacity(pool: &ThreadPool) -> usize {
    let own = usize::from(pool.current_thread_index().is_some());
    pool.current_num_threads() - own
}

/// Runs `work` for every worker at once, each on a thread of the pool, while the calling thread
/// does `meanwhile` and then asks `interrupted` every 2 ms whether to abort.
///
/// There must be no more workers than the pool's [`capacity`]. A worker's panic aborts the
/// others and comes out here.
pub fn run<W: Send>(
    pool: &ThreadPool,
    barrier: &Barrier,
    workers: &mut [W],
    work: impl Fn(&mut W) + Sync,
    meanwhile: impl FnOnce(),
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<(), Aborted> {
    let unfinished = Unfinished {
        count: Mutex::new(workers.len()),
        none: Condvar::new(),
    };
    let (work, unfinished) = (&work, &unfinished);
    pool.in_place_scope(|scope| {
        let _abort = AbortOnPanic(barrier);
        for worker in workers {
            scope.spawn(move |_| {
                let _finished = Finished(unfinished);
                let _abort = AbortOnPanic(barrier);
                work(worker);
            });
        }
        meanwhile();
        loop {
            if interrupted() {
                barrier.abort();
                break;
            }
            if unfinished.wait(POLL) {
                break;
            }
        }
    });
    barrier.check()
}

/// Hands out tasks in their order to workers that take the next one when they are done with one;
/// `work` is given the worker's own state. Whoever calls asks `interrupted` every 2 ms whether to
/// abort; where there is but one worker, or no thread to spare, it does the work by itself and asks
/// between two tasks.
///
/// The error is that of the first task that failed, whatever the number of workers.
pub fn for_each<S: Send, T: Send, E: Send>(
    pool: &ThreadPool,
    states: &mut [S],
    tasks: impl Iterator<Item = T> + Send,
    work: impl Fn(&mut S, T) -> Result<(), E> + Sync,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Result<(), E>, Aborted> {
    let workers = states.len().min(capacity(pool));
    let (Some(first), true) = (states.first_mut(), workers < 2) else {
        return share_out(pool, &mut states[..workers], tasks, work, interrupted);
    };
    for task in tasks {
        if interrupted() {
            return Err(Aborted);
        }
        if let Err(error) = work(first, task) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

fn share_out<S: Send, T: Send, E: Send>(
    pool: &ThreadPool,
    states: &mut [S],
    tasks: impl Iterator<Item = T> + Send,
    work: impl Fn(&mut S, T) -> Result<(), E> + Sync,
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
    let work = |state: &mut S| {
        // Tasks before one that failed have been handed out by then, so that the first of all
        // failures is always found.
        while barrier.check().is_ok() && !failed.load(Ordering::Relaxed) {
            let Some((number, task)) = take() else {
                return;
            };
            if let Err(error) = work(state, task) {
                failed.store(true, Ordering::Relaxed);
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                if failure.as_ref().is_none_or(|(first, _)| number < *first) {
                    *failure = Some((number, error));
                }
            }
        }
    };
    run(pool, &barrier, states, work, || {}, interrupted)?;
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
        self.done.recv().ok()
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

/// The workers that still compute.
struct Unfinished {
    count: Mutex<usize>,
    none: Condvar,
}

impl Unfinished {
    /// Waits until there are none or the time is up; whether there are none.
    fn wait(&self, time: Duration) -> bool {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .none
            .wait_timeout_while(count, time, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

struct Finished<'a>(&'a Unfinished);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
        if *count == 0 {
            self.0.none.notify_one();
        }
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
            let work = |wrong: &mut usize| {
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
                &pool(threads),
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
            let add = |sum: &mut usize, task: usize| -> Result<(), usize> {
                *sum += task;
                Ok(())
            };
            let ran = for_each(&pool, &mut sums, 0..1000, add, &mut || false);
            assert_eq!(ran, Ok(Ok(())));
            assert_eq!(sums.iter().sum::<usize>(), 499_500);
            let fail = |_: &mut usize, task: usize| match task {
                0..700 => Ok(()),
                _ => Err(task),
            };
            let ran = for_each(&pool, &mut sums, 0..1000, fail, &mut || false);
            assert_eq!(ran, Ok(Err(700)));
            let ran = for_each(&pool, &mut sums, 0..1000, fail, &mut || true);
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
        let work = |first: &mut bool| {
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
            &pool(2),
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
            let work = |first: &mut bool| {
                assert!(!*first, "a worker's panic");
                while barrier.meet().is_ok() {}
            };
            run(
                &pool(2),
                &barrier,
                &mut [true, false],
                work,
                || {},
                &mut || false,
            )
        });
        assert!(caught.is_err());
    }
}
