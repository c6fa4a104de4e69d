//! The scores that rankings keep, within `neural.max_memory`.
//!
//! All states of one memory context have one keeper. When the scores of all keepers outgrow the
//! memory, the one that wants more writes what its states hold into a temporary file, as one sorted
//! run a state and class, and goes on. Metrics then merge the runs: the result is exact either way.

use std::cell::{Cell, RefCell};
use std::slice;

use pgrx::pg_sys::{self, MemoryContext};

use super::list::List;
use super::score_files::{FileName, Opened, OwnFile, Registered, remove_with};
use crate::metrics::{Merge, Run, Separation, separation, separation_of_sorted};
use crate::pg::error::Report;
use crate::pg::in_context::in_context;
use crate::pg::{interrupt, settings};

/// The first room a list gets: small, for queries with many groups.
const FIRST_SCORES: usize = 16;
const FIRST_RUNS: usize = 4;
/// As many runs of one level become one of the next.
const RUNS: usize = 32;
/// Scores that are merged or moved at once.
const PIECE: usize = 8192;

/// The scores of one class.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub scores: List<f64>,
    pub runs: List<Run>,
}

impl Side {
    pub const EMPTY: Side = Side {
        scores: List::EMPTY,
        runs: List::EMPTY,
    };

    fn count(&self) -> u64 {
        let in_runs: u64 = self.runs.slice().iter().map(|run| run.count).sum();
        in_runs + self.scores.len() as u64
    }

    /// Sorts what is in memory, which changes nothing for later rows or calls; a cancel unwinds out
    /// of the sort and leaves the scores whole.
    fn sort(&mut self) {
        // The one function that sorts and can be broken off; an empty side has no separation.
        separation(self.scores.slice_mut(), &mut [], interrupt::check);
    }
}

/// The state of auc, gini and ks.
#[derive(Clone, Copy)]
pub(super) struct RankingState {
    /// Positives and negatives.
    pub sides: [Side; 2],
    /// Null in a state that came from another process and only waits to be merged.
    keeper: *mut Keeper,
    /// Where the files of the runs then are: a run's number is one more than the place here.
    pub names: List<FileName>,
    next: *mut RankingState,
    /// What the last call worked out, until there are more rows.
    known: Option<Option<Separation>>,
}

impl RankingState {
    /// A state that only waits to be merged.
    pub const EMPTY: RankingState = RankingState {
        sides: [Side::EMPTY; 2],
        keeper: std::ptr::null_mut(),
        names: List::EMPTY,
        next: std::ptr::null_mut(),
        known: None,
    };

    /// A state in the memory context of an aggregate.
    ///
    /// # Safety
    /// The context is alive.
    pub unsafe fn new<'a>(context: MemoryContext) -> &'a mut RankingState {
        // SAFETY: the keeper lives as long as the context, and so does the state.
        unsafe {
            let keeper = Keeper::of(context);
            let state = super::place(context, RankingState::EMPTY);
            state.keeper = keeper;
            state.next = (*keeper).states;
            (*keeper).states = state;
            state
        }
    }

    /// Takes scores of one class. A pointer, as the keeper may write this state with all others.
    ///
    /// # Safety
    /// The state is alive and has a keeper.
    pub unsafe fn take(this: *mut RankingState, side: usize, scores: &[f64]) {
        // SAFETY: by this function's contract.
        unsafe {
            (*this).known = None;
            for piece in scores.chunks(PIECE) {
                let List {
                    length, capacity, ..
                } = (*this).sides[side].scores;
                if capacity - length < piece.len() {
                    Keeper::make_room(this, side, piece.len());
                }
                (*this).sides[side].scores.extend(piece.iter().copied());
            }
        }
    }

