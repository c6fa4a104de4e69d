//! `neural.reencrypt`, and what the views show of encrypted versions.

use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};

use crate::memory;
use crate::pg::catalog::reencrypt;
use crate::pg::encryption;
use crate::pg::error::{OrRaise, Report, Result};
use crate::pg::interrupt;

/// Encrypts all models with the key in use; gives how many versions were not.
#[pg_extern(sql = false)]
fn reencrypt() -> i64 {
    reencrypt_all().or_raise()
}

fn reencrypt_all() -> Result<i64> {
    // SAFETY: looks the invoker up; a command's name that is static.
    let allowed = unsafe {
        pg_sys::PreventCommandIfReadOnly(c"neural.reencrypt()".as_ptr());
        pg_sys::superuser()
    };
    if !allowed {
        return Err(Report::denied("permission denied to encrypt models anew")
            .hint("Only superusers can: the key is the server's."));
    }
    let _work = interrupt::begin(memory::LARGE)?;
    reencrypt::reencrypt(encryption::required()?)
}

/// What was encrypted of a version's description: an object with `features` and `classes`. NULL of a
/// version that is not encrypted, and where the server does not have its key.
#[pg_extern(sql = false)]
fn described(
    sha256: Option<&[u8]>,
    encryption_key: Option<Vec<u8>>,
    sealed: Option<&[u8]>,
) -> Option<JsonB> {
    let sha256 = sha256?.try_into().ok()?;
    let key = encryption::key_id(encryption_key).ok()??;
    let mut plain = Vec::new();
    encryption::open(
        key,
        sha256,
        encryption::Part::Description,
        sealed?,
        &mut plain,
        String::new,
    )
    .ok()?;
    serde_json::from_slice(&plain).ok().map(JsonB)
}
