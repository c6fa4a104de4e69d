-- One model of every kind: layers, treatments, tasks, losses, optimizers, schedules, splits, warm starts,
-- shipped architectures. Prints for each the hash of what is stored, the losses' bits, and a hash of its answers.
\set QUIET on
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;
SET extra_float_digits = 3;
SET neural.max_memory = '512MB';
CREATE EXTENSION IF NOT EXISTS pg_neural;
CREATE SCHEMA golden;
SET search_path = golden;

CREATE TABLE people AS
SELECT i AS id, 20 + (i * 7919 % 50) AS age, round((1500 + 4000 * abs(sin(i)))::numeric, 2) AS income,
       (ARRAY['car', 'furniture', 'holiday', 'school', NULL])[1 + i % 5] AS purpose,
       CASE WHEN i % 11 = 0 THEN NULL ELSE cos(i * 3)::float8 END AS balance,
       i % 3 = 0 AS owner, date '2020-01-01' + i % 700 AS opened,
       timestamptz '2024-01-01 00:00+00' + i * interval '5 hours' AS seen,
       ARRAY[sin(i), cos(i), (i % 17)::float8] AS shape,
       (ARRAY['low', 'middle', 'high'])[1 + i % 3] AS grade, i % 7 AS branch, i % 4 = 0 AS held,
       sin(i) + cos(i * 3) > 0 AS bad, 1000 * sin(i) + i % 50 AS amount, 0.5 + i % 3 AS weight
FROM generate_series(1, 500) AS i;
CREATE TABLE pictures AS
SELECT i AS id, (SELECT array_agg(ARRAY[abs(sin(i + y)), abs(sin(i + y + 1)), abs(sin(i * y)), 0.5, 0.25, abs(cos(i)), 1, 0]) FROM generate_series(1, 8) AS y) AS image,
       i % 2 = 0 AS even FROM generate_series(1, 60) AS i;
CREATE TABLE large_pictures AS
SELECT i AS id, (SELECT array_agg((SELECT array_agg(abs(sin(i * y + x))) FROM generate_series(1, 32) AS x)) FROM generate_series(1, 32) AS y) AS image,
       i % 2 = 0 AS even FROM generate_series(1, 24) AS i;
CREATE TABLE visits AS
SELECT i / 6 AS customer, i % 6 AS at, sin(i) AS spent, (ARRAY['web', 'shop'])[1 + i % 2] AS channel, (i / 6) % 2 = 0 AS churned
FROM generate_series(0, 599) AS i;
CREATE TABLE series AS
SELECT i AS id, (SELECT array_agg(sin(i + t / 3.0) ORDER BY t) FROM generate_series(1, 4 + i % 7) AS t) AS past,
       (SELECT array_agg((i * t) % 9) FROM generate_series(1, 6) AS t) AS words, sin(i + 11 / 3.0) AS next FROM generate_series(1, 80) AS i;

CREATE TABLE wish (number serial, name text, query text, target text, architecture text, features jsonb, options jsonb, task text);
-- Tables: treatments and targets.
INSERT INTO wish (name, query, target, architecture, features, options) VALUES
    ('default_classes', 'SELECT age, income, purpose, balance, owner, opened, seen, bad FROM golden.people', 'bad', NULL, NULL, '{}'),
    ('default_number', 'SELECT age, income, purpose, balance, amount FROM golden.people', 'amount', NULL, NULL, '{"members": 2}'),
    ('three_classes', 'SELECT age, income, balance, shape, grade FROM golden.people', 'grade', 'mlp_10_10', NULL, '{}'),
    ('treatments', 'SELECT age, income, purpose, balance, grade, owner FROM golden.people', 'owner', 'linear',
     '{"age": {"type": "numeric", "scale": "minmax"}, "income": {"type": "numeric", "scale": "none"}, "balance": {"type": "numeric", "scale": "robust", "missing": "median"}, "purpose": {"type": "categorical", "encoding": "embedding", "units": 3}, "grade": "ignore"}', '{}'),
    ('few_levels', 'SELECT age, purpose, branch, bad FROM golden.people', 'bad', 'logistic', '{"branch": {"type": "categorical", "levels": 3}}', '{}'),
    ('labels', 'SELECT age, balance, ARRAY[bad, owner] AS marks FROM golden.people', 'marks', NULL, NULL, '{"members": 2}'),
    ('outputs', 'SELECT age, balance, ARRAY[amount, income] AS both FROM golden.people', 'both', NULL, NULL, '{"members": 2}'),
    ('vectors', 'SELECT shape, owner, bad FROM golden.people', 'bad', 'mlp_64_64', '{"shape": {"type": "vector", "scale": "robust", "clip": 3}}', '{}');
