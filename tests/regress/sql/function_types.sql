-- Functions over models take what neural.predict takes: any number for a number, bigint where integers name levels, the
-- base types of domains, whatever can be left out; made right under any setting.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA function_types;
SET search_path = function_types, public;

CREATE DOMAIN months_left AS integer NOT NULL CHECK (VALUE > 0);
CREATE DOMAIN present AS numeric CHECK (VALUE IS NOT NULL);
CREATE TYPE purpose AS ENUM ('car', 'house', 'tv');
CREATE TABLE loans AS
SELECT i AS id, (20 + i % 50)::smallint AS age, (0.1 * (i % 7))::real AS rate, (1 + i % 9)::months_left AS months, (i % 11)::numeric(6, 2)::present AS income,
       i::bigint * 1000 % 77 AS balance, (ARRAY['car', 'house', 'tv'])[1 + i % 3]::purpose AS purpose, (i % 4)::smallint AS branch, (0.5 * (i % 3))::real AS grade,
       (i % 3 / 2.0)::numeric(5, 2) AS step, chr(97 + i % 3)::char(3) AS code, chr(97 + i % 4)::varchar AS word, chr(97 + i % 2)::"char" AS byte, (chr(97 + i % 5))::name AS tag,
       i % 2 = 0 AS owner, date '2024-01-01' + i AS opened, timestamp '2024-01-01' + i * interval '1 hour' AS at,
       ARRAY[sin(i)::real, cos(i)::real] AS shape, ARRAY[i % 2 = 0, i % 3 = 0] AS flags, md5((i % 3)::text)::uuid AS owner_id,
       i % 50 + 5 * (i % 7) > 35 AS bad
FROM generate_series(1, 400) AS i;
SELECT version FROM neural.train('loans', 'SELECT * FROM loans', 'bad', epochs => 1, seed => 1, options => '{"verbose": false}',
    features => '{"id": "ignore", "branch": "categorical", "grade": "categorical", "step": "categorical", "balance": "numeric"}');
SELECT neural.create_function('risk', 'loans'), neural.create_function('risk_1', 'loans', version => 1);
SELECT proargnames[i] AS name, format_type(proargtypes[i - 1], NULL) AS type FROM pg_proc, generate_series(1, pronargs) AS i WHERE proname = 'risk' ORDER BY i;

-- The search for a function, by whatever type: the number that neural.predict gives.
CREATE FUNCTION compared(call text, same text) RETURNS text LANGUAGE plpgsql AS $f$
DECLARE
    result boolean;
BEGIN
    EXECUTE format('SELECT risk(%1$s) = neural.predict(''loans'', %2$s) AND risk_1(%1$s) = risk(%1$s)', call, same) INTO result;
    RETURN result::text;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $f$;
SELECT name, type, compared(format('%I => %s::%s', name, value, type),
    (SELECT string_agg(CASE WHEN f ->> 'name' = v.name THEN format('%s::%s', value, type) ELSE 'NULL' END, ', ' ORDER BY o) FROM neural.models, jsonb_array_elements(features) WITH ORDINALITY AS u (f, o))) AS same
FROM (VALUES ('age', '35'), ('rate', '1'), ('months', '3'), ('income', '7'), ('balance', '12')) AS v (name, value),
     unnest(ARRAY['smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision', 'months_left', 'present']) AS type ORDER BY name, type;
SELECT name, value, compared(format('%I => %s', name, value),
    (SELECT string_agg(CASE WHEN f ->> 'name' = v.name THEN value ELSE 'NULL' END, ', ' ORDER BY o) FROM neural.models, jsonb_array_elements(features) WITH ORDINALITY AS u (f, o))) AS same
