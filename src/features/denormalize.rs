//! By which sequence the outputs of a regression are turned back: one that is normalised by itself,
//! and whose numbers are of the target's unit.

use super::error::Error;
use super::feature::Feature;
use super::request::Request;
use super::sequence::{Denormalize, Instance, Sequence, SequenceSettings};
use super::set::FeatureSet;
use super::target::stored::OutputScale;
use super::treatments::{Fitted, Treatment};

/// A sequence that is normalised by itself, and what was asked of it.
struct Candidate<'a> {
    name: &'a str,
    at: usize,
    features: usize,
    asked: Option<Denormalize>,
}

impl FeatureSet {
    /// Settles by which sequence the outputs are turned back, of features fitted as `requests` ask, and
    /// gives the scale on which all outputs are then learnt: the sequence's. `None` where they are
    /// not; `may_be` tells whether the target's outputs have a unit.
    ///
    /// # Errors
    /// Several that they could be turned back by, or one that is asked for and cannot be.
    pub fn denormalize(
        &mut self,
        requests: &[Request],
        may_be: bool,
    ) -> Result<Option<OutputScale>, Error> {
        let normalized: Vec<Candidate<'_>> = (self.features.iter().zip(requests).enumerate())
            .filter_map(|(at, (feature, request))| {
                let (sequence, settings) = sequence_of(feature, request)?;
                sequence.instance?;
                Some(Candidate {
                    name: &feature.name,
                    at,
                    features: sequence.features,
                    asked: settings.denormalize,
                })
            })
            .collect();
        let Some((at, place)) = chosen(&normalized, may_be)? else {
            return Ok(None);
        };
        let Some(Feature {
            treatment: Fitted::Sequence(sequence),
            ..
        }) = self.features.get_mut(at)
        else {
            return Ok(None);
        };
        sequence.instance = Some(Instance {
            turned_back: Some(place),
        });
        let lane = (sequence.center.get(place)).zip(sequence.divisor.get(place));
        let scale = lane.map(|(&center, &divisor)| OutputScale { center, divisor });
        FeatureSet::check_inputs(&self.features)?;
        Ok(scale)
    }

    /// Whether the outputs are turned back by a sequence.
    pub fn turns_back(&self) -> bool {
        let by_it = |feature: &Feature| match &feature.treatment {
            Fitted::Sequence(sequence) => sequence.turned_back().is_some(),
            _ => false,
        };
        self.features.iter().any(by_it)
    }

    /// Whether there is a sequence that is normalised by itself.
    pub fn has_instances(&self) -> bool {
        let is_one = |feature: &Feature| match &feature.treatment {
            Fitted::Sequence(sequence) => sequence.instance.is_some(),
            _ => false,
        };
        self.features.iter().any(is_one)
    }

    /// The features with their only sequence normalised by itself, where nothing is said of it and it
    /// has one number a step.
    #[must_use]
    pub fn normalized(&self, requests: &[Request]) -> Option<FeatureSet> {
        let features = self.features.iter().zip(requests).enumerate();
        let mut sequences = features.filter_map(|(at, (feature, request))| {
            sequence_of(feature, request).map(|(sequence, settings)| (at, sequence, settings))
        });
        let (at, sequence, settings) = sequences.next()?;
        let is_open = settings.normalize.is_none() && sequence.tokens.is_none();
        if !is_open || sequence.features != 1 || sequences.next().is_some() {
            return None;
        }
        let mut set = self.clone();
        set.features[at].treatment = Fitted::Sequence(Sequence {
            instance: Some(Instance::default()),
            ..sequence.clone()
        });
        Some(set)
    }
}

/// A feature's sequence, and what was asked of it.
fn sequence_of<'a>(
    feature: &'a Feature,
    request: &'a Request,
) -> Option<(&'a Sequence, &'a SequenceSettings)> {
    match (&feature.treatment, &request.treatment) {
        (Fitted::Sequence(sequence), Treatment::Sequence(settings)) => Some((sequence, settings)),
        _ => None,
    }
}

/// The feature that the outputs are turned back by, and the number of its steps.
fn chosen(normalized: &[Candidate<'_>], may_be: bool) -> Result<Option<(usize, usize)>, Error> {
    let is_asked =
        |one: &&Candidate<'_>| matches!(one.asked, Some(Denormalize::Yes | Denormalize::By(_)));
    let asked: Vec<&Candidate<'_>> = normalized.iter().filter(is_asked).collect();
    if let (Some(one), false) = (asked.first(), may_be) {
        return Err(Error::invalid(format!(
            "setting \"denormalize\" of column \"{}\" goes with a regression by mse, mae, huber or \
             quantile",
            one.name
        ))
        .with_hint("Leave it out: nothing else has outputs of a sequence's unit."));
    }
    let open = normalized.iter().filter(|one| one.asked.is_none());
    let candidates: Vec<&Candidate<'_>> = match asked.is_empty() {
        false => asked,
        true if may_be => open.collect(),
        true => Vec::new(),
    };
    let (one, place) = match candidates.as_slice() {
        [] => return Ok(None),
        [one] => match one.asked {
            Some(Denormalize::By(place)) => (one, place),
            _ if one.features == 1 => (one, 0),
            _ => {
                return Err(Error::invalid(format!(
                    "the steps of column \"{}\" have {} numbers, and which of them the target is \
                     like is not said",
                    one.name, one.features
                ))
                .with_hint(
                    "Set \"denormalize\" to the place of that number in a step, from 1, or to false \
                     where it is of another unit than all.",
                ));
            }
        },
        [one, other, ..] => {
            return Err(Error::invalid(format!(
                "columns \"{}\" and \"{}\" are normalised by themselves, and which of them the \
                 target is like is not said",
                one.name, other.name
            ))
            .with_hint(
                "Set \"denormalize\" to true for one, or to false for all where the target is of \
                 another unit.",
            ));
        }
    };
    if place >= one.features {
        return Err(Error::invalid(format!(
            "setting \"denormalize\" of column \"{}\" is {}, but its steps have {} number{}",
            one.name,
            place + 1,
            one.features,
            if one.features == 1 { "" } else { "s" }
        ))
        .with_hint("It takes the place of a number in a step, from 1."));
    }
    Ok(Some((one.at, place)))
}
