-- Run by scripts/demo, which sets :file to the German credit data.
\pset footer off
\pset null '-'
-- A training reports each epoch as a NOTICE; here its history is shown instead.
SET client_min_messages = warning;
CREATE EXTENSION pg_neural;

\echo
\echo '1. The data'
\echo '==========='
\echo
\echo 'A thousand people asked a German bank for credit. The table holds twenty facts about each,'
\echo 'and whether the credit turned out good or bad (UCI Statlog German Credit, CC BY 4.0).'
\echo
CREATE TABLE applicants (
    checking_account text,
    months integer,
    credit_history text,
    purpose text,
    amount integer,
    savings text,
    employed_since text,
    installment_rate integer,
    sex_and_status text,
    guarantors text,
    resident_years integer,
    property text,
    age integer,
    other_plans text,
    housing text,
    credits_here integer,
    job text,
    dependants integer,
    telephone text,
    foreign_worker text,
    credit text
);

-- \copy takes no variables itself; a variable that holds the whole command does.
\set load '\\copy applicants FROM ' :'file' ' WITH (FORMAT csv, HEADER)'
\timing on
\set QUIET off
:load
\set QUIET on
\timing off
\echo

ALTER TABLE applicants ADD COLUMN id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY;

\set ECHO queries
SELECT credit, count(*), round(avg(amount)) AS average_amount, round(avg(months)) AS average_months
FROM applicants GROUP BY credit ORDER BY credit;
\set ECHO none

\echo
\echo '2. Training'
\echo '==========='
\echo
\echo 'Every fifth applicant is kept away from the training, to see later how the model does on'
\echo 'people it has not met.'
\echo
\set ECHO queries
CREATE VIEW known AS
    SELECT checking_account, months, credit_history, purpose, amount, savings, employed_since,
           installment_rate, sex_and_status, guarantors, resident_years, property, age,
           other_plans, housing, credits_here, job, dependants, telephone, foreign_worker, credit
    FROM applicants WHERE id % 5 <> 0;
CREATE VIEW unseen AS SELECT * FROM applicants WHERE id % 5 = 0;
\set ECHO none
\echo
\echo 'One statement trains a neural network. No option is given: the column types decide how each'
\echo 'column is treated, and the column to predict decides what kind of model it is.'
\echo
\timing on
\set ECHO queries
SELECT version, epochs, train_loss, validation_loss
FROM neural.train('credit_risk', 'known', 'credit');
\set ECHO none
\timing off

\echo
\echo 'The model is kept in the database, with its owner. Its task was found from the data:'
\echo
\set ECHO queries
SELECT name, task, target, positive_class, parameters, owner FROM neural.models;
\set ECHO none
\echo
\echo 'How the loss fell, in ten of the epochs. Training stops when the validation loss has not'
\echo 'fallen for a while, and the best epoch is kept:'
\echo
SELECT h.epoch, round(h.train_loss::numeric, 4) AS train_loss,
       round(h.validation_loss::numeric, 4) AS validation_loss,
       CASE WHEN h.validation_loss = min(h.validation_loss) OVER () THEN '*' ELSE '' END AS best
FROM neural.training_history h
WHERE model = 'credit_risk'
  AND (epoch IN (SELECT 1 + (n * (max(epoch) - 1)) / 9
                 FROM neural.training_history, generate_series(0, 9) n
                 WHERE model = 'credit_risk' GROUP BY n)
       OR validation_loss = (SELECT min(validation_loss) FROM neural.training_history
                             WHERE model = 'credit_risk'))
ORDER BY epoch;

\echo
\echo '3. Is it any good?'
\echo '=================='
\echo
\echo 'The 200 applicants that the training never saw are the judges. An auc of 0.5 is guessing and'
\echo '1 is perfect; on these data good methods reach about 0.78, a little more or less with the'
\echo 'choice of the 200.'
\echo
\timing on
\set ECHO queries
SELECT metric, round(value::numeric, 3) AS value FROM neural.evaluate('credit_risk', 'unseen');
SELECT * FROM neural.confusion_matrix('credit_risk', 'unseen');
\set ECHO none
\timing off

\echo
\echo '4. Calling it'
\echo '============='
\echo
\echo 'The model becomes an SQL function, with the columns as named parameters. What is left out'
\echo 'counts as unknown. It gives the probability of a bad credit.'
\echo
\timing on
\set ECHO queries
SELECT neural.create_function('predict_risk', 'credit_risk') IS NOT NULL AS created;
SELECT predict_risk(age => 23, purpose => 'car (new)', amount => 9000, months => 48) AS risk;
\set ECHO none
\timing off

\echo
\echo 'Ten applicants whom the model has not met, the riskiest first:'
\echo
\timing on
\set ECHO queries
SELECT id, age, amount, months, purpose,
       round(predict_risk(
           checking_account, months, credit_history, purpose, amount, savings, employed_since,
           installment_rate, sex_and_status, guarantors, resident_years, property, age,
           other_plans, housing, credits_here, job, dependants, telephone, foreign_worker
       )::numeric, 3) AS risk,
       credit AS turned_out
FROM unseen WHERE id <= 50
ORDER BY risk DESC;
\set ECHO none
\timing off

\echo
\echo '5. The whole table, in place'
\echo '============================'
\echo
\timing on
\set QUIET off
\set ECHO queries
ALTER TABLE applicants ADD COLUMN risk float8;
UPDATE applicants SET risk = neural.predict('credit_risk', applicants);
\set ECHO none
\set QUIET on
\timing off

\echo
\echo 'The 200 unseen applicants, in fifths from the lowest risk to the highest. The share of bad'
\echo 'credits should climb:'
\echo
SELECT fifth, count(*) AS applicants, round(min(risk)::numeric, 2) AS risk_from,
       round(max(risk)::numeric, 2) AS risk_to,
       round(100.0 * count(*) FILTER (WHERE credit = 'bad') / count(*)) AS percent_bad
FROM (SELECT *, ntile(5) OVER (ORDER BY risk) AS fifth FROM applicants WHERE id % 5 = 0) t
GROUP BY fifth ORDER BY fifth;
\echo
\echo 'README.md goes on from here.'
