//! Random queries that call models, run with batches and without: the same rows to the last bit,
//! or the same error.
//!
//! `PGN_SCAN_QUERIES` is the number of queries (300), `PGN_SCAN_SEED` the first one's seed.

use std::env;

use postgres::{Client, SimpleQueryMessage};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fixture::count;
use crate::harness::Cluster;

#[test]
fn random_queries_give_the_same_with_batches_and_without() {
    let cluster = Cluster::with_extension(&["session_preload_libraries = 'pg_neural'"]);
    let mut client = cluster.superuser();
    set_up(&mut client);
    let number = |name: &str, default: u64| {
        env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let queries = number("PGN_SCAN_QUERIES", 300);
    let first = number("PGN_SCAN_SEED", 1);
    let version = "SELECT current_setting('server_version_num')::bigint";
    let renamed = count(&mut client, version) >= 160_000;
    let foreign = set_up_foreign(&mut client);
    let mut batched = 0;
    let mut failed = 0;
    for seed in first..first + queries {
        let random = ChaCha8Rng::seed_from_u64(seed);
        let mut generator = Generator {
            random,
            foreign,
            sets: 0,
            risks: 0,
        };
        let mut settings = generator.settings();
        if renamed {
            settings = settings.replace("force_parallel_mode", "debug_parallel_query");
        }
        let query = generator.query();
        client.batch_execute(&settings).expect("settings");
        let mut run = |batches: &str| {
            let set = format!("SET neural.batch_scoring = {batches}; {}", query.before);
            client
                .batch_execute(&set)
                .unwrap_or_else(|error| panic!("seed {seed}: {error:?}: {set}"));
            let planned = query.planned();
            let plan = outcome(&mut client, &format!("EXPLAIN (COSTS off) {planned}"));
            let given = outcome(&mut client, &query.text);
            client
                .batch_execute(if query.text.starts_with("BEGIN") {
                    "ROLLBACK"
                } else {
                    &query.after
                })
                .unwrap();
            (plan, given)
        };
        let (_, expected) = run("off");
        let (plan, given) = run("on");
        // Of several errors that wait in different rows and columns, either may come first.
        let alike = given == expected || generator.risks > 1 && given.is_err() && expected.is_err();
        assert!(
            alike,
            "seed {seed}: {given:?} in place of {expected:?}\n{settings}\n{query:?}\n{}",
            plan.unwrap_or_else(|error| vec![error]).join("\n")
        );
        batched += u64::from(plan.is_ok_and(|plan| plan.iter().any(|l| l.contains("NeuralScore"))));
        failed += u64::from(expected.is_err());
    }
    // What is compared must be what the test is about.
    assert!(batched * 2 > queries, "{batched} of {queries} used batches");
    assert!(failed * 2 < queries, "{failed} of {queries} failed");
    eprintln!("{queries} queries, {batched} with batches, {failed} with errors");
}

/// Tables with missing, odd and ordinary values, and models of each task.
fn set_up(client: &mut Client) {
    client
        .batch_execute(
            "CREATE TABLE t (id int PRIMARY KEY, a float8, b int, c text, d numeric, g int, y bool, v float8, k text,
                 e float8, h float8, s int2, o bool, r real, j date, m timestamp, w text);
             INSERT INTO t SELECT i,
                 CASE WHEN i % 23 = 0 THEN NULL WHEN i % 31 = 0 THEN 'NaN' ELSE 20 + i % 50 + sin(i) END,
                 CASE WHEN i % 19 = 0 THEN NULL ELSE (1000 * sin(i))::int END,
                 CASE WHEN i % 17 = 0 THEN NULL ELSE (ARRAY['car', 'house', 'other', 'new'])[1 + i % 4] END,
                 (i % 100) / 7.0, i % 5, sin(i) + cos(i * 3) > 0, 10 * sin(i) + i % 3,
                 (ARRAY['low', 'middle', 'high'])[1 + i * 7 % 3],
                 CASE WHEN i % 13 = 0 THEN NULL ELSE cos(i * 7) END,
                 CASE WHEN i % 11 = 0 THEN NULL WHEN i % 37 = 0 THEN '-Infinity' ELSE cos(i) * 1e3 END,
                 CASE WHEN i % 7 = 0 THEN NULL ELSE i % 300 - 150 END, i % 29 < 14,
                 CASE WHEN i % 9 = 0 THEN NULL ELSE sin(i * 5) END, date '2024-01-01' + i % 400,
                 CASE WHEN i % 5 = 0 THEN NULL ELSE timestamp '2024-01-01' + i * interval '7 hours' END,
                 -- Some of them out of line, some compressed.
                 CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN long WHEN 2 THEN repeat('ab', 2000) ELSE 'w' || i % 6 END
             FROM generate_series(1, 900) AS i,
                 (SELECT string_agg(md5(n::text), '') AS long FROM generate_series(1, 100) AS n) AS texts;
             CREATE TABLE p (LIKE t) PARTITION BY RANGE (id);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (400);
             CREATE TABLE p2 (w text, h float8, k text, gone int, b int, a float8, s int2, e float8, y bool,
                 c text, id int NOT NULL, v float8, o bool, d numeric, m timestamp, r real, j date, g int);
             ALTER TABLE p2 DROP COLUMN gone;
             ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (400) TO (700);
             CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (700) TO (5000);
             INSERT INTO p SELECT * FROM t;
             -- Its columns in another order, between others, and not all of them from the beginning.
             CREATE TABLE q (k text, gone int, c text, s int2, y bool, id int, a float8, also_gone text, b int,
                 d numeric, w text, g int, r real, o bool);
             DO $$BEGIN FOR i IN 1..60 LOOP
                 EXECUTE format('ALTER TABLE q ADD COLUMN z%s %s', i,
                     (ARRAY['float8', 'int2', 'text', 'bool', 'uuid', 'numeric', 'float8'])[1 + i % 7]);
             END LOOP; END$$;
             INSERT INTO q (k, gone, c, s, y, id, a, also_gone, b, d, w, g, r, o, z7, z14, z1, z58)
                 SELECT k, id, c, s, y, id, a, c, b, d, w, g, r, o, a, v, s, w FROM t WHERE id < 500;
             ALTER TABLE q DROP COLUMN gone, ADD COLUMN v float8 DEFAULT 2.5, ADD COLUMN e float8,
                 ADD COLUMN j date DEFAULT '2024-02-29';
             INSERT INTO q (k, c, s, y, id, a, also_gone, b, d, w, g, r, o, v, e, j, z1, z2)
                 SELECT k, c, s, y, id, a, c, b, d, w, g, r, o, v, e, j, s, w FROM t WHERE id BETWEEN 500 AND 700;
             ALTER TABLE q DROP COLUMN also_gone, ADD COLUMN m timestamp,
                 ADD COLUMN h float8 DEFAULT -1.25;
             INSERT INTO q (k, c, s, y, id, a, b, d, w, g, r, o, v, e, j, m, h)
                 SELECT k, c, s, y, id, a, b, d, w, g, r, o, v, e, j, m, h FROM t WHERE id > 700;
             UPDATE q SET g = g WHERE id % 10 = 0;
             DELETE FROM q WHERE id % 40 = 1;
             CREATE FUNCTION some_rows(query text, most int) RETURNS SETOF text LANGUAGE plpgsql AS
                 $$DECLARE r record; n int := 0; BEGIN
                     FOR r IN EXECUTE query LOOP
                         RETURN NEXT r::text; n := n + 1; EXIT WHEN n >= most;
                     END LOOP; END$$;
             CREATE TABLE s (g int, f float8, n text);
             INSERT INTO s SELECT i, sqrt(i), 'n' || i FROM generate_series(0, 7) AS i;
             CREATE INDEX ON t (b);
             ANALYZE t; ANALYZE p; ANALYZE s;
             SELECT neural.train('risk', 'SELECT a, b, c, y FROM t', 'y', epochs => 1, seed => 1,
                 options => '{\"verbose\": false}');
             SELECT neural.train('price', 'SELECT a, b, c, v FROM t', 'v', epochs => 1, seed => 1,
                 options => '{\"verbose\": false}');
             SELECT neural.train('kind', 'SELECT a, b, c, k FROM t', 'k', epochs => 1, seed => 1,
                 options => '{\"verbose\": false}');
             SELECT neural.train('wide', 'SELECT v, a AS v2, e, h, e AS e2, h AS h2, v AS v3, a, e AS e3, y
                     FROM t WHERE e + h + v < 1e9 AND h > -1e9 AND a < 1000',
                 'y', epochs => 1, seed => 1, options => '{\"verbose\": false}');
             SELECT neural.train('narrow', 'SELECT s, o, r, j, m, d, w, y FROM t', 'y', epochs => 1, seed => 1,
                 options => '{\"verbose\": false}');
             SELECT neural.create_function('score_risk', 'risk');
             SELECT neural.create_function('score_pinned', 'price', version => 1);
             SELECT neural.create_function('score_kind', 'kind', returns => 'class')",
        )
        .expect("tables and models");
}

