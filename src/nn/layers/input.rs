//! Columns of the row; no layer computes them: a network's builder finds where they stand.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::nn::base::error::Error;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};

/// The type `input`.
pub(in crate::nn) const INPUT: LayerType = LayerType {
    name: "input",
    aliases: &["inputlayer"],
    settings: &["features"],
    rank: Rank::Any,
    read: |_, settings| {
        Ok(Arc::new(InputSpec {
            features: settings.names("features")?,
        }))
    },
};

/// Settings of an input layer.
#[derive(Debug, Clone)]
pub struct InputSpec {
    /// The features by name, in the order the network reads them; `None`: all that are not encoded
    /// as level indexes.
    pub features: Option<Vec<String>>,
}

impl Spec for InputSpec {
    fn type_name(&self) -> &'static str {
        INPUT.name
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        if let Some(features) = &self.features {
            settings.insert("features".into(), json!(features));
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        Err(site.error(
            "an input layer reads columns, not other layers",
            "Name the columns in \"features\", or remove the layer.",
        ))
    }
}
