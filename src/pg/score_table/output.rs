//! What a column takes of a model: decided by the column's type.

use std::ffi::CStr;

use pgrx::spi::quote_literal;
use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::class_values::{Receiver, other_time};
use super::order::Order;
use super::statement::{Written, count};
use crate::features::{Answer, NoAnswer, is_whole_number};
use crate::pg::attempt::{attempt, sqlstate};
use crate::pg::cache::DecodedModel;
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::rows::ResultColumn;

/// What is written: the answer of one of the `predict` functions.
pub(super) struct Output {
    answer: Answer,
    /// The type that a class's text is read as, in SQL, where the column is of no text type.
    class_type: Option<String>,
    /// The column, where it gets a class.
    receiver: Option<Receiver>,
    /// The column's type with its length or precision, where its values can be compared.
    comparable: Option<String>,
    /// For messages: the column.
    column: String,
    type_name: String,
}

impl Output {
    /// What a column of that type takes: a number the value or the positive class's probability, an
    /// array of numbers all of them, anything else the class, which an integer takes, too, where
    /// the model has classes.
    ///
    /// # Errors
    /// 22023 when the model cannot answer so, 42804 when the type suits no answer.
    pub(super) fn for_column(
        column: &ResultColumn,
        modifier: i32,
        table: &str,
        order: &Order,
    ) -> Result<Self> {
        let model = &order.model;
        let classes = model.target.classes().len();
        let label = order.resolved.label();
        let kind = kind_of(column.type_oid);
        let answer = match kind {
            Kind::Fraction => Answer::Value,
            Kind::Integer if classes == 0 => Answer::Value,
            Kind::Numbers { fractions } if fractions || classes == 0 => Answer::All,
            _ => Answer::Class,
        };
        if let Err(none) = model.target.check_answer(answer) {
            let hint = match none {
                NoAnswer::Labels => {
                    "Give the labels a column of type text[] (as of neural.predict_class), or \
                     their probabilities one of type double precision[] (neural.predict_proba)."
                }
                NoAnswer::ManyClasses => {
                    "Give the class a column of type text (as of neural.predict_class), or the \
                     probabilities one of type double precision[] (neural.predict_proba)."
                }
                NoAnswer::SeveralOutputs => {
                    "Give them a column of type double precision[] (as of neural.predict_proba)."
                }
                NoAnswer::NoClasses if model.outputs() > 1 => {
                    "Give it a column of type double precision[] (as of neural.predict_proba)."
                }
                NoAnswer::NoClasses | NoAnswer::OneOutput => {
                    "Give it a column of type double precision (as of neural.predict)."
                }
            };
            return Err(Report::invalid(format!(
                "column \"{}\" of table {table} is of type {}, but model \"{label}\" {}",
                column.name,
                column.type_name,
                none.reason(),
            ))
            .hint(hint));
        }
        if answer == Answer::Class
            && let Some(of) = other_time(&model.target, column.type_oid)
        {
            return Err(Report::new(
                Code::ERRCODE_DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" of table {table} is of type {}, but the classes of model \"{label}\" \
                     are of type {of}",
                    column.name, column.type_name,
                ),
            )
            .hint(
                "Give the class a column of its own type, or of type text: dates, times, and \
                 timestamps with and without a time zone, are not taken for one another.",
            ));
        }
        let read_as = answer == Answer::Class && kind != Kind::Text;
        let spelled = |class: &String| class.parse::<i64>().is_err();
        let by_numeric = kind == Kind::Integer
            && model.target.classes().iter().any(spelled)
            && model
                .target
                .classes()
                .iter()
                .all(|class| is_whole_number(class));
        Ok(Self {
            answer,
            class_type: read_as.then(|| {
                // 1.00 and 1e+15 are whole numbers, but no integer's text.
                let by = if by_numeric {
                    "pg_catalog.numeric::"
                } else {
                    ""
                };
                // Not as a domain: that would cut what is too long, where an assignment refuses it.
                // SAFETY: a look-up by the OID of a type that is there.
                let base = unsafe { pg_sys::getBaseType(column.type_oid) };
                format!("{by}{}", name_of(base, -1))
            }),
            receiver: (answer == Answer::Class)
                .then(|| Receiver::new(column.type_oid, modifier, by_numeric)),
            comparable: comparable(column.type_oid, modifier),
            column: format!("column \"{}\" of table {table}", column.name),
            type_name: column.type_name.clone(),
        })
    }

    /// The function to call.
    pub(super) fn function(&self) -> &'static str {
        match self.answer {
            Answer::Value => "predict",
            Answer::Class => "predict_class",
            Answer::All => "predict_proba",
        }
    }

    /// Whether the column is something else than this value; true where that cannot be told.
    pub(super) fn differs(&self, column: &str, value: &str) -> String {
        match &self.comparable {
            Some(name) => format!("{column} IS DISTINCT FROM ({value})::{name}"),
            None => "true".to_owned(),
        }
    }

    /// What the column becomes: this call's result, which assignment fits to the type.
    pub(super) fn of(&self, call: &str) -> String {
        match &self.class_type {
            Some(name) => format!("{call}::{name}"),
            None => call.to_owned(),
        }
    }

    /// Checks before any work that each class is a value of the column's type, a true or false for
    /// a boolean, a label for an enum, and another one than any other class.
    ///
    /// # Errors
    /// 42804 for a class that is none, 22023 for one that does not fit or is another one's value.
    pub(super) fn check_classes(&self, model: &DecodedModel, written: &Written) -> Result<()> {
        if let Some(class_type) = &self.class_type {
            self.check_readable(class_type, model, written)?;
        }
        match &self.receiver {
            Some(receiver) => receiver.check(&model.target, &self.column),
            None => Ok(()),
        }
    }

    fn check_readable(
        &self,
        class_type: &str,
        model: &DecodedModel,
        written: &Written,
    ) -> Result<()> {
        for class in model.target.classes() {
            let sql = match model.target.is_array() {
                // The text that `predict_class` gives for this label alone.
                true => format!("ARRAY[{}]::pg_catalog.text", quote_literal(class)),
                false => format!("{}::pg_catalog.text", quote_literal(class)),
            };
            let sql = format!("SELECT pg_catalog.count({sql}::{class_type})");
            if let Err(error) = attempt(|| count(&sql, written).or_raise()) {
                if sqlstate(&error) == Code::ERRCODE_QUERY_CANCELED {
                    error.rethrow();
                }
                return Err(Report::new(
                    Code::ERRCODE_DATATYPE_MISMATCH,
                    format!(
                        "{}, which is of type {}, cannot take the class \"{class}\"",
                        self.column, self.type_name
                    ),
                )
                .hint(
                    match (model.target.is_array(), model.target.classes().len()) {
                        (true, _) => "Give the labels a column of type text[].",
                        (_, 2) => {
                            "Give the class a column of type text, or the probability one of type \
                         double precision."
                        }
                        _ => "Give the class a column of type text.",
                    },
                ));
            }
        }
        Ok(())
    }

    /// A type that suits the model's answer.
    pub(super) fn usual_type(model: &DecodedModel) -> &'static str {
        match (model.target.classes().len(), model.outputs()) {
            (1.., _) if model.target.is_array() => "text[]",
            (3.., _) => "text",
            (0, 2..) => "double precision[]",
            _ => "double precision",
        }
    }
}