/// The rows of `t` as those of a foreign table, where the server has what makes one.
fn set_up_foreign(client: &mut Client) -> bool {
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'";
    if count(client, available) == 0 {
        println!("SKIPPED: foreign tables are not tested here, there is no postgres_fdw");
        return false;
    }
    client
        .batch_execute(
            "CREATE EXTENSION postgres_fdw;
             CREATE SERVER itself FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'postgres');
             DO $$BEGIN EXECUTE format('ALTER SERVER itself OPTIONS (host %L, port %L)',
                 current_setting('unix_socket_directories'), current_setting('port')); END$$;
             CREATE USER MAPPING FOR CURRENT_USER SERVER itself;
             CREATE FOREIGN TABLE f (id int, a float8, b int, c text, d numeric, g int, y bool,
                 v float8, k text, e float8, h float8, s int2, o bool, r real, j date, m timestamp, w text)
             SERVER itself OPTIONS (table_name 't')",
        )
        .expect("a foreign table");
    true
}

/// A query's rows, sorted, or its error.
fn outcome(client: &mut Client, query: &str) -> Result<Vec<String>, String> {
    let messages = client.simple_query(query).map_err(|error| {
        let error = error.as_db_error().expect("an error of the server's");
        format!("{}: {}", error.code().code(), error.message())
    })?;
    let mut rows: Vec<String> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|i| row.get(i).unwrap_or("NULL"))
                    .collect::<Vec<_>>()
                    .join(" | "),
            ),
            _ => None,
        })
        .collect();
    if !query.starts_with("EXPLAIN") && !query.starts_with("BEGIN; DECLARE") {
        rows.sort();
    }
    Ok(rows)
}

