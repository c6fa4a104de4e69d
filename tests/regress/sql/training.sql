-- Training from a query: what is inferred, what is left out, what is kept.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE TYPE grade AS ENUM ('low', 'middle', 'high');
CREATE TABLE people AS
SELECT i AS id,
       md5(i::text)::uuid AS token,
       'person ' || i AS name,
       20 + i % 50 AS age,
       CASE WHEN i % 10 <> 0 THEN (1000 + 37 * (i % 91))::float8 END AS income,
       (ARRAY['car', 'house', 'tv', NULL])[1 + i % 4] AS purpose,
       (ARRAY['low', 'middle', 'high'])[1 + i % 3]::grade AS grade,
       i % 7 = 0 AS married,
       timestamp '2020-01-01' + i * interval '1 hour' AS at,
       'same' AS constant,
       1.0 + i % 3 AS weight,
       i % 5 = 0 AS held_out,
       i / 10 AS household,
       CASE WHEN i % 50 <> 0 THEN (i * 7919) % 100 < 20 + i % 50 END AS bad,
       ln(1 + i) + i % 3 AS amount
FROM generate_series(1, 500) AS i;

SELECT t.model, t.version, t.epochs, t.metrics ? 'auc' AS auc, t.train_loss > 0 AS loss,
       t.validation_loss > 0 AS validated, t.seconds > 0 AS seconds
FROM neural.train('risk', 'SELECT id, token, name, age, income, purpose, grade, married, at, constant, bad FROM people',
    'bad', epochs => 2, validation => 0.2, seed => 1, options => '{"verbose": false}') AS t;
SELECT name, version, versions, task, target, classes, positive_class, owner::text, parameters > 0 AS parameters
FROM neural.models;
SELECT f->>'name' AS feature, f->>'type' AS type, f->>'treatment' AS treatment
FROM neural.models, jsonb_array_elements(features) f;
SELECT model, version, deployed, seed, rows_trained, rows_validated, epochs, options, length(sha256) AS bytes
FROM neural.model_versions;
SELECT model, version, epoch, train_loss > 0 AS loss, validation_loss > 0 AS validation FROM neural.training_history;

-- The same data, seed and options give the same bits, on any number of threads.
SELECT version FROM neural.train('risk', 'SELECT id, token, name, age, income, purpose, grade, married, at, constant, bad FROM people',
    'bad', epochs => 2, validation => 0.2, seed => 1, options => '{"verbose": false, "threads": 2}');
SELECT version FROM neural.train('risk', 'SELECT id, token, name, age, income, purpose, grade, married, at, constant, bad FROM people',
    'bad', epochs => 2, validation => 0.2, seed => 1, options => '{"verbose": false, "threads": 8}');
SELECT version FROM neural.train('risk', 'SELECT id, token, name, age, income, purpose, grade, married, at, constant, bad FROM people',
    'bad', epochs => 2, validation => 0.2, seed => 2, options => '{"verbose": false, "deploy": false}');
SELECT count(DISTINCT sha256) FILTER (WHERE version <= 3) AS one_seed, count(DISTINCT sha256) AS two_seeds,
       max(version) FILTER (WHERE deployed) AS deployed
FROM neural.model_versions;

