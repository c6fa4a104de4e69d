//! `neural.create_function`: a typed SQL function over a model.

use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal, quote_qualified_identifier};
use pgrx::{PgSqlErrorCode as Code, Spi, pg_sys};

use super::function_parameters::Parameters;
use super::{cost, given_text, text};
use crate::features::{Answer, NoAnswer};
use crate::hex::hex;
use crate::pg::cache;
use crate::pg::catalog;
use crate::pg::error::Report;
use crate::pg::reader::{self, Resolved};
use crate::pg::search_path::CatalogNames;

/// How a function's comment tells that it is one of ours, so that `replace` may drop it.
const MARK: &str = "made by neural.create_function";

#[pg_extern(sql = false)]
fn create_function(
    function_name: Option<&[u8]>,
    model: Option<&[u8]>,
    returns: default!(Option<&[u8]>, "'predict'"),
    version: default!(Option<i32>, "NULL"),
    replace: default!(Option<bool>, false),
) -> pg_sys::Oid {
    // SAFETY: returns or raises an error, with a command's name that is static.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"neural.create_function()".as_ptr()) };
    let made = || -> Result<pg_sys::Oid, Report> {
        let function_name = given_text(function_name, "function_name")?;
        let model = given_text(model, "model")?;
        let returns = text(returns, "returns")?.unwrap_or("predict");
        create(
            function_name,
            model,
            returns,
            version,
            replace.unwrap_or(false),
        )
    };
    made().unwrap_or_else(|report| report.raise())
}

fn create(
    function_name: &str,
    model: &str,
    returns: &str,
    version: Option<i32>,
    replace: bool,
) -> Result<pg_sys::Oid, Report> {
    if version.is_some() && model.contains('@') {
        return Err(Report::new(
            Code::ERRCODE_INVALID_PARAMETER_VALUE,
            "the version is given twice, in the model's name and as an argument",
        )
        .hint("Give it once."));
    }
    let name = version.map_or_else(|| model.to_string(), |number| format!("{model}@{number}"));
    let resolved = reader::resolve(&name)?;
    let decoded = cache::model(&resolved)?;
    let (answer, callee, result) = match returns {
        "predict" => (Answer::Value, "predict", "pg_catalog.float8"),
        "class" => (Answer::Class, "predict_class", "pg_catalog.text"),
        "proba" => (Answer::All, "predict_proba", "pg_catalog.float8[]"),
        other => {
            return Err(
                Report::invalid(format!("unknown value \"{other}\" of returns"))
                    .hint("Use 'predict', 'class' or 'proba'."),
            );
        }
    };
    if let Err(none) = decoded.target.check_answer(answer) {
        let (reason, hint) = match none {
            NoAnswer::SeveralOutputs => (
                "has more than one number to give",
                "Use returns => 'proba'.",
            ),
            NoAnswer::Labels | NoAnswer::ManyClasses => (
                "has more than one number to give",
                "Use returns => 'class' or returns => 'proba'.",
            ),
            NoAnswer::NoClasses => (
                none.reason(),
                "Use returns => 'predict' or returns => 'proba'.",
            ),
            NoAnswer::OneOutput => (none.reason(), "Use returns => 'predict'."),
        };
        let label = resolved.label();
        return Err(Report::invalid(format!("model \"{label}\" {reason}")).hint(hint));
    }
    let (schema, name) = target_name(function_name)?;
    let pinned = version.is_some() || model.contains('@');
    if pinned {
        catalog::keep_version(&resolved)?;
    }
    let callee = call_text(callee, pinned, model, &resolved);
    let volatility = if pinned { "IMMUTABLE" } else { "STABLE" };
    let cost = cost::operators(resolved.products, decoded.features.features.len());
    let parameters = Parameters::of(&decoded.features)?;
    let body = if parameters.is_polymorphic {
        // A body in a string: PostgreSQL allows parameters of any row type only there.
        format!("AS {}", quote_literal(format!("SELECT {callee}, $1)")))
    } else {
        let names = parameters.names.iter().map(quote_identifier);
        let names: Vec<String> = names.collect();
        format!("RETURN {callee}, {})", names.join(", "))
    };
    let function = quote_qualified_identifier(&schema, &name);
    let comment = format!(
        "{} of model {}{}, {MARK}",
        returns,
        model,
        version
            .map(|number| format!(" version {number}"))
            .unwrap_or_default()
    );
    // All names below are PostgreSQL's own or have a schema.
    let _names = CatalogNames::enter();
    let same = remove_other(&schema, &name, &parameters, result, replace)?;
    let or_replace = if same { "OR REPLACE " } else { "" };
    Spi::run(&format!(
        "CREATE {or_replace}FUNCTION {function}({}) RETURNS {result} LANGUAGE sql {volatility} \
         PARALLEL SAFE COST {cost} {body}",
        parameters.declared()
    ))
    .map_err(Report::from)?;
    Spi::run(&format!(
        "COMMENT ON FUNCTION {function}({}) IS {}",
        parameters.signature(),
        quote_literal(comment)
    ))
    .map_err(Report::from)?;
    let found = others(&schema, &name, &parameters, result)?;
    let found = found.into_iter().find(|other| other.is_same);
    found
        .map(|made| made.oid)
        .ok_or_else(|| Report::internal("the function was not made"))
}

