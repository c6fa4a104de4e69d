//! Which columns of tables the columns of a query are made from.
//!
//! A value is made from what its expression reads, and from what decides which value it is: which rows
//! a subquery, an aggregate or a window is of; which rows of the joined tables go together, or find
//! none in an outer join; what chooses among the rows of a join (DISTINCT ON, LIMIT, HAVING, a window's
//! number); and, of a constant, which of the arms of a UNION it stands in. What only decides whether a
//! row is there, as a WHERE does, or a DISTINCT ON over one table, is no source.

mod choices;
mod query_tree;
mod reads;
mod rows;
mod search;
mod source;

use std::collections::HashMap;
use std::rc::Rc;

use pgrx::{PgList, pg_sys};

use query_tree::list;
use reads::Fields;
use search::{Scope, Search};

pub use source::Source;

/// The sources of each column of a statement's result, in order. Views, materialized ones, subqueries
/// and CTEs are looked through; functions that return rows are not.
///
/// # Safety
/// A plan of SPI's that is still there.
pub(super) unsafe fn sources_of(plan: pg_sys::SPIPlanPtr, columns: usize) -> Vec<Vec<Source>> {
    // SAFETY: as the caller says: its queries are analysed and rewritten.
    unsafe {
        let plans = list::<pg_sys::CachedPlanSource>(pg_sys::SPI_plan_get_plan_sources(plan));
        let queries = plans.last().map(|&last| (*last).query_list);
        let queries = queries.map(|queries| list::<pg_sys::Query>(queries));
        let Some(query) = queries.and_then(|queries| queries.last().copied()) else {
            return vec![Vec::new(); columns];
        };
        let scope = Rc::new(Scope { query, above: None });
        let mut views = HashMap::new();
        (1..=columns)
            .map(|place| {
                let mut search = Search::new(&mut views);
                search.output(&scope, place as i32, Fields::new(), None, false);
                search.run();
                search.found
            })
            .collect()
    }
}

/// The tables and views that a statement reads, and those that these are of.
///
/// # Safety
/// A plan of SPI's that is still there.
pub(super) unsafe fn read_by(plan: pg_sys::SPIPlanPtr) -> Vec<pg_sys::Oid> {
    // SAFETY: as the caller says; a list of OIDs.
    unsafe {
        let plans = list::<pg_sys::CachedPlanSource>(pg_sys::SPI_plan_get_plan_sources(plan));
        let relations = plans.iter().map(|&plan| (*plan).relationOids);
        let relations = relations.flat_map(|oids| {
            PgList::<pg_sys::Oid>::from_pg(oids)
                .iter_oid()
                .collect::<Vec<_>>()
        });
        relations.collect()
    }
}
