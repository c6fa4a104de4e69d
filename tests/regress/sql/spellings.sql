-- Levels and classes that somebody wrote are those of their values, in whatever spelling the type reads.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY default
SET client_min_messages = warning;
-- None of these has a part in what a level is.
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Tokyo';
CREATE SCHEMA spellings;
SET search_path = spellings, public;
CREATE TYPE colour AS ENUM ('red', 'Green');
CREATE DOMAIN small AS int CHECK (VALUE < 10);
CREATE TABLE t AS SELECT i % 2 = 0 AS bo, CASE i % 2 WHEN 0 THEN 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' ELSE 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' END::uuid AS u,
    date '2024-01-31' + i % 2 AS d, timestamp '2024-01-31' + i % 2 * interval '1 day' AS ts, timestamptz '2024-01-31 00:00:00Z' + i % 2 * interval '12h' AS tz,
    CASE i % 2 WHEN 0 THEN 'a' ELSE 'bcd' END::char(4) AS c4, i % 2 AS n, (i % 2)::numeric(4,2) AS num, (i % 2)::float8 AS f, (i % 2 + 0.1)::real AS r,
    (ARRAY['red', 'Green'])[1 + i % 2]::colour AS e, (i % 2)::small AS dom, (ARRAY['x', 'y'])[1 + i % 2]::"char" AS ch, (ARRAY['x', 'y'])[1 + i % 2]::name AS na,
    (ARRAY['x', ' x'])[1 + i % 2] AS te, i % 2 = 0 AS y FROM generate_series(1, 200) AS i;
-- A model of one column with these levels: what levels it has, and whether it tells the rows apart, row by row and in batches.
CREATE FUNCTION with_levels(c text, levels jsonb) RETURNS TABLE (kept jsonb, apart text) LANGUAGE plpgsql AS $$
DECLARE m text := c || '_' || md5(levels::text);
BEGIN
    PERFORM neural.train(m, format('SELECT %I, y FROM t', c), 'y', epochs => 15, seed => 1, features => jsonb_build_object(c, jsonb_build_object('type', 'categorical', 'levels', levels)),
                         options => '{"verbose": false, "members": 1}');
    SELECT jsonb_path_query(features, '$[0].fitted.**.levels') INTO kept FROM neural.models WHERE name = m;
    apart := '';
    FOR i IN 0 .. 1 LOOP
        PERFORM set_config('neural.batch_scoring', CASE i WHEN 0 THEN 'on' ELSE 'off' END, true);
        EXECUTE format('SELECT %L || bool_and((neural.predict(%L, %I) > 0.9) = y) FROM t', apart || ' ', m, c) INTO apart;
    END LOOP;
    RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    kept := to_jsonb(SQLSTATE); apart := SQLERRM;
    RETURN NEXT;
END $$;
SELECT c, l, w.* FROM (VALUES
    ('bo', '["t", "f"]'::jsonb), ('bo', '["true", "false"]'), ('bo', '["YES", "off"]'), ('bo', '[true, 0]'), ('bo', '["t", "true"]'), ('bo', '["t", "maybe"]'),
    ('u', '["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{b0eebc999c0b4ef8bb6d6bb9bd380a11}"]'), ('u', '["x"]'),
    ('d', '["2024-1-31", "2024-02-01"]'), ('d', '["31/01/2024", "Feb 1, 2024"]'), ('d', '["01/31/2024"]'), ('d', '["01/02/2024"]'), ('d', '["01/01/2024"]'), ('d', '["today"]'), ('d', '["2024-02-30"]'),
    ('d', '["2024-01-31", "20240131"]'), ('d', '["infinity"]'),
    ('ts', '["2024-01-31", "2024-02-01T00:00"]'), ('ts', '["2024-01-31 00:00:00", "2024-01-31"]'), ('ts', '["1706659200"]'), ('ts', '["now"]'),
    ('tz', '["2024-01-31T00:00:00Z", "2024-01-31 21:00:00+09"]'), ('tz', '["2024-01-31 01:00:00 Europe/Berlin", "2024-01-31 12:00:00 UTC"]'), ('tz', '["2024-01-31 00:00:00"]'), ('tz', '["2024-01-31"]'),
    ('tz', '["2024-01-31T00:00:00Z", "2024-01-31 09:00:00+09"]'), ('tz', '["tomorrow 12:00+00"]'),
    ('c4', '["a   ", "bcd"]'), ('c4', '["a", "a "]'), ('n', '["1.0", 0]'), ('n', '["1", "1.0"]'), ('n', '["one"]'), ('n', '["3000000000"]'), ('n', '[1.5]'),
    ('num', '["1.000", "0e5"]'), ('num', '[1, 1.0]'), ('num', '["a"]'), ('f', '["1", "-0"]'), ('f', '["0", "-0"]'), ('f', '["x"]'), ('r', '["1.1", "0.10000000149011612"]'),
    ('e', '["red", "Green"]'), ('e', '["green"]'), ('dom', '["1", "0"]'), ('dom', '["10"]'), ('ch', '["x", "y"]'), ('ch', '["xy"]'), ('na', '["x", "y"]'),
    ('na', jsonb_build_array(repeat('x', 70))), ('te', '["x", " x"]'), ('te', '["x", "x"]'), ('te', '["x", null]'), ('bo', '["t", null]')) AS v (c, l), with_levels(c, l) AS w;
SHOW DateStyle;
SHOW TimeZone;

