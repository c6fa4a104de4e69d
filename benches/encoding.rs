//! Encoding numbers to network inputs, feature by feature and as vectors, and the hash of what was
//! encoded: `cargo bench --no-default-features --bench encoding`.

use std::hint::black_box;

use pg_neural::features::{
    BitMask, Block, Column, Encoder, FitRows, MemoryRows, Numbers, Origin, Values, fit,
    parse_requests,
};
use pg_neural::nn::{Crew, Error, Loaded, RowSource};
use pg_neural::training::data_hash;
use serde_json::{Map, json};

use timing::least;

mod timing;

const ROWS: usize = 256;

fn encoder(features: usize, scale: &str) -> Encoder {
    let mut block = Block {
        rows: 1000,
        ..Block::default()
    };
    let (mut columns, mut wanted) = (Vec::new(), Map::new());
    for i in 0..features {
        let name = format!("x{i}");
        let values = (0..1000).map(|row| f64::from((row * 7 + i as u32 * 13) % 1000));
        block.columns.push(Values::Number(values.collect()));
        columns.push(Column::new(&name, "double precision", Origin::Float));
        wanted.insert(name, json!({"type": "numeric", "scale": scale}));
    }
    let requests = parse_requests(Some(&wanted.into()), &columns).expect("features");
    let mask = BitMask::new(block.rows, true);
    let dictionaries = vec![None; features];
    let mut rows = MemoryRows::new(block);
    let fitted = fit(
        &requests,
        &columns,
        &[],
        &mut FitRows {
            rows: &mut rows,
            is_training: &mask,
            dictionaries: &dictionaries,
            crew: None,
            interrupted: &mut || false,
        },
    );
    fitted.expect("a fit").set.encoder()
}

/// Nanoseconds a row.
fn time(mut task: impl FnMut()) -> f64 {
    let [seconds] = least([&mut task]);
    seconds * 1e9 / ROWS as f64
}

/// Rows in memory.
struct InMemory {
    x: Vec<f32>,
    y: Vec<f32>,
}

impl RowSource for InMemory {
    fn rows(&self) -> usize {
        self.y.len()
    }

    fn capacity(&self) -> usize {
        usize::MAX
    }

    fn load<'a>(&'a mut self, index: &'a [u32]) -> Result<Loaded<'a>, Error> {
        Ok(Loaded {
            x: &self.x,
            y: &self.y,
            weight: None,
            fold: None,
            index,
        })
    }
}

/// Milliseconds to hash a million rows of so many inputs.
fn hash_time(inputs: usize, threads: usize) -> f64 {
    const ROWS: usize = 1_000_000;
    let rows = |rows: usize| InMemory {
        x: (0..rows * inputs).map(|i| (i % 777) as f32).collect(),
        y: vec![0.0; rows],
    };
    let mut mask = BitMask::new(ROWS, true);
    (0..ROWS).step_by(7).for_each(|row| mask.set(row, false));
    let (mut trained, mut held_out) = (rows(mask.count()), rows(ROWS - mask.count()));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.expect("threads");
    let [seconds] = least([&mut || {
        let sides: [&mut dyn RowSource; 2] = [&mut trained, &mut held_out];
        let hash = data_hash(&mask, sides, (inputs, 1), Crew::from(&pool), &mut || false);
        black_box(hash.expect("a hash"));
    }]);
    seconds * 1e3
}

fn main() {
    println!("ms to hash a million rows of so many inputs: with one thread, with two");
    for inputs in [10, 20, 50] {
        println!(
            "{inputs:4} {:8.1} {:8.1}",
            hash_time(inputs, 1),
            hash_time(inputs, 2)
        );
    }
    println!("ns a row of so many features: one by one, as vectors, as vectors with NULLs");
    for scale in ["standard", "robust"] {
        for features in [4, 8, 20, 100] {
            let encoder = encoder(features, scale);
            let values: Vec<f64> = (0..ROWS * features).map(|i| (i % 777) as f64).collect();
            let nulls: Vec<bool> = (0..ROWS * features).map(|i| i % 9 == 0).collect();
            let mut out = vec![0.0; ROWS * features];
            let single = time(|| {
                let rows = values.chunks_exact(features);
                for (values, out) in rows.zip(out.chunks_exact_mut(features)) {
                    for (i, &value) in values.iter().enumerate() {
                        encoder.number(i, value, out);
                    }
                }
                black_box(&mut out);
            });
            let together = time(|| {
                let rows = values.chunks_exact(features).map(Numbers::from);
                encoder.numbers(0, features, rows, &mut out);
                black_box(&mut out);
            });
            let with_nulls = time(|| {
                let rows = values.chunks_exact(features);
                let rows = rows.zip(nulls.chunks_exact(features));
                let rows = rows.map(|(values, nulls)| Numbers { values, nulls });
                encoder.numbers(0, features, rows, &mut out);
                black_box(&mut out);
            });
            println!("{scale:10} {features:4} {single:8.1} {together:8.1} {with_nulls:8.1}");
        }
    }
}
