//! A line for each function of the extension: what it needs, and a call of it.

use postgres::error::SqlState;

use super::roles::Right;

/// What a call takes.
#[derive(Clone, Copy)]
pub(super) enum Needs {
    /// EXECUTE, which PUBLIC has.
    Nothing,
    /// The same, and a right on the model.
    Model(Right),
    /// EXECUTE, which an administrator grants, and a right on the model.
    Execute(Right),
    /// EXECUTE, which an administrator grants in vain: only superusers may.
    Superuser,
    /// EXECUTE, which PUBLIC has, and USAGE on schema `_neural`, which nobody has.
    Schema,
}

use Needs::{Execute, Model, Nothing, Schema, Superuser};
use Right::{Manage, Use};

/// A function and a call of it, in which `{m}` is the model, `{hash}` its version's hash and `{job}` a
/// job that its owner asked for.
pub(super) struct Call {
    pub(super) function: &'static str,
    pub(super) needs: Needs,
    pub(super) sql: &'static str,
    /// What it ends with for those who may.
    pub(super) ends: Option<SqlState>,
}

const fn call(function: &'static str, needs: Needs, sql: &'static str) -> Call {
    Call {
        function,
        needs,
        sql,
        ends: None,
    }
}

const fn ends(function: &'static str, needs: Needs, sql: &'static str, with: SqlState) -> Call {
    Call {
        function,
        needs,
        sql,
        ends: Some(with),
    }
}

const UNDEFINED: SqlState = SqlState::UNDEFINED_OBJECT;

#[rustfmt::skip]
pub(super) const CALLS: &[Call] = &[
    call("neural.predict", Model(Use), "SELECT neural.predict('{m}', 35, 1200, 'car')"),
    call("neural.predict", Model(Use), "SELECT neural.predict('{m}@1', 35, 1200, 'car')"),
    call("neural.predict", Model(Use), "SELECT sum(neural.predict('{m}', age, amount, purpose)) FROM loan"),
    call("neural.predict_class", Model(Use), "SELECT neural.predict_class('{m}', 35, 1200, 'car')"),
    call("neural.predict_proba", Model(Use), "SELECT neural.predict_proba('{m}', 35, 1200, 'car')"),
    call("neural.predict_pinned", Model(Use), "SELECT neural.predict_pinned('\\x{hash}', 35, 1200, 'car')"),
    call("neural.predict_class_pinned", Model(Use), "SELECT neural.predict_class_pinned('\\x{hash}', 35, 1200, 'car')"),
    call("neural.predict_proba_pinned", Model(Use), "SELECT neural.predict_proba_pinned('\\x{hash}', 35, 1200, 'car')"),
    call("neural.classes", Model(Use), "SELECT neural.classes('{m}')"),
    call("neural.evaluate", Model(Use), "SELECT neural.evaluate('{m}', 'SELECT age, amount, purpose, bad FROM loan')"),
    call("neural.confusion_matrix", Model(Use), "SELECT neural.confusion_matrix('{m}', 'SELECT age, amount, purpose, bad FROM loan')"),
    call("neural.create_function", Model(Use), "SELECT neural.create_function('pg_temp.f', '{m}')"),
    call("neural.create_function", Model(Use), "SELECT neural.create_function('pg_temp.f', '{m}', version => 1)"),

    call("neural.deploy", Model(Manage), "SELECT neural.deploy('{m}', 1)"),
    call("neural.rollback", Model(Manage), "SELECT neural.rollback('{m}')"),
    call("neural.set_threshold", Model(Manage), "SELECT neural.set_threshold('{m}', 0.4)"),
    call("neural.quantize", Model(Manage), "SELECT neural.quantize('{m}', 'SELECT age, amount, purpose, bad FROM loan')"),
    call("neural.drop_model", Model(Manage), "SELECT neural.drop_model('{m}')"),
    call("neural.drop_model", Model(Manage), "SELECT neural.drop_model('{m}', 1, force => true)"),
    call("neural.rename_model", Model(Manage), "SELECT neural.rename_model('{m}', 'other')"),
    call("neural.set_owner", Model(Manage), "SELECT neural.set_owner('{m}', current_user::regrole)"),
    call("neural.grant_model", Model(Manage), "SELECT neural.grant_model('{m}', 'stranger')"),
    call("neural.revoke_model", Model(Manage), "SELECT neural.revoke_model('{m}', 'grantee')"),
    call("neural.export_model", Model(Manage), "SELECT neural.export_model('{m}')"),
    call("neural.export_model", Model(Manage), "SELECT neural.export_model('{m}@1', lineage => false)"),

    call("neural.train", Execute(Manage), "SELECT neural.train('{m}', 'SELECT age, amount, purpose, bad FROM loan', 'bad',
        epochs => 1, seed => 1, options => '{\"verbose\": false, \"members\": 1}')"),
    call("neural.train", Execute(Manage), "SELECT neural.train('{m}', 'SELECT age, amount, purpose, bad FROM loan', 'bad',
        epochs => 1, options => '{\"verbose\": false, \"warm_start\": true, \"deploy\": false}')"),
    call("neural.import_model", Execute(Manage), "SELECT neural.import_model('{m}', bytes) FROM artifact"),
    call("neural.import_weights", Execute(Manage), "SELECT import_net('{m}_net')"),
    call("neural.score_table", Execute(Use), "CALL neural.score_table('{m}', 'scored', 'score')"),

    call("neural.check", Model(Manage), "SELECT neural.check('{m}')"),
    call("neural.reset_stat_models", Model(Manage), "SELECT neural.reset_stat_models('{m}')"),
    // Own queries and jobs, and those of roles that one has the rights of: in own.rs more of them.
    call("neural.reproduce", Model(Manage), "SELECT neural.reproduce('{m}_made')"),
    ends("neural.reproduce", Nothing, "SELECT neural.reproduce('nothing')", UNDEFINED),
    call("neural.wait_job", Model(Manage), "SELECT neural.wait_job({job}, '0')"),
    ends("neural.wait_job", Nothing, "SELECT neural.wait_job(-1)", UNDEFINED),
    call("neural.cancel_job", Model(Manage), "SELECT neural.cancel_job({job})"),
    ends("neural.cancel_job", Nothing, "SELECT neural.cancel_job(-1)", UNDEFINED),
    call("neural.resume_job", Execute(Manage), "SELECT neural.resume_job({job})"),
    ends("neural.resume_job", Execute(Right::Nothing), "SELECT neural.resume_job(-1)", UNDEFINED),
    call("neural.train_async", Execute(Manage), "SELECT neural.train_async('{m}', 'SELECT age, amount, purpose, bad FROM loan', 'bad', epochs => 1)"),
    // This server has no key; encryption.rs has one that does.
    ends("neural.reencrypt", Superuser, "SELECT neural.reencrypt()", SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE),

    call("neural.model_cache_info", Nothing, "SELECT neural.model_cache_info()"),
    call("neural.auc", Nothing, "SELECT neural.auc(amount, bad) FROM loan"),
    call("neural.gini", Nothing, "SELECT neural.gini(amount, bad) FROM loan"),
    call("neural.ks", Nothing, "SELECT neural.ks(amount, bad) FROM loan"),
    call("neural.log_loss", Nothing, "SELECT neural.log_loss(0.5, bad) FROM loan"),
    call("neural.brier", Nothing, "SELECT neural.brier(0.5, bad) FROM loan"),
    call("neural.rmse", Nothing, "SELECT neural.rmse(age, amount) FROM loan"),
    call("neural.mae", Nothing, "SELECT neural.mae(age, amount) FROM loan"),
    call("neural.r2", Nothing, "SELECT neural.r2(age, amount) FROM loan"),

    // What the views call, with the rights of their reader.
    call("_neural.may_manage", Schema, "SELECT _neural.may_manage(NULL)"),
    call("_neural.may_use", Schema, "SELECT _neural.may_use(1, NULL)"),
    call("_neural.is_granted", Schema, "SELECT _neural.is_granted(NULL)"),
    call("_neural.described", Schema, "SELECT _neural.described(NULL, NULL, NULL)"),
    call("_neural.counted", Schema, "SELECT _neural.counted(NULL, NULL)"),
    call("_neural.job_is_lost", Schema, "SELECT _neural.job_is_lost(NULL)"),
    call("_neural.references_in", Schema, "SELECT _neural.references_in('()')"),
    call("_neural.shipped_architectures", Schema, "SELECT _neural.shipped_architectures()"),
];

