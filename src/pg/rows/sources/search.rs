//! The search through the queries, from a column of the result down to the tables.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::CStr;
use std::rc::Rc;

use pgrx::pg_sys;

use super::query_tree::{arms, columns, entry_of, list, made_by};
use super::reads::{Fields, Reads, reads};
use super::source::Source;

/// A query, and the one in which it is a subquery.
pub(super) struct Scope {
    pub(super) query: *mut pg_sys::Query,
    pub(super) above: Option<Rc<Scope>>,
}

impl Scope {
    pub(super) fn within(self: &Rc<Self>, query: *mut pg_sys::Query) -> Rc<Scope> {
        let above = Some(Rc::clone(self));
        Rc::new(Scope { query, above })
    }

    /// The query so many levels up.
    pub(super) fn up(self: &Rc<Self>, levels: pg_sys::Index) -> Option<Rc<Scope>> {
        let mut scope = self;
        for _ in 0..levels {
            scope = scope.above.as_ref()?;
        }
        Some(Rc::clone(scope))
    }
}

/// A column of a query's result, or a field of it.
struct Output {
    scope: Rc<Scope>,
    /// Counted from 1.
    place: i32,
    fields: Fields,
    /// Whether the query is an arm of a set operation, or within one.
    in_arm: bool,
    /// Whether a constant is among its values.
    constant: bool,
    /// The outputs that read it.
    readers: Vec<usize>,
}

/// What a column of an entry of a range table is.
pub(super) enum Behind {
    /// One of this table.
    Table(pg_sys::Oid),
    /// The columns of a query's result at these places.
    Outputs(Rc<Scope>, Vec<i32>),
    /// One of these expressions, or made from several.
    Expressions(Vec<*mut pg_sys::Node>),
    /// A part of what these functions return.
    Functions(*mut pg_sys::Node),
}

/// What is to be looked at.
pub(super) enum Task {
    /// That output.
    Output(usize),
    /// An expression of a query, or some fields of its value, which that output is made from.
    Expression(Rc<Scope>, *mut pg_sys::Node, Fields, Option<usize>),
    /// What decides which rows a query has.
    Rows(Rc<Scope>),
}

/// The queries of views, copied.
pub(super) type Views = HashMap<pg_sys::Oid, Option<Rc<Scope>>>;

