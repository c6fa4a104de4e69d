-- Keeping models: deploying, dropping, renaming, sharing, carrying elsewhere, looking at.

CREATE FUNCTION neural.deploy(model text, version int) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'deploy_wrapper';
CREATE FUNCTION neural.rollback(model text) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'rollback_wrapper';
CREATE FUNCTION neural.drop_model(model text, version int DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'drop_model_wrapper';
CREATE FUNCTION neural.rename_model(model text, new_name text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'rename_model_wrapper';
CREATE FUNCTION neural.set_owner(model text, new_owner regrole) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'set_owner_wrapper';
CREATE FUNCTION neural.grant_model(model text, grantee regrole) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'grant_model_wrapper';
CREATE FUNCTION neural.revoke_model(model text, grantee regrole) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'revoke_model_wrapper';

CREATE FUNCTION neural.export_model(model text) RETURNS bytea
    LANGUAGE c AS 'MODULE_PATHNAME', 'export_model_wrapper';
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

-- The rights that the views go by: the same code that guards the functions.
CREATE FUNCTION _neural.may_manage(owner _neural.role) RETURNS bool
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'may_manage_wrapper';
CREATE FUNCTION _neural.may_use(owner _neural.role, grantees _neural.role[]) RETURNS bool
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'may_use_wrapper';

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
           v.classes,
           m.positive_class,
           CASE WHEN _neural.may_manage(m.owner) THEN v.features
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
           (SELECT r.rolname FROM pg_roles r WHERE r.oid = m.owner) AS owner,
           m.created_at
    FROM _neural.model m
    LEFT JOIN _neural.version v ON v.id = m.deployed
    WHERE _neural.may_use(m.owner, m.grantees);

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
           v.extension_version
    FROM _neural.model m
    JOIN _neural.version v ON v.model = m.id
    WHERE _neural.may_use(m.owner, m.grantees);

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
    WHERE _neural.may_use(m.owner, m.grantees);
