//! Training.

mod augment;
mod checkpoint;
mod edges;
mod epoch_order;
mod epoch_report;
pub mod loss;
pub mod optimizer;
mod options;
mod parts;
mod plan;
mod rows;
pub mod schedule;
mod shared;
mod trainer;
pub mod update;
mod worker;

pub use augment::Augmentation;
pub use checkpoint::{Checkpoint, Resume};
pub use edges::fit_edges;
pub use epoch_report::EpochReport;
pub use options::TrainOptions;
pub use plan::VALIDATION_ROWS;
pub use rows::{Loaded, RowSource};
pub use trainer::{Trained, Watcher, train, training_bytes};
