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

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rayon::ThreadPool;

pub use super::asking::Asking;
use super::barrier::Barrier;
use super::course::{Aborted, PAUSING, RUNNING, State, StopFlag};
use crate::memory;
use crate::nn::base::stop::Stop;

/// How often the calling thread is asked whether to go on.
const POLL: Duration = Duration::from_millis(2);
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
    match barrier.state.is_aborted() {
        true => Err(Aborted),
        false => Ok(()),
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
        let leave = || {
            unfinished.count.fetch_sub(1, Ordering::Release);
        };
        unfinished.state.change(leave);
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
