//! The kinds of role.

use postgres::{Client, NoTls};

use crate::fixture::{count, create_loans, number, text, train};
use crate::harness::{Cluster, SUPERUSER};

/// What a role may do with the model that it is tried with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    Nothing,
    Use,
    Manage,
}

/// A session of a kind of role.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The model that it is tried with.
    pub(super) model: &'static str,
    pub(super) right: Right,
    /// Whether it has the rights of a role that owns a model or was granted one.
    pub(super) known: bool,
    /// A job that the model's owner asked for, which failed and kept something.
    pub(super) job: i64,
    pub(super) client: Client,
}

impl Kind {
    /// A statement about its model and job.
    pub(super) fn fill(&self, sql: &str) -> String {
        sql.replace("{m}", self.model)
            .replace("{job}", &self.job.to_string())
    }
}

/// Two versions of model `risk`, of role `owner`, and the same of a role that is dropped and of one
/// that is renamed, each granted to some; everything else that roles may be about them.
const ROLES: &str = "
    CREATE ROLE admin LOGIN CREATEROLE NOINHERIT;
    SET ROLE admin;
    CREATE ROLE owner LOGIN;
    RESET ROLE;
    -- Before 16 who makes a role is no member of it.
    GRANT owner TO admin WITH ADMIN OPTION;
    CREATE ROLE dropped LOGIN;
    CREATE ROLE formerly LOGIN;
    CREATE ROLE member LOGIN IN ROLE owner;
    CREATE ROLE reluctant LOGIN NOINHERIT IN ROLE owner;
    CREATE ROLE grantee LOGIN;
    CREATE ROLE grouped LOGIN;
    CREATE ROLE friend LOGIN IN ROLE grouped;
    CREATE ROLE stranger LOGIN;
    CREATE ROLE reader LOGIN IN ROLE pg_read_all_data, pg_write_all_data;
    CREATE ROLE spare LOGIN;
    GRANT SELECT ON loan TO PUBLIC;
    CREATE TABLE scored AS SELECT *, NULL::float8 AS score FROM loan;
    GRANT SELECT, UPDATE ON scored TO PUBLIC;
    -- Away from the extension's own privileges.
    CREATE TABLE artifact AS SELECT neural.export_model('risk@1') AS bytes;
    GRANT SELECT ON artifact, weights TO PUBLIC;
    CREATE FUNCTION import_net(model text) RETURNS int LANGUAGE sql AS $$
        SELECT neural.import_weights(model, bytes,
            '{\"layers\": [{\"type\": \"output\", \"name\": \"fc\"}]}', 'classification',
            '[{\"name\": \"age\", \"type\": \"numeric\"}, {\"name\": \"amount\", \"type\": \"numeric\"},
              {\"name\": \"purpose\", \"type\": \"categorical\", \"levels\": [\"car\", \"house\", \"other\"]}]',
            '{false,true}') FROM weights $$;
    SELECT neural.import_model(name, neural.export_model('risk@' || version))
    FROM unnest(ARRAY['orphan', 'moved']) AS name, generate_series(1, 2) AS version;
    SELECT import_net(name || '_net') FROM unnest(ARRAY['risk', 'orphan', 'moved']) AS name;
    SELECT neural.set_owner('risk_net', 'owner'), neural.set_owner('orphan_net', 'dropped'),
        neural.set_owner('moved_net', 'formerly');
    SELECT neural.set_owner('risk', 'owner'), neural.set_owner('orphan', 'dropped'),
        neural.set_owner('moved', 'formerly');
    SELECT neural.grant_model(name, role) FROM unnest(ARRAY['risk', 'orphan', 'moved']) AS name,
        unnest(ARRAY['grantee', 'grouped']::regrole[]) AS role;
    SELECT neural.create_function('named_' || name, name) FROM unnest(ARRAY['risk', 'orphan', 'moved']) AS name;
    ";

/// What the owner of a model makes by itself: model `{m}_made`, and a job that fails.
const OWN: &str = "
    SELECT neural.train('{m}_made', 'SELECT age, amount, purpose, bad FROM loan', 'bad', epochs => 1,
        seed => 1, options => '{\"verbose\": false}');
    SELECT neural.train_async('{m}', 'SELECT age, amount, purpose, 1 / (id - 5) = 0 AS bad FROM loan', 'bad')";

/// Makes them of each model; the jobs in the same order.
fn make_own(cluster: &Cluster, admin: &mut Client) -> Vec<(&'static str, i64)> {
    let functions = "ON FUNCTION neural.train, neural.train_async";
    let owners = "owner, dropped, formerly";
    let made = [
        ("owner", "risk"),
        ("dropped", "orphan"),
        ("formerly", "moved"),
    ];
    let grant = format!("GRANT EXECUTE {functions} TO {owners}");
    admin.batch_execute(&grant).expect("the grant");
    let jobs = made.map(|(role, model)| {
        let mut client = cluster.role(role);
        client
            .batch_execute(&OWN.replace("{m}", model))
            .expect("a model and a job");
        let job = count(&mut client, "SELECT max(job) FROM neural.jobs");
        let wait = format!("SELECT neural.wait_job({job}, '1 min')");
        assert_eq!(text(&mut client, &wait), "failed");
        // As an option would have it kept of a job that fails later.
        let keep = "INSERT INTO _neural.checkpoint (job, number, bytes) VALUES ($1, 0, 'kept')";
        admin.execute(keep, &[&job]).expect("a checkpoint");
        (model, job)
    });
    let revoke = format!("REVOKE EXECUTE {functions} FROM {owners}");
    admin.batch_execute(&revoke).expect("the privileges");
    jobs.to_vec()
}

pub(super) fn kinds(cluster: &Cluster) -> Vec<Kind> {
    use Right::{Manage, Nothing, Use};
    let mut admin = cluster.superuser();
    create_loans(&mut admin, 300);
    train(&mut admin, "risk", 1);
    train(&mut admin, "risk", 2);
    admin
        .batch_execute("CREATE TABLE weights (bytes bytea)")
        .expect("a table");
    admin
        .execute("INSERT INTO weights VALUES ($1)", &[&weights()])
        .expect("the weights");
    admin.batch_execute(ROLES).expect("the roles");
    if number(
        &mut admin,
        "SELECT current_setting('server_version_num')::int",
    ) >= 160_000
    {
        // As CREATEROLE alone made it.
        admin
            .batch_execute("REVOKE owner FROM admin GRANTED BY postgres")
            .expect("the membership");
    }
    let jobs = make_own(cluster, &mut admin);
    let mut kinds = Vec::new();
    let mut add = |name, role: &str, model, right| {
        let client = cluster.config(role, "postgres").connect(NoTls);
        let client = client.unwrap_or_else(|error| panic!("{role}: {error}"));
        kinds.push(Kind {
            name,
            model,
            right,
            known: right != Nothing,
            job: jobs.iter().find(|(of, _)| *of == model).expect("a job").1,
            client,
        });
    };
    for (name, model, right) in [
        ("owner", "risk", Manage),
        ("member", "risk", Manage),
        ("reluctant", "risk", Nothing),
        ("admin", "risk", Nothing),
        ("grantee", "risk", Use),
        ("friend", "risk", Use),
        ("stranger", "risk", Nothing),
        ("reader", "risk", Nothing),
        ("dropped", "orphan", Nothing),
    ] {
        add(name, name, model, right);
    }
    add("superuser", SUPERUSER, "risk", Manage);
    admin
        .batch_execute("ALTER ROLE formerly RENAME TO renamed; CREATE ROLE formerly LOGIN")
        .expect("another name");
    add("renamed", "renamed", "moved", Manage);
    add("named as one was", "formerly", "moved", Nothing);
    // The connection of a role that is dropped stays.
    let oid = number(&mut admin, "SELECT 'dropped'::regrole::oid::int");
    admin
        .batch_execute(
            "DROP OWNED BY dropped; DROP ROLE dropped; CREATE ROLE dropped LOGIN;
             CREATE ROLE reused LOGIN",
        )
        .expect("a role is dropped");
    add("recreated", "dropped", "orphan", Nothing);
    admin
        .batch_execute(&format!(
            "UPDATE pg_authid SET oid = {oid} WHERE rolname = 'reused'"
        ))
        .expect("the number of a dropped role");
    add("of a reused OID", "reused", "orphan", Nothing);
    kinds
}

/// Tensors of a dense layer named `fc` from the loans' five inputs to one output, as safetensors.
fn weights() -> Vec<u8> {
    let header = r#"{"fc.weight":{"dtype":"F32","shape":[1,5],"data_offsets":[0,20]},"fc.bias":{"dtype":"F32","shape":[1],"data_offsets":[20,24]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    for weight in [0.5_f32, -0.25, 0.125, 1.0, -1.0, 0.0] {
        bytes.extend_from_slice(&weight.to_le_bytes());
    }
    bytes
}
