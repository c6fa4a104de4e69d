//! Quantised networks: the integer product against a plain loop on every processor, and models.

use super::conv::feature;
use super::packed_memory::shared;
use pg_neural::artifact::{Error, InPassing, Model};
use pg_neural::nn::integer::PackedIntegers;
use pg_neural::nn::processor::Processor;
use pg_neural::nn::{
    Activation, Architecture, Calibration, Candidate, Head, Initializer, InputFeature, InputScale,
    Network, Never, Predictor, Quantization, Random,
};

/// A dense layer in 8 bits as its definition has it, in whole numbers of 64 bits.
struct Reference {
    n: usize,
    k: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
    input: InputScale,
}

/// The scale of an output's weights: a 127th of the largest, rounded up to 17 bits.
fn weight_scale(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
    if largest == 0.0 {
        return 1.0;
    }
    let exponent = f64::from(largest / 127.0).log2().floor();
    let last = (exponent - 16.0).exp2();
    ((f64::from(largest / 127.0) / last).ceil() * last) as f32
}

impl Reference {
    fn random(random: &mut Random, n: usize, k: usize, input: InputScale) -> Reference {
        let mut values = |count: usize| (0..count).map(|_| random.normal_f32()).collect();
        Reference {
            n,
            k,
            weight: values(n * k),
            bias: values(n),
            input,
        }
    }

    fn row(&self, x: &[f32]) -> Vec<f32> {
        let (scale, factor, zero) = match self.input {
            InputScale::Static { scale, zero_point } => (scale, 1.0 / scale, zero_point),
            InputScale::Dynamic => {
                let largest = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                match largest {
                    0.0 => (0.0, 0.0, 128),
                    _ => (largest / 127.0, 127.0 / largest, 128),
                }
            }
        };
        let byte = |x: f32| {
            let value = x * factor + f32::from(zero);
            value.clamp(0.0, 255.0).round_ties_even() as i64 - i64::from(zero)
        };
        let output = |j: usize| {
            let row = &self.weight[j * self.k..][..self.k];
            let own = weight_scale(row);
            let products = row.iter().zip(x).map(|(w, x)| {
                let whole = (f64::from(*w) / f64::from(own)).round_ties_even() as i64;
                whole * byte(*x)
            });
            let sum: i64 = products.sum();
            (sum as f32).mul_add(scale * own, self.bias[j])
        };
        (0..self.n).map(output).collect()
    }

    fn packed(&self, activation: Activation, on: Processor) -> PackedIntegers {
        let (weight, bias) = (&self.weight, Some(&self.bias[..]));
        PackedIntegers::new(weight, bias, self.n, self.k, self.input, activation).on(on)
    }
}

/// The layer's rows, so many at a time, in as little memory as will do for `room` rows.
fn forward(layer: &PackedIntegers, x: &[f32], k: usize, at_once: usize, room: usize) -> Vec<f32> {
    let n = layer.outputs();
    let mut scratch = vec![f32::NAN; layer.scratch(room)];
    let mut out = Vec::new();
    for x in x.chunks(at_once * k) {
        let rows = x.len() / k;
        // Apart, and nothing written between.
        let mut apart = vec![7.0; rows * (n + 3)];
        layer.forward((x, k), rows, (&mut apart, n + 3), &mut scratch);
        for row in apart.chunks(n + 3) {
            out.extend_from_slice(&row[..n]);
            assert_eq!(row[n..], [7.0; 3]);
        }
    }
    out
}

