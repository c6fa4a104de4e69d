//! The rows of a training's query, as the core has them.

use rayon::ThreadPool;

use super::order::Order;
use crate::artifact::Model;
use crate::features::{FeatureSet, Kind, Task};
use crate::nn::LossSpec;
use crate::pg::enum_labels::enum_labels;
use crate::pg::error::Result;
use crate::pg::rows::{
    ArrayReader, ColumnPlan, Elements, Lifetime, Query, Reader, ResultColumn, Source, Table,
    read_table,
};
use crate::pg::spelling::{self, Spelling};
use crate::pg::sql_type::is_name_of;
use crate::training::{Given, Options, Plan};

/// What a query gave.
pub(super) struct Rows {
    pub(super) plan: Plan,
    pub(super) table: Table,
    /// The columns that each of the query's comes from.
    pub(super) sources: Vec<(String, Vec<Source>)>,
}

/// What is to be read of a query.
pub(super) struct Planned<'p> {
    plan: Plan,
    sources: Vec<(String, Vec<Source>)>,
    /// The features that the training goes on with.
    kept: Option<&'p FeatureSet>,
}

impl<'p> Planned<'p> {
    /// Says of each column what it is for.
    ///
    /// # Errors
    /// Columns that are missing, or of a type that cannot be trained on.
    pub(super) fn new(
        query: &Query,
        order: &Order<'_>,
        task: Option<Task>,
        options: &mut Options,
        previous: Option<&'p Model>,
    ) -> Result<Planned<'p>> {
        let names = query.columns().iter().map(|column| column.name.clone());
        let sources = names.zip(query.sources()).collect();
        let type_of = |name: &str| {
            let mut columns = query.columns().iter();
            columns
                .find(|column| column.name == name)
                .map(|column| column.type_oid)
        };
        if let Some(spelled) = type_of(order.target).and_then(Spelling::of) {
            spelled.classes(options);
        }
        let features = order.features.clone();
        let features = features.map(|features| spelling::asked(features, type_of));
        let mut plan = Plan::new(
            &given_columns(query, previous),
            order.target,
            features.transpose()?.as_ref(),
            task,
            options,
            previous.map(|model| &model.features),
        )?;
        let kept = previous.map(|model| &model.features);
        let kept = kept.filter(|_| options.goes_on());
        if kept.is_none() {
            plan.settle_arrays(order.architecture)?;
        }
        plan.settle_precision(kept);
        if options.loss == Some(LossSpec::Ordinal) {
            let labels = type_of(order.target).map(enum_labels);
            plan.enum_labels = labels.transpose()?.flatten();
        }
        Ok(Planned {
            plan,
            sources,
            kept,
        })
    }

    /// Reads the query's rows. `memory` is the bytes that the training may use, half of which are for
    /// these rows; the other half is for what is made of them.
    ///
    /// # Errors
    /// Those of the query, and values that cannot be trained on.
    pub(super) fn read(
        self,
        query: &mut Query,
        memory: usize,
        pool: &ThreadPool,
        lifetime: Lifetime,
    ) -> Result<Rows> {
        let Planned {
            mut plan,
            sources,
            kept,
        } = self;
        let mut columns = column_plans(query, &plan, kept, memory);
        let sequence = plan.sequence.as_ref();
        if let Some(sequence) = sequence {
            query.sort(&sequence.by, &sequence.order)?;
        }
        let (target, room) = (Some(plan.at.target), (memory / 2, lifetime));
        let table = read_table(query, &mut columns, target, sequence, room, pool)?;
        plan.set_shapes(columns.iter().map(ColumnPlan::shape));
        Ok(Rows {
            plan,
            table,
            sources,
        })
    }
}

/// The query's columns as the core sees them. A type that an earlier version keeps under another name
/// goes by that one.
fn given_columns(query: &Query, previous: Option<&Model>) -> Vec<Given> {
    let kept = |column: &ResultColumn| {
        let features = &previous?.features;
        let feature = &features.features[features.position(&column.name)?];
        is_name_of(&feature.sql_type, column.type_oid).then(|| feature.sql_type.clone())
    };
    query
        .columns()
        .iter()
        .map(|column| Given {
            name: column.name.clone(),
            sql_type: kept(column).unwrap_or_else(|| column.type_name.clone()),
            origin: Reader::for_type(column.type_oid)
                .map(Reader::origin)
                .or_else(|| ArrayReader::for_type(column.type_oid).map(ArrayReader::origin)),
            element: Elements::for_type(column.type_oid).map(|elements| elements.reader.origin()),
        })
        .collect()
}

fn column_plans(
    query: &Query,
    plan: &Plan,
    kept: Option<&FeatureSet>,
    memory: usize,
) -> Vec<ColumnPlan> {
    let intakes = plan.intakes(kept, memory);
    let levels_kept = |at: usize| {
        let name = &plan.features.get(at)?.name;
        let feature = kept?.features.iter().find(|kept| kept.name == *name)?;
        feature.levels()
    };
    plan.reads
        .iter()
        .zip(intakes)
        .enumerate()
        .map(|(at, (read, intake))| {
            let type_oid = query.columns()[read.place].type_oid;
            let reader = Reader::for_type(type_oid);
            ColumnPlan {
                place: read.place,
                reader: reader.map(|reader| reader.spelled_as(levels_kept(at).unwrap_or_default())),
                elements: matches!(read.kind, Kind::Numbers | Kind::Labels)
                    .then(|| Elements::for_type(type_oid))
                    .flatten(),
                kind: read.kind,
                hashed: read.hashed,
                dictionary: read.dictionary.clone(),
                array: ArrayReader::for_type(type_oid).zip(intake),
            }
        })
        .collect()
}
