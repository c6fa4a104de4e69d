//! Models as files: out of one database and into another.

use pgrx::prelude::*;

use super::given;
use crate::pg::access::Right;
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::reader;

/// The largest value PostgreSQL can return: 1 GB with its header.
const LARGEST: usize = 0x3fff_ffff - pg_sys::VARHDRSZ;

/// A version as the safetensors file that it is stored as.
#[pg_extern(sql = false)]
fn export_model(model: Option<&str>) -> Vec<u8> {
    export(given(model, "model").or_raise()).or_raise()
}

fn export(reference: &str) -> Result<Vec<u8>> {
    let version = reader::resolve(reference)?;
    version.right.require(Right::Manage, &version.model)?;
    if version.size > LARGEST {
        return Err(Report::new(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!(
                "version {} of model \"{}\" has {} bytes, more than a value can have",
                version.number, version.model, version.size
            ),
        )
        .hint("Carry it with pg_dump, which takes it in pieces."));
    }
    reader::load(&version)
}
