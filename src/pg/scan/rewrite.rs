//! From a finished plan to one that scores a batch at a time.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag, Plan};

use super::calls::{self, Found, Search};
use super::lists;
use super::node::{self, Columns, New};
use super::tree::{Next, replace, replace_parts, walk};

/// Where a plan stands among those above it.
#[derive(Clone, Copy)]
struct Place {
    /// Those above may stop before its last row.
    partial: bool,
    /// It is told to remember a row and to go back there, which our node cannot.
    marked: bool,
    /// The LIMIT that counts its rows one for one; null without.
    limit: *mut pg_sys::Limit,
    /// That LIMIT's rows are all taken and their number is known when execution begins.
    exact: bool,
    /// Parallel workers run it, too.
    parallel: bool,
}

impl Place {
    fn below(self) -> Place {
        Place {
            limit: null_mut(),
            exact: false,
            marked: false,
            ..self
        }
    }
}

struct Rewrite {
    statement: *mut pg_sys::PlannedStmt,
    /// The last number given to a node of the plan; 0 before they are counted.
    last_id: i32,
    /// Subplans of which every row is read: the numbers of common table expressions.
    read_wholly: Vec<i32>,
}

/// Puts nodes into a statement's plans wherever they can compute its calls.
///
/// # Safety
/// What the planner has just returned.
pub(super) unsafe fn rewrite(statement: *mut pg_sys::PlannedStmt) {
    // SAFETY: as the caller says; whatever is changed belongs to the statement alone.
    unsafe {
        if statement.is_null() || (*statement).planTree.is_null() || !may_call(statement) {
            return;
        }
        let mut rewrite = Rewrite {
            statement,
            last_id: 0,
            read_wholly: Vec::new(),
        };
        let top = Place {
            partial: false,
            marked: false,
            limit: null_mut(),
            exact: false,
            parallel: false,
        };
        (*statement).planTree = rewrite.plan((*statement).planTree, top);
        let subplans = (*statement).subplans;
        // A common table expression comes before those that read it.
        for i in (0..lists::length(subplans)).rev() {
            let subplan = (*(*subplans).elements.add(i)).ptr_value.cast::<Plan>();
            if !subplan.is_null() {
                let place = Place {
                    partial: !rewrite.read_wholly.contains(&(i as i32 + 1)),
                    ..top
                };
                lists::set(subplans, i, rewrite.plan(subplan, place));
            }
        }
    }
}

/// Whether the statement depends on any function that is not built in: the planner lists them, so
/// that a cached plan falls with them. Ordinary statements are let go here.
unsafe fn may_call(statement: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: the list is of such items.
    unsafe {
        lists::items::<pg_sys::PlanInvalItem>((*statement).invalItems)
            .any(|item| (*item).cacheId == pg_sys::SysCacheIdentifier::PROCOID as i32)
    }
}

impl Rewrite {
    /// Rewrites a plan and those below it; returns what takes its place.
    unsafe fn plan(&mut self, plan: *mut Plan, place: Place) -> *mut Plan {
        if plan.is_null() {
            return plan;
        }
        // SAFETY: each plan is looked at as what its tag says.
        unsafe {
            self.children(plan, place);
            match (*plan).type_ {
                NodeTag::T_Agg => {
                    self.below_aggregate(plan.cast(), place);
                    self.above(plan, place)
                }
                NodeTag::T_WindowAgg => {
                    self.below_window(plan, place);
                    let window = &*plan.cast::<pg_sys::WindowAgg>();
                    // Its run condition reads its target list by position.
                    if window.runCondition.is_null() && (*plan).qual.is_null() {
                        self.above(plan, place)
                    } else {
                        plan
                    }
                }
                NodeTag::T_Result | NodeTag::T_ProjectSet => {
                    if !place.marked {
                        self.below_projection(plan, place);
                    }
                    plan
                }
                NodeTag::T_ForeignScan
                    if (*plan.cast::<pg_sys::ForeignScan>()).operation
                        != pg_sys::CmdType::CMD_SELECT =>
                {
                    plan
                }
                NodeTag::T_SeqScan
                | NodeTag::T_SampleScan
                | NodeTag::T_IndexScan
                | NodeTag::T_IndexOnlyScan
                | NodeTag::T_BitmapHeapScan
                | NodeTag::T_TidScan
                | NodeTag::T_TidRangeScan
                | NodeTag::T_SubqueryScan
                | NodeTag::T_FunctionScan
                | NodeTag::T_TableFuncScan
                | NodeTag::T_ValuesScan
                | NodeTag::T_CteScan
                | NodeTag::T_NamedTuplestoreScan
                | NodeTag::T_WorkTableScan
                | NodeTag::T_ForeignScan
                | NodeTag::T_NestLoop
                | NodeTag::T_MergeJoin
                | NodeTag::T_HashJoin
                | NodeTag::T_Group
                | NodeTag::T_Gather
                | NodeTag::T_GatherMerge => {
                    if place.marked {
                        plan
                    } else {
                        self.above(plan, place)
                    }
                }
                _ => plan,
            }
        }
    }

