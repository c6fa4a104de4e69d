-- What goes wrong, and what the user is told: SQLSTATE, message and hint of each case.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;

CREATE FUNCTION fails(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;

CREATE TABLE loans AS
SELECT i AS id, 20 + i % 50 AS age, 1000.0 + 37 * (i % 91) AS income,
       (ARRAY['car', 'house', 'tv'])[1 + i % 3] AS purpose,
       (i * 7919) % 100 < 20 + (i % 50) AS bad,
       point(i, i) AS place, 1.0 AS same, -1.0 AS weight
FROM generate_series(1, 300) AS i;

SELECT version, epochs FROM neural.train('risk', 'SELECT age, income, purpose, bad FROM loans', 'bad',
    epochs => 2, seed => 1, options => '{"verbose": false}');
SELECT version FROM neural.train('amount', 'SELECT age, purpose, income FROM loans', 'income',
    epochs => 2, seed => 1, options => '{"verbose": false}');
SELECT version FROM neural.train('three', 'SELECT age, income, purpose FROM loans', 'purpose',
    epochs => 2, seed => 1, options => '{"verbose": false}');

\x on
-- 42704: no such model, version, architecture
SELECT * FROM fails($$SELECT neural.predict('rsik', 1, 2, 'car')$$);
SELECT * FROM fails($$SELECT neural.predict('risk@9', 1, 2, 'car')$$);
SELECT * FROM fails($$SELECT neural.deploy('risk', 9)$$);
SELECT * FROM fails($$SELECT neural.train('x', 'loans', 'bad', architecture => 'mlp_6464')$$);
-- 42710, 42602: names of models
SELECT * FROM fails($$SELECT neural.rename_model('risk', 'amount')$$);
SELECT * FROM fails($$SELECT neural.rename_model('risk', 'a@b')$$);
SELECT * FROM fails($$SELECT neural.train('a@2', 'loans', 'bad')$$);
-- 42723: the function exists
SELECT neural.create_function('predict_risk', 'risk');
SELECT * FROM fails($$SELECT neural.create_function('predict_risk', 'risk')$$);
-- 22023: the number of features
SELECT * FROM fails($$SELECT neural.predict('risk', 1, 2)$$);
SELECT * FROM fails($$SELECT neural.predict('risk', VARIADIC ARRAY[1, 2])$$);
-- 22023: options and arguments
SELECT * FROM fails($$SELECT neural.train('x', 'loans', 'bad', options => '{"weight_dekay": 1}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'loans', 'bad', options => '{"weight_decay": -1}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'loans', 'bad', options => '[]')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'loans', 'bad', options => '{"epochs": 3}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'loans', 'bad', optimizer => 'adamm')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad', epochs => 0)$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad', validation => 1)$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad', task => 'guess')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    validation => 0, options => '{"early_stopping": 3}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    options => '{"loss": "mse"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, weight, bad FROM loans', 'bad',
    options => '{"sample_weight": "weight"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    options => '{"positive_class": "maybe"}')$$);
-- 22023: JSON, layers, settings, shapes
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad', architecture => '{"layers": [')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    architecture => '{"layers": [{"type": "dens", "units": 3}]}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    architecture => '{"layers": [{"type": "dense", "unit": 3}]}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    architecture => '{"layers": [{"type": "dense", "units": 3, "name": "a"}, {"type": "dense", "units": 4, "name": "b", "input": "a"}, {"type": "add", "input": ["a", "b"]}]}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    architecture => '{"layers": [{"type": "dense", "units": 3, "input": "nosuch"}]}')$$);
SELECT * FROM fails($$SELECT neural.train_async('x', 'SELECT age, bad FROM loans', 'bad',
    architecture => '{"layers": [{"type": "dense", "units": 3, "input": "nosuch"}]}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    architecture => '{"layers": [{"type": "piecewise_linear", "units": 3, "bins": 0}]}')$$);
-- 22023: unknown column or treatment in features
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad', features => '{"agee": "numeric"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad', features => '{"age": "numerik"}')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    features => '{"age": {"type": "numeric", "scale": "standart"}}')$$);
-- 22023: another signature or task
SELECT * FROM fails($$SELECT neural.train('risk', 'SELECT age, income, bad FROM loans', 'bad')$$);
SELECT * FROM fails($$SELECT neural.train('risk', 'SELECT age, income, purpose, same, bad FROM loans', 'bad')$$);
SELECT * FROM fails($$SELECT neural.train('risk', 'SELECT age::text, income, purpose, bad FROM loans', 'bad')$$);
SELECT * FROM fails($$SELECT neural.train('risk', 'SELECT age, income, purpose, weight FROM loans', 'weight', task => 'regression')$$);
SELECT * FROM fails($$SELECT neural.train('risk', 'SELECT age, income, purpose, CASE WHEN bad THEN 1 ELSE 2 END AS bad FROM loans', 'bad')$$);
-- 25006: nothing can be kept
BEGIN READ ONLY;
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad')$$);
ROLLBACK;
-- 42804: types
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT place, bad FROM loans', 'bad')$$);
SELECT * FROM fails($$SELECT neural.predict('risk', 'text'::text, 2, 'car')$$);
SELECT * FROM fails($$SELECT neural.predict('risk', 1, 2, 3)$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, purpose FROM loans', 'purpose', task => 'regression')$$);
-- 42703: columns that are missing
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age FROM loans', 'bad')$$);
SELECT * FROM fails($$SELECT neural.predict('risk', t) FROM (SELECT age, income FROM loans) t$$);
SELECT * FROM fails($$SELECT neural.predict('risk', ROW(1, 2, 'car'))$$);
SELECT * FROM fails($$SELECT * FROM neural.evaluate('risk', 'SELECT age, income, purpose FROM loans')$$);
SELECT * FROM fails($$SELECT * FROM neural.evaluate('risk', 'SELECT age, bad FROM loans')$$);
-- 42701: two columns of one name; the query's own errors
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, age, bad FROM loans', 'bad')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age / 0, bad FROM loans', 'bad')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'no_such_table', 'bad')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'DELETE FROM loans', 'bad')$$);
-- 22023: nothing to learn from
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans WHERE false', 'bad')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans WHERE bad', 'bad')$$);
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT bad FROM loans', 'bad')$$);
-- 22003: the loss is no number any more
SELECT * FROM fails($$SELECT neural.train('x', 'SELECT age, income FROM loans', 'income', optimizer => 'sgd',
    learning_rate => 1e30, epochs => 5, options => '{"verbose": false, "target_scale": "none"}')$$);
