//! The column to predict: what it is, its classes and scale, and its values as the network learns them.

pub(super) mod array;
pub(super) mod class_index;
pub(super) mod family;
pub(super) mod find;
pub(super) mod fit;
pub(super) mod fit_family;
pub(super) mod given;
pub(super) mod label_set;
pub(super) mod labels;
pub(super) mod positive_class;
pub(super) mod reach;
pub(super) mod stored;
