//! Storing a version: the artifact in chunks, and what the views show of it.

use pgrx::{JsonB, Spi};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::chunks::{self, PORTION};
use super::description::OWNERS_ONLY;
use super::{
    AsTableOwner, Description, LockedModel, deployment, execute, fetch, holding, ids, names,
};
use crate::artifact::Pieces;
use crate::encryption::Keys;
use crate::memory;
use crate::pg::access::{Right, invoker};
use crate::pg::encryption::{self, Part};
use crate::pg::error::{Report, Result};
use crate::pg::reader::{self, Resolved};
use crate::pg::{interrupt, role};

/// A version to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewVersion<'a> {
    /// The name of the model, new or not.
    pub(crate) model: &'a str,
    pub(crate) artifact: &'a Pieces<'a>,
    pub(crate) description: Description,
    pub(crate) training: Training,
    pub(crate) history: &'a [Epoch],
    /// Whether it may have features behind those of the versions before.
    pub(crate) adds_features: bool,
    /// Whether it becomes the deployed version.
    pub(crate) deploy: bool,
}

/// How a version was trained; of an imported one, what is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Training {
    pub(crate) query: Option<String>,
    pub(crate) options: Option<Value>,
    pub(crate) seed: Option<i64>,
    pub(crate) rows_trained: Option<i64>,
    pub(crate) rows_validated: Option<i64>,
    pub(crate) epochs: Option<i32>,
    pub(crate) seconds: Option<f64>,
    pub(crate) train_loss: Option<f64>,
    pub(crate) validation_loss: Option<f64>,
    pub(crate) metrics: Option<Value>,
    /// Whether all this is what a file from outside says.
    pub(crate) claimed: bool,
    /// What is kept of the rows, so that later versions know them again.
    pub(crate) seen: Option<Vec<u8>>,
    /// The columns of tables that the query's columns are made from.
    pub(crate) origins: Option<Value>,
    /// The hash of the rows as the network saw them.
    pub(crate) data_hash: Option<Vec<u8>>,
    /// The library that multiplied matrices.
    pub(crate) blas: Option<String>,
    /// The number of the version that it followed.
    pub(crate) follows: Option<i32>,
    /// The settings under which the query was run.
    pub(crate) settings: Option<Value>,
}

/// A row of `neural.training_history`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Epoch {
    /// From 1.
    pub(crate) epoch: i32,
    pub(crate) train_loss: f64,
    pub(crate) validation_loss: Option<f64>,
    pub(crate) learning_rate: f64,
    pub(crate) seconds: f64,
    pub(crate) metrics: Option<Value>,
}

/// Where a version was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredVersion {
    pub(crate) model_id: i64,
    pub(crate) version_id: i64,
    pub(crate) number: i32,
}

/// A model that a training of its name adds a version to.
#[derive(Debug, Clone)]
pub(crate) struct Existing {
    /// The id of the deployed version.
    pub(crate) deployed: Option<i64>,
    /// The number of the newest version.
    pub(crate) latest: Option<i32>,
}

/// Before any work: whether the name can be trained by the invoker, and the model that has it.
pub(crate) fn existing(name: &str) -> Result<Option<Existing>> {
    let _work = interrupt::begin(memory::SMALL)?;
    names::check(name)?;
    let Some(model) = reader::find_model(name)? else {
        names::check_free(&AsTableOwner::enter()?, name)?;
        return Ok(None);
    };
    model.right(invoker())?.require(Right::Manage, name)?;
    let latest = fetch(
        &AsTableOwner::enter()?,
        "SELECT max(number) FROM _neural.version WHERE model = $1",
        &[model.id.into()],
    )?;
    Ok(Some(Existing {
        deployed: model.deployed,
        latest,
    }))
}

