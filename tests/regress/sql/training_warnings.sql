-- What a training warns of whatever is silenced: classes without rows, a split that tells nothing, few rows.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA training_warnings;
SET search_path = training_warnings;

CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;
CREATE TABLE sorted AS SELECT i AS id, sin(i) + i / 300.0 AS x, i > 420 AS bad, CASE WHEN i <= 210 THEN 'a' WHEN i <= 420 THEN 'b' ELSE 'c' END AS grade,
    CASE WHEN i <= 420 THEN ARRAY['l' || i % 2] ELSE ARRAY['l' || i % 2, 'late'] END AS labels, 0.0 AS nothing, (i <= 420)::int::float8 AS early
FROM generate_series(1, 600) AS i;

-- Held out from a sorted table: classes and labels that only the held-out rows have.
SELECT metrics -> 'accuracy' AS accuracy FROM neural.train('grade', 'SELECT x, grade FROM sorted ORDER BY id', 'grade', validation => 0.3, epochs => 2, seed => 1,
    options => '{"validation_split": "last", "verbose": false}');
SELECT validation_loss < 5 AS as_without_weights FROM neural.train('labels', 'SELECT x, labels FROM sorted ORDER BY id', 'labels', validation => 0.3, epochs => 2, seed => 1,
    options => '{"validation_split": "last", "verbose": false, "class_weights": "balanced"}');
SELECT validation_loss < 12 AS finite FROM neural.train('weighed', 'SELECT x, grade FROM sorted ORDER BY id', 'grade', validation => 0.3, epochs => 2, seed => 1,
    options => '{"validation_split": "last", "verbose": false, "class_weights": "balanced"}');

-- Held-out rows of one class.
SELECT metrics -> 'auc' AS auc FROM neural.train('only bad', 'SELECT x, bad FROM sorted ORDER BY id', 'bad', validation => 0.1, epochs => 2, seed => 1,
    options => '{"validation_split": "last", "verbose": false}');
SELECT metrics -> 'auc' AS auc FROM neural.train('only good', 'SELECT x, bad FROM sorted ORDER BY id DESC', 'bad', validation => 0.1, epochs => 2, seed => 1,
    options => '{"validation_split": "last", "verbose": false}');
SELECT metrics -> 'auc' AS auc FROM neural.train('rare', 'SELECT x, id IN (7, 77) AS bad FROM sorted', 'bad', validation => 0.2, epochs => 2, seed => 1, options => '{"verbose": false}');
SELECT version FROM neural.train('fair', 'SELECT x, bad FROM sorted', 'bad', validation => 0.2, epochs => 2, seed => 1, options => '{"verbose": false}');

-- Few rows.
SELECT version FROM neural.train('few', 'SELECT x, bad FROM sorted WHERE id BETWEEN 410 AND 431', 'bad', validation => 0, epochs => 2, seed => 1, options => '{"verbose": false}');
SELECT version FROM neural.train('fewest', 'SELECT x, id AS y FROM sorted LIMIT 2', 'y', 'regression', validation => 0, epochs => 2, seed => 1, options => '{"verbose": false}');

-- Weights that are all 0 teach nothing.
SELECT * FROM refused($$SELECT neural.train('w', 'SELECT x, bad, nothing FROM sorted', 'bad', epochs => 1, options => '{"verbose": false, "sample_weight": "nothing"}')$$);
SELECT code, message FROM refused($$SELECT neural.train('w', 'SELECT x, bad, early FROM sorted ORDER BY id DESC', 'bad', validation => 0.8, epochs => 1,
    options => '{"verbose": false, "sample_weight": "early", "validation_split": "last"}')$$);
SELECT code FROM refused($$SELECT neural.train('w', 'SELECT x, bad, early FROM sorted', 'bad', epochs => 1, options => '{"verbose": false, "sample_weight": "early"}')$$);
-- A threshold is for classes.
SELECT * FROM refused($$SELECT neural.train('t', 'SELECT x, id::float8 AS y FROM sorted', 'y', epochs => 1, options => '{"verbose": false, "threshold": 0.3}')$$);
SELECT code, message FROM refused($$SELECT neural.train('t', 'SELECT x, ARRAY[x, x] AS y FROM sorted', 'y', epochs => 1, options => '{"verbose": false, "threshold": 0.3}')$$);

-- What a bias begins with is as it is asked for; else the classes' shares.
SELECT version FROM neural.train('ones', 'SELECT x, bad FROM sorted', 'bad', epochs => 1, learning_rate => 1e-12, optimizer => 'sgd', validation => 0, seed => 1,
    architecture => '{"layers": [{"type": "output", "kernel_initializer": "zeros", "bias_initializer": "ones"}]}', options => '{"verbose": false, "members": 1}');
SELECT version FROM neural.train('shares', 'SELECT x, bad FROM sorted', 'bad', epochs => 1, learning_rate => 1e-12, optimizer => 'sgd', validation => 0, seed => 1,
    architecture => '{"layers": [{"type": "output", "kernel_initializer": "zeros"}]}', options => '{"verbose": false, "members": 1}');
