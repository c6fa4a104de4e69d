\echo Use "CREATE EXTENSION pg_neural" to load this file. \quit
-- The schemas, the type for roles and the tables behind the models.
--
-- The script creates the schemas itself and fails where one exists: a schema somebody made before
-- would be theirs. Whatever runs here must not pick up objects of other schemas.
SET LOCAL search_path TO pg_catalog, pg_temp;

-- The library keeps and compares texts as UTF-8. SQL_ASCII takes bytes as they come, so there texts
-- that are not UTF-8 are refused one by one.
DO $$
BEGIN
    IF getdatabaseencoding() NOT IN ('UTF8', 'SQL_ASCII') THEN
        RAISE EXCEPTION 'pg_neural does not work in a database whose encoding is %', getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Create a database for it: CREATE DATABASE name ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
END
$$;

-- What users call and look at.
CREATE SCHEMA neural;
COMMENT ON SCHEMA neural IS 'neural networks: functions and views of pg_neural';

-- What stands behind it, closed to everybody. The name is one that sorts before most others: a
-- restore loads tables in the order of their schemas' names, and a table whose generated column,
-- CHECK, domain or partition key calls a pinned function is computed anew while it loads, so the
-- models have to be there before.
CREATE SCHEMA _neural;
COMMENT ON SCHEMA _neural IS 'tables behind pg_neural; use the functions and views of schema neural';

-- A role, kept as its OID and printed as its name, so that a dump can be restored where the role
-- has another OID or does not exist. Text forms: a quoted role name, `public`, `none` (nobody),
-- and `?16384` for a role that was dropped. A name that is not found, and `?16384`, read as nobody:
-- never as another role. `public` and `none` cannot be names of roles.
CREATE TYPE _neural.role;
CREATE FUNCTION _neural.role_in(cstring) RETURNS _neural.role
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'role_in_wrapper';
CREATE FUNCTION _neural.role_out(_neural.role) RETURNS cstring
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'role_out_wrapper';
CREATE TYPE _neural.role (
    INPUT = _neural.role_in, OUTPUT = _neural.role_out, LIKE = oid
);
CREATE CAST (_neural.role AS oid) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (oid AS _neural.role) WITHOUT FUNCTION;

CREATE SEQUENCE _neural.model_id;
CREATE SEQUENCE _neural.version_id;
CREATE SEQUENCE _neural.deployment_id;

-- The highest version number ever given under a name. It outlives the model, so that a number
-- means one version for good, and its row is what concurrent trainings of one name wait for.
CREATE TABLE _neural.numbering (
    name text COLLATE "C" CONSTRAINT numbering_pkey PRIMARY KEY,
    last int NOT NULL,
    -- Whose model gave the name up last. Functions, views and applications may still call it: only
    -- this role's and superusers' models take it again.
    holder _neural.role
);

-- The tables refer to each other without foreign keys: a parallel pg_restore loads an extension's
-- tables in any order, with the constraints already there. Every change is made under the lock of
-- the model's row, by the functions of `src/pg/catalog`.
--
-- Columns of `model`, `model_grant`, `version` and `chunk` are read by their places, which
-- `src/pg/reader/columns.rs` names.
CREATE TABLE _neural.model (
    id bigint CONSTRAINT model_pkey PRIMARY KEY DEFAULT nextval('_neural.model_id'),
    name text COLLATE "C" NOT NULL CONSTRAINT model_name_key UNIQUE,
    owner _neural.role NOT NULL,
    -- The id of the deployed version.
    deployed bigint,
    -- What later versions keep: the task, and the features' names and types in call order.
    signature jsonb NOT NULL,
    positive_class text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Of versions that were dropped, what `version` keeps of the others.
    origins jsonb
);

-- Who else may use a model. No key: of two roles that a restore does not find, both are nobody.
CREATE TABLE _neural.model_grant (
    model bigint NOT NULL,
    grantee _neural.role NOT NULL,
    granted_by _neural.role NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now()
);
-- Where a publication has the table, rows could not be deleted otherwise.
ALTER TABLE _neural.model_grant REPLICA IDENTITY FULL;
CREATE INDEX model_grant_model_index ON _neural.model_grant (model);

-- PostgreSQL knows of no model that a role has a right on, but it knows of rights on functions. So
-- every role that owns a model, was granted one or asked for a job may execute this function, which does
-- nothing: DROP ROLE is refused while the role has models or jobs, and DROP OWNED takes its grants. A
-- grant counts only while its grantee may execute this.
CREATE FUNCTION _neural.model_owner_or_grantee() RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'model_owner_or_grantee_wrapper';
COMMENT ON FUNCTION _neural.model_owner_or_grantee() IS
    'executable by the roles that own models, were granted some or asked for jobs: give away or drop what neural.models and neural.model_grants show, or use DROP OWNED, which leaves jobs to nobody';

CREATE TABLE _neural.version (
    id bigint CONSTRAINT version_pkey PRIMARY KEY DEFAULT nextval('_neural.version_id'),
    model bigint NOT NULL,
    number int NOT NULL,
    sha256 bytea NOT NULL,
    size_bytes bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by _neural.role NOT NULL,
    extension_version text NOT NULL,
    target text,
    classes text[],
    features jsonb NOT NULL,
    architecture jsonb NOT NULL,
    parameters bigint NOT NULL,
    query text,
    options jsonb,
    seed bigint,
    rows_trained bigint,
    rows_validated bigint,
    epochs int,
    seconds float8,
    train_loss float8,
    validation_loss float8,
    metrics jsonb,
    -- Multiplications that a row takes, by which the planner goes.
    products bigint,
    -- Whether query, options and all figures are what an imported file says.
    claimed boolean NOT NULL DEFAULT false,
    -- Of a sample of the rows, by their hashes, whether they were trained on or held out.
    seen bytea,
    -- From each column that is no feature to the reason.
    left_out jsonb,
    -- The columns of tables that the training query's columns are made from, which score_table does
    -- not write into: an array of what `src/pg/learnt_from.rs` keeps of each.
    origins jsonb,
    -- Of the rows as the network saw them, `src/training/data_hash.rs`. Nothing of an import.
    data_blake3 bytea,
    -- The library that multiplied matrices, as it names itself.
    blas text,
    -- The number of the version whose signature was kept and whose weights, with warm_start or
    -- add_features, were gone on from.
    follows int,
    -- The id of the key that its chunks, `seen` and `sealed` are encrypted with, if they are.
    encryption_key bytea,
    -- Of an encrypted version what `features` and `classes` else hold: levels, ranges and profiles.
    sealed bytea,
    -- Of the session in which its query was run, what changes which rows that gives:
    -- `src/pg/query_settings.rs`.
    settings jsonb,
    CONSTRAINT version_number_key UNIQUE (model, number)
);
CREATE INDEX version_sha256_index ON _neural.version (sha256);

