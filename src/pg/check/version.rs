//! A version: its bytes, and its row beside what they say.

use pgrx::JsonB;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::files;
use super::model::StoredModel;
use super::problems::Problems;
use crate::artifact::{self, InPassing, Model};
use crate::hex::hex;
use crate::nn::Network;
use crate::pg::agreement::agrees;
use crate::pg::catalog::Description;
use crate::pg::error::{Report, Result};
use crate::pg::interrupt;
use crate::pg::learnt_from::LearntFrom;
use crate::pg::own_table::columns::{chunk, epoch, version as columns};
use crate::pg::own_table::{Key, Row, Table};
use crate::training::SeenRows;

/// Checks the version of that id, and what connections share of it if `files` says so.
pub(super) fn check(model: &StoredModel, id: i64, files: bool, found: &mut Problems) -> Result<()> {
    let table = Table::open(c"version")?;
    let mut scan = table.scan(c"version_pkey", &[Key::int8(columns::ID, id)])?;
    let Some(row) = scan.next() else {
        found.add("its row is not found by its id: look at the index version_pkey with amcheck");
        return Ok(());
    };
    check_row(model, &row, found)?;
    check_history(id, &row, found)?;
    let sha256 = row.with_bytes(columns::SHA256, |bytes| <[u8; 32]>::try_from(bytes))?;
    let size = usize::try_from(row.get::<i64>(columns::SIZE_BYTES)?);
    let (Ok(sha256), Ok(size)) = (sha256, size) else {
        found.add("its row says no sha256 or no size");
        return Ok(());
    };
    if let Some((read, network)) = check_bytes(id, size, &sha256, found)? {
        check_description(model, &row, &Description::with(&read, &network)?, found);
    }
    if files {
        files::check(&sha256, found)?;
    }
    Ok(())
}

/// What a row says by itself.
fn check_row(model: &StoredModel, row: &Row<'_>, found: &mut Problems) -> Result<()> {
    let number: i32 = row.get(columns::NUMBER)?;
    if let Some(last) = model.last.filter(|&last| last < number) {
        found.add(format!(
            "its number is higher than {last}, the last that _neural.numbering knows of, and would \
             be given again"
        ));
    }
    let follows = row.optional::<i32>(columns::FOLLOWS);
    if follows.is_some_and(|follows| follows < 1 || follows >= number) {
        found.add("its row says that it followed a later version");
    }
    if let Some(seen) = row.optional::<Vec<u8>>(columns::SEEN)
        && SeenRows::from_bytes(&seen).is_none()
    {
        found.add("what it keeps of the rows that it was trained with cannot be read");
    }
    if let Some(JsonB(origins)) = row.optional(columns::ORIGINS)
        && !LearntFrom::is_readable(&origins)
    {
        found.add("what it keeps of where it was trained from cannot be read");
    }
    let hash = row.optional::<Vec<u8>>(columns::DATA_BLAKE3);
    if hash.is_some_and(|hash| hash.len() != blake3::OUT_LEN) {
        found.add("its row's data_blake3 is no hash");
    }
    Ok(())
}

/// Whether all epochs are there that were trained.
fn check_history(id: i64, row: &Row<'_>, found: &mut Problems) -> Result<()> {
    let claimed = row.optional::<bool>(columns::CLAIMED).unwrap_or_default();
    let Some(epochs) = row.optional::<i32>(columns::EPOCHS).filter(|_| !claimed) else {
        return Ok(());
    };
    let table = Table::open(c"epoch")?;
    let mut scan = table.scan(c"epoch_pkey", &[Key::int8(epoch::VERSION, id)])?;
    let mut there = 0;
    while scan.next().is_some() {
        interrupt::check();
        there += 1;
    }
    if there != epochs {
        found.add(format!(
            "its training history has {there} epochs, and its row says {epochs}"
        ));
    }
    Ok(())
}