    /// Rewrites the plans below.
    unsafe fn children(&mut self, plan: *mut Plan, place: Place) {
        // SAFETY: as for `plan`.
        unsafe {
            let below = place.below();
            let (mut left, mut right) = (below, below);
            match (*plan).type_ {
                NodeTag::T_Limit => {
                    let limit = plan.cast::<pg_sys::Limit>();
                    left.partial = true;
                    if (*limit).limitOption == pg_sys::LimitOption::LIMIT_OPTION_COUNT {
                        left.limit = limit;
                        left.exact = !place.partial && node::is_bound(limit);
                    }
                }
                NodeTag::T_Result => {
                    left.marked = place.marked;
                }
                NodeTag::T_Gather | NodeTag::T_GatherMerge => left.parallel = true,
                // Its run condition may end it.
                NodeTag::T_WindowAgg => {
                    left.partial |= !(*plan.cast::<pg_sys::WindowAgg>()).runCondition.is_null();
                }
                NodeTag::T_CteScan if !place.partial => {
                    let scan = &*plan.cast::<pg_sys::CteScan>();
                    self.read_wholly.push(scan.ctePlanId);
                }
                // These take all rows before they give one.
                NodeTag::T_Sort | NodeTag::T_Hash => left.partial = false,
                NodeTag::T_Agg => {
                    left.partial &= !takes_all(plan.cast());
                }
                NodeTag::T_NestLoop | NodeTag::T_HashJoin => {
                    left.partial = true;
                    right.partial = true;
                }
                NodeTag::T_MergeJoin => {
                    left.partial = true;
                    right.partial = true;
                    right.marked = true;
                }
                NodeTag::T_Append => {
                    self.list((*plan.cast::<pg_sys::Append>()).appendplans, below);
                }
                NodeTag::T_MergeAppend => {
                    self.list((*plan.cast::<pg_sys::MergeAppend>()).mergeplans, below);
                }
                NodeTag::T_SubqueryScan => {
                    let scan = plan.cast::<pg_sys::SubqueryScan>();
                    (*scan).subplan = self.plan((*scan).subplan, below);
                }
                _ => {}
            }
            (*plan).lefttree = self.plan((*plan).lefttree, left);
            (*plan).righttree = self.plan((*plan).righttree, right);
        }
    }

    unsafe fn list(&mut self, plans: *mut pg_sys::List, place: Place) {
        // SAFETY: a list of plans.
        unsafe {
            for (i, plan) in lists::items::<Plan>(plans).enumerate() {
                lists::set(plans, i, self.plan(plan, place));
            }
        }
    }

