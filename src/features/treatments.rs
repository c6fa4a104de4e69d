//! The treatments that there are, each a room of its own.
//!
//! A new one is one room and one line in the table.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::category::Category;
use super::column::{ArrayShape, Column, Origin};
use super::error::Error;
use super::numeric::Number;
use super::rows::arrays::{Arrays, Real};
use super::rows::dictionary::Dictionary;
use super::treatment::{Asked, Encodes, Learnt, Site, Strip, TakesIn, Told, TreatmentType};

/// Makes of the table what knows all treatments: what can be asked of a column, and what is then
/// stored, takes arrays in and encodes values. In the table stand a room, the name of what is asked
/// and its settings, and what is fitted of it.
macro_rules! treatments {
    ($($room:ident: $asked:ident($settings:ident) => $($fitted:ident),+;)+) => {
        /// The treatment of one column as it is asked for.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Treatment {
            $(
                #[doc = concat!("Settings of the room `", stringify!($room), "`.")]
                $asked(super::$room::$settings),
            )+
        }

        /// The fitted treatment of a column.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        pub enum Fitted {
            $($(
                #[doc = concat!("What the room `", stringify!($room), "` has fitted.")]
                $fitted(super::$room::$fitted),
            )+)+
        }

        /// Takes in the arrays of a column that is treated so.
        #[derive(Clone, Debug)]
        pub(super) enum AnyIntake {
            $($asked(<super::$room::$settings as Asked>::Intake),)+
        }

        /// Encodes the values of a feature that is treated so.
        #[derive(Clone, Debug)]
        pub(super) enum AnyEncoder {
            $($($fitted(<super::$room::$fitted as Learnt>::Encoder),)+)+
        }

        /// The treatments by name.
        const TREATMENTS: &[Known] = &[
            $(
                Known {
                    of: &super::$room::TREATMENT,
                    unasked: || Treatment::$asked(Default::default()),
                    read: |settings, column| {
                        <super::$room::$settings as Asked>::read(settings, column).map(Treatment::$asked)
                    },
                    told: |told| <super::$room::$settings as Asked>::told(told).map(Fitted::from),
                },
            )+
        ];

        impl Treatment {
            /// What is asked, whichever treatment it is.
            pub(super) fn asked(&self) -> &dyn Asked {
                match self {
                    $(Treatment::$asked(settings) => settings,)+
                }
            }

            pub(super) fn asked_mut(&mut self) -> &mut dyn Asked {
                match self {
                    $(Treatment::$asked(settings) => settings,)+
                }
            }

            /// Fits it to what was gathered.
            ///
            /// # Errors
            /// Values that cannot be treated so.
            pub(super) fn fit(&self, site: &Site<'_>) -> Result<Fitted, Error> {
                match self {
                    $(Treatment::$asked(settings) => settings.fit(site).map(Fitted::from),)+
                }
            }

            /// What takes in arrays that are to be treated so.
            pub(super) fn intake(&self, memory: usize) -> AnyIntake {
                match self {
                    $(Treatment::$asked(settings) => AnyIntake::$asked(settings.intake(memory)),)+
                }
            }
        }

        impl Fitted {
            /// What is fitted, whichever treatment it is.
            pub(super) fn learnt(&self) -> &dyn Learnt {
                match self {
                    $($(Fitted::$fitted(fitted) => fitted,)+)+
                }
            }

            /// What takes in arrays as it was fitted to them.
            pub(super) fn intake(&self, memory: usize) -> AnyIntake {
                match self {
                    $($(Fitted::$fitted(fitted) => AnyIntake::$asked(fitted.intake(memory)),)+)+
                }
            }

            /// What encodes the values of a column that is treated so.
            pub(super) fn encoder(&self, column: &Column) -> AnyEncoder {
                match self {
                    $($(Fitted::$fitted(fitted) => AnyEncoder::$fitted(fitted.encoder(column)),)+)+
                }
            }
        }

        $($(
            impl From<super::$room::$fitted> for Fitted {
                fn from(fitted: super::$room::$fitted) -> Fitted {
                    Fitted::$fitted(fitted)
                }
            }
        )+)+

        impl TakesIn for AnyIntake {
            fn skips(&self) -> bool {
                match self {
                    $(AnyIntake::$asked(intake) => intake.skips(),)+
                }
            }

            fn shape(&self) -> Option<ArrayShape> {
                match self {
                    $(AnyIntake::$asked(intake) => intake.shape(),)+
                }
            }

            fn array<T: Real>(
                &mut self,
                column: &str,
                dims: &[usize],
                into: &mut Arrays<T>,
            ) -> Result<(), Error> {
                match self {
                    $(AnyIntake::$asked(intake) => intake.array(column, dims, into),)+
                }
            }

            fn empty<T: Real>(
                &mut self,
                column: &str,
                into: &mut Arrays<T>,
            ) -> Result<(), Error> {
                match self {
                    $(AnyIntake::$asked(intake) => intake.empty(column, into),)+
                }
            }

            fn bytes<T: Real>(
                &mut self,
                column: &str,
                bytes: &[u8],
                into: &mut Arrays<T>,
            ) -> Result<(), Error> {
                match self {
                    $(AnyIntake::$asked(intake) => intake.bytes(column, bytes, into),)+
                }
            }

            fn missing<T: Real>(
                &mut self,
                column: &str,
                into: &mut Arrays<T>,
            ) -> Result<(), Error> {
                match self {
                    $(AnyIntake::$asked(intake) => intake.missing(column, into),)+
                }
            }
        }

        impl Encodes for AnyEncoder {
            #[inline]
            fn number(&self, value: f64, row: &mut [f32], offset: usize) {
                match self {
                    $($(AnyEncoder::$fitted(encoder) => encoder.number(value, row, offset),)+)+
                }
            }

            #[inline]
            fn category(&self, text: Option<&str>, inputs: &mut [f32]) {
                match self {
                    $($(AnyEncoder::$fitted(encoder) => encoder.category(text, inputs),)+)+
                }
            }

            #[inline]
            fn array<T: Real>(&self, array: &[T], inputs: &mut [f32]) -> Result<(), Error> {
                match self {
                    $($(AnyEncoder::$fitted(encoder) => encoder.array(array, inputs),)+)+
                }
            }

            fn strip(&self, strip: Strip<'_>) -> Result<(), Error> {
                match self {
                    $($(AnyEncoder::$fitted(encoder) => encoder.strip(strip),)+)+
                }
            }

            fn is_level(&self, text: &str) -> bool {
                match self {
                    $($(AnyEncoder::$fitted(encoder) => encoder.is_level(text),)+)+
                }
            }

            fn codes(&self, dictionary: &Dictionary) -> Option<Vec<u32>> {
                match self {
                    $($(AnyEncoder::$fitted(encoder) => encoder.codes(dictionary),)+)+
                }
            }

            fn size_bytes(&self) -> usize {
                match self {
                    $($(AnyEncoder::$fitted(encoder) => encoder.size_bytes(),)+)+
                }
            }
        }
    };
}

