//! Whether a new version is better than the one that is deployed, by what both were judged with.

use serde_json::Value;

/// The metrics that versions are compared by, the first that both have: whether more is better.
const METRICS: [(&str, bool); 8] = [
    ("auc", true),
    ("log_loss", false),
    ("pinball_loss", false),
    ("poisson_deviance", false),
    ("gamma_deviance", false),
    ("rmse", false),
    ("accuracy", true),
    ("f1", true),
];

/// The one of them that is a mean over the exposure, so that it has its unit.
const OF_EXPOSURE: &str = "poisson_deviance";

/// What a version was judged with when it was made.
#[derive(Debug, Clone, Copy)]
pub struct Figures<'a> {
    /// The metrics by name; null where one is not defined.
    pub metrics: &'a Value,
    /// How many rows were held out: without any, the metrics are of the training rows.
    pub rows_validated: u64,
    /// What its numbers are over: a deviance is for 1 of it.
    pub exposure: Option<&'a str>,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// Both have the metric on rows that were held out.
    By {
        /// Its name.
        metric: &'static str,
        /// What the new version has.
        new: f64,
        /// What the deployed one has.
        deployed: f64,
        /// Whether the new one is better; equal is not better.
        better: bool,
    },
    /// There is nothing to compare by, and why.
    Nothing(&'static str),
}

/// Compares a new version with the deployed one.
pub fn compare(new: Figures<'_>, deployed: Figures<'_>) -> Comparison {
    if new.rows_validated == 0 {
        return Comparison::Nothing("it was trained without validation rows");
    }
    if deployed.rows_validated == 0 {
        return Comparison::Nothing("the deployed version has no figures of validation rows");
    }
    let value = |figures: Figures<'_>, metric| figures.metrics.get(metric).and_then(Value::as_f64);
    let alike = |metric| metric != OF_EXPOSURE || new.exposure == deployed.exposure;
    METRICS
        .iter()
        .filter(|(metric, _)| alike(*metric))
        .find_map(|&(metric, more_is_better)| {
            let (new, deployed) = (value(new, metric)?, value(deployed, metric)?);
            let better = if more_is_better {
                new > deployed
            } else {
                new < deployed
            };
            Some(Comparison::By {
                metric,
                new,
                deployed,
                better,
            })
        })
        .unwrap_or(Comparison::Nothing("the two have no metric in common"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Comparison, Figures, compare};

    fn better(new: &Value, deployed: &Value) -> Option<(&'static str, bool)> {
        let figures = |metrics| Figures {
            metrics,
            rows_validated: 10,
            exposure: None,
        };
        match compare(figures(new), figures(deployed)) {
            Comparison::By { metric, better, .. } => Some((metric, better)),
            Comparison::Nothing(_) => None,
        }
    }

    #[test]
    fn the_first_common_metric_decides() {
        let (low, high) = (
            json!({"auc": 0.7, "rmse": 1}),
            json!({"auc": 0.8, "rmse": 2}),
        );
        assert_eq!(better(&high, &low), Some(("auc", true)));
        assert_eq!(better(&low, &high), Some(("auc", false)));
        assert_eq!(better(&low, &low), Some(("auc", false)));
        let undefined = json!({"auc": null, "rmse": 1.5});
        assert_eq!(better(&low, &undefined), Some(("rmse", true)));
        assert_eq!(better(&undefined, &low), Some(("rmse", false)));
        assert_eq!(better(&json!({"mape": 1}), &low), None);
    }

    #[test]
    fn a_deviance_over_another_exposure_does_not_count() {
        let (low, high) = (
            json!({"poisson_deviance": 0.1, "rmse": 2}),
            json!({"poisson_deviance": 1.2, "rmse": 1}),
        );
        let by = |exposures: [Option<&'static str>; 2]| {
            let [new, deployed] = [(&low, exposures[0]), (&high, exposures[1])];
            let figures = |(metrics, exposure)| Figures {
                metrics,
                rows_validated: 10,
                exposure,
            };
            match compare(figures(new), figures(deployed)) {
                Comparison::By { metric, better, .. } => (metric, better),
                Comparison::Nothing(why) => panic!("{why}"),
            }
        };
        assert_eq!(by([None, None]), ("poisson_deviance", true));
        assert_eq!(
            by([Some("years"), Some("years")]),
            ("poisson_deviance", true)
        );
        assert_eq!(by([Some("months"), None]), ("rmse", false));
        assert_eq!(by([Some("months"), Some("years")]), ("rmse", false));
    }

    #[test]
    fn figures_of_training_rows_do_not_count() {
        let metrics = json!({"auc": 0.9});
        let [some, none] = [5, 0].map(|rows_validated| Figures {
            metrics: &metrics,
            rows_validated,
            exposure: None,
        });
        assert!(matches!(compare(none, some), Comparison::Nothing(_)));
        assert!(matches!(compare(some, none), Comparison::Nothing(_)));
    }
}
