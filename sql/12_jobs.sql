-- Trainings in the background. The Rust side is src/pg/api/jobs and src/pg/background.

CREATE SEQUENCE _neural.job_id;

-- What a job was asked for, as given, and how far it is. The first columns are read by their places,
-- which `src/pg/own_table/columns.rs` names. A row says what was last told: whether the job's worker
-- still lives is told by a lock that the worker holds (`_neural.job_is_lost`).
CREATE TABLE _neural.job (
    id bigint CONSTRAINT job_pkey PRIMARY KEY DEFAULT nextval('_neural.job_id'),
    state text NOT NULL,
    requested_by _neural.role NOT NULL,
    -- When its worker was ordered: just before the requester's commit.
    ordered_at timestamptz,
    model text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    query text NOT NULL,
    target text NOT NULL,
    task text,
    architecture text,
    features jsonb,
    wanted_epochs int,
    batch_size int,
    learning_rate float8,
    optimizer text,
    validation float8,
    seed bigint NOT NULL,
    options jsonb NOT NULL,
    -- The requester's settings, by name.
    settings jsonb NOT NULL,
    epoch int,
    epochs int,
    rows_done bigint,
    rows_total bigint,
    train_loss float8,
    validation_loss float8,
    -- When the loop is reckoned to be done.
    ends_at timestamptz,
    error text,
    sqlstate text,
    version int,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz
);
ALTER TABLE _neural.job ENABLE ROW LEVEL SECURITY;

-- How far the training of a job is that may be broken off, in pieces. Not dumped: it is of no use but
-- beside the same rows, and gone when the job succeeds.
CREATE TABLE _neural.checkpoint (
    job bigint NOT NULL,
    number int NOT NULL,
    bytes bytea NOT NULL,
    -- The id of the key that it is encrypted with, if it is.
    encryption_key bytea,
    CONSTRAINT checkpoint_pkey PRIMARY KEY (job, number)
);
-- As those of `_neural.chunk`.
ALTER TABLE _neural.checkpoint ALTER COLUMN bytes SET STORAGE PLAIN;
ALTER TABLE _neural.checkpoint ALTER bytes SET STATISTICS 0;
ALTER TABLE _neural.checkpoint ENABLE ROW LEVEL SECURITY;

-- A dump carries the jobs, as history: one that had not ended shows as failed where it is restored, since
-- no worker holds its lock there.
SELECT pg_extension_config_dump('_neural.job_id', '');
SELECT pg_extension_config_dump('_neural.job', '');

-- Whether a job that has not ended has no worker any more, and will get none.
CREATE FUNCTION _neural.job_is_lost(job bigint) RETURNS bool
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'job_is_lost_wrapper';

CREATE FUNCTION neural.train_async(
    model         text,
    query         text,
    target        text,
    task          text    DEFAULT NULL,
    architecture  text    DEFAULT NULL,
    features      jsonb   DEFAULT NULL,
    epochs        int     DEFAULT NULL,
    batch_size    int     DEFAULT NULL,
    learning_rate float8  DEFAULT NULL,
    optimizer     text    DEFAULT NULL,
    validation    float8  DEFAULT NULL,
    seed          bigint  DEFAULT NULL,
    options       jsonb   DEFAULT '{}'
) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'train_async_wrapper';
COMMENT ON FUNCTION neural.train_async IS
    'trains as neural.train does, in a background worker that starts when the transaction commits; the number of the job';
CREATE FUNCTION neural.cancel_job(job bigint) RETURNS bool
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cancel_job_wrapper';
COMMENT ON FUNCTION neural.cancel_job IS 'tells a job to end; false if it has ended already';
CREATE FUNCTION neural.wait_job(job bigint, timeout interval DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'neural_wait_job';
COMMENT ON FUNCTION neural.wait_job IS
    'waits until a job has ended or the time is up; the state it is in then';
CREATE FUNCTION neural.resume_job(job bigint) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'resume_job_wrapper';
COMMENT ON FUNCTION neural.resume_job IS
    'goes on with a job that was broken off, from what its option "checkpoint" kept; the number of the job';

CREATE VIEW neural.jobs WITH (security_barrier) AS
    SELECT j.id AS job,
           j.model,
           j.kind,
           CASE WHEN l.is_lost THEN 'failed' ELSE j.state END AS state,
           j.epoch,
           j.epochs,
           j.rows_done,
           j.rows_total,
           j.train_loss,
           j.validation_loss,
           CASE WHEN j.state = 'running' AND NOT l.is_lost
                THEN greatest(j.ends_at - clock_timestamp(), interval '0') END AS eta,
           CASE WHEN NOT l.is_lost THEN j.error
                WHEN j.state = 'queued' THEN 'its worker never started; the server''s log may say why'
                ELSE 'its worker or the server ended before it could say why; the server''s log may' END AS error,
           CASE WHEN l.is_lost THEN '57P02' ELSE j.sqlstate END AS sqlstate,
           j.version,
           -- Not one that DROP OWNED took its jobs from.
           (SELECT r.rolname FROM pg_roles r WHERE r.oid = j.requested_by
                AND (_neural.is_granted(j.requested_by)
                     OR NOT EXISTS (SELECT FROM _neural.holder h WHERE h.role = j.requested_by::oid))) AS requested_by,
           j.started_at,
           j.finished_at
    FROM _neural.job j
    CROSS JOIN LATERAL (
        SELECT j.state IN ('queued', 'running') AND _neural.job_is_lost(j.id) AS is_lost) l
    WHERE _neural.may_manage(j.requested_by);