#[test]
fn the_product_is_the_definition_s_on_every_processor_and_in_any_batch() {
    let mut random = Random::new(5, 1);
    let fixed = InputScale::Static {
        scale: 0.0271,
        zero_point: 97,
    };
    for (n, k) in [
        (1, 1),
        (5, 32),
        (16, 4),
        (17, 33),
        (48, 64),
        (64, 20),
        (65, 130),
        (100, 31),
        (130, 301),
    ] {
        for input in [fixed, InputScale::Dynamic] {
            let case = Reference::random(&mut random, n, k, input);
            let rows = 13;
            // Some beyond what bytes can say.
            let x: Vec<f32> = (0..rows * k).map(|_| 2.0 * random.normal_f32()).collect();
            let expected: Vec<f32> = x.chunks(k).flat_map(|x| case.row(x)).collect();
            for on in Processor::available() {
                let layer = case.packed(Activation::Linear, on);
                for (at_once, room) in [(rows, rows), (1, 1), (5, 2)] {
                    let found = forward(&layer, &x, k, at_once, room);
                    assert_eq!(found, expected, "{n} by {k}, {input:?}, {on:?}");
                }
                for activation in [Activation::Relu, Activation::Tanh, Activation::Softmax] {
                    let found = forward(&case.packed(activation, on), &x, k, rows, rows);
                    let mut expected = expected.clone();
                    activation.apply(&mut expected, n);
                    assert_eq!(found, expected, "{activation}, {on:?}");
                }
            }
        }
    }
}

#[test]
fn the_largest_bytes_and_weights_do_not_saturate() {
    let (n, k) = (20, 1 << 16);
    let case = Reference {
        n,
        k,
        weight: (0..n * k)
            .map(|i| if i / k % 2 == 0 { 1.0 } else { -1.0 })
            .collect(),
        bias: vec![0.0; n],
        input: InputScale::Static {
            scale: 1.0,
            zero_point: 0,
        },
    };
    let x = vec![1e9; k];
    let expected = case.row(&x);
    assert!(expected[0] > 1.6e7 && expected[1] < -1.6e7);
    for on in Processor::available() {
        let found = forward(&case.packed(Activation::Linear, on), &x, k, 1, 1);
        assert_eq!(found, expected, "{on:?}");
    }
}

#[test]
fn what_is_no_number_stays_none_and_what_is_far_is_cut_off() {
    let mut random = Random::new(5, 2);
    let fixed = InputScale::Static {
        scale: 0.02,
        zero_point: 128,
    };
    for input in [fixed, InputScale::Dynamic] {
        let case = Reference::random(&mut random, 20, 40, input);
        let mut x: Vec<f32> = (0..4 * 40).map(|_| random.normal_f32()).collect();
        x[40 + 7] = f32::NAN;
        x[2 * 40 + 9] = f32::INFINITY;
        x[3 * 40..].fill(0.0);
        for on in Processor::available() {
            let found = forward(&case.packed(Activation::Linear, on), &x, 40, 4, 4);
            let found: Vec<&[f32]> = found.chunks(20).collect();
            assert_eq!(found[0], case.row(&x[..40]), "{on:?}");
            assert!(found[1].iter().all(|y| y.is_nan()));
            assert_eq!(
                found[2].iter().all(|y| y.is_nan()),
                input == InputScale::Dynamic
            );
            assert_eq!(found[2].iter().all(|y| y.is_finite()), input == fixed);
            assert_eq!(found[3], case.bias);
        }
    }
}

fn network(text: &str, inputs: usize, head: Head) -> Network {
    let architecture = Architecture::parse(text).unwrap();
    let columns: Vec<InputFeature> = (0..inputs)
        .map(|i| InputFeature::column(format!("x{i}"), 1, None))
        .collect();
    Network::build(&architecture, &columns, head, None).unwrap()
}

const DENSE: &str = r#"{"layers": [
    {"type": "dense", "name": "first", "units": 64, "activation": "relu"},
    {"type": "dense", "name": "second", "units": 48, "activation": "tanh"},
    {"type": "dense", "name": "third", "units": 40, "activation": "gelu"}
]}"#;

/// A network over one column of that shape.
fn of_shape(text: &str, shape: &[usize]) -> Network {
    let architecture = Architecture::parse(text).unwrap();
    let head = Head::Regression { outputs: 1 };
    Network::build(&architecture, &[feature(shape)], head, None).unwrap()
}

