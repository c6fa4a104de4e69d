//! The places of the columns that are read, from 1 as in `sql/01_schema.sql` and `sql/12_jobs.sql`.

/// `_neural.model`.
pub(crate) mod model {
    pub const ID: i16 = 1;
    pub const NAME: i16 = 2;
    pub const OWNER: i16 = 3;
    pub const DEPLOYED: i16 = 4;
    pub const SIGNATURE: i16 = 5;
    pub const POSITIVE_CLASS: i16 = 6;
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
    pub const CREATED_BY: i16 = 7;
    pub const EXTENSION_VERSION: i16 = 8;
    pub const TARGET: i16 = 9;
    pub const CLASSES: i16 = 10;
    pub const FEATURES: i16 = 11;
    pub const ARCHITECTURE: i16 = 12;
    pub const PARAMETERS: i16 = 13;
    pub const QUERY: i16 = 14;
    pub const OPTIONS: i16 = 15;
    pub const SEED: i16 = 16;
    pub const ROWS_TRAINED: i16 = 17;
    pub const ROWS_VALIDATED: i16 = 18;
    pub const EPOCHS: i16 = 19;
    pub const TRAIN_LOSS: i16 = 21;
    pub const VALIDATION_LOSS: i16 = 22;
    pub const METRICS: i16 = 23;
    pub const PRODUCTS: i16 = 24;
    pub const CLAIMED: i16 = 25;
    pub const SEEN: i16 = 26;
    pub const LEFT_OUT: i16 = 27;
    pub const ORIGINS: i16 = 28;
    pub const DATA_BLAKE3: i16 = 29;
    pub const BLAS: i16 = 30;
    pub const FOLLOWS: i16 = 31;
    pub const ENCRYPTION_KEY: i16 = 32;
    pub const SEALED: i16 = 33;
    pub const SETTINGS: i16 = 34;
}

/// `_neural.holder`.
pub(crate) mod holder {
    pub const ROLE: i16 = 1;
}

/// `_neural.chunk`.
pub(crate) mod chunk {
    pub const VERSION: i16 = 1;
    pub const NUMBER: i16 = 2;
    pub const BYTES: i16 = 3;
}

/// `_neural.numbering`.
pub(crate) mod numbering {
    pub const NAME: i16 = 1;
    pub const LAST: i16 = 2;
}

/// `_neural.deployment`.
pub(crate) mod deployment {
    pub const ID: i16 = 1;
    pub const MODEL: i16 = 2;
    pub const VERSION: i16 = 3;
}

/// `_neural.epoch`.
pub(crate) mod epoch {
    pub const VERSION: i16 = 1;
}

/// A sequence, whose one row every sequence has.
pub(crate) mod sequence {
    pub const LAST_VALUE: i16 = 1;
    pub const IS_CALLED: i16 = 3;
}

/// `_neural.job`.
pub(crate) mod job {
    pub const ID: i16 = 1;
    pub const STATE: i16 = 2;
    pub const REQUESTED_BY: i16 = 3;
    pub const ORDERED_AT: i16 = 4;
}
