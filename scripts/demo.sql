-- Run by scripts/demo, which sets :file to the German credit data.
\pset footer off
\pset null '-'
SET client_min_messages = notice;

\echo
\echo '1. The data'
\echo '==========='
\echo
\echo 'A thousand people who asked a German bank for credit: twenty facts about each, and whether the'
\echo 'credit turned out good or bad (UCI Statlog German Credit, CC BY 4.0). An ordinary table:'
\echo
CREATE EXTENSION pg_neural;

CREATE TABLE applicants (
    status_of_existing_checking_account text,
    duration_in_month integer,
    credit_history text,
    purpose text,
    credit_amount integer,
    savings_account_and_bonds text,
    present_employment_since text,
    installment_rate_in_percentage_of_disposable_income integer,
    personal_status_and_sex text,
    other_debtors_or_guarantors text,
    present_residence_since integer,
    property text,
    age_in_years integer,
    other_installment_plans text,
    housing text,
    number_of_existing_credits_at_this_bank integer,
    job text,
    number_of_people_being_liable_to_provide_maintenance_for integer,
    telephone text,
    foreign_worker text,
    creditability text
);

-- \copy takes no variables itself; a variable that holds the whole command does.
\echo 'COPY applicants FROM ''german_credit.csv'' …'
\set load '\\copy applicants FROM ' :'file' ' WITH (FORMAT csv, HEADER)'
\timing on
\set QUIET off
:load
\set QUIET on
\timing off
\echo

ALTER TABLE applicants
    ADD COLUMN id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ADD COLUMN risk float8;

-- Every fifth applicant is kept from the training, to see how the model does on people it has not met.
CREATE VIEW known AS
    SELECT status_of_existing_checking_account, duration_in_month, credit_history, purpose, credit_amount,
           savings_account_and_bonds, present_employment_since,
           installment_rate_in_percentage_of_disposable_income, personal_status_and_sex,
           other_debtors_or_guarantors, present_residence_since, property, age_in_years,
           other_installment_plans, housing, number_of_existing_credits_at_this_bank, job,
           number_of_people_being_liable_to_provide_maintenance_for, telephone, foreign_worker,
           creditability
    FROM applicants WHERE id % 5 <> 0;
CREATE VIEW unseen AS SELECT * FROM applicants WHERE id % 5 = 0;

SELECT creditability, count(*), round(avg(credit_amount)) AS average_amount,
       round(avg(duration_in_month)) AS average_months
FROM applicants GROUP BY creditability ORDER BY creditability;

\echo
\echo '2. Training'
\echo '==========='
\echo
\echo 'One statement, and no option: the columns'' types decide how each is treated, the target''s type'
\echo 'and values decide the task. 800 applicants are given; the other 200 are kept aside.'
\echo
\echo 'SELECT * FROM neural.train(''credit_risk'', ''known'', ''creditability'');'
\echo
\timing on
SELECT model, version, epochs, round(train_loss::numeric, 4) AS train_loss,
       round(validation_loss::numeric, 4) AS validation_loss, round(seconds::numeric, 2) AS seconds
FROM neural.train('credit_risk', 'known', 'creditability');
\timing off

\echo
\echo 'The model is a row in the database now, with its owner and its history. How the loss fell:'
\echo
SELECT epoch, round(train_loss::numeric, 4) AS train_loss,
       round(validation_loss::numeric, 4) AS validation_loss
FROM neural.training_history h
WHERE model = 'credit_risk'
  AND epoch IN (SELECT 1 + (n * (max(epoch) - 1)) / 9
                FROM neural.training_history, generate_series(0, 9) n
                WHERE model = 'credit_risk' GROUP BY n)
ORDER BY epoch;

SELECT name, version, task, positive_class, parameters, size_bytes, owner FROM neural.models;

\echo
\echo '3. Is it any good?'
\echo '=================='
\echo
\echo 'Judged on the 200 applicants that the training never saw. An auc of 0.5 is guessing, 1 is perfect;'
\echo 'on these data good methods reach about 0.78.'
\echo
\timing on
SELECT metric, round(value::numeric, 3) AS value FROM neural.evaluate('credit_risk', 'unseen');
\timing off
SELECT * FROM neural.confusion_matrix('credit_risk', 'unseen') ORDER BY actual, predicted;

\echo
\echo '4. Calling it'
\echo '============='
\echo
\echo 'create_function makes an SQL function with the model''s columns as its parameters. It can be used'
\echo 'wherever SQL takes an expression; what is not given counts as unknown.'
\echo
\echo 'SELECT neural.create_function(''predict_risk'', ''credit_risk'');'
\echo 'SELECT predict_risk(age_in_years => 23, purpose => ''car (new)'', credit_amount => 9000,'
\echo '                    duration_in_month => 48);'
\echo
\timing on
SELECT 'predict_risk' AS created FROM neural.create_function('predict_risk', 'credit_risk');
SELECT round(predict_risk(age_in_years => 23, purpose => 'car (new)', credit_amount => 9000,
                          duration_in_month => 48)::numeric, 3) AS risk_of_a_young_car_buyer;
\timing off

\echo
\echo 'Ten applicants whom the model has not met, the riskiest first:'
\echo
\timing on
SELECT id, age_in_years AS age, credit_amount AS amount, duration_in_month AS months, purpose,
       round(predict_risk(
           status_of_existing_checking_account, duration_in_month, credit_history, t.purpose,
           credit_amount, savings_account_and_bonds, present_employment_since,
           installment_rate_in_percentage_of_disposable_income, personal_status_and_sex,
           other_debtors_or_guarantors, present_residence_since, property, age_in_years,
           other_installment_plans, housing, number_of_existing_credits_at_this_bank, job,
           number_of_people_being_liable_to_provide_maintenance_for, telephone, foreign_worker
       )::numeric, 3) AS risk_score, creditability AS turned_out
FROM (SELECT * FROM unseen ORDER BY id LIMIT 10) t
ORDER BY risk_score DESC;
\timing off

\echo
\echo '5. The whole table, in place'
\echo '============================'
\echo
\echo 'UPDATE applicants SET risk = predict_risk(status_of_existing_checking_account, …);'
\echo
\timing on
\set QUIET off
UPDATE applicants SET risk = predict_risk(
    status_of_existing_checking_account, duration_in_month, credit_history, purpose, credit_amount,
    savings_account_and_bonds, present_employment_since,
    installment_rate_in_percentage_of_disposable_income, personal_status_and_sex,
    other_debtors_or_guarantors, present_residence_since, property, age_in_years,
    other_installment_plans, housing, number_of_existing_credits_at_this_bank, job,
    number_of_people_being_liable_to_provide_maintenance_for, telephone, foreign_worker);
\set QUIET on
\timing off

\echo
\echo 'Sorted into fifths by the model''s risk, the share that turned out bad should climb:'
\echo
SELECT fifth, count(*) AS applicants, round(min(risk)::numeric, 2) AS risk_from,
       round(max(risk)::numeric, 2) AS risk_to,
       round(100.0 * count(*) FILTER (WHERE creditability = 'bad') / count(*)) AS percent_bad
FROM (SELECT *, ntile(5) OVER (ORDER BY risk) AS fifth FROM applicants WHERE id % 5 = 0) t
GROUP BY fifth ORDER BY fifth;
\echo
\echo 'That is the 200 unseen applicants. README.md goes on from here.'
