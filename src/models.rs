//! The architectures that are shipped: the files of `models/`, compiled in.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// The text of every file of `models/`, in the order of the files' names.
const FILES: &[&str] = include!(concat!(env!("OUT_DIR"), "/shipped_architectures.rs"));

/// An architecture that a training can name instead of writing it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shipped {
    /// What trainings call it.
    pub name: String,
    /// One sentence about it.
    pub description: String,
    /// Its layers, a JSON array as in a written architecture.
    pub layers: Value,
}

impl Shipped {
    /// The architecture as JSON: `{"layers": […]}`.
    pub fn architecture(&self) -> Value {
        json!({"layers": self.layers})
    }
}

static SHIPPED: LazyLock<Vec<Shipped>> = LazyLock::new(|| {
    FILES
        .iter()
        .filter_map(|text| {
            let file: Value = serde_json::from_str(text).ok()?;
            Some(Shipped {
                name: file["name"].as_str()?.to_owned(),
                description: file["description"].as_str()?.to_owned(),
                layers: file["layers"].as_array().cloned()?.into(),
            })
        })
        .collect()
});

/// All shipped architectures.
pub fn shipped() -> &'static [Shipped] {
    &SHIPPED
}

/// The shipped architecture of that name.
pub fn find(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|shipped| shipped.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_under_its_own_name() {
        assert_eq!(shipped().len(), FILES.len());
        for shipped in shipped() {
            assert_eq!(find(&shipped.name), Some(shipped));
            assert!(!shipped.description.is_empty());
        }
    }
}
