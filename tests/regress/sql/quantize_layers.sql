-- neural.quantize: layers of other kinds in 8 bits, near what they were and to the bit the same in a batch and alone.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_neural;
CREATE TABLE steps AS
SELECT i AS id, sin(i * 0.37) AS y, (SELECT array_agg(step ORDER BY s) FROM (
    SELECT s, array_agg(sin(i * 0.37 + s * 0.5 + f * 0.2) ORDER BY f) AS step FROM generate_series(1, 9) AS s, generate_series(1, 36) AS f GROUP BY s) AS t) AS x
FROM generate_series(1, 300) AS i;
CREATE FUNCTION tried(name text, layers text, feature text DEFAULT '{"type": "sequence"}')
    RETURNS TABLE (in_8_bits jsonb, off bigint, is_near boolean, is_other boolean) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM neural.train(name, 'SELECT x, y FROM steps', 'y', epochs => 2, seed => 1, architecture => format('{"layers": [%s]}', $2),
        features => format('{"x": %s}', feature)::jsonb, options => '{"verbose": false}');
    PERFORM neural.quantize(name, 'SELECT x, y FROM steps');
    CREATE TEMP TABLE batch AS SELECT id, neural.predict(name, x) AS score, neural.predict(name || '@1', x) AS before FROM steps;
    SET LOCAL neural.batch_scoring = off;
    RETURN QUERY SELECT (SELECT v.options -> 'quantized' -> 'layers' FROM neural.model_versions v WHERE v.model = name AND v.deployed),
        count(*) FILTER (WHERE score <> neural.predict(name, x)), max(abs(score - before)) < 0.05, max(abs(score - before)) > 0
    FROM batch JOIN steps USING (id);
    DROP TABLE batch;
    SET LOCAL neural.batch_scoring = on;
    PERFORM neural.drop_model(name);
END $$;
SELECT * FROM tried('q_lstm', '{"type": "lstm", "name": "own", "units": 40}');
SELECT * FROM tried('q_gru', '{"type": "gru", "name": "own", "units": 32, "num_layers": 2, "bidirectional": true}');
SELECT * FROM tried('q_rnn', '{"type": "rnn", "name": "own", "units": 33, "return_sequences": true}, {"type": "global_avg_pool"}');
SELECT * FROM tried('q_conv1d', '{"type": "conv1d", "name": "own", "filters": 24, "kernel_size": 3, "padding": "same", "activation": "relu"}, {"type": "global_avg_pool"}');
SELECT * FROM tried('q_conv2d', '{"type": "conv2d", "name": "first", "filters": 16, "kernel_size": 3, "activation": "relu"}, {"type": "conv2d", "name": "own", "filters": 16, "kernel_size": 3, "padding": "same"}, {"type": "global_avg_pool"}',
    '{"type": "image", "shape": [1, 9, 36]}');
SELECT * FROM tried('q_attention', '{"type": "multi_head_attention", "name": "own", "num_heads": 4}, {"type": "global_avg_pool"}');
SELECT * FROM tried('q_encoder', '{"type": "transformer_encoder", "name": "own", "num_heads": 4, "feed_forward": 64, "num_layers": 2}, {"type": "global_avg_pool"}');
DROP FUNCTION tried;
DROP TABLE steps;
