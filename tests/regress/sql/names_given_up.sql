-- A name that a model gave up may still be called: another role does not get what is called so.
SET client_min_messages = warning;
CREATE ROLE names_owner;
CREATE ROLE names_member IN ROLE names_owner;
CREATE ROLE names_other;
GRANT EXECUTE ON FUNCTION neural.train, neural.import_model TO names_owner, names_other;
GRANT CREATE ON SCHEMA public TO names_owner;
CREATE TABLE offers AS SELECT i * 0.5 AS x, i * 0.7 AS y FROM generate_series(1, 99) AS i;
GRANT SELECT ON offers TO PUBLIC;
CREATE FUNCTION trained(name text) RETURNS int LANGUAGE sql AS
$$SELECT version FROM neural.train(name, 'offers', 'y', epochs => 1, seed => 1, options => '{"verbose": false}')$$;
CREATE FUNCTION asked(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; detail text; hint text;
BEGIN
    EXECUTE sql INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
SET ROLE names_owner;
SELECT trained('offer');
SELECT neural.create_function('public.offered', 'offer');
CREATE VIEW offered_rows AS SELECT x, neural.predict('offer', x) AS y FROM offers;

-- Dropped: for another role the name is not to be had, by any way.
SELECT neural.drop_model('offer');
SET ROLE names_other;
SELECT asked($$SELECT trained('offer')$$) AS train;
SELECT trained('own');
SELECT asked($$SELECT neural.rename_model('own', 'offer')$$) AS rename;
SELECT asked($$SELECT neural.import_model('offer', neural.export_model('own'))$$) AS import;
SELECT asked($$SELECT public.offered(1) IS NOT NULL$$) AS call;

-- Its owner, and who has the owner's rights, take it again; versions go on, and so do functions and views.
SET ROLE names_member;
SELECT asked($$SELECT neural.import_model('offer', '')$$) AS by_a_member;
SET ROLE names_owner;
SELECT trained('offer');
SELECT public.offered(1) IS NOT NULL AS called;
SELECT count(y) FROM offered_rows;

-- Renamed away.
SELECT neural.rename_model('offer', 'second');
SET ROLE names_other;
SELECT asked($$SELECT trained('offer')$$) LIKE '42501%' AS refused;
SET ROLE names_owner;
SELECT neural.rename_model('second', 'offer');
SELECT public.offered(1) IS NOT NULL AS called;
-- The name that was only passed through is kept as well.
SET ROLE names_other;
SELECT asked($$SELECT trained('second')$$) LIKE '42501%' AS refused;
-- Names swapped by their owner.
SET ROLE names_owner;
SELECT trained('green');
BEGIN;
SELECT neural.rename_model('offer', 'aside'), neural.rename_model('green', 'offer'), neural.rename_model('aside', 'green');
COMMIT;
SELECT public.offered(1) IS NOT NULL AS called;

-- A superuser hands a name on, with a model.
RESET ROLE;
SELECT neural.drop_model('offer');
SELECT trained('offer'), neural.set_owner('offer', 'names_other') IS NULL AS given;
SET ROLE names_other;
SELECT neural.drop_model('offer');
SELECT trained('offer');
SET ROLE names_owner;
SELECT asked($$SELECT trained('offer')$$) LIKE '42501%' AS refused;
RESET ROLE;

-- What rolls back gave nothing up.
BEGIN;
SELECT neural.drop_model('own');
ROLLBACK;
SELECT count(*) FROM _neural.numbering WHERE name = 'own' AND holder IS NOT NULL;
-- A role that is gone leaves its names to superusers.
SELECT count(neural.drop_model(name)) FROM neural.models;
DROP VIEW offered_rows;
DROP OWNED BY names_owner, names_member, names_other;
DROP ROLE names_member, names_owner, names_other;
CREATE ROLE names_owner;
GRANT EXECUTE ON FUNCTION neural.train TO names_owner;
SET ROLE names_owner;
SELECT asked($$SELECT trained('green')$$) LIKE '42501%' AS refused;
RESET ROLE;
SELECT trained('green');
SELECT neural.drop_model('green');
DELETE FROM _neural.numbering WHERE name IN ('offer', 'second', 'green', 'aside', 'own');
DROP OWNED BY names_owner;
DROP ROLE names_owner;
DROP FUNCTION trained, asked;
DROP TABLE offers;
