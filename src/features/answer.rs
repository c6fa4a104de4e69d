//! What a network's outputs for a row mean, and what may be asked of which target.

use std::borrow::Cow;

use super::target::stored::Target;
use crate::metrics;

/// What a call wants of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A number: the regression's value or the positive class's probability.
    Value,
    /// The class.
    Class,
    /// A number for each class or output.
    All,
}

/// Why a target has no answer of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// One number for labels.
    Labels,
    /// One number for more than two classes.
    ManyClasses,
    /// One number for an array.
    SeveralOutputs,
    /// A class of a regression.
    NoClasses,
    /// All numbers of a regression that has one.
    OneOutput,
}

impl NoAnswer {
    /// What is to be said of the model.
    pub fn reason(self) -> &'static str {
        match self {
            NoAnswer::Labels => "predicts labels, any number of which apply",
            NoAnswer::ManyClasses => "has more than two classes",
            NoAnswer::SeveralOutputs => "has several outputs",
            NoAnswer::NoClasses => "is a regression and has no classes",
            NoAnswer::OneOutput => "is a regression with one output",
        }
    }
}

/// The positive class's probability: the only output of a sigmoid, the second of a softmax.
#[inline]
pub fn positive_probability(outputs: &[f32]) -> f64 {
    outputs.last().copied().map_or(f64::NAN, f64::from)
}

impl Target {
    /// Whether there is an answer of this kind.
    ///
    /// # Errors
    /// Why there is none.
    pub fn check_answer(&self, answer: Answer) -> Result<(), NoAnswer> {
        let outputs = self.head().units();
        match (answer, self.classes().len()) {
            (Answer::Value, 0) if outputs > 1 => Err(NoAnswer::SeveralOutputs),
            (Answer::Value, 1..) if self.is_array() => Err(NoAnswer::Labels),
            (Answer::Value, 3..) => Err(NoAnswer::ManyClasses),
            (Answer::Class, 0) => Err(NoAnswer::NoClasses),
            (Answer::All, 0) if outputs == 1 => Err(NoAnswer::OneOutput),
            _ => Ok(()),
        }
    }

    /// The one number of a row: a regression's value, or the positive class's probability.
    #[inline]
    pub fn value(&self, outputs: &[f32]) -> f64 {
        match self {
            Target::Regression { .. } => {
                self.decode(0, outputs.first().copied().unwrap_or(f32::NAN))
            }
            Target::Classes { .. } | Target::Labels { .. } => positive_probability(outputs),
        }
    }