    /// Aggregates' arguments are computed for every row.
    unsafe fn below_aggregate(&mut self, agg: *mut pg_sys::Agg, place: Place) {
        // SAFETY: an aggregate's expressions read the plan below.
        unsafe {
            let plan = &raw mut (*agg).plan;
            let mut below = place.below();
            below.partial &= !takes_all(agg);
            let grouping = std::slice::from_raw_parts(
                if (*agg).numCols == 0 {
                    std::ptr::NonNull::dangling().as_ptr()
                } else {
                    (*agg).grpColIdx
                },
                (*agg).numCols as usize,
            );
            // Each grouping set has its own columns.
            let all = !(*agg).groupingSets.is_null() || !(*agg).chain.is_null();
            let also = (!all).then_some(grouping);
            let search = |search: &mut Search<'_>| {
                let mut read = Vec::new();
                for list in [(*plan).targetlist, (*plan).qual] {
                    walk(list.cast(), &mut |node| {
                        if (*node).type_ != NodeTag::T_Aggref {
                            return Next::Into;
                        }
                        let aggregate = &*node.cast::<pg_sys::Aggref>();
                        search.filtered(aggregate.args, aggregate.aggfilter);
                        read.push(node);
                        Next::Past
                    });
                }
                read
            };
            // Outside of aggregates, expressions see a group rather than a row.
            self.below(plan, below, also, Some(NodeTag::T_Aggref), search);
        }
    }

    /// Window functions' arguments are computed for the rows of a frame.
    unsafe fn below_window(&mut self, plan: *mut Plan, place: Place) {
        // SAFETY: a window's expressions read the plan below.
        unsafe {
            let search = |search: &mut Search<'_>| {
                walk((*plan).targetlist.cast(), &mut |node| {
                    if (*node).type_ != NodeTag::T_WindowFunc {
                        return Next::Into;
                    }
                    let function = &*node.cast::<pg_sys::WindowFunc>();
                    search.filtered(function.args, function.aggfilter);
                    Next::Past
                });
                vec![(*plan).targetlist.cast(), (*plan).qual.cast()]
            };
            let run = &*plan.cast::<pg_sys::WindowAgg>();
            let mut below = place.below();
            below.partial |= !run.runCondition.is_null();
            self.below(plan, below, None, None, search);
        }
    }

    /// A projection's target list is computed for every row, and a set-returning function's
    /// arguments are.
    unsafe fn below_projection(&mut self, plan: *mut Plan, place: Place) {
        // SAFETY: a projection's expressions read the plan below.
        unsafe {
            let sets = (*plan).type_ == NodeTag::T_ProjectSet;
            let mut below = place;
            if sets {
                below = place.below();
            } else if place.exact {
                below.partial = false;
            }
            let search = |search: &mut Search<'_>| {
                for entry in lists::items::<pg_sys::TargetEntry>((*plan).targetlist) {
                    if !sets || pg_sys::expression_returns_set((*entry).expr.cast()) {
                        search.expression(entry);
                    }
                }
                vec![(*plan).targetlist.cast()]
            };
            if (*plan).qual.is_null() {
                self.below(plan, below, Some(&[]), None, search);
            }
        }
    }

    /// Puts nodes below a plan: each returns the columns of the plan below it and the results of
    /// the calls that `search` finds, which the plan then reads in their place.
    ///
    /// `also` are columns that the plan reads besides those in its expressions; none: all. Calls
    /// are replaced inside nodes of the kind `within`, or everywhere. `search` returns all
    /// expressions that are then replaced in.
    unsafe fn below(
        &mut self,
        plan: *mut Plan,
        place: Place,
        also: Option<&[pg_sys::AttrNumber]>,
        within: Option<NodeTag>,
        search: impl Fn(&mut Search<'_>) -> Vec<*mut pg_sys::Node>,
    ) {
        // SAFETY: as for `plan`.
        unsafe {
            if (*plan).lefttree.is_null() {
                return;
            }
            // Columns that are there already hide their calls: those are replaced.
            loop {
                let mut found = Search::new(place.partial, &[]);
                let read = search(&mut found);
                let found = found.found(&read);
                if found.is_empty() || place.partial && has_effects((*plan).lefttree) {
                    return;
                }
                let child = (*plan).lefttree;
                let before = lists::length((*child).targetlist);
                let mut column = |part: *mut pg_sys::Node| {
                    let at = found
                        .iter()
                        .position(|found| calls::same(found.call.cast(), part))?;
                    Some(node::variable(pg_sys::OUTER_VAR, before + at, part))
                };
                for list in [&raw mut (*plan).targetlist, &raw mut (*plan).qual] {
                    *list = match within {
                        None => replace(*list, &mut column),
                        Some(tag) => replace(*list, &mut |part| {
                            ((*part).type_ == tag).then(|| replace_parts(part, &mut column))
                        }),
                    };
                }
                let mut keep = vec![also.is_none(); before];
                for column in also.unwrap_or_default() {
                    mark(&mut keep, i32::from(*column));
                }
                for list in [(*plan).targetlist, (*plan).qual] {
                    mark_read(&mut keep, list.cast());
                }
                let id = self.next_id();
                let calls = found.iter().map(|found| New {
                    call: found.call,
                    reached: found.reached,
                    shown: found.call.cast(),
                });
                let columns = Columns {
                    calls: calls.collect(),
                    keep,
                };
                let top = node::make(child, columns, id, place.limit);
                (*top).parallel_aware = place.parallel;
                (*top).total_cost += (*child).plan_rows * cost(&found);
                // The calls' parameters were the parent's.
                for found in &found {
                    for part in [found.call.cast(), found.reached] {
                        add_parameters(top, part, plan);
                    }
                }
                (*plan).lefttree = top;
            }
        }
    }

    /// Puts nodes above a plan, which take over its target list and those of its filters that
    /// hold a call or come after one that does.
    unsafe fn above(&mut self, plan: *mut Plan, place: Place) -> *mut Plan {
        // SAFETY: as for `plan`.
        unsafe {
            // Of an inner join, its conditions are filters like any other.
            let join = inner_join(plan);
            let conditions = join.map_or(null_mut(), |join| (*join).joinqual);
            let filters: Vec<*mut pg_sys::Node> = lists::items(conditions)
                .chain(lists::items((*plan).qual))
                .collect();
            let targets: *mut pg_sys::Node = (*plan).targetlist.cast();
            if targets.is_null() && filters.is_empty() {
                return plan;
            }
            let read: Vec<*mut pg_sys::Node> = filters.iter().copied().chain([targets]).collect();
            let exact = place.exact && filters.is_empty();
            let search = |columns: &[*mut pg_sys::Node], node: *mut pg_sys::Node| {
                let mut search = Search::new(place.partial && !exact, columns);
                if node.is_null() {
                    return Vec::new();
                }
                if (*node).type_ == NodeTag::T_List {
                    search.list(node.cast());
                } else {
                    search.expression(node);
                }
                search.found(&read)
            };
            let first = filters
                .iter()
                .position(|filter| !search(&[], *filter).is_empty())
                .unwrap_or(filters.len());
            let stays = filters.len() == first;
            if stays && search(&[], targets).is_empty() {
                return plan;
            }
            let (kept, moved) = filters.split_at(first);
            let volatile = |node: &*mut pg_sys::Node| pg_sys::contain_volatile_functions(*node);
            let has_effects = place.partial
                && !exact
                && (filters.iter().any(volatile) || parts_have_effects(plan));
            if has_effects || moved.iter().any(|filter| is_current_of(*filter)) {
                return plan;
            }

            // What the expressions that move read of the plan, each once.
            let mut columns: Vec<*mut pg_sys::Node> = Vec::new();
            for expression in moved.iter().copied().chain([targets]) {
                walk(expression, &mut |part| match (*part).type_ {
                    NodeTag::T_Var
                    | NodeTag::T_Aggref
                    | NodeTag::T_WindowFunc
                    | NodeTag::T_GroupingFunc => {
                        if !columns.iter().any(|column| calls::same(*column, part)) {
                            columns.push(part);
                        }
                        Next::Past
                    }
                    _ => Next::Into,
                });
            }
            if let Some(all) = self.whole_rows(plan, &columns) {
                columns = all;
            }

            // Stages: new calls, and the filters that can be applied once they are there.
            let mut stages: Vec<(Vec<Found>, Vec<*mut pg_sys::Node>)> = Vec::new();
            let mut known = columns.clone();
            let mut waiting = moved.iter().copied().peekable();
            loop {
                let calls = match waiting.peek() {
                    Some(filter) => search(&known, *filter),
                    None => search(&known, targets),
                };
                if calls.is_empty() && waiting.peek().is_none() {
                    break;
                }
                known.extend(calls.iter().map(|found| found.call.cast::<pg_sys::Node>()));
                let mut filters = Vec::new();
                while let Some(filter) = waiting.peek() {
                    if !search(&known, filter.cast()).is_empty() {
                        break;
                    }
                    filters.extend(waiting.next());
                }
                stages.push((calls, filters));
            }

            let original = (*plan).targetlist;
            let rows = (*plan).plan_rows;
            (*plan).targetlist = node::targets(&columns);
            let own = kept.len().min(lists::length(conditions));
            if let Some(join) = join {
                (*join).joinqual = lists::of(kept[..own].iter().copied());
            }
            (*plan).qual = lists::of(kept[own..].iter().copied());
            // An append that waits for several foreign servers at once asks the scan itself.
            (*plan).async_capable = false;

            let mut top = plan;
            let mut known = columns;
            for (i, (new, filters)) in stages.iter().enumerate() {
                let before = known.len();
                let mut keep = vec![false; before];
                let mut over = |part: *mut pg_sys::Node| {
                    position(&known, part).map(|at| node::variable(pg_sys::OUTER_VAR, at, part))
                };
                let calls: Vec<_> = new
                    .iter()
                    .map(|found| New {
                        call: replace(found.call, &mut over),
                        reached: replace(found.reached, &mut over),
                        shown: found.call.cast(),
                    })
                    .collect();
                known.extend(new.iter().map(|found| found.call.cast::<pg_sys::Node>()));
                let mut read = |part: *mut pg_sys::Node| {
                    let at = position(&known, part)?;
                    if at < before {
                        keep[at] = true;
                    }
                    Some(node::variable(pg_sys::INDEX_VAR, at, part))
                };
                let qual = lists::of(filters.iter().map(|filter| replace(*filter, &mut read)));
                let last = i + 1 == stages.len();
                let targetlist = if last {
                    replace(original, &mut read)
                } else {
                    // For the stages above: what they read, and this one's calls.
                    for (new, filters) in &stages[i + 1..] {
                        for found in new {
                            replace(found.call.cast::<pg_sys::Node>(), &mut read);
                            replace(found.reached, &mut read);
                        }
                        for filter in filters {
                            replace(*filter, &mut read);
                        }
                    }
                    replace(original, &mut read);
                    null_mut()
                };
                // A filter takes rows away that a LIMIT does not count.
                let limit = if stages[i..].iter().all(|(_, filters)| filters.is_empty()) {
                    place.limit
                } else {
                    null_mut()
                };
                let id = self.next_id();
                top = node::make(top, Columns { calls, keep }, id, limit);
                (*top).parallel_aware = place.parallel;
                (*top).qual = qual;
                (*top).plan_rows = rows;
                if last {
                    (*top).targetlist = targetlist;
                }
            }
            top
        }
    }

    /// A table's columns as they lie on disk, for a scan that then need not copy them.
    unsafe fn whole_rows(
        &self,
        plan: *mut Plan,
        columns: &[*mut pg_sys::Node],
    ) -> Option<Vec<*mut pg_sys::Node>> {
        // SAFETY: as for `plan`; the table is locked for the statement that is planned.
        unsafe {
            if !matches!(
                (*plan).type_,
                NodeTag::T_SeqScan
                    | NodeTag::T_SampleScan
                    | NodeTag::T_IndexScan
                    | NodeTag::T_BitmapHeapScan
                    | NodeTag::T_TidScan
                    | NodeTag::T_TidRangeScan
            ) {
                return None;
            }
            let relation = (*plan.cast::<pg_sys::Scan>()).scanrelid;
            let plain = |column: &*mut pg_sys::Node| {
                let variable = &*column.cast::<pg_sys::Var>();
                (**column).type_ == NodeTag::T_Var
                    && variable.varno as i64 == i64::from(relation)
                    && variable.varattno > 0
            };
            if relation == 0 || columns.is_empty() || !columns.iter().all(plain) {
                return None;
            }
            let entry = lists::items::<pg_sys::RangeTblEntry>((*self.statement).rtable)
                .nth(relation as usize - 1)?;
            if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION {
                return None;
            }
            let table = pg_sys::relation_open((*entry).relid, pg_sys::NoLock as i32);
            let all = pgrx::PgTupleDesc::from_pg_unchecked((*table).rd_att)
                .iter()
                .enumerate()
                .map(|(i, attribute)| {
                    (!attribute.attisdropped && !attribute.atthasmissing).then(|| {
                        pg_sys::makeVar(
                            relation as _,
                            (i + 1) as pg_sys::AttrNumber,
                            attribute.atttypid,
                            attribute.atttypmod,
                            attribute.attcollation,
                            0,
                        )
                        .cast::<pg_sys::Node>()
                    })
                })
                .collect::<Option<Vec<_>>>();
            pg_sys::relation_close(table, pg_sys::NoLock as i32);
            // Every column that is read must be among them just so.
            all.filter(|all| {
                columns
                    .iter()
                    .all(|column| position(all, *column).is_some())
            })
        }
    }

    unsafe fn next_id(&mut self) -> i32 {
        // SAFETY: the statement's plans.
        unsafe {
            if self.last_id == 0 {
                let statement = &*self.statement;
                self.last_id = lists::items::<Plan>(statement.subplans)
                    .chain([statement.planTree])
                    .map(|plan| highest_id(plan))
                    .max()
                    .unwrap_or(0);
            }
        }
        self.last_id += 1;
        self.last_id
    }
}

