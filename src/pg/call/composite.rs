//! A row as the only argument of a call, its columns matched by name.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::convert::Convert;
use super::step_order::StepOrder;
use crate::features::{Encoder, FeatureSet};
use crate::pg::error::Report;
use crate::pg::reader::Resolved;

/// The plan for a composite argument of one row type.
pub(super) struct Composite {
    row_type: RowType,
    descriptor: OwnedDescriptor,
    /// For each feature that is there its number, its place in the row type and how it is read.
    columns: Vec<(usize, usize, Convert)>,
    /// What tells whether rows that are steps come in their order.
    order: StepOrder,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

/// A row type as it was when a plan was made.
enum RowType {
    /// A record, whose modifier stands for its columns for as long as the session.
    Record(i32),
    /// A table's or a composite type, whose columns can change their names and types.
    Named {
        oid: pg_sys::Oid,
        /// What PostgreSQL keeps of the type, for as long as the session.
        entry: *const pg_sys::TypeCacheEntry,
        /// That of the columns: another one, or 0, as soon as PostgreSQL hears of a change.
        identifier: u64,
    },
}

impl RowType {
    /// The type of a composite datum as it is now.
    ///
    /// # Safety
    /// `header` is a detoasted composite datum.
    unsafe fn of(header: pg_sys::HeapTupleHeader) -> RowType {
        // SAFETY: a composite datum carries its type; entries of the type cache are never freed.
        unsafe {
            let datum = (*header).t_choice.t_datum;
            if datum.datum_typeid == pg_sys::RECORDOID {
                return RowType::Record(datum.datum_typmod);
            }
            let oid = datum.datum_typeid;
            let entry = pg_sys::lookup_type_cache(oid, pg_sys::TYPECACHE_TUPDESC as i32);
            RowType::Named {
                oid,
                entry,
                identifier: (*entry).tupDesc_identifier,
            }
        }
    }

    /// Whether a composite datum is of this type and the type still is as it was.
    ///
    /// # Safety
    /// As for [`RowType::of`].
    #[inline]
    unsafe fn is_of(&self, header: pg_sys::HeapTupleHeader) -> bool {
        // SAFETY: as in `of`.
        unsafe {
            let datum = (*header).t_choice.t_datum;
            match *self {
                RowType::Record(modifier) => {
                    datum.datum_typeid == pg_sys::RECORDOID && datum.datum_typmod == modifier
                }
                RowType::Named {
                    oid,
                    entry,
                    identifier,
                } => datum.datum_typeid == oid && (*entry).tupDesc_identifier == identifier,
            }
        }
    }

