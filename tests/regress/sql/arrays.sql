-- Features of many numbers: vectors, images, sequences.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;
\getenv root PG_ABS_SRCDIR
\set images :root '/../data/images/'
CREATE SCHEMA arrays;
SET search_path = arrays, public;

CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;

-- Bright bars, upright or lying: as nested arrays, flat ones, and bytes.
CREATE TABLE bars AS
    SELECT i, i % 2 = 0 AS upright,
           array_agg(line ORDER BY r) AS nested,
           (SELECT array_agg(v::float8 ORDER BY n) FROM unnest(array_agg(line ORDER BY r)) WITH ORDINALITY u (v, n)) AS flat,
           (SELECT decode(string_agg(lpad(to_hex(v::int), 2, '0'), '' ORDER BY n), 'hex')
            FROM unnest(array_agg(line ORDER BY r)) WITH ORDINALITY u (v, n)) AS raw
    FROM (SELECT i, r,
                 array_agg((CASE WHEN (CASE i % 2 WHEN 0 THEN c ELSE r END) = i / 2 % 6
                                 THEN 255 ELSE (i * 7 + r * 3 + c * 5) % 60 END)::real ORDER BY c) AS line
          FROM generate_series(1, 240) i, generate_series(0, 5) r, generate_series(0, 5) c
          GROUP BY i, r) lines
    GROUP BY i;
\set cnn '{"layers": [{"type": "conv2d", "filters": 4, "kernel_size": 3, "activation": "relu"}, {"type": "max_pool2d", "pool_size": 2}, {"type": "flatten"}]}'

-- A nested array is an image when the architecture asks for one; the largest value becomes 1.
SELECT model, version, (metrics ->> 'accuracy')::float8 > 0.9 AS learnt
FROM neural.train('bars', 'SELECT nested, upright FROM bars', 'upright', architecture => :'cnn',
    epochs => 30, batch_size => 32, learning_rate => 0.01, seed => 1);
SELECT f ->> 'name' AS name, f ->> 'type' AS type, f ->> 'treatment' AS treatment, f -> 'shape' AS shape,
       f -> 'fitted' -> 'scale' AS scale
FROM neural.models, jsonb_array_elements(features) f;
SELECT metric, value > 0.9 AS good FROM neural.evaluate('bars', 'SELECT nested, upright FROM bars')
WHERE metric IN ('accuracy', 'auc');

-- Flat arrays and bytes need their shape; the same pixels, seed and scale give the same bits.
SELECT version FROM neural.train('flat', 'SELECT flat, upright FROM bars', 'upright', architecture => :'cnn',
    features => '{"flat": {"type": "image", "shape": [1, 6, 6], "scale": 255}}',
    epochs => 30, batch_size => 32, learning_rate => 0.01, seed => 1);
SELECT version FROM neural.train('raw', 'SELECT raw, upright FROM bars', 'upright', architecture => :'cnn',
    features => '{"raw": {"type": "image", "shape": [6, 6]}}',
    epochs => 30, batch_size => 32, learning_rate => 0.01, seed => 1);
SELECT count(*) FILTER (WHERE neural.predict('bars', nested) = neural.predict('flat', flat)) AS as_flat,
       count(*) FILTER (WHERE neural.predict('bars', nested) = neural.predict('raw', raw)) AS as_raw
FROM bars;

-- So does a training whose rows go to a temporary file.
CREATE TABLE many AS SELECT nested, upright FROM bars, generate_series(1, 60);
SELECT version FROM neural.train('spill', 'many', 'upright', architecture => :'cnn', epochs => 2, seed => 1);
SET neural.max_memory = '3MB';
SELECT version FROM neural.train('spill', 'many', 'upright', architecture => :'cnn', epochs => 2, seed => 1);
RESET neural.max_memory;
SELECT count(DISTINCT sha256) FROM neural.model_versions WHERE model = 'spill';

-- Images varied at random: the same bits on any number of threads, and going on from there.
SELECT version FROM neural.train('varied', 'SELECT nested, upright FROM bars', 'upright', architecture => :'cnn',
    features => '{"nested": {"type": "image", "augment": {"flip": "both", "crop": 1}}}',
    epochs => 3, batch_size => 32, seed => 1, options => '{"threads": 1}');
SELECT version FROM neural.train('varied', 'SELECT nested, upright FROM bars', 'upright', architecture => :'cnn',
    features => '{"nested": {"type": "image", "augment": {"flip": "both", "crop": 1}}}',
    epochs => 3, batch_size => 32, seed => 1, options => '{"threads": 4}');
SELECT count(DISTINCT sha256) FROM neural.model_versions WHERE model = 'varied';
SELECT version FROM neural.train('varied', 'SELECT nested, upright FROM bars', 'upright',
    epochs => 1, seed => 2, options => '{"warm_start": true}');