/// Looks at all pieces of a version; the model that they are, without its parameters, where they are
/// those that were stored.
fn check_bytes(
    id: i64,
    size: usize,
    sha256: &[u8; 32],
    found: &mut Problems,
) -> Result<Option<(Model, Network)>> {
    let table = Table::open(c"chunk")?;
    let mut scan = table.ordered_scan(c"chunk_pkey", &[Key::int8(chunk::VERSION, id)])?;
    let mut hash = Sha256::new();
    let mut passing = InPassing::default();
    let (mut expected, mut length, mut complete) = (0, 0, true);
    while let Some(row) = scan.next() {
        interrupt::check();
        let number: i32 = row.get(chunk::NUMBER)?;
        if number != expected {
            complete = false;
            found.add(match number - expected {
                1 => format!("piece {expected} of its bytes is missing"),
                2.. => format!(
                    "pieces {expected} to {} of its bytes are missing",
                    number - 1
                ),
                _ => format!("its bytes have a piece of number {number}"),
            });
        }
        expected = number.saturating_add(1);
        row.with_bytes(chunk::BYTES, |piece| {
            length += piece.len();
            hash.update(piece);
            match complete && length <= size {
                true => passing.take(piece),
                false => Ok(()),
            }
        })?
        .map_err(stopped)?;
    }
    if length != size {
        found.add(format!(
            "its pieces have {length} bytes, and its row says {size}"
        ));
        return Ok(None);
    }
    let hash: [u8; 32] = hash.finalize().into();
    if hash != *sha256 {
        found.add(format!(
            "its bytes have the sha256 {}, and its row says {}",
            hex(&hash),
            hex(sha256)
        ));
        return Ok(None);
    }
    if !complete {
        return Ok(None);
    }
    match passing.finish(&interrupt::Checks) {
        Ok(read) => Ok(Some(read)),
        Err(error @ (artifact::Error::Interrupted | artifact::Error::Refused(_))) => {
            Err(stopped(error))
        }
        Err(error) => {
            found.add(format!("its bytes are no model that can be used: {error}"));
            Ok(None)
        }
    }
}

/// Why the check cannot go on.
fn stopped(error: artifact::Error) -> Report {
    interrupt::check();
    error.into()
}

/// What a row, and the model's, say of what the bytes are.
fn check_description(model: &StoredModel, row: &Row<'_>, is: &Description, found: &mut Problems) {
    let json = |column| row.optional::<JsonB>(column).map(|JsonB(value)| value);
    let mut compare = |what: &str, agrees: bool| {
        if !agrees {
            found.add(format!("its row says {what} than its bytes do"));
        }
    };
    let classes = row.optional::<Vec<Option<String>>>(columns::CLASSES);
    let of_bytes = is.classes.as_ref();
    let of_bytes: Option<Vec<_>> =
        of_bytes.map(|classes| classes.iter().cloned().map(Some).collect());
    compare("other classes", classes == of_bytes);
    let features = json(columns::FEATURES).unwrap_or_default();
    compare("other features", agrees(&features, &is.features));
    let architecture = json(columns::ARCHITECTURE).unwrap_or_default();
    compare("other layers", agrees(&architecture, &is.architecture));
    let parameters = row.optional::<i64>(columns::PARAMETERS);
    compare(
        "another number of parameters",
        parameters == i64::try_from(is.parameters).ok(),
    );
    let names = |value: &Value| -> Vec<String> {
        let keys = value.as_object().map(|map| map.keys().cloned().collect());
        let mut keys: Vec<String> = keys.unwrap_or_default();
        keys.sort();
        keys
    };
    let left_out = json(columns::LEFT_OUT);
    let same = left_out.is_none_or(|columns| names(&columns) == names(&is.left_out));
    compare("other columns left out", same);
    let target = row.optional::<String>(columns::TARGET);
    compare("another target", target == is.target);
    if model.positive_class != is.positive_class {
        found.add("its positive class is not the model's");
    }
    if !is_signed(&model.signature, &is.signature) {
        found.add("its task or its features are not the model's");
    }
}

/// Whether a version has a model's signature, or the begin of one that has grown by features.
fn is_signed(model: &Value, version: &Value) -> bool {
    let (Value::Object(mut model), Value::Object(mut version)) = (model.clone(), version.clone())
    else {
        return false;
    };
    let (known, own) = (model.remove("features"), version.remove("features"));
    let (Some(Value::Array(known)), Some(Value::Array(own))) = (known, own) else {
        return false;
    };
    model == version && known.starts_with(&own)
}
