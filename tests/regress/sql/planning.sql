-- Many different calls in one statement: planning is linear in their number, at most thirty nodes
-- stand one above another, and the results are those of the row path.
SET client_min_messages = warning;
CREATE SCHEMA planning;
SET search_path = planning;
CREATE TABLE points AS SELECT i AS id, i * 0.5 AS a, i * 0.25 AS b, (i % 7) * 1.0 AS c FROM generate_series(1, 60) AS i;
SELECT version FROM neural.train('m', 'SELECT a, b, c, a + b AS y FROM points', 'y',
    epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT neural.create_function('planning.predict_m', 'm');

-- A query with so many different calls.
CREATE FUNCTION query_of(form text, calls int) RETURNS text LANGUAGE sql AS $$
    SELECT CASE form
        WHEN 'or' THEN 'SELECT id FROM points WHERE '
            || string_agg(format('predict_m(a + %s, b, c) > %s', i, calls * 10 - i), ' OR ' ORDER BY i)
        WHEN 'and' THEN 'SELECT id FROM points WHERE '
            || string_agg(format('predict_m(a + %s, b, c) > -%s', i, calls * 10 + i), ' AND ' ORDER BY i)
        WHEN 'filters' THEN 'SELECT id FROM points WHERE '
            || string_agg(format('(predict_m(a + %s, b, c) > -%s OR c > %s)', i, calls * 10, i), ' AND ' ORDER BY i)
        WHEN 'coalesce' THEN 'SELECT id, coalesce('
            || string_agg(format('nullif(predict_m(a + %s, b, c), predict_m(a + %s, b, c))', i, i), ', ' ORDER BY i)
            || ', 0) FROM points'
        WHEN 'case' THEN 'SELECT id, CASE '
            || string_agg(format('WHEN predict_m(a + %s, b, c) > %s THEN %s', i, i * 7, i), ' ' ORDER BY i)
            || ' END FROM points'
        WHEN 'arms' THEN 'SELECT id, CASE '
            || string_agg(format('WHEN a > %s THEN predict_m(a + %s, b, c)', 31 - i, i), ' ' ORDER BY i)
            || ' END FROM points'
        WHEN 'list' THEN 'SELECT '
            || string_agg(format('predict_m(a + %s, b, c) AS p%s', i, i), ', ' ORDER BY i) || ' FROM points'
        WHEN 'aggregates' THEN 'SELECT '
            || string_agg(format('max(predict_m(a + %s, b, c)) AS p%s', i, i), ', ' ORDER BY i) || ' FROM points'
        WHEN 'filtered' THEN 'SELECT '
            || string_agg(format('max(predict_m(a + %s, b, c)) FILTER (WHERE predict_m(a - %s, b, c) > 0) AS p%s', i, i, i),
                ', ' ORDER BY i) || ' FROM points'
        WHEN 'nested' THEN 'SELECT id, ' || repeat('predict_m(', calls) || 'a' || repeat(', b, c)', calls) || ' FROM points'
    END FROM generate_series(1, calls) AS i
$$;

-- How many nodes a plan has, and whether both paths give the same.
CREATE FUNCTION tried(form text, calls int, OUT nodes int, OUT same bool) LANGUAGE plpgsql AS $$
DECLARE
    query text := query_of(form, calls);
    line text;
    batched text;
    by_row text;
BEGIN
    nodes := 0;
    SET LOCAL neural.batch_scoring = on;
    FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
        nodes := nodes + (line LIKE '%NeuralScore%')::int;
    END LOOP;
    EXECUTE format('SELECT md5(string_agg(r::text, '','')) FROM (%s) AS r', query) INTO batched;
    SET LOCAL neural.batch_scoring = off;
    EXECUTE format('SELECT md5(string_agg(r::text, '','')) FROM (%s) AS r', query) INTO by_row;
    same := batched IS NOT DISTINCT FROM by_row;
END
$$;
SELECT form, calls, (tried(form, calls)).*
FROM unnest('{or,and,filters,coalesce,case,arms,list,aggregates,filtered,nested}'::text[]) WITH ORDINALITY AS f(form, place),
     unnest('{3,30,31,64,65,100}'::int[]) AS calls
ORDER BY place, calls;

-- A thousand of them.
SET statement_timeout = '60s';
SELECT form, (tried(form, 1000)).*
FROM unnest('{or,and,case,list,filtered}'::text[]) WITH ORDINALITY AS f(form, place)
ORDER BY place;
RESET statement_timeout;
RESET search_path;
DROP SCHEMA planning CASCADE;
SELECT neural.drop_model('m') IS NOT NULL AS dropped;
