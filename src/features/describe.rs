//! What a person is told about features: in a notice, as a grantee, as the owner.

use serde_json::{Map, Value, json};

use super::{Feature, FeatureSet, Fitted, Steps};

impl Feature {
    /// Whether the network sees it.
    pub fn is_used(&self) -> bool {
        !matches!(self.treatment, Fitted::Ignored { .. })
    }

    /// The name of its treatment, as the `features` argument takes it.
    pub fn treatment_name(&self) -> &'static str {
        match self.treatment {
            Fitted::Numeric { .. } => "numeric",
            Fitted::OneHot { .. } | Fitted::Index { .. } => "categorical",
            Fitted::Ignored { .. } => "ignore",
        }
    }

    /// Its treatment in a few words: `age: numeric, standard`.
    pub fn describe(&self) -> String {
        let name = &self.name;
        let levels = |n: usize| format!("{n} level{}", if n == 1 { "" } else { "s" });
        match &self.treatment {
            Fitted::Numeric {
                scale, indicator, ..
            } => {
                let scale = match scale {
                    super::Scale::None => "not scaled",
                    scale => scale.name(),
                };
                let missing = if *indicator { ", missing flagged" } else { "" };
                format!("{name}: numeric, {scale}{missing}")
            }
            Fitted::OneHot { levels: l, .. } => format!("{name}: one-hot, {}", levels(l.len())),
            Fitted::Index { levels: l, .. } => format!("{name}: embedding, {}", levels(l.len())),
            Fitted::Ignored { reason } => format!("{name}: left out, {reason}"),
        }
    }

    fn public(&self, steps: Option<&Steps>) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("name".to_owned(), json!(self.name));
        map.insert("type".to_owned(), json!(self.sql_type));
        map.insert("treatment".to_owned(), json!(self.treatment_name()));
        if let Some(steps) = steps {
            map.insert("sequence".to_owned(), json!(steps));
        }
        map
    }
}

impl FeatureSet {
    /// What whoever may call the model may see: an array of names, types and treatments in call
    /// order, without anything that was fitted; those of a sequence's steps with its length and
    /// the columns that told sequences apart and ordered their steps.
    pub fn public_json(&self) -> Value {
        self.features
            .iter()
            .map(|feature| Value::Object(feature.public(self.steps.as_ref())))
            .collect()
    }

    /// What the owner sees: [`public_json`](FeatureSet::public_json) with scales, ranges, levels
    /// and the reasons for what is left out.
    pub fn owner_json(&self) -> Value {
        self.features
            .iter()
            .map(|feature| {
                let mut map = feature.public(self.steps.as_ref());
                let more = match &feature.treatment {
                    Fitted::Numeric {
                        scale,
                        center,
                        divisor,
                        missing,
                        low,
                        high,
                        indicator,
                        clip,
                    } => json!({
                        "scale": scale.name(), "center": center, "divisor": divisor,
                        "clip": clip, "missing": missing, "indicator": indicator,
                        "minimum": low, "maximum": high,
                    }),
                    Fitted::OneHot { levels, exact } => {
                        json!({"encoding": "one_hot", "levels": levels, "other": !exact})
                    }
                    Fitted::Index { levels, .. } => {
                        json!({"encoding": "embedding", "levels": levels})
                    }
                    Fitted::Ignored { reason } => json!({"reason": reason}),
                };
                if let Value::Object(more) = more {
                    map.extend(more);
                }
                Value::Object(map)
            })
            .collect()
    }
}
