-- Trainings in the background: what is checked at once, states, errors, settings, rights.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE ROLE jobs_one LOGIN;
CREATE ROLE jobs_member LOGIN IN ROLE jobs_one;
CREATE ROLE jobs_stranger LOGIN;
CREATE SCHEMA jobs;
GRANT USAGE, CREATE ON SCHEMA jobs TO jobs_one;
SET search_path = jobs, public;
CREATE TABLE t AS SELECT i, sin(i) AS x, cos(i * 0.7) AS z, sin(i) + cos(i * 0.7) > 0 AS y FROM generate_series(1, 300) AS i;
GRANT SELECT ON t TO PUBLIC;
GRANT EXECUTE ON FUNCTION neural.train, neural.train_async TO jobs_one, jobs_stranger;

-- The same bits as in the session.
SELECT neural.train_async('m', 'SELECT x, z, y FROM t', 'y', epochs => 3, seed => 1) AS job \gset
SELECT neural.wait_job(:job, '5 min');
SELECT version FROM neural.train('m', 'SELECT x, z, y FROM t', 'y', epochs => 3, seed => 1, options => '{"verbose": false}');
SELECT count(DISTINCT sha256), count(*), bool_or(deployed) AS deployed FROM neural.model_versions WHERE model = 'm';
SELECT model, kind, state, epoch, epochs, rows_done, rows_total, train_loss > 0 AS train_loss, validation_loss > 0 AS validation_loss,
       eta, error, sqlstate, version, requested_by, finished_at >= started_at AS in_time
FROM neural.jobs WHERE job = :job;
SELECT neural.cancel_job(:job);

-- The time that is waited for may be none, or be up.
SELECT neural.wait_job(:job, '0'), neural.wait_job(:job, '-1 day');