/// Makes the functions anew that follow the model and have parameters for another number of
/// features, and tells which; those of other roles it only tells.
pub(super) fn make_anew(model: &str, features: usize) -> Result<(), Report> {
    let comments: Vec<String> = ["predict", "class", "proba"]
        .iter()
        .map(|returns| format!("{returns} of model {model}, {MARK}"))
        .collect();
    // A function of rows or arrays has one parameter, whatever they hold.
    let sql = "SELECT pg_catalog.format('%I.%I', n.nspname, p.proname),
                      pg_catalog.split_part(d.description, ' ', 1),
                      pg_catalog.pg_has_role(p.proowner, 'USAGE')
               FROM pg_catalog.pg_description d
               JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) d.objoid
               JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
               WHERE d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
                 AND d.description OPERATOR(pg_catalog.=) ANY ($1)
                 AND p.pronargs OPERATOR(pg_catalog.<>) $2
                 AND NOT p.proargtypes[0] OPERATOR(pg_catalog.=)
                     ANY (ARRAY['anyelement', 'anyarray']::pg_catalog.regtype[]::pg_catalog.oid[])
               ORDER BY 1";
    let found: Vec<(String, String, bool)> = Spi::connect(|client| {
        client
            .select(sql, None, &[comments.into(), (features as i16).into()])?
            .map(|row| {
                let text =
                    |at| Ok::<_, pgrx::spi::Error>(row.get::<String>(at)?.unwrap_or_default());
                Ok((text(1)?, text(2)?, row.get::<bool>(3)?.unwrap_or(false)))
            })
            .collect::<Result<Vec<_>, pgrx::spi::Error>>()
    })?;
    let (own, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(.., own)| *own);
    let mut made = Vec::with_capacity(own.len());
    for (function, returns, _) in own {
        let new = Spi::connect_mut(|client| {
            client
                .update(
                    "SELECT neural.create_function($1, $2, $3, replace => true)::pg_catalog.text",
                    None,
                    &[function.into(), model.into(), returns.into()],
                )?
                .first()
                .get_one::<String>()
        })?;
        made.extend(new);
    }
    if !made.is_empty() {
        notice!(
            "made anew for the features of the version that is deployed: {}",
            made.join(", ")
        );
    }
    for (function, ..) in others {
        warning!(
            "function {function} follows model \"{model}\" with other parameters than it has features \
             now: its owner can make it anew with neural.create_function(…, replace => true)"
        );
    }
    Ok(())
}

/// The beginning of the call in the body, up to the features.
fn call_text(callee: &str, pinned: bool, model: &str, resolved: &Resolved) -> String {
    if pinned {
        let hash = hex(&resolved.sha256);
        // Written so that backslashes mean the same under every setting.
        format!("neural.{callee}_pinned(E'\\\\x{hash}'::pg_catalog.bytea")
    } else {
        format!("neural.{callee}({}::pg_catalog.text", quote_literal(model))
    }
}

