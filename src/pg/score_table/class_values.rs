//! What a column makes of a model's classes: each has to be a value of its own there.

use std::ffi::{CStr, CString};

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::features::{Origin, Target};
use crate::pg::attempt::{attempt, sqlstate};
use crate::pg::error::{Report, Result};
use crate::pg::sql_type::stored_type;

/// The date and time types: what a text means as one of them depends on the session, and so does what
/// one of them is as another.
const TIMES: [pg_sys::Oid; 5] = [
    pg_sys::DATEOID,
    pg_sys::TIMESTAMPOID,
    pg_sys::TIMESTAMPTZOID,
    pg_sys::TIMEOID,
    pg_sys::TIMETZOID,
];

/// The type of the classes where a date or time column, or an array of such, is not of that type and
/// so cannot receive them.
pub(super) fn other_time(target: &Target, column: pg_sys::Oid) -> Option<&str> {
    // SAFETY: look-ups by the OID of a type that is there.
    let base = unsafe {
        let base = pg_sys::getBaseType(column);
        match pg_sys::get_element_type(base) {
            pg_sys::InvalidOid => base,
            element => pg_sys::getBaseType(element),
        }
    };
    let (sql_type, origin) = match target {
        Target::Classes {
            sql_type, origin, ..
        }
        | Target::Labels {
            sql_type, origin, ..
        } => (sql_type, *origin),
        Target::Regression { .. } => return None,
    };
    let is_own = matches!(origin, Origin::Date | Origin::Timestamp)
        && stored_type(sql_type, origin) == Some(base);
    (TIMES.contains(&base) && !is_own).then_some(sql_type)
}

/// A column that classes are written into.
#[derive(Debug)]
pub(super) struct Receiver {
    oid: pg_sys::Oid,
    modifier: i32,
    /// Whether it takes whole numbers that are written as other numbers.
    whole: bool,
}

/// A class as a value of the column's type.
struct Value<'a> {
    class: &'a str,
    datum: pg_sys::Datum,
}

impl Receiver {
    pub(super) fn new(oid: pg_sys::Oid, modifier: i32, whole: bool) -> Self {
        Self {
            oid,
            modifier,
            whole,
        }
    }

    /// Puts each class into the column's type, as an assignment does. `column` is how messages name
    /// the column, up to its type.
    ///
    /// # Errors
    /// 22023 for a class that does not fit, or that is another one's value.
    pub(super) fn check(&self, target: &Target, column: &str) -> Result<()> {
        if self.oid == pg_sys::TEXTOID {
            return Ok(());
        }
        let refuse = |what: String| {
            let hint = match target.is_array() {
                true => "Give the labels a column of type text[].",
                false => "Give the class a column of type text.",
            };
            Report::invalid(format!(
                "{column}, which is of type {}, {what}",
                self.type_name()
            ))
            .hint(hint)
        };
        let classes = target.classes();
        let mut values: Vec<Value<'_>> = Vec::with_capacity(classes.len());
        for class in classes {
            let text = match target.is_array() {
                true => array(std::slice::from_ref(class)),
                false => class.clone(),
            };
            let Some(datum) = self.value(&text) else {
                return Err(refuse(format!("cannot hold the class \"{class}\"")));
            };
            values.push(Value { class, datum });
        }
        if target.is_array() && self.value(&array(classes)).is_none() {
            return Err(refuse("cannot hold all labels at once".to_owned()));
        }
        match self.equal(&values) {
            Some((one, other)) => Err(refuse(format!(
                "makes one value of the classes \"{one}\" and \"{other}\""
            ))),
            None => Ok(()),
        }
    }

    /// The value that a text becomes, if it fits: a type of texts has to give it back as it was.
    fn value(&self, text: &str) -> Option<pg_sys::Datum> {
        let text = match self.whole {
            true => whole(text)?,
            false => CString::new(text).ok()?,
        };
        let converted = attempt(|| {
            // SAFETY: a type's own functions, called as PostgreSQL calls them. What they give is in
            // the memory of the transaction.
            unsafe {
                let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
                pg_sys::getTypeInputInfo(self.oid, &mut input, &mut parameter);
                pg_sys::getTypeOutputInfo(self.oid, &mut output, &mut is_varlena);
                let given = text.as_ptr().cast_mut();
                let datum = pg_sys::OidInputFunctionCall(input, given, parameter, self.modifier);
                let back = CStr::from_ptr(pg_sys::OidOutputFunctionCall(output, datum));
                let kept = match self.is_of_texts() {
                    // What pads a text with blanks does not tell it from the text.
                    true => trimmed(back.to_bytes()) == trimmed(text.to_bytes()),
                    false => true,
                };
                kept.then_some(datum)
            }
        });
        converted.unwrap_or_else(|error| match sqlstate(&error) {
            Code::ERRCODE_QUERY_CANCELED | Code::ERRCODE_OUT_OF_MEMORY => error.rethrow(),
            _ => None,
        })
    }

