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
      AND p.prosrc ~ '\m(predict|predict_class|predict_proba|classes|evaluate|confusion_matrix|quantize|score_table|train|deploy|rollback|set_threshold|export_model|import_model|import_weights|create_function)\s*\('
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
