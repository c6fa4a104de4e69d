//! Tests of the core through its public interface; no PostgreSQL is needed.

// With PostgreSQL the crate has an allocator of its own.
#[cfg(not(feature = "pg"))]
mod allocation;
mod architecture;
mod array_precision;
mod artifact;
mod attention;
mod checkpoints;
mod conv;
mod counted_rows;
mod default_architecture;
mod default_training;
mod elementwise;
mod features;
mod gradients;
mod held_out;
mod hostile_bytes;
mod kernel;
mod layer_case;
mod math;
mod matrix;
mod members;
mod memory_rows;
mod metrics;
mod models;
mod network;
mod networks;
mod norm;
mod optimizer;
mod packed_memory;
mod periodic;
mod piecewise;
mod predictor;
mod quantized;
mod recurrent;
mod rooms;
mod sequences;
mod several_outputs;
mod shapes;
mod shared_models;
mod stop;
mod trainer;
mod training;
mod upgrades;
mod weights;
mod weights_layouts;
