//! One place in a query that calls a model: resolved once a statement, then only computing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::arguments::Arguments;
use super::kept::{self, Parts, Signature};
use super::rows::Rows;
use super::snapshot::SnapshotKey;
use crate::features::{Answer, NoAnswer};
use crate::memory;
use crate::nn::Scratch;
use crate::pg::cache::{self, DecodedModel};
use crate::pg::encoding;
use crate::pg::error::Report;
use crate::pg::in_context::in_context;
use crate::pg::reader::{self, Resolved};
use crate::pg::usage::Usage;
use crate::pg::{interrupt, settings};

/// The state of one call site, kept in its `fn_extra`.
pub struct Site {
    model_text: Vec<u8>,
    key: SnapshotKey,
    resolved: Rc<Resolved>,
    model: Rc<DecodedModel>,
    parts: Parts,
    /// By which the parts are kept for another statement.
    signature: Option<Signature>,
    calls: Calls,
    usage: Usage,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(signature) = self.signature.take() {
            let parts = std::mem::replace(&mut self.parts, Parts::none());
            kept::put(signature, &self.model, parts);
        }
    }
}

/// How a site's calls come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// One at a time, which needs room for no more: each connection has its own.
    Single,
    /// Many together.
    Together,
}

/// What a text meant at a moment: as a model's name, or pinned as a version's hash.
struct Known {
    key: SnapshotKey,
    pinned: bool,
    text: Vec<u8>,
    resolved: Rc<Resolved>,
}

impl Known {
    fn is(&self, text: &[u8], pinned: bool) -> bool {
        self.pinned == pinned && self.text == text
    }
}

