-- What is kept of how a version was made, and training it again from that.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_neural;
CREATE TABLE audited AS
SELECT i AS id, (i * 37 % 101)::float8 AS age, (ARRAY['car', 'house', 'other'])[1 + i % 3] AS purpose,
       (i * 37 % 101) + 20 * (i % 3) > 70 AS bad
FROM generate_series(1, 300) AS i;
CREATE VIEW audited_rows AS SELECT age, purpose, bad FROM audited ORDER BY id;

CREATE FUNCTION made(name text, options jsonb DEFAULT '{}', threads int DEFAULT 1, query text DEFAULT 'audited_rows')
RETURNS int LANGUAGE sql AS $$
    SELECT version FROM neural.train(name, query, 'bad', epochs => 3, batch_size => 64, learning_rate => 0.0123,
        optimizer => 'adam', validation => 0.2, seed => 7, features => '{"purpose": "categorical"}',
        architecture => '{"layers": [{"type": "dense", "units": 8, "activation": "relu"}]}',
        options => options || jsonb_build_object('verbose', false, 'threads', threads))
$$;
SELECT made('audit'), made('audit', '{"l2": 0.001}', 2);
SELECT version FROM neural.train('audit', 'audited_rows', 'bad', epochs => 2, seed => 8, options => '{"warm_start": true, "verbose": false}');

-- Every version says what it was made from and by what.
SELECT version, created_by = current_user AS by_me, query, seed, rows_trained + rows_validated AS rows, octet_length(data_blake3) AS hash,
       blas ~ '^OpenBLAS [0-9.]+ .* (serial|pthreads|openmp)$' AS blas, follows, extension_version IS NOT NULL AS extension,
       options - 'verbose' - 'threads' - 'architecture' AS options
FROM neural.model_versions WHERE model = 'audit' ORDER BY version;

-- The hash is that of what the network sees: the same for any number of threads and any memory, another one where
-- a value, the order or the split is another.
SELECT count(DISTINCT data_blake3) AS hashes FROM neural.model_versions WHERE model = 'audit' AND version < 3;
CREATE TABLE many AS SELECT i AS id, sin(i) AS a, cos(i) AS b, tan(i % 91) AS c, sin(i) > 0.3 AS bad FROM generate_series(1, 20000) AS i;
SELECT version FROM neural.train('audit_much', 'SELECT a, b, c, bad FROM many ORDER BY id', 'bad', epochs => 1, seed => 1, options => '{"verbose": false, "members": 1}');
SET neural.max_memory = '3MB';
SELECT version FROM neural.train('audit_much', 'SELECT a, b, c, bad FROM many ORDER BY id', 'bad', epochs => 1, seed => 1, options => '{"verbose": false, "members": 1}');
RESET neural.max_memory;
SELECT version FROM neural.train('audit_much', 'SELECT a, b, c, bad FROM many ORDER BY id DESC', 'bad', epochs => 1, seed => 1, options => '{"verbose": false, "members": 1}');
SELECT version FROM neural.train('audit_much', 'SELECT a, b, c, bad FROM many ORDER BY id', 'bad', epochs => 1, seed => 2, options => '{"verbose": false, "members": 1}');
SELECT dense_rank() OVER (ORDER BY first) AS data FROM
    (SELECT version, min(version) OVER (PARTITION BY data_blake3) AS first FROM neural.model_versions WHERE model = 'audit_much') AS v ORDER BY version;

-- Trained again, each comes out the same; nothing is stored.
SELECT r.* FROM generate_series(1, 3) AS n, neural.reproduce('audit', n) AS r;
SELECT * FROM neural.reproduce('audit');
SELECT * FROM neural.reproduce('audit@2');
SELECT r.* FROM generate_series(1, 4) AS n, neural.reproduce('audit_much', n) AS r;
SELECT count(*) AS versions FROM neural.model_versions WHERE model = 'audit';
BEGIN READ ONLY;
SELECT data_agrees, weights_agree FROM neural.reproduce('audit', 1);
COMMIT;
-- Another threshold leaves the weights.
SELECT neural.set_threshold('audit@1', 0.4);
SELECT data_agrees, weights_agree FROM neural.reproduce('audit', 4);

