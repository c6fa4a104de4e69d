-- A version with features more than those before, which goes on from their weights.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA add_features;
SET search_path = add_features;
CREATE TABLE t AS
SELECT i AS id, sin(i) AS x, cos(i * 3) AS z, (ARRAY['car', 'house', 'boat'])[1 + i % 3] AS purpose, NULL::text AS note,
       sin(i) + cos(i * 3) + (i % 3) > 1 AS y
FROM generate_series(1, 600) AS i;
SELECT version FROM neural.train('m', 'SELECT x, note, y FROM t', 'y', seed => 1, options => '{"verbose": false}');
SELECT neural.create_function('m_risk', 'm'), neural.create_function('m_class', 'm', returns => 'class'),
       neural.create_function('m_pinned', 'm', version => 1);
CREATE TABLE before AS SELECT id, neural.predict('m', t) AS p FROM t;

-- Before anything is learnt of them, the added columns change nothing.
SET client_min_messages = notice;
SELECT version FROM neural.train('m', 'SELECT x, purpose, z, y FROM t', 'y', seed => 2, epochs => 1, learning_rate => 1e-30,
    options => '{"add_features": ["z", "purpose"], "verbose": false}', optimizer => 'sgd');
SET client_min_messages = warning;
SELECT jsonb_path_query_array(features, '$[*].name') AS features FROM neural.models WHERE name = 'm';
SELECT max(abs(p - neural.predict('m', t))) < 1e-6 AS same FROM t JOIN before USING (id);
SET neural.batch_scoring = off;
SELECT max(abs(p - neural.predict('m', t))) < 1e-6 AS same FROM t JOIN before USING (id);
RESET neural.batch_scoring;
-- Functions take them, behind the others; one that is pinned stays as it is.
SELECT p.oid::regprocedure AS function FROM pg_proc AS p WHERE proname LIKE 'm\_%' ORDER BY 1;
SELECT m_risk(x => 0.5, purpose => 'car') = neural.predict('m', 0.5, NULL, 'car') AS same, m_class(0.5) IN ('true', 'false') AS class;
-- Then they are learnt.
SELECT version, (metrics ->> 'auc')::float8 > 0.95 AS learnt
FROM neural.train('m', 'SELECT x, purpose, z, y FROM t', 'y', seed => 3, epochs => 30, options => '{"warm_start": true, "verbose": false}');
SELECT version FROM neural.train('m', 'SELECT x, purpose, z, y FROM t', 'y', seed => 3, epochs => 1, options => '{"verbose": false}');

-- Going back takes the functions along, and what goes on from there is as narrow.
SET client_min_messages = notice;
SELECT neural.deploy('m', 1);
SET client_min_messages = warning;
SELECT m_risk(0.5) = m_pinned(0.5) AS same;
SELECT version FROM neural.train('m', 'SELECT x, y FROM t', 'y', seed => 3, epochs => 1, options => '{"verbose": false, "deploy": false}');
SELECT neural.predict('m@5', 0.5) IS NOT NULL AS narrow;
SET client_min_messages = notice;
SELECT neural.rollback('m');
SET client_min_messages = warning;

-- Embeddings and members, vectors.
CREATE TABLE e AS SELECT *, ARRAY[x, z] AS v FROM t;
SELECT version FROM neural.train('e', 'SELECT x, purpose, y FROM e', 'y', seed => 1, epochs => 2,
    features => '{"purpose": {"type": "categorical", "encoding": "embedding"}}', options => '{"verbose": false, "members": 3}');
CREATE TABLE e_before AS SELECT id, neural.predict('e', e) AS p FROM e;
SELECT version FROM neural.train('e', 'SELECT x, purpose, z, v, y FROM e', 'y', seed => 2, epochs => 1, learning_rate => 1e-30, optimizer => 'sgd',
    options => '{"add_features": ["z", "v"], "verbose": false}');
SELECT max(abs(p - neural.predict('e', e))) < 1e-6 AS same FROM e JOIN e_before USING (id);
-- Steps of sequences.
CREATE TABLE s AS SELECT id, month, x + month AS u, z * month AS w, y FROM t, generate_series(1, 4) AS month;
SELECT version FROM neural.train('s', 'SELECT id, month, u, y FROM s', 'y', seed => 1, epochs => 1, architecture => 'gru_64',
    options => '{"sequence_by": "id", "order_by": "month", "verbose": false}');
CREATE TABLE s_before AS SELECT id, neural.predict('s', array_agg(s ORDER BY month)) AS p FROM s GROUP BY id;
SELECT version FROM neural.train('s', 'SELECT id, month, u, w, y FROM s', 'y', seed => 1, epochs => 1, learning_rate => 1e-30, optimizer => 'sgd',
    options => '{"sequence_by": "id", "order_by": "month", "add_features": "w", "verbose": false}');
SELECT max(abs(p - q)) < 1e-6 AS same
FROM s_before JOIN (SELECT id, neural.predict('s', array_agg(s ORDER BY month)) AS q FROM s GROUP BY id) AS after USING (id);

-- What cannot be.
SELECT neural.train('m', 'SELECT x, purpose, z, y FROM t', 'y', options => '{"add_features": "z"}');
SELECT neural.train('m', 'SELECT x, purpose, z, y FROM t', 'y', options => '{"add_features": "w"}');
SELECT neural.train('m', 'SELECT x, purpose, z, note, y FROM t', 'y', options => '{"add_features": "note"}');
SELECT neural.train('m', 'SELECT x, purpose, z, y FROM t', 'y', options => '{"add_features": [1]}');
SELECT neural.train('m', 'SELECT x, purpose, z, y, id FROM t', 'y', options => '{"add_features": "id", "warm_start": false}');
SELECT neural.train('none', 'SELECT x, y FROM t', 'y', options => '{"add_features": "x"}');
SELECT version FROM neural.train('n', 'SELECT x, z, y FROM t', 'y', seed => 1, epochs => 1, options => '{"verbose": false}',
    architecture => '{"layers": [{"type": "layer_norm"}, {"type": "dense", "units": 4, "activation": "relu"}]}');
SELECT neural.train('n', 'SELECT x, z, purpose, y FROM t', 'y', options => '{"add_features": "purpose"}');
-- A network in which nothing learns.
SELECT neural.train('frozen', 'SELECT x, y FROM t', 'y', architecture => '{"layers": [{"type": "output", "trainable": false}]}');

\set VERBOSITY default
SET client_min_messages = warning;
RESET search_path;
DROP SCHEMA add_features CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
