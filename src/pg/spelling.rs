//! Values that somebody wrote as texts, such as levels and classes, in any spelling that their type
//! reads: brought to the one text that is kept of a value.
//!
//! What a text means must not depend on the session. So it is read in fixed settings, and a date that
//! would be another one in another order of day and month, a moment without a time zone and `today` are
//! refused.

use std::collections::HashMap;
use std::ffi::{CStr, CString};

use pgrx::{PgSqlErrorCode as Code, pg_sys};
use serde_json::{Map, Value};

use super::attempt::{attempt, sqlstate};
use super::error::{Report, Result};
use super::rows::{Reader, set_local};
use super::sql_type::stored_type;
use super::type_name::type_name;
use crate::features::{MAX_LEVELS, Target, told_type, whole_number};
use crate::training::{ClassWeights, Options};

/// The orders of day, month and year in which a date may be read.
const ORDERS: [&CStr; 3] = [c"ISO, MDY", c"ISO, DMY", c"ISO, YMD"];
/// Two time zones: what is read as two moments in them says none.
const ZONES: [&CStr; 2] = [c"UTC", c"<+07>-07"];
/// Words for dates that are others tomorrow.
const MOVING: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// How the values of a type are spelled.
pub(crate) struct Spelling {
    oid: pg_sys::Oid,
    reader: Reader,
}

/// Why a text is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Unreadable,
    Ambiguous,
    NoZone,
    Moving,
}

impl Spelling {
    /// That of a type, if it is one that a category can have.
    pub(crate) fn of(oid: pg_sys::Oid) -> Option<Spelling> {
        let reader = Reader::for_type(oid)?;
        Some(Spelling { oid, reader })
    }

    /// The text that is kept of the value that a text is, or why it is none.
    fn texts(&self, given: &[String]) -> Vec<std::result::Result<String, Fault>> {
        let zones: &[&CStr] = match self.reader {
            Reader::Date | Reader::Timestamp => &ZONES[..1],
            Reader::TimestampTz => &ZONES,
            // No setting has a part in others.
            _ => {
                let text = |text: &String| self.read(text).ok_or(Fault::Unreadable);
                return given.iter().map(text).collect();
            }
        };
        let mut found = vec![Vec::new(); given.len()];
        for order in ORDERS {
            for zone in zones {
                in_settings(order, zone, || {
                    for (text, found) in given.iter().zip(&mut found) {
                        found.push(self.read(text));
                    }
                });
            }
        }
        given
            .iter()
            .zip(found)
            .map(|(text, found)| {
                let mut words = text.split(|c: char| !c.is_alphabetic());
                if words.any(|word| MOVING.contains(&word.to_lowercase().as_str())) {
                    return Err(Fault::Moving);
                }
                let mut by_zone = found.chunks(zones.len());
                if by_zone.any(|read| read.iter().any(|one| *one != read[0])) {
                    return Err(Fault::NoZone);
                }
                let mut read = found.into_iter().flatten();
                let first = read.next().ok_or(Fault::Unreadable)?;
                match read.all(|other| other == first) {
                    true => Ok(first),
                    false => Err(Fault::Ambiguous),
                }
            })
            .collect()
    }

    /// The text that is kept of what the type's own function reads, in the settings of the moment.
    fn read(&self, text: &str) -> Option<String> {
        let given = match self.reader {
            // Any text is one.
            Reader::Text => return Some(text.to_owned()),
            // 1.0 and 3e0 are whole numbers, but no integer's text.
            Reader::Int2 | Reader::Int4 | Reader::Int8 => match whole_number(text) {
                Some(number) => CString::new(number.to_string()),
                None => CString::new(text),
            },
            _ => CString::new(text),
        };
        let given = given.ok()?;
        let read = attempt(|| {
            // SAFETY: the type's input function, called as PostgreSQL calls it; what it gives is of
            // the reader's type.
            unsafe {
                let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(self.oid, &mut input, &mut parameter);
                let given = given.as_ptr().cast_mut();
                let datum = pg_sys::OidInputFunctionCall(input, given, parameter, -1);
                self.reader.level(datum, &mut String::new()).to_owned()
            }
        });
        match read {
            // These cut what is too long.
            Ok(read) if matches!(self.reader, Reader::Name | Reader::Byte) && read != text => None,
            Ok(read) => Some(read),
            Err(error) => match sqlstate(&error) {
                Code::ERRCODE_QUERY_CANCELED | Code::ERRCODE_OUT_OF_MEMORY => error.rethrow(),
                _ => None,
            },
        }
    }