SELECT round(neural.predict('ones', 0)::numeric, 5) AS ones, round((1 / (1 + exp(-1.0)))::numeric, 5) AS expected,
       round(neural.predict('shares', 0)::numeric, 5) AS shares, round(180.5 / 601, 5) AS shares_expected;

-- An output that is appended behind what looks like one; targets and columns whose numbers are texts.
CREATE FUNCTION warned(query text, architecture text) RETURNS void LANGUAGE plpgsql AS $f$
BEGIN
    PERFORM neural.train('warned' || md5(query || coalesce(architecture, '')), query, 'y', architecture => architecture, epochs => 1,
        seed => 1, options => '{"verbose": false}');
END $f$;
SET client_min_messages = warning;
SELECT warned('SELECT x, bad AS y FROM sorted', '{"layers": [{"type": "dense", "units": 3}, {"type": "Sigmoid"}]}');
SELECT warned('SELECT x, bad AS y FROM sorted', '{"layers": [{"type": "dense", "units": 3, "activation": "softmax"}]}');
SELECT warned('SELECT x, bad AS y FROM sorted', '{"layers": [{"type": "dense", "units": 1}, {"type": "Sigmoid"}, {"type": "dropout", "rate": 0.1}]}');
SELECT warned('SELECT x, x * 2 AS y FROM sorted', '{"layers": [{"type": "dense", "units": 4}, {"type": "Sigmoid"}]}');
SELECT warned('SELECT x, bad AS y FROM sorted', '{"layers": [{"type": "dense", "units": 1}, {"type": "Sigmoid"}]}');
SELECT warned('SELECT x, bad AS y FROM sorted', '{"layers": [{"type": "dense", "units": 3, "activation": "sigmoid"}, {"type": "dense", "units": 1}]}');
SELECT warned('SELECT x, (id % 40)::text AS y FROM sorted', NULL);
SELECT warned('SELECT x, CASE WHEN id % 9 = 0 THEN ''NA'' ELSE (id % 40)::text END AS amount, bad AS y FROM sorted', NULL);
SELECT warned('SELECT x, (id % 40) || '',5'' AS amount, (id % 30) || ''%'' AS share, bad AS y FROM sorted', NULL);
SELECT warned('SELECT x, ''$1,'' || id || ''.00'' AS amount, bad AS y FROM sorted', NULL);

-- Judging: columns that are meant, rows left out, quantiles, labels that no row has.
SELECT version FROM neural.train('Status', 'SELECT x, bad AS "Status" FROM sorted', 'Status', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT * FROM refused($$SELECT neural.evaluate('Status', 'SELECT x, bad AS status FROM sorted')$$);
SELECT code, hint FROM refused($$SELECT neural.evaluate('Status', 'SELECT x, id FROM sorted')$$);
SET client_min_messages = notice;
SELECT count(*) AS metrics FROM neural.evaluate('Status', 'SELECT x, CASE WHEN id > 3 THEN bad END AS "Status" FROM sorted');
SELECT sum(count) AS rows FROM neural.confusion_matrix('Status', 'SELECT x, CASE WHEN id > 1 THEN bad END AS "Status" FROM sorted');
SET client_min_messages = warning;
SELECT metric, value FROM neural.evaluate('labels', $$SELECT x, '{}'::text[] AS labels FROM sorted$$) WHERE metric IN ('precision', 'recall', 'f1');

SELECT array(SELECT jsonb_object_keys(metrics)) AS metrics FROM neural.train('spread', 'SELECT x, x + 0.3 * sin(id * 7) AS y FROM sorted', 'y', epochs => 40, seed => 1,
    options => '{"verbose": false, "quantiles": [0.1, 0.5, 0.9]}');
CREATE VIEW judged AS SELECT y, neural.predict_proba('spread', x) AS q FROM (SELECT x, x + 0.3 * sin(id * 7) AS y FROM sorted) s;
SELECT metric, abs(value - CASE metric
    WHEN 'pinball' THEN (SELECT avg(greatest(q.level * (y - q.value), (q.level - 1) * (y - q.value))) FROM judged, unnest(q, ARRAY[0.1, 0.5, 0.9]::float8[]) AS q(value, level))
    WHEN 'coverage_0.1' THEN (SELECT avg((y <= q[1])::int) FROM judged)
    WHEN 'coverage_0.5' THEN (SELECT avg((y <= q[2])::int) FROM judged)
    WHEN 'coverage_0.9' THEN (SELECT avg((y <= q[3])::int) FROM judged)
    WHEN 'mae' THEN (SELECT avg(abs(y - q[2])) FROM judged) END) < 1e-9 AS as_sql_says
FROM neural.evaluate('spread', 'SELECT x, x + 0.3 * sin(id * 7) AS y FROM sorted') WHERE metric LIKE 'cov%' OR metric IN ('pinball', 'mae');
SELECT array(SELECT jsonb_object_keys(metrics)) AS metrics FROM neural.train('upper', 'SELECT x, x + 0.3 * sin(id * 7) AS y FROM sorted', 'y', epochs => 1, seed => 1,
    options => '{"verbose": false, "quantiles": 0.9}');
RESET search_path;
DROP SCHEMA training_warnings CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