/// A query, and statements to prepare it and to clean up.
#[derive(Debug)]
struct Query {
    before: String,
    text: String,
    after: String,
}

impl Query {
    /// The statement that EXPLAIN can show.
    fn planned(&self) -> &str {
        let text = self.text.strip_prefix("BEGIN; ").unwrap_or(&self.text);
        let text = text.split("; ").next().unwrap_or(text);
        text.split_once("CURSOR FOR ")
            .map_or(text, |(_, query)| query)
    }
}

struct Generator {
    random: ChaCha8Rng,
    /// Whether there is a foreign table.
    foreign: bool,
    /// Names given so far to what a FROM clause holds.
    sets: u32,
    /// Expressions in the query that raise errors for some row.
    risks: u32,
}

impl Generator {
    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices.choose(&mut self.random).copied().expect("a choice")
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn settings(&mut self) -> String {
        let rows = self.one_of(&["1", "2", "7", "64", "256", "256", "1000"]);
        let workers = self.one_of(&["0", "0", "2"]);
        let mut settings = format!(
            "RESET ALL; SET neural.batch_rows = {rows}; SET max_parallel_workers_per_gather = {workers};
             SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;"
        );
        for name in [
            "enable_hashjoin",
            "enable_mergejoin",
            "enable_nestloop",
            "enable_hashagg",
            "enable_material",
            "enable_seqscan",
            "enable_indexscan",
            "enable_bitmapscan",
            "enable_memoize",
            "enable_incremental_sort",
            "parallel_leader_participation",
        ] {
            if self.chance(20) {
                settings.push_str(&format!("SET {name} = off;"));
            }
        }
        for setting in [
            "force_parallel_mode = on",
            "plan_cache_mode = force_generic_plan",
            "plan_cache_mode = force_custom_plan",
            "work_mem = '64kB'",
            "neural.max_memory = '1MB'",
            "enable_partitionwise_aggregate = on",
            "enable_partitionwise_join = on",
        ] {
            if self.chance(10) {
                settings.push_str(&format!("SET {setting};"));
            }
        }
        if self.chance(4) {
            settings.push_str("SET jit = on; SET jit_above_cost = 0;");
        } else {
            settings.push_str("SET jit = off;");
        }
        settings
    }

