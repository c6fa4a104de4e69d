-- What PyTorch gives for exported models, rebuilt from the formulas of docs/exchange.md by
-- tests/support/rebuild.py, is what the models give: every kind of feature and target.
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
SELECT count(neural.import_model(name, pg_read_binary_file(:'folder' || '/' || name || '.safetensors')))
FROM unnest(ARRAY['default_classes', 'default_number', 'three_classes', 'treatments', 'labels', 'outputs', 'quantiles',
    'images', 'forecast', 'attention', 'churn']) AS name;
CREATE TABLE rebuilt (model text, id int, numbers float8[]);
\set file :root /../data/rebuilt.txt
COPY rebuilt FROM :'file' WITH (DELIMITER '|');

CREATE VIEW given AS
SELECT 'default_classes' AS model, id, ARRAY[neural.predict('default_classes', p)] AS numbers, 1.0 AS unit FROM people p
UNION ALL SELECT 'default_number', id, ARRAY[neural.predict('default_number', p)], 708 FROM people p
UNION ALL SELECT 'three_classes', id, neural.predict_proba('three_classes', p), 1 FROM people p
UNION ALL SELECT 'treatments', id, ARRAY[neural.predict('treatments', p)], 1 FROM people p
UNION ALL SELECT 'labels', id, neural.predict_proba('labels', p), 1 FROM people p
UNION ALL SELECT 'outputs', id, neural.predict_proba('outputs', p), 708 FROM people p
UNION ALL SELECT 'quantiles', id, neural.predict_proba('quantiles', p), 708 FROM people p
UNION ALL SELECT 'images', id, ARRAY[neural.predict('images', image)], 1 FROM pictures
UNION ALL SELECT 'forecast', id, ARRAY[neural.predict('forecast', past)], 1 FROM series
UNION ALL SELECT 'attention', id, ARRAY[neural.predict('attention', past)], 1 FROM series
UNION ALL SELECT 'churn', customer, ARRAY[neural.predict('churn', array_agg(v ORDER BY at))], 1 FROM visits v GROUP BY customer;
-- Of a regression in the unit of the scaled target, in which the network computes.
CREATE VIEW differences AS
SELECT model, count(*) AS numbers, bool_and(abs(a - b) / greatest(unit, abs(b)) <= 1e-6) AS agree
FROM rebuilt JOIN given USING (model, id), unnest(given.numbers, rebuilt.numbers) AS pair (a, b)
GROUP BY model;
SET neural.batch_scoring = on;
SELECT * FROM differences ORDER BY model;
SET neural.batch_scoring = off;
SELECT * FROM differences WHERE NOT agree;

RESET client_min_messages;
RESET neural.batch_scoring;
DROP VIEW differences, given;
DROP TABLE people, pictures, visits, series, rebuilt;
SELECT count(neural.drop_model(name)) FROM neural.models;
