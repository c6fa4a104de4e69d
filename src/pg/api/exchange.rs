//! Models as files: out of one database and into another.

use pgrx::prelude::*;
use serde_json::json;

use super::document::Document;
use super::{document, given, given_text};
use crate::artifact::{Model, lineage};
use crate::pg::access::Right;
use crate::pg::catalog::{self, Description, NewVersion, Training};
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::reader::{self, Resolved};
use crate::pg::{interrupt, settings, spelling};
use crate::weights::{self, Remark};

/// The largest value PostgreSQL can return: 1 GB with its header.
const LARGEST: usize = 0x3fff_ffff - pg_sys::VARHDRSZ;

/// A version as the safetensors file that it is stored as, with its query and options or without.
#[pg_extern(sql = false)]
fn export_model(model: Option<&[u8]>, lineage: Option<bool>) -> Vec<u8> {
    let model = given_text(model, "model").or_raise();
    export(model, lineage.unwrap_or(true)).or_raise()
}

/// Stores an exported version under a name, as the next version of the model.
#[pg_extern(sql = false)]
fn import_model(model: Option<&[u8]>, artifact: Option<&[u8]>) -> i32 {
    let model = given_text(model, "model").or_raise();
    import(model, given(artifact, "artifact").or_raise()).or_raise()
}

fn import(name: &str, artifact: &[u8]) -> Result<i32> {
    // Rights and name come before any work.
    catalog::existing(name)?;
    let (artifact, lineage) = lineage::detach(artifact);
    let lineage = lineage.unwrap_or_default();
    let model = Model::from_bytes(&artifact)?;
    interrupt::check();
    let known = |key: &str| model.training.get(key).cloned().unwrap_or_default();
    let stored = catalog::store_version(&NewVersion {
        model: name,
        artifact: &artifact,
        description: Description::of(&model)?,
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
    features: Option<Document>,
    classes: Option<Vec<Option<String>>>,
    options: Option<Document>,
) -> i32 {
    let model = given_text(model, "model").or_raise();
    let weights = given(weights, "weights").or_raise();
    let architecture = given_text(architecture, "architecture").or_raise();
    let task = given_text(task, "task").or_raise();
    let features = document(features, "features")
        .and_then(|features| given(features, "features"))
        .and_then(spelling::told)
        .or_raise();
    let options = document(options, "options")
        .or_raise()
        .unwrap_or_else(|| json!({}));
    let classes = classes.map(|classes| classes_of(classes).or_raise());
    let source = weights::Source {
        weights,
        architecture,
        task,
        features: &features,
        classes: classes.as_deref(),
        options: &options,
        memory: settings::max_memory(),
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
    let artifact = model.to_bytes()?;
    interrupt::check();
    let stored = catalog::store_version(&NewVersion {
        model: name,
        artifact: &artifact,
        description: Description::of(&model)?,
        training: Training {
            options: Some(source.options.clone()),
            claimed: true,
            ..Training::default()
        },
        history: &[],
        adds_features: false,
        deploy,
    })?;
    match remark {
        Some(Remark::Notice(text)) => notice!("{text}"),
        Some(Remark::Warning(text)) => warning!("{text}"),
        None => {}
    }
    Ok(stored.number)
}

fn export(reference: &str, with_lineage: bool) -> Result<Vec<u8>> {
    let version = reader::resolve(reference)?;
    version.right.require(Right::Manage, &version.model)?;
    check_size(&version, version.size)?;
    let mut file = reader::load(&version)?;
    if with_lineage {
        let training = catalog::recorded(&version)?;
        if training.query.is_some() || training.options.is_some() {
            let lineage = json!({"query": training.query, "options": training.options});
            lineage::attach(&mut file, &lineage);
            check_size(&version, file.len())?;
        }
    }
    Ok(file)
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