-- Tasks.
CREATE FUNCTION task_of(target text, type text, OUT task text, OUT classes text[], OUT positive text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM neural.train('t', format('SELECT age, income, purpose, (%s)::%s AS y FROM people', target, type), 'y',
        epochs => 1, validation => 0.2, seed => 1, options => '{"verbose": false}');
    SELECT m.task, m.classes, m.positive_class INTO task, classes, positive FROM neural.models m WHERE name = 't';
    PERFORM neural.drop_model('t');
END $$;
SELECT * FROM task_of('id % 3', 'int');
SELECT * FROM task_of('id % 21', 'bigint');
SELECT * FROM task_of('id % 2', 'float8');
SELECT * FROM task_of('id % 2', 'numeric');
SELECT * FROM task_of('amount', 'real');
SELECT * FROM task_of('id % 3 = 0', 'bool');
SELECT * FROM task_of('grade', 'grade');
SELECT * FROM task_of($$CASE WHEN id % 3 = 0 THEN 'bad' ELSE 'good' END$$, 'text');
SELECT * FROM task_of($$CASE WHEN id % 3 = 0 THEN 'no' ELSE 'yes' END$$, 'varchar(3)');
SELECT * FROM task_of($$CASE WHEN id % 2 = 0 THEN 'a' ELSE 'b' END$$, 'char(4)');
SELECT * FROM task_of('id % 2 + 1', 'smallint');
DROP FUNCTION task_of;

-- Splits, weights, losses, optimizers, schedules: each runs.
CREATE FUNCTION runs(target text, options jsonb, optimizer text DEFAULT NULL, OUT rows_trained bigint, OUT rows_validated bigint, OUT epochs int)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM neural.train('t', 'SELECT age, income, purpose, weight, held_out, household, bad, amount FROM people',
        target, epochs => 3, seed => 1, optimizer => runs.optimizer,
        validation => CASE WHEN runs.options ? 'validation_split' AND runs.options->>'validation_split' = 'held_out' THEN NULL ELSE 0.25 END,
        options => runs.options || '{"verbose": false}');
    SELECT v.rows_trained, v.rows_validated, v.epochs INTO rows_trained, rows_validated, epochs
    FROM neural.model_versions v WHERE model = 't';
    PERFORM neural.drop_model('t');
END $$;
SELECT * FROM runs('bad', '{"validation_split": "random"}');
SELECT * FROM runs('bad', '{"validation_split": "last"}');
SELECT * FROM runs('bad', '{"validation_split": "held_out"}');
SELECT rows_trained + rows_validated AS rows, epochs FROM runs('bad', '{"validation_group": "household"}');
SELECT * FROM runs('bad', '{"sample_weight": "weight", "class_weights": "balanced", "label_smoothing": 0.1}');
SELECT * FROM runs('bad', '{"class_weights": {"true": 5}, "l1": 0.001, "l2": 0.001, "gradient_clip": 1}');
SELECT * FROM runs('bad', '{"schedule": "one_cycle"}', 'adam');
SELECT * FROM runs('bad', '{"schedule": "step", "step_size": 1, "gamma": 0.5, "momentum": 0.9, "nesterov": true}', 'sgd');
SELECT * FROM runs('bad', '{"schedule": "exponential", "rho": 0.9}', 'rmsprop');
SELECT * FROM runs('bad', '{"schedule": "reduce_on_plateau", "warmup": 1}', 'adagrad');
SELECT * FROM runs('bad', '{"schedule": "constant", "dropout": 0.5, "shuffle": false}');
SELECT * FROM runs('amount', '{"loss": "huber", "delta": 0.5, "target_scale": "robust"}');
SELECT * FROM runs('amount', '{"loss": "mae", "target_scale": "none"}');
SELECT * FROM runs('amount', '{"loss": "quantile", "quantiles": [0.1, 0.5, 0.9]}');
DROP FUNCTION runs;

-- Quantiles are several outputs.
SELECT version FROM neural.train('band', 'SELECT age, income, amount FROM people', 'amount', epochs => 3, seed => 1,
    options => '{"verbose": false, "loss": "quantile", "quantiles": [0.1, 0.9]}');
SELECT array_length(neural.predict_proba('band', 30, 2000), 1) AS outputs;
SELECT neural.predict('band', 30, 2000);

-- Treatments.
SELECT version FROM neural.train('treated', 'SELECT age, income, purpose, grade, at, bad FROM people', 'bad', epochs => 2, seed => 1,
    features => '{"age": "categorical", "income": {"type": "numeric", "scale": "minmax", "missing": "mean", "indicator": true},
                  "purpose": {"type": "categorical", "encoding": "embedding", "units": 3}, "at": "ignore"}',
    options => '{"verbose": false}');