    /// The levels of a feature, each by the text that is kept of it.
    ///
    /// # Errors
    /// 22023 for a text that is no value of the type, or the same one as another text.
    fn levels(&self, what: &str, given: &[String]) -> Result<Vec<String>> {
        let mut seen: HashMap<String, &String> = HashMap::with_capacity(given.len());
        let mut levels = Vec::with_capacity(given.len());
        for (text, level) in given.iter().zip(self.texts(given)) {
            let level = level.map_err(|fault| self.refuse(what, text, fault))?;
            if let Some(other) = seen.insert(level.clone(), text) {
                let how = match other == text {
                    true => format!("lists the level \"{text}\" twice"),
                    false => format!("lists one level twice, as \"{other}\" and as \"{text}\""),
                };
                return Err(Report::invalid(format!("{what} {how}")).hint("List each level once."));
            }
            levels.push(level);
        }
        Ok(levels)
    }

    fn refuse(&self, what: &str, text: &str, fault: Fault) -> Report {
        let name = type_name(self.oid);
        let (why, hint) = match fault {
            Fault::Unreadable => (
                format!("is no value of type {name}"),
                "List values of the column's type.",
            ),
            Fault::Ambiguous => (
                "is another date where the day comes before the month".to_owned(),
                "Write dates as 2024-01-31.",
            ),
            Fault::NoZone => (
                "says no time zone".to_owned(),
                "Write moments as 2024-01-31 12:00:00+00.",
            ),
            Fault::Moving => (
                "depends on when it is read".to_owned(),
                "Write dates as 2024-01-31.",
            ),
        };
        Report::invalid(format!("{what} lists the level \"{text}\", which {why}")).hint(hint)
    }

    /// A class by the text that is kept of it; what cannot be read stays as it is, and is no class.
    fn class(&self, text: &mut String) {
        if let Some(Ok(kept)) = self.texts(std::slice::from_ref(text)).pop() {
            *text = kept;
        }
    }

    /// The classes that options name, by the texts that are kept of them.
    pub(crate) fn classes(&self, options: &mut Options) {
        if let Some(class) = &mut options.positive_class {
            self.class(class);
        }
        if let Some(ClassWeights::Named(weights)) = &mut options.class_weights {
            for (class, _) in weights {
                self.class(class);
            }
        }
        for level in options.levels.iter_mut().flatten() {
            self.class(level);
        }
    }
}

/// How the classes of a target are spelled that is no array.
pub(crate) fn of_target(target: &Target) -> Option<Spelling> {
    match target {
        Target::Classes {
            sql_type, origin, ..
        } => Spelling::of(stored_type(sql_type, *origin)?),
        Target::Labels { .. } | Target::Regression { .. } => None,
    }
}

/// The argument `features` of a training, its levels by the texts that are kept of them. `type_of`
/// knows the columns' types. What else is wrong is left as it is.
///
/// # Errors
/// As for [`Spelling::levels`].
pub(crate) fn asked(
    mut features: Value,
    type_of: impl Fn(&str) -> Option<pg_sys::Oid>,
) -> Result<Value> {
    if let Value::Object(columns) = &mut features {
        for (name, treatment) in columns {
            if let (Some(oid), Value::Object(settings)) = (type_of(name), treatment) {
                respell(settings, oid, &format!("column \"{name}\""))?;
            }
        }
    }
    Ok(features)
}

/// The argument `features` of an import, the same way.
///
/// # Errors
/// As for [`Spelling::levels`].
pub(crate) fn told(mut features: Value) -> Result<Value> {
    for feature in features.as_array_mut().into_iter().flatten() {
        let Value::Object(settings) = feature else {
            continue;
        };
        let text = |key| settings.get(key).and_then(Value::as_str);
        let (Some(name), Some(sql_type)) = (text("name"), text("sql_type")) else {
            continue;
        };
        let oid = told_type(sql_type).and_then(|(name, origin)| stored_type(name, origin));
        if let Some(oid) = oid {
            let what = format!("feature \"{name}\"");
            respell(settings, oid, &what)?;
        }
    }
    Ok(features)
}

fn respell(settings: &mut Map<String, Value>, oid: pg_sys::Oid, what: &str) -> Result<()> {
    let (Some(Value::Array(levels)), Some(spelling)) =
        (settings.get_mut("levels"), Spelling::of(oid))
    else {
        return Ok(());
    };
    if levels.len() > MAX_LEVELS {
        return Ok(());
    }
    let texts: Option<Vec<String>> = levels
        .iter()
        .map(|level| match level {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(level.to_string()),
            _ => None,
        })
        .collect();
    if let Some(texts) = texts {
        let kept = spelling.levels(what, &texts)?;
        *levels = kept.into_iter().map(Value::String).collect();
    }
    Ok(())
}

/// Does something with this order of a date's parts and this time zone.
fn in_settings(order: &CStr, zone: &CStr, action: impl FnOnce()) {
    // SAFETY: settings changed at a nest level of their own are restored at its end, or by that of the
    // transaction when an error passes through here. The texts are constants, which are copied.
    unsafe {
        let nest_level = pg_sys::NewGUCNestLevel();
        for (name, value) in [
            (c"DateStyle", order),
            (c"TimeZone", zone),
            (c"timezone_abbreviations", c"Default"),
        ] {
            set_local(name, value);
        }
        action();
        pg_sys::AtEOXact_GUC(true, nest_level);
    }
}