    /// Takes all of another state in.
    ///
    /// # Safety
    /// This one is alive and has a keeper, and is not the other.
    pub unsafe fn merge(this: *mut RankingState, other: &RankingState) {
        // SAFETY: by this function's contract; the keeper lives as long as the state.
        unsafe {
            for side in 0..2 {
                let from = &other.sides[side];
                for run in from.runs.slice() {
                    let keeper = (*this).keeper;
                    match other.name(run.file) {
                        Some(name) => {
                            let file = (*keeper).number(name);
                            let run = Run { file, ..*run };
                            let runs = &mut (*this).sides[side].runs;
                            runs.push(run, FIRST_RUNS, (*keeper).context);
                        }
                        // A file that only the other's keeper knows.
                        None => other.each_of(slice::from_ref(run), &[], |scores| {
                            RankingState::take(this, side, scores);
                        }),
                    }
                }
                RankingState::take(this, side, from.scores.slice());
            }
            (*(*this).keeper).join_runs(&mut *this);
        }
    }

    /// How far the classes are apart.
    pub fn separation(&mut self) -> Option<Separation> {
        if let Some(known) = self.known {
            return known;
        }
        let [positives, negatives] = &mut self.sides;
        let found = if positives.runs.len() == 0 && negatives.runs.len() == 0 {
            // A cancel unwinds out of the sort; the scores stay whole.
            separation(
                positives.scores.slice_mut(),
                negatives.scores.slice_mut(),
                interrupt::check,
            )
        } else {
            positives.sort();
            negatives.sort();
            let opened = self.open();
            let [positives, negatives] = &self.sides;
            let memory = read_ahead() / 2;
            let [first, second] = [positives, negatives]
                .map(|side| Merge::new(&opened, side.runs.slice(), side.scores.slice(), memory));
            separation_of_sorted([positives.count(), negatives.count()], first, second)
                .unwrap_or_else(|error: Report| error.raise())
        };
        self.known = Some(found);
        found
    }

    /// Writes what is in memory into the file.
    ///
    /// # Safety
    /// The state has a keeper.
    pub unsafe fn write_out(&mut self) {
        // SAFETY: the keeper is alive.
        unsafe {
            let keeper = &mut *self.keeper;
            keeper.write_out(self);
            if let Some(own) = &mut keeper.own {
                own.get_mut().flush();
            }
        }
    }

    /// Bytes of scores in memory.
    pub fn in_memory(&self) -> usize {
        self.sides
            .iter()
            .map(|side| size_of_val(side.scores.slice()))
            .sum()
    }

    /// The number of scores of each class.
    pub fn counts(&self) -> [u64; 2] {
        self.sides.each_ref().map(Side::count)
    }

    /// Whether another process can open each file there are runs in.
    pub fn can_be_handed_over(&self) -> bool {
        let named = |run: &Run| self.name(run.file).is_some();
        self.sides
            .iter()
            .all(|side| side.runs.slice().iter().all(named))
    }

    /// A run's file by its name; the process that is told of it removes it.
    pub fn hand_over(&mut self, run: &Run) -> Option<FileName> {
        // SAFETY: the keeper is alive where there is one.
        match unsafe { self.keeper.as_mut() } {
            Some(Keeper { own: Some(own), .. }) if run.file == 0 => own.get_mut().hand_over(),
            _ => self.name(run.file),
        }
    }

    /// All scores of a class, sorted.
    pub fn each(&mut self, side: usize, mut take: impl FnMut(f64)) {
        self.sides[side].sort();
        let Side { scores, runs } = &self.sides[side];
        self.each_of(runs.slice(), scores.slice(), |scores| {
            scores.iter().copied().for_each(&mut take);
        });
    }

    /// The scores of runs and of a sorted slice, sorted, some at a time.
    fn each_of(&self, runs: &[Run], scores: &[f64], mut take: impl FnMut(&[f64])) {
        let opened = Opened::new(self.own(), self.names(), runs.iter());
        gathered(Merge::new(&opened, runs, scores, read_ahead()), &mut take);
    }

