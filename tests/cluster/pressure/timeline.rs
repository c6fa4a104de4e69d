//! What calling a name gave when, and whether an answer fits.

use std::time::Instant;

/// What calling a name gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The answers of a version, by their place in the list of all.
    Version(usize),
    /// No such model.
    Absent,
    /// No right on it.
    Denied,
}

/// A state that began at some moment between two.
#[derive(Clone, Copy, Debug)]
struct Event {
    sent: Instant,
    done: Instant,
    state: State,
}

/// The states of a name in their order.
#[derive(Debug, Default)]
pub(super) struct Timeline(Vec<Event>);

impl Timeline {
    /// A change that was asked for at `sent` and is known to hold now.
    pub(super) fn became(&mut self, sent: Instant, state: State) {
        let done = Instant::now();
        self.0.push(Event { sent, done, state });
    }

    pub(super) fn now(&self) -> State {
        self.0.last().expect("a first state").state
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The states that may have held at some moment of a statement.
    pub(super) fn during(&self, start: Instant, end: Instant) -> impl Iterator<Item = State> {
        // A state ends when the next one is known to hold, at the latest.
        let first = self.0.partition_point(|event| event.done < start);
        let first = first.saturating_sub(1);
        self.0[first..]
            .iter()
            .take_while(move |event| event.sent <= end)
            .map(|event| event.state)
    }
}