-- What can be checked is checked at once.
SELECT neural.train_async('m2', 'SELECT x, y FROM nothing', 'y');
\echo :LAST_ERROR_SQLSTATE
SELECT neural.train_async('m2', 'SELECT x, y FROM t', 'w');
\echo :LAST_ERROR_SQLSTATE
SELECT neural.train_async('m2', 'SELECT x, y FROM t', 'y', options => '{"chekpoint": 3}');
\echo :LAST_ERROR_SQLSTATE
SELECT neural.train_async('m2', 'SELECT x, y FROM t', 'y', epochs => 0);
SELECT neural.train_async('m2', 'SELECT x, y FROM t', 'y', architecture => 'nothing');
SELECT neural.train_async('m@2', 'SELECT x, y FROM t', 'y');
SELECT neural.train_async('m2', 'DELETE FROM t RETURNING x, y', 'y');
SELECT neural.train_async(NULL, 'SELECT x, y FROM t', 'y');
\echo :LAST_ERROR_SQLSTATE
CREATE TEMP TABLE own AS TABLE t;
CREATE TEMP VIEW own_view AS SELECT x, y FROM t;
SELECT neural.train_async('m2', 'SELECT x, y FROM own', 'y');
\echo :LAST_ERROR_SQLSTATE
SELECT neural.train_async('m2', 'own_view', 'y');
CREATE MATERIALIZED VIEW restricted AS SELECT neural.train_async('m2', 'SELECT x, y FROM jobs.t', 'y') AS job WITH NO DATA;
BEGIN READ ONLY;
SELECT neural.train_async('m2', 'SELECT x, y FROM t', 'y');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
REFRESH MATERIALIZED VIEW restricted;
SELECT neural.wait_job(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT neural.cancel_job(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT neural.wait_job(NULL);
SELECT neural.cancel_job(NULL);


-- A job starts when its transaction commits; until then it can be seen and ended there.
BEGIN;
SELECT neural.train_async('kept', 'SELECT x, y FROM t', 'y', epochs => 1) AS kept \gset
SELECT neural.train_async('ended', 'SELECT x, y FROM t', 'y', epochs => 1) AS ended \gset
SAVEPOINT part;
SELECT neural.train_async('undone', 'SELECT x, y FROM t', 'y', epochs => 1) AS undone \gset
ROLLBACK TO part;
SELECT neural.cancel_job(:ended);
SELECT model, state, started_at FROM neural.jobs WHERE job >= :kept ORDER BY job;
SAVEPOINT waiting;
SELECT neural.wait_job(:kept);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO waiting;
COMMIT;
SELECT neural.wait_job(:kept), neural.wait_job(:ended);
SELECT model, state, sqlstate, error, version FROM neural.jobs WHERE job >= :kept ORDER BY job;
SELECT neural.wait_job(:undone);
BEGIN;
SELECT neural.train_async('undone', 'SELECT x, y FROM t', 'y', epochs => 1);
ROLLBACK;
BEGIN;
SELECT neural.train_async('undone', 'SELECT x, y FROM t', 'y', epochs => 1) > 0 AS made;
PREPARE TRANSACTION 'jobs';
\echo :LAST_ERROR_SQLSTATE
-- In blocks, functions and their exceptions.
DO $$
DECLARE job bigint;
BEGIN
    job := neural.train_async('from_block', 'SELECT x, y FROM t', 'y', epochs => 1);
    BEGIN
        PERFORM neural.train_async('undone', 'SELECT x, y FROM t', 'y', epochs => 1);
        RAISE 'back';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    COMMIT;
    RAISE WARNING 'the job has %', neural.wait_job(job, '5 min');
END
$$;
SELECT model, state FROM neural.jobs WHERE model IN ('from_block', 'undone');

-- What goes wrong later is told by the job.
SELECT neural.train_async('failing', 'SELECT x, 1 / (i - 5) AS w, y FROM t', 'y') AS job \gset
SELECT neural.wait_job(:job, '5 min');
SELECT state, sqlstate, error, version, started_at IS NOT NULL AS started, finished_at IS NOT NULL AS finished FROM neural.jobs WHERE job = :job;
SELECT neural.train_async('failing', 'SELECT x, true AS y FROM t', 'y') AS job \gset
SELECT neural.wait_job(:job, '5 min');
SELECT state, sqlstate, error FROM neural.jobs WHERE job = :job;
CREATE FUNCTION reads_own() RETURNS SETOF t LANGUAGE plpgsql AS $$BEGIN RETURN QUERY SELECT * FROM own; END$$;
SELECT neural.train_async('failing', 'SELECT x, y FROM reads_own()', 'y') AS job \gset
SELECT neural.wait_job(:job, '5 min');
SELECT state, sqlstate, error FROM neural.jobs WHERE job = :job;

-- The requester's settings go along, those of applications too; what belongs to the connection does not.
CREATE SCHEMA jobs_other;
CREATE TABLE jobs_other.named AS SELECT x, y, '2020-02-01'::text AS day FROM t;
SET search_path = jobs_other, public;
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Tokyo';
SET extra_float_digits = 0;
SET app.tenant = 'seven';
SET statement_timeout = '10min';
SELECT neural.train_async('carried', $$SELECT x, y FROM named
    WHERE 1 / (current_setting('datestyle') = 'SQL, DMY')::int + 1 / (current_setting('timezone') = 'Asia/Tokyo')::int
        + 1 / (current_setting('app.tenant') = 'seven')::int + 1 / (current_setting('extra_float_digits') = '0')::int
        + 1 / (current_setting('statement_timeout') = '0')::int + 1 / (current_setting('application_name') <> 'pg_regress/jobs')::int
        = 6$$, 'y', epochs => 1) AS job \gset
SELECT neural.wait_job(:job, '5 min');
SELECT state, sqlstate, error FROM neural.jobs WHERE job = :job;
RESET datestyle;
RESET timezone;
RESET extra_float_digits;
RESET app.tenant;
RESET statement_timeout;
SET search_path = jobs, public;

-- What is kept of a job that was broken off is gone on from.
SELECT neural.train_async('m2', 'SELECT x, y FROM t', 'y', options => '{"checkpoint": 0}');
SELECT neural.resume_job(:job);
\echo :LAST_ERROR_SQLSTATE
SELECT neural.train_async('failing', 'SELECT x, 1 / (i - 5) AS w, y FROM t', 'y', options => '{"checkpoint": 1}') AS job \gset
SELECT neural.wait_job(:job, '5 min');
SELECT neural.resume_job(:job);
\echo :LAST_ERROR_SQLSTATE
SELECT neural.resume_job(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT neural.train_async('m3', 'SELECT x, y FROM t', 'y', epochs => 3, options => '{"checkpoint": 1}') AS job \gset
SELECT neural.wait_job(:job, '5 min');
SELECT count(*) FROM _neural.checkpoint;

-- Jobs that had not ended where a dump was made.
INSERT INTO _neural.job (id, state, requested_by, ordered_at, model, kind, query, target, seed, options, settings)
VALUES (-2, 'running', 'postgres', '2020-01-01', 'dumped', 'train', 't', 'y', 1, '{}', '{}'),
       (-3, 'queued', 'postgres', '2020-01-01', 'dumped', 'train', 't', 'y', 1, '{}', '{}'),
       (-4, 'succeeded', 'none', '2020-01-01', 'dumped', 'train', 't', 'y', 1, '{}', '{}');
SELECT job, state, sqlstate, error, requested_by FROM neural.jobs WHERE model = 'dumped' ORDER BY job DESC;
SELECT neural.wait_job(-2), neural.wait_job(-3), neural.wait_job(-4), neural.cancel_job(-2), neural.cancel_job(-3);
SELECT neural.resume_job(-2);

-- How many there may be.
SET neural.max_jobs = 0;
SELECT neural.train_async('m2', 'SELECT x, y FROM t', 'y', epochs => 1);
\echo :LAST_ERROR_SQLSTATE
SET neural.max_jobs = 1;
BEGIN;
SELECT count(neural.train_async('m2', 'SELECT x, y FROM t', 'y', epochs => 1)) FROM generate_series(1, 2);
COMMIT;
\echo :LAST_ERROR_SQLSTATE
RESET neural.max_jobs;
SELECT count(*) FROM neural.jobs WHERE model = 'm2';

-- Who may see a job, wait for it and end it: its requester, members, superusers.
SET ROLE jobs_one;
SELECT neural.train_async('theirs', 'SELECT x, y FROM jobs.t', 'y', epochs => 1) AS job \gset
SELECT neural.wait_job(:job, '5 min');
SELECT model, state, requested_by FROM neural.jobs;
SELECT owner FROM neural.models WHERE name = 'theirs';
SET neural.max_jobs = 9;
SET ROLE jobs_member;
SELECT model, state, requested_by FROM neural.jobs;
SELECT neural.wait_job(:job), neural.cancel_job(:job);
SELECT neural.train_async('theirs', 'SELECT x, y FROM jobs.t', 'y', epochs => 1) AS member_job \gset
SELECT neural.wait_job(:member_job, '5 min');
SET ROLE jobs_stranger;
SELECT count(*) FROM neural.jobs;
SELECT neural.wait_job(:job);
\echo :LAST_ERROR_SQLSTATE
SELECT neural.cancel_job(:job);
\echo :LAST_ERROR_SQLSTATE
SELECT neural.train_async('theirs', 'SELECT x, y FROM jobs.t', 'y', epochs => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM _neural.job;
RESET ROLE;

SET client_min_messages = warning;
RESET search_path;
DROP SCHEMA jobs, jobs_other CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
DROP ROLE jobs_one, jobs_member, jobs_stranger;
