//! From a finished plan to one that scores a batch at a time.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag, Plan};

use super::calls::{self, Found, Search};
use super::lists;
use super::node::{self, Columns, New};
use super::tree::{Next, is_deep, replace, replace_parts, walk};

/// Whether those above a plan may stop before its last row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// They take all rows.
    Never,
    /// They do if the statement is run a few rows at a time, which its execution will tell.
    Stepwise,
    Anywhere,
}

/// Where a plan stands among those above it.
#[derive(Clone, Copy)]
struct Place {
    stops: Stops,
    /// It is told to remember a row and to go back there, which our node cannot.
    marked: bool,
    /// The LIMIT that counts its rows one for one; null without.
    limit: *mut pg_sys::Limit,
    /// Where that LIMIT's rows are known in number when execution begins, whether it is stopped.
    exact: Option<Stops>,
    /// Parallel workers run it, too.
    parallel: bool,
}

impl Place {
    /// Rows that are read ahead may turn out not to be wanted.
    fn is_partial(self) -> bool {
        self.stops == Stops::Anywhere
    }

    fn below(self) -> Place {
        Place {
            limit: null_mut(),
            exact: None,
            marked: false,
            ..self
        }
    }
}

/// What comes of reading rows ahead of those that are wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ahead {
    Nothing,
    /// An error might be raised, or a lock taken, for a row that nobody asks for.
    Shows,
    /// What a volatile function gives depends on when it is called.
    Volatile,
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
        let reads = (*statement).commandType == pg_sys::CmdType::CMD_SELECT;
        let top = Place {
            stops: if reads { Stops::Stepwise } else { Stops::Never },
            marked: false,
            limit: null_mut(),
            exact: None,
            parallel: false,
        };
        (*statement).planTree = rewrite.plan((*statement).planTree, top);
        let subplans = (*statement).subplans;
        // A common table expression comes before those that read it.
        for i in (0..lists::length(subplans)).rev() {
            let subplan = (*(*subplans).elements.add(i)).ptr_value.cast::<Plan>();
            if !subplan.is_null() {
                let place = Place {
                    stops: match rewrite.read_wholly.contains(&(i as i32 + 1)) {
                        true => top.stops,
                        false => Stops::Anywhere,
                    },
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
                    left.stops = Stops::Anywhere;
                    if (*limit).limitOption == pg_sys::LimitOption::LIMIT_OPTION_COUNT {
                        left.limit = limit;
                        left.exact = node::is_bound(limit).then_some(place.stops);
                    }
                }
                NodeTag::T_Result => {
                    left.marked = place.marked;
                }
                NodeTag::T_Gather | NodeTag::T_GatherMerge => left.parallel = true,
                // Its run condition may end it.
                NodeTag::T_WindowAgg
                    if !(*plan.cast::<pg_sys::WindowAgg>()).runCondition.is_null() =>
                {
                    left.stops = Stops::Anywhere;
                }
                NodeTag::T_ModifyTable => left.stops = Stops::Never,
                NodeTag::T_CteScan if !place.is_partial() => {
                    let scan = &*plan.cast::<pg_sys::CteScan>();
                    self.read_wholly.push(scan.ctePlanId);
                }
                // These take all rows before they give one.
                NodeTag::T_Sort | NodeTag::T_Hash => left.stops = Stops::Never,
                NodeTag::T_Agg if takes_all(plan.cast()) => left.stops = Stops::Never,
                NodeTag::T_NestLoop | NodeTag::T_HashJoin => {
                    left.stops = Stops::Anywhere;
                    right.stops = Stops::Anywhere;
                }
                NodeTag::T_MergeJoin => {
                    left.stops = Stops::Anywhere;
                    right.stops = Stops::Anywhere;
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
            if takes_all(agg) {
                below.stops = Stops::Never;
            } else if place.is_partial() {
                // It looks at a row before it is certain to evaluate anything for it.
                return;
            }
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
            let window = &*plan.cast::<pg_sys::WindowAgg>();
            // Other functions, and other frames, leave rows out.
            let options = window.frameOptions as u32;
            let to_the_row =
                pg_sys::FRAMEOPTION_END_CURRENT_ROW | pg_sys::FRAMEOPTION_END_UNBOUNDED_FOLLOWING;
            if options & pg_sys::FRAMEOPTION_START_UNBOUNDED_PRECEDING == 0
                || options & to_the_row == 0
                || options & pg_sys::FRAMEOPTION_EXCLUSION != 0
                || !window.runCondition.is_null()
                || place.is_partial()
            {
                return;
            }
            let search = |search: &mut Search<'_>| {
                walk((*plan).targetlist.cast(), &mut |node| {
                    if (*node).type_ != NodeTag::T_WindowFunc {
                        return Next::Into;
                    }
                    let function = &*node.cast::<pg_sys::WindowFunc>();
                    if function.winagg {
                        search.filtered(function.args, function.aggfilter);
                    }
                    Next::Past
                });
                vec![(*plan).targetlist.cast(), (*plan).qual.cast()]
            };
            self.below(plan, place.below(), None, None, search);
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
            } else if let Some(stops) = place.exact {
                below.stops = stops;
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
            let lists = [(*plan).targetlist, (*plan).qual];
            if (*plan).lefttree.is_null() || lists.iter().any(|list| is_deep(*list)) {
                return;
            }
            for round in 0.. {
                let mut found = Search::new(place.is_partial(), &[]);
                let read = search(&mut found);
                let found = found.found(&read);
                if found.is_empty() || place.is_partial() && round > 0 {
                    return;
                }
                let shows = self.shows((*plan).lefttree);
                if shows == Ahead::Volatile || shows == Ahead::Shows && place.is_partial() {
                    return;
                }
                let careful = place.stops == Stops::Stepwise
                    && (shows == Ahead::Shows
                        || round > 0
                        || found.iter().any(|found| found.may_raise()));
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
                    careful,
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
            if is_deep(targets) || filters.iter().any(|filter| is_deep(*filter)) {
                return plan;
            }
            let read: Vec<*mut pg_sys::Node> = filters.iter().copied().chain([targets]).collect();
            let exact = place.exact.filter(|_| filters.is_empty());
            let stops = exact.unwrap_or(place.stops);
            let partial = stops == Stops::Anywhere;
            let search = |columns: &[*mut pg_sys::Node], node: *mut pg_sys::Node| {
                let mut search = Search::new(partial, columns);
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
            let mut shows = self.shows_below(plan);
            if join.is_none() && is_join(plan) {
                shows = shows.max(self.evaluations((*plan.cast::<pg_sys::Join>()).joinqual));
            }
            for filter in kept {
                shows = shows.max(self.evaluation(*filter));
            }
            if shows == Ahead::Volatile
                || shows == Ahead::Shows && partial
                || moved.iter().any(|filter| is_current_of(*filter))
            {
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

            if partial {
                // Other nodes would read ahead of the first; their calls are left where they are.
                stages.truncate(1);
                if let Some((_, filters)) = stages.first_mut() {
                    *filters = moved.to_vec();
                }
            } else if stages.len() > 1 && moved.iter().any(|filter| self.is_volatile(*filter)) {
                return plan;
            }
            let careful = stops == Stops::Stepwise
                && (shows == Ahead::Shows
                    || stages.len() > 1
                    || stages[0].0.iter().any(|found| found.may_raise()));

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
                let columns = Columns {
                    calls,
                    keep,
                    careful,
                };
                top = node::make(top, columns, id, limit);
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

    /// What comes of reading a plan's rows ahead.
    unsafe fn shows(&self, plan: *mut Plan) -> Ahead {
        if plan.is_null() {
            return Ahead::Nothing;
        }
        // SAFETY: looked at as what its tag says.
        unsafe {
            let own = match (*plan).type_ {
                // These read all rows before they give one, whatever is above.
                NodeTag::T_Sort | NodeTag::T_Hash => return Ahead::Nothing,
                NodeTag::T_Agg if takes_all(plan.cast()) => return Ahead::Nothing,
                // The recursion may have no end.
                NodeTag::T_RecursiveUnion
                | NodeTag::T_CustomScan
                | NodeTag::T_ProjectSet
                | NodeTag::T_LockRows
                | NodeTag::T_ModifyTable => Ahead::Shows,
                NodeTag::T_NestLoop | NodeTag::T_MergeJoin | NodeTag::T_HashJoin => {
                    self.evaluations((*plan.cast::<pg_sys::Join>()).joinqual)
                }
                _ => Ahead::Nothing,
            };
            own.max(self.evaluations((*plan).targetlist))
                .max(self.evaluations((*plan).qual))
                .max(self.shows_below(plan))
        }
    }

    /// The same of what a plan reads.
    unsafe fn shows_below(&self, plan: *mut Plan) -> Ahead {
        // SAFETY: looked at as what its tag says.
        unsafe {
            let own = match (*plan).type_ {
                NodeTag::T_ValuesScan => {
                    let lists = (*plan.cast::<pg_sys::ValuesScan>()).values_lists;
                    let rows = lists::items::<pg_sys::List>(lists);
                    rows.map(|row| self.evaluations(row)).max()
                }
                NodeTag::T_CteScan => {
                    let subplan = (*plan.cast::<pg_sys::CteScan>()).ctePlanId;
                    Some(self.shows(self.subplan(subplan)))
                }
                _ => None,
            };
            let below = parts(plan).into_iter().map(|plan| self.shows(plan));
            below.chain(own).max().unwrap_or(Ahead::Nothing)
        }
    }

    unsafe fn evaluations(&self, list: *mut pg_sys::List) -> Ahead {
        // SAFETY: a list of expressions.
        let all = unsafe { lists::items::<pg_sys::Node>(list) };
        // SAFETY: expressions.
        let all = all.map(|node| unsafe { self.evaluation(node) });
        all.max().unwrap_or(Ahead::Nothing)
    }

    unsafe fn evaluation(&self, node: *mut pg_sys::Node) -> Ahead {
        // SAFETY: an expression.
        unsafe {
            if is_deep(node) || self.is_volatile(node) {
                Ahead::Volatile
            } else if calls::may_raise(node) {
                Ahead::Shows
            } else {
                Ahead::Nothing
            }
        }
    }

    /// Whether an expression, or a subquery in it, calls a volatile function.
    unsafe fn is_volatile(&self, node: *mut pg_sys::Node) -> bool {
        // SAFETY: an expression.
        unsafe {
            pg_sys::contain_volatile_functions(node)
                || walk(node, &mut |part| {
                    if (*part).type_ == NodeTag::T_SubPlan {
                        let subplan = &*part.cast::<pg_sys::SubPlan>();
                        if self.plan_is_volatile(self.subplan(subplan.plan_id)) {
                            return Next::Stop;
                        }
                    }
                    Next::Into
                })
        }
    }

    unsafe fn plan_is_volatile(&self, plan: *mut Plan) -> bool {
        if plan.is_null() {
            return false;
        }
        // SAFETY: a plan.
        unsafe {
            self.is_volatile((*plan).targetlist.cast())
                || self.is_volatile((*plan).qual.cast())
                || parts(plan)
                    .into_iter()
                    .any(|plan| self.plan_is_volatile(plan))
        }
    }

    unsafe fn subplan(&self, number: i32) -> *mut Plan {
        // SAFETY: the statement's list.
        unsafe {
            lists::items((*self.statement).subplans)
                .nth(number as usize - 1)
                .unwrap_or(null_mut())
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

unsafe fn is_join(plan: *mut Plan) -> bool {
    // SAFETY: a plan.
    let tag = unsafe { (*plan).type_ };
    matches!(
        tag,
        NodeTag::T_NestLoop | NodeTag::T_MergeJoin | NodeTag::T_HashJoin
    )
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
        let join: *mut pg_sys::Join = plan.cast();
        (is_join(plan) && (*join).jointype == pg_sys::JoinType::JOIN_INNER).then_some(join)
    }
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
