//! What decides which rows there are, and which go together.

use std::rc::Rc;

use pgrx::pg_sys;

use super::query_tree::{
    arms, columns, condition, conjuncts, entries, entry_of, is_union_all, list, made_by, parts,
};
use super::reads::{Fields, joins};
use super::search::{Scope, Search, Task};

impl Search<'_> {
    /// Looks at what a query is sorted or grouped by.
    pub(super) unsafe fn sorted_by(&mut self, scope: &Rc<Scope>, clauses: *mut pg_sys::List) {
        // SAFETY: as the caller says; a grouping that is no clause has none within.
        unsafe {
            for clause in list::<pg_sys::SortGroupClause>(clauses) {
                let column = pg_sys::get_sortgroupclause_tle(clause, (*scope.query).targetList);
                if (*scope.query).setOperations.is_null() {
                    self.expression(scope, (*column).expr.cast(), Fields::new(), None);
                } else {
                    // Of every arm, where the expression is of the first.
                    self.output(scope, (*column).resno.into(), Fields::new(), None, false);
                }
            }
        }
    }

    pub(super) fn rows(&mut self, scope: &Rc<Scope>) {
        self.tasks.push_back(Task::Rows(Rc::clone(scope)));
    }

    pub(super) unsafe fn look_at_rows(&mut self, scope: &Rc<Scope>) {
        if !self.seen_rows.insert(scope.query) {
            return;
        }
        // SAFETY: as the caller says.
        unsafe {
            let query = &*scope.query;
            if !query.jointree.is_null() {
                self.rows_of_part(scope, query.jointree.cast());
            }
            for arm in arms(query) {
                self.rows_of_entry(scope, arm);
            }
            if !is_union_all(query) {
                for column in columns(query) {
                    self.output(scope, (*column).resno.into(), Fields::new(), None, false);
                }
            }
            for column in list::<pg_sys::TargetEntry>(query.targetList) {
                if query.hasTargetSRFs && pg_sys::expression_returns_set((*column).expr.cast()) {
                    self.expression(scope, (*column).expr.cast(), Fields::new(), None);
                }
            }
            for part in [query.havingQual, query.limitOffset, query.limitCount] {
                self.expression(scope, part, Fields::new(), None);
            }
            // The order, too, is something that an aggregate or a window may go by.
            for clauses in [query.groupClause, query.distinctClause, query.sortClause] {
                self.sorted_by(scope, clauses);
            }
        }
    }

    /// Looks at what decides which rows a part of a FROM clause has.
    unsafe fn rows_of_part(&mut self, scope: &Rc<Scope>, part: *mut pg_sys::Node) {
        // SAFETY: as the caller says.
        unsafe {
            for part in parts(part) {
                self.expression(scope, condition(part), Fields::new(), None);
            }
            for entry in entries(part) {
                self.rows_of_entry(scope, entry);
            }
        }
    }

    unsafe fn rows_of_entry(&mut self, scope: &Rc<Scope>, entry: i32) {
        // SAFETY: as the caller says; what an entry is tells which of its fields it has.
        unsafe {
            let Some(entry) = entry_of(&*scope.query, entry) else {
                return;
            };
            if let Some(inner) = self.query_in(scope, entry) {
                self.rows(&inner);
            }
            for part in [made_by(entry), (*entry).tablesample.cast()] {
                self.expression(scope, part, Fields::new(), None);
            }
        }
    }

    /// Looks at what decides which row of an entry goes with those of the query's others, and whether
    /// one does.
    pub(super) unsafe fn joined(&mut self, scope: &Rc<Scope>, entry: i32) {
        // SAFETY: as the caller says; the tag tells the type.
        unsafe {
            let from: *mut pg_sys::Node = (*scope.query).jointree.cast();
            if from.is_null() || !self.seen_entries.insert((scope.query, entry)) {
                return;
            }
            let all = parts(from);
            if self.seen_joins.insert(scope.query) {
                for &part in &all {
                    for one in conjuncts(condition(part)) {
                        if joins(scope.query, one) {
                            self.expression(scope, one, Fields::new(), None);
                        }
                    }
                }
                if self.is_joined(scope) {
                    self.choices(scope);
                }
            }
            self.choices_of_partner(scope, entry);
            for part in all {
                if (*part).type_ != pg_sys::NodeTag::T_JoinExpr {
                    continue;
                }
                let join = &*part.cast::<pg_sys::JoinExpr>();
                let sides = match join.jointype {
                    pg_sys::JoinType::JOIN_LEFT => vec![join.rarg],
                    pg_sys::JoinType::JOIN_RIGHT => vec![join.larg],
                    pg_sys::JoinType::JOIN_FULL => vec![join.larg, join.rarg],
                    _ => continue,
                };
                for side in sides {
                    if entries(side).contains(&entry) {
                        self.expression(scope, join.quals, Fields::new(), None);
                        self.rows_of_part(scope, side);
                    }
                }
            }
        }
    }
}
