-- Of more rows than a version can keep a sample is known: it tells the truth of the others, too.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA held_out_sample;
SET search_path = held_out_sample;
-- Numbers that are features as they are, so that they have the same hashes on every machine.
CREATE TABLE numbered AS SELECT i, (i * 7919::bigint % 100003)::float8 / 100003 AS a, (i * 10007::bigint % 100019)::float8 / 100019 AS b,
    (i * 31::bigint % 1009)::float8 / 1009 AS c, i % 7 < 2 AS y, i % 4 = 0 AS out FROM generate_series(1, 80000) AS i;
CREATE FUNCTION train(model text, query text, options jsonb, validation float8 DEFAULT NULL, first bool DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE number int; as_is jsonb := '{"type": "numeric", "scale": "none"}'; held_out int;
BEGIN
    SELECT t.version INTO number FROM neural.train(model, query, 'y', architecture => CASE WHEN first THEN 'logistic' END,
        features => CASE WHEN first THEN jsonb_build_object('a', as_is, 'b', as_is, 'c', as_is) END, epochs => 1, seed => 1, validation => validation,
        options => options || jsonb_build_object('verbose', false, 'warm_start', NOT first)) AS t;
    SELECT rows_validated INTO held_out FROM neural.model_versions AS v WHERE v.model = train.model AND version = number;
    RETURN format('version %s holds out %s', number, held_out);
END $$;

-- Beyond the sample a training without the flag learns flagged rows: that is known afterwards.
SELECT train('sampled_flagged', 'SELECT a, b, c, y, out FROM numbered WHERE i <= 40000', '{"validation_split": "out"}', first => true);
SELECT train('sampled_flagged', 'SELECT a, b, c, y, out FROM numbered WHERE i <= 40000', '{"validation_split": "out"}');
SELECT train('sampled_flagged', 'SELECT a, b, c, y FROM numbered WHERE i <= 40000', '{}') LIKE 'version 3%' AS trained;
SELECT train('sampled_flagged', 'SELECT a, b, c, y, out FROM numbered WHERE i <= 40000', '{"validation_split": "out"}');
SELECT train('sampled_flagged', 'SELECT a, b, c, y FROM numbered WHERE i <= 40000', '{}') LIKE 'version 4%' AS trained;
SELECT train('sampled_flagged', 'SELECT a, b, c, y, out FROM numbered WHERE i <= 40000', '{"validation_split": "out"}');
-- New rows may be flagged whatever was learnt.
SELECT train('sampled_flagged', 'SELECT a, b, c, y, i > 40000 AS out FROM numbered WHERE i <= 50000', '{"validation_split": "out"}');
SET client_min_messages = notice;
SELECT count(*) FROM neural.evaluate('sampled_flagged@2', 'SELECT a, b, c, y FROM numbered WHERE i <= 40000 AND out');
SELECT count(*) FROM neural.evaluate('sampled_flagged@2', 'SELECT a, b, c, y FROM numbered WHERE i <= 40000');
SELECT count(*) FROM neural.evaluate('sampled_flagged@3', 'SELECT a, b, c, y FROM numbered WHERE i <= 40000 AND out');
SELECT count(*) FROM neural.evaluate('sampled_flagged@3', 'SELECT a, b, c, y FROM numbered WHERE i > 40000');
SET client_min_messages = warning;

-- How many of the rows were learnt, where half of them are new; where their targets were corrected; of few.
SELECT train('sampled_half', 'SELECT a, b, c, y FROM numbered WHERE i <= 20000', '{}', validation => 0, first => true);
SET client_min_messages = notice;
SELECT count(*) FROM neural.evaluate('sampled_half', 'SELECT a, b, c, y FROM numbered WHERE i <= 40000');
SELECT count(*) FROM neural.evaluate('sampled_half', 'SELECT a, b, c, NOT y AS y FROM numbered WHERE i <= 20000');
SELECT count(*) FROM neural.evaluate('sampled_half', 'SELECT a, b, c, y FROM numbered WHERE i > 20000');
SELECT count(*) FROM neural.evaluate('sampled_half', 'SELECT a, b, c, y FROM numbered WHERE i <= 12');
SET client_min_messages = warning;

-- An import, gone on from twice.
SELECT neural.import_model('sampled_brought', neural.export_model('sampled_half'));
SELECT train('sampled_brought', 'SELECT a, b, c, y, out FROM numbered WHERE i <= 40000', '{"validation_split": "out"}');
SELECT train('sampled_brought', 'SELECT a, b, c, y FROM numbered WHERE i <= 40000', '{}') LIKE 'version 3%' AS trained;
SELECT train('sampled_brought', 'SELECT a, b, c, y, out FROM numbered WHERE i <= 40000', '{"validation_split": "out"}');
SET client_min_messages = notice;
SELECT count(*) FROM neural.evaluate('sampled_brought@1', 'SELECT a, b, c, y FROM numbered WHERE i > 50000');
SELECT count(*) FROM neural.evaluate('sampled_brought@2', 'SELECT a, b, c, y FROM numbered WHERE i > 50000');
SELECT count(*) FROM neural.evaluate('sampled_brought@3', 'SELECT a, b, c, y FROM numbered WHERE i <= 40000 AND NOT out');
SET client_min_messages = warning;

-- Rows held out that look like others are told of, or refused where they are more than a few.
SELECT train('sampled_alike', 'SELECT a, b, c, y, i % 6 > 0 AS out FROM numbered WHERE i <= 6000', '{"validation_split": "out"}', first => true);
CREATE VIEW look_alikes AS
    SELECT CASE WHEN n.i % 6 = 1 THEN n.i / 6 END AS number, n.i % 6 = 0 AS learnt, n.a, n.b, n.c, o.a + 1e-9 AS other_a, o.b AS other_b, o.c AS other_c, n.y
    FROM numbered AS n LEFT JOIN numbered AS o ON o.i = n.i + 5 WHERE n.i <= 6000;
CREATE FUNCTION look_alikes(many int, rest int) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT CASE WHEN number < %1$s THEN other_a ELSE a END AS a, CASE WHEN number < %1$s THEN other_b ELSE b END AS b,
        CASE WHEN number < %1$s THEN other_c ELSE c END AS c, y, NOT learnt AS out
        FROM look_alikes WHERE NOT learnt OR a < %2$s', many, rest)
$$;
SELECT train('sampled_alike', look_alikes(2, 1), '{"validation_split": "out"}');
SELECT neural.deploy('sampled_alike', 1);
SELECT train('sampled_alike', look_alikes(2, 0) || ' UNION ALL SELECT a, b, c, y, false FROM numbered WHERE i BETWEEN 70000 AND 71000', '{"validation_split": "out"}');
SELECT train('sampled_alike', look_alikes(900, 0) || ' UNION ALL SELECT a, b, c, y, false FROM numbered WHERE i BETWEEN 70000 AND 71000', '{"validation_split": "out"}');

-- Sequences that begin alike are told apart no further, but an honest flag is not refused for it.
CREATE TABLE steps AS SELECT id, month, CASE WHEN month = 1 AND id % 3 = 0 THEN 0 ELSE (id * 7919 % 1009 + month) / 1009.0 END AS u, id % 2 = 0 AS y, id % 5 = 0 AS out
FROM generate_series(1, 300) AS id, generate_series(1, 4) AS month;
SELECT version FROM neural.train('sampled_begun', 'steps', 'y', epochs => 1, seed => 1,
    options => '{"validation_split": "out", "sequence_by": "id", "order_by": "month", "verbose": false}');
SELECT version FROM neural.train('sampled_begun', 'steps', 'y', epochs => 1, seed => 1,
    options => '{"validation_split": "out", "sequence_by": "id", "order_by": "month", "verbose": false, "warm_start": true}');
SELECT version FROM neural.train('sampled_begun', 'SELECT id, month, u, y, NOT out AS out FROM steps', 'y', epochs => 1, seed => 1,
    options => '{"validation_split": "out", "sequence_by": "id", "order_by": "month", "verbose": false, "warm_start": true}');
SET client_min_messages = notice;
SELECT count(*) FROM neural.evaluate('sampled_begun@1', 'SELECT * FROM steps WHERE NOT out');
SELECT count(*) FROM neural.evaluate('sampled_begun@1', 'SELECT * FROM steps WHERE out AND id % 3 > 0');
SET client_min_messages = warning;

\set SHOW_CONTEXT errors
RESET search_path;
DROP SCHEMA held_out_sample CASCADE;
SELECT count(neural.drop_model(name, force => true)) AS models FROM neural.models WHERE name IN ('sampled_flagged', 'sampled_half', 'sampled_brought', 'sampled_alike', 'sampled_begun');
