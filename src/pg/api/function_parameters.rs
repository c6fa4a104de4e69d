//! The parameters of a function over a model.

use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::features::{Feature, FeatureSet, Kind, Origin};
use crate::pg::error::{Report, Result};
use crate::pg::sql_type::feature_type;
use crate::pg::type_name::qualified_name;

/// Most parameters a call of `neural.predict` has room for: PostgreSQL's limit less the model.
const MOST: usize = pg_sys::FUNC_MAX_ARGS as usize - 1;

/// The parameters of a function.
pub(super) struct Parameters {
    pub(super) names: Vec<String>,
    pub(super) types: Vec<pg_sys::Oid>,
    /// Whether the only one is of any array's or row's type.
    pub(super) is_polymorphic: bool,
}

impl Parameters {
    /// One for each feature in call order; of sequences one for the steps, and one for the row where
    /// there are more features than a call has room for.
    ///
    /// # Errors
    /// 42704 for a feature whose type is not there.
    pub(super) fn of(features: &FeatureSet) -> Result<Parameters> {
        let single = |name: &str, of| Parameters {
            names: vec![name.to_owned()],
            types: vec![of],
            is_polymorphic: true,
        };
        if features.steps.is_some() {
            return Ok(single("steps", pg_sys::ANYARRAYOID));
        }
        let features = &features.features;
        if features.len() > MOST {
            return Ok(single("features", pg_sys::ANYELEMENTOID));
        }
        Ok(Parameters {
            names: features.iter().map(|f| f.name.clone()).collect(),
            types: features.iter().map(parameter_type).collect::<Result<_>>()?,
            is_polymorphic: false,
        })
    }

    /// As the declaration of a function has them; all that are not polymorphic can be left out.
    pub(super) fn declared(&self) -> String {
        let default = if self.is_polymorphic {
            ""
        } else {
            " DEFAULT NULL"
        };
        let pairs = self.names.iter().zip(&self.types);
        let parameters: Vec<String> = pairs
            .map(|(name, of)| {
                format!(
                    "{} {}{default}",
                    quote_identifier(name),
                    qualified_name(*of)
                )
            })
            .collect();
        parameters.join(", ")
    }

    /// Their types as a function's signature has them.
    pub(super) fn signature(&self) -> String {
        let types: Vec<String> = self.types.iter().map(|of| qualified_name(*of)).collect();
        types.join(", ")
    }
}

/// The type that takes implicitly what `neural.predict` takes for the feature, as far as there is one.
///
/// PostgreSQL casts every number to double precision by itself, but none of them to a smaller type:
/// a parameter of a column's own type would refuse a driver's double, a literal or a count. Where a
/// number is the name of a level its digits matter, which an integer keeps in a bigint; a real does
/// not in a double.
fn parameter_type(feature: &Feature) -> Result<pg_sys::Oid> {
    let own = feature_type(feature).ok_or_else(|| {
        Report::undefined(format!(
            "type {} of feature \"{}\" does not exist",
            feature.sql_type, feature.name
        ))
        .hint("Create it as it was where the model was trained.")
    })?;
    Ok(match (feature.origin, feature.kind()) {
        (Origin::Integer, Kind::Category) => pg_sys::INT8OID,
        (Origin::Float | Origin::Numeric, Kind::Category) => own,
        (Origin::Integer | Origin::Float | Origin::Numeric, _) => pg_sys::FLOAT8OID,
        (Origin::Text, _) => pg_sys::TEXTOID,
        (Origin::NumberArray, _) => pg_sys::FLOAT8ARRAYOID,
        _ => own,
    })
}
