-- What a version keeps of a type is a name, which may come from elsewhere: it is looked up as the name of a type, and
-- nothing else is done with it. A domain counts as the type it is over; version 0.1 kept the domain's name.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA d;
SET search_path = d;
CREATE TABLE people AS SELECT (i % 40)::float8 AS size, i % 31 AS age, i % 40 > 20 AS bad FROM generate_series(1, 300) AS i;
SELECT version FROM neural.train('people', 'people', 'bad', epochs => 1, seed => 1, options => '{"verbose": false}');
-- A copy of the model whose features have types of other names, which must not be longer.
CREATE FUNCTION with_type(was text, becomes text) RETURNS bytea LANGUAGE sql AS $f$
    SELECT overlay(a PLACING convert_to(rpad(E'\\"' || becomes || E'\\"', length(was) + 4), 'UTF8') FROM position(convert_to(E'\\"' || was || E'\\"', 'UTF8') IN a))
    FROM neural.export_model('people') AS a $f$;
CREATE TABLE touched (what text);
CREATE FUNCTION checked(value int) RETURNS bool LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO touched VALUES ('by ' || current_user); RETURN value < 100; END $f$;
CREATE DOMAIN y AS int NOT NULL CHECK (checked(VALUE));
CREATE FUNCTION imported(name text, was text, becomes text) RETURNS text LANGUAGE plpgsql AS $f$
DECLARE hint text;
BEGIN
    RETURN neural.import_model(name, with_type(was, becomes));
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN hint = '' THEN ' (no hint)' ELSE '' END;
END $f$;
SELECT m.name, m.becomes, imported(m.name, m.was, m.becomes) FROM (VALUES
    ('pseudo', 'double precision', 'unknown'), ('pseudo_own', 'double precision', 'pg_catalog.any'), ('statement', 'double precision', 'int); SELECT 1--'), ('two', 'double precision', 'int; SELECT 1'),
    ('trigger', 'double precision', 'trigger'), ('record', 'double precision', 'record'), ('cstring', 'double precision', 'cstring'), ('void', 'double precision', 'void'), ('internal', 'double precision', 'internal'),
    ('family', 'double precision', 'date'), ('other', 'double precision', 'point'), ('array', 'double precision', 'integer[]'), ('of_none', 'double precision', 'trigger[]'), ('none', 'double precision', ''), ('blank', 'double precision', ' '),
    ('row', 'double precision', 'd.people'), ('three', 'double precision', 'a.b.c'), ('half', 'double precision', 'd.'), ('dot', 'double precision', '.'), ('not_there', 'double precision', 'nothing'),
    ('gone', 'integer', 'x.gone'), ('domain', 'integer', 'd.y'), ('same', 'integer', 'int4')) AS m (name, was, becomes) WHERE length(becomes) <= length(was);
CREATE FUNCTION of_copy(name text, OUT made text, OUT same text) LANGUAGE plpgsql AS $f$
BEGIN
    made := neural.create_function('f_' || name, name)::text;
    EXECUTE format('SELECT f_%1$s(11, 12) = neural.predict(''people'', 11, 12) AND neural.predict(%1$L, ''11'', ''12'') = neural.predict(''people'', 11, 12)
                       AND neural.predict(%1$L, p) = neural.predict(''people'', p) FROM people AS p LIMIT 1', name) INTO same;
EXCEPTION WHEN OTHERS THEN
    same := SQLSTATE || ' ' || SQLERRM;
END $f$;
SELECT name, made, same FROM neural.models, of_copy(name) WHERE name <> 'people' ORDER BY name;
-- A domain's CHECK and its NOT NULL are its table's concern.
SELECT neural.predict('domain', '1', '200') = neural.predict('people', 1, 200) AS of_the_base, neural.predict('domain', 1, NULL) IS NOT NULL AS missing;
SELECT count(*) AS checks FROM touched;
-- Its columns make the next version.
CREATE TABLE more AS SELECT size, age::y AS age, bad FROM people;
SELECT version FROM neural.train('domain', 'more', 'bad', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT version FROM neural.train('people', 'more', 'bad', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT f ->> 'type' AS type FROM neural.models, jsonb_array_elements(features) AS f WHERE name = 'people';
-- What stands in front of PostgreSQL's own types in the search path has no part in it.
CREATE SCHEMA shadow;
CREATE FUNCTION shadow.touch(value text) RETURNS bool LANGUAGE plpgsql AS $f$ BEGIN RAISE 'a false type'; END $f$;
CREATE DOMAIN shadow.text AS pg_catalog.text CHECK (shadow.touch(VALUE));
CREATE DOMAIN shadow.float8 AS pg_catalog.float8 CHECK (shadow.touch(VALUE::pg_catalog.text));
CREATE TABLE words AS SELECT (ARRAY['a', 'b', 'c'])[1 + i % 3] AS word, i % 3 = 0 AS bad FROM generate_series(1, 300) AS i;
SELECT version FROM neural.train('words', 'words', 'bad', epochs => 1, seed => 1, options => '{"verbose": false}');
SET search_path = shadow, pg_catalog, d;
SELECT neural.predict('words', 'a') = neural.predict('words', word) AS same FROM d.words LIMIT 1 OFFSET 2;
SELECT neural.create_function('d.f_words', 'words');
SELECT d.f_words('a') = neural.predict('words', 'a') AS same;
RESET search_path;
SELECT neural.create_function('pg_temp.f_words', 'words') IS NOT NULL AS made;
SELECT neural.create_function('pg_temp.f_words', 'words', replace => true) IS NOT NULL AS replaced;
SET client_min_messages = error;
DROP FUNCTION pg_temp.f_words;
DROP SCHEMA d, shadow CASCADE;
SELECT count(neural.drop_model(name)) FROM neural.models;
