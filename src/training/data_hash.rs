//! What tells the rows of a training from all others: a hash of what the network sees of them.
//!
//! Hashed are the encoded features, the targets, the weights and the folds of the examples, side by
//! side of the split and in their order, and which example is on which side. So a value that changes
//! and is encoded as before, such as a level that is one of "the others", changes nothing.
//!
//! BLAKE3 of each [`LEAF`] examples of a side, and of these hashes: several threads work at once, and
//! the result does not depend on how many they are, nor on how many examples are in memory.

use blake3::Hasher;

use crate::features::BitMask;
use crate::nn::{Crew, Error, Loaded, RowSource, Stop, parallel};

/// Examples that are hashed together. Another number gives other hashes.
const LEAF: usize = 4096;
/// What stands in front. Another way to hash has another.
const FORMAT: &[u8] = b"pg_neural training data 1\0";

/// The hash of a training's examples: those that `mask` has, and the others, each of so many inputs
/// and targets.
///
/// # Errors
/// Examples that cannot be read, and an interruption.
pub fn data_hash(
    mask: &BitMask,
    sides: [&mut dyn RowSource; 2],
    widths: (usize, usize),
    crew: Crew<'_>,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<[u8; 32], Error> {
    let mut root = Hasher::new();
    root.update(FORMAT);
    for number in [widths.0, widths.1, mask.len()] {
        root.update(&(number as u64).to_le_bytes());
    }
    let byte = |first: usize| {
        let rows = (first..mask.len()).take(8).enumerate();
        rows.fold(0, |byte: u8, (bit, row)| {
            byte | u8::from(mask.get(row)) << bit
        })
    };
    let bits: Vec<u8> = (0..mask.len()).step_by(8).map(byte).collect();
    root.update(&bits);
    for side in sides {
        root.update(&(side.rows() as u64).to_le_bytes());
        let leaves = match side.capacity() {
            usize::MAX => leaves_in_memory(side, widths, crew, interrupted)?,
            capacity => leaves_read(side, capacity, widths, interrupted)?,
        };
        root.update(leaves.as_flattened());
    }
    Ok(root.finalize().into())
}

/// The hashes of a side whose examples are all in memory.
fn leaves_in_memory(
    side: &mut dyn RowSource,
    widths: (usize, usize),
    crew: Crew<'_>,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<[u8; 32]>, Error> {
    let rows = side.rows();
    let loaded = side.load(&[])?;
    let mut leaves = vec![[0; 32]; rows.div_ceil(LEAF)];
    let mut workers = vec![(); crew.threads.max(1)];
    let work = |_: &mut (), (number, hash): (usize, &mut [u8; 32]), _: &dyn Stop| {
        let mut leaf = Leaf::default();
        let first = number * LEAF;
        leaf.add(&loaded, first, rows.min(first + LEAF) - first, widths)?;
        *hash = leaf.finish();
        Ok::<(), Error>(())
    };
    let tasks = leaves.iter_mut().enumerate();
    parallel::for_each(crew, &mut workers, tasks, work, interrupted)
        .map_err(|_| Error::Interrupted)??;
    Ok(leaves)
}

/// The hashes of a side of which at most so many examples can be in memory.
fn leaves_read(
    side: &mut dyn RowSource,
    capacity: usize,
    widths: (usize, usize),
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<[u8; 32]>, Error> {
    let rows = u32::try_from(side.rows()).unwrap_or(u32::MAX);
    let mut leaves = Vec::new();
    let mut ordinals = Vec::new();
    for first in (0..rows).step_by(LEAF) {
        let mut leaf = Leaf::default();
        let examples = first..rows.min(first.saturating_add(LEAF as u32));
        for start in examples.clone().step_by(capacity.clamp(1, LEAF)) {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            ordinals.clear();
            ordinals.extend((start..examples.end).take(capacity));
            let loaded = side.load(&ordinals)?;
            leaf.add(&loaded, 0, ordinals.len(), widths)?;
        }
        leaves.push(leaf.finish());
    }
    Ok(leaves)
}

/// Some examples that stand one behind the other: the parts of them, each hashed by itself, so that
/// it is the same in how many pieces they come.
#[derive(Default)]
struct Leaf {
    x: Hasher,
    y: Hasher,
    weight: Hasher,
    fold: Hasher,
}

impl Leaf {
    /// Takes `count` examples that stand side by side in the buffers, from the `first` on.
    fn add(
        &mut self,
        loaded: &Loaded<'_>,
        first: usize,
        count: usize,
        (width, targets): (usize, usize),
    ) -> Result<(), Error> {
        let missing = || Error::Misused {
            message: "the rows' source gave fewer rows than it has".into(),
        };
        let range = |width: usize| first * width..(first + count) * width;
        add(&mut self.x, loaded.x.get(range(width)).ok_or_else(missing)?);
        add(
            &mut self.y,
            loaded.y.get(range(targets)).ok_or_else(missing)?,
        );
        if let Some(weight) = loaded.weight {
            add(&mut self.weight, weight.get(range(1)).ok_or_else(missing)?);
        }
        if let Some(fold) = loaded.fold {
            self.fold.update(fold.get(range(1)).ok_or_else(missing)?);
        }
        Ok(())
    }

    fn finish(self) -> [u8; 32] {
        let mut hash = Hasher::new();
        for part in [self.x, self.y, self.weight, self.fold] {
            hash.update(part.finalize().as_bytes());
        }
        hash.finalize().into()
    }
}

/// Hashes values by their bits.
fn add(hash: &mut Hasher, values: &[f32]) {
    if cfg!(target_endian = "little") {
        hash.update(bytemuck::cast_slice(values));
    } else {
        for value in values {
            hash.update(&value.to_le_bytes());
        }
    }
}
