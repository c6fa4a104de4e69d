-- What pg_stat_activity shows of a training that computes: from PostgreSQL 17 on a wait event of its own.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE TABLE waited AS SELECT i, sin(i) AS x, cos(i * 0.7) AS z, sin(i) + cos(i * 0.7) > 0 AS y FROM generate_series(1, 300) AS i;
SELECT neural.train_async('waited', 'SELECT x, z, y FROM waited', 'y', epochs => 10000000) AS job \gset
DO $$
DECLARE
    is_named CONSTANT bool := current_setting('server_version_num')::int >= 170000;
    expected CONSTANT text := CASE WHEN is_named THEN 'Extension NeuralTrain' ELSE '' END;
    shown text;
    known bool;
BEGIN
    -- Now and then it tells how far it is, and has PostgreSQL's own events.
    FOR attempt IN 1..6000 LOOP
        PERFORM pg_stat_clear_snapshot();
        shown := (SELECT concat_ws(' ', wait_event_type, wait_event) FROM pg_stat_activity
                  WHERE backend_type = 'pg_neural job' AND query ~ ': epoch \d+ of 10000000$');
        EXIT WHEN shown = expected;
        PERFORM pg_sleep(0.01);
    END LOOP;
    IF shown IS DISTINCT FROM expected THEN
        RAISE '% is shown', shown;
    END IF;
    IF is_named THEN
        EXECUTE 'SELECT count(*) = 1 FROM pg_wait_events WHERE type = ''Extension'' AND name = ''NeuralTrain''' INTO known;
        IF NOT known THEN
            RAISE 'pg_wait_events does not have it';
        END IF;
    END IF;
END
$$;
SELECT neural.cancel_job(:job), neural.wait_job(:job, '5 min');
-- Nothing is shown after a training, however it ended.
SELECT version FROM neural.train('waited', 'SELECT x, z, y FROM waited', 'y', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = pg_backend_pid();
SET statement_timeout = '200ms';
SELECT neural.train('waited', 'SELECT x, z, y FROM waited', 'y', epochs => 10000000, options => '{"verbose": false}');
RESET statement_timeout;
SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = pg_backend_pid();
SELECT neural.drop_model('waited');
DROP TABLE waited;