pub(super) struct Search<'a> {
    views: &'a mut Views,
    pub(super) found: Vec<Source>,
    known: HashSet<Source>,
    pub(super) tasks: VecDeque<Task>,
    outputs: Vec<Output>,
    /// By their queries, places, fields and `in_arm`: a CTE may read itself.
    numbers: HashMap<(*mut pg_sys::Query, i32, Fields, bool), usize>,
    /// The queries of which have been looked at: the rows; what joins them; what chooses among them, and
    /// also in what they are made from. And the entries of which the joins have been.
    pub(super) seen_rows: HashSet<*mut pg_sys::Query>,
    pub(super) seen_joins: HashSet<*mut pg_sys::Query>,
    pub(super) seen_choices: HashSet<*mut pg_sys::Query>,
    pub(super) seen_partners: HashSet<*mut pg_sys::Query>,
    pub(super) seen_entries: HashSet<(*mut pg_sys::Query, i32)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(views: &'a mut Views) -> Self {
        Self {
            views,
            found: Vec::new(),
            known: HashSet::new(),
            tasks: VecDeque::new(),
            outputs: Vec::new(),
            numbers: HashMap::new(),
            seen_rows: HashSet::new(),
            seen_joins: HashSet::new(),
            seen_choices: HashSet::new(),
            seen_partners: HashSet::new(),
            seen_entries: HashSet::new(),
        }
    }

    /// Goes on until nothing is left to be looked at.
    ///
    /// # Safety
    /// Analysed queries, as all in this impl.
    pub(super) unsafe fn run(&mut self) {
        while let Some(task) = self.tasks.pop_front() {
            // SAFETY: as the caller says.
            unsafe {
                match task {
                    Task::Output(number) => self.look_at_output(number),
                    Task::Expression(scope, expression, fields, of) => {
                        self.look_at_expression(&scope, expression, fields, of);
                    }
                    Task::Rows(scope) => self.look_at_rows(&scope),
                }
            }
        }
    }

    /// Looks at a column of a query's result, which another output may read.
    pub(super) fn output(
        &mut self,
        scope: &Rc<Scope>,
        place: i32,
        fields: Fields,
        reader: Option<usize>,
        as_arm: bool,
    ) {
        let in_arm = as_arm || reader.is_some_and(|reader| self.outputs[reader].in_arm);
        let key = (scope.query, place, fields.clone(), in_arm);
        let number = *self.numbers.entry(key).or_insert_with(|| {
            self.outputs.push(Output {
                scope: Rc::clone(scope),
                place,
                fields,
                in_arm,
                constant: false,
                readers: Vec::new(),
            });
            let number = self.outputs.len() - 1;
            self.tasks.push_back(Task::Output(number));
            number
        });
        if let Some(reader) = reader
            && !self.outputs[number].readers.contains(&reader)
        {
            self.outputs[number].readers.push(reader);
            if self.outputs[number].constant {
                self.is_constant(reader);
            }
        }
    }

    /// Notes that a constant is among the values of an output: in an arm of a set operation, the rows
    /// that the arm has decide whether it is that or another arm's.
    fn is_constant(&mut self, number: usize) {
        let mut left = vec![number];
        while let Some(number) = left.pop() {
            let output = &mut self.outputs[number];
            if output.in_arm && !output.constant {
                output.constant = true;
                left.extend(&output.readers);
                self.tasks.push_back(Task::Rows(Rc::clone(&output.scope)));
            }
        }
    }

    pub(super) fn expression(
        &mut self,
        scope: &Rc<Scope>,
        expression: *mut pg_sys::Node,
        fields: Fields,
        of: Option<usize>,
    ) {
        if !expression.is_null() {
            let scope = Rc::clone(scope);
            let task = Task::Expression(scope, expression, fields, of);
            self.tasks.push_back(task);
        }
    }

    unsafe fn look_at_output(&mut self, number: usize) {
        let output = &self.outputs[number];
        let (scope, place) = (Rc::clone(&output.scope), output.place);
        let fields = output.fields.clone();
        // SAFETY: as the caller says.
        unsafe {
            let query = &*scope.query;
            for arm in arms(query) {
                let place = place as pg_sys::AttrNumber;
                self.column(&scope, arm, place, fields.clone(), Some(number), true);
            }
            if query.setOperations.is_null() {
                for entry in columns(query) {
                    if i32::from((*entry).resno) == place {
                        let expression = (*entry).expr.cast();
                        self.expression(&scope, expression, fields.clone(), Some(number));
                    }
                }
            }
        }
    }

    unsafe fn look_at_expression(
        &mut self,
        scope: &Rc<Scope>,
        expression: *mut pg_sys::Node,
        fields: Fields,
        of: Option<usize>,
    ) {
        // SAFETY: as the caller says.
        unsafe {
            let found = reads(expression, fields);
            if found.is_empty()
                && let Some(of) = of
            {
                self.is_constant(of);
            }
            for read in found {
                match read {
                    Reads::Column {
                        up,
                        entry,
                        number,
                        fields,
                    } => {
                        if let Some(scope) = scope.up(up) {
                            self.column(&scope, entry, number, fields, of, false);
                        }
                    }
                    Reads::Subquery(link, fields) => self.subquery(scope, link, fields, of),
                    Reads::Group { up } => {
                        if let Some(scope) = scope.up(up) {
                            self.sorted_by(&scope, (*scope.query).groupClause);
                            self.rows(&scope);
                        }
                    }
                    Reads::Window(number) => {
                        for window in list::<pg_sys::WindowClause>((*scope.query).windowClause) {
                            if (*window).winref == number {
                                self.sorted_by(scope, (*window).partitionClause);
                                self.sorted_by(scope, (*window).orderClause);
                                for offset in [(*window).startOffset, (*window).endOffset] {
                                    self.expression(scope, offset, Fields::new(), None);
                                }
                            }
                        }
                        self.rows(scope);
                    }
                }
            }
        }
    }

    /// Looks at what an expression gets of a subquery.
    unsafe fn subquery(
        &mut self,
        scope: &Rc<Scope>,
        link: *const pg_sys::SubLink,
        fields: Fields,
        of: Option<usize>,
    ) {
        // SAFETY: as the caller says.
        unsafe {
            self.expression(scope, (*link).testexpr, Fields::new(), None);
            let inner = scope.within((*link).subselect.cast());
            if (*link).subLinkType != pg_sys::SubLinkType::EXISTS_SUBLINK {
                for column in columns(&*inner.query) {
                    let place = (*column).resno.into();
                    self.output(&inner, place, fields.clone(), of, false);
                }
            }
            if (*link).subLinkType == pg_sys::SubLinkType::ARRAY_SUBLINK {
                self.sorted_by(&inner, (*inner.query).sortClause);
            }
            self.rows(&inner);
        }
    }

    /// Looks at a column of an entry of a query's range table; at all of them where it is 0.
    unsafe fn column(
        &mut self,
        scope: &Rc<Scope>,
        entry: i32,
        number: pg_sys::AttrNumber,
        mut fields: Fields,
        of: Option<usize>,
        as_arm: bool,
    ) {
        let number = match number {
            0 if !fields.is_empty() => fields.remove(0),
            number => number,
        };
        // A system column.
        if number < 0 {
            return;
        }
        // SAFETY: as the caller says.
        unsafe {
            let Some(behind) = self.behind(scope, entry, number) else {
                return;
            };
            self.joined(scope, entry);
            match behind {
                Behind::Table(table) => self.relation(table, number),
                Behind::Outputs(inner, places) => {
                    for place in places {
                        self.output(&inner, place, fields.clone(), of, as_arm);
                    }
                }
                Behind::Expressions(expressions) => {
                    for expression in expressions {
                        self.expression(scope, expression, fields.clone(), of);
                    }
                }
                Behind::Functions(functions) => {
                    self.expression(scope, functions, Fields::new(), of);
                }
            }
        }
    }

    /// What a column of an entry of a query's range table is, or all of them where it is 0.
    pub(super) unsafe fn behind(
        &mut self,
        scope: &Rc<Scope>,
        entry: i32,
        number: pg_sys::AttrNumber,
    ) -> Option<Behind> {
        let is_meant = |place: pg_sys::AttrNumber| number == 0 || number == place;
        // SAFETY: as the caller says; what an entry is tells which of its fields it has.
        unsafe {
            let found = entry_of(&*scope.query, entry)?;
            if let Some(inner) = self.query_in(scope, found) {
                let places = columns(&*inner.query).into_iter();
                let places = places.map(|column| (*column).resno);
                let places = places.filter(|&place| is_meant(place)).map(i32::from);
                let places = places.collect();
                return Some(Behind::Outputs(inner, places));
            }
            let parts_of = |parts: *mut pg_sys::List| {
                let mut parts = list::<pg_sys::Node>(parts);
                if number > 0 {
                    let part = parts.get((number - 1) as usize).copied();
                    parts = part.into_iter().collect();
                }
                parts
            };
            Some(match (*found).rtekind {
                pg_sys::RTEKind::RTE_RELATION => Behind::Table((*found).relid),
                pg_sys::RTEKind::RTE_JOIN => Behind::Expressions(parts_of((*found).joinaliasvars)),
                #[cfg(feature = "pg18")]
                pg_sys::RTEKind::RTE_GROUP => Behind::Expressions(parts_of((*found).groupexprs)),
                pg_sys::RTEKind::RTE_VALUES => {
                    let rows = list::<pg_sys::List>((*found).values_lists).into_iter();
                    Behind::Expressions(rows.flat_map(parts_of).collect())
                }
                _ => Behind::Functions(made_by(found)),
            })
        }
    }

    /// The query that an entry of the range table is of: a subquery, a CTE or a view.
    pub(super) unsafe fn query_in(
        &mut self,
        scope: &Rc<Scope>,
        entry: *const pg_sys::RangeTblEntry,
    ) -> Option<Rc<Scope>> {
        // SAFETY: as the caller says; what an entry is tells which of its fields it has.
        unsafe {
            match (*entry).rtekind {
                pg_sys::RTEKind::RTE_SUBQUERY => Some(scope.within((*entry).subquery)),
                pg_sys::RTEKind::RTE_CTE => {
                    let above = scope.up((*entry).ctelevelsup)?;
                    let name = CStr::from_ptr((*entry).ctename);
                    let ctes = list::<pg_sys::CommonTableExpr>((*above.query).cteList);
                    let mut ctes = ctes.into_iter();
                    let cte = ctes.find(|&cte| CStr::from_ptr((*cte).ctename) == name)?;
                    Some(above.within((*cte).ctequery.cast()))
                }
                pg_sys::RTEKind::RTE_RELATION => {
                    let view = (*entry).relid;
                    let query = self.views.entry(view);
                    query.or_insert_with(|| query_of_view(view)).clone()
                }
                _ => None,
            }
        }
    }

    /// Notes a column of a table; all of them where it is 0.
    unsafe fn relation(&mut self, table: pg_sys::Oid, number: pg_sys::AttrNumber) {
        let mut add = |number| {
            let source = Source { table, number };
            if self.known.insert(source) {
                self.found.push(source);
            }
        };
        if number > 0 {
            return add(number);
        }
        // SAFETY: as the caller says.
        unsafe {
            let relation = pg_sys::try_relation_open(table, pg_sys::AccessShareLock as i32);
            if relation.is_null() {
                return;
            }
            let descriptor = pgrx::PgTupleDesc::from_pg_unchecked((*relation).rd_att);
            let columns = descriptor.iter().filter(|column| !column.attisdropped);
            columns.for_each(|column| add(column.attnum));
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        }
    }
}

/// The query of a view, or materialized view; `None` for any other relation.
///
/// # Safety
/// A relation that the statement which was planned holds a lock on, or on the materialized view that is
/// made from it.
unsafe fn query_of_view(relation: pg_sys::Oid) -> Option<Rc<Scope>> {
    // SAFETY: as the caller says.
    unsafe {
        let kind = pg_sys::get_rel_relkind(relation) as u8;
        if !matches!(kind, pg_sys::RELKIND_VIEW | pg_sys::RELKIND_MATVIEW) {
            return None;
        }
        let lock = pg_sys::AccessShareLock as i32;
        let view = pg_sys::try_relation_open(relation, lock);
        if view.is_null() {
            return None;
        }
        // The view's own goes with its relation.
        let query = pg_sys::copyObjectImpl(pg_sys::get_view_query(view).cast()).cast();
        pg_sys::relation_close(view, pg_sys::NoLock as i32);
        Some(Rc::new(Scope { query, above: None }))
    }
}
