//! Models as files: out of one database and into another.

use pgrx::AnyElement;
use pgrx::prelude::*;

use super::{given, given_text, json};
use crate::artifact::lineage::{self, Detached};
use crate::artifact::{Model, Pieces};
use crate::memory;
use crate::pg::access::Right;
use crate::pg::catalog::{self, Description, NewVersion, Training};
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::reader::{self, Resolved};
use crate::pg::{interrupt, settings, spelling, sql_type};
use crate::weights::{self, Remark};

/// The largest value PostgreSQL can return: 1 GB with its header.
const LARGEST: usize = 0x3fff_ffff - pg_sys::VARHDRSZ;

/// A version as the safetensors file that it is stored as, with its query and options or without. A
/// raw function, so that the file is put together where it is returned, without another copy.
///
/// # Safety
/// Called as (text, boolean).
unsafe fn export_model(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: as the caller says.
    let (model, lineage) = unsafe {
        (
            pgrx::fcinfo::pg_getarg::<&[u8]>(fcinfo, 0),
            pgrx::fcinfo::pg_getarg::<bool>(fcinfo, 1),
        )
    };
    let model = given_text(model, "model").or_raise();
    export(model, lineage.unwrap_or(true)).or_raise()
}

raw_function!(
    export_model_wrapper,
    pg_finfo_export_model_wrapper,
    export_model
);

/// Stores an exported version under a name, as the next version of the model.
#[pg_extern(sql = false)]
fn import_model(model: Option<&[u8]>, artifact: Option<&[u8]>) -> i32 {
    let model = given_text(model, "model").or_raise();
    import(model, given(artifact, "artifact").or_raise()).or_raise()
}

fn import(name: &str, artifact: &[u8]) -> Result<i32> {
    let _work = interrupt::begin(memory::LARGE)?;
    // Rights and name come before any work.
    catalog::existing(name)?;
    let Detached {
        header,
        data,
        lineage,
    } = lineage::detach(artifact);
    check_header(header.len())?;
    let lineage = lineage.unwrap_or_default();
    let (model, network) = Model::check(&header, data, &interrupt::Checks)?;
    sql_type::check_types(&model.features)?;
    interrupt::check();
    let known = |key: &str| model.training.get(key).cloned().unwrap_or_default();
    let stored = catalog::store_version(&NewVersion {
        model: name,
        artifact: &Pieces::new(vec![header, data.into()]),
        description: Description::with(&model, &network)?,
        training: Training {
            query: lineage
                .get("query")
                .and_then(|query| query.as_str())
                .map(str::to_owned),
            options: lineage
                .get("options")
                .filter(|options| options.is_object())
                .cloned(),
            claimed: true,
            seed: known("seed").as_u64().map(|seed| seed as i64),
            rows_trained: known("rows_trained").as_i64(),
            rows_validated: known("rows_validated").as_i64(),
            epochs: known("epochs").as_i64().map(|epochs| epochs as i32),
            train_loss: known("train_loss").as_f64(),
            validation_loss: known("validation_loss").as_f64(),
            metrics: Some(known("metrics")).filter(|metrics| metrics.is_object()),
            ..Training::default()
        },
        history: &[],
        adds_features: false,
        deploy: true,
    })?;
    Ok(stored.number)
}

/// Stores a network that was trained elsewhere, as the next version of the model.
#[pg_extern(sql = false)]
fn import_weights(
    model: Option<&[u8]>,
    weights: Option<&[u8]>,
    architecture: Option<&[u8]>,
    task: Option<&[u8]>,
    features: Option<AnyElement>,
    classes: Option<Vec<Option<String>>>,
    options: Option<AnyElement>,
) -> i32 {
    let _work = interrupt::begin(memory::LARGE).or_raise();
    let model = given_text(model, "model").or_raise();
    let weights = given(weights, "weights").or_raise();
    let architecture = given_text(architecture, "architecture").or_raise();
    let task = given_text(task, "task").or_raise();
    // SAFETY: the parameters are jsonb.
    let (features, options) = unsafe {
        (
            json(features, "features").or_raise(),
            json(options, "options").or_raise(),
        )
    };
    let features = given(features, "features")
        .and_then(spelling::told)
        .or_raise();
    let options = options.unwrap_or_else(|| serde_json::json!({}));
    let classes = classes.map(|classes| classes_of(classes).or_raise());
    let source = weights::Source {
        weights,
        architecture,
        task,
        features: &features,
        classes: classes.as_deref(),
        options: &options,
        memory: settings::max_memory(),
        stop: &interrupt::Checks,
    };
    import_source(model, &source).or_raise()
}

