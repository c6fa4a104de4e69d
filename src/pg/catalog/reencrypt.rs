//! Bringing what is stored under the key in use.

use pgrx::{JsonB, Spi};

use super::store::Kept;
use super::{AsTableOwner, execute};
use crate::encryption::{KeyId, Keys};
use crate::pg::encryption::{self, Part};
use crate::pg::error::{Report, Result};
use crate::pg::interrupt;

/// A version whose bytes are to be encrypted, with its row locked.
struct Version {
    id: i64,
    sha256: [u8; 32],
    key: Option<KeyId>,
    label: String,
    kept: Kept,
}

/// Encrypts all versions that are not encrypted with the key in use; how many those were. For
/// superusers.
pub(crate) fn reencrypt(keys: &Keys) -> Result<i64> {
    let owner = AsTableOwner::enter()?;
    let mut count = 0;
    for id in waiting(&owner, keys)? {
        interrupt::check();
        // Dropped meanwhile, or done by another.
        let Some(version) = Version::lock(&owner, id, keys)? else {
            continue;
        };
        version.chunks(&owner, keys)?;
        version.store(&owner, keys)?;
        count += 1;
    }
    Ok(count)
}

fn waiting(_owner: &AsTableOwner, keys: &Keys) -> Result<Vec<i64>> {
    Spi::connect(|client| {
        let sql = "SELECT id FROM _neural.version
                   WHERE encryption_key IS DISTINCT FROM $1 ORDER BY id";
        let rows = client.select(sql, None, &[keys.current().0.to_vec().into()])?;
        let ids = rows.map(|row| Ok(row.get::<i64>(1)?));
        ids.filter_map(Result::transpose).collect()
    })
}

impl Version {
    fn lock(_owner: &AsTableOwner, id: i64, keys: &Keys) -> Result<Option<Version>> {
        let sql = "SELECT v.sha256, v.encryption_key, v.seen, v.sealed, v.features, v.classes,
                       coalesce(m.name, '?'), v.number
                   FROM _neural.version v LEFT JOIN _neural.model m ON m.id = v.model
                   WHERE v.id = $1 AND v.encryption_key IS DISTINCT FROM $2 FOR UPDATE OF v";
        Spi::connect_mut(|client| {
            let rows = client.update(sql, None, &[id.into(), keys.current().0.to_vec().into()])?;
            if rows.is_empty() {
                return Ok(None);
            }
            let row = rows.first();
            let label = format!(
                "version {} of model \"{}\"",
                row.get::<i32>(8)?.unwrap_or_default(),
                row.get::<String>(7)?.unwrap_or_default()
            );
            let sha256 = row.get::<Vec<u8>>(1)?.unwrap_or_default();
            let sha256 = <[u8; 32]>::try_from(sha256.as_slice())
                .map_err(|_| Report::damaged(format!("{label} is damaged: it has no hash")))?;
            let mut version = Version {
                id,
                sha256,
                key: encryption::key_id(row.get(2)?)?,
                label,
                kept: Kept {
                    key: None,
                    seen: row.get(3)?,
                    sealed: row.get(4)?,
                    features: row.get(5)?.unwrap_or(JsonB(serde_json::Value::Null)),
                    classes: row.get(6)?,
                },
            };
            version.open_kept()?;
            Ok(Some(version))
        })
    }

    fn open(&self, part: Part, stored: &[u8], into: &mut Vec<u8>) -> Result<()> {
        match self.key {
            Some(key) => {
                encryption::open(key, &self.sha256, part, stored, into, || self.label.clone())
            }
            None => {
                into.clear();
                into.extend_from_slice(stored);
                Ok(())
            }
        }
    }

    /// Makes plain what was encrypted of it.
    fn open_kept(&mut self) -> Result<()> {
        let mut plain = Vec::new();
        if let Some(seen) = self.kept.seen.take() {
            self.open(Part::Seen, &seen, &mut plain)?;
            self.kept.seen = Some(plain.clone());
        }
        if let Some(sealed) = self.kept.sealed.take() {
            self.open(Part::Description, &sealed, &mut plain)?;
            let described = Described::parse(&plain)
                .ok_or_else(|| Report::damaged(format!("{} is damaged", self.label)))?;
            self.kept.features = JsonB(described.features);
            self.kept.classes = described.classes;
        }
        Ok(())
    }

    fn chunks(&self, owner: &AsTableOwner, keys: &Keys) -> Result<()> {
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        let mut number = 0;
        // One at a time: a version may be larger than the memory.
        while let Some(stored) = chunk(owner, self.id, number)? {
            interrupt::check();
            let part = Part::Chunk(number);
            self.open(part, &stored, &mut plain)?;
            drop(stored);
            encryption::seal(keys, &self.sha256, part, &plain, &mut sealed)?;
            execute(
                owner,
                "UPDATE _neural.chunk SET bytes = $3 WHERE version = $1 AND number = $2",
                &[self.id.into(), number.into(), sealed.as_slice().into()],
            )?;
            number += 1;
        }
        Ok(())
    }

    fn store(self, owner: &AsTableOwner, keys: &Keys) -> Result<()> {
        let kept = self.kept.encrypted(&self.sha256, keys)?;
        execute(
            owner,
            "UPDATE _neural.version
             SET encryption_key = $2, seen = $3, sealed = $4, features = $5, classes = $6
             WHERE id = $1",
            &[
                self.id.into(),
                kept.key.into(),
                kept.seen.into(),
                kept.sealed.into(),
                kept.features.into(),
                kept.classes.into(),
            ],
        )?;
        Ok(())
    }
}

fn chunk(_owner: &AsTableOwner, version: i64, number: i32) -> Result<Option<Vec<u8>>> {
    super::fetch(
        _owner,
        "SELECT bytes FROM _neural.chunk WHERE version = $1 AND number = $2",
        &[version.into(), number.into()],
    )
}

/// What is sealed of a version's description.
pub(crate) struct Described {
    /// As `neural.models` shows them to the owner.
    pub(crate) features: serde_json::Value,
    pub(crate) classes: Option<Vec<String>>,
}

impl Described {
    fn parse(bytes: &[u8]) -> Option<Described> {
        let mut described: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let classes = described.get_mut("classes")?.take();
        Some(Described {
            features: described.get_mut("features")?.take(),
            classes: serde_json::from_value(classes).ok()?,
        })
    }
}