-- Classes: what option positive_class names, and the keys of class_weights.
CREATE FUNCTION positive(type text, first text, second text, options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE m text := md5(type || first || second || options::text);
BEGIN
    PERFORM neural.train(m, format('SELECT sin(i) AS x, (ARRAY[%L, %L])[1 + i %% 2]::%s AS y FROM generate_series(1, 100) AS i', first, second, type), 'y', task => 'classification',
                         epochs => 1, seed => 1, options => options || '{"verbose": false, "members": 1}');
    -- Another version, which is asked for the same class in the same way.
    PERFORM neural.train(m, format('SELECT sin(i) AS x, (ARRAY[%L, %L])[1 + i %% 2]::%s AS y FROM generate_series(1, 100) AS i', first, second, type), 'y', task => 'classification',
                         epochs => 1, seed => 1, options => options || '{"verbose": false, "members": 1}');
    RETURN (SELECT positive_class || ' of ' || classes::text FROM neural.models WHERE name = m);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT t, o, positive(t, a, b, o) FROM (VALUES
    ('bool', 'true', 'false', '{"positive_class": "f"}'::jsonb), ('bool', 'true', 'false', '{"positive_class": "no", "class_weights": {"t": 2, "0": 3}}'),
    ('bool', 'true', 'false', '{"class_weights": {"t": 2, "true": 3}}'), ('char(4)', 'a', 'b', '{"positive_class": "a   ", "class_weights": {"b ": 2}}'),
    ('date', '2024-01-31', '2024-02-01', '{"positive_class": "2024-1-31", "class_weights": {"1 Feb 2024": 2}}'), ('date', '2024-01-31', '2024-02-01', '{"positive_class": "01/02/2024"}'),
    ('timestamptz', '2024-01-31 00:00:00Z', '2024-02-01 00:00:00Z', '{"positive_class": "2024-01-31T09:00:00+09"}'),
    ('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"positive_class": "A0EEBC999C0B4EF8BB6D6BB9BD380A11"}'),
    ('numeric', '1.0', '2', '{"positive_class": "1.000"}'), ('int', '1', '2', '{"positive_class": "1.0", "class_weights": {"1": 1, "1.0": 2}}'), ('float8', '0', '1', '{"positive_class": "-0"}'),
    ('text', 't', 'f', '{"positive_class": "true"}'), ('text', 't', 'f', '{"positive_class": "f"}')) AS v (t, a, b, o);

-- Imports.
CREATE FUNCTION little_endian(bytes bytea) RETURNS bytea RETURN (SELECT string_agg(substring(bytes FROM i FOR 1), '' ORDER BY i DESC) FROM generate_series(1, length(bytes)) AS i);
-- One output that is 10 for the first level and 20 for the second.
CREATE FUNCTION imported_levels(sql_type text, levels jsonb, VARIADIC calls text[]) RETURNS TABLE (kept jsonb, answers text) LANGUAGE plpgsql AS $$
DECLARE
    m text := md5(sql_type || levels::text);
    n int := jsonb_array_length(levels);
    header bytea := convert_to(format('{"fc.weight":{"dtype":"F32","shape":[1,%s],"data_offsets":[0,%s]},"fc.bias":{"dtype":"F32","shape":[1],"data_offsets":[%s,%s]}}', n, 4 * n, 4 * n, 4 * n + 4), 'UTF8');
BEGIN
    PERFORM neural.import_weights(m, little_endian(int8send(length(header))) || header
        || (SELECT string_agg(little_endian(float4send(10 * i)), '' ORDER BY i) FROM generate_series(1, n) AS i) || little_endian(float4send(0)),
        '{"layers":[{"type":"output","name":"fc"}]}', 'regression', jsonb_build_array(jsonb_build_object('name', 'c', 'type', 'categorical', 'sql_type', sql_type, 'levels', levels)));
    SELECT jsonb_path_query(features, '$[0].fitted.**.levels') INTO kept FROM neural.models WHERE name = m;
    EXECUTE format('SELECT concat_ws('' '', %s)', (SELECT string_agg(format('neural.predict(%L, %s)', m, c), ', ') FROM unnest(calls) AS c)) INTO answers;
    RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    kept := to_jsonb(SQLSTATE); answers := SQLERRM;
    RETURN NEXT;
END $$;
SELECT * FROM imported_levels('bool', '["t", "f"]', 'true', 'false');
SELECT * FROM imported_levels('uuid', '["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]', $$uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'$$);
SELECT * FROM imported_levels('date', '["2024-1-1", "31/12/2024"]', $$date '2024-01-01'$$, $$date '2024-12-31'$$);
SELECT * FROM imported_levels('timestamptz', '["2024-01-01T00:00:00Z", "2024-01-01 12:00:00+01"]', $$timestamptz '2024-01-01 09:00:00+09'$$, $$timestamptz '2024-01-01 11:00Z'$$);
SELECT * FROM imported_levels('timestamptz', '["2024-01-01T00:00:00Z", "2024-01-01 09:00:00+09"]', 'NULL');
SELECT * FROM imported_levels('timestamp', '["2024-01-01", "2024-01-02 00:00"]', $$timestamp '2024-01-01'$$, $$timestamp '2024-01-02'$$);
SELECT * FROM imported_levels('numeric', '[1, 1.0]', 'NULL');
SELECT * FROM imported_levels('numeric', '["1.50", 2.0]', '1.5', '2');
SELECT * FROM imported_levels('float8', '["0", "-0"]', 'NULL');
SELECT * FROM imported_levels('int', '["7", "8.0"]', '7', '8');
SELECT * FROM imported_levels('int', '["a"]', 'NULL');
SELECT * FROM imported_levels('text', '["1", "1.0"]', '''1''::text', '''1.0''::text');
DROP SCHEMA spellings CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
