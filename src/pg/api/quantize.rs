//! `neural.quantize`: a version whose layers are computed in 8 bits.

use std::borrow::Cow;

use pgrx::AnyElement;
use pgrx::prelude::*;
use serde_json::{Value, json};

use super::calibration_rows::CalibrationRows;
use super::{given_text, json as jsonb, judging};
use crate::artifact::Model;
use crate::memory;
use crate::nearest;
use crate::nn::{Calibration, Candidate, Network, Predictor, Quantization};
use crate::pg::access::Right;
use crate::pg::catalog::{self, Description, NewVersion};
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::reader::{self, Resolved};
use crate::pg::{cache, heap, interrupt, settings};
use crate::training::{self, metrics_json};

/// Fewer rows say too little of what values a layer reads.
const LEAST_ROWS: usize = 32;
/// Layers that a message names.
const NAMED: usize = 6;
/// The options, in the order of the documentation.
const KEYS: &[&str] = &["target", "layers", "deploy"];

type Metrics = Vec<(Cow<'static, str>, Option<f64>)>;

/// Stores the next version of a model, with 8-bit weights and activations; each metric on the query's
/// rows before and after.
#[pg_extern(sql = false)]
fn quantize(
    model: Option<&[u8]>,
    query: Option<&[u8]>,
    options: Option<AnyElement>,
) -> TableIterator<
    'static,
    (
        name!(version, i32),
        name!(metric, String),
        name!(before, Option<f64>),
        name!(after, Option<f64>),
    ),
> {
    let _work = interrupt::begin(memory::LARGE).or_raise();
    let model = given_text(model, "model").or_raise();
    let query = given_text(query, "query").or_raise();
    // SAFETY: the parameter is a jsonb.
    let options = unsafe { jsonb(options, "options").or_raise() };
    let options = Options::parse(options.unwrap_or_else(|| json!({}))).or_raise();
    let (number, before, after) = make(model, query, &options).or_raise();
    let pairs = before.into_iter().zip(after);
    TableIterator::new(
        pairs.map(move |((name, before), (_, after))| (number, name.into_owned(), before, after)),
    )
}

struct Options {
    target: Option<String>,
    /// Names of layers; none: all that pay.
    layers: Option<Vec<String>>,
    deploy: bool,
}

impl Options {
    fn parse(options: Value) -> Result<Options> {
        let Value::Object(map) = options else {
            return Err(training::Error::OptionsNotObject.into());
        };
        if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let key = key.chars().take(64).collect();
            return Err(training::Error::UnknownOption { key, known: KEYS }.into());
        }
        let wrong = |key: &str, problem: &str| Report::from(training::Error::option(key, problem));
        // JSON null is "not given".
        let get = |key: &str| map.get(key).filter(|value| !value.is_null());
        let names = |list: &Vec<Value>| -> Option<Vec<String>> {
            let names = list.iter().map(|name| name.as_str().map(str::to_owned));
            names
                .collect::<Option<Vec<_>>>()
                .filter(|names| !names.is_empty())
        };
        Ok(Options {
            target: match get("target") {
                None => None,
                Some(Value::String(name)) => Some(name.clone()),
                Some(_) => return Err(wrong("target", "must be a string")),
            },
            layers: match get("layers").map(|list| list.as_array().and_then(names)) {
                None => None,
                Some(Some(names)) => Some(names),
                Some(None) => return Err(wrong("layers", "must be a list of layers' names")),
            },
            deploy: match get("deploy") {
                None => true,
                Some(Value::Bool(flag)) => *flag,
                Some(_) => return Err(wrong("deploy", "must be true or false")),
            },
        })
    }
}

fn make(reference: &str, query: &str, options: &Options) -> Result<(i32, Metrics, Metrics)> {
    // SAFETY: returns or raises an error, with a command's name that is static.
    unsafe { pg_sys::PreventCommandIfReadOnly(c"neural.quantize()".as_ptr()) };
    let version = reader::resolve(reference)?;
    version.right.require(Right::Manage, &version.model)?;
    let decoded = cache::model(&version)?;
    let mut model = load(&version)?;
    if model.quantization.is_some() {
        let label = format!("version {} of model \"{}\"", version.number, version.model);
        return Err(Report::invalid(format!("{label} is quantised already"))
            .hint("Quantize the version that it was made of, which its options name."));
    }
    let network = model.network()?;
    let candidates = choose(&network, &model, &version, options)?;
    let mut rows = CalibrationRows::new(&decoded);
    let target = options.target.as_deref();
    judging::for_each_row(&decoded, &version, query, target, &mut |row, truth| {
        rows.push(row.encoded, row.outputs, truth)
    })?;
    check_rows(&rows)?;
    let mut calibration = Calibration::new(&decoded.predictor, candidates, settings::max_memory())?;
    calibration.calibrate(rows.encoded(), &interrupt::Checks);
    interrupt::check();
    let quantization = calibration.finish();
    if quantization.layers.is_empty() {
        return Err(nothing_to_quantize(&version));
    }
    model.quantize(quantization)?;
    let predictor = {
        let network = model.network()?;
        memory::ask_for_many(size_of_val(model.parameters.as_slice()).saturating_mul(2))?;
        Predictor::new_until(&network, &model.parameters, &interrupt::Checks)?
    };
    let count = rows.count();
    let (before, after) = rows.judge(&predictor)?;
    let number = store(&version, &mut model, &after, (query, count), options)?;
    tell(&version, number, &network, &model);
    drop(model);
    heap::give_back();
    Ok((number, before, after))
}

