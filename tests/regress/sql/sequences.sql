-- Sequences gathered from a long table: customers' months, each customer one example.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = error;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
RESET client_min_messages;
CREATE SCHEMA sequences;
SET search_path = sequences;
\set quiet '{"sequence_by": "customer", "order_by": "month", "verbose": false}'
\set network '{"layers": [{"type": "flatten"}, {"type": "dense", "units": 16, "activation": "relu"}]}'

-- Those who leave use less from month to month. The rows lie in no order.
CREATE TABLE customers AS
SELECT 'c' || lpad(i::text, 3, '0') AS customer, i % 3 = 0 AS churned, 3 + (i * 7) % 10 AS months,
       (ARRAY['basic', 'plus', 'pro'])[1 + i % 3 * 7 % 3] AS plan
FROM generate_series(1, 240) AS i;
CREATE TABLE months AS
SELECT c.customer, date '2024-01-01' + m * 30 AS month,
       CASE WHEN (m * 13 + c.months) % 17 <> 0 THEN
           60 + (m * 7919 + c.months * 31) % 20 - CASE WHEN c.churned THEN 6.0 * m ELSE 0 END
       END AS usage,
       c.plan, (m * 31 + c.months) % 4 AS calls, c.churned
FROM customers c, generate_series(1, c.months) AS m
ORDER BY (m * 7919 + c.months * 104729) % 1009, customer;

SELECT t.version, t.epochs, (t.metrics->>'auc')::float8 > 0.9 AS learnt
FROM neural.train('churn', 'months', 'churned', architecture => :'network', epochs => 1,
                  validation => 0.25, seed => 1, options => :'quiet') AS t;
SET client_min_messages = warning;
SELECT t.version, (t.metrics->>'auc')::float8 > 0.9 AS learnt
FROM neural.train('churn', 'months', 'churned', architecture => :'network', epochs => 30,
                  validation => 0.25, seed => 1,
                  options => '{"sequence_by": ["customer"], "order_by": ["month"]}') AS t;
RESET client_min_messages;
-- Groups are what is counted; a model says what its sequences are.
SELECT version, rows_trained, rows_validated FROM neural.model_versions ORDER BY version;
SELECT f->>'name' AS feature, f->>'treatment' AS treatment, f->'sequence' AS sequence
FROM neural.models, jsonb_array_elements(features) f;


-- In GROUP BY, in a subquery, as an array of rows or of steps.
SELECT customer, churned, neural.predict_class('churn', array_agg(m ORDER BY m.month)) AS class,
       neural.predict('churn', array_agg(m ORDER BY m.month)) =
           (neural.predict_proba('churn', array_agg(m ORDER BY m.month)))[2] AS same
FROM months m WHERE customer < 'c007' GROUP BY customer, churned ORDER BY customer;
SELECT count(*) AS customers,
       count(*) FILTER (WHERE churned = neural.predict_class('churn', steps)::bool) > 200 AS right
FROM (SELECT customer, churned, array_agg(m ORDER BY m.month) AS steps FROM months m GROUP BY 1, 2) c;
SELECT c.customer, neural.predict('churn', (SELECT array_agg(m ORDER BY m.month) FROM months m
                                            WHERE m.customer = c.customer)) =
       neural.predict('churn', (SELECT array_agg(s ORDER BY s.month)
                                FROM (SELECT calls::bigint, month, usage::float8, 0 AS other, plan FROM months m
                                      WHERE m.customer = c.customer) s)) AS same
FROM customers c ORDER BY 1 LIMIT 2;
-- A rolling score: what is known in each month, and nothing of later ones.
SELECT month, score = (SELECT neural.predict('churn', array_agg(n ORDER BY n.month)) FROM months n
                       WHERE n.customer = r.customer AND n.month <= r.month) AS of_its_past
FROM (SELECT customer, month, neural.predict('churn', array_agg(m) OVER (PARTITION BY customer ORDER BY month
                                                                        ROWS 11 PRECEDING)) AS score
      FROM months m WHERE customer = 'c009') r ORDER BY month LIMIT 4;
