-- Training. The Rust side is src/pg/api/training.

CREATE FUNCTION neural.train(
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
) RETURNS TABLE (
    model text, version int, epochs int, train_loss float8, validation_loss float8,
    metrics jsonb, seconds float8
)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'train_wrapper';
COMMENT ON FUNCTION neural.train IS
    'trains a network on the rows of a query and stores it as a new version of the model';

CREATE FUNCTION neural.reproduce(model text, version int DEFAULT NULL)
    RETURNS TABLE (
        model text, version int, data_agrees boolean, weights_agree boolean, details jsonb
    )
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'reproduce_wrapper';
COMMENT ON FUNCTION neural.reproduce IS
    'trains a version again as it was trained, stores nothing, and tells whether rows and weights are the same';
