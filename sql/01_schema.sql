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
