//! The arrays of a column, as they come from the query or a temporary file.

/// A number of an array, in the precision in which the array is held: images, and what is no more
/// precise, in single precision, all others in double, as scaling a number may bring out its last
/// digits.
pub trait Real: Copy + std::fmt::Debug + PartialEq {
    /// What stands for a number that is missing.
    const NAN: Self;

    /// Rounded to single precision.
    fn single(self) -> f32;

    /// The same number.
    fn double(self) -> f64;

    /// The arrays, where they are held in single precision.
    fn singles(arrays: &mut Arrays<Self>) -> Option<&mut Arrays<f32>>;
}

impl Real for f32 {
    const NAN: f32 = f32::NAN;

    #[inline(always)]
    fn single(self) -> f32 {
        self
    }

    #[inline(always)]
    fn double(self) -> f64 {
        f64::from(self)
    }

    fn singles(arrays: &mut Arrays<f32>) -> Option<&mut Arrays<f32>> {
        Some(arrays)
    }
}

impl Real for f64 {
    const NAN: f64 = f64::NAN;

    #[inline(always)]
    fn single(self) -> f32 {
        self as f32
    }

    #[inline(always)]
    fn double(self) -> f64 {
        self
    }

    fn singles(_: &mut Arrays<f64>) -> Option<&mut Arrays<f32>> {
        None
    }
}

/// One array a row, all of them one after the other.
///
/// A row without an array (NULL) has an empty one; within an array of numbers NaN stands for a NULL
/// element.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrays<T = f32> {
    values: Vec<T>,
    /// Where each row's values end in `values`.
    ends: Vec<usize>,
}

impl<T> Default for Arrays<T> {
    fn default() -> Self {
        Arrays {
            values: Vec::new(),
            ends: Vec::new(),
        }
    }
}

impl<T: Copy> Arrays<T> {
    /// No rows.
    pub fn new() -> Self {
        Arrays::default()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The values of a row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&[T]> {
        let end = *self.ends.get(row)?;
        self.values.get(self.end_before(row)..end)
    }

    /// The rows in their order.
    pub fn iter(&self) -> impl Iterator<Item = &[T]> {
        (0..self.len()).map_while(|row| self.get(row))
    }

    /// Adds a row.
    pub fn push(&mut self, values: &[T]) {
        self.values.extend_from_slice(values);
        self.close();
    }

    /// All values, behind which a row's can be written; the row counts once it is
    /// [closed](Arrays::close), and starts at [`start`](Arrays::start).
    pub fn open(&mut self) -> &mut Vec<T> {
        &mut self.values
    }

    /// Where the values of the row begin that is being written.
    pub fn start(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Ends the row that was written.
    pub fn close(&mut self) {
        self.ends.push(self.values.len());
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.ends.clear();
    }

    /// Bytes of memory they take.
    pub fn memory(&self) -> usize {
        size_of::<T>() * self.values.capacity() + size_of::<usize>() * self.ends.capacity()
    }

    /// Bytes that the rows fill.
    pub fn bytes(&self) -> usize {
        size_of::<T>() * self.values.len() + size_of::<usize>() * self.ends.len()
    }

    /// Adds `count` rows of others from `first` on; `None`, and nothing is added, if there are not
    /// so many.
    pub(super) fn append(&mut self, from: &Arrays<T>, first: usize, count: usize) -> Option<()> {
        let ends = from.ends.get(first..first.checked_add(count)?)?;
        let start = from.end_before(first);
        let shift = self.values.len();
        let end = ends.last().copied().unwrap_or(start);
        self.values.extend_from_slice(from.values.get(start..end)?);
        self.ends.extend(ends.iter().map(|end| end - start + shift));
        Some(())
    }

    /// Adds the rows of others at these places, as far as they are there.
    pub fn pick(&mut self, from: &Arrays<T>, places: impl Iterator<Item = usize>) {
        for row in places.filter_map(|place| from.get(place)) {
            self.push(row);
        }
    }

    /// Whether the arrays at two places have values that are the same, one by one.
    pub(super) fn same(
        &self,
        place: usize,
        other: &Arrays<T>,
        other_place: usize,
        same: impl Fn(&T, &T) -> bool,
    ) -> bool {
        match (self.get(place), other.get(other_place)) {
            (Some(these), Some(those)) => {
                these.len() == those.len() && these.iter().zip(those).all(|(a, b)| same(a, b))
            }
            _ => false,
        }
    }

    fn end_before(&self, row: usize) -> usize {
        row.checked_sub(1)
            .and_then(|before| self.ends.get(before).copied())
            .unwrap_or(0)
    }
}