/// Stores a version under the next number of its model's name, making the model where it is new.
///
/// Two transactions storing under one name take turns: the second waits for the first to end.
pub(crate) fn store_version(new: &NewVersion<'_>) -> Result<StoredVersion> {
    names::check(new.model)?;
    check_texts(new)?;
    let keys = encryption::for_storing()?;
    let sha256 = hash(new.artifact);
    let owner = AsTableOwner::enter()?;
    let number = next_number(&owner, new.model)?;
    let model_id = match LockedModel::find(&owner, new.model)? {
        Some(model) => {
            check_same(&owner, &model, new)?;
            model.id
        }
        None => create_model(&owner, new)?,
    };
    let version_id = insert_version(&owner, model_id, number, new, &sha256, keys)?;
    chunks::insert(&owner, version_id, new.artifact, &sha256, keys)?;
    insert_history(&owner, version_id, new.history)?;
    if new.deploy {
        deployment::record(&owner, model_id, version_id)?;
    }
    Ok(StoredVersion {
        model_id,
        version_id,
        number,
    })
}

/// What is recorded of a version's training.
pub(crate) fn recorded(version: &Resolved) -> Result<Training> {
    let _owner = AsTableOwner::enter()?;
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT query, options, seed, rows_trained, rows_validated, epochs, seconds, train_loss,
                 validation_loss, metrics, claimed, seen, origins, data_blake3, blas, follows,
                 settings
             FROM _neural.version WHERE id = $1",
            Some(1),
            &[version.version_id.into()],
        )?;
        if rows.is_empty() {
            return Ok(Training::default());
        }
        let row = rows.first();
        Ok(Training {
            query: row.get(1)?,
            options: row.get::<JsonB>(2)?.map(|json| json.0),
            seed: row.get(3)?,
            rows_trained: row.get(4)?,
            rows_validated: row.get(5)?,
            epochs: row.get(6)?,
            seconds: row.get(7)?,
            train_loss: row.get(8)?,
            validation_loss: row.get(9)?,
            metrics: row.get::<JsonB>(10)?.map(|json| json.0),
            claimed: row.get(11)?.unwrap_or_default(),
            seen: row
                .get(12)?
                .map(|stored| reader::open_seen(version, stored))
                .transpose()?,
            origins: row.get::<JsonB>(13)?.map(|json| json.0),
            data_hash: row.get(14)?,
            blas: row.get(15)?,
            follows: row.get(16)?,
            settings: row.get::<JsonB>(17)?.map(|json| json.0),
        })
    })
}

/// Whether a version's figures are what a file from outside says.
pub(crate) fn is_claimed(version: i64) -> Result<bool> {
    let sql = "SELECT claimed FROM _neural.version WHERE id = $1";
    let claimed = fetch(&AsTableOwner::enter()?, sql, &[version.into()])?;
    Ok(claimed.unwrap_or_default())
}

/// Gives a version the course of another one's training.
pub(crate) fn copy_history(from: i64, to: i64) -> Result<()> {
    execute(
        &AsTableOwner::enter()?,
        "INSERT INTO _neural.epoch
             (version, epoch, train_loss, validation_loss, learning_rate, seconds, metrics)
         SELECT $2, epoch, train_loss, validation_loss, learning_rate, seconds, metrics
         FROM _neural.epoch WHERE version = $1",
        &[from.into(), to.into()],
    )?;
    Ok(())
}

/// The hash that a version with these bytes is known by.
pub(crate) fn hash(artifact: &Pieces<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in artifact.iter().flat_map(|piece| piece.chunks(PORTION)) {
        interrupt::check();
        hash.update(piece);
    }
    hash.finalize().into()
}

/// Takes the next number of a name, and with it the lock that others storing under it wait for.
fn next_number(owner: &AsTableOwner, name: &str) -> Result<i32> {
    let number = fetch(
        owner,
        "INSERT INTO _neural.numbering AS n (name, last) VALUES ($1, 1)
         ON CONFLICT (name) DO UPDATE SET last = n.last + 1 RETURNING n.last",
        &[name.into()],
    )?;
    number.ok_or_else(|| Report::internal("no version number was given"))
}