treatments! {
    numeric: Numeric(NumericSettings) => Numeric, Calendar;
    category: Categorical(CategoricalSettings) => OneHot, Index;
    vector: Vector(VectorSettings) => Vector;
    image: Image(ImageSettings) => Image;
    sequence: Sequence(SequenceSettings) => Sequence;
    ignored: Ignore(IgnoreSettings) => Ignored;
}

impl From<Number> for Fitted {
    fn from(number: Number) -> Fitted {
        match number {
            Number::Plain(fitted) => Fitted::Numeric(fitted),
            Number::Calendar(fitted) => Fitted::Calendar(fitted),
        }
    }
}

impl From<Category> for Fitted {
    fn from(category: Category) -> Fitted {
        match category {
            Category::OneHot(fitted) => Fitted::OneHot(fitted),
            Category::Index(fitted) => Fitted::Index(fitted),
        }
    }
}

/// A treatment as the table has it.
pub(super) struct Known {
    /// What it is.
    pub of: &'static TreatmentType,
    /// What is asked where nothing is.
    pub unasked: fn() -> Treatment,
    /// Understands what is asked.
    pub read: fn(&Map<String, Value>, &Column) -> Result<Treatment, Error>,
    /// Understands what is said to have been fitted.
    pub told: fn(&Told<'_>) -> Result<Fitted, Error>,
}

/// The treatment of this name, in any case.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    let mut known = TREATMENTS.iter();
    known.find(|known| known.of.name.eq_ignore_ascii_case(name))
}

/// The treatment of a column of this family unless told otherwise.
pub(super) fn suiting(origin: Origin) -> &'static Known {
    let mut known = TREATMENTS.iter();
    let suiting = known.find(|known| (known.of.suits)(origin));
    suiting.unwrap_or(&TREATMENTS[0])
}

/// The treatments in the order in which messages name them: those of single values first.
pub(super) fn all() -> Vec<&'static Known> {
    let mut known: Vec<&Known> = TREATMENTS.iter().collect();
    known.sort_by_key(|known| known.of.dimensions.is_some_and(|count| count > 0));
    known
}

#[cfg(test)]
mod tests {
    use super::{Origin, TREATMENTS, find};

    #[test]
    fn names_are_told_apart_and_one_treatment_suits_each_type() {
        for known in TREATMENTS {
            let found = find(&known.of.name.to_uppercase()).expect(known.of.name);
            assert_eq!(found.of.name, known.of.name);
        }
        for origin in [
            Origin::Integer,
            Origin::Float,
            Origin::Numeric,
            Origin::Boolean,
            Origin::Date,
            Origin::Timestamp,
            Origin::Text,
            Origin::Enum,
            Origin::Uuid,
            Origin::NumberArray,
            Origin::BooleanArray,
            Origin::Bytes,
        ] {
            let suiting = TREATMENTS.iter().filter(|known| (known.of.suits)(origin));
            let names: Vec<&str> = suiting.map(|known| known.of.name).collect();
            assert!(matches!(names[..], [_]), "{origin:?}: {names:?}");
            assert!((find(names[0]).expect("it").of.takes)(origin), "{origin:?}");
        }
    }
}
