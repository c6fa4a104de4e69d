//! What a person is told about features: in a notice, as a grantee, as the owner.

use serde_json::{Map, Value, json};

use super::{Feature, FeatureSet, Fitted, Scale, Steps};

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
            Fitted::Vector { .. } => "vector",
            Fitted::Image { .. } => "image",
            Fitted::Sequence { .. } => "sequence",
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
                let scale = scale_words(*scale);
                let missing = if *indicator { ", missing flagged" } else { "" };
                format!("{name}: numeric, {scale}{missing}")
            }
            Fitted::OneHot { levels: l, .. } => format!("{name}: one-hot, {}", levels(l.len())),
            Fitted::Index { levels: l, .. } => format!("{name}: embedding, {}", levels(l.len())),
            Fitted::Vector { scale, center, .. } => {
                let scale = scale_words(*scale);
                format!("{name}: vector of {}, {scale}", center.len())
            }
            Fitted::Image {
                geometry,
                scale,
                mean,
                std,
                augment,
            } => {
                let [c, h, w] = geometry.output(geometry.shape.unwrap_or_default());
                let mut text = format!("{name}: image {c} × {h} × {w}");
                if *scale != 1.0 {
                    text.push_str(&format!(", divided by {scale}"));
                }
                if !mean.is_empty() || !std.is_empty() {
                    text.push_str(", normalised");
                }
                if augment.is_some() {
                    text.push_str(", augmented");
                }
                text
            }
            Fitted::Sequence {
                length,
                features,
                scale,
                tokens,
                ..
            } => match (tokens, features) {
                (Some(tokens), _) => format!(
                    "{name}: sequence of up to {length} tokens below {}",
                    tokens.known
                ),
                (None, 1) => format!(
                    "{name}: sequence of up to {length} numbers, {}",
                    scale_words(*scale)
                ),
                (None, features) => format!(
                    "{name}: sequence of up to {length} × {features} numbers, {}",
                    scale_words(*scale)
                ),
            },
            Fitted::Ignored { reason } => format!("{name}: left out, {reason}"),
        }
    }

    /// What whoever may call the model may see: name, type and treatment, of arrays the shape that
    /// a caller must give, of the features of `steps` what makes sequences of them; without
    /// anything else that was fitted.
    pub fn public(&self, steps: Option<&Steps>) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("name".to_owned(), json!(self.name));
        map.insert("type".to_owned(), json!(self.sql_type));
        map.insert("treatment".to_owned(), json!(self.treatment_name()));
        if let Some(steps) = steps {
            map.insert("sequence".to_owned(), json!(steps));
        }
        // What a caller must know of the arrays to give.
        match &self.treatment {
            Fitted::Vector { center, .. } => {
                map.insert("length".to_owned(), json!(center.len()));
            }
            Fitted::Image { geometry, .. } => {
                map.insert("shape".to_owned(), json!(geometry.shape));
                if geometry.channels_last {
                    map.insert("data_format".to_owned(), json!("channels_last"));
                }
                for (name, size) in [("resize", geometry.resize), ("crop", geometry.crop)] {
                    if let Some(size) = size {
                        map.insert(name.to_owned(), json!(size));
                    }
                }
            }
            Fitted::Sequence {
                length, features, ..
            } => {
                map.insert("length".to_owned(), json!(length));
                map.insert("features".to_owned(), json!(features));
            }
            _ => {}
        }
        map
    }
}

fn scale_words(scale: Scale) -> &'static str {
    match scale {
        Scale::None => "not scaled",
        scale => scale.name(),
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
                    Fitted::Vector {
                        scale,
                        center,
                        divisor,
                        missing,
                        low,
                        high,
                        clip,
                        ..
                    } => json!({
                        "scale": scale.name(), "center": center, "divisor": divisor,
                        "clip": clip, "missing": missing, "minimum": low, "maximum": high,
                    }),
                    Fitted::Image {
                        scale,
                        mean,
                        std,
                        augment,
                        ..
                    } => {
                        json!({"scale": scale, "mean": mean, "std": std, "augment": augment})
                    }
                    Fitted::Sequence {
                        tokens: Some(tokens),
                        ..
                    } => json!({"vocabulary": tokens.known, "other": tokens.other}),
                    Fitted::Sequence {
                        scale,
                        center,
                        divisor,
                        clip,
                        ..
                    } => json!({
                        "scale": scale.name(), "center": center, "divisor": divisor, "clip": clip,
                    }),
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