/// Checks that the version is one of this model; one that adds features makes the signature longer.
fn check_same(owner: &AsTableOwner, model: &LockedModel, version: &NewVersion<'_>) -> Result<()> {
    let new = &version.description;
    let fits = match width_beside(&model.signature, &new.signature) {
        Some((known, given)) if known == given => true,
        Some((known, given)) if known < given => version.adds_features,
        // A version before features were added was deployed again, and gone on from.
        Some((_, given)) => fetch::<bool>(
            owner,
            "SELECT true FROM _neural.version
             WHERE model = $1 AND jsonb_array_length(features) = $2 LIMIT 1",
            &[model.id.into(), (given as i32).into()],
        )?
        .is_some(),
        None => false,
    };
    if !fits {
        return Err(Report::invalid(format!(
            "model \"{}\" has other features or another task",
            model.name
        ))
        .detail(format!(
            "It takes {}; given was {}.",
            model.signature, new.signature
        ))
        .hint("Use another name for a model with another signature."));
    }
    if width_beside(&model.signature, &new.signature).is_some_and(|(known, given)| known < given) {
        execute(
            owner,
            "UPDATE _neural.model SET signature = $2 WHERE id = $1",
            &[model.id.into(), json(&new.signature)?.into()],
        )?;
    }
    if model.positive_class != new.positive_class {
        let class = |class: &Option<String>| match class {
            Some(class) => format!("\"{class}\""),
            None => "none".to_owned(),
        };
        return Err(Report::invalid(format!(
            "model \"{}\" has the positive class {}, not {}",
            model.name,
            class(&model.positive_class),
            class(&new.positive_class)
        ))
        .hint(
            "Name the model's own by option \"positive_class\", or use another name for a model with \
             another positive class.",
        ));
    }
    Ok(())
}

/// How many features two signatures have that agree in all that both have.
fn width_beside(known: &Value, given: &Value) -> Option<(usize, usize)> {
    let features = |signature: &Value| signature.get("features").and_then(Value::as_array).cloned();
    let rest = |signature: &Value| {
        let mut rest = signature.clone();
        if let Some(map) = rest.as_object_mut() {
            map.remove("features");
        }
        rest
    };
    let (one, other) = (features(known)?, features(given)?);
    let alike = rest(known) == rest(given) && one.iter().zip(&other).all(|(a, b)| a == b);
    alike.then_some((one.len(), other.len()))
}

fn create_model(owner: &AsTableOwner, new: &NewVersion<'_>) -> Result<i64> {
    names::check_free(owner, new.model)?;
    holding::hold(owner, owner.invoker())?;
    let id = ids::next(owner, ids::Table::Model)?;
    execute(
        owner,
        "INSERT INTO _neural.model (id, name, owner, signature, positive_class)
         VALUES ($1, $2, $3::_neural.role, $4, $5)",
        &[
            id.into(),
            new.model.into(),
            role::argument(owner.invoker()),
            json(&new.description.signature)?.into(),
            new.description.positive_class.as_deref().into(),
        ],
    )?;
    Ok(id)
}

fn insert_version(
    owner: &AsTableOwner,
    model: i64,
    number: i32,
    new: &NewVersion<'_>,
    sha256: &[u8; 32],
    keys: Option<&Keys>,
) -> Result<i64> {
    let (description, training) = (&new.description, &new.training);
    let kept = Kept::of(new, sha256, keys)?;
    let id = ids::next(owner, ids::Table::Version)?;
    execute(
        owner,
        "INSERT INTO _neural.version (id, model, number, sha256, size_bytes, created_by,
             extension_version, target, classes, features, architecture, parameters, query,
             options, seed, rows_trained, rows_validated, epochs, seconds, train_loss,
             validation_loss, metrics, products, claimed, seen, left_out, origins, data_blake3, blas,
             follows, encryption_key, sealed, settings)
         VALUES ($1, $2, $3, $4, $5, $6::_neural.role, $7, $8, $9, $10, $11, $12, $13, $14, $15,
             $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33)",
        &[
            id.into(),
            model.into(),
            number.into(),
            sha256[..].into(),
            (new.artifact.size() as i64).into(),
            role::argument(owner.invoker()),
            env!("CARGO_PKG_VERSION").into(),
            description.target.as_deref().into(),
            kept.classes.into(),
            kept.features.into(),
            json(&description.architecture)?.into(),
            (description.parameters as i64).into(),
            training.query.as_deref().into(),
            optional_json(&training.options)?.into(),
            training.seed.into(),
            training.rows_trained.into(),
            training.rows_validated.into(),
            training.epochs.into(),
            training.seconds.into(),
            training.train_loss.into(),
            training.validation_loss.into(),
            optional_json(&training.metrics)?.into(),
            (description.products as i64).into(),
            training.claimed.into(),
            kept.seen.into(),
            json(&description.left_out)?.into(),
            optional_json(&training.origins)?.into(),
            training.data_hash.as_deref().into(),
            training.blas.as_deref().into(),
            training.follows.into(),
            kept.key.into(),
            kept.sealed.into(),
            optional_json(&training.settings)?.into(),
        ],
    )?;
    Ok(id)
}

