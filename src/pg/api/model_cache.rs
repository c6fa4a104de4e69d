//! `neural.model_cache_info`: the models that this connection keeps ready.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use crate::pg::cache;
use crate::pg::reader;

type Row = (
    Option<String>,
    Option<i32>,
    Option<Vec<u8>>,
    i64,
    i64,
    Option<String>,
    Option<TimestampWithTimeZone>,
);

/// One row for each model, the one used last first. What a model is called is told to those only
/// who may use it now, as is its hash and with it the file's name: the connection may have acted as
/// another role when it called the model.
#[expect(clippy::type_complexity, reason = "the SQL function's result columns")]
#[pg_extern(sql = false)]
fn model_cache_info() -> TableIterator<
    'static,
    (
        name!(model, Option<String>),
        name!(version, Option<i32>),
        name!(sha256, Option<Vec<u8>>),
        name!(private_bytes, i64),
        name!(shared_bytes, i64),
        name!(shared_file, Option<String>),
        name!(last_used, Option<TimestampWithTimeZone>),
    ),
> {
    let rows: Vec<Row> = cache::entries()
        .into_iter()
        .rev()
        .map(|entry| {
            let model = &entry.model;
            // Not found: dropped, or not to be seen.
            let known = reader::resolve_sha256(&entry.sha256).ok();
            let file = model.file.as_ref().filter(|_| known.is_some());
            (
                known.as_ref().map(|known| known.model.clone()),
                known.as_ref().map(|known| known.number),
                known.as_ref().map(|_| entry.sha256.to_vec()),
                model.bytes as i64,
                model.predictor.shared_bytes() as i64,
                file.map(|file| file.display().to_string()),
                TimestampWithTimeZone::try_from(entry.last_used).ok(),
            )
        })
        .collect();
    TableIterator::new(rows)
}
