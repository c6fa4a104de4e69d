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