/// Functions that nobody may execute: PostgreSQL calls them by itself.
#[rustfmt::skip]
pub(super) const CLOSED: &[&str] = &[
    "_neural.model_owner_or_grantee", "_neural.role_in", "_neural.role_out", "_neural.predict_cost",
    "_neural.ranking_transition", "_neural.ranking_combine", "_neural.ranking_serialize",
    "_neural.ranking_deserialize", "_neural.auc_final", "_neural.gini_final", "_neural.ks_final",
    "_neural.probabilities_transition", "_neural.probabilities_combine", "_neural.probabilities_serialize",
    "_neural.probabilities_deserialize", "_neural.log_loss_final", "_neural.brier_final",
    "_neural.errors_transition", "_neural.errors_combine", "_neural.errors_serialize",
    "_neural.errors_deserialize", "_neural.rmse_final", "_neural.mae_final", "_neural.r2_final",
];

/// The views, and the column that names the model where a view shows what its reader may see.
pub(super) const VIEWS: &[(&str, Option<&str>)] = &[
    ("neural.architectures", None),
    ("neural.deployments", Some("model")),
    ("neural.jobs", Some("model")),
    ("neural.model_grants", Some("model")),
    ("neural.model_users", Some("model")),
    ("neural.model_versions", Some("model")),
    ("neural.models", Some("name")),
    ("neural.stat_models", Some("model")),
    ("neural.training_history", Some("model")),
];

/// What of a model only those who manage it see, and whether it is shown.
pub(super) const RESTRICTED_VIEWS: &[(&str, &str)] = &[
    (
        "query and options",
        "SELECT (count(query) + count(options) > 0)::text FROM neural.model_versions WHERE model = '{m}'",
    ),
    (
        "levels",
        "SELECT bool_or(features::text LIKE '%house%')::text FROM neural.models WHERE name = '{m}'",
    ),
    (
        "grants to others",
        "SELECT (count(*) > 1)::text FROM neural.model_grants WHERE model = '{m}'",
    ),
];