/// Schema and name of the function to be made; without a schema, the first of the search path.
fn target_name(function_name: &str) -> Result<(String, String), Report> {
    let parts = Spi::get_one_with_args::<Vec<String>>(
        "SELECT pg_catalog.parse_ident($1)",
        &[function_name.into()],
    )
    .map_err(Report::from)?
    .unwrap_or_default();
    match <[String; 2]>::try_from(parts) {
        Ok([schema, name]) => Ok((schema, name)),
        Err(mut parts) if parts.len() == 1 => {
            let schema =
                Spi::get_one::<String>("SELECT pg_catalog.current_schema()::pg_catalog.text")
                    .map_err(Report::from)?
                    .ok_or_else(|| {
                        Report::new(
                            Code::ERRCODE_INVALID_SCHEMA_NAME,
                            "no schema has been selected to create the function in",
                        )
                        .hint("Set search_path, or write the name as schema.function.")
                    })?;
            Ok((schema, parts.remove(0)))
        }
        Err(_) => Err(Report::new(
            Code::ERRCODE_INVALID_NAME,
            format!("\"{function_name}\" is not the name of a function"),
        )
        .hint("Write name or schema.name.")),
    }
}

/// A function of the name that is asked for.
struct Other {
    oid: pg_sys::Oid,
    /// Its name with its parameters.
    signature: String,
    /// Whether `create_function` made it.
    is_ours: bool,
    /// Whether it has the same parameters and the same result, so that it can be replaced in place.
    is_same: bool,
}

/// Makes way for the function: true if one with the same parameters stands there, to be replaced
/// in place; drops those of ours that have others.
fn remove_other(
    schema: &str,
    name: &str,
    parameters: &Parameters,
    result: &str,
    replace: bool,
) -> Result<bool, Report> {
    let exists = |reason: &str, hint: &str| {
        Err(Report::new(
            Code::ERRCODE_DUPLICATE_FUNCTION,
            format!(
                "function {} {reason}",
                quote_qualified_identifier(schema, name)
            ),
        )
        .hint(hint.to_string()))
    };
    let found = others(schema, name, parameters, result)?;
    if found.is_empty() {
        return Ok(false);
    }
    if !replace {
        return exists("already exists", "Use replace => true, or another name.");
    }
    if found.iter().any(|other| !other.is_ours) {
        return exists(
            "already exists and was not made by neural.create_function",
            "Drop it yourself, or use another name.",
        );
    }
    let mut same = false;
    for other in found {
        if other.is_same {
            same = true;
        } else {
            Spi::run(&format!("DROP FUNCTION {}", other.signature)).map_err(Report::from)?;
        }
    }
    Ok(same)
}

/// The functions of that name.
fn others(
    schema: &str,
    name: &str,
    parameters: &Parameters,
    result: &str,
) -> Result<Vec<Other>, Report> {
    Spi::connect(|client| {
        client
            .select(
                "SELECT p.oid, p.oid::pg_catalog.regprocedure::pg_catalog.text, \
                        coalesce(obj_description(p.oid, 'pg_proc') LIKE '%' || $3, false), \
                        p.proargnames IS NOT DISTINCT FROM $4 \
                          AND (SELECT array_agg(t ORDER BY i) \
                                 FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS u (t, i)) = $6 \
                          AND p.prorettype = $5::regtype \
                   FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
                  WHERE p.proname = $2::name AND CASE $1 WHEN 'pg_temp' \
                        THEN n.oid = pg_my_temp_schema() ELSE n.nspname = $1::name END",
                None,
                &[
                    schema.into(),
                    name.into(),
                    MARK.into(),
                    parameters.names.clone().into(),
                    result.into(),
                    parameters.types.clone().into(),
                ],
            )?
            .map(|row| {
                Ok(Other {
                    oid: row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid),
                    signature: row.get::<String>(2)?.unwrap_or_default(),
                    is_ours: row.get::<bool>(3)?.unwrap_or(false),
                    is_same: row.get::<bool>(4)?.unwrap_or(false),
                })
            })
            .collect::<Result<Vec<_>, pgrx::spi::Error>>()
    })
    .map_err(Report::from)
}