/// The place of an expression among columns.
unsafe fn position(columns: &[*mut pg_sys::Node], node: *mut pg_sys::Node) -> Option<usize> {
    // SAFETY: expressions.
    unsafe { columns.iter().position(|column| calls::same(*column, node)) }
}

fn mark(keep: &mut [bool], column: i32) {
    if let Some(keep) = usize::try_from(column - 1)
        .ok()
        .and_then(|at| keep.get_mut(at))
    {
        *keep = true;
    }
}

/// Marks the columns of the plan below that an expression reads; all where it reads whole rows.
unsafe fn mark_read(keep: &mut [bool], node: *mut pg_sys::Node) {
    // SAFETY: looked at as what the tag says.
    unsafe {
        walk(node, &mut |part| {
            if (*part).type_ == NodeTag::T_Var {
                let variable = &*part.cast::<pg_sys::Var>();
                if variable.varno == pg_sys::OUTER_VAR {
                    if variable.varattno <= 0 {
                        keep.fill(true);
                    }
                    mark(keep, i32::from(variable.varattno));
                }
            }
            Next::Into
        });
    }
}

unsafe fn is_current_of(node: *mut pg_sys::Node) -> bool {
    // SAFETY: an expression.
    unsafe {
        walk(node, &mut |part| match (*part).type_ {
            NodeTag::T_CurrentOfExpr => Next::Stop,
            _ => Next::Into,
        })
    }
}

