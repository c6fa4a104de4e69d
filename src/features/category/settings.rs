//! What is asked of a category, read from JSON and fitted.

use serde_json::{Map, Value};

use super::fitted::{Category, Index, MAX_LEVELS, OneHot, UNITS};
use crate::features::column::{Column, Kind, Origin};
use crate::features::error::{Error, unknown};
use crate::features::gather::gathered::Gathered;
use crate::features::gather::part::wrong_kind;
use crate::features::rows::dictionary::Dictionary;
use crate::features::settings::{bad, flag, known_settings, whole};
use crate::features::treatment::{Asked, NoIntake, Site, Told};
use crate::json_number;

/// How many of the commonest levels are kept unless told otherwise.
pub const DEFAULT_LEVELS: usize = 100;

/// How a category reaches the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One input a level.
    OneHot,
    /// A level's number, for an embedding layer.
    Embedding,
}

/// How a category is treated.
#[derive(Clone, Debug, PartialEq)]
pub struct CategoricalSettings {
    /// How it reaches the network.
    pub encoding: Encoding,
    /// How many of the commonest levels are kept.
    pub max_levels: usize,
    /// The levels themselves, in this order, instead of the commonest.
    pub levels: Option<Vec<String>>,
    /// The width of the embedding; `None`: from the number of levels.
    pub units: Option<usize>,
}

impl Default for CategoricalSettings {
    fn default() -> Self {
        CategoricalSettings {
            encoding: Encoding::OneHot,
            max_levels: DEFAULT_LEVELS,
            levels: None,
            units: None,
        }
    }
}

impl Asked for CategoricalSettings {
    type Learnt = Category;
    type Intake = NoIntake;

    fn read(settings: &Map<String, Value>, column: &Column) -> Result<Self, Error> {
        known_settings(settings, column, &["type", "encoding", "levels", "units"])?;
        let mut result = CategoricalSettings::default();
        if let Some(encoding) = encoding(settings, column)? {
            result.encoding = encoding;
        }
        let wanted = format!("a number from 1 to {MAX_LEVELS}, or a list of distinct texts");
        match settings.get("levels") {
            None => {}
            Some(Value::Array(list)) => {
                result.levels = Some(levels(list, column, &wanted)?);
            }
            Some(value) => match json_number::whole(value) {
                Some(n) if (1..=MAX_LEVELS as u64).contains(&n) => result.max_levels = n as usize,
                _ => return Err(bad(column, "levels", value, &wanted)),
            },
        }
        result.units = whole(settings, column, "units", UNITS)?;
        if result.units.is_some() {
            if result.encoding == Encoding::OneHot && settings.contains_key("encoding") {
                return Err(Error::invalid(format!(
                    "setting \"units\" of column \"{}\" goes with \"encoding\": \"embedding\"",
                    column.name
                ))
                .with_hint("Leave out \"units\", or set \"encoding\" to \"embedding\"."));
            }
            result.encoding = Encoding::Embedding;
        }
        Ok(result)
    }

    fn told(told: &Told<'_>) -> Result<Category, Error> {
        let Told {
            settings, column, ..
        } = told;
        let by_architecture = told.embedded.is_some();
        let known = [
            "name", "type", "sql_type", "levels", "encoding", "other", "units",
        ];
        known_settings(settings, column, &known)?;
        let wanted = format!("a list of 1 to {MAX_LEVELS} distinct texts");
        let levels = match settings.get("levels") {
            Some(Value::Array(list)) => levels(list, column, &wanted)?,
            other => {
                let given = other.unwrap_or(&Value::Null);
                return Err(bad(column, "levels", given, &wanted));
            }
        };
        let embedding = match encoding(settings, column)? {
            None => by_architecture,
            Some(Encoding::OneHot) if by_architecture => {
                return Err(bad(
                    column,
                    "encoding",
                    &settings["encoding"],
                    "\"embedding\", since an embedding layer reads it",
                ));
            }
            Some(encoding) => encoding == Encoding::Embedding,
        };
        let other = match settings.get("other") {
            Some(Value::Null) => None,
            _ => flag(settings, column, "other")?,
        };
        let units = match settings.get("units") {
            Some(Value::Null) => None,
            _ => whole(settings, column, "units", UNITS)?,
        };
        if !embedding {
            return match settings.get("units") {
                Some(value) if units.is_some() => {
                    let wanted = "no value unless \"encoding\" is \"embedding\"";
                    Err(bad(column, "units", value, wanted))
                }
                _ => Ok(Category::OneHot(OneHot {
                    levels,
                    exact: !other.unwrap_or(false),
                })),
            };
        }
        if !by_architecture && units.is_none() {
            let wanted =
                "the length of the embedding's vectors, which no layer of the architecture reads";
            return Err(bad(column, "units", &Value::Null, wanted));
        }
        Ok(Category::Index(Index {
            levels,
            units: units.filter(|_| !by_architecture),
            exact: false,
        }))
    }