-- A row that has changed since, and one more.
BEGIN;
UPDATE audited SET age = age + 1 WHERE id = 100;
SELECT data_agrees, weights_agree, (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(details) AS k WHERE k !~ 'metrics|loss') AS differing
FROM neural.reproduce('audit', 1);
INSERT INTO audited VALUES (301, 1, 'car', true);
SELECT data_agrees, weights_agree, details ? 'rows_validated' AS more_rows
FROM neural.reproduce('audit', 1);
ROLLBACK;
-- What a row of the catalog says is compared, too.
BEGIN;
UPDATE _neural.version SET blas = 'OpenBLAS 0.0 Other serial', extension_version = '0.1', data_blake3 = NULL WHERE number = 1;
SELECT data_agrees, weights_agree, details -> 'extension_version' ->> 'stored' AS extension, details -> 'blas' ->> 'stored' AS blas FROM neural.reproduce('audit', 1);
ROLLBACK;

-- Settings that change which rows a query gives are kept with the version, and are the training's when it is trained again.
CREATE SCHEMA here;
CREATE SCHEMA there;
CREATE TABLE here.ledger AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '7 hours' AS at, i % 5 < 2 AS bad FROM generate_series(1, 200) AS i;
CREATE TABLE there.ledger AS SELECT id, at + interval '30 hours' AS at, NOT bad AS bad FROM here.ledger;
SET search_path = here, public;
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SELECT version FROM neural.train('audit_settings', $$SELECT extract(hour FROM at) AS hour, left(at::text, 5) AS day,
    extract(epoch FROM at - '02/01/2024') AS since, length((at - timestamptz 'epoch')::text) AS length, bad FROM ledger ORDER BY id$$,
    'bad', epochs => 1, seed => 1, options => '{"verbose": false}');
RESET search_path;
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
SELECT settings ->> 'search_path' AS path, settings ->> 'TimeZone' AS zone, settings ->> 'DateStyle' AS dates, settings ->> 'IntervalStyle' AS intervals
FROM neural.model_versions WHERE model = 'audit_settings';
SELECT data_agrees, weights_agree, details FROM neural.reproduce('audit_settings');
SET search_path = there, public;
SET TimeZone = 'America/New_York';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'iso_8601';
SELECT data_agrees, weights_agree, details FROM neural.reproduce('audit_settings');
SELECT current_setting('search_path') AS path, current_setting('TimeZone') AS zone, current_setting('DateStyle') AS dates, current_setting('IntervalStyle') AS intervals;
-- One that cannot be set here is told of.
BEGIN;
UPDATE _neural.version SET settings = settings || '{"lc_time": "nowhere"}' WHERE settings ->> 'TimeZone' = 'Asia/Tokyo';
SELECT data_agrees, weights_agree, (SELECT array_agg(k) FROM jsonb_object_keys(details) AS k) AS details, details #>> '{settings.lc_time,stored}' AS stored
FROM neural.reproduce('audit_settings');
ROLLBACK;
-- A version of before they were kept is trained under those of the session, and that is told.
BEGIN;
UPDATE _neural.version SET settings = NULL WHERE settings ->> 'TimeZone' = 'Asia/Tokyo';
SELECT data_agrees, weights_agree, details #>> '{settings,reproduced,TimeZone}' AS zone FROM neural.reproduce('audit_settings');
SET LOCAL search_path = here, public;
SET LOCAL TimeZone = 'Asia/Tokyo';
SET LOCAL DateStyle = 'SQL, DMY';
SET LOCAL IntervalStyle = 'sql_standard';
SELECT data_agrees, weights_agree, (SELECT array_agg(k) FROM jsonb_object_keys(details) AS k) AS details, details -> 'settings' -> 'stored' AS stored
FROM neural.reproduce('audit_settings');
ROLLBACK;
-- No others are set, whatever a row says.
BEGIN;
UPDATE _neural.version SET settings = '{"session_replication_role": "replica"}' WHERE settings ->> 'TimeZone' = 'Asia/Tokyo';
SELECT * FROM neural.reproduce('audit_settings'); \echo :SQLSTATE
ROLLBACK;
RESET search_path;
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
-- Another threshold is of the same training; an import tells none.
SELECT neural.set_threshold('audit_settings', 0.4);
SELECT neural.import_model('audit_carried', neural.export_model('audit_settings'));
SELECT model, version, settings ->> 'TimeZone' AS zone FROM neural.model_versions WHERE model IN ('audit_carried', 'audit_settings') ORDER BY model, version;
SELECT neural.drop_model('audit_carried');
DROP TABLE here.ledger, there.ledger;
DROP SCHEMA here, there;

