-- Counts, amounts and shares whose mean is learnt through a link, and classes in order. Linear networks are held against what
-- scikit-learn and statsmodels make of the same rows: tests/support/links_reference.py prints their numbers.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;
SET extra_float_digits = 3;
CREATE SCHEMA losses;
SET search_path = losses;

CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;

CREATE TYPE quality AS ENUM ('poor', 'fair', 'unused', 'good', 'best');
CREATE TABLE policies AS
SELECT *, CASE WHEN claims > 0 THEN claims * amount ELSE 0 END AS cost,
       (ARRAY['poor', 'fair', 'good', 'best'])[grade]::quality AS quality
FROM (SELECT *, floor(exp(-0.5 + 1.5 * x - 0.8 * z) * years + chance)::int AS claims, exp(1 + 0.7 * x + 0.4 * z) * -ln(chance) AS amount,
             least(1, greatest(0, 1 / (1 + exp(-(0.3 + 2 * x - z))) + 0.4 * (chance - 0.5))) AS share,
             1 + (latent > -1.5)::int + (latent > 0.25)::int + (latent > 1.75)::int AS grade
      FROM (SELECT *, 4 * x - 3 * z + ln(chance / (1 - chance)) AS latent
            FROM (SELECT i, i * 7919 % 100003 / 100003.0::float8 - 0.5 AS x, i * 15013 % 100003 / 100003.0::float8 - 0.5 AS z,
                         0.25 + i * 31337 % 100003 / 100003.0::float8 AS years, i * 48271 % 100003 / 100003.0::float8 AS chance
                  FROM generate_series(1::bigint, 4000) AS i) a) b) c;

-- Trains a linear network to the end, on numbers that no scale bends.
CREATE FUNCTION fit(model text, columns text, target text, options jsonb) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(key, ' ') FROM neural.train(model, format('SELECT %s FROM policies ORDER BY i', columns), target, seed => 1, validation => 0, epochs => 400,
    features => '{"x": {"type": "numeric", "scale": "standard"}, "z": {"type": "numeric", "scale": "standard"}}', batch_size => 4000, optimizer => 'adam',
    learning_rate => 0.05, architecture => '{"layers": []}', options => '{"verbose": false}' || options) t, jsonb_object_keys(t.metrics) AS key $$;
SELECT fit('poisson', 'x, z, years, claims', 'claims', '{"loss": "poisson", "exposure": "years"}');
SELECT fit('gamma', 'x, z, amount', 'amount', '{"loss": "gamma"}');
SELECT fit('tweedie', 'x, z, years, cost', 'cost', '{"loss": "tweedie", "exposure": "years"}');
SELECT fit('share', 'x, z, share', 'share', '{"loss": "cross_entropy"}');
SELECT fit('ordinal', 'x, z, grade', 'grade', '{"loss": "ordinal"}');

-- Intercept and coefficients of those that learn a logarithm.
WITH expected (model, intercept, of_x, of_z, deviance, d2) AS (VALUES
    ('poisson', -0.4984, 1.4889, -0.8006, 0.74466, 0.17266),
    ('gamma', 0.9933, 0.6804, 0.3754, 1.15677, 0.04106),
    ('tweedie', -0.6360, 3.9242, -1.2162, 1.92756, 0.35386))
SELECT model, abs(ln(neural.predict(model, 0, 0)) - intercept) < 0.002 AS intercept,
       abs(ln(neural.predict(model, 0.5, 0) / neural.predict(model, -0.5, 0)) - of_x) < 0.002 AS of_x,
       abs(ln(neural.predict(model, 0, 0.5) / neural.predict(model, 0, -0.5)) - of_z) < 0.002 AS of_z,
       (SELECT abs(value - deviance) < 0.0002 FROM neural.evaluate(model, 'policies') WHERE metric LIKE '%deviance') AS deviance,
       (SELECT abs(value - d2) < 0.0002 FROM neural.evaluate(model, 'policies') WHERE metric = 'd2') AS d2
FROM expected;
WITH logit AS (SELECT x, z, ln(p / (1 - p)) AS logit FROM (SELECT x, z, neural.predict('share', x, z) AS p FROM (VALUES (0, 0), (1, 0), (0, 1)) AS at (x, z)) p)
SELECT abs(max(logit) FILTER (WHERE x = 0 AND z = 0) - 0.3018) < 0.002 AS intercept,
       abs(max(logit) FILTER (WHERE x = 1) - max(logit) FILTER (WHERE x = 0 AND z = 0) - 2.0052) < 0.002 AS of_x,
       abs(max(logit) FILTER (WHERE z = 1) - max(logit) FILTER (WHERE x = 0 AND z = 0) + 0.9899) < 0.002 AS of_z,
       (SELECT abs(value - 0.63767) < 0.0002 FROM neural.evaluate('share', 'policies') WHERE metric = 'log_loss') AS log_loss FROM logit;
