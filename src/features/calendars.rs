//! Dates and timestamps with what comes round again, where nobody says.

use super::column::Origin;
use super::feature::Feature;
use super::numeric::{Calendar, Cycle};
use super::profile::Profile;
use super::request::Request;
use super::set::FeatureSet;
use super::treatments::{Fitted, Treatment};

/// Days that the training rows must span: what came round twice at least can be told from what was once.
const FOR_WEEKS: f64 = 28.0;
const FOR_YEARS: f64 = 731.0;
const FOR_DAYS: f64 = 7.0;
const SECONDS: f64 = 86_400.0;

impl FeatureSet {
    /// The features, of which dates and timestamps also say the day of the week, the month and the hour
    /// where the training rows have met all of these and nothing is said of it; `None` where none does.
    #[must_use]
    pub fn with_calendars(&self, requests: &[Request]) -> Option<FeatureSet> {
        let mut set = self.clone();
        let mut is_other = false;
        for (feature, request) in set.features.iter_mut().zip(requests) {
            let (Fitted::Numeric(number), Treatment::Numeric(settings)) =
                (&feature.treatment, &request.treatment)
            else {
                continue;
            };
            let cycles = cycles_met(feature);
            if settings.calendar.is_some() || cycles.is_empty() {
                continue;
            }
            feature.treatment = Fitted::Calendar(Calendar {
                number: number.clone(),
                seconds: feature.origin == Origin::Timestamp,
                cycles,
            });
            is_other = true;
        }
        let fits = FeatureSet::check_inputs(&set.features).is_ok();
        (is_other && fits).then_some(set)
    }

    /// The features that say what comes round again.
    pub fn calendars(&self) -> impl Iterator<Item = (usize, &str)> {
        let features = self.features.iter().enumerate();
        features.filter_map(|(at, feature)| match &feature.treatment {
            Fitted::Calendar(_) => Some((at, feature.name.as_str())),
            _ => None,
        })
    }
}

/// What of a date or timestamp came round again in the training rows.
fn cycles_met(feature: &Feature) -> Vec<Cycle> {
    let seconds = match feature.origin {
        Origin::Timestamp => true,
        Origin::Date => false,
        _ => return Vec::new(),
    };
    let Profile::Deciles { deciles, .. } = &feature.profile else {
        return Vec::new();
    };
    let (Some(first), Some(last)) = (deciles.first(), deciles.last()) else {
        return Vec::new();
    };
    let days = (last - first) / if seconds { SECONDS } else { 1.0 };
    let at_midnight = |moment: &f64| moment.rem_euclid(SECONDS) == 0.0;
    let is_met = |cycle: &Cycle| match cycle {
        Cycle::Week => days >= FOR_WEEKS,
        Cycle::Year => days >= FOR_YEARS,
        Cycle::Day => seconds && days >= FOR_DAYS && !deciles.iter().all(at_midnight),
    };
    Cycle::ALL.into_iter().filter(is_met).collect()
}