-- The artifact of a version in pieces that fit into a page each: pg_dump cannot carry one large value,
-- and what does not fit goes into a TOAST table, which is open to pg_read_all_data.
CREATE TABLE _neural.chunk (
    version bigint NOT NULL,
    number int NOT NULL,
    bytes bytea NOT NULL,
    CONSTRAINT chunk_pkey PRIMARY KEY (version, number)
);
ALTER TABLE _neural.chunk ALTER COLUMN bytes SET STORAGE PLAIN;

-- Which version was deployed when; the last row of a model is the one deployed now.
CREATE TABLE _neural.deployment (
    id bigint CONSTRAINT deployment_pkey PRIMARY KEY DEFAULT nextval('_neural.deployment_id'),
    model bigint NOT NULL,
    version bigint NOT NULL,
    deployed_at timestamptz NOT NULL DEFAULT now(),
    deployed_by _neural.role NOT NULL
);
CREATE INDEX deployment_model_index ON _neural.deployment (model, id);
CREATE INDEX deployment_version_index ON _neural.deployment (version);

CREATE TABLE _neural.epoch (
    version bigint NOT NULL,
    epoch int NOT NULL,
    train_loss float8,
    validation_loss float8,
    learning_rate float8,
    seconds float8,
    metrics jsonb,
    CONSTRAINT epoch_pkey PRIMARY KEY (version, epoch)
);

-- The roles that this database has made known by `model_owner_or_grantee`. One that is here and may not
-- execute it any more has been through DROP OWNED: models and jobs that it had are nobody's, and not those
-- of a later role that happens to get its OID. Not dumped: where a dump is restored, nobody has been.
CREATE TABLE _neural.holder (
    role oid CONSTRAINT holder_pkey PRIMARY KEY
);

-- Statistics are kept where no policy of ours reaches, and nobody plans by these columns.
ALTER TABLE _neural.model ALTER signature SET STATISTICS 0, ALTER positive_class SET STATISTICS 0,
    ALTER origins SET STATISTICS 0;
ALTER TABLE _neural.version ALTER target SET STATISTICS 0, ALTER classes SET STATISTICS 0,
    ALTER features SET STATISTICS 0, ALTER architecture SET STATISTICS 0, ALTER query SET STATISTICS 0,
    ALTER options SET STATISTICS 0, ALTER metrics SET STATISTICS 0, ALTER seen SET STATISTICS 0,
    ALTER left_out SET STATISTICS 0, ALTER origins SET STATISTICS 0, ALTER settings SET STATISTICS 0;
ALTER TABLE _neural.chunk ALTER bytes SET STATISTICS 0;
ALTER TABLE _neural.epoch ALTER metrics SET STATISTICS 0;

-- No policy: no row for anybody but the tables' owner, not even with the rights of
-- pg_read_all_data and pg_write_all_data.
ALTER TABLE _neural.numbering ENABLE ROW LEVEL SECURITY;
ALTER TABLE _neural.model ENABLE ROW LEVEL SECURITY;
ALTER TABLE _neural.model_grant ENABLE ROW LEVEL SECURITY;
ALTER TABLE _neural.version ENABLE ROW LEVEL SECURITY;
ALTER TABLE _neural.chunk ENABLE ROW LEVEL SECURITY;
ALTER TABLE _neural.deployment ENABLE ROW LEVEL SECURITY;
ALTER TABLE _neural.epoch ENABLE ROW LEVEL SECURITY;
ALTER TABLE _neural.holder ENABLE ROW LEVEL SECURITY;

-- What users own is dumped with their data.
SELECT pg_extension_config_dump('_neural.model_id', '');
SELECT pg_extension_config_dump('_neural.version_id', '');
SELECT pg_extension_config_dump('_neural.deployment_id', '');
SELECT pg_extension_config_dump('_neural.numbering', '');
SELECT pg_extension_config_dump('_neural.model', '');
SELECT pg_extension_config_dump('_neural.model_grant', '');
SELECT pg_extension_config_dump('_neural.version', '');
SELECT pg_extension_config_dump('_neural.chunk', '');
SELECT pg_extension_config_dump('_neural.deployment', '');
SELECT pg_extension_config_dump('_neural.epoch', '');
-- Keeping models: deploying, dropping, renaming, sharing, carrying elsewhere, looking at.

CREATE FUNCTION neural.deploy(model text, version int) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'deploy_wrapper';
CREATE FUNCTION neural.rollback(model text) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'rollback_wrapper';
CREATE FUNCTION neural.drop_model(
    model text, version int DEFAULT NULL, force boolean DEFAULT false
) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'drop_model_wrapper';
COMMENT ON FUNCTION neural.drop_model IS
    'drops one version of a model, or the model; with force also where functions are pinned to it';
CREATE FUNCTION neural.set_threshold(model text, threshold float8) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'set_threshold_wrapper';
COMMENT ON FUNCTION neural.set_threshold IS
    'makes and deploys the next version of a model, the same but for the threshold; its number';
