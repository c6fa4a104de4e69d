//! Rows of a table, taken from where they lie on its pages.
//!
//! What a scan returns is a row as it is stored, whose columns are found one after the other. The
//! slot that it comes in would write each of them down up to the last that is asked for, from where
//! a batch would copy those it wants. Here they go from the page to the batch at once, and
//! neighbours of one type together.

mod layout;
mod layouts;
mod page;
mod take;

pub(super) use layout::{Layout, Want};
pub(super) use layouts::Layouts;
pub(super) use page::{Pages, Rest};
pub(super) use take::Lane;