    /// A feature's value of a row called `x`; now and then one that raises an error.
    fn argument(&mut self, x: &str, plain: &str, others: &[&str]) -> String {
        if self.chance(60) {
            format!("{x}.{plain}")
        } else {
            self.one_of(others).replace("x.", &format!("{x}."))
        }
    }

    /// A call that gives a number.
    fn call(&mut self, x: &str) -> String {
        if self.chance(10) {
            return format!("neural.predict('risk', {x})");
        }
        let a = self.argument(
            x,
            "a",
            &[
                "x.a + 1",
                "x.b",
                "NULL",
                "40",
                "x.d",
                "x.a * x.g",
                "sqrt(abs(x.a))",
            ],
        );
        let b = self.argument(
            x,
            "b",
            &["x.g", "abs(x.b)", "'17'", "x.b::float8", "coalesce(x.b, 0)"],
        );
        let b = if self.chance(2) {
            self.risks += 1;
            format!("100 / ({x}.id - 777)")
        } else {
            b
        };
        let c = self.argument(
            x,
            "c",
            &["upper(x.c)", "'car'", "NULL", "x.c || ''", "'none'"],
        );
        match self.random.random_range(0..11) {
            0..=1 => format!("neural.predict('risk', {a}, {b}, {c})"),
            2 => {
                format!("neural.predict('narrow', {x}.s, {x}.o, {x}.r, {x}.j, {x}.m, {x}.d, {x}.w)")
            }
            // Enough plain numbers for a vector of them; the last may be of another type.
            3 => {
                let last = self.one_of(&["e", "h", "v", "b", "g"]);
                format!(
                    "neural.predict('wide', {x}.v, {a}, {x}.e, {x}.h, {x}.e, {x}.h, {x}.v, {x}.a, {x}.{last})"
                )
            }
            4 => format!("neural.predict('price', {a}, {b}, {c})"),
            5 => format!("(neural.predict_proba('kind', {a}, {b}, {c}))[2]"),
            6 => format!("length(neural.predict_class('kind', {a}, {b}, {c}))::float8"),
            7 => format!("score_risk(c => {x}.c, a => {x}.a, b => {x}.b)"),
            8 => format!("score_pinned({x}.a, {x}.b, {x}.c)"),
            _ if self.chance(20) => {
                self.risks += 1;
                format!("neural.predict('nobody', {a}, {b}, {c})")
            }
            _ => {
                let inner = format!("neural.predict('price', {a}, {b}, {c})");
                format!("neural.predict('risk', {inner}, {x}.b, {x}.c)")
            }
        }
    }

