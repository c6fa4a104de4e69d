#![expect(unsafe_code, reason = "an allocator that counts")]
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pg_neural::models;
use pg_neural::nn::{
    Architecture, Head, Initializer, InputFeature, InputForm, Network, Predictor, Random, Rank,
};
use serde_json::json;

/// The system's memory, each thread's requests counted.
struct Counting;

#[global_allocator]
static MEMORY: Counting = Counting;

thread_local! {
    static REQUESTS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends may still give memory back.
    let _ = REQUESTS.try_with(|requests| requests.set(requests.get() + 1));
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[test]
fn predicting_allocates_nothing_whatever_the_layers() {
    let recurrent = |layer: &str| json!({"layers": [{"type": layer, "units": 20, "bidirectional": true}, {"type": "output"}]});
    let dense = json!({"layers": [
        {"type": "dense", "units": 64, "activation": "relu"},
        {"type": "dense", "name": "gelu", "units": 64, "activation": "gelu"},
        {"type": "dense", "name": "tanh", "units": 64, "activation": "tanh"},
        {"type": "add", "input": ["gelu", "tanh"]}
    ]});
    let mut architectures = vec![
        ("dense", dense),
        ("rnn", recurrent("rnn")),
        ("lstm", recurrent("lstm")),
        ("gru", recurrent("gru")),
    ];
    for name in ["lenet5", "cnn_32", "resnet_small", "transformer_small"] {
        architectures.push((name, models::find(name).unwrap().architecture()));
    }
    for (name, architecture) in architectures {
        let architecture = Architecture::from_json(&architecture).unwrap();
        let (form, steps) = match architecture.input_rank("x") {
            Rank::Any => (InputForm::Numbers(100), None),
            Rank::Image => {
                let (channels, height, width) = (1, 28, 28);
                let form = InputForm::Image {
                    channels,
                    height,
                    width,
                };
                (form, None)
            }
            Rank::Sequence => {
                let form = InputForm::Sequence {
                    steps: 28,
                    features: 28,
                    vocabulary: None,
                };
                (form, Some(29))
            }
        };
        let feature = InputFeature {
            name: "x".into(),
            form,
        };
        let head = Head::Multiclass { classes: 10 };
        let network = Network::build(&architecture, &[feature], head, None).unwrap();
        let parameters = network.initialise(1, Initializer::default());
        let predictor = Predictor::new(&network, &parameters).unwrap();
        let mut random = Random::new(1, 0);
        let (most, width) = (70, predictor.input_width());
        let mut x: Vec<f32> = (0..most * width).map(|_| random.normal_f32()).collect();
        if let Some(lengths) = steps {
            // The first column tells how many steps are there.
            x.chunks_mut(width)
                .for_each(|row| row[0] = random.below(lengths) as f32);
        }
        let mut out = vec![0.0; most * 10];
        let mut scratch = predictor.scratch();
        for rows in [most, 1, 7] {
            let before = REQUESTS.get();
            predictor.forward(&x, rows, &mut out, &mut scratch);
            assert_eq!(REQUESTS.get() - before, 0, "{name}, {rows} rows");
        }
    }
}