/// What is kept of a version beside its chunks that says something of the rows, as it is stored.
pub(super) struct Kept {
    pub(super) key: Option<Vec<u8>>,
    pub(super) seen: Option<Vec<u8>>,
    /// What the two below do not say of an encrypted version.
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) features: JsonB,
    pub(super) classes: Option<Vec<String>>,
}

impl Kept {
    fn of(new: &NewVersion<'_>, sha256: &[u8; 32], keys: Option<&Keys>) -> Result<Kept> {
        let plain = Kept {
            key: None,
            seen: new.training.seen.clone(),
            sealed: None,
            features: json(&new.description.features)?,
            classes: new.description.classes.clone(),
        };
        match keys {
            None => Ok(plain),
            Some(keys) => plain.encrypted(sha256, keys),
        }
    }

    /// The same, encrypted: of plain ones.
    pub(super) fn encrypted(self, sha256: &[u8; 32], keys: &Keys) -> Result<Kept> {
        let described = serde_json::json!({"features": self.features.0, "classes": self.classes});
        let seal = |part, plain: &[u8]| {
            let mut sealed = Vec::new();
            encryption::seal(keys, sha256, part, plain, &mut sealed)?;
            Ok::<_, Report>(sealed)
        };
        let mut features = self.features.0;
        for feature in features.as_array_mut().into_iter().flatten() {
            if let Value::Object(feature) = feature {
                for key in OWNERS_ONLY {
                    feature.remove(key);
                }
            }
        }
        Ok(Kept {
            key: Some(keys.current().0.to_vec()),
            seen: self.seen.map(|seen| seal(Part::Seen, &seen)).transpose()?,
            sealed: Some(seal(Part::Description, described.to_string().as_bytes())?),
            features: JsonB(features),
            classes: None,
        })
    }
}

fn insert_history(owner: &AsTableOwner, version: i64, history: &[Epoch]) -> Result<()> {
    let sql = "INSERT INTO _neural.epoch
                   (version, epoch, train_loss, validation_loss, learning_rate, seconds, metrics)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    for epoch in history {
        interrupt::check();
        let arguments = [
            version.into(),
            epoch.epoch.into(),
            epoch.train_loss.into(),
            epoch.validation_loss.into(),
            epoch.learning_rate.into(),
            epoch.seconds.into(),
            optional_json(&epoch.metrics)?.into(),
        ];
        execute(owner, sql, &arguments)?;
    }
    Ok(())
}

/// The texts that go into columns of their own: an imported model's may hold anything.
fn check_texts(new: &NewVersion<'_>) -> Result<()> {
    let classes = new.description.classes.iter().flatten();
    let mut texts = classes
        .chain(&new.description.target)
        .chain(&new.description.positive_class)
        .chain(&new.training.query);
    if texts.any(|text| text.contains('\0')) {
        Err(nul())
    } else {
        Ok(())
    }
}

fn nul() -> Report {
    Report::invalid("a text of the model contains the character NUL")
        .hint("PostgreSQL's texts cannot hold it; rename the column, class or layer.")
}

/// A value for a jsonb column, which cannot hold the character NUL.
fn json(value: &Value) -> Result<JsonB> {
    fn holds_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(values) => values.iter().any(holds_nul),
            Value::Object(map) => map.iter().any(|(k, v)| k.contains('\0') || holds_nul(v)),
            _ => false,
        }
    }
    if holds_nul(value) {
        return Err(
            Report::invalid("a text of the model contains the character NUL")
                .hint("PostgreSQL's texts cannot hold it; rename the column, class or layer."),
        );
    }
    Ok(JsonB(value.clone()))
}

fn optional_json(value: &Option<Value>) -> Result<Option<JsonB>> {
    value.as_ref().map(json).transpose()
}
