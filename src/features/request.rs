//! What the user asks of each column: the `features` argument.

use serde_json::{Map, Value};

use super::column::{Column, Kind, Origin};
use super::error::{Error, unknown};
use super::image::ImageSettings;
use super::rows::dictionary::Dictionary;
use super::sequence::SequenceSettings;
use super::settings::bad;
use super::treatments::{self, Known, Treatment};
use crate::nn::Rank;

/// A treatment that is not there yet, and is known all the same.
const TO_COME: &str = "text";

/// What is asked of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The treatment, settings filled in.
    pub treatment: Treatment,
    /// Whether the user named the column. Those not named may be left out automatically.
    pub named: bool,
    /// Whether the model's earlier versions read the column: that it looks like an identifier then
    /// says nothing, as the first training has judged otherwise.
    pub known: bool,
}

impl Request {
    /// The treatment that a column's type suggests.
    pub fn automatic(origin: Origin) -> Request {
        Request {
            treatment: (treatments::suiting(origin).unasked)(),
            named: false,
            known: false,
        }
    }

    /// The treatment of an array of numbers that the user did not name, where the architecture asks
    /// for images or sequences.
    pub fn set_rank(&mut self, origin: Origin, rank: Rank) {
        if self.named || !origin.is_numbers() {
            return;
        }
        match rank {
            Rank::Any => {}
            Rank::Image => self.treatment = Treatment::Image(ImageSettings::default()),
            Rank::Sequence => self.treatment = Treatment::Sequence(SequenceSettings::default()),
        }
    }

    /// Takes note of the vocabulary of the embedding that reads the column.
    pub fn set_vocabulary(&mut self, vocabulary: usize) {
        self.treatment.asked_mut().set_vocabulary(vocabulary);
    }

    /// As what a layer of the network reads the column.
    pub fn rank(&self) -> Rank {
        self.treatment.asked().rank()
    }

    /// Whether the column has arrays whose numbers are scaled, each by itself.
    pub fn is_scaled_array(&self) -> bool {
        self.treatment.asked().is_scaled_array()
    }

    /// The dictionary to read the column with: the levels that the treatment lists are in it
    /// from the start, so that they keep their codes however many other texts come first.
    pub fn dictionary(&self) -> Dictionary {
        self.treatment.asked().dictionary()
    }
}

/// How the raw values of a column are to be stored so that the request can be met: the texts of
/// a number that is to be categorical, else what the type suggests.
pub fn storage_kind(request: &Request, origin: Origin) -> Kind {
    request.treatment.asked().kind(origin)
}

/// Understands the `features` argument: one request a column, in the columns' order.
///
/// # Errors
/// Whatever is not an object of known columns, treatments and settings, naming the nearest known
/// word; a treatment that the column's type does not allow.
pub fn parse_requests(json: Option<&Value>, columns: &[Column]) -> Result<Vec<Request>, Error> {
    let empty = Map::new();
    let object = match json {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(object)) => object,
        Some(_) => {
            return Err(Error::invalid("features is not a JSON object").with_hint(
                "Write an object from column name to treatment, such as \
                 {\"age\": \"numeric\", \"purpose\": \"categorical\"}.",
            ));
        }
    };
    if let Some(name) = object
        .keys()
        .find(|name| !columns.iter().any(|c| c.name == **name))
    {
        let names = columns.iter().map(|c| c.name.as_str());
        return Err(unknown("column in features:", name, names));
    }
    columns
        .iter()
        .map(|column| match object.get(&column.name) {
            None => Ok(Request::automatic(column.origin)),
            Some(value) => parse_request(value, column),
        })
        .collect()
}

fn parse_request(value: &Value, column: &Column) -> Result<Request, Error> {
    let empty = Map::new();
    let (name, settings) = match value {
        Value::String(name) => (name.as_str(), &empty),
        Value::Object(settings) => {
            let name = match settings.get("type") {
                None => treatments::suiting(column.origin).of.name,
                Some(Value::String(name)) => name,
                Some(other) => return Err(bad(column, "type", other, "a treatment's name")),
            };
            (name, settings)
        }
        other => {
            return Err(Error::invalid(format!(
                "the treatment of column \"{}\" is {other}",
                column.name
            ))
            .with_hint("Name a treatment such as \"numeric\", or write an object with \"type\"."));
        }
    };
    let treatment = match treatments::find(name) {
        Some(known) if (known.of.takes)(column.origin) => (known.read)(settings, column)?,
        Some(known) => return Err(cannot(column, known.of.name)),
        None if name.eq_ignore_ascii_case(TO_COME) => return Err(cannot(column, TO_COME)),
        None => {
            let all = treatments::all();
            let names = all.iter().map(|known| known.of.name);
            return Err(unknown(
                &format!("treatment of column \"{}\":", column.name),
                name,
                names.chain([TO_COME]),
            ));
        }
    };
    Ok(Request {
        treatment,
        named: true,
        known: false,
    })
}

fn cannot(column: &Column, treatment: &str) -> Error {
    let mut possible: Vec<&Known> = treatments::all();
    possible.retain(|known| known.of.dimensions.is_some() && (known.of.takes)(column.origin));
    possible.sort_by_key(|known| known.of.dimensions);
    let names: Vec<String> = possible
        .iter()
        .map(|known| format!("\"{}\"", known.of.name))
        .collect();
    let names = match names.as_slice() {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        names => names.concat(),
    };
    Error::type_mismatch(
        format!(
            "column \"{}\" of type {} cannot be treated as \"{treatment}\"",
            column.name, column.sql_type
        ),
        format!("Treat it as {names}, or convert it in the query."),
    )
}
