-- What CREATE EXTENSION leaves behind: everything in one schema, nothing open that need not be.
SELECT extname, extrelocatable AS relocatable
FROM pg_extension
WHERE extname = 'pg_neural';

SELECT count(*) AS outside_the_schema
FROM pg_depend d
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_neural'
JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  AND p.pronamespace NOT IN ('neural'::regnamespace, '_neural'::regnamespace);

-- PUBLIC may look into the schema, and make nothing there.
SELECT has_schema_privilege('public', 'neural', 'USAGE') AS usage,
       has_schema_privilege('public', 'neural', 'CREATE') AS creates;

-- No table is open to PUBLIC, views apart.
SELECT c.relname
FROM pg_class c
WHERE c.relnamespace = 'neural'::regnamespace AND c.relkind IN ('r', 'p', 'S')
  AND (has_table_privilege('public', c.oid, 'SELECT') OR has_table_privilege('public', c.oid, 'UPDATE'))
ORDER BY c.relname;

-- Views that hide rows must not let a function of the reader's see them first.
SELECT c.relname
FROM pg_class c
WHERE c.relnamespace = 'neural'::regnamespace AND c.relkind = 'v'
  AND coalesce(NOT 'security_barrier=true' = ANY (c.reloptions), true)
ORDER BY c.relname;