-- Only the newest steps count when there are more than the model has room for.
WITH long AS (SELECT i, m.usage, m.plan, m.calls FROM months m, generate_series(1, 30) i
              WHERE customer = 'c010' AND month = date '2024-01-31')
SELECT (SELECT neural.predict('churn', array_agg(l ORDER BY i)) FROM long l) =
       (SELECT neural.predict('churn', array_agg(l ORDER BY i)) FROM long l WHERE i > 18) AS same;
SELECT * FROM neural.create_function('churn_risk', 'churn');
SELECT * FROM neural.create_function('churn_risk_1', 'churn', returns => 'class', version => 1);
SELECT count(*) FILTER (WHERE churn_risk(steps) = neural.predict('churn', steps)) AS same,
       count(churn_risk_1(steps)) AS classes
FROM (SELECT array_agg(m ORDER BY m.month) AS steps FROM months m GROUP BY customer) c;

-- Judged over the same table.
SELECT metric, value BETWEEN 0 AND 1 AS sensible FROM neural.evaluate('churn', 'months');
SELECT sum(count) AS customers, sum(count) FILTER (WHERE actual = predicted) > 200 AS right
FROM neural.confusion_matrix('churn', 'SELECT * FROM months ORDER BY random(); -- the order does not matter');
SELECT max(value) = (SELECT avg((churned = neural.predict_class('churn', steps)::bool)::int)
                     FROM (SELECT churned, array_agg(m ORDER BY m.month) AS steps FROM months m
                           GROUP BY customer, churned) c) AS as_called
FROM neural.evaluate('churn', 'months') WHERE metric = 'accuracy';
SELECT neural.evaluate('churn', 'SELECT usage, plan, calls, month, churned FROM months');

