-- Single calls, one statement after the other: what a call was planned to is kept for the next, and never
-- taken for one that it is not right for.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;

CREATE TABLE loans AS
SELECT i AS id, CASE WHEN i % 9 <> 0 THEN 20 + i % 50 END AS age, 1000 * sin(i) AS amount,
       (ARRAY['car', 'house', 'other'])[1 + i % 3] AS purpose, (i % 50) + 20 * sin(i) > 25 AS bad
FROM generate_series(1, 500) AS i;
SELECT version FROM neural.train('risk', 'SELECT age, amount, purpose, bad FROM loans', 'bad', epochs => 2, seed => 1,
    options => '{"verbose": false}');
SELECT version FROM neural.train('other', 'SELECT age, amount, purpose, bad FROM loans', 'bad', epochs => 3, seed => 2,
    options => '{"verbose": false}');

PREPARE predict (text, int, float8, text) AS SELECT neural.predict($1, $2, $3, $4)::text;
PREPARE predict_class (text, int, float8, text) AS SELECT neural.predict_class($1, $2, $3, $4)::text;
PREPARE predict_proba (text, int, float8, text) AS SELECT neural.predict_proba($1, $2, $3, $4)::text;
PREPARE twice (text, int, float8, text) AS SELECT neural.predict($1, $2, $3, $4) + neural.predict($1, $2, $3 + 1, $4) AS sum;
PREPARE wider (text, float8, real, varchar) AS SELECT neural.predict($1, $2, $3, $4)::text;
PREPARE literals (text, int) AS SELECT neural.predict($1, $2, '12.5', 'car') = neural.predict($1, $2, 12.5::float8, 'car'::text) AS same;

-- The first rows, each by a statement of its own, against the same in batches.
CREATE FUNCTION agree(statement text, model text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE loan loans; single text; batched text;
BEGIN
    FOR loan IN SELECT * FROM loans WHERE id <= 20 ORDER BY id LOOP
        EXECUTE format('EXECUTE %I (%L, %L, %L, %L)', statement, model, loan.age, loan.amount, loan.purpose) INTO single;
        EXECUTE format('SELECT answer::text FROM (SELECT id, neural.%I(%L, age, amount, purpose) AS answer FROM loans) AS t WHERE id = %s',
            statement, model, loan.id) INTO batched;
        IF single IS DISTINCT FROM batched THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END $$;

-- One model and another, one answer and another, by turns.
SELECT n, statement, model, agree(statement, model)
FROM generate_series(1, 2) AS n, unnest('{predict,predict_class,predict_proba}'::text[]) AS statement, unnest('{risk,other}'::text[]) AS model
ORDER BY n, statement, model;
EXECUTE twice ('risk', 30, 5, 'car') \gset first_
EXECUTE twice ('risk', 30, 5, 'car') \gset again_
SELECT :'first_sum' = :'again_sum' AS same;
-- Values of other types, a literal without one.
EXECUTE wider ('risk', 30, 0.5, 'car') \gset first_
EXECUTE predict ('risk', 30, 0.5, 'car') \gset again_
EXECUTE wider ('risk', 30, 0.5, 'car') \gset third_
SELECT :'first_predict' = :'again_predict' AS same, :'first_predict' = :'third_predict' AS again;
EXECUTE literals ('risk', 30);
EXECUTE literals ('other', 31);
EXECUTE literals ('risk', 32);
-- Another version of the name, and the first one again.
SELECT version FROM neural.train('risk', 'SELECT age, amount, purpose, bad FROM loans', 'bad', epochs => 4, seed => 3,
    options => '{"verbose": false}');
SELECT agree('predict', 'risk'), agree('predict', 'risk@1'), agree('predict', 'risk@2');
SELECT FROM neural.deploy('risk', 1);
SELECT agree('predict', 'risk'), agree('predict', 'risk@1'), agree('predict', 'risk@2');
-- A model that does not take these types; the errors are those of a first call.
SELECT version FROM neural.train('roots', 'SELECT age, amount, sqrt(id) AS root, bad FROM loans', 'bad', epochs => 1, seed => 1,
    options => '{"verbose": false}');
EXECUTE predict ('roots', 30, 0.5, 'car');
SELECT agree('predict', 'risk@2');
EXECUTE predict ('nobody', 30, 0.5, 'car');
EXECUTE predict (NULL, 30, 0.5, 'car');
-- Memory and rights are asked for again.
CREATE ROLE stranger;
SET ROLE stranger;
SELECT neural.predict('risk@2', 30, 0.5::float8, 'car'::text);
RESET ROLE;
DROP ROLE stranger;
SELECT agree('predict', 'risk@2');
-- A type that is dropped, and another of its name that may get its number.
CREATE TYPE purpose AS ENUM ('car', 'house', 'other');
PREPARE of_enum (text, int, float8, purpose) AS SELECT neural.predict($1, $2, $3, $4)::text;
EXECUTE of_enum ('risk@2', 30, 0.5, 'house') \gset first_
EXECUTE predict ('risk@2', 30, 0.5, 'house') \gset again_
SELECT :'first_predict' = :'again_predict' AS same;
DEALLOCATE of_enum;
DROP TYPE purpose;
CREATE TYPE purpose AS ENUM ('house', 'other', 'car');
PREPARE of_enum (text, int, float8, purpose) AS SELECT neural.predict($1, $2, $3, $4)::text;
EXECUTE of_enum ('risk@2', 30, 0.5, 'house') \gset second_
SELECT :'first_predict' = :'second_predict' AS same;
-- A model that is gone while its calls are kept, and another of its name.
SELECT neural.drop_model('risk');
EXECUTE predict ('risk', 30, 0.5, 'car');
SELECT version FROM neural.train('risk', 'SELECT amount AS age, age::float8 AS amount, purpose, bad FROM loans', 'bad', epochs => 1, seed => 5,
    options => '{"verbose": false}');
SELECT agree('predict', 'risk'), agree('predict', 'other');
-- More calls than are kept, in one statement and in many.
SELECT count(DISTINCT p) FROM (SELECT ARRAY[neural.predict('risk', 1, 1.0::float8, 'car'::text), neural.predict('risk', 1, 1.0::float8, 'car'::text),
    neural.predict('other', 1, 1.0::float8, 'car'::text), neural.predict('risk', 1::int8, 1.0::float8, 'car'::text), neural.predict('risk', 1::int2, 1.0::float8, 'car'::text),
    neural.predict('risk', 1, 1.0::real, 'car'::text), neural.predict('risk', 1, 1::int8, 'car'::text), neural.predict('risk', 1, 1, 'car'::text),
    neural.predict('risk', 1::int8, 1, 'car'::text), neural.predict('risk', 1::int2, 1, 'car'::text), neural.predict('risk', 1::real, 1, 'car'::text)] AS p) AS t;
SELECT agree('predict', 'risk'), agree('predict_class', 'risk'), agree('predict_proba', 'other');

DEALLOCATE ALL;
DROP TABLE loans;
DROP TYPE purpose;
DROP FUNCTION agree;
-- Its models' names are free for other tests.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