    /// Whether the type, or that of its elements, is one of texts. (An array pads its elements with
    /// blanks, and refuses those that are too long.)
    fn is_of_texts(&self) -> bool {
        // SAFETY: look-ups by the OID of a type that is there.
        unsafe {
            let base = pg_sys::getBaseType(self.oid);
            let base = match pg_sys::get_base_element_type(base) {
                pg_sys::InvalidOid => base,
                element => match pg_sys::getBaseType(element) {
                    pg_sys::BPCHAROID => return false,
                    element => element,
                },
            };
            let (mut category, mut preferred) = (0, false);
            pg_sys::get_type_category_preferred(base, &mut category, &mut preferred);
            category as u8 == pg_sys::TYPCATEGORY_STRING || base == pg_sys::CHAROID
        }
    }

    /// The first two classes that are one value, by the type's `=`, or as it is written where it has
    /// none.
    fn equal<'a>(&self, values: &[Value<'a>]) -> Option<(&'a str, &'a str)> {
        // SAFETY: the values are of the type, whose functions are called.
        unsafe {
            let flags = pg_sys::TYPECACHE_EQ_OPR_FINFO as i32;
            let entry = pg_sys::lookup_type_cache(pg_sys::getBaseType(self.oid), flags);
            let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
            pg_sys::getTypeOutputInfo(self.oid, &mut output, &mut is_varlena);
            let written = |value: &Value<'_>| {
                CStr::from_ptr(pg_sys::OidOutputFunctionCall(output, value.datum)).to_owned()
            };
            let has_equality = (*entry).eq_opr != pg_sys::InvalidOid;
            let texts: Vec<CString> = match has_equality {
                true => Vec::new(),
                false => values.iter().map(written).collect(),
            };
            for (i, one) in values.iter().enumerate() {
                for (j, other) in values[..i].iter().enumerate() {
                    let same = match has_equality {
                        true => {
                            pg_sys::FunctionCall2Coll(
                                &raw mut (*entry).eq_opr_finfo,
                                pg_sys::C_COLLATION_OID,
                                one.datum,
                                other.datum,
                            )
                            .value()
                                != 0
                        }
                        false => texts[i] == texts[j],
                    };
                    if same {
                        return Some((other.class, one.class));
                    }
                }
            }
            None
        }
    }

    /// The type with its length, for messages.
    fn type_name(&self) -> String {
        let flags = match self.modifier {
            ..0 => 0,
            _ => pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN as pg_sys::bits16,
        };
        // SAFETY: gives a palloc'ed C string for any type that exists.
        unsafe {
            let text = pg_sys::format_type_extended(self.oid, self.modifier, flags);
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != b' ');
    &text[..end.map_or(0, |end| end + 1)]
}

/// A whole number that may be written as 1.00 or 1e+15, as an integer is written.
fn whole(text: &str) -> Option<CString> {
    let text = CString::new(text).ok()?;
    // Of a thousand digits, none of them behind the point.
    let modifier = (1000 << 16) + pg_sys::VARHDRSZ as i32;
    let (input, output) = (pg_sys::F_NUMERIC_IN.into(), pg_sys::F_NUMERIC_OUT.into());
    attempt(|| {
        // SAFETY: the functions of numeric, called as PostgreSQL calls them.
        unsafe {
            let given = text.as_ptr().cast_mut();
            let number = pg_sys::OidInputFunctionCall(input, given, pg_sys::NUMERICOID, modifier);
            CStr::from_ptr(pg_sys::OidOutputFunctionCall(output, number)).to_owned()
        }
    })
    .ok()
}

/// The text that `predict_class` gives for these labels.
fn array(labels: &[String]) -> String {
    let quoted = labels
        .iter()
        .map(|label| format!("\"{}\"", label.replace('\\', "\\\\").replace('"', "\\\"")));
    let text = format!("{{{}}}", quoted.collect::<Vec<_>>().join(","));
    let Ok(text) = CString::new(text) else {
        return String::new();
    };
    let (input, output) = (pg_sys::F_ARRAY_IN.into(), pg_sys::F_ARRAY_OUT.into());
    // SAFETY: the functions of arrays, called as PostgreSQL calls them, with an array's text.
    unsafe {
        let given = text.as_ptr().cast_mut();
        let array = pg_sys::OidInputFunctionCall(input, given, pg_sys::TEXTOID, -1);
        let text = CStr::from_ptr(pg_sys::OidOutputFunctionCall(output, array));
        text.to_string_lossy().into_owned()
    }
}
