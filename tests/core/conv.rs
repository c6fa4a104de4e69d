//! Convolutions and pooling: against PyTorch (`fixtures/make_conv_fixtures.py` made the numbers),
//! packed against trained, short sequences against shorter networks, and what is refused.

use pg_neural::nn::convolution::{Axis, Convolution};
use pg_neural::nn::processor::Processor;
use pg_neural::nn::{
    Architecture, Error, Head, Initializer, InputFeature, InputForm, Network, Pace, Padding,
    Predictor, Random, Window,
};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::layer_case::{close, tensor};

const CASES: &[u8] = include_bytes!("fixtures/conv.safetensors");
const ROWS: usize = 3;

/// The only feature, "x": an image, or a sequence of up to so many steps.
pub fn feature(shape: &[usize]) -> InputFeature {
    let form = match *shape {
        [steps, features] => InputForm::Sequence {
            steps,
            features,
            vocabulary: None,
        },
        [channels, height, width] => InputForm::Image {
            channels,
            height,
            width,
        },
        _ => InputForm::Numbers(shape[0]),
    };
    InputFeature {
        name: "x".to_owned(),
        form,
    }
}

fn build(layers: &str, shape: &[usize], outputs: usize) -> Result<Network, Error> {
    let architecture = Architecture::parse(&format!("{{\"layers\": [{layers}]}}"))?;
    let head = Head::Regression { outputs };
    Network::build(&architecture, &[feature(shape)], head, None)
}

/// A layer, its input's shape, and PyTorch's numbers.
struct Case<'a> {
    name: String,
    layer: String,
    shape: Vec<usize>,
    file: &'a SafeTensors<'a>,
}

impl Case<'_> {
    fn all<'a>(file: &'a SafeTensors<'a>, metadata: &str) -> Vec<Case<'a>> {
        let cases: Vec<Value> = serde_json::from_str(metadata).unwrap();
        let extents = |shape: &Value| {
            let shape = shape.as_array().unwrap().iter();
            shape.map(|n| n.as_u64().unwrap() as usize).collect()
        };
        let case = |(i, case): (usize, &Value)| {
            let mut layer = case["layer"].clone();
            layer["name"] = Value::from("layer");
            Case {
                name: format!("{i} {} over {}", case["layer"], case["shape"]),
                layer: layer.to_string(),
                shape: extents(&case["shape"]),
                file,
            }
        };
        cases.iter().enumerate().map(case).collect()
    }

    fn tensor(&self, name: &str) -> Vec<f32> {
        let number = self.name.split(' ').next().unwrap();
        tensor(self.file, &format!("{number}.{name}"))
    }

    /// Rows as the network reads them: a sequence has its number of steps in front.
    fn rows(&self) -> Vec<f32> {
        let values = self.tensor("x");
        let rows = values.chunks_exact(values.len() / ROWS);
        rows.flat_map(|row| {
            let steps = match self.shape[..] {
                [steps, _] => Some(steps as f32),
                _ => None,
            };
            steps.into_iter().chain(row.iter().copied())
        })
        .collect()
    }

    /// The layer behind factors of one, whose gradients tell that of the input, and before an output
    /// layer that gives the values as they are.
    fn network(&self, outputs: usize) -> (Network, Vec<f32>) {
        let layers = format!(
            r#"{{"type": "scale", "name": "factors"}}, {}, {{"type": "flatten"}},
               {{"type": "output", "name": "out", "use_bias": false}}"#,
            self.layer
        );
        let network = build(&layers, &self.shape, outputs).unwrap();
        let mut parameters = network.initialise(1, Initializer::Zeros);
        for parameter in network.parameters() {
            let values = &mut parameters[parameter.range.clone()];
            match parameter.name.as_str() {
                "layer.weight" => values.copy_from_slice(&self.tensor("weight")),
                "layer.bias" => values.copy_from_slice(&self.tensor("bias")),
                "out.weight" => values
                    .iter_mut()
                    .step_by(outputs + 1)
                    .for_each(|w| *w = 1.0),
                _ => {}
            }
        }
        (network, parameters)
    }
}