    fn names(&self) -> &[FileName] {
        // SAFETY: the keeper is alive where there is one.
        match unsafe { self.keeper.as_ref() } {
            Some(keeper) => &keeper.names,
            None => self.names.slice(),
        }
    }

    fn own(&self) -> Option<&OwnFile> {
        // SAFETY: as above.
        unsafe { self.keeper.as_ref() }.and_then(|keeper| keeper.own.as_ref().map(Registered::get))
    }

    fn name(&self, file: u32) -> Option<FileName> {
        match (file as usize).checked_sub(1) {
            None => self.own().and_then(OwnFile::name),
            Some(number) => self.names().get(number).copied(),
        }
    }

    fn open(&self) -> Opened {
        let runs = self.sides.iter().flat_map(|side| side.runs.slice());
        Opened::new(self.own(), self.names(), runs)
    }
}

thread_local! {
    static KEEPERS: RefCell<Vec<*mut Keeper>> = const { RefCell::new(Vec::new()) };
    /// Bytes of scores that all keepers hold.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Bytes of scores that may be held: the rest of the memory is for reading runs.
fn most_held() -> usize {
    settings::max_memory() / 4 * 3
}

/// Bytes for reading runs.
fn read_ahead() -> usize {
    settings::max_memory() / 8
}

/// What the states of one memory context have in common.
struct Keeper {
    context: MemoryContext,
    states: *mut RankingState,
    /// Bytes of scores in memory.
    bytes: usize,
    own: Option<Registered>,
    /// The other files that runs refer to.
    names: Vec<FileName>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let this: *mut Keeper = self;
        KEEPERS.with_borrow_mut(|keepers| keepers.retain(|other| *other != this));
        HELD.set(HELD.get().saturating_sub(self.bytes));
    }
}

impl Keeper {
    /// The keeper of a context: a new one where there is none, which goes with the context.
    ///
    /// # Safety
    /// The context is alive.
    unsafe fn of(context: MemoryContext) -> *mut Keeper {
        let of_context = |keeper: &&*mut Keeper| {
            // SAFETY: those in the list are alive.
            unsafe { (***keeper).context == context }
        };
        if let Some(keeper) =
            KEEPERS.with_borrow(|keepers| keepers.iter().rev().find(of_context).copied())
        {
            return keeper;
        }
        let keeper = Keeper {
            context,
            states: std::ptr::null_mut(),
            bytes: 0,
            own: None,
            names: Vec::new(),
        };
        // SAFETY: the context is alive, as the caller says.
        let keeper = unsafe { in_context(context, keeper) };
        KEEPERS.with_borrow_mut(|keepers| keepers.push(keeper));
        keeper
    }

    /// Makes room for more scores, in memory or by writing what is there.
    ///
    /// # Safety
    /// The state has a keeper; `more` is no more than [`PIECE`].
    unsafe fn make_room(state: *mut RankingState, side: usize, more: usize) {
        // SAFETY: the state and its keeper are alive.
        unsafe {
            let keeper = (*state).keeper;
            let most = most_held();
            let held = |from: usize, to: usize| HELD.get() + (to - from) * size_of::<f64>();
            let list = (*state).sides[side].scores;
            let needed = list.length + more;
            let mut capacity = needed.max(list.capacity * 2).max(FIRST_SCORES);
            if held(list.capacity, capacity) > most {
                capacity = needed.max(list.capacity + list.capacity / 8);
                // Other queries of this backend may hold much; each may have an eighth.
                if held(list.capacity, capacity) > most && (*keeper).bytes > most / 8 {
                    (*keeper).write_all();
                    capacity = more.max(FIRST_SCORES);
                }
            }
            let list = &mut (*state).sides[side].scores;
            let before = list.bytes();
            list.grow(capacity, (*keeper).context);
            let grown = list.bytes() - before;
            (*keeper).bytes += grown;
            HELD.set(HELD.get() + grown);
        }
    }