fn load(version: &Resolved) -> Result<Model> {
    let bytes = reader::load(version)?;
    Model::from_bytes_until(&bytes, &interrupt::Checks).map_err(|error| {
        interrupt::check();
        Report::stored(&version.model, error)
    })
}

/// The layers that are to be in 8 bits: all that pay, or those that are named, of each member.
fn choose(
    network: &Network,
    model: &Model,
    version: &Resolved,
    options: &Options,
) -> Result<Vec<Candidate>> {
    let mut candidates = Candidate::of(network, &model.parameters);
    if candidates.is_empty() {
        return Err(nothing_to_quantize(version));
    }
    let Some(wanted) = &options.layers else {
        return Ok(candidates);
    };
    for name in wanted {
        if candidates
            .iter()
            .any(|candidate| is_of(&candidate.name, name))
        {
            continue;
        }
        let mut names = network.nodes().iter().map(|node| own_name(node.name()));
        let name: String = name.chars().take(64).collect();
        return Err(match names.clone().any(|known| known == name) {
            true => Report::invalid(format!("layer \"{name}\" cannot be computed in 8 bits")).hint(
                "Name layers that dense products are most of, of at least 32 inputs; all others stay \
                 as they are.",
            ),
            false => Report::invalid(format!(
                "model \"{}\" has no layer \"{name}\"",
                version.model
            ))
            .hint(nearest::hint(&name, names.by_ref())),
        });
    }
    candidates.retain(|candidate| wanted.iter().any(|name| is_of(&candidate.name, name)));
    Ok(candidates)
}

/// Whether a node is the layer of that name, in whichever member.
fn is_of(node: &str, name: &str) -> bool {
    node == name || own_name(node) == name
}

/// A node's name without that of its member.
fn own_name(node: &str) -> &str {
    let member = node
        .strip_prefix("member")
        .and_then(|rest| rest.split_once('.'));
    match member {
        Some((number, own)) if number.bytes().all(|c| c.is_ascii_digit()) => own,
        _ => node,
    }
}

fn nothing_to_quantize(version: &Resolved) -> Report {
    Report::invalid(format!(
        "version {} of model \"{}\" has no layer that 8 bits would make smaller and faster",
        version.number, version.model
    ))
    .hint("Its layers have too few inputs or outputs; call it as it is.")
}

fn check_rows(rows: &CalibrationRows<'_>) -> Result<()> {
    match rows.count() {
        0 => Err(
            Report::invalid("the query returns no rows with a target to calibrate on")
                .hint("Check the query's WHERE clause and the target's NULLs."),
        ),
        count if count < LEAST_ROWS => Err(Report::invalid(format!(
            "the query returns {count} row{} with a target, too few to calibrate on",
            if count == 1 { "" } else { "s" }
        ))
        .hint(format!(
            "Give at least {LEAST_ROWS} rows that are like those to be predicted; some hundreds are \
             better."
        ))),
        _ => Ok(()),
    }
}

/// Stores the version; its number.
fn store(
    version: &Resolved,
    model: &mut Model,
    after: &Metrics,
    (query, rows): (&str, usize),
    options: &Options,
) -> Result<i32> {
    let mut training = catalog::recorded(version)?;
    // What was measured of the version that it is made of does not hold of this one.
    let mut metrics = metrics_json(after);
    metrics["judged_on"] = "calibration rows".into();
    training.metrics = Some(metrics.clone());
    model.training["metrics"] = metrics;
    let layers = model.quantization.iter().flat_map(|q| q.layers.keys());
    let made = json!({
        "version": version.number,
        "query": query,
        "rows": rows,
        "layers": layers.collect::<Vec<_>>(),
    });
    let all = training.options.get_or_insert_with(|| json!({}));
    if let Value::Object(all) = all {
        all.insert("quantized".into(), made);
    }
    interrupt::check();
    let description = Description::of(model)?;
    let stored = model.in_pieces(|artifact| {
        catalog::store_version(&NewVersion {
            model: &version.model,
            artifact,
            description,
            training,
            history: &[],
            adds_features: false,
            deploy: options.deploy,
        })
    })??;
    catalog::copy_history(version.version_id, stored.version_id)?;
    Ok(stored.number)
}

/// Says which layers are in 8 bits.
fn tell(version: &Resolved, number: i32, network: &Network, model: &Model) {
    let none = Quantization::default();
    let quantized = &model.quantization.as_ref().unwrap_or(&none).layers;
    let (mut integers, mut floats) = (Vec::new(), Vec::new());
    for node in network
        .nodes()
        .iter()
        .filter(|node| !node.parameters().is_empty())
    {
        let names = match quantized.contains_key(node.name()) {
            true => &mut integers,
            false => &mut floats,
        };
        names.push(node.name());
    }
    let stays = match floats.is_empty() {
        true => String::new(),
        false => format!("; as before: {}", listed(&floats)),
    };
    notice!(
        "version {number} of model \"{}\" computes in 8 bits: {}{stays}",
        version.model,
        listed(&integers)
    );
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = { names.iter().take(NAMED) }
        .map(|name| format!("\"{name}\""))
        .collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        others => format!("{} and {others} others", shown.join(", ")),
    }
}
