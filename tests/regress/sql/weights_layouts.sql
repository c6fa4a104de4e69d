-- What import_weights says of files of other software, and what it makes of other layouts.
CREATE FUNCTION fault(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', sqlstate, sqlerrm, hint);
END $$;
CREATE FUNCTION of_bytes(bytes bytea) RETURNS text LANGUAGE sql AS $$
SELECT fault(format('SELECT neural.import_weights(%L, %L::bytea, %L, %L, %L)', 'm', bytes, '{"layers": [{"type": "dense", "units": 1}]}',
    'regression', '[{"name": "x", "type": "numeric"}]'))
$$;
\pset format unaligned
\pset tuples_only on
SELECT of_bytes('\x894844460d0a1a0a0000000000000000');
SELECT of_bytes('PK\003\004'::bytea || '\x0000000000000000000000000000000000000000000010000000' || 'archive/data.pkl'::bytea);
SELECT of_bytes('\x08081207'::bytea || 'pytorch'::bytea);
SELECT of_bytes('\x80028a0a6cfc9c46f920'::bytea);
SELECT of_bytes('GGUF'::bytea || '\x0300000000000000'::bytea);
SELECT fault($$SELECT neural.import_model('m', 'GGUF'::bytea || '\x0300000000000000'::bytea)$$);

-- A safetensors file of tensors, each with its shape and numbers; metadata as JSON.
CREATE FUNCTION tensors(metadata text, given jsonb) RETURNS bytea LANGUAGE sql AS $$
WITH tensor AS (
    SELECT t ->> 'name' AS name, t -> 'shape' AS shape, v.bytes, octet_length(v.bytes) AS size, place
    FROM jsonb_array_elements(given) WITH ORDINALITY AS e (t, place),
        LATERAL (SELECT string_agg(set_byte(set_byte(set_byte(set_byte(f.big, 0, get_byte(f.big, 3)), 1, get_byte(f.big, 2)),
            2, get_byte(f.big, 1)), 3, get_byte(f.big, 0)), ''::bytea ORDER BY n.o) AS bytes
         FROM jsonb_array_elements_text(t -> 'numbers') WITH ORDINALITY AS n (x, o), LATERAL (SELECT float4send(n.x::real) AS big) AS f) AS v
), placed AS (SELECT *, sum(size) OVER (ORDER BY place) AS stop FROM tensor),
header AS (
    SELECT convert_to('{' || concat_ws(', ', '"__metadata__": ' || metadata, string_agg(format(
        '%s: {"dtype": "F32", "shape": %s, "data_offsets": [%s, %s]}', to_json(name), shape, stop - size, stop), ', ' ORDER BY place)) || '}', 'UTF8') AS text,
        string_agg(bytes, ''::bytea ORDER BY place) AS data FROM placed
)
SELECT set_byte(set_byte('\x0000000000000000'::bytea, 0, octet_length(text) & 255), 1, octet_length(text) >> 8) || text || data FROM header
$$;
CREATE FUNCTION two(metadata text, weight text) RETURNS bytea LANGUAGE sql AS $$
SELECT tensors(metadata, jsonb_build_array(
    jsonb_build_object('name', weight, 'shape', '[2, 2]'::jsonb, 'numbers', '[1, 2, 3, 4]'::jsonb),
    jsonb_build_object('name', 'fc.bias', 'shape', '[2]'::jsonb, 'numbers', '[0, 0]'::jsonb)))
$$;
CREATE FUNCTION import_two(name text, bytes bytea, options text) RETURNS text LANGUAGE sql AS $$
SELECT fault(format('SELECT neural.import_weights(%L, %L::bytea, %L, %L, %L, options => %L)', name, bytes,
    '{"layers": [{"type": "Linear", "name": "fc", "units": 2}]}', 'regression',
    '[{"name": "x", "type": "numeric"}, {"name": "y", "type": "numeric"}]', options))
$$;
-- MLX writes null for no metadata, and has linear layers as PyTorch.
SELECT import_two('mlx', two('null', 'fc.weight'), '{}');
SELECT import_two('burn', two('{"producer": "burn"}', 'fc.weight'), '{}');
SELECT import_two('burn', two('{"producer": "burn"}', 'fc.weight'), '{"layout": "in_out"}');
SELECT import_two('flax', two(NULL, 'fc/kernel'), '{"rename": {"fc/kernel": "fc.weight"}}');
SELECT import_two('flax', two(NULL, 'fc/kernel'), '{"rename": {"fc/kernel": "fc.weight"}, "layout": "in_out"}');
SELECT import_two('flax', two(NULL, 'fc/kernel'), '{"rename": {"fc/kernel": "fc.weight"}, "layout": "pytorch"}');
SELECT import_two('other', two(NULL, 'fc.weight'), '{"layout": "columns"}');
SELECT neural.predict_proba('mlx', 1, 10) AS pytorch, neural.predict_proba('burn', 1, 10) AS turned,
    neural.predict_proba('flax@1', 1, 10) AS turned, neural.predict_proba('flax@2', 1, 10) AS as_it_is;

-- Limits and missing settings are named.
SELECT fault(format('SELECT neural.import_weights(%L, %L::bytea, %L, %L, %L)', 'm', two(NULL, 'fc.weight'),
    '{"layers": [{"type": "lstm", "name": "fc", "units": 2}]}', 'regression', '[{"name": "seq", "type": "sequence", "features": 4}]'));
SELECT fault(format('SELECT neural.import_weights(%L, %L::bytea, %L, %L, %L)', 'm', two(NULL, 'fc.weight'),
    '{"layers": [{"type": "Linear", "name": "fc", "units": 1001}]}', 'regression', '[{"name": "x", "type": "numeric"}]'));
SELECT fault(format('SELECT neural.import_weights(%L, %L::bytea, %L, %L, %L)', 'm', two(NULL, 'fc.weight'),
    '{"layers": [{"type": "Linear", "name": "fc", "units": 2}, {"type": "LeakyReLU"}, {"type": "output"}]}', 'regression', '[{"name": "x", "type": "numeric"}]'));

-- In a training, too, a last sigmoid is the output's activation.
SET client_min_messages = error;
CREATE TABLE t AS SELECT sin(i) AS x, sin(i) > 0.3 AS y FROM generate_series(1, 200) AS i;
SELECT version FROM neural.train('sigmoid', 't', 'y', epochs => 2, seed => 1, architecture => '{"layers": [{"type": "Linear", "units": 3},
    {"type": "ReLU"}, {"type": "Linear", "name": "last", "units": 1}, {"type": "Sigmoid"}]}');
SELECT replace(substring(encode(neural.export_model('sigmoid'), 'escape') FROM 'last\W+units\W+1\W+activation[^}]*}'), '\', '') AS last_layer;

RESET client_min_messages;
DROP TABLE t;
DROP FUNCTION import_two, two, tensors, of_bytes, fault;
SELECT count(neural.drop_model(name)) FROM unnest(ARRAY['mlx', 'burn', 'flax', 'sigmoid']) AS name;
