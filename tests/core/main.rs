//! Tests of the core through its public interface; no PostgreSQL is needed.

mod architecture;
mod artifact;
mod attention;
mod conv;
mod default_training;
mod features;
mod features_target;
mod gradients;
mod kernel;
mod layer_case;
mod math;
mod members;
mod metrics;
mod models;
mod network;
mod networks;
mod norm;
mod optimizer;
mod predictor;
mod recurrent;
mod sequences;
mod several_outputs;
mod shapes;
mod trainer;
mod training;
mod weights;
