//! A small table of loans and models trained on it, for tests that are not about training.

use std::io::Read;

use postgres::Client;
use postgres::error::SqlState;

/// Creates table `loan` with so many rows: three features of different types and a bool target.
pub fn create_loans(client: &mut Client, rows: u32) {
    client
        .batch_execute(&format!(
            "CREATE TABLE loan (id int PRIMARY KEY, age float8, amount int, purpose text, bad bool);
             INSERT INTO loan
             SELECT i, 20 + i % 50, (1000 * (1.5 + sin(i)))::int,
                    (ARRAY['car', 'house', 'other'])[1 + i % 3],
                    (i % 50) + 20 * sin(i) > 25
             FROM generate_series(1, {rows}) AS i;
             ANALYZE loan"
        ))
        .expect("the table of loans");
}

/// The query that leaves the key out.
pub const LOANS: &str = "SELECT age, amount, purpose, bad FROM loan";

/// A call of `predict` on a row of `loan`.
pub const PREDICT: &str = "neural.predict('risk', age, amount, purpose)";

/// SQL that trains a version of a model on [`LOANS`], other seeds giving other versions.
pub fn training(model: &str, seed: u32) -> String {
    format!(
        "SELECT version FROM neural.train('{model}', '{LOANS}', 'bad', epochs => 2,
             seed => {seed}, options => '{{\"verbose\": false}}')"
    )
}

/// Trains a version of a model on [`LOANS`] and returns its number.
pub fn train(client: &mut Client, model: &str, seed: u32) -> i32 {
    number(client, &training(model, seed))
}

/// The one number that a statement returns.
pub fn number(client: &mut Client, sql: &str) -> i32 {
    client.query_one(sql, &[]).expect("a row").get(0)
}

/// The one count that a statement returns.
pub fn count(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).expect("a row").get(0)
}

/// The one text that a statement returns.
pub fn text(client: &mut Client, sql: &str) -> String {
    client.query_one(sql, &[]).expect("a row").get(0)
}

/// What a version, such as `risk@2`, or the deployed one, predicts for one applicant.
pub fn score(client: &mut Client, model: &str) -> f64 {
    let sql = format!("SELECT neural.predict('{model}', 35, 1200, 'car')");
    client.query_one(&sql, &[]).expect("a prediction").get(0)
}

/// The hash of a model's deployed version, in hexadecimal digits.
pub fn sha256(client: &mut Client, model: &str) -> String {
    let sql = format!(
        "SELECT encode(sha256, 'hex') FROM neural.model_versions
         WHERE model = '{model}' AND deployed"
    );
    text(client, &sql)
}

/// Rows in the tables behind the models.
pub fn stored_rows(client: &mut Client) -> i64 {
    let tables = [
        "numbering",
        "model",
        "version",
        "chunk",
        "deployment",
        "epoch",
    ];
    let counts: Vec<String> = tables
        .iter()
        .map(|table| format!("(SELECT count(*) FROM _neural.{table})"))
        .collect();
    count(client, &format!("SELECT {}", counts.join(" + ")))
}

/// The SQLSTATE that a statement failed with. What it did is taken back, unless it is a procedure's
/// call, which wants no transaction around it.
pub fn outcome(client: &mut Client, sql: &str) -> Option<SqlState> {
    let in_transaction = !sql.starts_with("CALL");
    if in_transaction {
        client.batch_execute("BEGIN").expect("a transaction");
    }
    let result = if sql.starts_with("COPY") {
        client.copy_out(sql).and_then(|mut reader| {
            let mut rows = Vec::new();
            match reader.read_to_end(&mut rows) {
                Ok(_) => Ok(()),
                Err(error) => Err(*error
                    .into_inner()
                    .and_then(|error| error.downcast::<postgres::Error>().ok())
                    .expect("an error of the server's")),
            }
        })
    } else {
        client.batch_execute(sql)
    };
    if in_transaction {
        client.batch_execute("ROLLBACK").expect("a rollback");
    }
    result.err().map(|error| match error.as_db_error() {
        Some(error) => error.code().clone(),
        None => panic!("{sql}: {error:?}"),
    })
}