    /// The place of the predicted class: by the threshold of two, the likeliest of more.
    pub fn predicted(&self, outputs: &[f32]) -> usize {
        match self {
            Target::Classes {
                positive: Some(positive),
                threshold,
                ..
            } => match metrics::is_positive(positive_probability(outputs), *threshold) {
                true => *positive,
                false => 1 - *positive,
            },
            _ => outputs
                .iter()
                .enumerate()
                .max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)))
                .map_or(0, |(i, _)| i),
        }
    }

    /// The predicted class; of several labels those predicted, as the text of an array; empty for
    /// a regression.
    pub fn predicted_class(&self, outputs: &[f32]) -> Cow<'_, str> {
        if let Target::Labels { .. } = self {
            return self.label_set(outputs).into();
        }
        let class = self.classes().get(self.predicted(outputs));
        class.map_or("", String::as_str).into()
    }

    /// A probability for each class or label in their order, or each output of a regression in its
    /// own unit.
    pub fn numbers(&self, outputs: &[f32]) -> Vec<f64> {
        match self {
            Target::Regression { .. } => outputs
                .iter()
                .enumerate()
                .map(|(i, &output)| self.decode(i, output))
                .collect(),
            Target::Classes {
                positive: Some(positive),
                ..
            } => {
                let p = positive_probability(outputs);
                match positive {
                    0 => vec![p, 1.0 - p],
                    _ => vec![1.0 - p, p],
                }
            }
            Target::Classes { .. } | Target::Labels { .. } => {
                outputs.iter().copied().map(f64::from).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, NoAnswer};
    use crate::features::{Origin, OutputScale, Scale, Target};

    fn classes(names: &[&str], positive: Option<usize>) -> Target {
        Target::Classes {
            column: "y".into(),
            sql_type: "text".into(),
            origin: Origin::Text,
            classes: names.iter().map(ToString::to_string).collect(),
            positive,
            threshold: 0.4,
            counts: Vec::new(),
            outputs_as_classes: false,
            ordered: false,
        }
    }

    fn regression(outputs: usize, array: bool) -> Target {
        let scale = OutputScale {
            center: 10.0,
            divisor: 2.0,
        };
        Target::Regression {
            column: "y".into(),
            sql_type: "double precision".into(),
            origin: Origin::Float,
            scale: Scale::Standard,
            outputs: vec![scale; outputs],
            array,
            quantiles: Vec::new(),
            family: None,
        }
    }

    fn labels() -> Target {
        Target::Labels {
            column: "y".into(),
            sql_type: "text[]".into(),
            origin: Origin::Text,
            labels: vec!["a".into(), "b".into()],
            threshold: 0.5,
            counts: Vec::new(),
            rows: 0,
        }
    }

    #[test]
    fn of_two_classes_the_threshold_decides_whichever_is_positive() {
        for (positive, other) in [(0, 1), (1, 0)] {
            let target = classes(&["no", "yes"], Some(positive));
            let name = |place: usize| ["no", "yes"][place];
            assert_eq!(target.value(&[0.25]), 0.25);
            assert_eq!(target.predicted(&[0.5]), positive);
            assert_eq!(target.predicted_class(&[0.5]), name(positive));
            assert_eq!(target.predicted_class(&[0.25]), name(other));
            assert_eq!(target.numbers(&[0.25])[positive], 0.25);
            assert_eq!(target.numbers(&[0.25])[other], 0.75);
            // Of a softmax the positive one is the last.
            assert_eq!(target.value(&[0.75, 0.25]), 0.25);
        }
    }

    #[test]
    fn of_more_classes_the_first_of_the_likeliest_is_predicted() {
        let target = classes(&["a", "b", "c"], None);
        assert_eq!(target.predicted(&[0.25, 0.5, 0.25]), 1);
        assert_eq!(target.predicted_class(&[0.375, 0.25, 0.375]), "a");
        assert_eq!(target.numbers(&[0.25, 0.5, 0.25]), [0.25, 0.5, 0.25]);
    }

    #[test]
    fn numbers_come_in_their_own_unit_and_labels_as_an_array() {
        assert_eq!(regression(1, false).value(&[1.5]), 13.0);
        assert!(regression(1, false).value(&[]).is_nan());
        assert_eq!(regression(1, false).predicted_class(&[1.0]), "");
        assert_eq!(regression(2, true).numbers(&[0.0, -1.0]), [10.0, 8.0]);
        assert_eq!(labels().predicted_class(&[0.25, 0.5]), "{b}");
        assert_eq!(labels().numbers(&[0.25, 0.5]), [0.25, 0.5]);
    }

    #[test]
    fn what_a_target_cannot_answer_is_told() {
        let refused = |target: Target| {
            [Answer::Value, Answer::Class, Answer::All]
                .map(|answer| target.check_answer(answer).err())
        };
        let (ok, no) = (None, Some);
        assert_eq!(refused(classes(&["a", "b"], Some(1))), [ok, ok, ok]);
        let three = refused(classes(&["a", "b", "c"], None));
        assert_eq!(three, [no(NoAnswer::ManyClasses), ok, ok]);
        assert_eq!(refused(labels()), [no(NoAnswer::Labels), ok, ok]);
        assert_eq!(
            refused(regression(1, false)),
            [ok, no(NoAnswer::NoClasses), no(NoAnswer::OneOutput)]
        );
        assert_eq!(
            refused(regression(3, true)),
            [no(NoAnswer::SeveralOutputs), no(NoAnswer::NoClasses), ok]
        );
    }
}