-- Cumulative logits are the thresholds less 4.0227 x - 2.9705 z, whichever threshold it is.
SELECT x, z, p[1] + p[2] + p[3] + p[4] BETWEEN 0.999999 AND 1.000001 AS sum, array_agg(abs(ln(below / (1 - below)) - threshold + 4.0227 * x - 2.9705 * z) < 0.005) AS odds
FROM (SELECT *, (SELECT sum(q) FROM unnest(p[:k]) q) AS below FROM (VALUES (0, 0), (0.5, 0), (0, 0.5)) AS at (x, z),
      neural.predict_proba('ordinal', x, z) AS p, (VALUES (1, -1.4958), (2, 0.2497), (3, 1.7391)) AS threshold (k, threshold)) t
GROUP BY x, z, p ORDER BY x, z;
SELECT abs(value - 1.14931) < 0.0002 AS log_loss FROM neural.evaluate('ordinal', 'policies') WHERE metric = 'log_loss';

-- Batches have the bits of single calls.
SET neural.batch_scoring = on;
CREATE TABLE batched AS SELECT i, neural.predict('poisson', x, z) AS p, neural.predict('share', x, z) AS s, neural.predict_proba('ordinal', x, z) AS o FROM policies;
SET neural.batch_scoring = off;
SELECT count(*), bool_and(p = neural.predict('poisson', x, z)) AS p, bool_and(s = neural.predict('share', x, z)) AS s, bool_and(o = neural.predict_proba('ordinal', x, z)) AS o
FROM batched JOIN policies USING (i);
RESET neural.batch_scoring;
-- No number is infinite, 0 or beyond its range, however far out.
SELECT model, bool_and(p > 0 AND p < 'infinity') FROM (VALUES ('poisson'), ('gamma'), ('tweedie')) m (model), (VALUES (1e9), (-1e9), (1e300), ('infinity')) v (x), neural.predict(model, x, 0) AS p GROUP BY model ORDER BY model;
SELECT neural.predict('poisson', NULL, NULL) > 0 AS missing, neural.predict('poisson', NULL::policies) IS NULL AS null_row;

-- By default, with members. Few different counts are numbers, not classes.
CREATE FUNCTION few(model text, columns text, target text, options jsonb) RETURNS int LANGUAGE sql AS $$
SELECT version FROM neural.train(model, format('SELECT %s FROM policies WHERE i <= 400 ORDER BY i', columns), target, epochs => 1, seed => 1, options => options) $$;
SELECT few('a', 'x, z, years, claims', 'claims', '{"verbose": false, "loss": "poisson", "exposure": "years"}'),
       few('b', 'x, z, share', 'share', '{"verbose": false, "loss": "binary_crossentropy"}'),
       few('c', 'x, z, quality', 'quality', '{"verbose": false, "loss": "ordinal"}'),
       few('d', 'x, z, cost', 'cost', '{"verbose": false, "loss": "tweedie", "tweedie_variance_power": 1.6}');
SELECT neural.classes('c'), neural.predict_class('c', 0.4, -0.4), neural.predict_class('c', -0.4, 0.4);
SELECT * FROM refused($$SELECT neural.predict('c', 0, 0)$$);
SELECT jsonb_pretty(architecture -> 'layers' -> -1) FROM neural.models WHERE name IN ('a', 'c') ORDER BY name;
SELECT sum(count), count(*) FROM neural.confusion_matrix('c', 'policies');
-- Texts are put in order by a list, which may name classes that are still to come.
SELECT version, metrics -> 'quadratic_weighted_kappa' IS NOT NULL AS kappa FROM neural.train('e', 'SELECT x, z, quality::text AS quality FROM policies', 'quality', epochs => 1, seed => 1,
    options => '{"verbose": false, "loss": "ordinal", "levels": ["worst", "poor", "fair", "good", "best"]}');
SELECT neural.classes('e');

-- Versions that go on, are made again, exported and imported.
SELECT version FROM neural.train('poisson', 'SELECT x, z, years, claims FROM policies', 'claims', epochs => 1, seed => 2, options => '{"verbose": false, "warm_start": true, "exposure": "years"}');
-- Another power without the loss's name.
SELECT version FROM neural.train('tweedie', 'SELECT x, z, years, cost FROM policies', 'cost', epochs => 1, seed => 2,
    options => '{"verbose": false, "warm_start": true, "exposure": "years", "tweedie_variance_power": 1.7}');
SELECT position(convert_to(E'power\\":1.7', 'UTF8') IN neural.export_model('tweedie')) > 0 AS changed,
       position(convert_to(E'power\\":1.7', 'UTF8') IN neural.export_model('tweedie@1')) > 0 AS before;
SELECT version FROM neural.train('ordinal', 'SELECT x, z, grade FROM policies', 'grade', epochs => 1, seed => 2, options => '{"verbose": false, "warm_start": true}');
SELECT data_agrees, weights_agree FROM neural.reproduce('a');
SELECT data_agrees, weights_agree FROM neural.reproduce('c');
SELECT neural.import_model('copy', neural.export_model('poisson@1'));
SELECT neural.predict('copy', 0.1, 0.2) = neural.predict('poisson@1', 0.1, 0.2) AS same,
       (SELECT value FROM neural.evaluate('copy', 'policies') WHERE metric = 'd2') = (SELECT value FROM neural.evaluate('poisson@1', 'policies') WHERE metric = 'd2') AS d2;
