-- A large model that is rolled back leaves no file through which connections share it; a committed one has one.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;
CREATE SCHEMA rolled_back_files;
SET search_path = rolled_back_files;

CREATE TABLE files_before AS SELECT name FROM pg_ls_tmpdir() WHERE name LIKE 'pgsql\_tmp\_neural.%';
CREATE FUNCTION new_files() RETURNS bigint BEGIN ATOMIC
    SELECT count(*) FROM pg_ls_tmpdir() AS f WHERE f.name LIKE 'pgsql\_tmp\_neural.%' AND f.name NOT IN (SELECT b.name FROM files_before AS b);
END;
CREATE TABLE t AS SELECT sin(i) AS x, cos(i * 3) > 0 AS y FROM generate_series(1, 64) AS i;
CREATE FUNCTION train_wide(seed bigint) RETURNS int RETURN (SELECT version FROM neural.train('wide', 'SELECT x, y FROM rolled_back_files.t', 'y', epochs => 1, validation => 0, seed => seed,
    architecture => '{"layers": [{"type": "dense", "units": 600, "activation": "relu"}, {"type": "dense", "units": 600, "activation": "relu"}]}', options => '{"verbose": false}'));

-- A training. The transaction that makes a model has it for itself.
BEGIN;
SELECT train_wide(1) AS version;
SELECT neural.predict('wide', 0.5) BETWEEN 0 AND 1 AS scored, (SELECT private_bytes > 1024 * 1024 AND shared_file IS NULL FROM neural.model_cache_info() WHERE model = 'wide') AS of_its_own, new_files();
SELECT length(neural.export_model('wide')) > 1024 * 1024 AS large_enough_to_share;
ROLLBACK;
SELECT new_files(), count(*) AS models FROM neural.models;

-- One that fails, and an import, wholly undone and back to a savepoint.
BEGIN;
SELECT train_wide(2) AS version;
SELECT neural.predict('wide', 0.5) BETWEEN 0 AND 1 AS scored;
SELECT 1 / 0;
COMMIT;
SELECT new_files(), count(*) AS models FROM neural.models;
CREATE TABLE artifacts (artifact bytea);
SELECT train_wide(4) AS version;
INSERT INTO artifacts SELECT neural.export_model('wide');
SELECT neural.drop_model('wide');
BEGIN;
SAVEPOINT s;
SELECT neural.import_model('other', artifact) FROM artifacts;
SELECT neural.predict('other', 0.5) BETWEEN 0 AND 1 AS scored, new_files();
ROLLBACK TO s;
COMMIT;
SELECT new_files();
BEGIN;
SELECT neural.import_model('other', artifact) FROM artifacts;
SELECT neural.predict('other', 0.5) BETWEEN 0 AND 1 AS scored, new_files();
ROLLBACK;
SELECT new_files(), count(*) AS models FROM neural.models;

-- Committed, it is shared by whoever comes then, and its file goes with it.
SELECT neural.import_model('other', artifact) FROM artifacts;
\c -
SET search_path = rolled_back_files;
SELECT neural.predict('other', 0.5) BETWEEN 0 AND 1 AS scored, (SELECT shared_bytes > 1024 * 1024 FROM neural.model_cache_info() WHERE model = 'other') AS shared, new_files();
SELECT neural.drop_model('other');
SELECT new_files();
SET client_min_messages = warning;
DROP SCHEMA rolled_back_files CASCADE;