/// What sort of type a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// float4, float8, numeric.
    Fraction,
    Integer,
    /// An array of either.
    Numbers {
        fractions: bool,
    },
    /// Text and its kin, which take any class as it is.
    Text,
    Other,
}

fn kind_of(oid: pg_sys::Oid) -> Kind {
    // SAFETY: catalog look-ups by the OID of a type that is there.
    unsafe {
        let base = pg_sys::getBaseType(oid);
        match base {
            pg_sys::FLOAT4OID | pg_sys::FLOAT8OID | pg_sys::NUMERICOID => Kind::Fraction,
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Kind::Integer,
            _ => {
                let element = pg_sys::get_element_type(base);
                if element != pg_sys::InvalidOid {
                    return match kind_of(element) {
                        Kind::Fraction => Kind::Numbers { fractions: true },
                        Kind::Integer => Kind::Numbers { fractions: false },
                        _ => Kind::Other,
                    };
                }
                let (mut category, mut preferred) = (0, false);
                pg_sys::get_type_category_preferred(base, &mut category, &mut preferred);
                match category as u8 {
                    pg_sys::TYPCATEGORY_STRING => Kind::Text,
                    _ => Kind::Other,
                }
            }
        }
    }
}

/// The name of a type, as an assignment to a column with this modifier converts to it, if its
/// values have an equality.
fn comparable(oid: pg_sys::Oid, modifier: i32) -> Option<String> {
    // SAFETY: a look-up by the OID of a type that is there.
    let equality = unsafe {
        let entry = pg_sys::lookup_type_cache(oid, pg_sys::TYPECACHE_EQ_OPR as i32);
        (*entry).eq_opr
    };
    (equality != pg_sys::InvalidOid).then(|| name_of(oid, modifier))
}

/// A type's name in SQL, whatever the search path; -1 for no modifier.
fn name_of(oid: pg_sys::Oid, modifier: i32) -> String {
    let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY;
    // SAFETY: the OID of a type that is there; the name is a palloc'ed C string.
    unsafe {
        let name = pg_sys::format_type_extended(oid, modifier, flags as pg_sys::bits16);
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}