-- The order of the rows does not matter to the bits, nor do threads and memory.
CREATE FUNCTION hash_of(query text, more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE hash text;
BEGIN
    PERFORM neural.train('bits', query, 'churned',
        architecture => '{"layers": [{"type": "flatten"}, {"type": "dense", "units": 8, "activation": "tanh"}]}',
        epochs => 3, validation => 0.2, seed => 5,
        options => '{"sequence_by": "customer", "order_by": "month", "verbose": false}' || more);
    SELECT encode(sha256, 'hex') INTO hash FROM neural.model_versions WHERE model = 'bits';
    PERFORM neural.drop_model('bits');
    RETURN hash;
END $$;
SET client_min_messages = warning;
SELECT hash_of('months') = hash_of('SELECT * FROM months ORDER BY usage') AS order_does_not_matter,
       hash_of('months') = hash_of('months', '{"threads": 2}') AS threads_do_not_matter,
       hash_of('months') <> hash_of('months', '{"sequence_length": 6}') AS length_does;
SELECT hash_of('months') AS plenty \gset
SET neural.max_memory = '1MB';
SELECT hash_of('months') = :'plenty' AS memory_does_not_matter;
RESET neural.max_memory;
RESET client_min_messages;

-- What is left out, and the newest sequences held out.
SELECT version FROM neural.train('last',
    $$SELECT nullif(customer, 'c001') AS customer, month, usage, plan,
             CASE WHEN customer <> 'c003' THEN churned END AS churned FROM months$$, 'churned',
    architecture => :'network', epochs => 1, validation => 0.5, seed => 1,
    options => '{"sequence_by": "customer", "order_by": "month", "validation_split": "last", "verbose": false}');
SELECT rows_trained, rows_validated FROM neural.model_versions WHERE model = 'last';
-- A number for each sequence, keys of two columns and of odd names, weights, a column that says what is held out.
CREATE TABLE shifts AS
SELECT d AS "Day, of week", p AS "the plant", t, sin(t + d) + p AS load, avg(sin(t + d) + p) OVER w AS mean,
       p + 1.0 AS weight, d = 6 AS held_out, t AS ordinal
FROM generate_series(0, 6) d, generate_series(1, 9) p, generate_series(1, 5) t
WINDOW w AS (PARTITION BY d, p);
SELECT t.metrics ? 'rmse' AS regression
FROM neural.train('load', 'SELECT *, row_number() OVER () FROM shifts', 'mean', architecture => :'network', epochs => 3, seed => 1,
    features => '{"row_number": "ignore"}',
    options => '{"sequence_by": ["Day, of week", "the plant"], "order_by": "t", "sample_weight": "weight",
                 "validation_split": "held_out", "verbose": false}') t;
SELECT rows_trained, rows_validated FROM neural.model_versions WHERE model = 'load';
-- Arrays of steps in call order, a plain array where a step is one number, and literals.
SELECT neural.predict('load', ARRAY[[0.1, 1], [0.2, 2]]) = neural.predict('load', '{{0.1, 1}, {0.2, 2}}') AS same,
       neural.predict('load', ARRAY[[0.5, 1], [0.25, 2]]) = neural.predict('load', '{{0.5, 1}, {0.25, 2}}'::real[]) AS reals;
SELECT f->>'name' AS feature FROM neural.models, jsonb_array_elements(features) f WHERE name = 'load';
SELECT version FROM neural.train('one', 'SELECT "the plant", t, load, mean FROM shifts WHERE "Day, of week" = 1', 'mean',
    architecture => :'network', epochs => 1, seed => 1,
    options => '{"sequence_by": "the plant", "order_by": "t", "sequence_length": 3, "verbose": false}');
SELECT neural.predict('one', '{1, 2, 3}') = neural.predict('one', ARRAY[7, 1, 2, 3]) AS newest,
       neural.predict('one', ARRAY[1.5, NULL]) IS NOT NULL AS missing,
       neural.predict('one', ARRAY[[1], [2]]) = neural.predict('one', ARRAY[1, 2]::smallint[]) AS same;

-- A target of several numbers, such as the next values: all rows of a sequence carry the same array.
SET client_min_messages = warning;
SELECT t.metrics ? 'rmse' AS regression
FROM neural.train('next', $$SELECT "the plant", "Day, of week", t, load, array[mean, mean + 1] AS next FROM shifts$$, 'next',
    architecture => :'network', epochs => 60, learning_rate => 0.01, seed => 1,
    options => '{"sequence_by": ["Day, of week", "the plant"], "order_by": "t", "verbose": false}') t;
SELECT count(*), avg(abs(p[2] - p[1] - 1)) < 0.5 AS close
FROM (SELECT neural.predict_proba('next', array_agg(load ORDER BY t)) AS p FROM shifts GROUP BY "Day, of week", "the plant") s;
SELECT value < 0.5 AS close FROM neural.evaluate('next', 'SELECT *, array[mean, mean + 1] AS next FROM shifts') WHERE metric = 'mae';
SELECT neural.train('x', $$SELECT "the plant", t, load, array[7, t] AS next FROM shifts WHERE "Day, of week" = 1$$, 'next',
    options => '{"sequence_by": "the plant", "order_by": "t"}');
RESET client_min_messages;

-- The default is recurrent. A model that is carried elsewhere is still one of sequences, as is one that was granted.
SELECT version FROM neural.train('default', 'SELECT customer, month, usage, churned FROM months', 'churned', epochs => 1,
    options => :'quiet');
SELECT l->>'type' AS layer, l->'units' AS units FROM neural.models, jsonb_array_elements(architecture->'layers') l
WHERE name = 'default';
SELECT neural.import_model('carried', neural.export_model('churn'));
SELECT neural.predict('carried', array_agg(m ORDER BY month)) = neural.predict('churn', array_agg(m ORDER BY month)) AS same
FROM months m WHERE customer = 'c011';
CREATE ROLE regress_sequences_reader;
SELECT neural.grant_model('churn', 'regress_sequences_reader');
SET ROLE regress_sequences_reader;
SELECT f FROM neural.models, jsonb_array_elements(features) f;
RESET ROLE;
SELECT neural.revoke_model('churn', 'regress_sequences_reader');
DROP ROLE regress_sequences_reader;

-- Later versions keep what the first one is of, and a warm start its length.
SELECT neural.train('churn', 'SELECT usage, plan, calls, churned FROM months', 'churned', epochs => 1);
SELECT neural.train('bits', 'SELECT usage, plan, calls, churned FROM months', 'churned', epochs => 1, options => '{"verbose": false}') IS NOT NULL;
SELECT neural.train('bits', 'months', 'churned', epochs => 1, options => :'quiet');
SELECT version FROM neural.train('churn', 'months', 'churned', epochs => 1, options => :'quiet'::jsonb || '{"warm_start": true}');
SELECT neural.train('churn', 'months', 'churned', epochs => 1, options => :'quiet'::jsonb || '{"warm_start": true, "sequence_length": 4}');

-- Calls that are wrong, and what the user is told.
CREATE FUNCTION fails(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $f$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $f$;
\x
SELECT * FROM fails($$SELECT neural.predict('churn', '{}'::months[])$$);
SELECT * FROM fails($$SELECT neural.predict('churn', '{{1, 2}}')$$);
SELECT * FROM fails($$SELECT neural.predict('one', '{}')$$);
SELECT * FROM fails($$SELECT neural.predict('churn', m) FROM months m$$);
SELECT * FROM fails($$SELECT neural.predict('churn', 1, 'pro', 2)$$);
SELECT * FROM fails($$SELECT neural.predict('churn', 1)$$);
SELECT * FROM fails($$SELECT neural.predict('churn', ARRAY[[1, 2, 3]])$$);
SELECT * FROM fails($$SELECT neural.predict('load', ARRAY[[1, 2, 3]])$$);
SELECT * FROM fails($$SELECT neural.predict('load', ARRAY[1, 2])$$);
SELECT * FROM fails($$SELECT neural.predict('load', ARRAY[[[1, 2]]])$$);
SELECT * FROM fails($$SELECT neural.predict('churn', ARRAY[ROW(1, 'pro', 2)])$$);
SELECT * FROM fails($$SELECT neural.predict('churn', array_agg(c)) FROM customers c$$);
SELECT * FROM fails($$SELECT neural.predict('churn', array_agg(m)) FROM (SELECT 'a' AS usage, plan, calls FROM months) m$$);
SELECT * FROM fails($$SELECT neural.predict('churn', ARRAY[NULL::months])$$);
SELECT * FROM fails($$SELECT neural.predict('churn', array_agg(m)) FROM customers c LEFT JOIN months m ON false$$);

-- Trainings that are wrong.
SELECT * FROM fails($$SELECT neural.train('x', 'months', 'churned', options => '{"sequence_by": "customer"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'months', 'churned', options => '{"order_by": "month"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'months', 'churned', options => '{"sequence_length": 3}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'months', 'churned', options => '{"sequence_by": "costumer", "order_by": "month"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'months', 'churned', options => '{"sequence_by": "customer", "order_by": "churned"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT *, CASE WHEN calls = 1 THEN NULL ELSE month END AS at FROM months', 'churned',
    options => '{"sequence_by": "customer", "order_by": "at"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT customer, month, usage, month > date ''2024-03-01'' AS late FROM months', 'late',
    options => '{"sequence_by": "customer", "order_by": "month"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT customer, month, usage, plan || (month > date ''2024-03-01'') AS what FROM months', 'what',
    options => '{"sequence_by": "customer", "order_by": "month"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT customer, month, usage, CASE WHEN month > date ''2024-03-01'' THEN churned END AS churned FROM months', 'churned',
    options => '{"sequence_by": "customer", "order_by": "month"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'months', 'churned', options => '{"sequence_by": "customer", "order_by": "month", "sample_weight": "calls"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT *, point(1, 2) AS place FROM months', 'churned', options => '{"sequence_by": "place", "order_by": "month"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'months', 'churned', options => '{"sequence_by": "customer", "order_by": "plan", "validation_split": "last"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'months', 'churned', features => '{"plan": {"type": "categorical", "encoding": "embedding"}}', options => '{"sequence_by": "customer", "order_by": "month"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SHOW ALL', 'description', options => '{"sequence_by": "name", "order_by": "setting"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT customer, month, 1 / (calls - 1) AS oops, churned FROM months', 'churned', options => '{"sequence_by": "customer", "order_by": "month"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT * FROM months WHERE false', 'churned', options => '{"sequence_by": "customer", "order_by": "month"}')$$);

