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
        'deploy', 'rollback', 'set_threshold', 'quantize', 'drop_model', 'rename_model', 'set_owner',
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
