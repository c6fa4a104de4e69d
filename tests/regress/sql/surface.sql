-- The SQL surface as it stands: what a release has is frozen. A change of the expected output is a change of
-- the contract: parameters keep their names, order and types, views gain columns at their end only, no name goes,
-- and an upgrade script in sql/upgrade/ must bring an older installation to the same.
\pset format unaligned
\pset tuples_only on
-- Functions, procedures and aggregates.
SELECT CASE p.prokind WHEN 'f' THEN 'function' WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'window function' END,
       p.oid::regproc || '(' || pg_get_function_arguments(p.oid) || ')' || coalesce(' returns ' || pg_get_function_result(p.oid), ''),
       CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
       CASE p.proparallel WHEN 's' THEN 'parallel safe' WHEN 'r' THEN 'parallel restricted' ELSE 'parallel unsafe' END,
       CASE WHEN p.proisstrict THEN 'strict' ELSE 'called on null input' END,
       CASE WHEN p.prosecdef THEN 'security definer' END
FROM pg_depend d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_neural') AND p.pronamespace = 'neural'::regnamespace
ORDER BY p.proname COLLATE "C", pg_get_function_arguments(p.oid) COLLATE "C";
-- Views, by column; and whether their rows are a dump's.
SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'neural'::regnamespace AND c.relkind IN ('v', 'm', 'r', 'p', 'f')
ORDER BY c.relname COLLATE "C", a.attnum;
-- The tables under them, which a dump carries and a later version must be able to load.
SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod),
       CASE WHEN c.oid = ANY (e.extconfig) THEN 'dumped' ELSE 'not dumped' END
FROM pg_extension e, pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE e.extname = 'pg_neural' AND c.relnamespace = '_neural'::regnamespace AND c.relkind = 'r'
ORDER BY c.relname COLLATE "C", a.attnum;
-- Types and operators of its own.
SELECT 'type', t.typname FROM pg_type t JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
WHERE d.refclassid = 'pg_extension'::regclass AND t.typnamespace = 'neural'::regnamespace AND t.typrelid = 0 AND t.typelem = 0
ORDER BY t.typname COLLATE "C";
-- Settings.
LOAD 'pg_neural';
-- The key command is the postmaster's, where that has loaded the library.
SELECT name, vartype, replace(context, 'postmaster', 'sighup'), boot_val FROM pg_settings WHERE name LIKE 'neural.%' ORDER BY name COLLATE "C";
\pset tuples_only off
\pset format aligned