/// Whether an aggregate takes all rows before it gives one.
unsafe fn takes_all(agg: *mut pg_sys::Agg) -> bool {
    // SAFETY: an aggregate.
    let strategy = unsafe { (*agg).aggstrategy };
    matches!(
        strategy,
        pg_sys::AggStrategy::AGG_PLAIN | pg_sys::AggStrategy::AGG_HASHED
    )
}

/// An inner join.
unsafe fn inner_join(plan: *mut Plan) -> Option<*mut pg_sys::Join> {
    // SAFETY: looked at as what its tag says.
    unsafe {
        let joins = matches!(
            (*plan).type_,
            NodeTag::T_NestLoop | NodeTag::T_MergeJoin | NodeTag::T_HashJoin
        );
        let join: *mut pg_sys::Join = plan.cast();
        (joins && (*join).jointype == pg_sys::JoinType::JOIN_INNER).then_some(join)
    }
}

/// Whether reading more of a plan's rows than are wanted shows: it calls volatile functions or
/// locks rows. Of functions in tables' places, only their rows' number could tell.
unsafe fn has_effects(plan: *mut Plan) -> bool {
    if plan.is_null() {
        return false;
    }
    // SAFETY: each plan is looked at as what its tag says.
    unsafe {
        let volatile = |list: *mut pg_sys::List| pg_sys::contain_volatile_functions(list.cast());
        let own = match (*plan).type_ {
            NodeTag::T_LockRows | NodeTag::T_ModifyTable => true,
            NodeTag::T_NestLoop | NodeTag::T_MergeJoin | NodeTag::T_HashJoin => {
                volatile((*plan.cast::<pg_sys::Join>()).joinqual)
            }
            NodeTag::T_ValuesScan => volatile((*plan.cast::<pg_sys::ValuesScan>()).values_lists),
            _ => false,
        };
        own || volatile((*plan).targetlist) || volatile((*plan).qual) || parts_have_effects(plan)
    }
}

