//! Every released version is brought to today's: the same objects, the same predictions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use postgres::Client;

use crate::fixture::{create_loans, score, sha256, train};
use crate::harness::Cluster;

/// A line for each thing that the extension has and another installation could have otherwise: what
/// its functions, tables, columns, constraints, indexes, views, types, casts, operators, sequences and
/// triggers are, who may use them, what is said of them, and what a dump takes along.
const OBJECTS: &str = r#"
WITH member AS (
    SELECT classid, objid FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
      AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_neural')
), relation AS (
    SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
)
SELECT 'object ' || pg_describe_object(classid, objid, 0) || ' '
       || coalesce(obj_description(objid, classid::regclass::name), '') FROM member
UNION ALL
SELECT 'function ' || pg_get_functiondef(p.oid) || ' ' || p.procost || ' ' || p.prorows || ' '
       || coalesce(p.proacl::text, '') || ' ' || p.prosupport
FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
WHERE p.prokind <> 'a'
UNION ALL
SELECT 'aggregate ' || a.aggfnoid::regprocedure || ' ' || coalesce(p.proacl::text, '') || ' '
       || concat_ws(' ', aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn,
            aggfinalextra, aggfinalmodify, aggtranstype::regtype, aggtransspace, agginitval, p.proparallel)
FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
UNION ALL
SELECT 'relation ' || oid::regclass || ' ' || relkind::text || ' ' || coalesce(reloptions::text, '') || ' '
       || coalesce(relacl::text, '') || ' ' || relrowsecurity || relforcerowsecurity || relpersistence::text
       || CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) ELSE '' END FROM relation
UNION ALL
SELECT 'column ' || a.attrelid::regclass || ' ' || a.attnum || ' '
       || concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage,
            a.attcompression, a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid), a.attgenerated,
            a.attacl, col_description(a.attrelid, a.attnum))
FROM pg_attribute a JOIN relation r ON r.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint ' || c.conrelid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid)
FROM pg_constraint c JOIN relation r ON r.oid = c.conrelid
UNION ALL
SELECT 'index ' || pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN relation r ON r.oid = i.indrelid
UNION ALL
SELECT 'policy ' || p.polrelid::regclass || ' ' || p.polname || ' ' || p.polcmd::text || ' '
       || coalesce(pg_get_expr(p.polqual, p.polrelid), '')
FROM pg_policy p JOIN relation r ON r.oid = p.polrelid
UNION ALL
SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid
UNION ALL
SELECT 'sequence ' || s.seqrelid::regclass || ' '
       || concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle)
FROM pg_sequence s JOIN relation r ON r.oid = s.seqrelid
UNION ALL
SELECT 'type ' || t.oid::regtype || ' '
       || concat_ws(' ', typlen, typbyval, typtype, typcategory, typinput, typoutput, typalign, typstorage, typacl)
FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
UNION ALL
SELECT 'cast ' || castsource::regtype || ' ' || casttarget::regtype || ' '
       || concat_ws(' ', castfunc::regprocedure, castcontext, castmethod)
FROM pg_cast c JOIN member m ON m.classid = 'pg_cast'::regclass AND m.objid = c.oid
UNION ALL
SELECT 'event trigger ' || concat_ws(' ', evtname, evtevent, evtfoid::regprocedure, evtenabled, evttags)
FROM pg_event_trigger t JOIN member m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid
UNION ALL
SELECT 'dumped ' || t.relation::regclass || ' ' || t.condition
FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS t(relation, condition)
WHERE e.extname = 'pg_neural'
UNION ALL
SELECT 'schema ' || n.nspname || ' ' || coalesce(n.nspacl::text, '')
FROM pg_namespace n WHERE n.nspname IN ('neural', '_neural')
"#;

fn objects(client: &mut Client) -> BTreeSet<String> {
    let rows = client.query(OBJECTS, &[]).expect("the objects");
    rows.iter().map(|row| row.get(0)).collect()
}

fn released() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/released");
    let files = fs::read_dir(folder).expect("the folder");
    let names = files.map(|file| file.expect("a file").file_name());
    names
        .filter_map(|name| {
            let name = name.to_str()?;
            let version = name.strip_prefix("pg_neural--")?.strip_suffix(".sql")?;
            Some(version.to_owned())
        })
        .collect()
}

#[test]
fn a_released_version_becomes_todays_and_predicts_the_same() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    let fresh = objects(&mut client);
    assert!(fresh.len() > 200, "{}", fresh.len());
    for version in released() {
        let database = format!("from_{}", version.replace('.', "_"));
        client
            .batch_execute(&format!("CREATE DATABASE {database}"))
            .unwrap();
        let mut client = cluster.connect("postgres", &database);
        client
            .batch_execute(&format!("CREATE EXTENSION pg_neural VERSION '{version}'"))
            .unwrap();
        create_loans(&mut client, 500);
        // By the new library, which serves a database that is not upgraded yet.
        train(&mut client, "risk", 1);
        let (hash, answer) = (sha256(&mut client, "risk"), score(&mut client, "risk"));
        client
            .batch_execute("ALTER EXTENSION pg_neural UPDATE")
            .unwrap();
        let upgraded = objects(&mut client);
        let missing: Vec<_> = fresh.difference(&upgraded).collect();
        let more: Vec<_> = upgraded.difference(&fresh).collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "from {version}: missing {missing:#?}, other {more:#?}"
        );
        assert_eq!(sha256(&mut client, "risk"), hash);
        assert_eq!(score(&mut client, "risk").to_bits(), answer.to_bits());
        assert_eq!(train(&mut client, "risk", 2), 2);
    }
}

/// The comparison sees what an upgrade script may forget.
#[test]
fn a_difference_is_seen() {
    let cluster = Cluster::with_extension(&[]);
    let mut client = cluster.superuser();
    let fresh = objects(&mut client);
    for change in [
        "COMMENT ON FUNCTION neural.deploy IS 'other'",
        "GRANT SELECT ON _neural.chunk TO PUBLIC",
        "ALTER TABLE _neural.version ADD more int",
        "ALTER TABLE _neural.version ALTER claimed DROP DEFAULT",
        "ALTER FUNCTION neural.predict COST 7",
        "ALTER FUNCTION neural.classes PARALLEL UNSAFE",
        "CREATE INDEX ON _neural.version (number)",
        "ALTER TABLE _neural.chunk ALTER bytes SET STORAGE EXTENDED",
        "ALTER VIEW neural.models RESET (security_barrier)",
        "ALTER SEQUENCE _neural.model_id INCREMENT 2",
        "ALTER EXTENSION pg_neural DROP VIEW neural.architectures",
        "ALTER TABLE _neural.model DISABLE ROW LEVEL SECURITY",
        "UPDATE pg_extension SET extconfig = extconfig[2:], extcondition = extcondition[2:]
         WHERE extname = 'pg_neural'",
    ] {
        let mut changed = client.transaction().unwrap();
        changed.batch_execute(change).unwrap();
        let rows = changed.query(OBJECTS, &[]).unwrap();
        let seen: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_ne!(seen, fresh, "{change}");
    }
}
