-- What stands first in the search path under the names of PostgreSQL's own operators, functions and
-- types has no part in what the extension does, whoever calls it.
SET client_min_messages = warning;
CREATE TABLE points AS SELECT i * 0.5 AS a, i % 9 AS b, (ARRAY['x', 'y', 'z'])[1 + i % 3] AS c,
    timestamp '2026-01-01' + i * interval '1 hour' AS t, i / 4 AS g, i % 2 = 0 AS d,
    ARRAY[i, i * 0.5]::float8[] AS v, i * 0.25 AS price, (i / 4) % 3 = 0 AS bad, NULL::float8 AS score, i AS id
FROM generate_series(1, 200) AS i;

-- Operators over the types that the extension has to do with, functions that are called by name, and
-- domains of the types' names: each raises an error when it is used.
CREATE SCHEMA look_alike;
CREATE ROLE look_alike_user;
CREATE FUNCTION look_alike.used(what text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a look-alike was used: %', what USING ERRCODE = 'LA000'; END $$;
DO $$
DECLARE
    made record;
    concerned regtype[] := '{bool,int2,int4,int8,float4,float8,numeric,text,varchar,bpchar,name,oid,bytea,date,timestamp,
        timestamptz,interval,uuid,jsonb,text[],float8[],oid[],regtype,regtype[],regclass,regproc,"char",anyarray,anyelement,record}';
BEGIN
    FOR made IN
        SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result, o.oid
        FROM pg_operator AS o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprright = ANY (concerned)
            AND (o.oprleft = ANY (concerned) OR o.oprleft = 0) AND o.oprresult <> 0
    LOOP
        EXECUTE format('CREATE FUNCTION look_alike.o%s(%s) RETURNS %s LANGUAGE plpgsql AS %L', made.oid,
            concat_ws(', ', nullif(made.l::text, '-'), made.r), made.result,
            format('BEGIN PERFORM look_alike.used(%L); RETURN NULL; END', 'operator ' || made.oprname));
        EXECUTE format('CREATE OPERATOR look_alike.%s (%sRIGHTARG = %s, FUNCTION = look_alike.o%s)', made.oprname,
            CASE WHEN made.l::text = '-' THEN '' ELSE format('LEFTARG = %s, ', made.l) END, made.r, made.oid);
    END LOOP;
    FOR made IN
        SELECT p.oid, p.proname, pg_get_function_identity_arguments(p.oid) AS args, p.prorettype::regtype AS result
        FROM pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
            AND p.prorettype = ANY (concerned) AND p.prorettype <> 'anyelement'::regtype
            AND p.proargtypes::oid[] <@ concerned::oid[] AND pronargs > 0
            AND p.proname IN ('format_type', 'quote_ident', 'quote_literal', 'length', 'octet_length', 'substr', 'substring', 'encode',
                'decode', 'sha256', 'to_regtype', 'to_regclass', 'array_length', 'array_position', 'array_append', 'array_to_string',
                'string_to_array', 'lower', 'upper', 'replace', 'regexp_replace', 'left', 'right', 'position', 'strpos', 'concat',
                'pg_has_role', 'has_table_privilege', 'has_function_privilege', 'has_schema_privilege', 'pg_get_userbyid', 'text',
                'float8', 'int4', 'int8', 'abs', 'round', 'floor', 'sqrt', 'exp', 'ln', 'starts_with', 'pg_get_functiondef',
                'pg_function_is_visible', 'pg_describe_object', 'obj_description', 'pg_relation_size', 'hashtext', 'timezone',
                'date_part', 'extract', 'to_jsonb', 'jsonb_typeof', 'jsonb_array_length', 'cardinality', 'array_ndims', 'convert_to',
                'convert_from', 'int4pl', 'texteq', 'array_eq', 'array_cat', 'pg_advisory_xact_lock', 'current_setting', 'set_config')
    LOOP
        EXECUTE format('CREATE FUNCTION look_alike.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', made.proname, made.args, made.result,
            format('BEGIN PERFORM look_alike.used(%L); RETURN NULL; END', 'function ' || made.proname));
    END LOOP;
    FOR made IN
        SELECT typname, oid::regtype AS base FROM pg_type
        WHERE oid = ANY (concerned) AND typtype = 'b' AND typname NOT LIKE '\_%'
    LOOP
        EXECUTE format('CREATE DOMAIN look_alike.%I AS pg_catalog.%I CHECK (look_alike.used(%L) IS NULL)',
            made.typname, made.typname, 'type ' || made.typname);
    END LOOP;
END $$;
SELECT (SELECT count(*) > 300 FROM pg_operator WHERE oprnamespace = 'look_alike'::regnamespace) AS operators,
       (SELECT count(*) > 60 FROM pg_proc WHERE pronamespace = 'look_alike'::regnamespace AND proname !~ '^o[0-9]') AS functions,
       (SELECT count(*) > 20 FROM pg_type WHERE typnamespace = 'look_alike'::regnamespace AND typtype = 'd') AS domains;

