-- neural.check: what is wrong with stored models. Whatever is broken here is rolled back.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_neural;
CREATE TABLE checked AS
SELECT i::float8 AS a, (ARRAY['x', 'y'])[1 + i % 2] AS b, i % 5 < 2 AS bad FROM generate_series(1, 200) AS i;
CREATE FUNCTION trained(name text, options jsonb DEFAULT '{}') RETURNS int LANGUAGE sql AS $$
    SELECT version FROM neural.train(name, 'checked', 'bad', epochs => 2, seed => 1, options => options || '{"verbose": false, "members": 1}')
$$;
SELECT trained('checked'), trained('checked', '{"warm_start": true}'), trained('check_other');
SELECT neural.set_threshold('checked', 0.3);
SELECT neural.import_model('check_brought', neural.export_model('check_other'));

-- All is well. (Other tests' models are left aside.)
CREATE FUNCTION problems() RETURNS TABLE (model text, version int, problem text) LANGUAGE sql
    AS $$ SELECT * FROM neural.check() AS c WHERE c.model LIKE 'check%' OR c.model IS NULL $$;
SELECT * FROM problems();
SELECT * FROM neural.check('checked');
BEGIN READ ONLY;
SELECT count(*) FROM problems();
COMMIT;

-- What is found does not end the search: all of it is told.
BEGIN;
UPDATE _neural.chunk c SET bytes = set_byte(bytes, 1000, get_byte(bytes, 1000) # 1)
FROM _neural.version v JOIN _neural.model m ON m.id = v.model WHERE v.id = c.version AND m.name = 'checked' AND v.number < 3;
DELETE FROM _neural.chunk c USING _neural.version v, _neural.model m
WHERE m.id = v.model AND v.id = c.version AND m.name = 'check_other';
SELECT model, version, regexp_replace(problem, '[0-9a-f]{64}|[0-9]+', '…', 'g') AS problem FROM problems();
SELECT model, version FROM neural.check('check_other');
-- Of one version.
SELECT model, version FROM neural.check('checked@2');
SELECT * FROM neural.check('checked@3');
ROLLBACK;
SELECT * FROM neural.check('checked@7');

-- Damage to each part of a version and of its row.
CREATE FUNCTION after(damage text) RETURNS TABLE (problem text) LANGUAGE plpgsql AS $$
DECLARE
    found text[];
BEGIN
    BEGIN
        EXECUTE replace(replace(damage, 'IT', '(SELECT v.id FROM _neural.version v JOIN _neural.model m ON m.id = v.model
            WHERE m.name = ''checked'' AND v.number = 1)'), 'MODEL', '(SELECT id FROM _neural.model WHERE name = ''checked'')');
        SELECT array_agg(concat_ws(': ', c.model || coalesce('@' || c.version, ''),
            regexp_replace(c.problem, '[0-9a-f]{64}|[0-9]+', '…', 'g'))) INTO found FROM problems() AS c;
        RAISE EXCEPTION 'undo' USING ERRCODE = 'P1234';
    EXCEPTION WHEN SQLSTATE 'P1234' THEN
        NULL;
    END;
    RETURN QUERY SELECT unnest(coalesce(found, '{none}'));
END $$;
SELECT after('UPDATE _neural.chunk SET number = number + 1 WHERE version = IT AND number = (SELECT max(number) FROM _neural.chunk WHERE version = IT)');
SELECT after('UPDATE _neural.chunk SET number = number + 3 WHERE version = IT');
SELECT after('UPDATE _neural.chunk SET bytes = bytes || ''\x00'' WHERE version = IT');
SELECT after('DELETE FROM _neural.chunk WHERE version = IT AND number > 0; UPDATE _neural.chunk SET bytes = ''nonsense'' WHERE version = IT; UPDATE _neural.version SET sha256 = sha256(''nonsense''), size_bytes = 8 WHERE id = IT');
SELECT after('UPDATE _neural.version SET sha256 = ''\x00'' WHERE id = IT');
SELECT after('UPDATE _neural.version SET size_bytes = -1 WHERE id = IT');
SELECT after('UPDATE _neural.version SET size_bytes = 7 WHERE id = IT');
SELECT after('UPDATE _neural.version SET classes = ''{no,yes}'', target = ''good'', parameters = 1 WHERE id = IT');
SELECT after('UPDATE _neural.version SET features = jsonb_set(features, ''{0,name}'', ''"z"'') WHERE id = IT');
SELECT after('UPDATE _neural.version SET architecture = ''{"layers": []}'', left_out = ''{"z": ""}'' WHERE id = IT');
SELECT after('UPDATE _neural.version SET seen = substr(seen, 2) WHERE id = IT');
SELECT after('UPDATE _neural.version SET origins = ''[{}]'', data_blake3 = ''\x00'', follows = 1 WHERE id = IT');
SELECT after('UPDATE _neural.version SET settings = ''{"role": "other"}'', seen = set_byte(seen, length(seen) - 1, get_byte(seen, length(seen) - 1) # 1) WHERE id = IT');
SELECT after('DELETE FROM _neural.epoch WHERE version = IT AND epoch = 1');
SELECT after('UPDATE _neural.version SET number = 9 WHERE id = IT');
-- Of a model.
SELECT after('DELETE FROM _neural.numbering WHERE name = ''checked''');
SELECT after('UPDATE _neural.numbering SET last = 2 WHERE name = ''checked''');
SELECT after('UPDATE _neural.model SET deployed = 0 WHERE id = MODEL');
SELECT after('UPDATE _neural.model SET deployed = IT WHERE id = MODEL');
SELECT after('UPDATE _neural.deployment SET version = -1 WHERE id = (SELECT min(id) FROM _neural.deployment WHERE model = MODEL)');
SELECT after('UPDATE _neural.model SET owner = ''none'', origins = ''7'' WHERE id = MODEL');
SELECT after('UPDATE _neural.model SET signature = jsonb_set(signature, ''{task}'', ''"regression"''), positive_class = ''false'' WHERE id = MODEL');
-- Of no model: rows that a restore of parts leaves behind, and sequences that one of data alone does not set.
SELECT after('DELETE FROM _neural.model WHERE id = MODEL');
SELECT after('INSERT INTO _neural.model_grant (model, grantee, granted_by) VALUES (-1, ''public'', ''none''), (-2, ''public'', ''none''); INSERT INTO _neural.chunk VALUES (-7, 0, '''')');
SELECT last_value AS kept FROM _neural.model_id \gset
SELECT after('SELECT setval(''_neural.model_id'', 1, false)');
-- No transaction takes a sequence back.
SELECT setval('_neural.model_id', :kept) = :kept AS again;
SELECT * FROM problems();

-- Who manages a model checks it; what is no model's is for superusers.
CREATE ROLE manager;
CREATE ROLE onlooker;
SELECT neural.set_owner('checked', 'manager');
SELECT neural.grant_model('checked', 'onlooker');
BEGIN;
UPDATE _neural.version SET parameters = 1;
INSERT INTO _neural.chunk VALUES (-7, 0, '');
SELECT model, version, regexp_replace(problem, '[0-9]+', '…', 'g') AS problem FROM problems();
SET LOCAL ROLE manager;
SELECT model, version, problem FROM problems();
SELECT model, version, problem FROM neural.check('checked');
SET LOCAL ROLE onlooker;
SELECT count(*) FROM problems();
SELECT * FROM neural.check('checked'); \echo :SQLSTATE
ROLLBACK;
SET ROLE manager;
SELECT * FROM neural.check('check_other'); \echo :SQLSTATE
SELECT * FROM neural.check('nothing'); \echo :SQLSTATE
RESET ROLE;

SELECT neural.drop_model(name) FROM neural.models WHERE name IN ('checked', 'check_other', 'check_brought');
SELECT * FROM problems();
DROP ROLE manager, onlooker;
DROP FUNCTION after, trained, problems;
DROP TABLE checked;