fn classes_of(classes: Vec<Option<String>>) -> Result<Vec<String>> {
    let classes: Option<Vec<String>> = classes.into_iter().collect();
    classes.ok_or_else(|| {
        Report::invalid("a class is NULL").hint("Name every class, in the order of the outputs.")
    })
}

fn import_source(name: &str, source: &weights::Source<'_>) -> Result<i32> {
    // Rights and name come before any work.
    catalog::existing(name)?;
    let weights::Imported {
        model,
        deploy,
        remark,
    } = weights::import(source)?;
    interrupt::check();
    let description = Description::of(&model)?;
    let stored = model.in_pieces(|artifact| {
        interrupt::check();
        catalog::store_version(&NewVersion {
            model: name,
            artifact,
            description,
            training: Training {
                options: Some(source.options.clone()),
                claimed: true,
                ..Training::default()
            },
            history: &[],
            adds_features: false,
            deploy,
        })
    })??;
    match remark {
        Some(Remark::Notice(text)) => notice!("{text}"),
        Some(Remark::Warning(text)) => warning!("{text}"),
        None => {}
    }
    Ok(stored.number)
}

fn export(reference: &str, with_lineage: bool) -> Result<pg_sys::Datum> {
    let _work = interrupt::begin(memory::LARGE)?;
    let version = reader::resolve(reference)?;
    version.right.require(Right::Manage, &version.model)?;
    check_size(&version, version.size)?;
    let mut entry = Vec::new();
    if with_lineage {
        let training = catalog::recorded(&version)?;
        if training.query.is_some() || training.options.is_some() {
            let lineage = serde_json::json!({"query": training.query, "options": training.options});
            entry = lineage::entry(&lineage);
            check_size(&version, version.size + entry.len())?;
        }
    }
    let length = entry.len() + version.size;
    // SAFETY: palloc gives that many bytes or raises an error; all of them are written before they
    // are read. Each piece is no longer than what is left.
    unsafe {
        let whole = length + pg_sys::VARHDRSZ;
        let value = pg_sys::palloc(whole).cast::<pg_sys::varlena>();
        let bytes = value.cast::<u8>().add(pg_sys::VARHDRSZ);
        bytes.write_bytes(0, entry.len());
        let mut end = entry.len();
        reader::load_pieces(&version, |piece| {
            bytes
                .add(end)
                .copy_from_nonoverlapping(piece.as_ptr(), piece.len());
            end += piece.len();
        })?;
        let file = std::slice::from_raw_parts_mut(bytes, length);
        let start = lineage::attach(file, &entry);
        file.copy_within(start.., 0);
        pgrx::varlena::set_varsize_4b(value, (whole - start) as i32);
        Ok(pg_sys::Datum::from(value))
    }
}

/// Refuses a file whose description would take too much memory: the tensors stay where they are, but
/// the header becomes some four times as many bytes.
fn check_header(bytes: usize) -> Result<()> {
    let (needed, limit) = (bytes.saturating_mul(4), settings::max_memory());
    if needed <= limit {
        return Ok(());
    }
    Err(Report::out_of_memory(format!(
        "the artifact's header takes {} kB of memory to read, more than neural.max_memory allows ({} kB)",
        needed / 1024,
        limit / 1024
    ))
    .hint("Raise neural.max_memory."))
}

fn check_size(version: &Resolved, size: usize) -> Result<()> {
    if size <= LARGEST {
        return Ok(());
    }
    Err(Report::new(
        PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        format!(
            "version {} of model \"{}\" has {size} bytes, more than a value can have",
            version.number, version.model
        ),
    )
    .hint("Carry it with pg_dump, which takes it in pieces."))
}