CREATE FUNCTION neural.rename_model(model text, new_name text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'rename_model_wrapper';
CREATE FUNCTION neural.set_owner(model text, new_owner regrole) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'set_owner_wrapper';
CREATE FUNCTION neural.grant_model(model text, grantee regrole) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'grant_model_wrapper';
CREATE FUNCTION neural.revoke_model(model text, grantee regrole) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'revoke_model_wrapper';

CREATE FUNCTION neural.export_model(model text, lineage boolean DEFAULT true) RETURNS bytea
    LANGUAGE c AS 'MODULE_PATHNAME', 'export_model_wrapper';
COMMENT ON FUNCTION neural.export_model IS
    'a version as a safetensors file; without lineage the query and the options stay here';
CREATE FUNCTION neural.import_model(model text, artifact bytea) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'import_model_wrapper';
CREATE FUNCTION neural.import_weights(
    model        text,
    weights      bytea,
    architecture text,
    task         text,
    features     jsonb,
    classes      text[] DEFAULT NULL,
    options      jsonb  DEFAULT '{}'
) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'import_weights_wrapper';
COMMENT ON FUNCTION neural.import_weights IS
    'stores a network that was trained elsewhere, from the tensors of a safetensors file';

CREATE FUNCTION neural.check(model text DEFAULT NULL)
    RETURNS TABLE (model text, version int, problem text)
    LANGUAGE c ROWS 10 AS 'MODULE_PATHNAME', 'check_wrapper';
COMMENT ON FUNCTION neural.check IS
    'the problems of one stored model, or of all that the caller manages; no row where all is well';

-- The rights that the views go by: the same code that guards the functions.
CREATE FUNCTION _neural.may_manage(owner _neural.role) RETURNS bool
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'may_manage_wrapper';
CREATE FUNCTION _neural.may_use(model bigint, owner _neural.role) RETURNS bool
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'may_use_wrapper';
-- Whether a grant to the role counts: see _neural.model_owner_or_grantee.
CREATE FUNCTION _neural.is_granted(grantee _neural.role) RETURNS bool
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'is_granted_wrapper';

-- What is encrypted of a version's description; NULL where nothing is or the key is not at hand.
CREATE FUNCTION _neural.described(sha256 bytea, encryption_key bytea, sealed bytea) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'described_wrapper';

CREATE FUNCTION _neural.shipped_architectures()
    RETURNS TABLE (name text, description text, layers jsonb)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 20
    AS 'MODULE_PATHNAME', 'shipped_architectures_wrapper';

CREATE VIEW neural.architectures WITH (security_barrier) AS
    SELECT name, description, layers FROM _neural.shipped_architectures();

-- A grantee sees which features a model takes, not the levels and ranges fitted to its rows.
CREATE VIEW neural.models WITH (security_barrier) AS
    SELECT m.name,
           v.number AS version,
           (SELECT count(*)::int FROM _neural.version n WHERE n.model = m.id) AS versions,
           m.signature ->> 'task' AS task,
           v.target,
           CASE WHEN d.described IS NULL THEN v.classes
                WHEN jsonb_typeof(d.described -> 'classes') = 'array' THEN
                    ARRAY(SELECT jsonb_array_elements_text(d.described -> 'classes'))
           END AS classes,
           m.positive_class,
           CASE WHEN _neural.may_manage(m.owner) THEN coalesce(d.described -> 'features', v.features)
                WHEN v.features IS NOT NULL THEN
                    (SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                                'name', f -> 'name', 'type', f -> 'type',
                                'treatment', f -> 'treatment', 'length', f -> 'length',
                                'features', f -> 'features', 'shape', f -> 'shape',
                                'data_format', f -> 'data_format', 'resize', f -> 'resize',
                                'crop', f -> 'crop', 'sequence', f -> 'sequence')) ORDER BY place), '[]')
                     FROM jsonb_array_elements(v.features) WITH ORDINALITY AS e(f, place))
           END AS features,
           v.architecture,
           v.parameters,
           v.size_bytes,
           v.metrics,
           -- Not one that DROP OWNED took its models from.
           (SELECT r.rolname FROM pg_roles r WHERE r.oid = m.owner
                AND (_neural.is_granted(m.owner)
                     OR NOT EXISTS (SELECT FROM _neural.holder h WHERE h.role = m.owner::oid))) AS owner,
           m.created_at,
           v.claimed
    FROM _neural.model m
    LEFT JOIN _neural.version v ON v.id = m.deployed
    CROSS JOIN LATERAL (SELECT _neural.described(v.sha256, v.encryption_key, v.sealed)) AS d(described)
    WHERE _neural.may_use(m.id, m.owner);

CREATE VIEW neural.model_versions WITH (security_barrier) AS
    SELECT m.name AS model,
           v.number AS version,
           v.id IS NOT DISTINCT FROM m.deployed AS deployed,
           v.created_at,
           (SELECT r.rolname FROM pg_roles r WHERE r.oid = v.created_by) AS created_by,
           CASE WHEN _neural.may_manage(m.owner) THEN v.query END AS query,
           CASE WHEN _neural.may_manage(m.owner) THEN v.options END AS options,
           v.seed,
           v.rows_trained,
           v.rows_validated,
           v.epochs,
           v.seconds,
           v.train_loss,
           v.validation_loss,
           v.metrics,
           v.sha256,
           v.extension_version,
           v.claimed,
           v.left_out,
           v.data_blake3,
           v.blas,
           v.follows,
           CASE WHEN _neural.may_manage(m.owner) THEN v.settings END AS settings
    FROM _neural.model m
    JOIN _neural.version v ON v.model = m.id
    WHERE _neural.may_use(m.id, m.owner);

CREATE VIEW neural.training_history WITH (security_barrier) AS
    SELECT m.name AS model,
           v.number AS version,
           e.epoch,
           e.train_loss,
           e.validation_loss,
           e.learning_rate,
           e.seconds,
           e.metrics
    FROM _neural.model m
    JOIN _neural.version v ON v.model = m.id
    JOIN _neural.epoch e ON e.version = v.id
    WHERE _neural.may_use(m.id, m.owner);

