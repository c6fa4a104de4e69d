-- More than one output: arrays of numbers, of truth values and of texts as targets.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;

CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;

CREATE TABLE points AS
    SELECT i, x, y,
           ARRAY[100 + 10 * x, x - y, 0.01 * y] AS numbers,
           ARRAY[x > 0, y > 0.5] AS truths,
           array_remove(ARRAY[CASE WHEN x > 0 THEN 'right' END,
                              CASE WHEN y > 0.5 THEN 'far up' END], NULL) AS labels
    FROM (SELECT i, sin(i * 12.9898) AS x, sin(i * 78.233) AS y
          FROM generate_series(1, 600) i) p;

-- Several numbers: forecasting several steps ahead is this, too.
SELECT model, version FROM neural.train('numbers', 'SELECT x, y, numbers FROM points', 'numbers',
    epochs => 30, seed => 1);
SELECT name, task, target, classes, positive_class FROM neural.models WHERE name = 'numbers';
SELECT cardinality(neural.predict_proba('numbers', 0.5, 0.2));
SELECT abs(p[1] - 105) < 2, abs(p[2] - 0.3) < 0.3, abs(p[3] - 0.002) < 0.003
FROM neural.predict_proba('numbers', 0.5, 0.2) p;
SELECT metric, value > CASE metric WHEN 'r2' THEN 0.95 ELSE 0 END AS good
FROM neural.evaluate('numbers', 'SELECT * FROM points');
-- The same numbers from the outputs themselves.
WITH scored AS (
    SELECT n.place, n.actual, p[n.place] AS predicted
    FROM points, neural.predict_proba('numbers', x, y) p,
         unnest(numbers) WITH ORDINALITY n(actual, place)),
     each AS (
    SELECT avg((predicted - actual) ^ 2) AS mse, neural.rmse(predicted, actual) AS rmse,
           neural.mae(predicted, actual) AS mae, neural.r2(predicted, actual) AS r2,
           avg(abs(predicted - actual) / greatest(abs(actual), 2.220446049250313e-16)) AS mape
    FROM scored GROUP BY place)
SELECT e.metric,
       abs(e.value / CASE e.metric WHEN 'mse' THEN avg(mse) WHEN 'rmse' THEN avg(rmse)
           WHEN 'mae' THEN avg(mae) WHEN 'r2' THEN avg(r2) ELSE avg(mape) END - 1) < 1e-9 AS same
FROM each, neural.evaluate('numbers', 'SELECT * FROM points') WITH ORDINALITY e(metric, value, n)
GROUP BY e.metric, e.value, e.n ORDER BY e.n;
SELECT * FROM refused($f$SELECT neural.predict('numbers', 0.5, 0.2)$f$);
SELECT * FROM refused($f$SELECT neural.predict_class('numbers', 0.5, 0.2)$f$);
SELECT * FROM refused($f$SELECT neural.classes('numbers')$f$);
SELECT * FROM refused($f$SELECT * FROM neural.confusion_matrix('numbers', 'SELECT * FROM points')$f$);
SELECT * FROM refused($f$SELECT neural.create_function('numbers_of', 'numbers')$f$);
SELECT neural.create_function('numbers_of', 'numbers', 'proba');
SELECT numbers_of(x => 0.5, y => 0.2) = neural.predict_proba('numbers', 0.5, 0.2) AS same;

-- Labels by name: an array of the texts that apply.
SELECT model, version FROM neural.train('labels', 'SELECT x, y, labels FROM points', 'labels',
    epochs => 30, seed => 1);
SELECT name, task, target, classes, positive_class FROM neural.models WHERE name = 'labels';
SELECT neural.classes('labels');
SELECT x, y, neural.predict_class('labels', x, y), neural.predict_class('labels', x, y)::text[]
FROM (VALUES (0.9::float8, 0.9::float8), (0.9, -0.9), (-0.9, 0.9), (-0.9, -0.9)) v(x, y);
SELECT p[1] > 0.5 AS far_up, p[2] > 0.5 AS "right"
FROM neural.predict_proba('labels', 0.9, -0.9) p;
SELECT metric, CASE WHEN metric LIKE '%loss' THEN value < 0.3 ELSE value > 0.85 END AS good
FROM neural.evaluate('labels', 'SELECT * FROM points');
SELECT e.value = count(*) FILTER (WHERE
           neural.predict_class('labels', x, y)::text[] @> labels
           AND neural.predict_class('labels', x, y)::text[] <@ labels) / count(*)::float8 AS accuracy
FROM points, neural.evaluate('labels', 'SELECT * FROM points') e
WHERE e.metric = 'accuracy' GROUP BY e.value;
SELECT * FROM refused($f$SELECT neural.predict('labels', 0.5, 0.2)$f$);
SELECT * FROM refused($f$SELECT * FROM neural.confusion_matrix('labels', 'SELECT * FROM points')$f$);
SELECT * FROM refused($f$SELECT neural.create_function('labels_of', 'labels')$f$);
SELECT neural.create_function('labels_of', 'labels', 'class');
SELECT labels_of(0.9, -0.9);
SELECT * FROM refused($f$SELECT * FROM neural.evaluate('labels', $$SELECT x, y, ARRAY['new'] AS labels FROM points$$)$f$);
SELECT * FROM refused($f$SELECT * FROM neural.evaluate('labels', 'SELECT x, y, truths AS labels FROM points')$f$);
SELECT * FROM refused($f$SELECT * FROM neural.evaluate('labels', $$SELECT x, y, 'right' AS labels FROM points$$)$f$);

