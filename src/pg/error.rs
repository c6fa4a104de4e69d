//! How an error becomes PostgreSQL's: SQLSTATE, message, DETAIL and HINT, in one place.

use super::{refused, settings};
use crate::memory::Refused;
use crate::{artifact, features, metrics, nn, training, weights};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// An error on its way to the user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    sqlstate: PgSqlErrorCode,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

/// What anything in `pg` returns that can fail.
pub(crate) type Result<T, E = Report> = std::result::Result<T, E>;

impl Report {
    /// An error with its SQLSTATE and a message that names the thing at fault.
    pub(crate) fn new(sqlstate: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// Adds what to do about it: a full sentence.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint where there is one.
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds facts that do not fit the message: a full sentence.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// 22023: a value that cannot be.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
    }

    /// 42704: no such model, version, job or architecture.
    pub(crate) fn undefined(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, message)
    }

    /// 42501: not allowed.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, message)
    }

    /// 55000: not in the state that it takes.
    pub(crate) fn not_in_state(message: impl Into<String>) -> Self {
        Self::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            message,
        )
    }

    /// XX001: what was stored is not what comes back.
    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, message)
            .hint("Restore the tables of schema _neural from a backup, or train the model again.")
    }

    /// 55000: rows of one table name those of another, and none of these is there. So it is while a
    /// subscription's first copy or a restore has brought the one table and not yet the other: each
    /// comes whole.
    pub(crate) fn not_there_yet(message: impl Into<String>) -> Self {
        Self::not_in_state(message)
            .detail(
                "The first copy of a subscription, or a restore, that has not ended may not have brought it \
                 yet.",
            )
            .hint(
                "Try again once that has ended. Where none is under way, it is lost: restore the tables of \
                 schema _neural from a backup, or train the model again.",
            )
    }

    /// What is wrong with a stored model.
    pub(crate) fn stored(name: &str, error: artifact::Error) -> Self {
        match error {
            artifact::Error::Refused(refused) => refused.into(),
            error => Self::damaged(format!("the stored model \"{name}\" is damaged: {error}")),
        }
    }

    /// 53200: more memory than allowed, or than there is.
    pub(crate) fn out_of_memory(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY, message)
    }

    /// Whether there was no memory.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.sqlstate == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY
    }

    /// Whether something does not exist.
    pub(crate) fn is_undefined(&self) -> bool {
        self.sqlstate == PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT
    }

    /// 53200: more than the system gives.
    pub(crate) fn refused(refused: Refused) -> Self {
        Self::out_of_memory(refused.to_string())
            .detail(refused.detail())
            .hint(refused.hint())
    }

    /// 57014, when the core saw the request before PostgreSQL did. The callers let PostgreSQL
    /// handle the interrupt first, so that its own message stands: timeout, user, or shutdown.
    pub(crate) fn cancelled() -> Self {
        if let Some(refused) = refused::take() {
            return Self::refused(refused);
        }
        Self::new(
            PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
            "canceling statement due to user request",
        )
    }

    /// XX000: a mistake of this extension.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message)
            .hint("This is a bug in pg_neural; please report it.")
    }

    /// Ends the function with this error.
    ///
    /// It unwinds as a Rust panic up to the function that PostgreSQL called, so every destructor
    /// runs, and becomes an ERROR there.
    #[track_caller]
    pub(crate) fn raise(self) -> ! {
        self.report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }

    /// Something said in passing.
    pub(crate) fn notice(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message)
    }

    /// Something that the user should know of though nothing failed.
    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_WARNING, message)
    }

    /// Sends a [`Report::notice`] or a [`Report::warning`] to the user.
    #[track_caller]
    pub(crate) fn send(self) {
        let level = match self.sqlstate {
            PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION => PgLogLevel::NOTICE,
            _ => PgLogLevel::WARNING,
        };
        self.report(level);
    }

    #[track_caller]
    fn report(mut self, level: PgLogLevel) {
        if self.sqlstate == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY && settings::memory_is_limited() {
            self.detail.get_or_insert_with(|| {
                "The setting neural.max_memory_limit holds neural.max_memory down; a superuser can raise it.".into()
            });
        }
        let mut report = ErrorReport::new(self.sqlstate, self.message, "pg_neural");
        if let Some(detail) = self.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(hint);
        }
        report.report(level);
    }
}