-- Files: of any size and colour, brought to one shape.
CREATE TABLE photos AS
    SELECT i, pg_read_binary_file(:'images' || name) AS photo, i % 2 = 0 AS even
    FROM generate_series(1, 40) i
    JOIN unnest(ARRAY['grey.png', 'rgb.jpg', 'rgba.png', 'grey16.png', 'progressive.jpg']) WITH ORDINALITY n (name, place)
      ON place = 1 + i % 5;
SELECT version FROM neural.train('photos', 'SELECT photo, even FROM photos', 'even', architecture => :'cnn',
    features => '{"photo": {"type": "image", "shape": [3, 8, 8], "mean": [0.5, 0.5, 0.5], "std": 0.25}}',
    epochs => 1, seed => 1);
SELECT f -> 'shape' AS shape, f -> 'fitted' AS fitted FROM neural.models, jsonb_array_elements(features) f WHERE models.name = 'photos';
SELECT neural.predict('photos', photo) BETWEEN 0 AND 1 AS scored FROM photos WHERE i = 1;

-- A photograph of more pixels than a network has inputs, resized or cropped.
CREATE TABLE large AS SELECT pg_read_binary_file(:'images' || 'photograph.png') AS photo, i % 2 = 0 AS even FROM generate_series(1, 4) AS i;
SELECT settings, (neural.train('large' || place, 'large', 'even', epochs => 1, seed => 1, validation => 0, features => settings,
    architecture => '{"layers": [{"type": "flatten"}]}', options => '{"verbose": false}')).version
FROM unnest(ARRAY['{"photo": {"type": "image", "resize": [12, 10]}}', '{"photo": {"type": "image", "crop": [8, 8]}}']::jsonb[]) WITH ORDINALITY AS s (settings, place);
SELECT neural.predict('large1', photo) IS NOT NULL AS resized, neural.predict('large2', photo) IS NOT NULL AS cropped FROM large LIMIT 1;
SELECT neural.train('large3', 'large', 'even', epochs => 1);
DROP TABLE large;

-- Sequences of any length; an embedding reads tokens.
CREATE TABLE series AS
    SELECT i, array_agg(sin(i + s * CASE WHEN i % 2 = 0 THEN 0.3 ELSE 1.2 END) ORDER BY s) AS wave,
           array_agg(CASE WHEN i % 2 = 0 THEN (i + s) % 4 ELSE 4 + (i * s) % 3 END ORDER BY s) AS words,
           i % 2 = 0 AS slow
    FROM generate_series(1, 200) i, generate_series(1, 12) s WHERE s <= 6 + i % 7 GROUP BY i;
SELECT version, (metrics ->> 'accuracy')::float8 > 0.9 AS learnt
FROM neural.train('waves', 'SELECT wave, slow FROM series', 'slow', architecture => '{"layers": [{"type": "gru", "units": 8}]}',
    features => '{"wave": {"type": "sequence", "length": 10}}', epochs => 40, batch_size => 16, learning_rate => 0.02, seed => 1);
SELECT version, (metrics ->> 'accuracy')::float8 > 0.9 AS learnt
FROM neural.train('words', 'SELECT words, slow FROM series', 'slow',
    architecture => '{"layers": [{"type": "embedding", "units": 4}, {"type": "gru", "units": 6}]}',
    epochs => 20, batch_size => 16, learning_rate => 0.02, seed => 1);
SELECT models.name, f - 'profile' - 'fitted' AS feature, f #> '{fitted,tokens}' AS tokens
FROM neural.models, jsonb_array_elements(features) f WHERE models.name IN ('waves', 'words') ORDER BY 1;
-- The last ten steps count, and a literal is parsed as the feature's type.
SELECT neural.predict('waves', wave) = neural.predict('waves', wave[3:]) AS last_ten FROM series WHERE i = 6;
SELECT neural.predict('waves', '{1,2,3}') = neural.predict('waves', ARRAY[1, 2, 3]) AS same,
       neural.predict('waves', '{1,2,3}') = neural.predict('waves', ARRAY[1, 2, 3]::numeric[]) AS as_numeric,
       neural.predict('words', '{1,2,99}') = neural.predict('words', ARRAY[1, 2, 7]::smallint[]) AS other_word;

-- Vectors beside plain columns: by position, as a row, by name, and missing.
CREATE TABLE mixed AS
    SELECT i, ARRAY[sin(i), cos(i), CASE WHEN i % 9 <> 0 THEN sin(2 * i) END] AS v,
           CASE WHEN i % 11 <> 0 THEN ARRAY[i % 3 = 0, i % 2 = 0] END AS flags, (i % 20)::float8 AS x,
           sin(i) + 2 * cos(i) + (i % 20) / 10.0 AS y
    FROM generate_series(1, 300) i;
