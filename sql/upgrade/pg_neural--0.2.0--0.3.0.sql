\echo Use "ALTER EXTENSION pg_neural UPDATE TO '0.3.0'" to load this file. \quit

CREATE FUNCTION neural.quantize(model text, query text, options jsonb DEFAULT '{}')
    RETURNS TABLE (version int, metric text, before float8, after float8)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 9 AS 'MODULE_PATHNAME', 'quantize_wrapper';
COMMENT ON FUNCTION neural.quantize IS
    'makes a version with 8-bit weights and activations, calibrated on the rows of a query; each metric on them before and after';
REVOKE ALL ON FUNCTION neural.quantize(text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION neural.quantize(text, text, jsonb) TO PUBLIC;

-- As it was, and what calls neural.quantize.
CREATE OR REPLACE VIEW _neural.model_reference AS
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