thread_local! {
    /// Names lately resolved in this backend. Serves the statements that come one after the other
    /// over one connection while nothing is written.
    static RESOLVED: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// Names remembered at once.
const REMEMBERED: usize = 32;

fn resolve(text: &[u8], pinned: bool, key: SnapshotKey) -> Result<Rc<Resolved>, Report> {
    if key.outlives_transaction() {
        let known = RESOLVED.with_borrow(|known| {
            known
                .iter()
                .find(|known| known.key == key && known.is(text, pinned))
                .map(|known| known.resolved.clone())
        });
        if let Some(resolved) = known {
            return Ok(resolved);
        }
    }
    let resolved = Rc::new(if pinned {
        reader::resolve_sha256(text)?
    } else {
        reader::resolve(encoding::utf8(text, "argument \"model\"")?)?
    });
    if key.outlives_transaction() {
        RESOLVED.with_borrow_mut(|known| {
            known.retain(|known| known.key == key && !known.is(text, pinned));
            if known.len() >= REMEMBERED {
                known.remove(0);
            }
            known.push(Known {
                key,
                pinned,
                text: text.to_vec(),
                resolved: resolved.clone(),
            });
        });
    }
    Ok(resolved)
}

impl Site {
    /// The call site's state, resolved for this moment: the work of a statement's first row, and
    /// two comparisons for the others.
    ///
    /// # Safety
    /// `fcinfo` is the frame of a call of one of the `predict` functions.
    #[inline]
    pub unsafe fn get<'a>(
        fcinfo: pg_sys::FunctionCallInfo,
        pinned: bool,
        answer: Answer,
    ) -> Result<&'a mut Site, Report> {
        // SAFETY: the frame and its FmgrInfo outlive the call; fn_extra is ours or null.
        unsafe {
            let (text, key) = Site::moment(fcinfo)?;
            let site: *mut Site = (*(*fcinfo).flinfo).fn_extra.cast();
            if let Some(site) = site.as_mut() {
                if site.key == key && site.model_text == text {
                    return Ok(site);
                }
                site.refresh(fcinfo, text, key, pinned, answer)?;
                return Ok(site);
            }
            Site::create(fcinfo, text, key, pinned, answer)
        }
    }

    /// The same for a caller that keeps the state itself: made at first, resolved for this moment
    /// when it is there.
    ///
    /// # Safety
    /// `fcinfo` is the frame of a call of one of the `predict` functions, always the same one's.
    pub unsafe fn get_kept(
        kept: &mut Option<Box<Site>>,
        fcinfo: pg_sys::FunctionCallInfo,
        pinned: bool,
        answer: Answer,
    ) -> Result<&mut Site, Report> {
        // SAFETY: as the caller says.
        unsafe {
            let (text, key) = Site::moment(fcinfo)?;
            match kept {
                Some(site) => {
                    if site.key != key || site.model_text != text {
                        site.refresh(fcinfo, text, key, pinned, answer)?;
                    }
                    Ok(site)
                }
                None => {
                    let moment = (text, key);
                    let site = Site::new(fcinfo, moment, pinned, answer, Calls::Together)?;
                    Ok(kept.insert(Box::new(site)))
                }
            }
        }
    }

    /// What a call is resolved by: the model's name or hash, and the moment.
    ///
    /// # Safety
    /// `fcinfo` is the frame of a call of one of the `predict` functions; the text borrows its
    /// first argument.
    #[inline]
    unsafe fn moment<'a>(
        fcinfo: pg_sys::FunctionCallInfo,
    ) -> Result<(&'a [u8], SnapshotKey), Report> {
        // SAFETY: as the caller says.
        unsafe {
            let name = &*(*fcinfo).args.as_ptr();
            if name.isnull {
                return Err(Report::new(
                    Code::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                    "the model must not be NULL",
                )
                .hint("Give the name of a model, as neural.models lists them."));
            }
            let mut text: *mut pg_sys::varlena = name.value.cast_mut_ptr();
            // A constant is stored plainly; only then is the look-up below without a call.
            if pgrx::varatt_is_1b_e(text) || pgrx::varatt_is_4b_c(text) {
                text = pg_sys::pg_detoast_datum_packed(text);
            }
            let text = std::slice::from_raw_parts(
                pgrx::vardata_any(text).cast::<u8>(),
                pgrx::varsize_any_exhdr(text),
            );
            let key = SnapshotKey::now().ok_or_else(|| {
                Report::not_in_state("a model cannot be called where no snapshot is active")
                    .hint("Call it from a query.")
            })?;
            Ok((text, key))
        }
    }

    /// # Safety
    /// As for [`Site::get`].
    unsafe fn new(
        fcinfo: pg_sys::FunctionCallInfo,
        (text, key): (&[u8], SnapshotKey),
        pinned: bool,
        answer: Answer,
        calls: Calls,
    ) -> Result<Site, Report> {
        let _work = interrupt::begin(memory::SMALL)?;
        let resolved = resolve(text, pinned, key)?;
        let model = cache::model(&resolved)?;
        let signature = match calls {
            // SAFETY: as for `get`.
            Calls::Single => unsafe { Signature::of(fcinfo, pinned, answer) },
            Calls::Together => None,
        };
        let taken = signature
            .as_ref()
            .and_then(|signature| kept::take(signature, &model));
        let parts = match taken {
            Some(parts) => parts,
            // SAFETY: as for `get`.
            None => unsafe { plan(fcinfo, pinned, answer, (&model, &resolved), calls)? },
        };
        Ok(Site {
            model_text: text.to_vec(),
            key,
            parts,
            signature,
            calls,
            usage: Usage::begin(&resolved),
            resolved,
            model,
        })
    }

    #[cold]
    unsafe fn create<'a>(
        fcinfo: pg_sys::FunctionCallInfo,
        text: &[u8],
        key: SnapshotKey,
        pinned: bool,
        answer: Answer,
    ) -> Result<&'a mut Site, Report> {
        // SAFETY: as for `get`; the site goes with the FmgrInfo.
        unsafe {
            let site = Site::new(fcinfo, (text, key), pinned, answer, Calls::Single)?;
            let flinfo = (*fcinfo).flinfo;
            let site = in_context((*flinfo).fn_mcxt, site);
            (*flinfo).fn_extra = site.cast();
            Ok(&mut *site)
        }
    }

    #[cold]
    unsafe fn refresh(
        &mut self,
        fcinfo: pg_sys::FunctionCallInfo,
        text: &[u8],
        key: SnapshotKey,
        pinned: bool,
        answer: Answer,
    ) -> Result<(), Report> {
        let _work = interrupt::begin(memory::SMALL)?;
        let resolved = resolve(text, pinned, key)?;
        if resolved.sha256 != self.resolved.sha256 || self.model_text != text {
            let model = cache::model(&resolved)?;
            // SAFETY: as for `get`.
            self.parts = unsafe { plan(fcinfo, pinned, answer, (&model, &resolved), self.calls)? };
            self.model = model;
            self.model_text = text.to_vec();
        }
        self.usage = Usage::begin(&resolved);
        self.resolved = resolved;
        self.key = key;
        Ok(())
    }

    /// The value that `predict` gives for the outputs last computed.
    #[inline]
    pub fn value(&self) -> f64 {
        self.model.target.value(&self.parts.out)
    }

    /// The class that `predict_class` gives for the outputs last computed.
    pub fn class(&self) -> Cow<'_, str> {
        self.model.target.predicted_class(&self.parts.out)
    }

    /// The numbers that `predict_proba` gives for the outputs last computed.
    pub fn all(&self) -> Vec<f64> {
        self.model.target.numbers(&self.parts.out)
    }

    /// The model that is called.
    pub fn model(&self) -> &DecodedModel {
        &self.model
    }

    /// What the name meant.
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Whether a call gives all features in one value: a NULL in its place is no row, for which
    /// the answer is NULL.
    pub fn takes_one_value(&self) -> bool {
        self.parts.arguments.are_one_value()
    }

    /// Writes the network's input for each of these calls, which have a row each, into a row of
    /// `out`; `after_each` is called after a call for which memory may have been taken. The error is with the call that
    /// it belongs to.
    ///
    /// # Safety
    /// They are of the call that the site was made for, of which `info` is the FmgrInfo.
    pub unsafe fn encode_rows(
        &mut self,
        info: *mut pg_sys::FmgrInfo,
        rows: Rows<'_>,
        out: &mut [f32],
        after_each: impl FnMut(),
    ) -> Result<(), (usize, Report)> {
        let model = (&*self.model, &*self.resolved);
        // SAFETY: as the caller says.
        unsafe {
            self.parts
                .arguments
                .encode_rows(info, rows, model, out, after_each)
        }
    }

    /// The network's outputs for encoded rows, one row after the other.
    pub fn forward(&mut self, rows: &[f32], count: usize, out: &mut [f32]) {
        let predictor = &self.model.predictor;
        let scratch = &mut self.parts.scratch;
        predictor.forward_until(&interrupt::Checks, rows, count, out, scratch);
    }

    /// Counts rows that were scored together, from when on and in what time.
    pub fn scored(&self, rows: usize, began: Instant, took: Duration) {
        self.usage.rows_done(rows, began, took);
    }

    /// Computes the network's outputs for the call's arguments; `false` where there is no row to
    /// compute them for.
    ///
    /// # Safety
    /// `fcinfo` is the frame [`Site::get`] was given.
    #[inline]
    pub unsafe fn outputs(&mut self, fcinfo: pg_sys::FunctionCallInfo) -> Result<bool, Report> {
        let began = self.usage.row_begins();
        // SAFETY: as the caller says.
        unsafe {
            let arguments = (*fcinfo).args.as_ptr();
            if self.parts.arguments.are_one_value() && (*arguments.add(1)).isnull {
                return Ok(false);
            }
            let argument = |i: usize| *arguments.add(i + 1);
            let model = (&*self.model, &*self.resolved);
            let parts = &mut self.parts;
            parts
                .arguments
                .encode((*fcinfo).flinfo, argument, model, &mut parts.row)?;
        }
        let predictor = &self.model.predictor;
        let Parts {
            row, out, scratch, ..
        } = &mut self.parts;
        predictor.forward_until(&interrupt::Checks, row, 1, out, scratch);
        self.usage.row_done(began);
        Ok(true)
    }
}