    /// Its OID and modifier, for a look-up. What stands in the place of the modifier in a datum of
    /// a named type is none: newer servers keep a part of the type's version there.
    fn key(&self) -> (pg_sys::Oid, i32) {
        match *self {
            RowType::Record(modifier) => (pg_sys::RECORDOID, modifier),
            RowType::Named { oid, .. } => (oid, -1),
        }
    }
}

/// A tuple descriptor of our own, outside any memory context of a query.
struct OwnedDescriptor(pg_sys::TupleDesc);

impl Drop for OwnedDescriptor {
    fn drop(&mut self) {
        // SAFETY: made by lookup_rowtype_tupdesc_copy in TopMemoryContext, freed once.
        unsafe { pg_sys::FreeTupleDesc(self.0) };
    }
}

impl Composite {
    /// The plan for a row: the one at hand where it is for rows of its type, else a new one in its
    /// place.
    ///
    /// # Errors
    /// A feature that the row has no column of, or one of a type that the feature cannot take.
    ///
    /// # Safety
    /// `header` is a detoasted composite datum.
    #[inline]
    pub(super) unsafe fn planned<'a>(
        plan: &'a mut Option<Composite>,
        header: pg_sys::HeapTupleHeader,
        features: &FeatureSet,
        resolved: &Resolved,
    ) -> Result<&'a mut Composite, Report> {
        // SAFETY: as the caller says.
        unsafe {
            if plan
                .as_ref()
                .is_some_and(|plan| !plan.row_type.is_of(header))
            {
                *plan = None;
            }
            match plan {
                Some(planned) => Ok(planned),
                None => Ok(plan.insert(Composite::new(header, features, resolved)?)),
            }
        }
    }

    #[cold]
    unsafe fn new(
        header: pg_sys::HeapTupleHeader,
        features: &FeatureSet,
        resolved: &Resolved,
    ) -> Result<Composite, Report> {
        // SAFETY: the descriptor is copied to where it outlives the query that brought it.
        unsafe {
            let row_type = RowType::of(header);
            let descriptor = {
                let (oid, modifier) = row_type.key();
                let outer = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
                let copy = pg_sys::lookup_rowtype_tupdesc_copy(oid, modifier);
                pg_sys::MemoryContextSwitchTo(outer);
                OwnedDescriptor(copy)
            };
            let width = (*descriptor.0).natts as usize;
            let attributes: Vec<(String, pg_sys::Oid, bool)> =
                pgrx::PgTupleDesc::from_pg_unchecked(descriptor.0)
                    .iter()
                    .map(|a| (a.name().to_string(), a.atttypid, a.attisdropped))
                    .collect();
            let nameless = matches!(row_type, RowType::Record(_))
                && attributes
                    .iter()
                    .enumerate()
                    .all(|(i, (name, _, _))| *name == format!("f{}", i + 1));
            let place_of = |wanted: &str| {
                attributes
                    .iter()
                    .position(|(name, _, dropped)| !dropped && name == wanted)
            };
            let orders = features.steps.iter().flat_map(|steps| &steps.order);
            let used = features.features.iter().filter(|feature| feature.is_used());
            let mut needed = used.map(|feature| &feature.name).chain(orders);
            let is_twice = |wanted: &&String| {
                let named = |(name, _, dropped): &&(String, _, bool)| !dropped && name == *wanted;
                attributes.iter().filter(named).nth(1).is_some()
            };
            if let Some(name) = needed.find(is_twice) {
                return Err(Report::new(
                    Code::ERRCODE_DUPLICATE_COLUMN,
                    format!(
                        "the row given to model \"{}\" has two columns named \"{name}\"",
                        resolved.label()
                    ),
                )
                .hint("Give each column of the row a name of its own with AS."));
            }
            let mut columns = Vec::with_capacity(features.features.len());
            for (i, feature) in features.features.iter().enumerate() {
                match place_of(&feature.name) {
                    Some(place) => {
                        let convert = Convert::new(feature, attributes[place].1, resolved)?;
                        columns.push((i, place, convert));
                    }
                    // What the network does not see need not be there.
                    None if !feature.is_used() => {}
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
            let order = features.steps.iter().flat_map(|steps| &steps.order);
            let order = StepOrder::new(order.map_while(|name| {
                let place = place_of(name)?;
                Some((name.as_str(), place, attributes[place].1))
            }));
            Ok(Composite {
                row_type,
                order,
                values: vec![pg_sys::Datum::from(0usize); width],
                nulls: vec![true; width],
                descriptor,
                columns,
            })
        }
    }

    /// Writes the features of a row.
    ///
    /// # Errors
    /// An array that its feature cannot take.
    ///
    /// # Safety
    /// `header` is a detoasted composite datum of the row type that was planned for.
    pub(super) unsafe fn encode(
        &mut self,
        header: pg_sys::HeapTupleHeader,
        encoder: &Encoder,
        row: &mut [f32],
    ) -> Result<(), Report> {
        // SAFETY: as the caller says.
        unsafe {
            self.take_apart(header);
            self.encode_values(encoder, row)
        }
    }

    /// Whether steps of this row type tell their order.
    pub(super) fn tells_order(&self) -> bool {
        !self.order.is_empty()
    }

    /// The order of steps as it is written behind ORDER BY, of rows called `t`.
    pub(super) fn step_order(&self) -> String {
        self.order.written()
    }

    /// Writes the features of a step, if there is a place for them, and looks whether it comes in
    /// its order behind the step before it; the first one has none before it. `Some` is the name of
    /// the column that falls.
    ///
    /// # Errors
    /// As for [`Composite::encode`].
    ///
    /// # Safety
    /// As for [`Composite::encode`]; the steps before it are still there.
    pub(super) unsafe fn encode_step(
        &mut self,
        header: pg_sys::HeapTupleHeader,
        is_first: bool,
        encoder: &Encoder,
        place: Option<&mut [f32]>,
    ) -> Result<Option<&str>, Report> {
        // SAFETY: as the caller says.
        unsafe {
            self.take_apart(header);
            if let Some(place) = place {
                self.encode_values(encoder, place)?;
            }
            if is_first {
                self.order.begin();
            }
            Ok(self.order.falls(&self.values, &self.nulls))
        }
    }

    /// # Safety
    /// As for [`Composite::encode`]; the values borrow the datum.
    unsafe fn take_apart(&mut self, header: pg_sys::HeapTupleHeader) {
        // SAFETY: as the caller says.
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
        }
    }

    /// # Safety
    /// The values are those of a row that is still there.
    unsafe fn encode_values(&mut self, encoder: &Encoder, row: &mut [f32]) -> Result<(), Report> {
        for (i, place, convert) in &mut self.columns {
            // SAFETY: as the caller says.
            unsafe { convert.encode(*i, self.values[*place], self.nulls[*place], encoder, row)? };
        }
        Ok(())
    }
}
