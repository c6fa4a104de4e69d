-- What is pinned to a version, or names a model: shown, and in the way of dropping it.
SET client_min_messages = notice;
CREATE SCHEMA users;
SET search_path = users;
CREATE TABLE loan AS SELECT i % 17 AS x, i % 17 > 8 AS bad FROM generate_series(1, 300) AS i;
CREATE FUNCTION train(model text, seed int) RETURNS int LANGUAGE sql AS $$
    SELECT version FROM neural.train(model, 'SELECT x, bad FROM loan', 'bad', epochs => 1,
        seed => seed, options => '{"verbose": false}') $$;
SELECT train('risk', 1), train('risk', 2), train('it''s', 3);

-- Pinned: by a function of its own, by the hash itself, in text, as digits.
SELECT neural.create_function('pinned', 'risk', version => 1);
SELECT neural.create_function('pinned_class', 'risk@1', 'class');
SELECT encode(sha256, 'hex') AS hash FROM neural.model_versions WHERE model = 'risk' AND version = 1 \gset
CREATE TABLE scored (
    x int CHECK (pinned(x) < 2),
    score float8 GENERATED ALWAYS AS (pinned(x)) STORED,
    class text DEFAULT pinned_class(3)
);
CREATE INDEX scored_index ON scored (pinned(x));
CREATE INDEX scored_where ON scored (x) WHERE neural.predict_pinned(:'hash'::bytea, x) > 0.1;
CREATE STATISTICS scored_statistics ON (pinned(x)), x FROM scored;
CREATE TABLE parted (x int) PARTITION BY RANGE (pinned(x));
CREATE DOMAIN scorable AS int CHECK (pinned(VALUE) < 2);
CREATE TABLE with_domain (value scorable);
CREATE VIEW above AS SELECT pinned(x) AS p FROM scored;
CREATE VIEW above_that AS SELECT p FROM above;
CREATE MATERIALIZED VIEW kept AS SELECT p FROM above_that;
CREATE POLICY low ON scored USING (pinned(x) < 0.9);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER high BEFORE INSERT ON scored FOR EACH ROW WHEN (pinned(new.x) > 2) EXECUTE FUNCTION nothing();
CREATE RULE never AS ON DELETE TO scored WHERE pinned(old.x) > 2 DO INSTEAD NOTHING;
\set ECHO none
SELECT format('CREATE FUNCTION in_text(x int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN RETURN neural.predict_pinned(''\x%s'', x); END $f$', upper(:'hash')) \gexec
SELECT format('CREATE FUNCTION in_digits(x int) RETURNS float8 IMMUTABLE
    RETURN neural.predict_pinned(decode(%L, ''hex''), x)', :'hash') \gexec
\set ECHO all
CREATE FUNCTION by_default(x int, hash bytea DEFAULT decode(:'hash', 'hex')) RETURNS float8 IMMUTABLE
    RETURN neural.predict_pinned(hash, x);

-- Named: functions that follow the model, and code of the user's own.
SELECT neural.create_function('follows', 'risk');
SELECT neural.create_function('"Follows classes"', 'risk', 'class');
SELECT neural.create_function('quoted', 'it''s');
CREATE VIEW named AS SELECT neural.predict('risk', 3) AS p;
CREATE VIEW named_version AS SELECT neural.predict_class('risk@2', 3) AS c, neural.classes('it''s') AS k;
CREATE FUNCTION plainly() RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RETURN neural.predict('risk', 4); END $$;
-- Says the word, not of the model.
CREATE VIEW word AS SELECT 'risk' AS word;
CREATE FUNCTION another_word() RETURNS text LANGUAGE sql AS $$ SELECT 'risk' $$;

SELECT * FROM neural.model_users ORDER BY model, kind, version, object;

-- What makes it smaller names it, too.
BEGIN;
CREATE FUNCTION smaller() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM neural.quantize('risk', 'SELECT * FROM loan'); END $$;
SELECT object FROM neural.model_users WHERE object ~ 'smaller';
ROLLBACK;

-- Neither the version nor the model goes, unless forced.
\set VERBOSITY sqlstate
\set SHOW_CONTEXT never
SELECT neural.drop_model('risk', 1);
\set VERBOSITY default
SELECT neural.drop_model('risk');
SELECT version FROM neural.model_versions WHERE model = 'risk' ORDER BY version;

-- Another version of the same bytes is as good.
BEGIN;
SELECT neural.import_model('copy', neural.export_model('risk@1'));
SELECT neural.drop_model('risk', 1);
SELECT pinned(3) IS NOT NULL AS works;
SELECT DISTINCT model, version, kind FROM neural.model_users WHERE kind = 'pinned';
SELECT neural.drop_model('copy');
ROLLBACK;

BEGIN;
SELECT neural.drop_model('risk', 1, force => true);
DO $$ BEGIN INSERT INTO scored (x) VALUES (1); EXCEPTION WHEN undefined_object THEN RAISE NOTICE 'gone'; END $$;
SELECT count(*) FROM neural.model_users WHERE kind = 'pinned';
ROLLBACK;

-- A version that nothing is pinned to goes without a word.
SELECT neural.create_function('pinned_2', 'risk', version => 2);
SELECT train('risk', 4);
SELECT neural.drop_model('risk', 2);
DROP FUNCTION pinned_2;
SELECT neural.drop_model('risk', 2);

-- A new name leaves behind what says the old one, and how to make it anew.
SELECT neural.rename_model('risk', 'renamed "risk"');
SELECT follows(3);
SELECT neural.create_function('users.follows', 'renamed "risk"', 'predict', replace => true);
SELECT follows(3) IS NOT NULL AS works, pinned(3) IS NOT NULL AS pinned_works;
SELECT neural.rename_model('it''s', 'it is');
SELECT neural.rename_model('it is', 'it was');

-- Dropped as a whole.
DROP FUNCTION pinned, pinned_class, in_text, in_digits, by_default CASCADE;
SELECT neural.drop_model('renamed "risk"');
DROP INDEX scored_where;
SELECT neural.drop_model('renamed "risk"');
SELECT neural.drop_model('it was');
SET client_min_messages = warning;
DROP SCHEMA users CASCADE;
