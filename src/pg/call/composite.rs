//! A row as the only argument of a call, its columns matched by name.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::convert::Convert;
use crate::features::{Encoder, Feature};
use crate::pg::error::Report;
use crate::pg::reader::Resolved;

/// The plan for a composite argument of one row type.
pub(super) struct Composite {
    row_type: pg_sys::Oid,
    modifier: i32,
    descriptor: OwnedDescriptor,
    /// For each feature its place in the row type and how it is read.
    columns: Vec<(usize, Convert)>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

/// A tuple descriptor of our own, outside any memory context of a query.
struct OwnedDescriptor(pg_sys::TupleDesc);

impl Drop for OwnedDescriptor {
    fn drop(&mut self) {
        // SAFETY: made by lookup_rowtype_tupdesc_copy in TopMemoryContext, freed once.
        unsafe { pg_sys::FreeTupleDesc(self.0) };
    }
}

/// The row type that a composite datum says it is of.
///
/// # Safety
/// `header` is a detoasted composite datum.
pub(super) unsafe fn row_type(header: pg_sys::HeapTupleHeader) -> (pg_sys::Oid, i32) {
    // SAFETY: a composite datum carries its type in the header.
    unsafe {
        let datum = (*header).t_choice.t_datum;
        (datum.datum_typeid, datum.datum_typmod)
    }
}

impl Composite {
    /// Whether this is the plan for rows of that type.
    pub(super) fn is_for(&self, row_type: pg_sys::Oid, modifier: i32) -> bool {
        (self.row_type, self.modifier) == (row_type, modifier)
    }

    pub(super) unsafe fn new(
        row_type: pg_sys::Oid,
        modifier: i32,
        features: &[Feature],
        resolved: &Resolved,
    ) -> Result<Composite, Report> {
        // SAFETY: the descriptor is copied to where it outlives the query that brought it.
        unsafe {
            let descriptor = {
                let outer = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
                let copy = pg_sys::lookup_rowtype_tupdesc_copy(row_type, modifier);
                pg_sys::MemoryContextSwitchTo(outer);
                OwnedDescriptor(copy)
            };
            let width = (*descriptor.0).natts as usize;
            let attributes: Vec<(String, pg_sys::Oid, bool)> =
                pgrx::PgTupleDesc::from_pg_unchecked(descriptor.0)
                    .iter()
                    .map(|a| (a.name().to_string(), a.atttypid, a.attisdropped))
                    .collect();
            let nameless = row_type == pg_sys::RECORDOID
                && attributes
                    .iter()
                    .enumerate()
                    .all(|(i, (name, _, _))| *name == format!("f{}", i + 1));
            let mut columns = Vec::with_capacity(features.len());
            for feature in features {
                let place = attributes
                    .iter()
                    .position(|(name, _, dropped)| !dropped && *name == feature.name);
                match place {
                    Some(place) => {
                        columns.push((place, Convert::new(feature, attributes[place].1, resolved)?))
                    }
                    None if nameless => {
                        return Err(Report::new(
                            Code::ERRCODE_INVALID_PARAMETER_VALUE,
                            format!(
                                "the ROW given to model \"{}\" has no column names",
                                resolved.label()
                            ),
                        )
                        .hint("Give a row of a table or subquery, or the features one by one."));
                    }
                    None => {
                        return Err(Report::new(
                            Code::ERRCODE_UNDEFINED_COLUMN,
                            format!(
                                "column \"{}\", a feature of model \"{}\", is missing from the row",
                                feature.name,
                                resolved.label()
                            ),
                        )
                        .hint("Give a row that has every feature of the model by name."));
                    }
                }
            }
            Ok(Composite {
                row_type,
                modifier,
                values: vec![pg_sys::Datum::from(0usize); width],
                nulls: vec![true; width],
                descriptor,
                columns,
            })
        }
    }

    /// # Safety
    /// `header` is a composite datum of the row type that was planned for.
    pub(super) unsafe fn encode(
        &mut self,
        header: pg_sys::HeapTupleHeader,
        encoder: &Encoder,
        row: &mut [f32],
    ) -> Result<(), Report> {
        // SAFETY: as the caller says; the tuple borrows the datum.
        unsafe {
            let mut tuple = pg_sys::HeapTupleData {
                t_len: pgrx::varsize_4b(header.cast()) as u32,
                t_data: header,
                ..Default::default()
            };
            pg_sys::heap_deform_tuple(
                &mut tuple,
                self.descriptor.0,
                self.values.as_mut_ptr(),
                self.nulls.as_mut_ptr(),
            );
            for (i, (place, convert)) in self.columns.iter_mut().enumerate() {
                convert.encode(i, self.values[*place], self.nulls[*place], encoder, row)?;
            }
        }
        Ok(())
    }
}
