-- Options that would do nothing, or of which one would be passed over, are refused; what is due is told.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA idle_options;
SET search_path = idle_options;

CREATE TABLE t AS
SELECT i AS id, sin(i * 0.7) AS x, cos(i * 0.3) AS z, i % 7 AS household, i % 5 = 0 AS held, true AS always,
       sin(i * 0.7) > 0.2 AS bad, 3 * sin(i * 0.7) AS y, (ARRAY['a', 'b', 'c'])[1 + i % 3] AS grade, ARRAY[i % 2 = 0, sin(i * 0.7) > 0] AS marks
FROM generate_series(1, 200) AS i;

-- What a training says: its error and hint, or that it went through.
CREATE FUNCTION says(options jsonb, target text DEFAULT 'bad', architecture text DEFAULT 'linear', validation float8 DEFAULT NULL, optimizer text DEFAULT NULL,
    columns text DEFAULT 'x, z', where_clause text DEFAULT 'true', model text DEFAULT 'm', OUT code text, OUT message text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM neural.train(model, format('SELECT %s, %I FROM t WHERE %s', columns, target, where_clause), target, architecture => architecture, epochs => 1,
        seed => 1, validation => says.validation, optimizer => says.optimizer, options => options || '{"verbose": false}');
    code := '00000';
    message := 'it went through';
    IF model = 'm' THEN
        PERFORM neural.drop_model('m');
    END IF;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;
\pset format unaligned
\pset tuples_only on

-- Settings of a schedule or optimizer that has none.
SELECT * FROM says('{"gamma": 0.5}');
SELECT * FROM says('{"schedule": "exponential", "step_size": 3}');
SELECT * FROM says('{"schedule": "one_cycle", "step_size": 3}');
SELECT * FROM says('{"schedule": "reduce_on_plateau", "gamma": 0.5, "step_size": 3}');
SELECT * FROM says('{"momentum": 0.9}', optimizer => 'adam');
SELECT * FROM says('{"rho": 0.9}');

-- Two ways to hold rows out.
SELECT * FROM says('{"validation_split": "last", "validation_group": "household"}', columns => 'x, household');
SELECT * FROM says('{"validation_split": "stratified", "validation_group": "household"}', columns => 'x, household');
SELECT * FROM says('{"validation_split": "held", "validation_group": "household"}', columns => 'x, household, held');
SELECT * FROM says('{"validation_split": "random", "validation_group": "household"}', columns => 'x, household');
SELECT * FROM says('{"validation_split": "last"}', validation => 0);

-- What a target has no use for, first and in a later version that goes on.
SELECT * FROM says('{"threshold": 0.3}', target => 'grade');
SELECT * FROM says('{"positive_class": "a"}', target => 'grade');
SELECT * FROM says('{"threshold": 0.3}', target => 'y');
SELECT * FROM says('{"threshold": 0.3}', target => 'marks');
SELECT * FROM says('{"label_smoothing": 0.1}', target => 'y');
SELECT * FROM says('{}', target => 'grade', model => 'grade');
SELECT * FROM says('{}', target => 'y', model => 'number');
SELECT * FROM says('{"warm_start": true, "threshold": 0.3}', target => 'grade', model => 'grade', architecture => NULL);
SELECT * FROM says('{"warm_start": true, "positive_class": "a"}', target => 'grade', model => 'grade', architecture => NULL);
SELECT * FROM says('{"warm_start": true, "target_scale": "standard"}', target => 'grade', model => 'grade', architecture => NULL);
SELECT * FROM says('{"warm_start": true, "target_scale": "robust"}', target => 'y', model => 'number', architecture => NULL);
SELECT * FROM says('{"warm_start": true, "target_scale": "standard"}', target => 'y', model => 'number', architecture => NULL);
SELECT * FROM says('{"warm_start": true, "initializer": "zeros"}', target => 'y', model => 'number', architecture => NULL);

-- What nothing in the network reads.
SELECT * FROM says('{"initializer": "he_normal"}', architecture => NULL);
SELECT * FROM says('{"initializer": "he_normal"}');
SELECT * FROM says('{"initializer": "he_normal"}', architecture => '{"layers": [{"type": "dense", "units": 2, "kernel_initializer": "zeros"}]}');
SELECT * FROM says('{"dropout": 0.2}');
SELECT * FROM says('{"dropout": 0}');
SELECT * FROM says('{"dropout": 0.2}', architecture => 'mlp_10_10');

-- Whole numbers, however they are written.
SELECT * FROM says('{"members": 2.0, "early_stopping": 3.0}');
SELECT * FROM says('{"members": 2.5}');
SELECT * FROM says('{}', architecture => '{"members": 2.0, "layers": [{"type": "dense", "units": 4.0}]}');

-- Weights that cannot be, and splits that leave nothing.
SELECT * FROM says('{"class_weights": {"true": 1e300}}');
SELECT * FROM says('{"class_weights": {"true": 0, "false": 0}}');
SELECT * FROM says('{"validation_split": "always"}', columns => 'x, always');
SELECT * FROM says('{}', validation => 0.999);
SELECT * FROM says('{}', target => 'y', validation => 0.999);

-- An unknown option that is like none.
SELECT code, message, left(hint, 24) AS hint FROM says('{"xyzzy": 1}');
SELECT * FROM says('{"tresholt": 1}');

-- Infinite features: told of, and scored.
SELECT * FROM says('{}', columns => $$CASE id % 50 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' ELSE x END::float8 AS x, z$$, model => 'infinite', validation => 0);
SELECT * FROM says('{"warm_start": true}', columns => $$CASE id WHEN 3 THEN 'infinity' ELSE x END::float8 AS x, z$$, model => 'infinite', architecture => NULL, validation => 0);
SELECT neural.predict('infinite', 'infinity'::float8, 0.5::float8) BETWEEN 0 AND 1 AS scored;
SELECT * FROM says('{}', columns => $$ARRAY[CASE id WHEN 9 THEN '-infinity' ELSE x END::float8, z] AS v$$, validation => 0);
SELECT * FROM says('{}', columns => $$CASE id WHEN 9 THEN 'infinity' ELSE date '2024-01-01' + id END AS since, z$$, validation => 0);

-- Memory in which nothing can be done.
SET neural.max_memory = '64kB'; \echo :SQLSTATE
SET neural.max_memory_limit = '64kB'; \echo :SQLSTATE
\set VERBOSITY default
SET neural.max_memory = 0;
\set VERBOSITY terse
SET neural.max_memory = '1MB'; \echo :SQLSTATE
SELECT * FROM says('{}', architecture => '{"layers": [{"type": "dense", "units": 2000}, {"type": "dense", "units": 2000}]}');
SET neural.max_memory = -1;

\pset format aligned
\pset tuples_only off
DO $$ BEGIN PERFORM neural.drop_model(name) FROM neural.models; END $$;
DROP SCHEMA idle_options CASCADE;