SELECT f->>'name' AS feature, f->>'treatment' AS treatment, f->'fitted'->>'type' AS fitted
FROM neural.models, jsonb_array_elements(features) f WHERE name = 'treated';
SELECT l->>'type' AS layer, l->>'name' AS name, l->>'units' AS units, l->>'vocabulary' AS vocabulary
FROM neural.models, jsonb_array_elements(architecture->'layers') l WHERE name = 'treated' AND l->>'type' IN ('input', 'embedding', 'concat');
SELECT neural.predict('treated', 30, NULL, 'car', 'low') IS NOT NULL AS scored;

-- Architectures: shipped ones, JSON, a wide and deep graph.
SELECT name FROM neural.architectures ORDER BY name COLLATE "C";
SELECT epochs FROM neural.train('logistic', 'SELECT age, income, bad FROM people', 'bad', architecture => 'logistic', epochs => 2, seed => 1, options => '{"verbose": false}');
SELECT epochs FROM neural.train('graph', 'SELECT age, income, purpose, bad FROM people', 'bad', epochs => 2, seed => 1, options => '{"verbose": false}',
    architecture => '{"layers": [
        {"type": "input", "name": "numbers", "features": ["age", "income"]},
        {"type": "Linear", "name": "deep", "units": 8, "activation": "relu", "input": "numbers"},
        {"type": "input", "name": "p", "features": ["purpose"]},
        {"type": "Embedding", "name": "e", "units": 2, "input": "p"},
        {"type": "concat", "input": ["numbers", "deep", "e"]},
        {"type": "output"}]}');

-- Warm start goes on with the weights; the query may be a table or a view.
CREATE VIEW young AS SELECT age, income, bad FROM people WHERE age < 45;
SELECT version, epochs FROM neural.train('logistic', 'young', 'bad', epochs => 1, seed => 1, options => '{"verbose": false, "warm_start": true}');
-- A type is the same whatever the search path, and whatever its length or precision.
SELECT version FROM neural.train('typed', 'SELECT age, income::numeric(10, 2) AS income, grade, bad FROM people', 'bad', epochs => 1, seed => 1, options => '{"verbose": false}');
SET search_path = pg_catalog;
SELECT version FROM neural.train('typed', 'SELECT age, income::numeric AS income, grade, bad FROM public.people', 'bad', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT neural.create_function('public.by_type', 'typed');
RESET search_path;
DROP FUNCTION by_type;

-- The first notice says what is understood, and what is left out and why.
SET client_min_messages = notice;
SELECT version FROM neural.train('told', 'SELECT id, name, age, income, constant, bad FROM people', 'bad',
    epochs => 1, validation => 0.2, seed => 1, architecture => 'logistic', learning_rate => 1e-9,
    options => '{"initializer": "zeros"}');

RESET client_min_messages;
-- Nothing of a training that is rolled back is left.
BEGIN;
SELECT version FROM neural.train('gone', 'young', 'bad', epochs => 1, options => '{"verbose": false}');
ROLLBACK;
SELECT count(*) FROM neural.models WHERE name = 'gone';

-- Judging.
SELECT array_agg(metric) FROM neural.evaluate('risk', 'people');
SELECT array_agg(metric) FROM neural.evaluate('band', 'people');
SELECT abs(e.value - neural.auc(neural.predict('risk', p), p.bad)) < 1e-12 AS same_auc
FROM people p, neural.evaluate('risk', 'people') e WHERE e.metric = 'auc' GROUP BY e.value;
SELECT sum(count) AS rows, count(*) AS cells FROM neural.confusion_matrix('risk', 'people');

SELECT count(neural.drop_model(name)) FROM neural.models;
DROP VIEW young;
DROP TABLE people;
DROP TYPE grade;
