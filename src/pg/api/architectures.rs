//! `neural.architectures`: what is shipped.

use pgrx::JsonB;
use pgrx::prelude::*;

use crate::models;

/// The shipped architectures, one a row.
#[pg_extern(sql = false)]
fn shipped_architectures() -> TableIterator<
    'static,
    (
        name!(name, &'static str),
        name!(description, &'static str),
        name!(layers, JsonB),
    ),
> {
    TableIterator::new(models::shipped().iter().map(|shipped| {
        (
            shipped.name.as_str(),
            shipped.description.as_str(),
            JsonB(shipped.layers.clone()),
        )
    }))
}