-- Losses, optimizers, schedules, splits, weights.
INSERT INTO wish (name, query, target, architecture, options)
SELECT name, 'SELECT age, income, purpose, balance, amount FROM golden.people', 'amount', 'mlp_10_10', options::jsonb FROM (VALUES
    ('mae', '{"loss": "mae"}'), ('huber', '{"loss": "huber", "delta": 0.7}'),
    ('quantile', '{"loss": "quantile", "quantiles": [0.1, 0.5, 0.9], "members": 2}'),
    ('last', '{"validation_split": "last", "target_scale": "robust"}'), ('random', '{"validation_split": "random", "gradient_clip": 0.5}'),
    ('regularised', '{"l1": 0.001, "l2": 0.001, "weight_decay": 0.01, "dropout": 0.2}'),
    ('step', '{"schedule": "step", "step_size": 1, "gamma": 0.5}'), ('exponential', '{"schedule": "exponential", "warmup": 2}'),
    ('one_cycle', '{"schedule": "one_cycle"}'), ('plateau', '{"schedule": "reduce_on_plateau"}'), ('constant', '{"schedule": "constant", "shuffle": false}')
) AS given (name, options);
INSERT INTO wish (name, query, target, architecture, options)
SELECT name, 'SELECT age, income, purpose, balance, branch, held, weight, bad FROM golden.people', 'bad', 'mlp_10_10', options::jsonb FROM (VALUES
    ('smooth', '{"label_smoothing": 0.1, "class_weights": "balanced"}'), ('weighted', '{"sample_weight": "weight", "class_weights": {"true": 3}}'),
    ('flagged', '{"validation_split": "held"}'), ('grouped', '{"validation_group": "branch"}'), ('folds', '{"members": 3, "early_stopping": 2}'),
    ('he', '{"initializer": "he_normal", "keep_optimizer": true}')
) AS given (name, options);
-- Layers, over sequences, images, tokens and vectors.
INSERT INTO wish (name, query, target, architecture)
SELECT 'sequence ' || layer, 'SELECT past, next FROM golden.series', 'next', format('{"layers":[%s,{"type":"output"}]}', layer)
FROM unnest(ARRAY['{"type":"lstm","units":5}', '{"type":"gru","units":5,"bidirectional":true}', '{"type":"rnn","units":4,"return_sequences":true},{"type":"select_step"}',
    '{"type":"conv1d","filters":4,"kernel_size":3,"padding":"causal"},{"type":"global_max_pool"}', '{"type":"conv1d","filters":4,"kernel_size":2,"padding":"same","activation":"gelu"},{"type":"max_pool1d","pool_size":2},{"type":"global_avg_pool"}',
    '{"type":"dense","units":8},{"type":"positional_encoding"},{"type":"transformer_encoder","num_heads":2,"feed_forward":16},{"type":"global_avg_pool"}',
    '{"type":"dense","units":6,"activation":"tanh"},{"type":"multi_head_attention","num_heads":2},{"type":"layer_norm"},{"type":"avg_pool1d","pool_size":2},{"type":"global_avg_pool"}',
    '{"type":"dense","units":6},{"type":"rms_norm"},{"type":"lstm","units":3,"return_sequences":true},{"type":"global_max_pool"}']) AS layer;
INSERT INTO wish (name, query, target, architecture)
SELECT 'image ' || layer, 'SELECT image, even FROM golden.pictures', 'even', format('{"layers":[%s,{"type":"output"}]}', layer)
FROM unnest(ARRAY['{"type":"conv2d","filters":3,"kernel_size":3,"padding":"same","activation":"relu"},{"type":"batch_norm"},{"type":"max_pool2d","pool_size":2},{"type":"flatten"}',
    '{"type":"conv2d","filters":4,"kernel_size":3,"stride":2},{"type":"group_norm","groups":2},{"type":"prelu"},{"type":"avg_pool2d","pool_size":2},{"type":"global_avg_pool"}',
    '{"type":"reshape","shape":[64]},{"type":"dense","units":7,"activation":"leaky_relu"},{"type":"dropout","rate":0.3},{"type":"activation","activation":"sigmoid"},{"type":"scale"}']) AS layer;
