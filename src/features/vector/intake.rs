//! Taking vectors in.

use crate::features::column::ArrayShape;
use crate::features::error::Error;
use crate::features::rows::arrays::{Arrays, Real};
use crate::features::treatment::TakesIn;

/// Takes in vectors, all of one length.
#[derive(Clone, Debug)]
pub(in crate::features) struct VectorIntake {
    /// That of the first row.
    pub length: Option<usize>,
}

impl TakesIn for VectorIntake {
    fn shape(&self) -> Option<ArrayShape> {
        self.length.map(|length| ArrayShape::Vector { length })
    }

    fn array<T: Real>(
        &mut self,
        column: &str,
        dims: &[usize],
        into: &mut Arrays<T>,
    ) -> Result<(), Error> {
        let count = dims.iter().product();
        let expected = *self.length.get_or_insert(count);
        if expected != count {
            return Err(Error::invalid(format!(
                "a vector in column \"{column}\" has {count} numbers, but the column's vectors \
                 have {expected}"
            ))
            .with_hint(
                "All arrays of a vector column have one length; arrays of any length can be \
                 treated as \"sequence\".",
            ));
        }
        into.close();
        Ok(())
    }

    fn empty<T: Real>(&mut self, column: &str, _into: &mut Arrays<T>) -> Result<(), Error> {
        Err(
            Error::invalid(format!("column \"{column}\" has an empty array"))
                .with_hint("A missing vector is NULL."),
        )
    }
}