SELECT version, (metrics ->> 'r2')::float8 > 0.5 AS learnt
FROM neural.train('mixed', 'SELECT v, flags, x, y FROM mixed', 'y', epochs => 60, seed => 1);
SELECT neural.create_function('mixed_y', 'mixed');
SELECT count(*) FILTER (WHERE a = b AND b = c) AS same, count(*) AS rows
FROM mixed m, LATERAL (SELECT neural.predict('mixed', v, flags, x) AS a, neural.predict('mixed', m) AS b,
                              mixed_y(v => m.v, flags => m.flags, x => m.x) AS c) p;
SELECT neural.predict('mixed', NULL, NULL, NULL) = mixed_y() AS missing,
       neural.predict('mixed', '{NULL,NaN,Infinity}', '{t,f}', '3') IS NOT NULL AS literals;
SELECT pg_get_function_arguments('mixed_y'::regproc);

-- What cannot be.
\pset format unaligned
CREATE VIEW wrong AS
    SELECT *, upright AS target FROM bars WHERE i <= 20;
SELECT r.* FROM (VALUES
    ('an unknown architecture''s name comes first', $$neural.train('e', 'SELECT flat, target FROM wrong', 'target', architecture => 'nothing')$$),
    ('a flat image', $$neural.train('e', 'SELECT flat, target FROM wrong', 'target', features => '{"flat": "image"}')$$),
    ('channels last', $$neural.train('e', 'SELECT flat, target FROM wrong', 'target', features => '{"flat": {"type": "image", "shape": [28, 28, 1]}}')$$),
    ('another shape', $$neural.train('e', 'SELECT flat, target FROM wrong', 'target', features => '{"flat": {"type": "image", "shape": [1, 6, 7]}}')$$),
    ('no shape', $$neural.train('e', 'SELECT raw, target FROM wrong', 'target')$$),
    ('NaN', $$neural.train('e', 'SELECT nested || ARRAY[ARRAY[1, 2, 3, 4, 5, ''NaN'']]::real[] AS x, target FROM wrong', 'target', features => '{"x": "image"}')$$),
    ('NULL inside', $$neural.train('e', 'SELECT flat || NULL::float8 AS x, target FROM wrong', 'target', features => '{"x": "sequence"}')$$),
    ('NULL', $$neural.train('e', 'SELECT CASE WHEN i <> 7 THEN nested END AS x, target FROM wrong', 'target', features => '{"x": "image"}')$$),
    ('no steps', $$neural.train('e', 'SELECT flat[i:] AS x, target FROM bars CROSS JOIN LATERAL (SELECT upright) u (target)', 'target', features => '{"x": "sequence"}')$$),
    ('lengths', $$neural.train('e', 'SELECT flat[i:] AS x, target FROM wrong', 'target')$$),
    ('bytes as a vector', $$neural.train('e', 'SELECT raw, target FROM wrong', 'target', features => '{"raw": "vector"}')$$),
    ('an array as a number', $$neural.train('e', 'SELECT flat, target FROM wrong', 'target', features => '{"flat": "numeric"}')$$),
    ('a setting', $$neural.train('e', 'SELECT flat, target FROM wrong', 'target', features => '{"flat": {"type": "sequence", "lenght": 3}}')$$),
    ('texts', $$neural.train('e', 'SELECT ARRAY[i::text] AS x, target FROM wrong', 'target')$$),
    ('a cut file', format($$neural.train('e', 'SELECT substr(photo, 1, 60) AS photo, even FROM photos', 'even')$$)),
    ('a bomb', $$neural.train('e', 'SELECT pg_read_binary_file(''$$ || :'images' || $$bomb.png'') AS photo, even FROM photos', 'even')$$),
    ('NULL in a call', $$neural.predict('bars', NULL)$$),
    ('NaN in a call', $$neural.predict('flat', array_fill('NaN'::float8, ARRAY[36]))$$),
    ('another shape in a call', $$neural.predict('bars', array_fill(1::real, ARRAY[5, 6]))$$),
    ('a length in a call', $$neural.predict('mixed', '{1,2}', NULL, 1)$$),
    ('a ragged array', $$neural.predict('bars', '{{1,2},{3}}')$$),
    ('a number for an array', $$neural.predict('bars', 1.5)$$),
    ('texts for an array', $$neural.predict('bars', ARRAY['a'])$$),
    ('bytes for an array', $$neural.predict('bars', '\x00'::bytea)$$),
    ('an array for bytes', $$neural.predict('raw', ARRAY[1])$$),
    ('too few bytes', $$neural.predict('raw', '\x0011'::bytea)$$),
    ('no steps in a call', $$neural.predict('waves', '{}')$$),
    ('half a word', $$neural.predict('words', '{1.5}'::float8[])$$),
    ('an array for a number', $$neural.predict('mixed', '{1,2,3}', NULL, ARRAY[1])$$)
) c (what, call), LATERAL refused('SELECT ' || call) r;
\pset format aligned
DROP SCHEMA arrays CASCADE;