    /// An expression over a row that holds a call.
    fn expression(&mut self, x: &str) -> String {
        let call = self.call(x);
        let risky = format!("neural.predict('risk', {x}.a, 100 / ({x}.id - 777), {x}.c)");
        match self.random.random_range(0..20) {
            0..=3 => call,
            4 => format!("{call} * 2 + {x}.id"),
            5 => format!("CASE WHEN {x}.g > 2 THEN {call} ELSE -1 END"),
            6 => format!("CASE WHEN {call} > 0.5 THEN {x}.id ELSE {x}.g END"),
            7 => {
                let other = self.call(x);
                format!("greatest({call}, {other})")
            }
            8 => format!("coalesce({call}, {x}.a)"),
            9 => format!("coalesce({x}.a, {call})"),
            10 => format!("CASE WHEN {x}.id <> 777 THEN {risky} END"),
            11 => format!(
                "CASE WHEN {x}.id = 777 THEN -1 WHEN 100 / ({x}.id - 777) > 2 THEN {call} ELSE {risky} END"
            ),
            12 => {
                let (other, third) = (self.call(x), self.call(x));
                format!(
                    "CASE WHEN {x}.b > 100 THEN {call} WHEN {other} > 0.5 THEN {third} ELSE {call} END"
                )
            }
            13 => {
                let other = self.call(x);
                format!("CASE {x}.c WHEN 'car' THEN {call} WHEN 'house' THEN {other} END")
            }
            14 => format!(
                "CASE score_kind({x}.a, {x}.b, {x}.c) WHEN 'low' THEN {call} WHEN 'high' THEN {x}.a END"
            ),
            15 => format!("({x}.b > 0 AND {call} > 0.3)::int"),
            16 => format!("({x}.id = 777 OR {risky} > 0.4 OR {call} > 0.6)::int"),
            17 => format!("nullif({call}, {x}.a)"),
            18 => format!(
                "CASE WHEN {x}.g = 1 THEN {call} END + CASE WHEN {x}.g < 3 THEN {call} ELSE 0 END"
            ),
            _ => format!(
                "CASE WHEN {x}.g < 4 THEN CASE WHEN {x}.id = 777 THEN 0 ELSE {risky} END ELSE coalesce({call}, 0) END"
            ),
        }
    }

    fn condition(&mut self, x: &str) -> String {
        let call = self.call(x);
        let plain = self
            .one_of(&[
                "x.b > 0",
                "x.id < 300",
                "x.c = 'car'",
                "x.g <> 3",
                "x.a IS NOT NULL",
            ])
            .replace("x.", &format!("{x}."));
        match self.random.random_range(0..10) {
            8 => format!(
                "({x}.id = 777 OR neural.predict('risk', {x}.a, 100 / ({x}.id - 777), {x}.c) > 0.4)"
            ),
            9 => format!("CASE WHEN {plain} THEN {call} > 0.5 ELSE {x}.g > 1 END"),
            0..=1 => plain,
            2 => format!("{call} > 0.4"),
            3 => format!("{plain} AND {call} > 0.3"),
            4 => format!("({plain} OR {call} > 0.6)"),
            5 => format!("{call} > 0.2 AND {plain} AND {} < 5", self.call(x)),
            6 => format!("score_kind({x}.a, {x}.b, {x}.c) IN ('low', 'high')"),
            _ => "true".to_string(),
        }
    }

    /// Something to select from, whose rows are called by the name returned and have the columns
    /// of `t`.
    fn from(&mut self) -> (String, String) {
        self.sets += 1;
        let x = format!("x{}", self.sets);
        let text = match self.random.random_range(0..11) {
            0..=2 => format!("t AS {x}"),
            8..=10 => format!("q AS {x}"),
            3 if self.chance(30) && self.foreign => format!("f AS {x}"),
            3 => format!("p AS {x}"),
            4 => format!("(SELECT * FROM t WHERE id % 3 = 0 OFFSET 0) AS {x}"),
            5 => format!("(SELECT * FROM t UNION ALL SELECT * FROM p WHERE id < 200) AS {x}"),
            6 => {
                let inner = self.condition("i");
                format!("(SELECT i.* FROM t AS i WHERE {inner}) AS {x}")
            }
            _ => format!("t AS {x} TABLESAMPLE SYSTEM (100)"),
        };
        (text, x)
    }

