//! The values of a row as one vector, in the order they lie: channels, lines, columns of an image,
//! steps and features of a sequence; no parameters.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::shape::Shape;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};

/// The type `flatten`.
pub(in crate::nn) const FLATTEN: LayerType = LayerType {
    name: "flatten",
    aliases: &[],
    settings: &[],
    rank: Rank::Any,
    read: |_, _| Ok(Arc::new(Flatten)),
};

#[derive(Debug)]
struct Flatten;

impl Spec for Flatten {
    fn type_name(&self) -> &'static str {
        FLATTEN.name
    }

    fn write(&self, _: &mut Map<String, Value>) {}

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        Ok(Built::View(Shape::Vector(site.one()?.size())))
    }
}
