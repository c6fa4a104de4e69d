-- Scoring a table in place. The Rust side is src/pg/api/score_table.rs.
-- Without SET and with the invoker's rights: only such a procedure may commit.

CREATE PROCEDURE neural.score_table(
    model         text,
    target_table  regclass,
    output_column name,
    batch_rows    int     DEFAULT 50000,
    only_missing  boolean DEFAULT false
)
    LANGUAGE c AS 'MODULE_PATHNAME', 'neural_score_table';
COMMENT ON PROCEDURE neural.score_table IS
    'writes a model''s answer for each row of a table into a column, batch by batch';