FROM (VALUES ('branch', '2'), ('branch', '2::smallint'), ('branch', '2::bigint'), ('branch', '(SELECT count(*) FROM generate_series(1, 2))'), ('branch', '''2'''),
             ('grade', '0.5::real'), ('grade', '''0.5'''), ('step', '0.5'), ('step', '1'), ('step', '''0.50'''),
             ('purpose', '''car'''), ('purpose', '''car''::purpose'), ('purpose', '(SELECT purpose FROM loans LIMIT 1)'),
             ('code', '''b'''), ('code', '''b  '''), ('code', '''b''::char(3)'), ('code', '''b  ''::text'), ('code', '''b''::varchar'),
             ('word', '''c'''), ('word', '''c''::name'), ('byte', '''b'''), ('byte', '''b''::"char"'), ('byte', '''b''::text'), ('tag', '''d''::name'), ('tag', '''d''::text'),
             ('owner', 'true'), ('owner', '''yes'''), ('opened', 'date ''2024-02-03'''), ('at', 'timestamp ''2024-02-03 04:05'''),
             ('shape', 'ARRAY[1, 2]'), ('shape', 'ARRAY[1, 2.5]'), ('shape', 'ARRAY[1, 2]::real[]'), ('shape', 'ARRAY[0.1, 2]::float8[]'), ('shape', 'ARRAY[1, 2]::bigint[]'), ('shape', '''{1,2}'''),
             ('flags', 'ARRAY[true, NULL]'), ('owner_id', '(SELECT owner_id FROM loans LIMIT 1)'), ('owner_id', '(SELECT owner_id::text FROM loans LIMIT 1)')) AS v (name, value);
-- Left out and NULL, of domains that allow no NULL, too.
SELECT compared('age => 35', '35, ' || repeat('NULL, ', 17) || 'NULL') AS one, compared('', repeat('NULL, ', 18) || 'NULL') AS none,
       compared('months => NULL, income => NULL', repeat('NULL, ', 18) || 'NULL') AS null_for_a_domain;
-- Every row of the table, row by row and in batches.
SELECT string_agg(format('%I', f ->> 'name'), ', ' ORDER BY o) AS columns FROM neural.models, jsonb_array_elements(features) WITH ORDINALITY AS u (f, o) \gset
SELECT count(*) AS rows, count(*) FILTER (WHERE risk(:columns) = neural.predict('loans', l) AND risk_1(:columns) = neural.predict('loans', :columns)) AS same FROM loans AS l;
SET neural.batch_scoring = off;
SELECT count(*) AS rows, count(*) FILTER (WHERE risk(:columns) = neural.predict('loans', l) AND risk_1(:columns) = neural.predict('loans', :columns)) AS same FROM loans AS l;
RESET neural.batch_scoring;
-- A prepared statement's parameters, whose types are found by the function's.
PREPARE by_name AS SELECT risk(age => $1, rate => $2, purpose => $3, code => $4) IS NOT NULL AS found;
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'by_name';
EXECUTE by_name(1, 2, 'car', 'x');
DEALLOCATE by_name;

-- The same functions under any setting. What is made is right elsewhere.
SELECT neural.rename_model('loans', E'it''s a \\ "model"');
CREATE FUNCTION made(names text) RETURNS TABLE (body text) LANGUAGE sql AS $f$
    SELECT replace(replace(pg_get_functiondef(oid), proname, 'f'), ' $', '') FROM pg_proc
    WHERE proname LIKE names AND pronamespace = 'function_types'::regnamespace ORDER BY proname $f$;
SELECT neural.create_function('usual', E'it''s a \\ "model"') IS NOT NULL, neural.create_function('usual_1', E'it''s a \\ "model"', version => 1) IS NOT NULL;
CREATE SCHEMA shadow;
CREATE DOMAIN shadow.text AS int;
CREATE DOMAIN shadow.float8 AS int;
CREATE DOMAIN shadow.name AS int;
CREATE FUNCTION shadow.eq(text[], text[]) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RAISE 'a false equality'; END $f$;
CREATE OPERATOR shadow.= (LEFTARG = text[], RIGHTARG = text[], PROCEDURE = shadow.eq);
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET backslash_quote = off;
SET bytea_output = escape;
SET quote_all_identifiers = on;
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = sql_standard;
SET extra_float_digits = -10;
SET check_function_bodies = off;
SET search_path = shadow, pg_catalog;
SELECT neural.create_function('function_types.odd', E'it''s a \\ "model"') IS NOT NULL, neural.create_function('function_types.odd_1', E'it''s a \\ "model"', version => 1) IS NOT NULL,
       neural.create_function('function_types.odd_at', E'it''s a \\ "model"@1', returns => 'class') IS NOT NULL,
       neural.create_function('function_types.odd', E'it''s a \\ "model"', replace => true) IS NOT NULL AS replaced;
SELECT function_types.odd(age => 35) = function_types.odd_1(age => 35) AS same, function_types.odd_at(age => 35) IN ('false', 'true') AS class;
-- So are types' names in what is trained, and the version's bits.
SELECT neural.train('quoted', 'SELECT rate, word, purpose, bad FROM function_types.loans', 'bad', epochs => 1, seed => 1, options => '{"verbose": false}') IS NOT NULL;
RESET ALL;
SET client_min_messages = warning;
SET search_path = function_types, public;
SELECT neural.train('unquoted', 'SELECT rate, word, purpose, bad FROM loans', 'bad', epochs => 1, seed => 1, options => '{"verbose": false}') IS NOT NULL;
SELECT count(DISTINCT sha256) AS versions FROM neural.model_versions WHERE model LIKE '%quoted';
SELECT f ->> 'type' AS type FROM neural.models, jsonb_array_elements(features) WITH ORDINALITY AS u (f, o) WHERE name = 'quoted' ORDER BY o;
SELECT count(DISTINCT body) AS different FROM (SELECT body FROM made('usual') UNION ALL SELECT body FROM made('odd')) AS s;
SELECT count(DISTINCT body) AS different FROM (SELECT body FROM made('usual\_1') UNION ALL SELECT body FROM made('odd\_1')) AS s;
SELECT odd(age => 35) = odd_1(age => 35) AS same, odd(age => 35) = usual_1(age => 35) AS the_usual;

-- A function that was made with other parameters is recognised, and made anew; but not while something depends on it.
CREATE FUNCTION old_risk(rate real DEFAULT NULL, word text DEFAULT NULL, purpose purpose DEFAULT NULL) RETURNS float8 LANGUAGE sql STABLE
    RETURN neural.predict('quoted'::pg_catalog.text, rate, word, purpose);
COMMENT ON FUNCTION old_risk(real, text, purpose) IS 'predict of model quoted, made by neural.create_function';
CREATE VIEW stands AS SELECT old_risk(rate, word, purpose) FROM loans;
\set VERBOSITY sqlstate
SELECT neural.create_function('old_risk', 'quoted');
SELECT neural.create_function('old_risk', 'quoted', replace => true);
DROP VIEW stands;
SELECT neural.create_function('old_risk', 'quoted', replace => true);
-- In a transaction that may not write nothing is made.
BEGIN READ ONLY;
SELECT neural.create_function('never', 'quoted');
ROLLBACK;
\set VERBOSITY default

-- An index and a generated column over a pinned function: what is cast to its parameters is cast the same for ever.
CREATE TABLE kept (rate real, word text, purpose purpose);
SELECT neural.create_function('pinned', 'quoted', version => 1);
ALTER TABLE kept ADD COLUMN risk float8 GENERATED ALWAYS AS (pinned(rate, word, purpose)) STORED;
CREATE INDEX kept_risk ON kept (pinned(rate, word, purpose));
INSERT INTO kept SELECT rate, word, purpose FROM loans;
SELECT count(*) AS rows, bool_and(risk = neural.predict('quoted', rate, word, purpose)) AS right FROM kept;
-- A value of an enum that is renamed is another level from then on, until the index is made anew.
ALTER TYPE purpose RENAME VALUE 'tv' TO 'television';
SELECT count(*) FILTER (WHERE risk = pinned(rate, word, purpose)) = count(*) FILTER (WHERE purpose <> 'television') AS others_stay FROM kept;
REINDEX INDEX kept_risk;
RESET search_path;
DROP SCHEMA function_types, shadow CASCADE;
SELECT count(neural.drop_model(name)) FROM neural.models;