    /// Writes the scores of all states.
    fn write_all(&mut self) {
        let mut next = self.states;
        // SAFETY: the states live as long as the keeper.
        while let Some(state) = unsafe { next.as_mut() } {
            self.write_out(state);
            next = state.next;
        }
        if let Some(own) = &mut self.own {
            own.get_mut().flush();
        }
        let mut next = self.states;
        // SAFETY: as above.
        while let Some(state) = unsafe { next.as_mut() } {
            self.join_runs(state);
            next = state.next;
        }
    }

    /// Puts the scores of a state behind the file, where they can be read once it is flushed.
    fn write_out(&mut self, state: &mut RankingState) {
        for side in &mut state.sides {
            if side.scores.len() > 0 {
                side.sort();
                let own = self.own.get_or_insert_with(Registered::create).get_mut();
                let run = Run {
                    file: 0,
                    level: 0,
                    offset: own.end(),
                    count: side.scores.len() as u64,
                };
                own.append(side.scores.slice());
                // SAFETY: the context is alive.
                unsafe { side.runs.push(run, FIRST_RUNS, self.context) };
            }
            let freed = side.scores.bytes();
            side.scores.free();
            self.bytes = self.bytes.saturating_sub(freed);
            HELD.set(HELD.get().saturating_sub(freed));
        }
    }

    /// Merges runs where there are many of one level, so that their number stays small.
    fn join_runs(&mut self, state: &mut RankingState) {
        for side in 0..2 {
            while let Some(level) = crowded(state.sides[side].runs.slice()) {
                let of_level = |run: &&Run| run.level == level;
                let runs = state.sides[side].runs.slice();
                let joined: Vec<Run> = runs.iter().filter(of_level).copied().collect();
                let own = self.own.get_or_insert_with(Registered::create);
                let opened = Opened::new(Some(own.get()), &self.names, joined.iter());
                let own = own.get_mut();
                let run = Run {
                    file: 0,
                    level: level + 1,
                    offset: own.end(),
                    count: joined.iter().map(|run| run.count).sum(),
                };
                let merged = Merge::new(&opened, &joined, &[], read_ahead());
                gathered(merged, &mut |scores| own.append(scores));
                own.flush();
                let list = &mut state.sides[side].runs;
                let mut kept = 0;
                for at in 0..list.length {
                    let runs = list.slice_mut();
                    if runs[at].level != level {
                        runs[kept] = runs[at];
                        kept += 1;
                    }
                }
                list.length = kept;
                // SAFETY: the context is alive.
                unsafe { list.push(run, FIRST_RUNS, self.context) };
            }
        }
    }

    /// The number of a file that was handed over, for runs.
    fn number(&mut self, name: FileName) -> u32 {
        let known = self.names.iter().position(|other| *other == name);
        let place = known.unwrap_or_else(|| {
            self.names.push(name);
            // SAFETY: the parent of an aggregate's context is the query's, where the file is read.
            unsafe { remove_with(pg_sys::MemoryContextGetParent(self.context), name) };
            self.names.len() - 1
        });
        place as u32 + 1
    }
}

/// Hands the scores on some at a time.
fn gathered(scores: Merge<Opened>, take: &mut impl FnMut(&[f64])) {
    let mut buffer = Vec::with_capacity(PIECE);
    for score in scores {
        buffer.push(score.unwrap_or_else(|error| error.raise()));
        if buffer.len() == PIECE {
            take(&buffer);
            buffer.clear();
        }
    }
    take(&buffer);
}

/// The lowest level that has too many runs.
fn crowded(runs: &[Run]) -> Option<u32> {
    if runs.len() < RUNS {
        return None;
    }
    let top = runs.iter().map(|run| run.level).max()?;
    (0..=top).find(|level| runs.iter().filter(|run| run.level == *level).count() >= RUNS)
}
