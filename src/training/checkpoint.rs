//! How far a training is, as bytes to be kept, and which training that is.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Error;
use crate::hex::hex;
use crate::nn::optimizer::{OptimizerSpec, OptimizerState};
use crate::nn::{self, Checkpoint, EpochReport, Resume, RowSource, TrainOptions};

/// Rows that are hashed at a time.
const BLOCK: usize = 4096;
/// Bytes of a hash.
const HASH: usize = 32;
/// Bytes of the header's length.
const LENGTH: usize = 8;

/// Which training it is: a hash of what decides how it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; HASH]);

impl Fingerprint {
    /// Of the rows as encoded, of so many inputs each, and of the parameters that training starts from.
    ///
    /// # Errors
    /// Rows that cannot be read, and an interruption.
    pub(super) fn of(
        sides: [Option<&mut (dyn RowSource + '_)>; 2],
        width: usize,
        (parameters, options): (&[f32], &TrainOptions),
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Fingerprint, Error> {
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        // What a trial may have chosen, which on another processor may come out otherwise.
        hash.update((options.epochs as u64).to_le_bytes());
        hash.update((options.early_stopping as u64).to_le_bytes());
        hash.update(options.weight_decay.to_le_bytes());
        for piece in parameters.chunks(1 << 18) {
            stop_if(interrupted())?;
            hash.update(bytemuck::cast_slice::<f32, u8>(piece));
        }
        for side in sides.into_iter().flatten() {
            let (rows, block) = (side.rows(), side.capacity().clamp(1, BLOCK));
            hash.update((rows as u64).to_le_bytes());
            let mut index: Vec<u32> = Vec::with_capacity(block);
            for start in (0..rows).step_by(block) {
                stop_if(interrupted())?;
                index.clear();
                index.extend(start as u32..rows.min(start + block) as u32);
                let loaded = side.load(&index)?;
                let targets = loaded.y.len() / (loaded.x.len() / width.max(1)).max(1);
                for &row in loaded.index {
                    let row = row as usize;
                    let part = |values: &[f32], width: usize, hash: &mut Sha256| {
                        let values = values.get(row * width..(row + 1) * width);
                        hash.update(bytemuck::cast_slice::<f32, u8>(values.unwrap_or_default()));
                    };
                    part(loaded.x, width, &mut hash);
                    part(loaded.y, targets, &mut hash);
                    if let Some(weight) = loaded.weight {
                        part(weight, 1, &mut hash);
                    }
                    if let Some(fold) = loaded.fold {
                        hash.update([fold.get(row).copied().unwrap_or_default()]);
                    }
                }
            }
        }
        Ok(Fingerprint(hash.finalize().into()))
    }
}

fn stop_if(interrupted: bool) -> Result<(), Error> {
    match interrupted {
        true => Err(nn::Error::Interrupted.into()),
        false => Ok(()),
    }
}

/// What stands before the numbers. Losses are given by their bits: JSON has no infinity.
#[derive(Serialize, Deserialize)]
struct Header {
    fingerprint: String,
    optimizer: OptimizerSpec,
    step: u64,
    parameters: usize,
    has_best: bool,
    history: Vec<Epoch>,
}

#[derive(Serialize, Deserialize)]
struct Epoch {
    train_loss: u64,
    validation_loss: Option<u64>,
    learning_rate: u64,
    seconds: f64,
}

/// A training after an epoch, on its way to where it is kept.
pub struct Kept<'a> {
    header: Vec<u8>,
    blocks: Vec<&'a [f32]>,
}

impl<'a> Kept<'a> {
    pub(super) fn new(fingerprint: Fingerprint, reached: &Checkpoint<'a>) -> Kept<'a> {
        let state = reached.optimizer_state;
        let header = Header {
            fingerprint: hex(&fingerprint.0),
            optimizer: state.optimizer,
            step: state.step,
            parameters: reached.parameters.len(),
            has_best: reached.best.is_some(),
            history: reached.history.iter().map(Epoch::of).collect(),
        };
        let mut blocks = vec![reached.parameters];
        blocks.extend(reached.best);
        blocks.extend(state.buffers.iter().map(Vec::as_slice));
        Kept {
            header: serde_json::to_vec(&header).unwrap_or_default(),
            blocks,
        }
    }

    /// Gives `take` all bytes one after the other, in pieces of some length.
    ///
    /// # Errors
    /// That of `take`.
    pub fn in_pieces<E>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut hash = Sha256::new();
        let mut piece = |bytes: &[u8]| {
            hash.update(bytes);
            take(bytes)
        };
        let length = (self.header.len() as u64).to_le_bytes();
        piece(&length)?;
        for part in self.header.chunks(1 << 20) {
            piece(part)?;
        }
        for block in &self.blocks {
            for numbers in block.chunks(1 << 18) {
                let bytes: Cow<'_, [u8]> = match cfg!(target_endian = "little") {
                    true => bytemuck::cast_slice(numbers).into(),
                    false => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
                };
                piece(&bytes)?;
            }
        }
        let hash: [u8; HASH] = hash.finalize().into();
        take(&hash)
    }
}

impl Epoch {
    fn of(report: &EpochReport) -> Epoch {
        Epoch {
            train_loss: report.train_loss.to_bits(),
            validation_loss: report.validation_loss.map(f64::to_bits),
            learning_rate: report.learning_rate.to_bits(),
            seconds: report.seconds,
        }
    }
}

/// Reads what was kept of the training of this fingerprint.
///
/// # Errors
/// [`Error::Checkpoint`] where it is that of another training, or damaged.
pub(super) fn resume(bytes: &[u8], fingerprint: Fingerprint) -> Result<Resume, Error> {
    let damaged = || Error::DamagedCheckpoint;
    let end = bytes.len().checked_sub(HASH).ok_or_else(damaged)?;
    let (content, hash) = bytes.split_at(end);
    let found: [u8; HASH] = Sha256::digest(content).into();
    if found != hash {
        return Err(damaged());
    }
    let (length, rest) = content.split_first_chunk::<LENGTH>().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    let (header, mut rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let header: Header = serde_json::from_slice(header).map_err(|_| damaged())?;
    if header.fingerprint != hex(&fingerprint.0) {
        return Err(Error::Checkpoint);
    }
    let mut block = || {
        let bytes = header.parameters.checked_mul(size_of::<f32>());
        let (own, others) = bytes
            .and_then(|bytes| rest.split_at_checked(bytes))
            .ok_or_else(damaged)?;
        rest = others;
        let (numbers, _) = own.as_chunks();
        Ok::<Vec<f32>, Error>(
            numbers
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect(),
        )
    };
    let parameters = block()?;
    let best = match header.has_best {
        true => Some(block()?),
        false => None,
    };
    let names = header.optimizer.buffer_names();
    let buffers = names.iter().map(|_| block()).collect::<Result<_, _>>()?;
    let history = (1..).zip(&header.history).map(|(epoch, kept)| EpochReport {
        epoch,
        train_loss: f64::from_bits(kept.train_loss),
        validation_loss: kept.validation_loss.map(f64::from_bits),
        learning_rate: f64::from_bits(kept.learning_rate),
        seconds: kept.seconds,
    });
    Ok(Resume {
        history: history.collect(),
        parameters,
        best,
        optimizer_state: OptimizerState {
            optimizer: header.optimizer,
            step: header.step,
            buffers,
        },
    })
}
