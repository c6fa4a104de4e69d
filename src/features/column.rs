//! The columns of a training query as the core sees them.

use serde::{Deserialize, Serialize};

/// How a raw value is stored between reading and encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A number; NaN is a missing value. Booleans are 0 and 1, dates days, timestamps seconds.
    Number,
    /// A target's integer, in full: beyond 2⁵³ a float would take neighbours for one.
    Integer,
    /// A text, stored as its code in the column's [`Dictionary`](super::Dictionary).
    Category,
    /// An array of numbers; NaN is a missing one, an empty array a missing array.
    Array,
    /// An array of numbers in double precision, of a feature that is scaled or of a target.
    Numbers,
    /// A target's array of texts, each stored as its code.
    Labels,
}

impl Kind {
    /// Whether values are codes into a dictionary.
    pub fn is_coded(self) -> bool {
        matches!(self, Kind::Category | Kind::Labels)
    }

    /// Whether a row has as many values as its array.
    pub fn is_array(self) -> bool {
        matches!(self, Kind::Array | Kind::Numbers | Kind::Labels)
    }
}

/// The family of the column's SQL type, which decides what is done with it unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// smallint, integer, bigint, oid.
    Integer,
    /// real, double precision.
    Float,
    /// numeric.
    Numeric,
    /// boolean.
    Boolean,
    /// date.
    Date,
    /// timestamp with or without time zone.
    Timestamp,
    /// text, varchar, char.
    Text,
    /// Any enum.
    Enum,
    /// uuid.
    Uuid,
    /// An array of numbers, of any number of dimensions.
    NumberArray,
    /// An array of booleans.
    BooleanArray,
    /// bytea.
    Bytes,
}

impl Origin {
    /// Whether values of this family are numbers unless told otherwise.
    pub fn is_number(self) -> bool {
        !matches!(self, Origin::Text | Origin::Enum | Origin::Uuid) && !self.is_array()
    }

    /// Whether a value of this family is a day or a moment.
    pub fn is_time(self) -> bool {
        matches!(self, Origin::Date | Origin::Timestamp)
    }

    /// Whether a value of this family is many numbers.
    pub fn is_array(self) -> bool {
        matches!(
            self,
            Origin::NumberArray | Origin::BooleanArray | Origin::Bytes
        )
    }

    /// Whether a value of this family is an array of numbers or of truth values.
    pub fn is_numbers(self) -> bool {
        matches!(self, Origin::NumberArray | Origin::BooleanArray)
    }

    /// The storage of this family unless a request says otherwise.
    pub fn kind(self) -> Kind {
        if self.is_number() {
            Kind::Number
        } else if self.is_array() {
            Kind::Array
        } else {
            Kind::Category
        }
    }
}

/// Whether values of this family can be learnt as they are.
pub fn is_plain_number(origin: Origin) -> bool {
    matches!(
        origin,
        Origin::Integer | Origin::Float | Origin::Numeric | Origin::Boolean
    )
}

/// The shape that all arrays of a column have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrayShape {
    /// As many numbers in every row.
    Vector {
        /// How many.
        length: usize,
    },
    /// Planes of pixels.
    Image {
        /// Planes.
        channels: usize,
        /// Rows of a plane.
        height: usize,
        /// Columns of a plane.
        width: usize,
    },
    /// Any number of steps.
    Sequence {
        /// Numbers a step.
        features: usize,
    },
}

impl ArrayShape {
    /// An image of these channels, height and width.
    pub fn image([channels, height, width]: [usize; 3]) -> ArrayShape {
        ArrayShape::Image {
            channels,
            height,
            width,
        }
    }
}

/// One column of the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// The name of its type as `format_type` gives it, such as `double precision`.
    pub sql_type: String,
    /// How its raw values are stored.
    pub kind: Kind,
    /// The family of its type.
    pub origin: Origin,
    /// The shape of its arrays, which reading them tells; of images that the column holds, not of
    /// what is cropped from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ArrayShape>,
}

impl Column {
    /// Whether the numbers of its arrays are all of single precision.
    pub fn is_single(&self) -> bool {
        self.origin != Origin::NumberArray
            || matches!(self.sql_type.as_str(), "real[]" | "smallint[]")
    }

    /// A column stored the way its type suggests.
    pub fn new(name: impl Into<String>, sql_type: impl Into<String>, origin: Origin) -> Column {
        Column {
            name: name.into(),
            sql_type: sql_type.into(),
            kind: origin.kind(),
            origin,
            shape: None,
        }
    }
}
