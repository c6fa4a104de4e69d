//! A model's row, and what is kept of it beside its versions.

use std::collections::BTreeMap;

use pgrx::{JsonB, pg_sys};
use serde_json::Value;

use super::problems::Problems;
use crate::pg::access::{acts_as, invoker};
use crate::pg::error::Result;
use crate::pg::learnt_from::LearntFrom;
use crate::pg::own_table::columns::{deployment, model as columns, numbering, version};
use crate::pg::own_table::{Key, Row, Table};
use crate::pg::{interrupt, role};

/// What a model's row says.
pub(super) struct StoredModel {
    pub(super) id: i64,
    pub(super) name: String,
    owner: pg_sys::Oid,
    deployed: Option<i64>,
    /// The task, and the features' names and types.
    pub(super) signature: Value,
    pub(super) positive_class: Option<String>,
    origins: Option<Value>,
    /// The highest number that was given under its name.
    pub(super) last: Option<i32>,
}

impl StoredModel {
    fn read(row: &Row<'_>) -> Result<StoredModel> {
        let name: String = row.get(columns::NAME)?;
        let json = |column| row.optional::<JsonB>(column).map(|JsonB(value)| value);
        Ok(StoredModel {
            id: row.get(columns::ID)?,
            owner: row.get(columns::OWNER)?,
            deployed: row.optional(columns::DEPLOYED),
            signature: json(columns::SIGNATURE).unwrap_or_default(),
            positive_class: row.optional(columns::POSITIVE_CLASS),
            origins: json(columns::ORIGINS),
            last: last_number(&name)?,
            name,
        })
    }

    /// The model of that number.
    pub(super) fn find(id: i64) -> Result<Option<StoredModel>> {
        let table = Table::open(c"model")?;
        let mut scan = table.scan(c"model_pkey", &[Key::int8(columns::ID, id)])?;
        scan.next().map(|row| StoredModel::read(&row)).transpose()
    }

    /// All that the invoker manages.
    pub(super) fn managed() -> Result<Vec<StoredModel>> {
        let user = invoker();
        let table = Table::open(c"model")?;
        let mut scan = table.scan_all();
        let mut models = Vec::new();
        while let Some(row) = scan.next() {
            interrupt::check();
            if acts_as(user, row.get(columns::OWNER)?) {
                models.push(StoredModel::read(&row)?);
            }
        }
        Ok(models)
    }

    /// Checks all but its versions, whose numbers it returns by their ids.
    pub(super) fn check(&self, found: &mut Problems) -> Result<BTreeMap<i64, i32>> {
        if role::name(self.owner).is_none() {
            found.add(
                "its owner does not exist, so that only superusers can manage it: \
                 neural.set_owner gives it another",
            );
        }
        if self.last.is_none() {
            found.add(
                "_neural.numbering has no row of its name, so that numbers may be given again",
            );
        }
        if !self.origins.as_ref().is_none_or(LearntFrom::is_readable) {
            found.add("what it keeps of where dropped versions were trained from cannot be read");
        }
        let versions = self.versions()?;
        let deployed = self.deployed.map(|id| versions.get(&id));
        if deployed == Some(None) {
            found.add("its deployed version is missing: neural.deploy chooses another");
        }
        let last = self.last_deployment(&versions, found)?;
        if self.deployed != last && deployed != Some(None) {
            found.add("the last of its deployments is not that of the deployed version");
        }
        Ok(versions)
    }

    fn versions(&self) -> Result<BTreeMap<i64, i32>> {
        let table = Table::open(c"version")?;
        let key = Key::int8(version::MODEL, self.id);
        let mut scan = table.scan(c"version_number_key", &[key])?;
        let mut versions = BTreeMap::new();
        while let Some(row) = scan.next() {
            versions.insert(row.get(version::ID)?, row.get(version::NUMBER)?);
        }
        Ok(versions)
    }

    /// The version that was deployed last, by the history of deployments.
    fn last_deployment(
        &self,
        versions: &BTreeMap<i64, i32>,
        found: &mut Problems,
    ) -> Result<Option<i64>> {
        let table = Table::open(c"deployment")?;
        let key = Key::int8(deployment::MODEL, self.id);
        let mut scan = table.ordered_scan(c"deployment_model_index", &[key])?;
        let (mut last, mut lost) = (None, 0);
        while let Some(row) = scan.next() {
            interrupt::check();
            let version: i64 = row.get(deployment::VERSION)?;
            lost += usize::from(!versions.contains_key(&version));
            last = Some(version);
        }
        if lost > 0 {
            found.add(format!(
                "{lost} of its deployments are of versions that are not there"
            ));
        }
        Ok(last)
    }
}

/// The highest number that was given under a name.
fn last_number(name: &str) -> Result<Option<i32>> {
    let table = Table::open(c"numbering")?;
    let mut scan = table.scan(c"numbering_pkey", &[Key::text(numbering::NAME, name)])?;
    Ok(scan.next().and_then(|row| row.optional(numbering::LAST)))
}