fn rows(random: &mut Random, count: usize, width: usize) -> Vec<f32> {
    (0..count * width).map(|_| random.normal_f32()).collect()
}

fn outputs(predictor: &Predictor, x: &[f32]) -> Vec<f32> {
    let rows = x.len() / predictor.input_width();
    let mut out = vec![0.0; rows * predictor.output_units()];
    predictor.forward(x, rows, &mut out, &mut predictor.scratch());
    out
}

fn calibrate(network: &Network, parameters: &[f32], x: &[f32]) -> Quantization {
    let predictor = Predictor::new(network, parameters).unwrap();
    let candidates = Candidate::of(network, parameters);
    let mut calibration = Calibration::new(&predictor, candidates, usize::MAX).unwrap();
    calibration.calibrate(x, &Never);
    calibration.finish()
}

#[test]
fn a_quantised_network_is_near_and_the_same_in_any_batch() {
    let mut random = Random::new(6, 1);
    for (head, members) in [
        (Head::Regression { outputs: 1 }, 1),
        (Head::Multiclass { classes: 10 }, 1),
        (Head::Multiclass { classes: 10 }, 3),
        (Head::Binary, 3),
    ] {
        let mut text = DENSE.to_owned();
        if members > 1 {
            text = text.replacen('{', &format!("{{\"members\": {members}, "), 1);
        }
        let mut network = network(&text, 40, head);
        let mut parameters = network.initialise(3, Initializer::default());
        let x = rows(&mut random, 300, 40);
        let exact = outputs(&Predictor::new(&network, &parameters).unwrap(), &x);
        let quantization = calibrate(&network, &parameters, &x);
        let layers = if matches!(head, Head::Multiclass { .. }) {
            4
        } else {
            3
        };
        assert_eq!(quantization.layers.len(), layers * members);
        network.quantize(&quantization).unwrap();
        network.round_quantized(&mut parameters);
        let predictor = Predictor::new(&network, &parameters).unwrap();
        let found = outputs(&predictor, &x);
        let off = found
            .iter()
            .zip(&exact)
            .map(|(a, b)| f64::from(a - b).powi(2));
        let error = (off.sum::<f64>() / exact.len() as f64).sqrt();
        let size = exact.iter().map(|y| f64::from(*y).powi(2)).sum::<f64>() / exact.len() as f64;
        assert!(
            error > 0.0 && error < 0.02 * size.sqrt(),
            "{error} of {size}"
        );
        let singly: Vec<f32> = x.chunks(40).flat_map(|x| outputs(&predictor, x)).collect();
        assert_eq!(singly, found);
        let sevens: Vec<f32> = x.chunks(280).flat_map(|x| outputs(&predictor, x)).collect();
        assert_eq!(sevens, found);
        // Rounded once, they are rounded for good.
        let before = parameters.clone();
        network.round_quantized(&mut parameters);
        assert_eq!(parameters, before);
        // In memory that is shared.
        let mut bytes = Vec::new();
        let mut keep = |piece: &[u8]| bytes.extend_from_slice(piece);
        Predictor::keeping(&network, &parameters, &mut keep, &Never).unwrap();
        let shared = Predictor::shared(&network, shared(&bytes)).unwrap();
        assert_eq!(outputs(&shared, &x), found);
    }
}

#[test]
fn outliers_do_not_make_all_others_coarse() {
    let mut random = Random::new(6, 2);
    let network = network(DENSE, 40, Head::Regression { outputs: 1 });
    let parameters = network.initialise(3, Initializer::default());
    let mut x = rows(&mut random, 12_000, 40);
    let scale = |x: &[f32]| match calibrate(&network, &parameters, x).layers["first"] {
        InputScale::Static { scale, .. } => scale,
        InputScale::Dynamic => panic!("of rows"),
    };
    let plain = scale(&x);
    assert!((0.02..0.035).contains(&plain), "{plain}");
    x[77] = 12.0;
    assert!(scale(&x) < 1.5 * plain, "{} of {plain}", scale(&x));
    // What is not finite says nothing.
    x[78] = f32::INFINITY;
    x[79] = f32::NAN;
    assert!(scale(&x) < 1.5 * plain);
    x.fill(0.0);
    assert_eq!(scale(&x), 1.0);
    // Exact where it is constant.
    x.fill(3.5);
    let InputScale::Static { scale, zero_point } =
        calibrate(&network, &parameters, &x).layers["first"]
    else {
        panic!("of rows");
    };
    assert_eq!(zero_point, 0);
    assert!((scale * 255.0 - 3.5).abs() < 1e-6);
}