-- Who manages a model sees all its grants, everybody else their own.
CREATE VIEW neural.model_grants WITH (security_barrier) AS
    SELECT m.name AS model,
           CASE WHEN g.grantee::oid = 0 THEN 'PUBLIC'::name
                ELSE (SELECT r.rolname FROM pg_roles r WHERE r.oid = g.grantee) END AS grantee,
           (SELECT r.rolname FROM pg_roles r WHERE r.oid = g.granted_by) AS granted_by,
           g.granted_at
    FROM _neural.model m
    JOIN _neural.model_grant g ON g.model = m.id
    WHERE _neural.is_granted(g.grantee)
      AND (_neural.may_manage(m.owner) OR _neural.may_manage(g.grantee) OR g.grantee::oid = 0);

-- The deployments that neural.rollback can go back to, and the present one.
CREATE VIEW neural.deployments WITH (security_barrier) AS
    SELECT m.name AS model,
           v.number AS version,
           d.deployed_at,
           (SELECT r.rolname FROM pg_roles r WHERE r.oid = d.deployed_by) AS deployed_by
    FROM _neural.deployment d
    JOIN _neural.model m ON m.id = d.model
    JOIN _neural.version v ON v.id = d.version
    WHERE _neural.may_use(m.id, m.owner);
-- Which functions, views, indexes and the like call models: pinned to a version by its bytes' hash, or
-- by a model's name. Found in what PostgreSQL keeps of their definitions.

-- The constants of a stored expression or query that can be hashes or names of models: `hash` of 32
-- bytes, binary or in hexadecimal digits; `name` and, of 'name@3', `version`. The Rust side is
-- src/pg/api/model_users.rs.
CREATE FUNCTION _neural.references_in(tree text)
    RETURNS TABLE (hash bytea, name text, version int)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10
    AS 'MODULE_PATHNAME', 'references_in_wrapper';

-- Everything users made that is kept as parsed expressions. A statement, trigger or the like comes
-- once for each of its expressions.
CREATE VIEW _neural.expression AS
    SELECT 'pg_proc'::regclass::oid AS classid, oid AS objid, tree
    FROM pg_proc, unnest(ARRAY[prosqlbody::text, proargdefaults::text]) AS tree
    WHERE oid >= 16384 AND tree IS NOT NULL
    UNION ALL
    SELECT 'pg_class'::regclass, ev_class, tree
    FROM pg_rewrite, unnest(ARRAY[ev_action::text, ev_qual::text]) AS tree
    WHERE oid >= 16384 AND rulename = '_RETURN'
    UNION ALL
    SELECT 'pg_rewrite'::regclass, oid, tree
    FROM pg_rewrite, unnest(ARRAY[ev_action::text, ev_qual::text]) AS tree
    WHERE oid >= 16384 AND rulename <> '_RETURN'
    UNION ALL
    SELECT 'pg_attrdef'::regclass, oid, adbin::text FROM pg_attrdef
    UNION ALL
    SELECT CASE WHEN contypid <> 0 THEN 'pg_type'::regclass ELSE 'pg_constraint'::regclass END,
           CASE WHEN contypid <> 0 THEN contypid ELSE oid END, conbin::text
    FROM pg_constraint WHERE oid >= 16384 AND conbin IS NOT NULL
    UNION ALL
    SELECT 'pg_class'::regclass, indexrelid, tree
    FROM pg_index, unnest(ARRAY[indexprs::text, indpred::text]) AS tree
    WHERE tree IS NOT NULL
    UNION ALL
    SELECT 'pg_class'::regclass, partrelid, partexprs::text
    FROM pg_partitioned_table WHERE partexprs IS NOT NULL
    UNION ALL
    SELECT 'pg_policy'::regclass, oid, tree
    FROM pg_policy, unnest(ARRAY[polqual::text, polwithcheck::text]) AS tree
    WHERE tree IS NOT NULL
    UNION ALL
    SELECT 'pg_trigger'::regclass, oid, tgqual::text FROM pg_trigger WHERE tgqual IS NOT NULL
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, oid, stxexprs::text
    FROM pg_statistic_ext WHERE stxexprs IS NOT NULL
    UNION ALL
    SELECT 'pg_type'::regclass, oid, typdefaultbin::text
    FROM pg_type WHERE oid >= 16384 AND typdefaultbin IS NOT NULL;

