//! What a job in a background worker needs of PostgreSQL: how it is ordered, what tells that it lives,
//! the settings it carries, its transactions, and its last words.

pub(crate) mod carried;
pub(crate) mod last_words;
pub(crate) mod lock;
pub(crate) mod ordered;
pub(crate) mod ordering;
pub(crate) mod transaction;
