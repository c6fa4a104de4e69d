//! The places of the columns that are read, from 1 as in `sql/01_schema.sql` and `sql/12_jobs.sql`.

/// `_neural.model`.
pub(crate) mod model {
    pub const ID: i16 = 1;
    pub const NAME: i16 = 2;
    pub const OWNER: i16 = 3;
    pub const DEPLOYED: i16 = 4;
    pub const ORIGINS: i16 = 8;
}

/// `_neural.model_grant`.
pub(crate) mod model_grant {
    pub const MODEL: i16 = 1;
    pub const GRANTEE: i16 = 2;
}

/// `_neural.version`.
pub(crate) mod version {
    pub const ID: i16 = 1;
    pub const MODEL: i16 = 2;
    pub const NUMBER: i16 = 3;
    pub const SHA256: i16 = 4;
    pub const SIZE_BYTES: i16 = 5;
    pub const PARAMETERS: i16 = 13;
    pub const PRODUCTS: i16 = 24;
    pub const SEEN: i16 = 26;
    pub const ORIGINS: i16 = 28;
}

/// `_neural.chunk`.
pub(crate) mod chunk {
    pub const VERSION: i16 = 1;
    pub const NUMBER: i16 = 2;
    pub const BYTES: i16 = 3;
}

/// `_neural.job`.
pub(crate) mod job {
    pub const ID: i16 = 1;
    pub const STATE: i16 = 2;
    pub const REQUESTED_BY: i16 = 3;
    pub const ORDERED_AT: i16 = 4;
}