-- What says a version's hash, or a model's name beside a function of ours, by itself. Of code that is
-- kept as text, such as PL/pgSQL's, what it says in plain sight.
CREATE VIEW _neural.model_reference AS
    SELECT 'pinned' AS kind, v.model AS model, v.id AS version, v.number, e.classid, e.objid
    FROM _neural.expression e, _neural.references_in(e.tree) r
    JOIN _neural.version v ON v.sha256 = r.hash
    UNION
    SELECT 'pinned', v.model, v.id, v.number, t.classid, t.objid
    FROM (SELECT 'pg_proc'::regclass AS classid, oid AS objid, prosrc AS text
          FROM pg_proc WHERE oid >= 16384
          UNION ALL
          SELECT 'pg_trigger'::regclass, oid, encode(tgargs, 'escape') FROM pg_trigger) AS t
    JOIN _neural.version v ON strpos(lower(t.text), encode(v.sha256, 'hex')) > 0
    WHERE t.text ~ '[0-9a-fA-F]{64}'
    UNION
    SELECT 'named', m.id, v.id, r.version, e.classid, e.objid
    FROM _neural.expression e, _neural.references_in(e.tree) r
    JOIN _neural.model m ON m.name = r.name
    LEFT JOIN _neural.version v ON v.model = m.id AND v.number = r.version
    WHERE EXISTS (
        SELECT FROM pg_depend d JOIN pg_proc f ON f.oid = d.refobjid
        -- What a view and a domain depend on is kept with the rule and the constraint.
        LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
        LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
        WHERE e.objid IN (d.objid, w.ev_class, c.contypid) AND d.refclassid = 'pg_proc'::regclass
          AND f.pronamespace = 'neural'::regnamespace)
    UNION
    SELECT 'named', m.id, v.id, v.number, 'pg_proc'::regclass, p.oid
    FROM pg_proc p
    JOIN _neural.model m ON strpos(p.prosrc, '''' || replace(m.name, '''', '''''')) > 0
    LEFT JOIN _neural.version v
        ON v.model = m.id AND strpos(p.prosrc, quote_literal(m.name || '@' || v.number)) > 0
    WHERE p.oid >= 16384
      AND p.prosrc ~ '\m(predict|predict_class|predict_proba|classes|evaluate|confusion_matrix|score_table|train|deploy|rollback|set_threshold|export_model|import_model|import_weights|create_function)\s*\('
      AND (v.id IS NOT NULL OR strpos(p.prosrc, quote_literal(m.name)) > 0);

-- The same with what depends on it in turn: an index over a function, a view over a view, a domain with
-- a CHECK and its columns.
CREATE VIEW _neural.model_user AS
    WITH RECURSIVE found (kind, model, version, number, classid, objid, objsubid) AS (
        SELECT kind, model, version, number, classid, objid, 0 FROM _neural.model_reference
        UNION
        SELECT f.kind, f.model, f.version, f.number,
               CASE WHEN w.oid IS NOT NULL THEN 'pg_class'::regclass::oid
                    WHEN c.oid IS NOT NULL THEN 'pg_type'::regclass::oid ELSE d.classid END,
               coalesce(w.ev_class, c.contypid, d.objid),
               CASE WHEN w.oid IS NULL AND c.oid IS NULL THEN d.objsubid ELSE 0 END
        FROM found f
        LEFT JOIN pg_class r ON f.classid = 'pg_class'::regclass AND r.oid = f.objid
        JOIN pg_depend d ON d.refclassid = f.classid AND d.refobjid = f.objid
        LEFT JOIN pg_rewrite w
            ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid AND w.rulename = '_RETURN'
        LEFT JOIN pg_constraint c
            ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid AND c.contypid <> 0
        WHERE d.deptype IN ('n', 'a')
          AND (f.classid IN ('pg_proc'::regclass, 'pg_type'::regclass)
               OR r.relkind IN ('v', 'm'))
          AND (d.classid, d.objid) <> (f.classid, f.objid)
    )
    SELECT * FROM found;

CREATE VIEW neural.model_users WITH (security_barrier) AS
    SELECT m.name AS model,
           u.number AS version,
           pg_describe_object(u.classid, u.objid, u.objsubid) AS object,
           u.kind
    FROM _neural.model m
    JOIN _neural.model_user u ON u.model = m.id
    WHERE _neural.may_use(m.id, m.owner)
      AND pg_describe_object(u.classid, u.objid, u.objsubid) IS NOT NULL;
-- Training. The Rust side is src/pg/api/training.

CREATE FUNCTION neural.train(
    model         text,
    query         text,
    target        text,
    task          text    DEFAULT NULL,
    architecture  text    DEFAULT NULL,
    features      jsonb   DEFAULT NULL,
    epochs        int     DEFAULT NULL,
    batch_size    int     DEFAULT NULL,
    learning_rate float8  DEFAULT NULL,
    optimizer     text    DEFAULT NULL,
    validation    float8  DEFAULT NULL,
    seed          bigint  DEFAULT NULL,
    options       jsonb   DEFAULT '{}'
) RETURNS TABLE (
    model text, version int, epochs int, train_loss float8, validation_loss float8,
    metrics jsonb, seconds float8
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'train_wrapper';
COMMENT ON FUNCTION neural.train IS
    'trains a network on the rows of a query and stores it as a new version of the model';

CREATE FUNCTION neural.reproduce(model text, version int DEFAULT NULL)
    RETURNS TABLE (
        model text, version int, data_agrees boolean, weights_agree boolean, details jsonb
    )
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'reproduce_wrapper';
COMMENT ON FUNCTION neural.reproduce IS
    'trains a version again as it was trained, stores nothing, and tells whether rows and weights are the same';
-- Trainings in the background. The Rust side is src/pg/api/jobs and src/pg/background.

CREATE SEQUENCE _neural.job_id;

-- What a job was asked for, as given, and how far it is. The first columns are read by their places,
-- which `src/pg/own_table/columns.rs` names. A row says what was last told: whether the job's worker
-- still lives is told by a lock that the worker holds (`_neural.job_is_lost`).
CREATE TABLE _neural.job (
    id bigint CONSTRAINT job_pkey PRIMARY KEY DEFAULT nextval('_neural.job_id'),
    state text NOT NULL,
    requested_by _neural.role NOT NULL,
    -- When its worker was ordered: just before the requester's commit.
    ordered_at timestamptz,
    model text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    query text NOT NULL,
    target text NOT NULL,
    task text,
    architecture text,
    features jsonb,
    wanted_epochs int,
    batch_size int,
    learning_rate float8,
    optimizer text,
    validation float8,
    seed bigint NOT NULL,
    options jsonb NOT NULL,
    -- The requester's settings, by name.
    settings jsonb NOT NULL,
    epoch int,
    epochs int,
    rows_done bigint,
    rows_total bigint,
    train_loss float8,
    validation_loss float8,
    -- When the loop is reckoned to be done.
    ends_at timestamptz,
    error text,
    sqlstate text,
    version int,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz
);
ALTER TABLE _neural.job ENABLE ROW LEVEL SECURITY;

-- How far the training of a job is that may be broken off, in pieces. Not dumped: it is of no use but
-- beside the same rows, and gone when the job succeeds.
CREATE TABLE _neural.checkpoint (
    job bigint NOT NULL,
    number int NOT NULL,
    bytes bytea NOT NULL,
    -- The id of the key that it is encrypted with, if it is.
    encryption_key bytea,
    CONSTRAINT checkpoint_pkey PRIMARY KEY (job, number)
);
-- As those of `_neural.chunk`.
ALTER TABLE _neural.checkpoint ALTER COLUMN bytes SET STORAGE PLAIN;
ALTER TABLE _neural.checkpoint ALTER bytes SET STATISTICS 0;
ALTER TABLE _neural.checkpoint ENABLE ROW LEVEL SECURITY;

-- A dump carries the jobs, as history: one that had not ended shows as failed where it is restored, since
-- no worker holds its lock there.
SELECT pg_extension_config_dump('_neural.job_id', '');
SELECT pg_extension_config_dump('_neural.job', '');

-- Whether a job that has not ended has no worker any more, and will get none.
CREATE FUNCTION _neural.job_is_lost(job bigint) RETURNS bool
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'job_is_lost_wrapper';

CREATE FUNCTION neural.train_async(
    model         text,
    query         text,
    target        text,
    task          text    DEFAULT NULL,
    architecture  text    DEFAULT NULL,
    features      jsonb   DEFAULT NULL,
    epochs        int     DEFAULT NULL,
    batch_size    int     DEFAULT NULL,
    learning_rate float8  DEFAULT NULL,
    optimizer     text    DEFAULT NULL,
    validation    float8  DEFAULT NULL,
    seed          bigint  DEFAULT NULL,
    options       jsonb   DEFAULT '{}'
) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'train_async_wrapper';
COMMENT ON FUNCTION neural.train_async IS
    'trains as neural.train does, in a background worker that starts when the transaction commits; the number of the job';
CREATE FUNCTION neural.cancel_job(job bigint) RETURNS bool
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cancel_job_wrapper';
COMMENT ON FUNCTION neural.cancel_job IS 'tells a job to end; false if it has ended already';
CREATE FUNCTION neural.wait_job(job bigint, timeout interval DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'neural_wait_job';
COMMENT ON FUNCTION neural.wait_job IS
    'waits until a job has ended or the time is up; the state it is in then';
CREATE FUNCTION neural.resume_job(job bigint) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'resume_job_wrapper';
COMMENT ON FUNCTION neural.resume_job IS
    'goes on with a job that was broken off, from what its option "checkpoint" kept; the number of the job';

CREATE VIEW neural.jobs WITH (security_barrier) AS
    SELECT j.id AS job,
           j.model,
           j.kind,
           CASE WHEN l.is_lost THEN 'failed' ELSE j.state END AS state,
           j.epoch,
           j.epochs,
           j.rows_done,
           j.rows_total,
           j.train_loss,
           j.validation_loss,
           CASE WHEN j.state = 'running' AND NOT l.is_lost
                THEN greatest(j.ends_at - clock_timestamp(), interval '0') END AS eta,
           CASE WHEN NOT l.is_lost THEN j.error
                WHEN j.state = 'queued' THEN 'its worker never started; the server''s log may say why'
                ELSE 'its worker or the server ended before it could say why; the server''s log may' END AS error,
           CASE WHEN l.is_lost THEN '57P02' ELSE j.sqlstate END AS sqlstate,
           j.version,
           -- Not one that DROP OWNED took its jobs from.
           (SELECT r.rolname FROM pg_roles r WHERE r.oid = j.requested_by
                AND (_neural.is_granted(j.requested_by)
                     OR NOT EXISTS (SELECT FROM _neural.holder h WHERE h.role = j.requested_by::oid))) AS requested_by,
           j.started_at,
           j.finished_at
    FROM _neural.job j
    CROSS JOIN LATERAL (
        SELECT j.state IN ('queued', 'running') AND _neural.job_is_lost(j.id) AS is_lost) l
    WHERE _neural.may_manage(j.requested_by);
-- Calling models. The Rust side is src/pg/api/calling.rs.
-- Not STRICT: a NULL feature is a missing value.

-- Tells the planner what a call costs.
CREATE FUNCTION _neural.predict_cost(internal) RETURNS internal
    LANGUAGE c STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'neural_predict_cost';

CREATE FUNCTION neural.predict(model text, VARIADIC features "any") RETURNS float8
    LANGUAGE c STABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict';
COMMENT ON FUNCTION neural.predict IS
    'the value a regression predicts, or the probability of the positive class';

CREATE FUNCTION neural.predict_class(model text, VARIADIC features "any") RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_class';
COMMENT ON FUNCTION neural.predict_class IS 'the predicted class';

CREATE FUNCTION neural.predict_proba(model text, VARIADIC features "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_proba';
COMMENT ON FUNCTION neural.predict_proba IS
    'the probability of each class, in the order of neural.classes(model), or all outputs';

CREATE FUNCTION neural.predict_pinned(sha256 bytea, VARIADIC features "any") RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_pinned';
COMMENT ON FUNCTION neural.predict_pinned IS
    'as neural.predict, of the stored version with that hash, whatever its name';

CREATE FUNCTION neural.predict_class_pinned(sha256 bytea, VARIADIC features "any") RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_class_pinned';
COMMENT ON FUNCTION neural.predict_class_pinned IS
    'as neural.predict_class, of the stored version with that hash, whatever its name';

CREATE FUNCTION neural.predict_proba_pinned(sha256 bytea, VARIADIC features "any") RETURNS float8[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_proba_pinned';
COMMENT ON FUNCTION neural.predict_proba_pinned IS
    'as neural.predict_proba, of the stored version with that hash, whatever its name';

CREATE FUNCTION neural.classes(model text) RETURNS text[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'classes_wrapper';
COMMENT ON FUNCTION neural.classes IS 'the classes of a model, in the order of neural.predict_proba';

CREATE FUNCTION neural.model_cache_info()
    RETURNS TABLE (
        model         text,
        version       int,
        sha256        bytea,
        private_bytes bigint,
        shared_bytes  bigint,
        shared_file   text,
        last_used     timestamptz
    )
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10
    AS 'MODULE_PATHNAME', 'model_cache_info_wrapper';
COMMENT ON FUNCTION neural.model_cache_info IS
    'the models that this connection keeps ready: memory of its own, and of files that connections share';

CREATE FUNCTION neural.create_function(
    function_name text,
    model         text,
    returns       text    DEFAULT 'predict',
    version       int     DEFAULT NULL,
    replace       boolean DEFAULT false
) RETURNS regprocedure
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'create_function_wrapper';
COMMENT ON FUNCTION neural.create_function IS
    'makes an SQL function with the model''s features as its typed parameters';
-- Judging models on the rows of a query. The Rust side is src/pg/api/judging.rs.

CREATE FUNCTION neural.evaluate(model text, query text, target text DEFAULT NULL)
    RETURNS TABLE (metric text, value float8)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 9 AS 'MODULE_PATHNAME', 'evaluate_wrapper';
COMMENT ON FUNCTION neural.evaluate IS 'the metrics of a model on the rows of a query';

CREATE FUNCTION neural.confusion_matrix(model text, query text, target text DEFAULT NULL)
    RETURNS TABLE (actual text, predicted text, count bigint)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 4 AS 'MODULE_PATHNAME', 'confusion_matrix_wrapper';
COMMENT ON FUNCTION neural.confusion_matrix IS
    'how often each class was predicted for each actual one, on the rows of a query';
-- Scoring a table in place. The Rust side is src/pg/api/score_table.rs.
-- Without SET and with the invoker's rights: only such a procedure may commit.

CREATE PROCEDURE neural.score_table(
    model         text,
    target_table  regclass,
    output_column name,
    batch_rows    int     DEFAULT 50000,
    only_missing  boolean DEFAULT false
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'neural_score_table';
COMMENT ON PROCEDURE neural.score_table IS
    'writes a model''s answer for each row of a table into a column, batch by batch';
-- Encryption at rest.

CREATE FUNCTION neural.reencrypt() RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'reencrypt_wrapper';
COMMENT ON FUNCTION neural.reencrypt IS
    'encrypts all stored models with the first key of neural.encryption_key_command; how many versions were not';
-- How often models are called.

CREATE FUNCTION _neural.counted(version bigint, sha256 bytea)
    RETURNS TABLE (calls bigint, rows bigint, seconds float8, last_call timestamptz)
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 1
    AS 'MODULE_PATHNAME', 'counted_wrapper';

CREATE VIEW neural.stat_models WITH (security_barrier) AS
    SELECT m.name AS model,
           v.number AS version,
           coalesce(c.calls, 0) AS calls,
           coalesce(c.rows, 0) AS rows,
           coalesce(c.seconds, 0) AS seconds,
           c.last_call
    FROM _neural.model m
    JOIN _neural.version v ON v.model = m.id
    LEFT JOIN LATERAL _neural.counted(v.id, v.sha256) AS c ON true
    WHERE _neural.may_use(m.id, m.owner);
COMMENT ON VIEW neural.stat_models IS
    'how often each version was called, for how many rows and seconds, and when last';

CREATE FUNCTION neural.reset_stat_models(model text DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'reset_stat_models_wrapper';
COMMENT ON FUNCTION neural.reset_stat_models IS
    'begins to count anew the calls of a model, or of all that one manages';
-- How good predictions are, as aggregates over any table.
--
-- Those of one kind share a state and its functions, so that a query that asks for several of them takes
-- each row in once: auc, gini and ks, which keep and sort the scores; log_loss and brier; rmse, mae and r2.

CREATE FUNCTION _neural.ranking_transition(internal, float8, bool) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_ranking_transition';
CREATE FUNCTION _neural.ranking_combine(internal, internal) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'neural_ranking_combine';
CREATE FUNCTION _neural.ranking_serialize(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'neural_ranking_serialize';
CREATE FUNCTION _neural.ranking_deserialize(bytea, internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'neural_ranking_deserialize';
CREATE FUNCTION _neural.auc_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'neural_auc_final';
CREATE FUNCTION _neural.gini_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'neural_gini_final';
CREATE FUNCTION _neural.ks_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'neural_ks_final';

CREATE AGGREGATE neural.auc(score float8, label bool) (
    SFUNC = _neural.ranking_transition, STYPE = internal, SSPACE = 8192,
    FINALFUNC = _neural.auc_final, COMBINEFUNC = _neural.ranking_combine,
    SERIALFUNC = _neural.ranking_serialize, DESERIALFUNC = _neural.ranking_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.gini(score float8, label bool) (
    SFUNC = _neural.ranking_transition, STYPE = internal, SSPACE = 8192,
    FINALFUNC = _neural.gini_final, COMBINEFUNC = _neural.ranking_combine,
    SERIALFUNC = _neural.ranking_serialize, DESERIALFUNC = _neural.ranking_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.ks(score float8, label bool) (
    SFUNC = _neural.ranking_transition, STYPE = internal, SSPACE = 8192,
    FINALFUNC = _neural.ks_final, COMBINEFUNC = _neural.ranking_combine,
    SERIALFUNC = _neural.ranking_serialize, DESERIALFUNC = _neural.ranking_deserialize,
    PARALLEL = SAFE);

COMMENT ON AGGREGATE neural.auc(float8, bool) IS
    'area under the ROC curve: the chance that a positive row scores above a negative one';
COMMENT ON AGGREGATE neural.gini(float8, bool) IS 'Gini coefficient of a score, 2 * auc - 1';
COMMENT ON AGGREGATE neural.ks(float8, bool) IS
    'Kolmogorov-Smirnov distance between the scores of positive and negative rows';

CREATE FUNCTION _neural.probabilities_transition(internal, float8, bool) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_probabilities_transition';
CREATE FUNCTION _neural.probabilities_combine(internal, internal) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_probabilities_combine';
CREATE FUNCTION _neural.probabilities_serialize(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'neural_probabilities_serialize';
CREATE FUNCTION _neural.probabilities_deserialize(bytea, internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'neural_probabilities_deserialize';
CREATE FUNCTION _neural.log_loss_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_log_loss_final';
CREATE FUNCTION _neural.brier_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_brier_final';

CREATE AGGREGATE neural.log_loss(score float8, label bool) (
    SFUNC = _neural.probabilities_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.log_loss_final, COMBINEFUNC = _neural.probabilities_combine,
    SERIALFUNC = _neural.probabilities_serialize, DESERIALFUNC = _neural.probabilities_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.brier(score float8, label bool) (
    SFUNC = _neural.probabilities_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.brier_final, COMBINEFUNC = _neural.probabilities_combine,
    SERIALFUNC = _neural.probabilities_serialize, DESERIALFUNC = _neural.probabilities_deserialize,
    PARALLEL = SAFE);

COMMENT ON AGGREGATE neural.log_loss(float8, bool) IS
    'mean negative log-likelihood of the labels; scores are probabilities of true';
COMMENT ON AGGREGATE neural.brier(float8, bool) IS
    'mean squared distance of the probability from the label';

CREATE FUNCTION _neural.errors_transition(internal, float8, float8) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_errors_transition';
CREATE FUNCTION _neural.errors_combine(internal, internal) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_errors_combine';
CREATE FUNCTION _neural.errors_serialize(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'neural_errors_serialize';
CREATE FUNCTION _neural.errors_deserialize(bytea, internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'neural_errors_deserialize';
CREATE FUNCTION _neural.rmse_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_rmse_final';
CREATE FUNCTION _neural.mae_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_mae_final';
CREATE FUNCTION _neural.r2_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_r2_final';

CREATE AGGREGATE neural.rmse(predicted float8, actual float8) (
    SFUNC = _neural.errors_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.rmse_final, COMBINEFUNC = _neural.errors_combine,
    SERIALFUNC = _neural.errors_serialize, DESERIALFUNC = _neural.errors_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.mae(predicted float8, actual float8) (
    SFUNC = _neural.errors_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.mae_final, COMBINEFUNC = _neural.errors_combine,
    SERIALFUNC = _neural.errors_serialize, DESERIALFUNC = _neural.errors_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.r2(predicted float8, actual float8) (
    SFUNC = _neural.errors_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.r2_final, COMBINEFUNC = _neural.errors_combine,
    SERIALFUNC = _neural.errors_serialize, DESERIALFUNC = _neural.errors_deserialize,
    PARALLEL = SAFE);

COMMENT ON AGGREGATE neural.rmse(float8, float8) IS 'root of the mean squared error';
COMMENT ON AGGREGATE neural.mae(float8, float8) IS 'mean absolute error';
COMMENT ON AGGREGATE neural.r2(float8, float8) IS 'coefficient of determination';
-- Who may do what, said of every object, last: default privileges of the installing role may have
-- opened or closed any of them. Closed is the rule; what PUBLIC may use is listed.
DO $$
DECLARE
    -- Functions that call, judge, show or keep models. Each checks the invoker's right on the model.
    -- Training, importing and scoring tables (train*, resume_job, import_*, score_table) are granted by
    -- the administrator.
    public_functions CONSTANT text[] := ARRAY[
        'predict', 'predict_class', 'predict_proba',
        'predict_pinned', 'predict_class_pinned', 'predict_proba_pinned',
        'classes', 'create_function', 'model_cache_info', 'evaluate', 'confusion_matrix',
        'auc', 'gini', 'ks', 'log_loss', 'brier', 'rmse', 'mae', 'r2',
        'deploy', 'rollback', 'set_threshold', 'drop_model', 'rename_model', 'set_owner',
        'grant_model', 'revoke_model', 'export_model', 'check', 'reproduce', 'reset_stat_models',
        'cancel_job', 'wait_job', 'job_is_lost', 'may_manage', 'may_use', 'is_granted', 'described',
        'counted', 'references_in', 'shipped_architectures'];
    public_views CONSTANT text[] := ARRAY[
        'models', 'model_versions', 'training_history', 'architectures', 'model_grants',
        'deployments', 'model_users', 'stat_models', 'jobs'];
    object record;
    grantee oid;
BEGIN
    FOR object IN
        SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
               c.oid::regclass::text AS name, c.relowner AS owner, c.relacl AS acl,
               CASE WHEN c.relkind = 'v' AND c.relname = ANY (public_views)
                    THEN 'SELECT' END AS privilege
        FROM pg_depend d
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_neural'
        JOIN pg_class c ON c.oid = d.objid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass
          AND d.deptype = 'e' AND c.relkind IN ('r', 'v', 'S')
        UNION ALL
        SELECT 'ROUTINE', p.oid::regprocedure::text, p.proowner, p.proacl,
               CASE WHEN p.proname = ANY (public_functions) THEN 'EXECUTE' END
        FROM pg_depend d
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_neural'
        JOIN pg_proc p ON p.oid = d.objid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass
          AND d.deptype = 'e'
        UNION ALL
        SELECT 'TYPE', format_type(t.oid, NULL), t.typowner, t.typacl, NULL
        FROM pg_depend d
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_neural'
        JOIN pg_type t ON t.oid = d.objid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_type'::regclass
          AND d.deptype = 'e' AND t.typtype = 'b' AND t.typcategory <> 'A'
        UNION ALL
        SELECT 'SCHEMA', n.nspname, n.nspowner, n.nspacl,
               CASE n.nspname WHEN 'neural' THEN 'USAGE' END
        FROM pg_namespace n
        WHERE n.nspname IN ('neural', '_neural')
    LOOP
        FOR grantee IN
            SELECT DISTINCT a.grantee FROM aclexplode(object.acl) a
            WHERE a.grantee NOT IN (0, object.owner)
        LOOP
            EXECUTE format('REVOKE ALL ON %s %s FROM %s CASCADE',
                           object.kind, object.name, grantee::regrole);
        END LOOP;
        EXECUTE format('REVOKE ALL ON %s %s FROM PUBLIC CASCADE', object.kind, object.name);
        EXECUTE format('GRANT ALL ON %s %s TO %s', object.kind, object.name,
                       object.owner::regrole);
        IF object.privilege IS NOT NULL THEN
            EXECUTE format('GRANT %s ON %s %s TO PUBLIC',
                           object.privilege, object.kind, object.name);
        END IF;
    END LOOP;
END
$$;