#[test]
fn layers_that_cannot_be_are_refused() {
    let mut small = network(
        r#"{"layers": [{"type": "dense", "name": "a", "units": 64, "activation": "relu"}]}"#,
        4,
        Head::Binary,
    );
    let parameters = small.initialise(3, Initializer::default());
    assert_eq!(Candidate::of(&small, &parameters), []);
    let of = |name: &str, scale: f32| Quantization {
        layers: [(
            name.to_owned(),
            InputScale::Static {
                scale,
                zero_point: 0,
            },
        )]
        .into(),
    };
    assert!(small.quantize(&of("a", 0.1)).is_err());
    let mut wide = network(DENSE, 40, Head::Binary);
    let parameters = wide.initialise(3, Initializer::default());
    assert_eq!(Candidate::of(&wide, &parameters).len(), 3);
    assert!(wide.quantize(&of("none", 0.1)).is_err());
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-30] {
        assert!(wide.quantize(&of("first", scale)).is_err());
    }
    let dynamic = [("first".to_owned(), InputScale::Dynamic)].into();
    assert!(wide.quantize(&Quantization { layers: dynamic }).is_err());
    wide.quantize(&of("first", 0.1)).unwrap();
    // Weights whose products would not be numbers.
    let mut far = parameters.clone();
    far[5] = 1e20;
    let names = |parameters: &[f32]| -> Vec<String> {
        let candidates = Candidate::of(&wide, parameters).into_iter();
        candidates.map(|candidate| candidate.name).collect()
    };
    assert_eq!(names(&far), ["second", "third"]);
}

/// A network quantised on rows is near what it was, and gives a row the same bits in any batch.
fn check_near(network: &mut Network, x: &[f32], layers: &[&str]) {
    let width = network.input_width();
    let mut parameters = network.initialise(4, Initializer::default());
    let exact = outputs(&Predictor::new(network, &parameters).unwrap(), x);
    let quantization = calibrate(network, &parameters, x);
    assert_eq!(quantization.layers.keys().collect::<Vec<_>>(), layers);
    network.quantize(&quantization).unwrap();
    network.round_quantized(&mut parameters);
    let predictor = Predictor::new(network, &parameters).unwrap();
    let found = outputs(&predictor, x);
    let square = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values.map(|value| f64::from(value).powi(2)).sum()
    };
    let off = square(&mut found.iter().zip(&exact).map(|(a, b)| a - b));
    let size = square(&mut exact.iter().copied());
    assert!(
        off > 0.0 && off < 0.02_f64.powi(2) * size,
        "{off} of {size}"
    );
    let singly: Vec<f32> = x
        .chunks(width)
        .flat_map(|x| outputs(&predictor, x))
        .collect();
    assert_eq!(singly, found);
}