/// The same of the plans below.
unsafe fn parts_have_effects(plan: *mut Plan) -> bool {
    // SAFETY: a plan.
    unsafe { parts(plan).into_iter().any(|plan| has_effects(plan)) }
}

/// The plans right below a plan, and null ones.
unsafe fn parts(plan: *mut Plan) -> Vec<*mut Plan> {
    // SAFETY: looked at as what its tag says.
    unsafe {
        let more = match (*plan).type_ {
            NodeTag::T_Append => (*plan.cast::<pg_sys::Append>()).appendplans,
            NodeTag::T_MergeAppend => (*plan.cast::<pg_sys::MergeAppend>()).mergeplans,
            NodeTag::T_BitmapAnd => (*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans,
            NodeTag::T_BitmapOr => (*plan.cast::<pg_sys::BitmapOr>()).bitmapplans,
            NodeTag::T_CustomScan => (*plan.cast::<pg_sys::CustomScan>()).custom_plans,
            _ => null_mut(),
        };
        let subquery = match (*plan).type_ {
            NodeTag::T_SubqueryScan => (*plan.cast::<pg_sys::SubqueryScan>()).subplan,
            _ => null_mut(),
        };
        lists::items(more)
            .chain([(*plan).lefttree, (*plan).righttree, subquery])
            .collect()
    }
}

/// What the calls for a row cost, as the planner was told.
unsafe fn cost(found: &[Found]) -> f64 {
    let cost = |found: &Found| {
        let mut cost = pg_sys::QualCost::default();
        // SAFETY: a call of a finished plan; nothing needs the planner's state any more.
        unsafe { pg_sys::cost_qual_eval_node(&mut cost, found.call.cast(), null_mut()) };
        cost.per_tuple
    };
    found.iter().map(cost).sum()
}

/// Adds an expression's parameters that change while the plan runs, as the parent has them.
unsafe fn add_parameters(plan: *mut Plan, node: *mut pg_sys::Node, parent: *mut Plan) {
    // SAFETY: an expression of the parent's.
    unsafe {
        walk(node, &mut |part| {
            if (*part).type_ == NodeTag::T_Param {
                let parameter = &*part.cast::<pg_sys::Param>();
                let sets = [
                    (&raw mut (*plan).extParam, (*parent).extParam),
                    (&raw mut (*plan).allParam, (*parent).allParam),
                ];
                for (own, parents) in sets {
                    if parameter.paramkind == pg_sys::ParamKind::PARAM_EXEC
                        && pg_sys::bms_is_member(parameter.paramid, parents)
                    {
                        *own = pg_sys::bms_add_member(*own, parameter.paramid);
                    }
                }
            }
            Next::Into
        });
    }
}

/// The highest number of a plan and those below.
unsafe fn highest_id(plan: *mut Plan) -> i32 {
    if plan.is_null() {
        return 0;
    }
    // SAFETY: a plan.
    unsafe {
        let below = parts(plan).into_iter().map(|plan| highest_id(plan)).max();
        below.unwrap_or(0).max((*plan).plan_node_id)
    }
}