SELECT neural.import_model('copy_in_order', neural.export_model('ordinal@1'));
SELECT neural.predict_proba('copy_in_order', 0.1, 0.2) = neural.predict_proba('ordinal@1', 0.1, 0.2) AS same;
SELECT neural.create_function('rate', 'poisson');
SELECT rate(x => 0.1, z => 0.2) = neural.predict('poisson', 0.1, 0.2) AS same;
-- Weights of rows count: those of 0 are not learnt from.
ALTER TABLE policies ADD w int;
UPDATE policies SET w = (i % 2)::int;
SELECT fit('half', 'x, z, years, claims, w', 'claims', '{"loss": "poisson", "exposure": "years", "sample_weight": "w"}') IS NOT NULL AS trained;
SELECT abs(sum(neural.predict('half', x, z) * years * w) / sum(claims * w) - 1) < 1e-4 AS calibrated FROM policies;
-- Of sequences each has an exposure.
CREATE TABLE months AS SELECT i AS policy, m AS month, x + 0.1 * m AS x, years, claims FROM policies, generate_series(1, 3) AS m WHERE i <= 200;
SELECT version FROM neural.train('steps', 'months', 'claims', epochs => 1, seed => 1, options => '{"verbose": false, "loss": "poisson", "exposure": "years", "sequence_by": "policy", "order_by": "month"}');
SELECT count(*) FROM neural.evaluate('steps', 'months');

-- What goes wrong.
\x on
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, claims - 1 AS y FROM policies', 'y', options => '{"loss": "poisson"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, claims AS y FROM policies', 'y', options => '{"loss": "gamma"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, share - share + 2 AS y FROM policies', 'y', options => '{"loss": "cross_entropy"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, 0 AS y FROM policies', 'y', options => '{"loss": "poisson"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, nullif(years, 0.25) - 0.3 AS years, claims FROM policies', 'claims', options => '{"loss": "poisson", "exposure": "years"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, CASE WHEN i > 9 THEN years END AS years, claims FROM policies', 'claims', options => '{"loss": "poisson", "exposure": "years"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, ''many'' AS years, claims FROM policies', 'claims', options => '{"loss": "poisson", "exposure": "years"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, years, share FROM policies', 'share', options => '{"exposure": "years"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, years, claims FROM policies', 'claims', features => '{"years": "numeric"}', options => '{"loss": "poisson", "exposure": "years"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, claims FROM policies', 'claims', options => '{"loss": "poisson", "tweedie_variance_power": 1.5}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, claims FROM policies', 'claims', options => '{"loss": "tweedie", "tweedie_variance_power": 2}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, claims FROM policies', 'claims', options => '{"loss": "tweedie", "tweedie_power": 1.5}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, ARRAY[claims, 1] AS y FROM policies', 'y', options => '{"loss": "poisson"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, quality FROM policies', 'quality', options => '{"loss": "poisson"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, quality FROM policies', 'quality', 'classification', options => '{"loss": "poisson"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, share FROM policies', 'share', options => '{"loss": "categorical_crossentropy"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, claims FROM policies', 'claims', architecture => '{"layers": [{"type": "output", "activation": "sigmoid"}]}', options => '{"loss": "poisson"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, quality::text AS quality FROM policies', 'quality', options => '{"loss": "ordinal"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, quality FROM policies', 'quality', options => '{"loss": "ordinal", "levels": ["poor", "fair", "good"]}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, quality FROM policies', 'quality', options => '{"loss": "ordinal", "levels": ["poor", "fair"]}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, quality FROM policies', 'quality', options => '{"levels": ["poor", "fair", "good", "best"]}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, quality FROM policies WHERE grade < 3', 'quality', options => '{"loss": "ordinal"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, quality FROM policies WHERE grade < 2', 'quality', options => '{"loss": "ordinal"}')$$);
SELECT * FROM refused($$SELECT neural.train('x', 'SELECT x, quality FROM policies', 'quality', architecture => '{"layers": [{"type": "ordinal"}]}')$$);
SELECT * FROM refused($$SELECT neural.train('poisson', 'SELECT x, z, claims FROM policies', 'claims', options => '{"warm_start": true}')$$);
SELECT * FROM refused($$SELECT neural.train('poisson', 'SELECT x, z, years, claims FROM policies', 'claims', options => '{"warm_start": true, "loss": "mse", "exposure": "years"}')$$);
SELECT * FROM refused($$SELECT neural.evaluate('poisson', 'SELECT x, z, claims FROM policies')$$);
SELECT * FROM refused($$SELECT neural.evaluate('poisson', 'SELECT x, z, claims, 0 AS years FROM policies')$$);
SELECT * FROM refused($$SELECT neural.evaluate('gamma', 'SELECT x, z, 0 AS amount FROM policies')$$);

\x off
RESET search_path;
DROP SCHEMA losses CASCADE;
-- Its models' names are free for other tests.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