#[test]
fn convolutions_of_images_are_near() {
    let mut random = Random::new(7, 1);
    for (settings, channels) in [
        (r#""filters": 16, "kernel_size": 3, "padding": "same""#, 8),
        (
            r#""filters": 24, "kernel_size": [3, 5], "strides": [2, 1], "padding": 1, "activation": "relu""#,
            5,
        ),
        (
            r#""filters": 16, "kernel_size": 3, "dilation": 2, "padding": 2, "activation": "tanh""#,
            8,
        ),
        (
            r#""filters": 32, "kernel_size": 4, "strides": 3, "groups": 2, "activation": "gelu""#,
            8,
        ),
    ] {
        let text = format!(
            r#"{{"layers": [{{"type": "conv2d", "name": "conv", {settings}}}, {{"type": "flatten"}}]}}"#
        );
        let mut network = of_shape(&text, &[channels, 13, 11]);
        let x = rows(&mut random, 40, channels * 13 * 11);
        check_near(&mut network, &x, &["conv"]);
    }
}

#[test]
fn convolutions_of_steps_are_near() {
    let mut random = Random::new(7, 2);
    for settings in [
        r#""filters": 16, "kernel_size": 5, "padding": "same""#,
        r#""filters": 24, "kernel_size": 6, "strides": 2, "padding": 2, "activation": "relu""#,
        r#""filters": 20, "kernel_size": 7, "activation": "softmax""#,
    ] {
        let text = format!(
            r#"{{"layers": [{{"type": "conv1d", "name": "conv", {settings}}}, {{"type": "flatten"}}]}}"#
        );
        let mut network = of_shape(&text, &[19, 7]);
        let mut x = rows(&mut random, 60, 1 + 19 * 7);
        for row in x.chunks_mut(1 + 19 * 7) {
            let steps = 10 + random.below(10) as usize;
            row[0] = steps as f32;
            row[1 + steps * 7..].fill(0.0);
        }
        check_near(&mut network, &x, &["conv"]);
    }
}

#[test]
fn attention_has_a_scale_a_token() {
    let mut random = Random::new(7, 3);
    for layer in [
        r#"{"type": "multi_head_attention", "name": "own", "num_heads": 4}"#,
        r#"{"type": "transformer_encoder", "name": "own", "num_heads": 4, "feed_forward": 64}"#,
        r#"{"type": "transformer_encoder", "name": "own", "num_heads": 2, "feed_forward": 96,
            "num_layers": 2, "norm_first": true}"#,
    ] {
        let text = format!(r#"{{"layers": [{layer}, {{"type": "global_avg_pool"}}]}}"#);
        let mut network = of_shape(&text, &[9, 32]);
        let mut x = rows(&mut random, 50, 1 + 9 * 32);
        for (r, row) in x.chunks_mut(1 + 9 * 32).enumerate() {
            let steps = 1 + random.below(9) as usize;
            row[0] = steps as f32;
            row[1 + steps * 32..].fill(0.0);
            // Rows of different sizes, but none so large that the softmax decides between near ties.
            row[1..]
                .iter_mut()
                .for_each(|x| *x *= 0.5 + 0.03 * r as f32);
        }
        check_near(&mut network, &x, &["own"]);
    }
}

#[test]
fn recurrent_layers_are_near() {
    let mut random = Random::new(7, 4);
    for (layer, features) in [
        (r#"{"type": "lstm", "name": "own", "units": 40}"#, 36),
        (
            r#"{"type": "gru", "name": "own", "units": 32, "num_layers": 2, "bidirectional": true}"#,
            5,
        ),
        (
            r#"{"type": "rnn", "name": "own", "units": 48, "use_bias": false}"#,
            33,
        ),
        (
            r#"{"type": "gru", "name": "own", "units": 33, "return_sequences": true}, {"type": "global_avg_pool"}"#,
            40,
        ),
    ] {
        let text = format!(r#"{{"layers": [{layer}]}}"#);
        let mut network = of_shape(&text, &[8, features]);
        let mut x = rows(&mut random, 60, 1 + 8 * features);
        for row in x.chunks_mut(1 + 8 * features) {
            let steps = random.below(9) as usize;
            row[0] = steps as f32;
            row[1 + steps * features..].fill(0.0);
        }
        check_near(&mut network, &x, &["own"]);
    }
}

/// A model with a wide hidden layer, which is quantised.
fn model() -> Model {
    let mut model = super::artifact::model(4, true);
    let text = r#"{"layers": [
        {"type": "dense", "name": "a", "units": 64, "activation": "relu"},
        {"type": "dense", "name": "b", "units": 80, "activation": "relu"}
    ]}"#;
    let architecture = Architecture::parse(text).unwrap();
    let architecture = architecture
        .with_embeddings(&[("branch".to_owned(), 2)])
        .unwrap();
    let inputs = model.features.inputs();
    let network = Network::build(&architecture, &inputs, model.head(), None).unwrap();
    model.parameters = network.initialise(9, Initializer::default());
    model.architecture = network.architecture().clone();
    model.optimizer_state = None;
    let quantization = calibrate(&network, &model.parameters, &{
        let mut x = rows(&mut Random::new(8, 1), 100, network.input_width());
        // A level.
        let width = network.input_width();
        x.chunks_mut(width).for_each(|row| row[width - 1] = 1.0);
        x
    });
    assert_eq!(quantization.layers.keys().collect::<Vec<_>>(), ["b"]);
    let size = model.to_bytes().unwrap().len();
    model.quantize(quantization).unwrap();
    let smaller = model.to_bytes().unwrap().len();
    assert!(size - smaller > 3 * 64 * 80 - 1000);
    model
}

#[test]
fn a_quantised_model_comes_back_to_the_bit() {
    let model = model();
    let bytes = model.to_bytes().unwrap();
    let read = Model::from_bytes(&bytes).unwrap();
    assert_eq!(read, model);
    assert_eq!(read.to_bytes().unwrap(), bytes);
    let mut passing = InPassing::default();
    bytes
        .chunks(1001)
        .for_each(|piece| passing.take(piece).unwrap());
    let (checked, network) = passing.finish(&Never).unwrap();
    assert_eq!(checked.quantization, model.quantization);
    assert_eq!(network.parameter_count(), model.parameters.len());
    // Others keep the format that earlier releases read.
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(text(&bytes).contains(r#"\"format\":2"#));
    let plain = super::artifact::model(4, true).to_bytes().unwrap();
    assert!(text(&plain).contains(r#"\"format\":1"#));
}

#[test]
fn a_damaged_quantised_model_is_told() {
    let model = model();
    let bytes = model.to_bytes().unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let fails = |bytes: &[u8], why: &str| match Model::from_bytes(bytes) {
        Err(error @ Error::Damaged { .. }) => {
            assert!(error.to_string().contains(why), "{error} and not {why}");
        }
        other => panic!("{other:?}"),
    };
    // The integers are the last: 128 under the zero is never rounded to.
    let mut changed = bytes.clone();
    let last = changed.len() - 1;
    changed[last] = 0x80;
    fails(&changed, "a scale is not that of its whole numbers");
    // A value that is not finite among those of type f32, and bytes that would be one among integers.
    let mut changed = bytes.clone();
    changed[8 + length..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    fails(&changed, "not finite");
    let passes = |bytes: &[u8]| {
        let mut passing = InPassing::default();
        bytes
            .chunks(77)
            .for_each(|piece| passing.take(piece).unwrap());
        passing.finish(&Never).is_ok()
    };
    assert!(!passes(&changed));
    let mut changed = bytes.clone();
    let end = changed.len() & !3;
    changed[end - 8..end - 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(passes(&changed));
    // Other words of the same length in the header.
    for (from, to, why) in [
        (
            r#"\"format\":2"#,
            r#"\"format\":1"#,
            "its format is not that",
        ),
        (
            r#"\"b\":{\"static"#,
            r#"\"a\":{\"static"#,
            "cannot be computed in 8 bits",
        ),
        (r#""dtype":"I8""#, r#""dtype":"U8""#, "its type is"),
        (
            "pg_neural.scale.b.weight",
            "pg_neural.scale.c.weight",
            "it is missing",
        ),
    ] {
        let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
        assert!(header.contains(from), "{from} in {header}");
        let header = header.replace(from, to);
        let changed = [&bytes[..8], header.as_bytes(), &bytes[8 + length..]].concat();
        fails(&changed, why);
    }
}
