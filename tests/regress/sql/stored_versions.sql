-- Versions that 0.1 stored load, keep their hash, and give the same bits, row by row and in batches.
-- tests/data/stored_by_0_1/make.sql says how the files were made.
\getenv root PG_ABS_SRCDIR
\set folder :root /../data/stored_by_0_1
SET client_min_messages = error;
CREATE TABLE people (id int, age int, income numeric, purpose text, balance float8, owner bool, opened date,
    seen timestamptz, shape float8[], grade text, bad bool, amount float8);
CREATE TABLE pictures (id int, image float8[], even bool);
CREATE TABLE visits (customer int, at int, spent float8, channel text, churned bool);
CREATE TABLE series (id int, past float8[], next float8);
\set file :folder /people.txt
COPY people FROM :'file';
\set file :folder /pictures.txt
COPY pictures FROM :'file';
\set file :folder /visits.txt
COPY visits FROM :'file';
\set file :folder /series.txt
COPY series FROM :'file';
SELECT name, neural.import_model(name, pg_read_binary_file(:'folder' || '/' || name || '.safetensors'))
FROM unnest(ARRAY['default_classes', 'default_number', 'three_classes', 'treatments', 'labels', 'outputs', 'quantiles',
    'images', 'forecast', 'attention', 'churn']) AS name;
CREATE TABLE answer (number serial, line text);
\set file :folder /answers.txt
COPY answer (line) FROM :'file';

\pset format unaligned
\pset tuples_only on
CREATE VIEW given_now AS
SELECT concat_ws('|', 'default_classes', id, neural.predict('default_classes', p), neural.predict_class('default_classes', p)) AS line FROM people p WHERE id <= 12
UNION ALL SELECT concat_ws('|', 'default_number', id, neural.predict('default_number', p)) AS line FROM people p WHERE id <= 12
UNION ALL SELECT concat_ws('|', 'three_classes', id, neural.predict_proba('three_classes', p), neural.predict_class('three_classes', p)) AS line FROM people p WHERE id <= 12
UNION ALL SELECT concat_ws('|', 'treatments', id, neural.predict('treatments', p)) AS line FROM people p WHERE id <= 12
UNION ALL SELECT concat_ws('|', 'labels', id, neural.predict_proba('labels', p), neural.predict_class('labels', p)) AS line FROM people p WHERE id <= 12
UNION ALL SELECT concat_ws('|', 'outputs', id, neural.predict_proba('outputs', p)) AS line FROM people p WHERE id <= 12
UNION ALL SELECT concat_ws('|', 'quantiles', id, neural.predict_proba('quantiles', p)) AS line FROM people p WHERE id <= 12
UNION ALL SELECT concat_ws('|', 'images', id, neural.predict('images', image)) AS line FROM pictures WHERE id <= 6
UNION ALL SELECT concat_ws('|', 'forecast', id, neural.predict('forecast', past)) AS line FROM series WHERE id <= 6
UNION ALL SELECT concat_ws('|', 'attention', id, neural.predict('attention', past)) AS line FROM series WHERE id <= 6
UNION ALL SELECT concat_ws('|', 'churn', customer, neural.predict('churn', array_agg(v ORDER BY at))) AS line FROM visits v WHERE customer < 6 GROUP BY customer
UNION ALL SELECT concat_ws('|', 'sha', model, encode(sha256, 'hex')) AS line FROM neural.model_versions;

-- What is given_now now and was not then, and the other way round: nothing.
SET extra_float_digits = 3;
SELECT 'now', line FROM given_now EXCEPT ALL SELECT 'now', line FROM answer;
SELECT 'then', line FROM answer EXCEPT ALL SELECT 'then', line FROM given_now;
SET neural.batch_scoring = off;
SELECT 'now', line FROM given_now EXCEPT ALL SELECT 'now', line FROM answer;
SELECT 'then', line FROM answer EXCEPT ALL SELECT 'then', line FROM given_now;
RESET neural.batch_scoring;
SELECT count(*) FROM given_now;
\pset tuples_only off
DROP VIEW given_now;
DROP TABLE people, pictures, visits, series, answer;
SELECT count(neural.drop_model(name)) FROM neural.models;
