//! Where workers that compute in step meet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::course::{Aborted, Apart, State, StopFlag};

/// Looks at a barrier before the processor is offered to others: some ten microseconds.
const SPINS: u32 = 400;
/// Offers of the processor before the thread sleeps, for a barrier that is long in coming.
const YIELDS: u32 = 2000;
/// How long such a sleep is.
const NAP: Duration = Duration::from_micros(50);

/// A place in the computation that no worker leaves before all have reached it.
#[derive(Debug)]
pub struct Barrier {
    workers: usize,
    spins: u32,
    arrived: Apart<AtomicUsize>,
    generation: Apart<AtomicUsize>,
    /// Shared with what computes for long between two looks.
    pub(super) state: Arc<State>,
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
