//! Epochs of `resnet_small`, whose layers couple the rows of a batch, over 2000 images of 28 × 28
//! (Adam, batches of 64) on 1, 2, … threads: `cargo bench --no-default-features --bench epoch
//! [-- THREADS…]`. `epoch_pytorch.py` times the same in PyTorch.

use std::error::Error;

use pg_neural::models;
use pg_neural::nn::{
    self, Crew, Head, Initializer, InputFeature, InputForm, LossSpec, Network, Random, TrainOptions,
};

use memory_rows::{Quiet, Rows};

#[path = "../tests/core/memory_rows.rs"]
mod memory_rows;

const IMAGES: usize = 2000;
const SIDE: usize = 28;
const CLASSES: usize = 10;
const EPOCHS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let threads: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let threads = if threads.is_empty() {
        vec![1, 2]
    } else {
        threads
    };
    let mut random = Random::new(1, 0);
    let mut rows = Rows {
        x: (0..IMAGES * SIDE * SIDE)
            .map(|_| random.uniform_f32())
            .collect(),
        y: (0..IMAGES).map(|i| (i % CLASSES) as f32).collect(),
    };
    let architecture = models::find("resnet_small").ok_or("not shipped")?;
    let feature = InputFeature {
        name: "pixels".into(),
        form: InputForm::Image {
            channels: 1,
            height: SIDE,
            width: SIDE,
        },
    };
    let head = Head::Multiclass { classes: CLASSES };
    let architecture = nn::Architecture::from_json(&architecture.architecture())?;
    let network = Network::build(&architecture, &[feature], head, None)?;
    for threads in threads {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()?;
        let options = TrainOptions {
            epochs: EPOCHS,
            batch_size: 64,
            loss: LossSpec::CategoricalCrossentropy,
            threads,
            ..TrainOptions::default()
        };
        let crew = Crew {
            // As in a backend of which nobody wants anything.
            wanted: || false,
            ..Crew::from(&pool)
        };
        let start = network.initialise(1, Initializer::Pytorch);
        let trained = nn::train(&network, start, &mut rows, None, &options, crew, &mut Quiet)?;
        let seconds = trained.history.iter().map(|report| report.seconds);
        let mut seconds: Vec<f64> = seconds.collect();
        seconds.sort_by(f64::total_cmp);
        println!(
            "{threads} threads: {:.0} ms an epoch (best {:.0}), loss {:.5}",
            seconds[EPOCHS / 2] * 1e3,
            seconds[0] * 1e3,
            trained.history[EPOCHS - 1].train_loss,
        );
    }
    Ok(())
}