fn with_cases(check: impl Fn(&Case<'_>)) {
    let file = SafeTensors::deserialize(CASES).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(CASES).unwrap();
    let cases = &metadata.metadata().as_ref().unwrap()["cases"];
    Case::all(&file, cases).iter().for_each(check);
}

#[test]
fn every_layer_agrees_with_pytorch_forward_and_backward() {
    with_cases(|case| {
        let (y, seed, dx) = (case.tensor("y"), case.tensor("seed"), case.tensor("dx"));
        let outputs = y.len() / ROWS;
        let (network, parameters) = case.network(outputs);
        let (x, width) = (case.rows(), network.input_width());
        let mut workspace = network.workspace(ROWS + 1);
        let found = network.forward(&parameters, &x, ROWS, &mut workspace, None);
        close(&case.name, found, &y);
        let mut gradients = vec![0.0; parameters.len()];
        // The second time over what the first left in the buffers.
        for _ in 0..2 {
            gradients.fill(0.0);
            network.forward(&parameters, &x, ROWS, &mut workspace, None);
            network.backward(&parameters, &x, ROWS, &seed, &mut gradients, &mut workspace);
        }
        for parameter in network.parameters() {
            if let Some(name) = parameter.name.strip_prefix("layer.") {
                let found = &gradients[parameter.range.clone()];
                let what = format!("{} d{name}", case.name);
                close(&what, found, &case.tensor(&format!("d{name}")));
            }
        }
        let size: usize = case.shape.iter().product();
        let mut found = Vec::new();
        for row in 0..ROWS {
            let x = &x[row * width..][..width];
            let seed = &seed[row * outputs..][..outputs];
            gradients.fill(0.0);
            network.forward(&parameters, x, 1, &mut workspace, None);
            network.backward(&parameters, x, 1, seed, &mut gradients, &mut workspace);
            let values = &x[width - size..];
            // The factors are the first parameters: their gradients are x · dx.
            found.extend(gradients.iter().zip(values).map(|(g, x)| g / x));
        }
        close(&format!("{} dx", case.name), &found, &dx);
    });
}

#[test]
fn every_packed_layer_agrees_with_pytorch_and_in_every_batch() {
    with_cases(|case| {
        let y = case.tensor("y");
        let outputs = y.len() / ROWS;
        let (network, parameters) = case.network(outputs);
        let predictor = Predictor::new(&network, &parameters).unwrap();
        let (x, width) = (case.rows(), network.input_width());
        let mut scratch = predictor.scratch();
        let mut all = vec![f32::INFINITY; y.len()];
        predictor.forward(&x, ROWS, &mut all, &mut scratch);
        close(&case.name, &all, &y);
        for row in 0..ROWS {
            let mut one = vec![f32::INFINITY; outputs];
            predictor.forward(&x[row * width..], 1, &mut one, &mut scratch);
            let same = one.iter().zip(&all[row * outputs..]);
            assert!(same.into_iter().all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    });
}

#[test]
fn gradients_of_many_rows_are_the_sums_of_theirs() {
    // More rows than are unfolded at once.
    for (layer, shape) in [
        (
            r#"{"type": "conv2d", "filters": 4, "kernel_size": 3, "groups": 2, "padding": 1}"#,
            vec![2, 40, 50],
        ),
        (
            r#"{"type": "conv1d", "filters": 4, "kernel_size": 9, "groups": 2}"#,
            vec![120, 60],
        ),
    ] {
        let layers = format!(
            r#"{layer}, {{"type": "max_pool{}d"}}, {{"type": "flatten"}}"#,
            shape.len() - 1
        );
        let network = build(&layers, &shape, 1).unwrap();
        let parameters = network.initialise(1, Initializer::GlorotUniform);
        let (rows, width) = (40, network.input_width());
        let mut random = Random::new(4, 0);
        let mut x: Vec<f32> = (0..rows * width).map(|_| random.normal_f32()).collect();
        if shape.len() == 2 {
            x.iter_mut().step_by(width).for_each(|steps| *steps = 99.0);
            x.chunks_exact_mut(width)
                .for_each(|row| row[1 + 99 * 60..].fill(0.0));
        }
        let mut workspace = network.workspace(rows);
        let seed = vec![1.0; rows];
        let (mut all, mut each) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
        network.forward(&parameters, &x, rows, &mut workspace, None);
        network.backward(&parameters, &x, rows, &seed, &mut all, &mut workspace);
        for x in x.chunks_exact(width) {
            network.forward(&parameters, x, 1, &mut workspace, None);
            network.backward(&parameters, x, 1, &[1.0], &mut each, &mut workspace);
        }
        close(layer, &all, &each);
    }
}

#[test]
fn a_convolutions_bits_do_not_depend_on_the_processor() {
    let mut random = Random::new(2, 0);
    let mut values = |count| {
        (0..count)
            .map(|_| random.normal_f32())
            .collect::<Vec<f32>>()
    };
    let window = |size, stride, padding| Window {
        size,
        stride,
        dilation: 1,
        padding,
    };
    for (channels, filters, height, width, size, stride) in [
        (1, 6, 12, 28, 5, 1),
        (30, 13, 7, 9, 3, 1),
        (3, 17, 9, 40, 3, 2),
        (2, 1, 5, 5, 5, 1),
    ] {
        let rows = Axis::new(window(size, stride, Padding::Same), height);
        let columns = Axis::new(window(size, stride, Padding::Fixed(0, 0)), width);
        let convolution = Convolution::new(channels, filters, rows, columns);
        let image = values(convolution.inputs());
        let weight = values(filters * convolution.taps());
        let bias = values(filters);
        let mut results = Processor::available().into_iter().map(|processor| {
            let mut unfolded = vec![f32::NAN; convolution.unfolded()];
            let mut output = vec![f32::NAN; filters * convolution.positions()];
            convolution.unfold(processor, &image, &mut unfolded);
            convolution.forward(
                processor,
                &unfolded,
                &weight,
                Some(&bias),
                true,
                &mut output,
                &Pace::endless(),
            );
            output.iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
    }
}

/// A network over up to `most` steps gives for a row of `steps` steps what the same network over
/// exactly that many gives, trained and packed.
fn check_lengths(layers: &str, most: usize, shortest: usize) {
    let features = 3;
    let network = build(layers, &[most, features], 2).unwrap();
    let parameters = network.initialise(7, Initializer::Pytorch);
    let predictor = Predictor::new(&network, &parameters).unwrap();
    let mut random = Random::new(3, 0);
    for steps in shortest..=most {
        let mut row = vec![steps as f32];
        row.extend((0..steps * features).map(|_| random.normal_f32()));
        let exact = build(layers, &[steps, features], 2).unwrap();
        let mut workspace = exact.workspace(1);
        let want = exact
            .forward(&parameters, &row, 1, &mut workspace, None)
            .to_vec();
        let seed = [1.0, -0.5];
        let mut want_gradient = vec![0.0; parameters.len()];
        exact.backward(
            &parameters,
            &row,
            1,
            &seed,
            &mut want_gradient,
            &mut workspace,
        );
        row.resize(network.input_width(), 0.0);
        // In a batch whose other row is whole, and with that row's remains in the buffers.
        let mut rows = row.clone();
        rows.push(most as f32);
        rows.extend((0..most * features).map(|_| random.normal_f32()));
        let mut workspace = network.workspace(2);
        let whole = &rows[row.len()..];
        network.forward(
            &parameters,
            &[whole, whole].concat(),
            2,
            &mut workspace,
            None,
        );
        let what = format!("{layers} over {steps} of {most} steps");
        let found = network.forward(&parameters, &rows, 2, &mut workspace, None);
        close(&what, &found[..2], &want);
        let mut gradient = vec![0.0; parameters.len()];
        network.forward(&parameters, &row, 1, &mut workspace, None);
        network.backward(&parameters, &row, 1, &seed, &mut gradient, &mut workspace);
        close(&format!("{what}, gradient"), &gradient, &want_gradient);
        let (mut out, mut scratch) = ([0.0; 4], predictor.scratch());
        predictor.forward(&rows, 2, &mut out, &mut scratch);
        close(&format!("{what}, packed"), &out[..2], &want);
    }
}

#[test]
fn a_short_sequence_gives_what_a_network_of_its_length_gives() {
    let behind = r#"{"type": "global_avg_pool"}, {"type": "output"}"#;
    for (layer, shortest) in [
        (
            r#""type": "conv1d", "filters": 4, "kernel_size": 3, "activation": "tanh""#,
            3,
        ),
        (
            r#""type": "conv1d", "filters": 4, "kernel_size": 4, "strides": 3, "padding": "same""#,
            1,
        ),
        (
            r#""type": "conv1d", "filters": 4, "kernel_size": 3, "padding": [2, 0], "dilation": 1"#,
            1,
        ),
        (
            r#""type": "conv1d", "filters": 6, "groups": 3, "kernel_size": 3, "dilation": 2, "padding": "same""#,
            1,
        ),
        (
            r#""type": "max_pool1d", "pool_size": 3, "strides": 2, "padding": 1"#,
            1,
        ),
        (
            r#""type": "max_pool1d", "pool_size": 2, "padding": "same""#,
            1,
        ),
        (
            r#""type": "avg_pool1d", "pool_size": 3, "strides": 2, "padding": "same""#,
            1,
        ),
        (
            r#""type": "avg_pool1d", "pool_size": 3, "strides": 2, "padding": 1"#,
            1,
        ),
        (r#""type": "global_max_pool""#, 1),
    ] {
        let layers = match layer.contains("global") {
            true => {
                format!(r#"{{"type": "dense", "units": 5}}, {{{layer}}}, {{"type": "output"}}"#)
            }
            false => format!(
                r#"{{"type": "dense", "units": 3}}, {{{layer}}},
                   {{"type": "conv1d", "filters": 5, "kernel_size": 2, "padding": "same"}},
                   {behind}"#
            ),
        };
        check_lengths(&layers, 9, shortest);
    }
}

#[test]
fn a_sequence_too_short_for_a_window_is_seen_once() {
    for layer in [
        r#"{"type": "conv1d", "filters": 2, "kernel_size": 4, "name": "l"}"#,
        r#"{"type": "max_pool1d", "pool_size": 4, "name": "l"}"#,
        r#"{"type": "avg_pool1d", "pool_size": 4, "name": "l"}"#,
    ] {
        let layers = format!(r#"{layer}, {{"type": "global_avg_pool"}}, {{"type": "output"}}"#);
        let network = build(&layers, &[6, 2], 2).unwrap();
        let mut parameters = network.initialise(1, Initializer::Ones);
        for parameter in network.parameters() {
            let values = &mut parameters[parameter.range.clone()];
            match parameter.name.as_str() {
                "output1.weight" => values.copy_from_slice(&[1.0, 0.0, 0.0, 1.0]),
                name if name.ends_with("bias") => values.fill(0.0),
                _ => {}
            }
        }
        let mut row = vec![2.0, -1.0, 2.0, -3.0, 6.0];
        row.resize(13, 0.0);
        let mut workspace = network.workspace(1);
        let found = network.forward(&parameters, &row, 1, &mut workspace, None);
        let want = if layer.contains("conv") {
            [4.0, 4.0]
        } else if layer.contains("max") {
            [-1.0, 6.0]
        } else {
            [-2.0, 4.0]
        };
        assert_eq!(found, want, "{layer}");
    }
}

#[test]
fn reshape_sees_the_values_in_the_order_they_lie() {
    for (layers, shape, want) in [
        (
            r#"{"type": "reshape", "shape": [-1, 4]}"#,
            vec![2, 2, 4],
            "a sequence of 4 steps × 4",
        ),
        (
            r#"{"type": "Reshape", "shape": [1, 4, -1]}"#,
            vec![16],
            "an image of 1 channels × 4 high × 4",
        ),
        (
            r#"{"type": "reshape", "shape": -1}"#,
            vec![4, 4],
            "a vector of 16 numbers",
        ),
    ] {
        // What reads it says what it sees.
        let wrong = match want.contains("image") {
            true => r#"{"type": "conv1d", "filters": 1, "kernel_size": 1}"#,
            false => r#"{"type": "conv2d", "filters": 1, "kernel_size": 1}"#,
        };
        let error = build(&format!("{layers}, {wrong}"), &shape, 1).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
    }
    let network = build(
        r#"{"type": "reshape", "shape": [2, 2, 3]},
           {"type": "conv2d", "filters": 1, "kernel_size": [1, 2], "name": "c", "use_bias": false},
           {"type": "flatten"}"#,
        &[12],
        4,
    )
    .unwrap();
    let mut parameters = network.initialise(1, Initializer::Zeros);
    // Channel 0, column 1 less channel 1, column 0; then each output by itself.
    parameters[..4].copy_from_slice(&[0.0, 1.0, -1.0, 0.0]);
    parameters[4..20]
        .iter_mut()
        .step_by(5)
        .for_each(|w| *w = 1.0);
    let x: Vec<f32> = (0..12).map(|i| (i * i) as f32).collect();
    let mut workspace = network.workspace(1);
    let y = network.forward(&parameters, &x, 1, &mut workspace, None);
    let at = |i: usize| (i * i) as f32;
    let want = [at(1) - at(6), at(2) - at(7), at(4) - at(9), at(5) - at(10)];
    assert_eq!(y, want);
}

#[test]
fn settings_are_written_as_they_are_read() {
    for layer in [
        r#"{"type":"conv2d","filters":4,"kernel_size":[3,5],"strides":[1,2],"dilation":2,"padding":[1,0],"groups":2,"activation":"relu","use_bias":false,"kernel_initializer":"he_normal"}"#,
        r#"{"type":"conv2d","filters":4,"kernel_size":3,"padding":"same"}"#,
        r#"{"type":"conv1d","filters":4,"kernel_size":3,"padding":[2,0],"bias_initializer":"ones"}"#,
        r#"{"type":"max_pool2d","pool_size":[2,3]}"#,
        r#"{"type":"avg_pool2d","pool_size":3,"strides":1,"padding":1}"#,
        r#"{"type":"max_pool1d","pool_size":2,"padding":"same"}"#,
        r#"{"type":"global_avg_pool"}"#,
        r#"{"type":"reshape","shape":[1,-1,7]}"#,
    ] {
        let read = |layer: &str| {
            let architecture = Architecture::parse(&format!("{{\"layers\":[{layer}]}}")).unwrap();
            serde_json::to_value(architecture).unwrap()
        };
        let given: Value = serde_json::from_str(layer).unwrap();
        let written = read(layer)["layers"][0].clone();
        for (name, value) in given.as_object().unwrap() {
            assert_eq!(&written[name], value, "{layer}: {name}");
        }
        assert_eq!(read(&written.to_string())["layers"][0], written, "{layer}");
    }
}

#[test]
fn class_names_of_keras_and_pytorch_are_understood() {
    build(
        r#"{"type": "Conv2D", "filters": 4, "kernel_size": 3}, {"type": "MaxPooling2D"},
           {"type": "Conv2d", "filters": 4, "kernel_size": 3}, {"type": "AvgPool2d", "pool_size": 2},
           {"type": "AdaptiveAvgPool2d", "output_size": [1, 1]}"#,
        &[1, 20, 20],
        1,
    )
    .unwrap();
    build(
        r#"{"type": "Conv1D", "filters": 4, "kernel_size": 3, "padding": "causal"},
           {"type": "MaxPool1d"}, {"type": "AveragePooling1D"}, {"type": "GlobalMaxPooling1D"}"#,
        &[20, 2],
        1,
    )
    .unwrap();
}

/// What a layer over such a shape is refused with: parts of the message and of the hint.
fn refused(layer: &str, shape: &[usize], message: &str, hint: &str) {
    let error = build(layer, shape, 1).unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
    let found = error.hint().unwrap_or_default();
    assert!(found.contains(hint), "{error}\n{found}");
}

#[test]
fn what_does_not_fit_is_refused_by_layer_shape_and_hint() {
    let conv = |rest: &str| format!(r#"{{"type": "conv2d", "name": "c", "filters": 4, {rest}}}"#);
    refused(
        &conv(r#""kernel_size": 7"#),
        &[1, 5, 9],
        "layer \"c\": its window of 7 × 7 is larger than an image of 1 channels × 5 high × 9 wide",
        "\"padding\": \"same\"",
    );
    refused(
        &conv(r#""kernel_size": 3, "dilation": 5, "padding": 2"#),
        &[1, 5, 5],
        "its window of 11 × 11 is larger than an image of 1 channels × 5 high × 5 wide with its \
         padding",
        "\"kernel_size\" smaller",
    );
    refused(
        &conv(r#""kernel_size": 5"#),
        &[28, 28, 1],
        "larger than an image of 28 channels × 28 high × 1 wide",
        "Images are channels × height × width",
    );
    refused(
        &conv(r#""kernel_size": 3, "groups": 3"#),
        &[3, 5, 5],
        "its 3 groups do not divide 3 channels and 4 filters",
        "must divide both the channels",
    );
    refused(
        &conv(r#""kernel_size": 3"#),
        &[8, 3],
        "layer \"c\": reads a sequence of 8 steps × 3 features, but takes an image",
        "reshape",
    );
    refused(
        r#"{"type": "conv1d", "name": "c", "filters": 4, "kernel_size": 3}"#,
        &[1, 8, 8],
        "layer \"c\": reads an image of 1 channels × 8 high × 8 wide, but takes a sequence",
        "reshape",
    );
    refused(
        r#"{"type": "conv1d", "name": "c", "filters": 4, "kernel_size": 9}"#,
        &[8, 3],
        "its window of 9 steps is larger than a sequence of 8 steps × 3 features",
        "same",
    );
    refused(
        &conv(r#""kernel_size": 1000, "padding": 1000000"#),
        &[100, 1000, 10],
        "its windows take more than",
        "smaller",
    );
    refused(
        r#"{"type": "conv2d", "name": "c", "filters": 1000000, "kernel_size": 1}"#,
        &[1, 1000, 1000],
        "its windows take more than",
        "smaller",
    );
    refused(
        r#"{"type": "conv1d", "name": "c", "filters": 4, "kernel_size": 1000000, "padding": "same"}"#,
        &[1000, 3],
        "its windows take more than",
        "smaller",
    );
    refused(
        &conv(r#""kernel_size": 3, "activation": "softmax""#),
        &[1, 5, 5],
        "softmax is no activation of a convolution of images",
        "flatten",
    );
    refused(
        &conv(r#""kernel_size": 3, "padding": "causal""#),
        &[1, 5, 5],
        "unknown padding \"causal\"",
        "Known are valid, same.",
    );
    refused(
        &conv(r#""kernel_size": [1, 2, 3]"#),
        &[1, 5, 5],
        "\"kernel_size\" must be a whole number or a pair of them",
        "",
    );
    refused(
        r#"{"type": "conv2d", "name": "c", "filters": 4}"#,
        &[1, 5, 5],
        "layer \"c\": needs \"kernel_size\"",
        "",
    );
    refused(
        r#"{"type": "conv2d", "name": "c", "filtres": 4, "kernel_size": 1}"#,
        &[1, 5, 5],
        "unknown setting \"filtres\"",
        "Perhaps you mean \"filters\".",
    );
}

#[test]
fn pooling_and_reshaping_that_cannot_be_is_refused() {
    refused(
        r#"{"type": "max_pool2d", "name": "p", "pool_size": 6}"#,
        &[1, 5, 5],
        "layer \"p\": its window of 6 × 6 is larger than an image of 1 channels × 5 high × 5 wide",
        "\"pool_size\" smaller",
    );
    refused(
        r#"{"type": "avg_pool1d", "name": "p", "pool_size": 2, "padding": 2}"#,
        &[5, 5],
        "layer \"p\": \"padding\" is more than half of \"pool_size\"",
        "less padding",
    );
    refused(
        r#"{"type": "max_pool2d", "name": "p", "pool_siz": 2}"#,
        &[1, 5, 5],
        "unknown setting \"pool_siz\"",
        "Perhaps you mean \"pool_size\".",
    );
    refused(
        r#"{"type": "global_max_pool", "name": "p"}"#,
        &[5],
        "layer \"p\": reads a vector of 5 numbers, but takes a sequence or an image",
        "",
    );
    refused(
        r#"{"type": "AdaptiveAvgPool2d", "name": "p", "output_size": 3}"#,
        &[1, 5, 5],
        "\"output_size\" must be 1",
        "",
    );
    for (shape, message) in [
        (
            "[3, 5]",
            "its shape [3, 5] does not hold the 16 values of a vector of 16 numbers",
        ),
        ("[-1, 5]", "its shape [-1, 5] does not hold the 16 values"),
        (
            "[100, -1]",
            "its shape [100, -1] does not hold the 16 values",
        ),
        ("[-1, -1]", "\"shape\" has more than one -1"),
        (
            "[1, 2, 2, 4]",
            "\"shape\" must have one, two or three numbers",
        ),
        ("[0.5]", "\"shape\" must be whole numbers"),
        ("[28, 28, 1]", "has its channels last"),
    ] {
        let layer = format!(r#"{{"type": "reshape", "name": "r", "shape": {shape}}}"#);
        refused(&layer, &[16], message, "");
    }
}