INSERT INTO wish (name, query, target, architecture, features) VALUES
    ('augmented', 'SELECT image, even FROM golden.pictures', 'even', '{"layers":[{"type":"conv2d","filters":3,"kernel_size":3},{"type":"flatten"},{"type":"output"}]}', '{"image": {"type": "image", "augment": {"flip": true, "shift": 1}}}'),
    ('tokens', 'SELECT words, next FROM golden.series', 'next', '{"layers":[{"type":"embedding","units":4},{"type":"gru","units":5},{"type":"output"}]}', '{"words": {"type": "sequence", "vocabulary": 12}}'),
    ('graph', 'SELECT age, balance, purpose, bad FROM golden.people', 'bad', '{"layers":[{"type":"input","features":["age","balance"],"name":"n"},{"type":"input","features":["purpose"],"name":"c"},{"type":"dense","units":6,"input":"n","name":"a","activation":"relu"},{"type":"dense","units":6,"input":"c","name":"b","activation":"silu"},{"type":"add","input":["a","b"],"name":"s"},{"type":"multiply","input":["a","b"],"name":"m"},{"type":"concat","input":["s","m"]},{"type":"output"}]}', NULL);
-- The shipped architectures.
INSERT INTO wish (name, query, target, architecture)
SELECT 'shipped ' || architecture, 'SELECT past, next FROM golden.series', 'next', architecture
FROM unnest(ARRAY['rnn', 'lstm_128', 'gru_64', 'transformer_small']) AS architecture
UNION ALL
SELECT 'shipped ' || architecture, 'SELECT image, even FROM golden.large_pictures', 'even', architecture
FROM unnest(ARRAY['lenet5', 'cnn_32', 'resnet_small']) AS architecture;
-- Rows that are steps.
INSERT INTO wish (name, query, target, options) VALUES
    ('churn', 'SELECT customer, at, spent, channel, churned FROM golden.visits', 'churned', '{"sequence_by": "customer", "order_by": "at"}');
-- Optimizers.
INSERT INTO wish (name, query, target, architecture, options, task)
SELECT 'optimizer ' || optimizer, 'SELECT age, income, purpose, balance, amount FROM golden.people', 'amount', 'mlp_10_10', '{}', optimizer
FROM unnest(ARRAY['sgd', 'rmsprop', 'adagrad', 'adam', 'adamw']) AS optimizer;
INSERT INTO wish (name, query, target, architecture, options, task)
SELECT 'momentum', query, target, architecture, '{"momentum": 0.9, "nesterov": true}', 'sgd' FROM wish WHERE name = 'optimizer sgd';
UPDATE wish SET name = left(translate(name, '{}":[],_', ''), 60);

CREATE TABLE golden (number int, line text);
DO $$
DECLARE
    w wish;
    got record;
    again record;
    answer text;
    answers text;
BEGIN
    FOR w IN SELECT * FROM wish ORDER BY number LOOP
        BEGIN
            SELECT * INTO got FROM neural.train(w.name, w.query, w.target, architecture => w.architecture, features => w.features,
                epochs => 3, batch_size => 32, optimizer => w.task, seed => w.number, options => coalesce(w.options, '{}'));
            answer := CASE WHEN got.metrics ? 'r2' AND w.name <> 'outputs' THEN 'neural.predict(%1$L, t)' ELSE 'neural.predict_proba(%1$L, t)' END;
            answers := NULL;
            IF NOT coalesce(w.options, '{}') ?| ARRAY['sequence_by', 'quantiles'] THEN
                EXECUTE format('SELECT md5(string_agg((' || answer || ')::text, '','' ORDER BY t::text)) FROM (%2$s) AS t', w.name, w.query) INTO answers;
            END IF;
            INSERT INTO golden SELECT w.number, concat_ws('|', w.name, encode(sha256, 'hex'), got.train_loss, got.validation_loss, md5(got.metrics::text), answers)
            FROM neural.model_versions WHERE model = w.name AND version = got.version;
            -- Twice as long, from where it stopped.
            SELECT * INTO again FROM neural.train(w.name, w.query, w.target, epochs => 1, batch_size => 32, seed => 7,
                options => '{"warm_start": true}' || (coalesce(w.options, '{}') - 'members' - 'initializer' - 'target_scale' - 'dropout' - 'momentum' - 'nesterov'));
            INSERT INTO golden SELECT w.number, concat_ws('|', w.name || ', again', encode(sha256, 'hex'), again.train_loss, again.validation_loss, md5(again.metrics::text))
            FROM neural.model_versions WHERE model = w.name AND version = again.version;
        EXCEPTION WHEN others THEN
            INSERT INTO golden VALUES (w.number, concat_ws('|', w.name, SQLSTATE, SQLERRM));
        END;
    END LOOP;
END $$;
SELECT line FROM golden ORDER BY number, line;
SELECT 'lines', count(*) FROM golden;
