-- Images and sequences from a table: the digits of 8 × 8 pixels, of which every fifth is held out.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;
\getenv root PG_ABS_SRCDIR
\set command 'gzip -dc "' :root '/../data/digits.csv.gz"'
CREATE TABLE digits (
    id int PRIMARY KEY, pixels real[], digit int,
    held_out bool GENERATED ALWAYS AS (id % 5 = 1) STORED
);
COPY digits (id, pixels, digit) FROM PROGRAM :'command' WITH (FORMAT csv, HEADER);
SELECT count(*), count(*) FILTER (WHERE held_out) AS held_out, count(DISTINCT digit) AS classes,
       min(array_dims(pixels)) AS dimensions FROM digits;

-- A convolutional network, by name: it reads the column as an image.
SELECT version, epochs, (metrics->>'accuracy')::float8 >= 0.98 AS reached
FROM neural.train('cnn', 'SELECT pixels, digit, held_out FROM digits', 'digit', architecture => 'cnn_32',
    epochs => 100, seed => 1, options => '{"validation_split": "held_out", "members": 4, "verbose": false}');
SELECT m.features->0->>'treatment' AS treatment, v.rows_trained, v.rows_validated
FROM neural.models m JOIN neural.model_versions v ON v.model = m.name WHERE m.name = 'cnn';
-- What the training says of the held-out rows, every way of asking finds again.
SELECT e.value = (v.metrics->>'accuracy')::float8 AS same
FROM neural.evaluate('cnn', 'SELECT pixels, digit FROM digits WHERE held_out') e, neural.model_versions v
WHERE e.metric = 'accuracy' AND v.model = 'cnn';
SELECT sum(count) FILTER (WHERE actual = predicted) >= 0.98 * sum(count) AS reached, sum(count)
FROM neural.confusion_matrix('cnn', 'SELECT pixels, digit FROM digits WHERE held_out');
SELECT count(*) FILTER (WHERE neural.predict_class('cnn', pixels) = digit::text) >= 0.98 * count(*) AS reached,
       count(*) FILTER (WHERE neural.predict_class('cnn', pixels) <> neural.predict_class('cnn', d)) AS different
FROM digits d WHERE held_out;
SELECT array_length(neural.predict_proba('cnn', pixels), 1) AS classes FROM digits WHERE id = 1;

-- Residual blocks with batch normalisation, and images that move by a pixel while it learns.
SELECT (metrics->>'accuracy')::float8 >= 0.98 AS reached
FROM neural.train('resnet', 'SELECT pixels, digit, held_out FROM digits', 'digit', architecture => 'resnet_small',
    epochs => 15, seed => 1, features => '{"pixels": {"type": "image", "augment": {"shift": 1}}}',
    options => '{"validation_split": "held_out", "verbose": false}');
-- Made 28 × 28, they are as large as LeNet-5 wants them; 8 × 8 is too small for its second convolution.
SELECT (metrics->>'accuracy')::float8 >= 0.97 AS reached
FROM neural.train('lenet', 'SELECT pixels, digit, held_out FROM digits', 'digit', architecture => 'lenet5',
    epochs => 20, seed => 1, features => '{"pixels": {"type": "image", "resize": [28, 28]}}',
    options => '{"validation_split": "held_out", "verbose": false}');
SELECT neural.train('small', 'SELECT pixels, digit FROM digits', 'digit', architecture => 'lenet5');

-- The eight lines one after the other: the same column, read as a sequence.
SELECT (metrics->>'accuracy')::float8 >= 0.96 AS reached
FROM neural.train('lstm', 'SELECT pixels, digit, held_out FROM digits', 'digit', architecture => 'lstm_128',
    epochs => 60, seed => 1, options => '{"validation_split": "held_out", "verbose": false}');
SELECT m.features->0->>'treatment' AS treatment FROM neural.models m WHERE m.name = 'lstm';
SELECT (metrics->>'accuracy')::float8 >= 0.96 AS reached
FROM neural.train('gru', 'SELECT pixels, digit, held_out FROM digits', 'digit', architecture => 'gru_64',
    epochs => 40, seed => 1, options => '{"validation_split": "held_out", "verbose": false}');
SELECT (metrics->>'accuracy')::float8 >= 0.95 AS reached
FROM neural.train('attention', 'SELECT pixels, digit, held_out FROM digits', 'digit', architecture => 'transformer_small',
    epochs => 30, seed => 1, options => '{"validation_split": "held_out", "verbose": false}');
SELECT (metrics->>'accuracy')::float8 >= 0.8 AS reached
FROM neural.train('rnn', 'SELECT pixels, digit, held_out FROM digits', 'digit', architecture => 'rnn',
    epochs => 100, seed => 1, options => '{"validation_split": "held_out", "verbose": false}');
-- And as 64 numbers.
SELECT (metrics->>'accuracy')::float8 >= 0.95 AS reached
FROM neural.train('dense', 'SELECT pixels, digit, held_out FROM digits', 'digit', architecture => 'mlp_64_64',
    epochs => 30, seed => 1, options => '{"validation_split": "held_out", "verbose": false}');
SELECT m.features->0->>'treatment' AS treatment FROM neural.models m WHERE m.name = 'dense';

-- A stratified fifth instead of a column; as many rows.
SELECT version, (metrics->>'accuracy')::float8 >= 0.97 AS reached
FROM neural.train('cnn', 'SELECT pixels, digit FROM digits', 'digit', architecture => 'cnn_32',
    epochs => 100, validation => 0.2, seed => 2, options => '{"verbose": false}');
SELECT rows_trained, rows_validated FROM neural.model_versions WHERE model = 'cnn' AND version = 2;

-- A model of images is stored, exported and called like any other.
SELECT neural.import_model('copy', neural.export_model('cnn')) AS version;
SELECT count(*) FILTER (WHERE neural.predict_proba('copy', pixels) <> neural.predict_proba('cnn', pixels)) AS different
FROM digits;
SELECT neural.create_function('which_digit', 'cnn', returns => 'class', version => 1);
SELECT avg((which_digit(pixels) = digit::text)::int) >= 0.98 AS reached FROM digits WHERE held_out;

SELECT name FROM neural.architectures ORDER BY name;
SELECT neural.train('x', 'SELECT pixels, digit FROM digits', 'digit', architecture => 'lenet');
DROP TABLE digits;
DROP FUNCTION which_digit;
