-- Versions that are made otherwise than by a plain training: deployed if better, of another threshold,
-- imported with what they were made from.
SET client_min_messages = notice;
CREATE TABLE made AS SELECT i AS id, i % 17 AS x, sin(i * i) AS noise, i % 17 > 8 AS bad FROM generate_series(1, 400) AS i;
CREATE FUNCTION train(columns text, options jsonb) RETURNS int LANGUAGE sql AS $$
    SELECT version FROM neural.train('made', format('SELECT x * %s AS x, bad FROM made', columns), 'bad', epochs => 12,
        validation => 0.25, seed => 1, options => options || '{"verbose": false, "members": 1}') $$;

-- The first is deployed, as there is none to compare with.
SELECT train('(id % 2)', '{"deploy": "if_better"}');
SELECT train('(id % 2)', '{"deploy": false}');
SELECT version, deployed FROM neural.model_versions ORDER BY version;
-- The figures differ from machine to machine: only the verdict is shown.
CREATE FUNCTION said(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE before int; after int;
BEGIN
    SELECT version INTO before FROM neural.models WHERE name = 'made';
    EXECUTE sql;
    SELECT version INTO after FROM neural.models WHERE name = 'made';
    RETURN CASE WHEN after > before THEN 'deployed' ELSE 'not deployed' END;
END $$;
SET client_min_messages = warning;
SELECT said($$SELECT train('1', '{"deploy": "if_better"}')$$) AS better,
       said($$SELECT train('(id % 2)', '{"deploy": "if_better"}')$$) AS worse,
       said($$SELECT train('1', '{"deploy": "if_better"}')$$) AS the_same;
-- Without held-out rows on both sides nothing is said to be better.
SELECT said($$SELECT neural.train('made', 'SELECT x, bad FROM made', 'bad', epochs => 1, validation => 0, seed => 1,
    options => '{"verbose": false, "members": 1, "deploy": "if_better"}')$$);
SELECT train('1', '{"deploy": "when_better"}');
SELECT train('1', '{"deploy": 1}');
SET client_min_messages = notice;

-- Another threshold is another version: same network, same figures but those that go by the threshold.
SELECT version AS deployed FROM neural.models WHERE name = 'made' \gset
SELECT neural.set_threshold('made', 0.99) AS high \gset
SELECT neural.set_threshold('made@' || :deployed, 0) AS low \gset
SELECT :high - :deployed AS high, :low - :high AS low;
SELECT v.version - :deployed AS version, v.deployed, v.options -> 'threshold' AS threshold,
       (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(v.metrics) AS k) AS metrics,
       v.query = d.query AS same_query, v.train_loss = d.train_loss AS same_loss, v.sha256 <> d.sha256 AS other_bytes,
       (SELECT count(*) FROM neural.training_history h WHERE h.model = 'made' AND h.version = v.version) AS epochs
FROM neural.model_versions v, neural.model_versions d
WHERE v.model = 'made' AND d.model = 'made' AND d.version = :deployed AND v.version >= :deployed ORDER BY v.version;
SELECT count(*) FILTER (WHERE neural.predict(format('made@%s', :high), x) = neural.predict(format('made@%s', :deployed), x)) AS same,
       count(*) FILTER (WHERE neural.predict_class(format('made@%s', :low), x) = 'true') AS all_true, count(*)
FROM made;
SELECT neural.predict_class('made', 0);
SELECT neural.rollback('made') = :high AS back;
SELECT neural.set_threshold('made', 1.5);
SELECT neural.set_threshold('made', 'NaN');
SELECT neural.set_threshold('made', NULL);
SELECT neural.set_threshold('none', 0.5);
SELECT version FROM neural.train('number', 'SELECT x, noise FROM made', 'noise', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT neural.set_threshold('number', 0.5);
DO $$ BEGIN PERFORM neural.drop_model('number'); END $$;

-- An export says what it was made from, unless told not to; the hash is the same either way.
SELECT neural.import_model('with', neural.export_model('made'));
SELECT neural.import_model('without', neural.export_model('made', lineage => false));
SELECT position('SELECT x'::bytea IN neural.export_model('made')) > 0 AS says,
       position('SELECT x'::bytea IN neural.export_model('made', lineage => false)) > 0 AS told_not_to,
       sha256(neural.export_model('made', false)) = (SELECT sha256 FROM neural.model_versions WHERE model = 'made' AND deployed)
           AS as_it_is_stored;
SELECT v.model, v.query, v.options - 'verbose' AS options, v.claimed, v.sha256 = (SELECT sha256 FROM neural.model_versions
    WHERE model = 'made' AND deployed) AS same_bytes
FROM neural.model_versions v WHERE model IN ('with', 'without') OR (model = 'made' AND deployed) ORDER BY model;
-- And on from there.
SELECT neural.import_model('further', neural.export_model('with'));
SELECT query, claimed FROM neural.model_versions WHERE model = 'further';
-- The figures of an imported version are what its file says: nothing is compared with them, and that is said.
SELECT neural.import_model('made', neural.export_model('made')) > 1 AS imported;
SELECT claimed FROM neural.models WHERE name = 'made';
SELECT said($$SELECT train('1', '{"deploy": "if_better"}')$$);
SELECT claimed, deployed FROM neural.model_versions WHERE model = 'made' ORDER BY version DESC LIMIT 2;
SELECT neural.drop_model(m) FROM unnest('{made,with,without,further}'::text[]) AS m;
DROP FUNCTION train, said;
DROP TABLE made;

-- What a superuser allows holds whatever a user asks for.
CREATE ROLE made_user;
GRANT EXECUTE ON FUNCTION neural.train TO made_user;
SET neural.max_memory_limit = '2MB';
SET neural.max_threads = 1;
SET ROLE made_user;
SET neural.max_memory_limit = '1GB';
SET neural.max_threads = 8;
SET neural.max_memory = '1GB';
SELECT neural.train('large', 'SELECT i % 7 AS x, i % 2 = 0 AS y FROM generate_series(1, 100) AS i', 'y',
    architecture => '{"layers": [{"type": "dense", "units": 4000}, {"type": "dense", "units": 4000}]}', options => '{"verbose": false}');
RESET ROLE;
RESET neural.max_memory_limit;
RESET neural.max_threads;
RESET neural.max_memory;
REVOKE ALL ON FUNCTION neural.train FROM made_user;
DROP ROLE made_user;
