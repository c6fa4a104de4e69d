//! A version: its bytes, and its row beside what they say.

use pgrx::JsonB;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::files;
use super::model::StoredModel;
use super::problems::Problems;
use crate::artifact::{self, InPassing, Model};
use crate::encryption::KeyId;
use crate::hex::hex;
use crate::nn::Network;
use crate::pg::agreement::agrees;
use crate::pg::catalog::Description;
use crate::pg::encryption::{self, Part};
use crate::pg::error::{Report, Result};
use crate::pg::interrupt;
use crate::pg::learnt_from::LearntFrom;
use crate::pg::own_table::columns::{chunk, epoch, version as columns};
use crate::pg::own_table::{Key, Row, Table};
use crate::pg::query_settings;
use crate::training::SeenRows;

/// Checks the version of that id, and what connections share of it if `files` says so.
pub(super) fn check(model: &StoredModel, id: i64, files: bool, found: &mut Problems) -> Result<()> {
    let table = Table::open(c"version")?;
    let mut scan = table.scan(c"version_pkey", &[Key::int8(columns::ID, id)])?;
    let Some(row) = scan.next() else {
        found.add("its row is not found by its id: look at the index version_pkey with amcheck");
        return Ok(());
    };
    check_history(id, &row, found)?;
    let sha256 = row.with_bytes(columns::SHA256, |bytes| <[u8; 32]>::try_from(bytes))?;
    let size = usize::try_from(row.get::<i64>(columns::SIZE_BYTES)?);
    let (Ok(sha256), Ok(size)) = (sha256, size) else {
        found.add("its row says no sha256 or no size");
        return Ok(());
    };
    let Ok(key) = encryption::key_id(row.optional(columns::ENCRYPTION_KEY)) else {
        found.add("its row says no id of an encryption key");
        return Ok(());
    };
    if let Some(key) = key.filter(|&key| !encryption::has(key)) {
        found.add(format!(
            "it is encrypted with the key {key}, which the server does not have, so its bytes cannot be checked"
        ));
        return Ok(());
    }
    let kept = Kept { key, sha256 };
    check_row(model, &row, &kept, found)?;
    if let Some((read, network)) = check_bytes(id, size, &kept, found)? {
        let is = Description::with(&read, &network)?;
        check_description(model, &row, &kept, &is, found);
    }
    if files {
        files::check(&sha256, found)?;
    }
    Ok(())
}

/// How a version's pieces are kept.
struct Kept {
    /// The key that they are encrypted with, which is at hand.
    key: Option<KeyId>,
    sha256: [u8; 32],
}

impl Kept {
    /// A piece as it was before it was stored; none of an encrypted one that has changed.
    fn open(&self, part: Part, stored: Vec<u8>) -> Option<Vec<u8>> {
        let Some(key) = self.key else {
            return Some(stored);
        };
        let mut plain = Vec::new();
        let opened = encryption::open(key, &self.sha256, part, &stored, &mut plain, String::new);
        opened.is_ok().then_some(plain)
    }

    /// Features and classes, as the row has them or where they are sealed.
    fn described(&self, row: &Row<'_>) -> (Value, Option<Vec<Option<String>>>) {
        if self.key.is_none() {
            let features = row.optional::<JsonB>(columns::FEATURES);
            let features = features.map(|JsonB(value)| value).unwrap_or_default();
            return (features, row.optional(columns::CLASSES));
        }
        let sealed = row.optional(columns::SEALED);
        let plain = sealed.and_then(|sealed| self.open(Part::Description, sealed));
        let described = plain.and_then(|plain| serde_json::from_slice::<Value>(&plain).ok());
        let mut described = described.unwrap_or_default();
        let mut take = |key: &str| described.get_mut(key).map(Value::take).unwrap_or_default();
        let features = take("features");
        (features, serde_json::from_value(take("classes")).ok())
    }
}

/// What a row says by itself.
fn check_row(model: &StoredModel, row: &Row<'_>, kept: &Kept, found: &mut Problems) -> Result<()> {
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
        && kept
            .open(Part::Seen, seen)
            .is_none_or(|seen| SeenRows::from_bytes(&seen).is_none())
    {
        found.add("what it keeps of the rows that it was trained with cannot be read");
    }
    if let Some(JsonB(origins)) = row.optional(columns::ORIGINS)
        && !LearntFrom::is_readable(&origins)
    {
        found.add("what it keeps of where it was trained from cannot be read");
    }
    if let Some(JsonB(settings)) = row.optional(columns::SETTINGS)
        && !query_settings::is_readable(&settings)
    {
        found.add("what it keeps of the settings of its training cannot be read");
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
    kept: &Kept,
    found: &mut Problems,
) -> Result<Option<(Model, Network)>> {
    let sha256 = &kept.sha256;
    let table = Table::open(c"chunk")?;
    let mut scan = table.ordered_scan(c"chunk_pkey", &[Key::int8(chunk::VERSION, id)])?;
    let mut hash = Sha256::new();
    let mut passing = InPassing::default();
    let (mut expected, mut length, mut complete) = (0, 0, true);
    let mut changed = false;
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
        row.with_bytes(chunk::BYTES, |stored| {
            let mut take = |piece: &[u8]| {
                length += piece.len();
                hash.update(piece);
                match complete && length <= size {
                    true => passing.take(piece),
                    false => Ok(()),
                }
            };
            if kept.key.is_none() {
                return take(stored);
            }
            match kept.open(Part::Chunk(number), stored.to_vec()) {
                Some(piece) => take(&piece),
                None => {
                    found.add(format!("piece {number} of its encrypted bytes has changed"));
                    changed = true;
                    Ok(())
                }
            }
        })?
        .map_err(stopped)?;
    }
    if changed {
        return Ok(None);
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
fn check_description(
    model: &StoredModel,
    row: &Row<'_>,
    kept: &Kept,
    is: &Description,
    found: &mut Problems,
) {
    let json = |column| row.optional::<JsonB>(column).map(|JsonB(value)| value);
    let mut compare = |what: &str, agrees: bool| {
        if !agrees {
            found.add(format!("its row says {what} than its bytes do"));
        }
    };
    let (features, classes) = kept.described(row);
    let of_bytes = is.classes.as_ref();
    let of_bytes: Option<Vec<_>> =
        of_bytes.map(|classes| classes.iter().cloned().map(Some).collect());
    compare("other classes", classes == of_bytes);
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
