//! A thread that works on what the calling thread hands over.

use std::sync::mpsc;
use std::time::Duration;

use rayon::ThreadPool;

use crate::memory;

/// How often one who waits for a thread aside looks whether it still computes.
const PATIENCE: Duration = Duration::from_millis(100);

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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn one() -> ThreadPool {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(1);
        builder.build().expect("a pool")
    }

    #[test]
    fn what_is_handed_over_comes_back_in_order() {
        let doubled = aside(
            &one(),
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
            aside(&one(), panics, |aside| {
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
            aside(&one(), count, |aside| {
                aside.give(1);
                aside.take();
                panic!("the caller's panic");
            });
        });
        assert!(caught.is_err());
        assert_eq!(worked.load(Ordering::Relaxed), 1);
    }
}
