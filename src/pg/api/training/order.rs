//! The arguments of `neural.train`.

use pgrx::{AnyElement, pg_sys};

use crate::pg::api::{given_text, json, text};
use crate::pg::error::Result;
use crate::training::Arguments;

/// What the caller of `neural.train` asked for.
pub(in crate::pg::api) struct Order<'a> {
    pub(in crate::pg::api) model: &'a str,
    pub(in crate::pg::api) query: &'a str,
    pub(in crate::pg::api) target: &'a str,
    pub(in crate::pg::api) task: Option<&'a str>,
    pub(in crate::pg::api) architecture: Option<&'a str>,
    pub(in crate::pg::api) features: Option<serde_json::Value>,
    pub(in crate::pg::api) options_json: serde_json::Value,
    pub(in crate::pg::api) arguments: Arguments,
}

impl<'a> Order<'a> {
    /// From the parameters of the SQL function, in their order.
    ///
    /// # Errors
    /// One that must not be NULL is, or is no text or JSON that can be taken.
    ///
    /// # Safety
    /// `features` and `options` are jsonb.
    #[expect(clippy::too_many_arguments, reason = "the SQL function's parameters")]
    pub(in crate::pg::api) unsafe fn given(
        model: Option<&'a [u8]>,
        query: Option<&'a [u8]>,
        target: Option<&'a [u8]>,
        task: Option<&'a [u8]>,
        architecture: Option<&'a [u8]>,
        features: Option<AnyElement>,
        epochs: Option<i32>,
        batch_size: Option<i32>,
        learning_rate: Option<f64>,
        optimizer: Option<&'a [u8]>,
        validation: Option<f64>,
        seed: Option<i64>,
        options: Option<AnyElement>,
    ) -> Result<Order<'a>> {
        // SAFETY: as the caller says.
        let (features, options) =
            unsafe { (json(features, "features")?, json(options, "options")?) };
        Ok(Order {
            model: given_text(model, "model")?,
            query: given_text(query, "query")?,
            target: given_text(target, "target")?,
            task: text(task, "task")?,
            architecture: text(architecture, "architecture")?,
            features,
            options_json: options.unwrap_or_else(|| serde_json::json!({})),
            arguments: Arguments {
                epochs: epochs.map(i64::from),
                batch_size: batch_size.map(i64::from),
                learning_rate,
                optimizer: text(optimizer, "optimizer")?.map(str::to_string),
                validation,
                seed: seed.map_or_else(draw_seed, |seed| seed as u64),
            },
        })
    }
}

/// A seed nobody asked for, recorded so that the training can be repeated. Small enough to type.
fn draw_seed() -> u64 {
    let mut bytes = [0_u8; 4];
    // SAFETY: fills the buffer it is given.
    unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len() as _) };
    u64::from(u32::from_ne_bytes(bytes) & 0x7fff_ffff)
}