-- 22023: the wrong function for the model
SELECT * FROM fails($$SELECT neural.predict('three', 1, 2)$$);
SELECT * FROM fails($$SELECT neural.predict_class('amount', 1, 'car')$$);
SELECT * FROM fails($$SELECT neural.predict_proba('amount', 1, 'car')$$);
SELECT * FROM fails($$SELECT neural.classes('amount')$$);
-- 22023: an artifact that is none
SELECT * FROM fails($$SELECT neural.import_model('x', '\x00')$$);
SELECT * FROM fails($$SELECT neural.import_model('x', '\x3600000000000000'::bytea
    || convert_to('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 'UTF8') || '\x00000000')$$);
SELECT * FROM fails($$SELECT neural.import_model('x', substring(neural.export_model('risk') from 1 for 900))$$);
-- XX001: what is stored is damaged
\c -
\x on
SET client_min_messages = warning;
BEGIN;
UPDATE _neural.chunk SET bytes = set_byte(bytes, 700, 255 - get_byte(bytes, 700)) WHERE number = 0;
SELECT code, message FROM fails($$SELECT neural.predict('risk', 1, 2, 'car')$$);
ROLLBACK;
-- 55000: the deployed version alone, or the first deployment
SELECT * FROM fails($$SELECT neural.drop_model('risk', 1)$$);
SELECT * FROM fails($$SELECT neural.rollback('risk')$$);
-- 53200: over the memory limit
SET neural.max_memory = '1MB';
SELECT code, hint FROM fails($$SELECT neural.train('x', 'SELECT age, bad FROM loans', 'bad',
    architecture => '{"layers": [{"type": "dense", "units": 100000}]}')$$);
RESET neural.max_memory;
-- 57014: timed out
SET statement_timeout = 100;
SELECT neural.train('x', 'SELECT age, income, bad FROM loans, generate_series(1, 300)', 'bad',
    epochs => 100000, options => '{"verbose": false}');
RESET statement_timeout;
\x off

SELECT count(neural.drop_model(name)) FROM neural.models;
DROP FUNCTION predict_risk;
DROP TABLE loans;
DROP FUNCTION fails;