    fn fit(&self, site: &Site<'_>) -> Result<Category, Error> {
        let (Gathered::Category(codes), Some(dictionary)) = (site.gathered, site.dictionary) else {
            return Err(wrong_kind(site.column));
        };
        let levels = match &self.levels {
            Some(levels) => levels.clone(),
            None => commonest(&codes.counts, dictionary, self.max_levels),
        };
        if !site.embedded && self.encoding == Encoding::OneHot {
            return Ok(Category::OneHot(OneHot {
                levels,
                exact: false,
            }));
        }
        let units = self
            .units
            .unwrap_or_else(|| embedding_width(levels.len() + 2));
        Ok(Category::Index(Index {
            levels,
            units: (!site.embedded).then_some(units),
            exact: false,
        }))
    }

    fn intake(&self, _memory: usize) -> NoIntake {
        NoIntake
    }

    fn kind(&self, _origin: Origin) -> Kind {
        Kind::Category
    }

    fn dictionary(&self) -> Dictionary {
        Dictionary::with_levels(self.levels.as_deref().unwrap_or_default())
    }
}

/// The setting "encoding", if it is there.
fn encoding(settings: &Map<String, Value>, column: &Column) -> Result<Option<Encoding>, Error> {
    match settings.get("encoding") {
        None => Ok(None),
        Some(Value::String(name)) => match name.to_ascii_lowercase().as_str() {
            "one_hot" => Ok(Some(Encoding::OneHot)),
            "embedding" => Ok(Some(Encoding::Embedding)),
            _ => Err(unknown("encoding", name, ["one_hot", "embedding"])),
        },
        Some(other) => {
            let wanted = "\"one_hot\" or \"embedding\"";
            Err(bad(column, "encoding", other, wanted))
        }
    }
}

fn levels(list: &[Value], column: &Column, wanted: &str) -> Result<Vec<String>, Error> {
    let mut seen = std::collections::HashSet::new();
    let mut result = Vec::with_capacity(list.len().min(MAX_LEVELS));
    for value in list {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => return Err(bad(column, "levels", other, wanted)),
        };
        if !seen.insert(text.clone()) {
            return Err(Error::invalid(format!(
                "column \"{}\" lists the level {text:?} twice",
                column.name
            ))
            .with_hint("List each level once."));
        }
        result.push(text);
    }
    if result.is_empty() || result.len() > MAX_LEVELS {
        return Err(Error::invalid(format!(
            "column \"{}\" lists {} levels",
            column.name,
            result.len()
        ))
        .with_hint(format!("It takes {wanted}.")));
    }
    Ok(result)
}

/// fastai's rule of thumb for the width of an embedding.
fn embedding_width(vocabulary: usize) -> usize {
    ((1.6 * (vocabulary as f64).powf(0.56)).round() as usize).clamp(1, 64)
}

/// The commonest texts, commonest first; equally common ones in C collation.
fn commonest(counts: &[u64], dictionary: &Dictionary, most: usize) -> Vec<String> {
    let mut seen: Vec<(u64, &str)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .filter_map(|(code, &count)| Some((count, dictionary.text(code as u32)?)))
        .collect();
    seen.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    seen.truncate(most);
    seen.into_iter().map(|(_, text)| text.to_owned()).collect()
}