    /// Aggregates over all rows, which come in one order: sums of numbers depend on it.
    fn aggregates(&mut self, from: &str, x: &str, condition: &str) -> String {
        let mut columns = vec![format!("count({})", self.call(x))];
        for _ in 0..self.random.random_range(0..4) {
            let argument = match self.random.random_range(0..5) {
                0 => format!("{x}.{}", self.one_of(&["a", "e", "h", "v"])),
                1 if self.chance(30) => format!("2 * {}", self.call(x)),
                _ => self.call(x),
            };
            let aggregate = self.one_of(&["avg", "sum", "min", "max", "count"]);
            columns.push(format!("{aggregate}({argument})"));
        }
        if self.chance(40) {
            columns.push("count(*)".to_string());
        }
        if self.chance(10) {
            columns.push(format!("stddev({x}.v)"));
        }
        if self.chance(10) {
            columns.push(format!("min({}) FILTER (WHERE {x}.g = 1)", self.call(x)));
        }
        let having = match self.chance(20) {
            true => format!("HAVING avg({}) > 0.2", self.call(x)),
            false => String::new(),
        };
        let again = self.chance(20);
        let of_group = if again {
            format!("{x}.g = s.g AND")
        } else {
            String::new()
        };
        let query = format!(
            "SELECT {} FROM (SELECT {x}.* FROM {from} WHERE {of_group} {condition} ORDER BY {x}.id OFFSET 0) AS {x} {having}",
            columns.join(", ")
        );
        match again {
            true => format!("SELECT s.n, l.* FROM s CROSS JOIN LATERAL ({query} OFFSET 0) AS l"),
            false => query,
        }
    }