/// Plans a call of a model.
///
/// # Safety
/// As for [`Site::get`].
unsafe fn plan(
    fcinfo: pg_sys::FunctionCallInfo,
    pinned: bool,
    answer: Answer,
    (model, resolved): (&DecodedModel, &Resolved),
    calls: Calls,
) -> Result<Parts, Report> {
    check_answer(model, resolved, answer)?;
    ask_for_row(model)?;
    Ok(Parts {
        // SAFETY: as the caller says.
        arguments: unsafe { Arguments::plan(fcinfo, pinned, model, resolved)? },
        scratch: scratch(model, resolved, calls)?,
        row: vec![0.0; model.features.width()],
        out: vec![0.0; model.outputs()],
    })
}

/// A row as the network has it, and its outputs.
fn ask_for_row(model: &DecodedModel) -> Result<(), Report> {
    let values = model.features.width() + model.outputs();
    Ok(memory::ask_for_many(
        values.saturating_mul(size_of::<f32>()),
    )?)
}

/// Working memory within what scoring may take: the rest is left to the rows of a batch.
fn scratch(model: &DecodedModel, resolved: &Resolved, calls: Calls) -> Result<Scratch, Report> {
    let most = settings::max_memory() / 2;
    let scratch = match calls {
        Calls::Single => model.predictor.scratch_of_a_row(most),
        Calls::Together => model.predictor.scratch_within(most),
    };
    scratch.map_err(|error| {
        Report::from(error).detail(format!(
            "Half of neural.max_memory is for the working memory of model \"{}\".",
            resolved.label()
        ))
    })
}

fn check_answer(model: &DecodedModel, resolved: &Resolved, answer: Answer) -> Result<(), Report> {
    model.target.check_answer(answer).map_err(|none| {
        let (more, right) = match none {
            NoAnswer::Labels | NoAnswer::ManyClasses => {
                ("", "predict_class or neural.predict_proba")
            }
            NoAnswer::SeveralOutputs => ("", "predict_proba"),
            NoAnswer::NoClasses if model.outputs() > 1 => ("", "predict_proba"),
            NoAnswer::NoClasses => ("", "predict"),
            NoAnswer::OneOutput => (" and has no probabilities", "predict"),
        };
        let (label, reason) = (resolved.label(), none.reason());
        Report::invalid(format!("model \"{label}\" {reason}{more}"))
            .hint(format!("Use neural.{right}."))
    })
}