-- What fails fails as in a training.
ALTER VIEW audited_rows RENAME TO gone;
\set VERBOSITY sqlstate
SELECT * FROM neural.reproduce('audit', 1);
\set VERBOSITY terse
ALTER VIEW gone RENAME TO audited_rows;

-- A warm start begins with the version that it went on from, or not at all. Others need it no more.
SELECT neural.drop_model('audit', 2);
SELECT * FROM neural.reproduce('audit', 3); \echo :SQLSTATE
SELECT made('audit', '{"l2": 0.01}');
SELECT follows FROM neural.model_versions WHERE model = 'audit' AND version = 5;
SELECT neural.deploy('audit', 5);
SELECT neural.drop_model('audit', 4);
SELECT * FROM neural.reproduce('audit', 5);
SELECT * FROM neural.reproduce('audit', 2); \echo :SQLSTATE
SELECT * FROM neural.reproduce('audit', 0); \echo :SQLSTATE
SELECT * FROM neural.reproduce('nothing'); \echo :SQLSTATE
SELECT * FROM neural.reproduce(NULL); \echo :SQLSTATE

-- An import claims no hash, and what its file says of its training is not run.
SELECT neural.import_model('audit_brought', neural.export_model('audit'));
SELECT query IS NOT NULL AS query, claimed, data_blake3, blas, follows FROM neural.model_versions WHERE model = 'audit_brought';
SELECT * FROM neural.reproduce('audit_brought'); \echo :SQLSTATE

-- The query is run with the rights of the role that trained: a superuser's are not lent to it, nor the owner's to others.
CREATE ROLE trainer;
CREATE ROLE heir;
CREATE ROLE guest;
GRANT EXECUTE ON FUNCTION neural.train TO trainer;
CREATE SCHEMA theirs AUTHORIZATION trainer;
SET ROLE trainer;
CREATE TABLE theirs.rows AS SELECT i::float8 AS x, i % 7 < 3 AS y FROM generate_series(1, 100) AS i;
CREATE FUNCTION theirs.who() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', 'theirs', false);
    RAISE WARNING 'run by %', current_user;
    RETURN current_user;
END $$;
SELECT version FROM neural.train('audit_theirs', 'SELECT x, y FROM theirs.rows, theirs.who() WHERE who IS NOT NULL', 'y', epochs => 1, options => '{"verbose": false}');
SELECT data_agrees, weights_agree FROM neural.reproduce('audit_theirs');
RESET search_path;
SELECT neural.grant_model('audit_theirs', 'guest');
RESET ROLE;
SELECT data_agrees, weights_agree FROM neural.reproduce('audit_theirs');
SHOW search_path;
SELECT neural.set_owner('audit_theirs', 'heir');
SET ROLE heir;
\set VERBOSITY default
SELECT * FROM neural.reproduce('audit_theirs'); \echo :SQLSTATE
SET ROLE guest;
SELECT * FROM neural.reproduce('audit_theirs'); \echo :SQLSTATE
SELECT data_blake3 IS NOT NULL AS hash, blas IS NOT NULL AS blas, query, settings FROM neural.model_versions WHERE model = 'audit_theirs';
RESET ROLE;

SELECT neural.drop_model(name) FROM neural.models WHERE name IN ('audit', 'audit_much', 'audit_settings', 'audit_brought', 'audit_theirs');
DROP OWNED BY trainer, heir, guest CASCADE;
DROP ROLE trainer, heir, guest;
DROP FUNCTION made;
DROP VIEW audited_rows;
DROP TABLE audited, many;
