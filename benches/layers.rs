//! What each layer of the networks of the side-by-side benchmark takes, and how near that is to the
//! machine's fastest matrix product: `cargo bench --no-default-features --bench layers [-- --json]`.
//!
//! A row is a layer within its network, on one thread, over the 32 rows that a thread computes of a
//! batch of 64: 28 × 28 images. The share is that of the multiply-adds a second of a square `sgemm`;
//! a backward pass is counted as one product for the weights and one for the input, if that learns.

use std::error::Error;
use std::time::Instant;

use pg_neural::models;
use pg_neural::nn::matrix::{matrix, matrix_mut, multiply};
use pg_neural::nn::{
    Architecture, Head, Initializer, InputFeature, InputForm, Network, Random, Rank, blas,
};
use serde_json::{Value, json};

const ROWS: usize = 32;
const SIDE: usize = 28;
const CLASSES: usize = 10;
const SECONDS: f64 = 0.4;

/// Multiply-adds a second of the fastest of some square products.
fn peak() -> f64 {
    let mut random = Random::new(1, 0);
    let mut best: f64 = 0.0;
    for size in [512, 1024] {
        let mut square = || -> Vec<f32> { (0..size * size).map(|_| random.normal_f32()).collect() };
        let (a, b, mut c) = (square(), square(), square());
        let (a, b) = (matrix(&a, size, size), matrix(&b, size, size));
        for _ in 0..8 {
            let begin = Instant::now();
            multiply(&a, &b, 0.0, &mut matrix_mut(&mut c, size, size));
            best = best.max((size * size * size) as f64 / begin.elapsed().as_secs_f64());
        }
    }
    best
}

/// A network of one recurrent layer of 128 units.
fn recurrent(layer: &str) -> Value {
    json!({"layers": [{"type": layer, "name": layer, "units": 128}, {"type": "output", "name": "fc"}]})
}

fn measure(name: &str, architecture: &Value, peak: f64) -> Result<Vec<Value>, Box<dyn Error>> {
    let architecture = Architecture::from_json(architecture)?;
    let form = match architecture.input_rank("pixels") {
        Rank::Any => InputForm::Numbers(SIDE * SIDE),
        Rank::Image => InputForm::Image {
            channels: 1,
            height: SIDE,
            width: SIDE,
        },
        Rank::Sequence => InputForm::Sequence {
            steps: SIDE,
            features: SIDE,
            vocabulary: None,
        },
    };
    let feature = InputFeature {
        name: "pixels".into(),
        form,
    };
    let head = Head::Multiclass { classes: CLASSES };
    let network = Network::build(&architecture, &[feature], head, None)?;
    let parameters = network.initialise(1, Initializer::default());
    let mut random = Random::new(2, 0);
    let width = network.input_width();
    let mut x: Vec<f32> = (0..ROWS * width).map(|_| random.uniform_f32()).collect();
    if matches!(form, InputForm::Sequence { .. }) {
        // The first column tells how many steps are there.
        x.chunks_exact_mut(width)
            .for_each(|row| row[0] = SIDE as f32);
    }
    let dlogits: Vec<f32> = (0..ROWS * CLASSES).map(|_| random.normal_f32()).collect();
    let mut gradients = vec![0.0; parameters.len()];
    let mut dropout = Random::new(3, 0);

    // A layer's time is the least of several stretches: what else the machine does only adds to it.
    let mut least: Vec<(f64, f64)> = vec![(f64::MAX, f64::MAX); network.nodes().len()];
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < SECONDS {
        let mut workspace = network.workspace(ROWS).timed();
        let passes = 10;
        for _ in 0..passes {
            network.forward(&parameters, &x, ROWS, &mut workspace, Some(&mut dropout));
            let (gradients, workspace) = (&mut gradients, &mut workspace);
            network.backward(&parameters, &x, ROWS, &dlogits, gradients, workspace);
        }
        for (least, times) in least.iter_mut().zip(workspace.times()) {
            let each = |time: std::time::Duration| time.as_secs_f64() / f64::from(passes);
            least.0 = least.0.min(each(times.forward));
            least.1 = least.1.min(each(times.backward));
        }
    }
    let rows = network
        .nodes()
        .iter()
        .zip(least)
        .map(|(node, (forward, backward))| {
            let products = (ROWS * node.products()) as f64;
            let back = products * (1 + node.inputs_that_learn()) as f64;
            // Where nothing is multiplied by weights, a share would say nothing.
            let share = |products: f64, seconds: f64| match node.parameters().is_empty() {
                true => Value::Null,
                false => json!(products / seconds / peak),
            };
            json!({
                "network": name,
                "layer": node.name(),
                "products": node.products(),
                "forward_us": forward * 1e6,
                "forward_share": share(products, forward),
                "backward_us": backward * 1e6,
                "backward_share": share(back, backward),
            })
        });
    Ok(rows.collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    blas::load()?;
    let peak = peak();
    let mut rows = Vec::new();
    for name in ["lenet5", "cnn_32", "resnet_small", "transformer_small"] {
        let shipped = models::find(name).ok_or("not shipped")?;
        rows.extend(measure(name, &shipped.architecture(), peak)?);
    }
    for layer in ["rnn", "lstm", "gru"] {
        rows.extend(measure(
            &format!("{layer} of 128"),
            &recurrent(layer),
            peak,
        )?);
    }
    if std::env::args().any(|argument| argument == "--json") {
        println!(
            "{}",
            json!({"peak_gflops": 2e-9 * peak, "rows": ROWS, "layers": rows})
        );
        return Ok(());
    }
    println!("sgemm: {:.0} GFLOP/s on one thread", 2e-9 * peak);
    let percent = |share: &Value| {
        share
            .as_f64()
            .map_or(String::new(), |s| format!("{:.0} %", 100.0 * s))
    };
    for row in &rows {
        println!(
            "{:18} {:22} forward {:8.1} µs {:>5}  backward {:8.1} µs {:>5}",
            row["network"].as_str().unwrap_or_default(),
            row["layer"].as_str().unwrap_or_default(),
            row["forward_us"].as_f64().unwrap_or(f64::NAN),
            percent(&row["forward_share"]),
            row["backward_us"].as_f64().unwrap_or(f64::NAN),
            percent(&row["backward_share"]),
        );
    }
    Ok(())
}