/// The value, or the error as PostgreSQL's.
pub(crate) trait OrRaise<T> {
    /// The value; an error ends the function.
    fn or_raise(self) -> T;
}

impl<T, E: Into<Report>> OrRaise<T> for std::result::Result<T, E> {
    #[track_caller]
    fn or_raise(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => error.into().raise(),
        }
    }
}

impl From<pgrx::spi::Error> for Report {
    /// The queries through SPI here are our own: an error that is not PostgreSQL's is a bug.
    fn from(error: pgrx::spi::Error) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<Refused> for Report {
    fn from(refused: Refused) -> Self {
        Self::refused(refused)
    }
}

impl From<nn::Error> for Report {
    fn from(error: nn::Error) -> Self {
        let message = error.to_string();
        let report = match &error {
            nn::Error::Memory { .. } => Self::out_of_memory(message),
            nn::Error::Refused(refused) => return Self::refused(*refused),
            nn::Error::NotFinite { .. } => {
                Self::new(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, message)
            }
            nn::Error::Library { .. } => Self::new(PgSqlErrorCode::ERRCODE_UNDEFINED_FILE, message),
            nn::Error::Interrupted => Self::cancelled(),
            nn::Error::Rows(source) => match source.downcast_ref::<features::Error>() {
                Some(error) => return error.into(),
                None => Self::new(PgSqlErrorCode::ERRCODE_IO_ERROR, message),
            },
            nn::Error::Misused { .. } => Self::internal(message),
            _ => Self::invalid(message),
        };
        report.maybe_hint(error.hint())
    }
}

impl From<features::Error> for Report {
    fn from(error: features::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&features::Error> for Report {
    fn from(error: &features::Error) -> Self {
        let message = error.to_string();
        let report = match error {
            features::Error::Type { .. } => {
                Self::new(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, message)
            }
            features::Error::Memory { .. } => Self::out_of_memory(message),
            features::Error::Refused(refused) => return Self::refused(*refused),
            features::Error::Interrupted => Self::cancelled(),
            features::Error::Damaged(_) => Self::damaged(message),
            features::Error::Read(_) => Self::new(PgSqlErrorCode::ERRCODE_IO_ERROR, message),
            features::Error::Invalid { .. }
            | features::Error::NoRows
            | features::Error::OneClass { .. } => Self::invalid(message),
        };
        report.maybe_hint(error.hint())
    }
}

impl From<metrics::Error> for Report {
    fn from(error: metrics::Error) -> Self {
        Self::invalid(error.to_string()).maybe_hint(error.hint())
    }
}

impl From<artifact::Error> for Report {
    /// Of bytes from outside; what is stored and damaged says so itself ([`Report::damaged`]).
    fn from(error: artifact::Error) -> Self {
        match error {
            artifact::Error::Interrupted => Self::cancelled(),
            artifact::Error::Refused(refused) => Self::refused(refused),
            error => Self::invalid(error.to_string()).maybe_hint(error.hint()),
        }
    }
}

impl From<weights::Error> for Report {
    fn from(error: weights::Error) -> Self {
        match error {
            weights::Error::Other(error) => error.into(),
            weights::Error::Interrupted => Self::cancelled(),
            weights::Error::Invalid { message, hint } => Self::invalid(message).hint(hint),
        }
    }
}

impl From<training::Error> for Report {
    fn from(error: training::Error) -> Self {
        let hint = error.hint();
        let message = error.to_string();
        let report = match error {
            training::Error::NoColumn { .. } => {
                Self::new(PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN, message)
            }
            training::Error::NoArchitecture { .. } => Self::undefined(message),
            training::Error::Memory { .. } => Self::out_of_memory(message),
            training::Error::Checkpoint => Self::not_in_state(message),
            training::Error::DamagedCheckpoint => Self::damaged(message),
            training::Error::Refused(refused) => return refused.into(),
            training::Error::Network(error) => return error.into(),
            training::Error::Features(error) => return error.into(),
            training::Error::Artifact(error) => return error.into(),
            training::Error::Metrics(error) => return error.into(),
            _ => Self::invalid(message),
        };
        report.maybe_hint(hint)
    }
}
