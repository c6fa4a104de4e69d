-- No network is judged on rows that it has learnt.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA held_out;
SET search_path = held_out;

SELECT setseed(0.5);
CREATE TABLE noise AS
SELECT id, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e, random() AS f, random() AS g,
       random() AS h, random() < 0.5 AS y
FROM generate_series(1, 500) AS id;
CREATE VIEW rows_of_noise AS SELECT a, b, c, d, e, f, g, h, y FROM noise;

-- A network that has learnt noise by heart finds none of it in what it has not seen.
CREATE FUNCTION by_heart(model text, validation float8, options jsonb DEFAULT '{}', query text DEFAULT 'rows_of_noise')
RETURNS TABLE (trained bigint, validated bigint, honest bool) LANGUAGE plpgsql AS $$
DECLARE number int;
BEGIN
    SELECT t.version INTO number
    FROM neural.train(model, query, 'y', architecture => '{"layers": [{"type": "dense", "units": 64, "activation": "relu"}]}',
        epochs => 60, batch_size => 16, learning_rate => 0.01, validation => validation, seed => 1,
        options => '{"restore_best": false, "weight_decay": 0, "verbose": false}' || options) AS t;
    RETURN QUERY SELECT v.rows_trained, v.rows_validated, (v.metrics ->> 'auc')::float8 BETWEEN 0.3 AND 0.7
    FROM neural.model_versions AS v WHERE v.model = $1 AND v.version = number;
END $$;

-- A warm start holds the same rows out, whatever the seed.
CREATE FUNCTION go_on(model text, query text DEFAULT 'rows_of_noise', seed bigint DEFAULT 99, options jsonb DEFAULT '{}', validation float8 DEFAULT NULL)
RETURNS TABLE (trained bigint, validated bigint, honest bool, judged_on text, loss bool) LANGUAGE plpgsql AS $$
DECLARE number int;
BEGIN
    SELECT t.version INTO number
    FROM neural.train(model, query, 'y', epochs => 1, learning_rate => 1e-6, seed => seed, validation => validation,
        options => '{"warm_start": true, "verbose": false}' || options) AS t;
    RETURN QUERY SELECT v.rows_trained, v.rows_validated, (v.metrics ->> 'auc')::float8 BETWEEN 0.3 AND 0.7,
        v.metrics ->> 'judged_on', v.validation_loss IS NOT NULL
    FROM neural.model_versions AS v WHERE v.model = $1 AND v.version = number;
END $$;

SELECT * FROM by_heart('shared', 0.2);
SELECT * FROM go_on('shared');
SELECT * FROM go_on('shared', seed => 7, validation => 0.5);
-- So does each member with its own rows.
SELECT * FROM by_heart('members', NULL, '{"members": 4}');
SELECT * FROM go_on('members');
SELECT * FROM go_on('members', seed => 3);
-- A shared split cannot be made of them: each row has been learnt by most.
SELECT * FROM go_on('members', validation => 0.2);

-- The rows in another order, through another query, with others that are new: of these a share.
SELECT * FROM by_heart('grown', 0.2);
CREATE VIEW grown AS
    SELECT * FROM rows_of_noise
    UNION ALL SELECT random(), random(), random(), random(), random(), random(), random(), random(), random() < 0.5
    FROM generate_series(1, 100);
SELECT trained BETWEEN 470 AND 490 AS trained, validated BETWEEN 110 AND 130 AS validated, honest
FROM go_on('grown', 'SELECT * FROM grown ORDER BY e', validation => 0.2);
-- Of rows that were all learnt nothing is held out, and there is no figure that looks like one.
SELECT version FROM neural.train('all', 'rows_of_noise', 'y', epochs => 2, validation => 0, seed => 1, architecture => 'mlp_64_64', options => '{"verbose": false}');
SELECT trained, validated, judged_on, loss FROM go_on('all');