    /// A query that returns rows.
    fn select(&mut self) -> String {
        let (from, x) = self.from();
        let (x, condition) = (x.as_str(), self.condition(x.as_str()));
        let expression = self.expression(x);
        let other = self.expression(x);
        let sum = |expression: &str| format!("sum(({expression})::numeric)");
        match self.random.random_range(0..28) {
            25..=27 => self.aggregates(&from, x, &condition),
            15 => format!(
                "SELECT {x}.id, s.n FROM {from} JOIN s ON s.g = {x}.g AND {expression} + s.f > 1 WHERE {condition}"
            ),
            16 => format!(
                "SELECT s.n, l.* FROM s CROSS JOIN LATERAL (SELECT {x}.id, {expression} AS e,
                     neural.predict('risk', {x}.a + s.f, {x}.b, s.n) AS o
                 FROM {from} WHERE {x}.g = s.g AND {condition} ORDER BY {x}.id LIMIT 5) AS l"
            ),
            17 => format!(
                "WITH RECURSIVE w(id, e, g) AS (SELECT 1, 0::float8, 1 UNION ALL
                     SELECT w.id + 1, neural.predict('risk', 30 + w.e, w.id, 'car'), (w.g + 1) % 5
                     FROM w WHERE w.id < 20 AND neural.predict('price', w.e, w.g, NULL) < 1000)
                 SELECT w.*, {expression} FROM w JOIN {from} ON {x}.id = w.id"
            ),
            18 => {
                let operator = self.one_of(&["UNION", "INTERSECT", "EXCEPT", "UNION ALL"]);
                format!(
                    "SELECT {x}.g, score_kind({x}.a, {x}.b, {x}.c) FROM {from} WHERE {condition}
                     {operator} SELECT s.g, score_kind(s.f, s.g, 'car') FROM s"
                )
            }
            19 => format!(
                "SELECT {x}.g, count(*) FILTER (WHERE {expression} > 0.4), {} FILTER (WHERE {x}.id <> 777 AND {condition}),
                     neural.predict('risk', {x}.g, 1, 'car'), max(neural.predict('risk', 1, 2, NULL))
                 FROM {from} GROUP BY {x}.g HAVING max({other}) > 0.1",
                sum(&format!("neural.predict('risk', {x}.a, 100 / ({x}.id - 777), {x}.c)"))
            ),
            20 if self.chance(50) => {
                let function = self.one_of(&["first_value", "last_value", "lag", "lead", "max"]);
                let frame = self.one_of(&[
                    "",
                    "ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING",
                    "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
                    "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW",
                ]);
                format!(
                    "SELECT {x}.id, {function}({expression}) OVER (ORDER BY {x}.id {frame}) FROM {from} WHERE {condition}"
                )
            }
            20 => format!(
                "SELECT {x}.id, {} FILTER (WHERE {x}.b > 0) OVER (ORDER BY {x}.id ROWS 3 PRECEDING),
                     row_number() OVER (ORDER BY {x}.id) FROM {from} WHERE {condition}",
                sum(&expression)
            ),
            21 => format!(
                "SELECT DISTINCT ON ({x}.g) {x}.g, {expression} AS e FROM {from} ORDER BY {x}.g, {x}.id"
            ),
            22 => format!(
                "SELECT neural.predict_proba('kind', {x}.a, {x}.b, {x}.c), {x}.id, unnest(ARRAY[{expression}, 1])
                 FROM {from} WHERE {condition}"
            ),
            23 => format!(
                "SELECT * FROM (SELECT {x}.id, {expression} AS e, row_number() OVER (ORDER BY {x}.id) AS n
                 FROM {from}) AS w WHERE n < {}",
                self.random.random_range(1..50)
            ),
            0..=2 => format!("SELECT {x}.id, {expression} AS e, {other} AS o FROM {from} WHERE {condition}"),
            3 => format!("SELECT {x}.*, {expression} AS e FROM {from} WHERE {condition}"),
            4 => format!("SELECT count(*), {}, min({other}) FROM {from} WHERE {condition}", sum(&expression)),
            5 => format!(
                "SELECT {x}.g, {}, max({other}) FROM {from} WHERE {condition} GROUP BY {x}.g",
                sum(&expression)
            ),
            6 => format!(
                "SELECT {x}.g, {} FILTER (WHERE {x}.b > 0) FROM {from} GROUP BY GROUPING SETS (({x}.g), ({x}.c), ())",
                sum(&expression)
            ),
            7 => format!(
                "SELECT {x}.id, {expression} AS e FROM {from} WHERE {condition} ORDER BY {x}.id LIMIT {}",
                self.random.random_range(0..60)
            ),
            8 => format!(
                "SELECT {x}.id, {expression} AS e FROM {from} ORDER BY 2 DESC, 1 LIMIT {} OFFSET 3",
                self.random.random_range(1..40)
            ),
            9 => format!(
                "SELECT {x}.id, s.n, {expression} AS e, {other} + s.f AS o FROM {from} JOIN s ON s.g = {x}.g WHERE {condition}"
            ),
            10 => format!(
                "SELECT s.n, {x}.id, {expression} AS e FROM s LEFT JOIN {from} ON s.g = {x}.g AND {x}.id < 100"
            ),
            11 => format!(
                "SELECT {x}.id, {} OVER (PARTITION BY {x}.g ORDER BY {x}.id), {other} AS o FROM {from} WHERE {condition}",
                sum(&expression)
            ),
            12 => format!(
                "WITH w AS MATERIALIZED (SELECT {x}.id, {x}.g, {expression} AS e FROM {from} WHERE {condition})
                 SELECT w.e, s.n, (SELECT count(*) FROM w AS w2 WHERE w2.e > w.e AND w2.id < 50)
                 FROM w JOIN s USING (g) WHERE w.id < 200"
            ),
            13 => format!(
                "SELECT s.n, (SELECT {} FROM {from} WHERE {x}.g = s.g AND {condition}) FROM s",
                sum(&expression)
            ),
            14 => format!(
                "SELECT s.n FROM s WHERE EXISTS (SELECT 1 FROM {from} WHERE {x}.g = s.g AND {expression} > 0.3)"
            ),
            _ => format!("SELECT DISTINCT {x}.g, {expression} > 0.4, {other} > 1 FROM {from} WHERE {condition}"),
        }
    }

    fn query(&mut self) -> Query {
        let plain = |text: String| Query {
            before: String::new(),
            text,
            after: String::new(),
        };
        let x = "x";
        match self.random.random_range(0..30) {
            0..=1 => {
                let (expression, condition) = (self.expression(x), self.condition(x));
                let returning = self.expression(x);
                plain(format!(
                    "BEGIN; UPDATE t AS x SET v = {expression} WHERE {condition} RETURNING x.id, x.v, {returning}; ROLLBACK"
                ))
            }
            2 => {
                let (condition, returning) = (self.condition(x), self.expression(x));
                plain(format!(
                    "BEGIN; DELETE FROM p AS x WHERE {condition} RETURNING x.id, {returning}; ROLLBACK"
                ))
            }
            3 => {
                let (expression, condition) = (self.expression(x), self.condition(x));
                let other = self.expression("t");
                let into = self.one_of(&["t", "p"]);
                let conflict = match into {
                    "t" => format!("ON CONFLICT (id) DO UPDATE SET v = {other}"),
                    _ => String::new(),
                };
                plain(format!(
                    "BEGIN; INSERT INTO {into} (id, a, v) SELECT x.id, x.a, {expression} FROM t AS x WHERE {condition} {conflict} RETURNING id, a, v; ROLLBACK"
                ))
            }
            4 => {
                let (call, expression) = (self.call(x), self.expression(x));
                plain(format!(
                    "BEGIN; MERGE INTO t AS x USING s ON s.g = x.g AND x.id % 5 = s.g WHEN MATCHED AND {call} > 0.5 THEN UPDATE SET v = {expression} WHEN MATCHED THEN DELETE; SELECT id, v FROM t; ROLLBACK"
                ))
            }
            5 => {
                let expression = self.expression(x);
                Query {
                    before: format!(
                        "PREPARE q(text, float8, int) AS SELECT x.id, neural.predict($1, x.a + $2, $3, x.c), {expression}
                         FROM t AS x WHERE x.g = $3 OR neural.predict($1, $2, x.b, x.c) > 0.5"
                    ),
                    text: "EXECUTE q('risk', 1.5, 3)".to_string(),
                    after: "DEALLOCATE q".to_string(),
                }
            }
            6 => {
                let (expression, condition) = (self.expression(x), self.condition(x));
                let scroll = self.chance(50);
                plain(format!(
                    "BEGIN; DECLARE k {}CURSOR FOR SELECT x.id, {expression} FROM t AS x WHERE {condition}; FETCH 3 FROM k; FETCH 40 FROM k; {} ROLLBACK",
                    if scroll { "SCROLL " } else { "" },
                    if scroll {
                        "FETCH BACKWARD 20 FROM k; FETCH LAST FROM k; "
                    } else {
                        "FETCH ALL FROM k; "
                    },
                ))
            }
            7 => {
                let (expression, condition) = (self.expression(x), self.condition(x));
                let most = self.random.random_range(1..100);
                plain(format!(
                    "SELECT some_rows($$SELECT x.id, {expression} FROM t AS x WHERE {condition}$$, {most})"
                ))
            }
            8 => {
                let (expression, condition) = (self.expression(x), self.condition(x));
                plain(format!(
                    "BEGIN; CREATE TEMP TABLE made AS SELECT x.id, {expression} AS e FROM t AS x WHERE {condition}; SELECT * FROM made; ROLLBACK"
                ))
            }
            _ => plain(self.select()),
        }
    }
}
