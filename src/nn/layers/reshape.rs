//! The values of a row, in the order they lie, seen as another shape; no parameters.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::nn::base::error::Error;
use crate::nn::base::shape::Shape;
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};

/// The type `reshape`.
pub(in crate::nn) const RESHAPE: LayerType = LayerType {
    name: "reshape",
    aliases: &[],
    settings: &["shape"],
    rank: Rank::Any,
    read,
};

/// The largest extent: what stays exact as a JSON number and in every product.
const MAX_EXTENT: f64 = 1e9;

/// One extent a vector's, two a sequence's, three an image's; `None` is whatever is left.
#[derive(Debug)]
struct Reshape {
    extents: Vec<Option<usize>>,
}

fn read(_: &'static str, settings: &Settings<'_>) -> Result<Arc<dyn Spec>, Error> {
    let fail = |message: &str| {
        Err(settings.error(
            message,
            "Write \"shape\": [values], [steps, features] or [channels, height, width], one of \
             them -1 for what is left.",
        ))
    };
    let list = match settings.get("shape") {
        None => return Err(settings.missing("shape")),
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let extents: Option<Vec<Option<usize>>> = list
        .iter()
        .map(|extent| match extent.as_f64() {
            Some(-1.0) => Some(None),
            Some(n) if n.fract() == 0.0 && (1.0..=MAX_EXTENT).contains(&n) => {
                Some(Some(n as usize))
            }
            _ => None,
        })
        .collect();
    let Some(extents) = extents else {
        return fail("\"shape\" must be whole numbers from 1 on, or -1");
    };
    if !(1..=3).contains(&extents.len()) {
        return fail("\"shape\" must have one, two or three numbers");
    }
    if extents.iter().filter(|extent| extent.is_none()).count() > 1 {
        return fail("\"shape\" has more than one -1");
    }
    if let [Some(height), Some(width), Some(channels @ (1 | 3 | 4))] = extents[..]
        && height == width
        && height > 4
    {
        return Err(settings.error(
            format!("\"shape\" [{height}, {width}, {channels}] has its channels last"),
            format!(
                "Images are channels × height × width: [{channels}, {height}, {width}], with the \
                 values in that order."
            ),
        ));
    }
    Ok(Arc::new(Reshape { extents }))
}

impl Spec for Reshape {
    fn type_name(&self) -> &'static str {
        RESHAPE.name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        let extents = self.extents.iter();
        let extents: Vec<Value> = extents
            .map(|extent| extent.map_or(json!(-1), |extent| json!(extent)))
            .collect();
        settings.insert("shape".to_owned(), json!(extents));
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let input = site.one()?;
        let known = self.extents.iter().flatten();
        let known = known.fold(1_usize, |product, n| product.saturating_mul(*n));
        let left = input.size() / known;
        let extents: Vec<usize> = self.extents.iter().map(|n| n.unwrap_or(left)).collect();
        let size = extents.iter().fold(1_usize, |n, m| n.saturating_mul(*m));
        if left == 0 || size != input.size() {
            let written: Vec<String> = self
                .extents
                .iter()
                .map(|n| n.map_or("-1".to_owned(), |n| n.to_string()))
                .collect();
            return Err(site.error(
                format!(
                    "its shape [{}] does not hold the {} values of {input}",
                    written.join(", "),
                    input.size()
                ),
                "The extents' product must be the number of values the layer reads; one may be -1.",
            ));
        }
        Ok(Built::View(match extents[..] {
            [steps, features] => Shape::Sequence { steps, features },
            [channels, height, width] => Shape::Image {
                channels,
                height,
                width,
            },
            _ => Shape::Vector(input.size()),
        }))
    }
}
