//! Decoded models of this backend, ready to predict.
//!
//! A version's bytes never change, so an entry keyed by their hash cannot be stale. What a call
//! site holds lives on when the cache lets it go.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pgrx::{log, pg_sys};

use crate::artifact::Prepared;
use crate::features::{Encoder, FeatureSet, Target};
use crate::nn::Predictor;
use crate::pg::error::Report;
use crate::pg::reader::Resolved;
use crate::pg::settings;
use crate::pg::shared_models;

/// A stored version, decoded.
pub struct DecodedModel {
    /// What its features are.
    pub features: FeatureSet,
    /// From values to the network's input.
    pub encoder: Encoder,
    /// What it predicts.
    pub target: Target,
    /// The network with packed weights.
    pub predictor: Predictor,
    /// Memory of this process that it takes, about.
    pub bytes: usize,
    /// The file that it shares with other processes, if it does.
    pub file: Option<PathBuf>,
    outputs: usize,
}

impl DecodedModel {
    /// A model, and the file it is mapped from.
    fn new(model: Prepared, file: Option<PathBuf>) -> DecodedModel {
        let Prepared {
            features,
            target,
            predictor,
        } = model;
        let encoder = features.encoder();
        DecodedModel {
            bytes: predictor.size_bytes() + encoder.size_bytes() + 4096,
            outputs: predictor.output_units(),
            features,
            encoder,
            target,
            predictor,
            file,
        }
    }

    /// Numbers that the network gives for a row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

thread_local! {
    /// The least recently used comes first. A backend uses few models: a list is enough.
    static CACHE: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// A model in the cache.
#[derive(Clone)]
pub struct Entry {
    /// The hash of the artifact.
    pub sha256: [u8; 32],
    /// The model.
    pub model: Rc<DecodedModel>,
    /// When a statement last asked for it.
    pub last_used: pg_sys::TimestampTz,
}

/// What the cache holds, the least recently used first.
pub fn entries() -> Vec<Entry> {
    CACHE.with_borrow(Clone::clone)
}

/// The decoded version, from the cache or from the catalog as the active snapshot shows it.
pub fn model(version: &Resolved) -> Result<Rc<DecodedModel>, Report> {
    if let Some(found) = CACHE.with_borrow_mut(|cache| {
        let place = cache
            .iter()
            .position(|entry| entry.sha256 == version.sha256)?;
        let mut entry = cache.remove(place);
        let model = entry.model.clone();
        entry.last_used = now();
        cache.push(entry);
        Some(model)
    }) {
        return Ok(found);
    }
    let began = Instant::now();
    let (model, file) = shared_models::take(version)?;
    let model = Rc::new(DecodedModel::new(model, file));
    tell(version, &model, began.elapsed());
    let limit = settings::model_cache();
    CACHE.with_borrow_mut(|cache| {
        cache.push(Entry {
            sha256: version.sha256,
            model: model.clone(),
            last_used: now(),
        });
        let mut total: usize = cache.iter().map(|entry| entry.model.bytes).sum();
        // The newest stays even when it alone is larger: the call at hand needs it.
        while total > limit && cache.len() > 1 {
            total -= cache.remove(0).model.bytes;
        }
    });
    Ok(model)
}

/// Says in the log that a connection had to wait for a model, if it is to be said.
fn tell(version: &Resolved, model: &DecodedModel, took: Duration) {
    if settings::log_min_load_duration().is_some_and(|least| took >= least) {
        log!(
            "{} was made ready in {:.3} ms: {} bytes stored, {} of this connection's memory{}",
            version.full_label(),
            1000.0 * took.as_secs_f64(),
            version.size,
            model.bytes,
            match model.file {
                Some(_) => ", shared by a file",
                None => "",
            }
        );
    }
}

fn now() -> pg_sys::TimestampTz {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
