//! What was found.

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Nothing where it is no model's.
    pub(crate) model: Option<String>,
    /// Nothing where it is no version's.
    pub(crate) version: Option<i32>,
    pub(crate) problem: String,
}

/// The problems found so far, and what is being looked at.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    model: Option<String>,
    version: Option<i32>,
}

impl Problems {
    /// What is found from here on is this model's.
    pub(super) fn of_model(&mut self, name: &str) {
        (self.model, self.version) = (Some(name.to_owned()), None);
    }

    /// What is found from here on is this version's of the model.
    pub(super) fn of_version(&mut self, number: i32) {
        self.version = Some(number);
    }

    /// What is found from here on is no model's.
    pub(super) fn of_none(&mut self) {
        (self.model, self.version) = (None, None);
    }

    pub(super) fn add(&mut self, problem: impl Into<String>) {
        self.found.push(Problem {
            model: self.model.clone(),
            version: self.version,
            problem: problem.into(),
        });
    }

    /// The problems, in the order of models and versions; what is no model's comes last.
    pub(super) fn all(mut self) -> Vec<Problem> {
        let key = |problem: &Problem| {
            let Problem { model, version, .. } = problem;
            (model.is_none(), model.clone(), *version)
        };
        self.found.sort_by_key(key);
        self.found
    }
}