-- Labels by place: an array of truth values.
SELECT model, version FROM neural.train('truths', 'SELECT x, y, truths FROM points', 'truths',
    epochs => 30, seed => 1, options => '{"class_weights": "balanced", "threshold": 0.6}');
SELECT neural.classes('truths'), neural.predict_class('truths', 0.9, 0.9);
SELECT metric, CASE WHEN metric LIKE '%loss' THEN value < 0.3 ELSE value > 0.8 END AS good
FROM neural.evaluate('truths', 'SELECT * FROM points');
SELECT * FROM refused($f$SELECT * FROM neural.evaluate('truths', 'SELECT x, y, ARRAY[true] AS truths FROM points')$f$);

-- Rows whose target is NULL, or has a NULL in it, do not count.
SET client_min_messages = notice;
SELECT model, version FROM neural.train('some',
    $$SELECT x, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN ARRAY[x, NULL] ELSE ARRAY[x, 1] END AS t
      FROM points$$, 't', epochs => 1, seed => 1, options => '{"members": 1}');
SELECT rows_trained + rows_validated FROM neural.model_versions WHERE model = 'some';
SET client_min_messages = warning;
SELECT value IS NOT NULL FROM neural.evaluate('some',
    $$SELECT x, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN ARRAY[x, NULL] ELSE ARRAY[x, 1] END AS t
      FROM points$$) WHERE metric = 'mse';

-- More rows than fit in memory go through a temporary file, to the same bits.
SET neural.max_memory = '3MB';
SELECT model, version FROM neural.train('small', 'SELECT p.* FROM (
    SELECT x, y, labels FROM points, generate_series(1, 100)) p', 'labels',
    epochs => 1, seed => 1, options => '{"members": 1}');
RESET neural.max_memory;
SELECT model, version FROM neural.train('large', 'SELECT p.* FROM (
    SELECT x, y, labels FROM points, generate_series(1, 100)) p', 'labels',
    epochs => 1, seed => 1, options => '{"members": 1}');
SELECT neural.predict_proba('small', 0.1, 0.2) = neural.predict_proba('large', 0.1, 0.2) AS same;

-- Quantiles are several outputs of one number.
SELECT model, version FROM neural.train('quantiles', 'SELECT x, y, 10 * x AS z FROM points', 'z',
    epochs => 20, seed => 1, options => '{"quantiles": [0.1, 0.5, 0.9]}');
SELECT cardinality(neural.predict_proba('quantiles', 0.5, 0.2));
SELECT * FROM refused($f$SELECT neural.predict('quantiles', 0.5, 0.2)$f$);

-- Several steps ahead of a sequence gathered from a long table.
CREATE TABLE walks AS
    SELECT walk, step, sin(walk + step) AS height, ARRAY[sin(walk + 9), sin(walk + 10)] AS ahead
    FROM generate_series(1, 200) walk, generate_series(1, 8) step;
SELECT model, version FROM neural.train('walks', 'walks', 'ahead',
    architecture => '{"layers": [{"type": "gru", "units": 8}]}', epochs => 40, learning_rate => 0.01,
    seed => 1, options => '{"sequence_by": "walk", "order_by": "step"}');
SELECT cardinality(neural.predict_proba('walks', array_agg(w ORDER BY step)))
FROM walks w WHERE walk = 1;
SELECT value > 0.8 AS good FROM neural.evaluate('walks', 'walks') WHERE metric = 'r2';
SELECT * FROM refused($f$SELECT * FROM neural.train('no', 'SELECT walk, step, height,
    CASE WHEN step < 3 THEN ahead ELSE ARRAY[0, NULL] END AS ahead FROM walks', 'ahead',
    options => '{"sequence_by": "walk", "order_by": "step"}')$f$);
SELECT * FROM refused($f$SELECT * FROM neural.train('no', 'SELECT walk, step, height,
    CASE WHEN step < 3 THEN ahead ELSE ARRAY[0, 1] END AS ahead FROM walks', 'ahead',
    options => '{"sequence_by": "walk", "order_by": "step"}')$f$);

-- What makes no sense.
SELECT * FROM refused($f$SELECT neural.train('no', 'SELECT x, numbers FROM points', 'numbers', options => '{"quantiles": [0.5]}')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', 'SELECT x, numbers FROM points', 'numbers', 'classification')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', 'SELECT x, labels FROM points', 'labels', 'regression')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', 'SELECT x, labels FROM points', 'labels', options => '{"positive_class": "right"}')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', 'SELECT x, ARRAY[[x, y]] AS t FROM points', 't')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', 'SELECT x, array_fill(0::float8, ARRAY[i]) AS t FROM points', 't')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', $$SELECT x, '{}'::int[] AS t FROM points$$, 't')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', $$SELECT x, '{}'::text[] AS t FROM points$$, 't')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', 'SELECT x, ARRAY[x, ''NaN''] AS t FROM points', 't')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', $$SELECT x, ARRAY[date '2024-01-01'] AS t FROM points$$, 't')$f$);
SELECT * FROM refused($f$SELECT neural.train('no', 'SELECT x, array_agg(g::text) AS t FROM points, generate_series(i, i + 900) g GROUP BY 1', 't')$f$);
SELECT * FROM refused($f$SELECT neural.train('labels', 'SELECT x, y, truths AS labels FROM points', 'labels')$f$);
SELECT * FROM refused($f$SELECT neural.train('numbers', 'SELECT x, y, numbers[1:2] AS numbers FROM points', 'numbers')$f$);
SELECT * FROM refused($f$SELECT neural.train('numbers', 'SELECT x, y, 1.5 * x AS numbers FROM points', 'numbers')$f$);

DROP FUNCTION numbers_of, labels_of;