-- What is flagged must not have been learnt.
SELECT version FROM neural.train('flagged', 'SELECT a, b, c, d, e, f, g, h, y, id % 5 = 0 AS out FROM noise', 'y', epochs => 2, seed => 1,
    architecture => 'mlp_64_64', options => '{"validation_split": "out", "verbose": false}');
SELECT version FROM neural.train('flagged', 'SELECT a, b, c, d, e, f, g, h, y, id % 5 = 0 AS out FROM noise', 'y', epochs => 1, seed => 2,
    options => '{"validation_split": "out", "verbose": false, "warm_start": true}');
SELECT rows_validated FROM neural.model_versions WHERE model = 'flagged' AND version = 2;
SELECT * FROM neural.train('flagged', 'SELECT a, b, c, d, e, f, g, h, y, id % 5 = 1 AS out FROM noise', 'y', epochs => 1,
    options => '{"validation_split": "out", "verbose": false, "warm_start": true}');

-- Groups stay on their side.
CREATE TABLE grouped AS SELECT n.*, id % 20 AS customer FROM noise AS n;
SELECT version FROM neural.train('grouped', 'SELECT a, b, c, d, e, f, g, h, y, customer FROM grouped', 'y', epochs => 2, seed => 1,
    architecture => 'mlp_64_64', options => '{"validation_group": "customer", "verbose": false}');
SELECT version FROM neural.train('grouped',
    'SELECT a, b, c, d, e, f, g, h, y, customer FROM grouped
     UNION ALL SELECT random(), random(), random(), random(), random(), random(), random(), random(), true, customer FROM grouped WHERE id <= 40', 'y',
    epochs => 1, seed => 77, options => '{"validation_group": "customer", "verbose": false, "warm_start": true}');
SELECT rows_trained, rows_validated FROM neural.model_versions WHERE model = 'grouped' ORDER BY version;

-- Copies of a row are on one side, in a shared split and among members.
SELECT * FROM by_heart('copies', 0.2, query => 'SELECT * FROM rows_of_noise UNION ALL SELECT * FROM rows_of_noise');
SELECT * FROM by_heart('copied_members', NULL, '{"members": 4}', 'SELECT * FROM rows_of_noise UNION ALL SELECT * FROM rows_of_noise');
-- An identifier that tells them apart does not matter, since it is no feature.
SELECT * FROM by_heart('copies_with_id', 0.2, '{"verbose": false}',
    'SELECT row_number() OVER ()::int AS id, c.* FROM (SELECT * FROM rows_of_noise UNION ALL SELECT * FROM rows_of_noise) AS c');
-- Where the rows held out are the last ones, it is said.
SELECT * FROM by_heart('last', 0.2, '{"validation_split": "last"}', 'SELECT * FROM rows_of_noise UNION ALL SELECT * FROM rows_of_noise');
-- Rows of few values are alike without being copies.
SELECT trained, validated FROM by_heart('few', 0.2, query => 'SELECT id % 7 AS a, id % 3 = 0 AS y FROM noise');

-- A version that does not tell its rows, such as one that was imported.
SELECT neural.import_model('imported', neural.export_model('shared'));
SELECT trained, validated, judged_on, loss FROM go_on('imported');
SELECT trained, validated, judged_on, loss FROM go_on('imported');
SELECT neural.import_model('imported2', neural.export_model('shared'));
SELECT * FROM neural.train('imported2', 'rows_of_noise', 'y', options => '{"warm_start": true, "early_stopping": 5}');
SELECT version, validation_loss IS NOT NULL AS loss FROM neural.train('imported2', 'SELECT a, b, c, d, e, f, g, h, y, id % 5 = 0 AS out FROM noise', 'y', epochs => 1,
    options => '{"validation_split": "out", "verbose": false, "warm_start": true}');
