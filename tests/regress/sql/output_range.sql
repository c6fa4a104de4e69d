-- A regression whose last activation cannot say every number takes a scale that it can reach, or is refused.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA output_range;
SET search_path = output_range;

CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;
-- A share in (0, 1), the same in (-1, 1), amounts from 0 on, and something that goes below.
CREATE TABLE loss AS SELECT a, b, share, 2 * share - 1 AS signed, 40000 * share AS amount, 4 * share - 3 AS below,
    ARRAY[share, 1 - share] AS rest, ARRAY[share, 5 * share] AS wide
FROM (SELECT sin(i) AS a, cos(i * 3) AS b, 1 / (1 + exp(-3 * sin(i) - 2 * cos(i * 3))) AS share FROM generate_series(1, 600) AS i) s;
-- The R2 of a training, or why there is none.
CREATE FUNCTION fitted(y text, last text, options jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    model text := 'm' || (SELECT count(*) FROM neural.models);
    r2 float8;
    hint text;
BEGIN
    SELECT (t.metrics ->> 'r2')::float8 INTO r2 FROM neural.train(model, format('SELECT a, b, %s FROM loss', y), y, epochs => 60, seed => 1, batch_size => 32,
        architecture => format('{"layers": [{"type": "dense", "units": 16, "activation": "tanh"}, %s]}', last), options => '{"verbose": false}' || options) t;
    RETURN CASE WHEN r2 > 0.9 THEN 'learnt' ELSE 'r2 ' || round(r2::numeric, 2) END;
EXCEPTION WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN SQLERRM || ' / ' || hint;
END $$;
-- As an output, and as a dense layer that is taken for one.
SELECT fitted('share', '{"type": "output", "activation": "sigmoid"}'), fitted('share', '{"type": "dense", "units": 1, "activation": "sigmoid"}');
SELECT a AS activation, fitted('share', format('{"type": "output", "activation": "%s"}', a)) AS share, fitted('amount', format('{"type": "output", "activation": "%s"}', a)) AS amount
FROM unnest(ARRAY['relu', 'softplus', 'elu', 'selu', 'gelu', 'gelu_tanh', 'silu', 'mish', 'leaky_relu', 'linear']) AS a;
SELECT fitted('signed', '{"type": "output", "activation": "tanh"}') AS tanh, fitted('share', '{"type": "output", "activation": "hard_sigmoid"}') AS hard_sigmoid;
\x on
SELECT fitted('signed', '{"type": "output", "activation": "sigmoid"}') AS sigmoid, fitted('amount', '{"type": "output", "activation": "tanh"}') AS tanh,
       fitted('below', '{"type": "output", "activation": "relu"}') AS relu, fitted('below', '{"type": "output", "activation": "elu"}') AS elu,
       fitted('share', '{"type": "output", "activation": "softmax"}') AS softmax, fitted('below', '{"type": "output"}') AS linear;
-- What is asked for stands, or is refused.
SELECT fitted('amount', '{"type": "output", "activation": "sigmoid"}', '{"target_scale": "minmax"}') AS minmax,
       fitted('share', '{"type": "output", "activation": "sigmoid"}', '{"target_scale": "none"}') AS none,
       fitted('share', '{"type": "output", "activation": "sigmoid"}', '{"target_scale": "standard"}') AS standard,
       fitted('amount', '{"type": "output", "activation": "relu"}', '{"target_scale": "robust"}') AS robust;
-- Several outputs, quantiles, members.
SELECT fitted('rest', '{"type": "output", "activation": "sigmoid"}') AS sigmoids, fitted('rest', '{"type": "output", "activation": "softmax"}') AS softmax,
       fitted('wide', '{"type": "output", "activation": "sigmoid"}') AS one_out_of_reach,
       fitted('share', '{"type": "output", "activation": "sigmoid"}', '{"quantiles": [0.1, 0.5, 0.9]}') AS quantiles,
       fitted('share', '{"type": "output", "activation": "sigmoid"}', '{"members": 3}') AS members;
\x off
-- Half of the numbers by a slope that is hardly any.
SELECT * FROM refused($$SELECT neural.train('leaky', 'SELECT a, b, a - 0.5 AS y FROM loss', 'y', epochs => 1, seed => 1,
    architecture => '{"layers": [{"type": "output", "activation": "leaky_relu"}]}', options => '{"verbose": false}')$$);
-- It is said.
DO $$ BEGIN SET LOCAL client_min_messages = notice; PERFORM neural.train('told', 'SELECT a, b, share FROM loss', 'share', epochs => 1, seed => 1, validation => 0, batch_size => 600, learning_rate => 1e-9,
    architecture => '{"layers": [{"type": "output", "activation": "sigmoid", "kernel_initializer": "zeros"}]}'); END $$;
SELECT min(neural.predict('m0', a, b)) < 0.1 AS low, max(neural.predict('m0', a, b)) > 0.9 AS high FROM loss;

-- A warm start keeps the scale, and is refused where it cannot reach.
SELECT version FROM neural.train('m0', 'SELECT a, b, share FROM loss', 'share', epochs => 1, seed => 1, options => '{"warm_start": true, "verbose": false}');
SELECT * FROM refused($$SELECT neural.train('m0', 'SELECT a, b, amount AS share FROM loss', 'share', epochs => 1, seed => 1, options => '{"warm_start": true, "verbose": false}')$$);
RESET search_path;
DROP SCHEMA output_range CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
