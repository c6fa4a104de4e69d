//! One epoch of a network 20-64-64-1 (Adam, batches of 256, binary cross-entropy) on 1, 2, …
//! threads: `cargo bench --no-default-features --bench training [-- ROWS [THREADS…]]`.

use std::error::Error;

use pg_neural::nn::{
    self, Architecture, Crew, Head, Initializer, InputFeature, LossSpec, Network, Random,
    TrainOptions,
};

use memory_rows::{Quiet, Rows};

#[path = "../tests/core/memory_rows.rs"]
mod memory_rows;

const WIDTH: usize = 20;
const EPOCHS: usize = 5;

/// Rows whose class depends on a few sums and products of the columns.
fn rows(count: usize) -> Rows {
    let mut random = Random::new(1, 0);
    let x: Vec<f32> = (0..count * WIDTH)
        .map(|_| 2.0 * random.uniform_f32() - 1.0)
        .collect();
    let y = x
        .chunks_exact(WIDTH)
        .map(|row| f32::from(u8::from(row[0] + row[1] * row[2] > 0.4 * row[3])))
        .collect();
    Rows { x, y }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let count = arguments.first().copied().unwrap_or(1_000_000);
    let threads = if arguments.len() > 1 {
        &arguments[1..]
    } else {
        &[1, 2][..]
    };
    let mut source = rows(count);
    let architecture = Architecture::parse(
        r#"{"layers": [{"type": "dense", "units": 64, "activation": "relu"},
                       {"type": "dense", "units": 64, "activation": "relu"}]}"#,
    )?;
    let inputs: Vec<InputFeature> = (0..WIDTH)
        .map(|i| InputFeature::column(format!("x{i}"), 1, None))
        .collect();
    let network = Network::build(&architecture, &inputs, Head::Binary, None)?;
    for &threads in threads {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()?;
        let options = TrainOptions {
            epochs: EPOCHS,
            loss: LossSpec::BinaryCrossentropy,
            threads,
            ..TrainOptions::default()
        };
        let start = network.initialise(1, Initializer::default());
        let trained = nn::train(
            &network,
            start,
            &mut source,
            None,
            &options,
            Crew {
                // As in a backend of which nobody wants anything.
                wanted: || false,
                ..Crew::from(&pool)
            },
            &mut Quiet,
        )?;
        let mut seconds: Vec<f64> = trained
            .history
            .iter()
            .map(|report| report.seconds)
            .collect();
        seconds.sort_by(f64::total_cmp);
        let steps = count.div_ceil(options.batch_size) as f64;
        println!(
            "{threads} threads: {:.1} ms an epoch (best {:.1}), {:.1} µs a step, loss {:.5}",
            seconds[EPOCHS / 2] * 1e3,
            seconds[0] * 1e3,
            seconds[EPOCHS / 2] * 1e6 / steps,
            trained.history[EPOCHS - 1].train_loss,
        );
    }
    Ok(())
}