-- What goes on from it tells its own rows: those that it has learnt cannot be held out, of others it is not known.
SELECT version FROM neural.train('imported2', 'SELECT a, b, c, d, e, f, g, h, y, id % 5 = 1 AS out FROM noise', 'y', epochs => 1,
    options => '{"validation_split": "out", "verbose": false, "warm_start": true}');
SELECT version, validation_loss IS NOT NULL AS loss
FROM neural.train('imported2', 'SELECT a + CASE WHEN id % 5 = 1 THEN 5 ELSE 0 END AS a, b, c, d, e, f, g, h, y, id % 5 < 2 AS out FROM noise', 'y', epochs => 1,
    options => '{"validation_split": "out", "verbose": false, "warm_start": true}');
-- Without a flag new rows are trained on, and what was vouched for is held out again.
SELECT trained, validated, judged_on, loss FROM go_on('imported2', 'SELECT * FROM rows_of_noise UNION ALL SELECT a + 7, b, c, d, e, f, g, h, y FROM noise');

-- Sequences, which grow between two trainings.
CREATE TABLE steps AS
SELECT id, month, n.a + month AS u, n.b * month AS v, n.y FROM noise AS n, generate_series(1, 5) AS month;
SELECT version FROM neural.train('churn', 'SELECT * FROM steps WHERE month < 5', 'y', epochs => 1, seed => 1, validation => 0.2,
    options => '{"sequence_by": "id", "order_by": "month", "sequence_length": 3, "verbose": false}');
SELECT version FROM neural.train('churn', 'SELECT * FROM steps', 'y', epochs => 1, seed => 2, validation => 0.2,
    options => '{"sequence_by": "id", "order_by": "month", "warm_start": true, "verbose": false}');

SELECT rows_trained, rows_validated FROM neural.model_versions WHERE model = 'churn' ORDER BY version;

-- What is kept of the rows is small, and not part of what is exported.
SELECT max(octet_length(seen)) < 8000 AS small FROM _neural.version WHERE rows_trained <= 600;

-- Judging a model on rows that it has learnt is told of, to whoever manages it.
SET client_min_messages = notice;
SELECT count(*) FROM neural.evaluate('shared@1', 'rows_of_noise');
SELECT count(*) FROM neural.confusion_matrix('members@1', 'SELECT * FROM rows_of_noise WHERE a < 0.5');
SELECT count(*) FROM neural.evaluate('shared@1', 'SELECT a + 1 AS a, b, c, d, e, f, g, h, y FROM noise');
SELECT count(*) FROM neural.evaluate('churn@2', 'SELECT * FROM steps WHERE id > 100');
SELECT count(*) FROM neural.evaluate('imported2@1', 'rows_of_noise');
SELECT count(*) FROM neural.evaluate('imported2@2', 'rows_of_noise');
SELECT count(*) FROM neural.confusion_matrix('imported2@3', 'SELECT a, b, c, d, e, f, g, h, y FROM noise WHERE id % 5 > 1');
SELECT count(*) FROM neural.evaluate('imported2@3', 'SELECT a + 7 AS a, b, c, d, e, f, g, h, y FROM noise');
SET client_min_messages = warning;

-- Of many rows a sample is known, and what is held out again comes from it.
CREATE TABLE many AS SELECT random() AS a, random() AS b, random() < 0.5 AS y FROM generate_series(1, 40000);
SELECT version FROM neural.train('many', 'many', 'y', epochs => 1, seed => 1, architecture => 'logistic', options => '{"verbose": false}');
SELECT version FROM neural.train('many', 'many', 'y', epochs => 1, seed => 2, options => '{"verbose": false, "warm_start": true}');
SELECT rows_trained + rows_validated AS rows, rows_validated BETWEEN 3000 AND 4500 AS validated
FROM neural.model_versions WHERE model = 'many' AND version = 2;
SELECT octet_length(seen) < 180000 AS small FROM _neural.version WHERE rows_trained > 30000;

\set VERBOSITY default
SET client_min_messages = warning;
RESET search_path;
DROP SCHEMA held_out CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