-- Every function, in an order in which each finds what it needs. Constants have their types, since
-- an untyped one in the statement itself is PostgreSQL's to read.
CREATE TABLE statements (place int GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO statements (statement) VALUES
    ('DROP EXTENSION pg_neural'),
    ('CREATE EXTENSION pg_neural SCHEMA public'),
    ('SELECT neural.train(''risk'', ''SELECT a, b, c, d, t, bad FROM public.points'', ''bad'', epochs => 1, seed => 1)'),
    ('SELECT neural.train(''risk'', ''SELECT a, b, c, d, t, bad FROM public.points'', ''bad'', epochs => 1, seed => 2, options => ''{"warm_start": true, "deploy": "if_better"}'')'),
    ('SELECT neural.train(''price'', ''public.points'', ''price'', epochs => 1, seed => 1, features => ''{"t": "ignore", "v": "vector", "score": "ignore"}'')'),
    ('SELECT neural.train(''steps'', ''SELECT a, b, g, t, bad FROM public.points'', ''bad'', epochs => 1, seed => 1, options => ''{"sequence_by": "g", "order_by": "t", "sequence_length": 4}'')'),
    ('SELECT neural.train(''grouped'', ''SELECT a, c, g, price FROM public.points'', ''price'', epochs => 1, options => ''{"validation_group": "g", "members": 2}'')'),
    ('SELECT neural.predict(''risk'', a, b, c, d, t), neural.predict_class(''risk'', a, b, c, d, t), neural.predict_proba(''risk'', a, b, c, d, t) FROM public.points'),
    ('SELECT neural.predict(''risk'', p) FROM public.points AS p'),
    ('SELECT neural.predict(''risk'', NULL, NULL, ''x'', NULL, NULL)'),
    ('SELECT max(neural.predict(''risk'', a, b, c, d, t)) FROM public.points WHERE neural.predict_class(''risk'', a, b, c, d, t) IS NOT NULL'),
    ('SELECT neural.predict(''steps'', pg_catalog.array_agg(p ORDER BY t)) FROM public.points AS p GROUP BY g'),
    ('SELECT neural.classes(''risk'')'),
    ('SELECT * FROM neural.evaluate(''risk'', ''public.points'')'),
    ('SELECT * FROM neural.evaluate(''steps'', ''public.points'')'),
    ('SELECT * FROM neural.confusion_matrix(''risk'', ''public.points'')'),
    ('SELECT neural.create_function(''public.predict_risk'', ''risk'')'),
    ('SELECT neural.create_function(''public.predict_risk'', ''risk'', replace => true)'),
    ('SELECT neural.create_function(''public.class_risk'', ''risk'', version => 1, returns => ''class'')'),
    ('SELECT neural.create_function(''public.proba_price'', ''price'')'),
    ('SELECT public.predict_risk(a, b, c, d, t), public.class_risk(a, b, c, d, t) FROM public.points'),
    ('CALL neural.score_table(''risk'', ''public.points'', ''score'')'),
    ('CALL neural.score_table(''price'', ''public.points'', ''score'', only_missing => true)'),
    ('SELECT neural.auc(score, bad), neural.gini(score, bad), neural.ks(score, bad), neural.log_loss(0.5, bad), neural.brier(0.5, bad) FROM public.points'),
    ('SELECT neural.rmse(score, price), neural.mae(score, price), neural.r2(score, price) FROM public.points'),
    ('SELECT neural.grant_model(''risk'', ''look_alike_user'')'),
    ('SELECT neural.revoke_model(''risk'', ''look_alike_user'')'),
    ('SELECT neural.set_owner(''risk'', ''postgres'')'),
    ('SELECT neural.set_threshold(''risk'', 0.4)'),
    ('SELECT neural.rename_model(''price'', ''prices'')'),
    ('SELECT neural.deploy(''risk'', 1)'),
    ('SELECT neural.rollback(''risk'')'),
    ('SELECT neural.import_model(''copy'', neural.export_model(''risk''))'),
    ('SELECT neural.drop_model(''risk'', 2)'),
    ('SELECT neural.drop_model(''risk'', 1, force => true)'),
    ('SELECT neural.drop_model(''grouped'')'),
    ('SELECT neural.train(''prices'', ''public.points'', ''price'', epochs => 1, seed => 1, features => ''{"t": "ignore", "v": "vector", "score": "ignore"}'')'),
    ('SELECT neural.create_function(''public.again_price'', ''prices'')'),
    ('SELECT neural.train(''prices'', ''public.points'', ''price'', epochs => 1, seed => 2, features => ''{"t": "ignore", "v": "vector", "score": "ignore"}'')');
INSERT INTO statements (statement)
    SELECT format('SELECT * FROM neural.%I', viewname) FROM pg_views WHERE schemaname = 'neural' ORDER BY viewname;
INSERT INTO statements (statement)
    SELECT format('SELECT * FROM neural.%s()', proname) FROM pg_proc
    WHERE pronamespace = 'neural'::regnamespace AND pronargs = 0 AND prokind = 'f' AND prorettype <> 'trigger'::regtype
        AND prorettype <> 'event_trigger'::regtype ORDER BY proname;
INSERT INTO statements (statement) VALUES
    ('DROP FUNCTION public.predict_risk, public.class_risk, public.proba_price, public.again_price');
SELECT count(*) > 40 AS many FROM statements;
SET client_min_messages = error;
\o /dev/null
SET search_path = look_alike, pg_catalog, public;
SELECT statement FROM public.statements ORDER BY place \gexec
-- And with the temporary schema in front, where PostgreSQL itself looks first for types and tables.
SET search_path = pg_temp, look_alike, pg_catalog, public;
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (look_alike.used('temporary type text') IS NULL);
CREATE DOMAIN pg_temp.float8 AS pg_catalog.float8 CHECK (look_alike.used('temporary type float8') IS NULL);
SELECT statement FROM public.statements ORDER BY place \gexec
SET neural.batch_scoring = off;
SELECT statement FROM public.statements ORDER BY place \gexec
\o
RESET search_path;
DROP TABLE points, statements;
-- Names are not given to others; what comes after this test begins anew.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
DROP SCHEMA look_alike CASCADE;
DROP ROLE look_alike_user;
