-- How good predictions are, as aggregates over any table.
--
-- Those of one kind share a state and its functions, so that a query that asks for several of them takes
-- each row in once: auc, gini and ks, which keep and sort the scores; log_loss and brier; rmse, mae and r2.

CREATE FUNCTION _neural.ranking_transition(internal, float8, bool) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_ranking_transition';
CREATE FUNCTION _neural.ranking_combine(internal, internal) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'neural_ranking_combine';
CREATE FUNCTION _neural.ranking_serialize(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'neural_ranking_serialize';
CREATE FUNCTION _neural.ranking_deserialize(bytea, internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'neural_ranking_deserialize';
CREATE FUNCTION _neural.auc_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'neural_auc_final';
CREATE FUNCTION _neural.gini_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'neural_gini_final';
CREATE FUNCTION _neural.ks_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'neural_ks_final';

CREATE AGGREGATE neural.auc(score float8, label bool) (
    SFUNC = _neural.ranking_transition, STYPE = internal, SSPACE = 8192,
    FINALFUNC = _neural.auc_final, COMBINEFUNC = _neural.ranking_combine,
    SERIALFUNC = _neural.ranking_serialize, DESERIALFUNC = _neural.ranking_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.gini(score float8, label bool) (
    SFUNC = _neural.ranking_transition, STYPE = internal, SSPACE = 8192,
    FINALFUNC = _neural.gini_final, COMBINEFUNC = _neural.ranking_combine,
    SERIALFUNC = _neural.ranking_serialize, DESERIALFUNC = _neural.ranking_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.ks(score float8, label bool) (
    SFUNC = _neural.ranking_transition, STYPE = internal, SSPACE = 8192,
    FINALFUNC = _neural.ks_final, COMBINEFUNC = _neural.ranking_combine,
    SERIALFUNC = _neural.ranking_serialize, DESERIALFUNC = _neural.ranking_deserialize,
    PARALLEL = SAFE);

COMMENT ON AGGREGATE neural.auc(float8, bool) IS
    'area under the ROC curve: the chance that a positive row scores above a negative one';
COMMENT ON AGGREGATE neural.gini(float8, bool) IS 'Gini coefficient of a score, 2 * auc - 1';
COMMENT ON AGGREGATE neural.ks(float8, bool) IS
    'Kolmogorov-Smirnov distance between the scores of positive and negative rows';

CREATE FUNCTION _neural.probabilities_transition(internal, float8, bool) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_probabilities_transition';
CREATE FUNCTION _neural.probabilities_combine(internal, internal) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_probabilities_combine';
CREATE FUNCTION _neural.probabilities_serialize(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'neural_probabilities_serialize';
CREATE FUNCTION _neural.probabilities_deserialize(bytea, internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'neural_probabilities_deserialize';
CREATE FUNCTION _neural.log_loss_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_log_loss_final';
CREATE FUNCTION _neural.brier_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_brier_final';

CREATE AGGREGATE neural.log_loss(score float8, label bool) (
    SFUNC = _neural.probabilities_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.log_loss_final, COMBINEFUNC = _neural.probabilities_combine,
    SERIALFUNC = _neural.probabilities_serialize, DESERIALFUNC = _neural.probabilities_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.brier(score float8, label bool) (
    SFUNC = _neural.probabilities_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.brier_final, COMBINEFUNC = _neural.probabilities_combine,
    SERIALFUNC = _neural.probabilities_serialize, DESERIALFUNC = _neural.probabilities_deserialize,
    PARALLEL = SAFE);

COMMENT ON AGGREGATE neural.log_loss(float8, bool) IS
    'mean negative log-likelihood of the labels; scores are probabilities of true';
COMMENT ON AGGREGATE neural.brier(float8, bool) IS
    'mean squared distance of the probability from the label';

CREATE FUNCTION _neural.errors_transition(internal, float8, float8) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_errors_transition';
CREATE FUNCTION _neural.errors_combine(internal, internal) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_errors_combine';
CREATE FUNCTION _neural.errors_serialize(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'neural_errors_serialize';
CREATE FUNCTION _neural.errors_deserialize(bytea, internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'neural_errors_deserialize';
CREATE FUNCTION _neural.rmse_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_rmse_final';
CREATE FUNCTION _neural.mae_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_mae_final';
CREATE FUNCTION _neural.r2_final(internal) RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'neural_r2_final';

CREATE AGGREGATE neural.rmse(predicted float8, actual float8) (
    SFUNC = _neural.errors_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.rmse_final, COMBINEFUNC = _neural.errors_combine,
    SERIALFUNC = _neural.errors_serialize, DESERIALFUNC = _neural.errors_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.mae(predicted float8, actual float8) (
    SFUNC = _neural.errors_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.mae_final, COMBINEFUNC = _neural.errors_combine,
    SERIALFUNC = _neural.errors_serialize, DESERIALFUNC = _neural.errors_deserialize,
    PARALLEL = SAFE);
CREATE AGGREGATE neural.r2(predicted float8, actual float8) (
    SFUNC = _neural.errors_transition, STYPE = internal, SSPACE = 128,
    FINALFUNC = _neural.r2_final, COMBINEFUNC = _neural.errors_combine,
    SERIALFUNC = _neural.errors_serialize, DESERIALFUNC = _neural.errors_deserialize,
    PARALLEL = SAFE);

COMMENT ON AGGREGATE neural.rmse(float8, float8) IS 'root of the mean squared error';
COMMENT ON AGGREGATE neural.mae(float8, float8) IS 'mean absolute error';
COMMENT ON AGGREGATE neural.r2(float8, float8) IS 'coefficient of determination';
