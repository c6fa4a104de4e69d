-- Which of two classes is meant, what is said of it, and the order in which a file has the outputs.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA positive_class;
SET search_path = positive_class;

CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;

-- By its name only beside its opposite, in any letter case; the majority is the first of each pair.
CREATE FUNCTION chosen(often text, seldom text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE model text := often || '/' || seldom;
BEGIN
    PERFORM neural.train(model, format('SELECT sin(i) AS x, CASE WHEN i %% 3 > 0 THEN %L ELSE %L END AS y FROM generate_series(1, 90) AS i', often, seldom), 'y',
        epochs => 1, seed => 1, options => '{"verbose": false, "members": 1}');
    RETURN (SELECT positive_class FROM neural.models WHERE name = model);
END $$;
SET client_min_messages = error;
SELECT often, seldom, chosen(often, seldom) AS positive
FROM (VALUES ('Yes', 'No'), ('No', 'Yes'), ('Y', 'N'), ('TRUE', 'FALSE'), ('True', 'False'), ('T', 'f'), ('1', '0'), ('1', '-1'), ('yes', 'NO'),
    ('yes', 'n'), ('1', '2'), ('true', 'no'), ('y', 'x'), ('1', 'false'), ('good', 'bad'), ('bad', 'good')) AS pair(often, seldom);
SET client_min_messages = warning;

-- What was chosen is said in a line of its own; where neither names nor an option tell, it is a warning.
CREATE VIEW pays AS SELECT sin(i) AS x, CASE WHEN sin(i) > -0.7 THEN 'good' ELSE 'bad' END AS grade, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END AS even,
    CASE WHEN sin(i) > -0.7 THEN 'Yes' ELSE 'No' END AS repaid FROM generate_series(1, 200) AS i;
SELECT version FROM neural.train('grade', 'SELECT x, grade FROM pays', 'grade', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT version FROM neural.train('even', 'SELECT x, even FROM pays', 'even', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT version FROM neural.train('asked', 'SELECT x, grade FROM pays', 'grade', epochs => 1, seed => 1, options => '{"verbose": false, "positive_class": "good"}');
SET client_min_messages = notice;
SELECT version FROM neural.train('repaid', 'SELECT x, repaid FROM pays', 'repaid', epochs => 1, seed => 1, validation => 0, options => '{"members": 1, "verbose": false}');
DO $$ BEGIN PERFORM neural.train('repaid_too', 'SELECT x, repaid FROM pays', 'repaid', epochs => 1, seed => 1, validation => 0, batch_size => 200, learning_rate => 1e-12,
    architecture => '{"layers": [{"type": "output", "kernel_initializer": "zeros"}]}'); END $$;
-- A later version keeps the class and says nothing.
SELECT version FROM neural.train('grade', $$SELECT x, grade FROM pays WHERE grade = 'bad' OR x > 0.9$$, 'grade', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT positive_class FROM neural.models WHERE name IN ('grade', 'asked') ORDER BY name;
SELECT code, message FROM refused($$SELECT neural.train('grade', 'SELECT x, grade FROM pays', 'grade', options => '{"positive_class": "good"}')$$);
SET client_min_messages = warning;
SELECT round(avg(neural.predict('repaid', x))::numeric, 1) > 0.5 AS of_yes FROM pays;

-- Imports: the second class, unless names say the first. One output is then taken for the first one's, which is worth a warning.
CREATE FUNCTION little_endian(bytes bytea) RETURNS bytea
RETURN (SELECT string_agg(substring(bytes FROM i FOR 1), '' ORDER BY i DESC) FROM generate_series(1, length(bytes)) i);
CREATE FUNCTION file(units int, VARIADIC numbers real[]) RETURNS bytea LANGUAGE sql AS $$
    WITH h AS (SELECT convert_to(format('{"out.weight":{"dtype":"F32","shape":[%s,1],"data_offsets":[0,%s]},"out.bias":{"dtype":"F32","shape":[%s],"data_offsets":[%s,%s]}}',
        units, 4 * units, units, 4 * units, 8 * units), 'UTF8') AS header)
    SELECT little_endian(int8send(length(header))) || header || (SELECT string_agg(little_endian(float4send(n)), '' ORDER BY i) FROM unnest(numbers) WITH ORDINALITY u(n, i)) FROM h
$$;
CREATE FUNCTION imported(model text, classes text[], weights bytea, units int, options jsonb DEFAULT '{}') RETURNS int LANGUAGE sql AS $$
    SELECT neural.import_weights(model, weights, jsonb_build_object('layers', jsonb_build_array(jsonb_build_object('type', 'output', 'name', 'out', 'units', units)))::text,
        'classification', '[{"name": "x", "type": "numeric"}]', classes, options) $$;
SET client_min_messages = notice;
SELECT imported('one 1 2', '{1,2}', file(1, 1, 0), 1);
SELECT imported('one yes no', '{yes,no}', file(1, 1, 0), 1);
SELECT imported('one False True', '{False,True}', file(1, 1, 0), 1);
SELECT imported('asked one', '{1,2}', file(1, 1, 0), 1, '{"positive_class": "1"}');
SELECT imported('two yes no', '{yes,no}', file(2, 3, -1, 1, 5), 2);
SET client_min_messages = warning;
SELECT m, round((neural.predict_proba(m, 2))[1]::numeric, 4) AS first, round((neural.predict_proba(m, 2))[2]::numeric, 4) AS second, neural.predict_class(m, 2)
FROM unnest(ARRAY['one 1 2', 'one yes no', 'one False True', 'asked one']) AS m;
-- A second import keeps the model's positive class, or is refused.
SELECT * FROM refused($$SELECT imported('one 1 2', '{2,1}', file(1, 1, 0), 1)$$);
SELECT imported('one 1 2', '{2,1}', file(1, 1, 0), 1, '{"positive_class": "2"}');

-- A file has two outputs in the order of the classes: as they came, and as a training lists its classes.
CREATE FUNCTION tensor(file bytea, name text) RETURNS real[] LANGUAGE plpgsql AS $$
DECLARE
    size int := get_byte(file, 0) + 256 * get_byte(file, 1) + 65536 * get_byte(file, 2);
    ends jsonb := convert_from(substring(file FROM 9 FOR size), 'UTF8')::jsonb -> name -> 'data_offsets';
    bits bigint;
    numbers real[] := '{}';
BEGIN
    FOR at IN 9 + size + (ends ->> 0)::int .. 5 + size + (ends ->> 1)::int BY 4 LOOP
        bits := ('x' || encode(little_endian(substring(file FROM at FOR 4)), 'hex'))::bit(32)::bigint;
        numbers := numbers || ((CASE WHEN bits & 2147483648 > 0 THEN -1 ELSE 1 END) * CASE WHEN bits & 2147483647 = 0 THEN 0 ELSE
            2.0 ^ (((bits >> 23) & 255) - 127) * (1 + (bits & 8388607) / 8388608.0) END)::real;
    END LOOP;
    RETURN numbers;
END $$;
CREATE TABLE pair AS SELECT c FROM (VALUES ('{1,2}'::text[]), ('{1,0}'), ('{1,-1}'), ('{no,yes}'), ('{true,false}'), ('{y,n}'), ('{a,b}')) AS c(c);
SELECT sum(imported('two ' || c::text, c, file(2, 3, -1, 1, 5), 2)) AS versions FROM pair;
SELECT c AS classes, tensor(neural.export_model('two ' || c::text), 'out.weight') AS weight,
    tensor(neural.export_model('two ' || c::text), 'out.bias') AS bias
FROM pair;
SELECT imported('two named', '{a,b}', file(2, 3, -1, 1, 5), 2, '{"positive_class": "a"}') AS version;
SELECT tensor(neural.export_model('two named'), 'out.weight') AS weight;
SELECT m, round((neural.predict_proba(m, 2))[1]::numeric, 4) AS first, round(neural.predict(m, 2)::numeric, 4) AS positive, neural.predict_class(m, 2)
FROM unnest(ARRAY['two {1,0}', 'two {no,yes}', 'two {a,b}', 'two named']) AS m;
-- There and back, by weights and as a whole.
SELECT imported('back', '{1,0}', neural.export_model('two {1,0}'), 2), neural.import_model('whole', neural.export_model('two {1,0}'));
SELECT bool_and(neural.predict_proba('back', x) = neural.predict_proba('two {1,0}', x) AND neural.predict_proba('whole', x) = neural.predict_proba('back', x)) AS same
FROM (VALUES (-1.0::float8), (0), (1), (2)) AS v(x);
SELECT neural.export_model('whole') = neural.export_model('two {1,0}') AS same_file;
-- A training whose positive class is the first has its two outputs so, too.
SELECT version FROM neural.train('trained', 'SELECT x, grade FROM pays', 'grade', epochs => 5, seed => 1, features => '{"x": {"type": "numeric", "scale": "none"}}',
    architecture => '{"layers": [{"type": "output", "name": "out", "units": 2}]}', options => '{"positive_class": "bad", "verbose": false}');
SELECT neural.classes('trained'), imported('again', neural.classes('trained'), neural.export_model('trained'), 2, '{"positive_class": "bad"}');
SELECT bool_and(abs(neural.predict('again', x) - neural.predict('trained', x)) < 1e-6) AS same FROM pays;
-- Weights go on from where they are.
SELECT version FROM neural.train('trained', 'SELECT x, grade FROM pays', 'grade', epochs => 1, learning_rate => 1e-12, seed => 1, options => '{"warm_start": true, "verbose": false}');
SELECT bool_and(abs(neural.predict('trained@1', x) - neural.predict('trained@2', x)) < 1e-6) AS same FROM pays;
RESET search_path;
DROP SCHEMA positive_class CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
