//! Forward passes, gradients and losses against PyTorch's
//! (`fixtures/make_fixtures.py` made the numbers).

use pg_neural::nn::{
    Activation, Architecture, Head, Initializer, InputFeature, Loss, LossSpec, Network,
};
use safetensors::SafeTensors;

use crate::layer_case::{close, tensor};

const NETWORK: &[u8] = include_bytes!("fixtures/network.safetensors");
const LAYERS: &[u8] = include_bytes!("fixtures/layers.safetensors");
const LOSSES: &[u8] = include_bytes!("fixtures/losses.safetensors");
const ROWS: usize = 7;

fn number(name: &str, width: usize) -> InputFeature {
    InputFeature::column(name, width, None)
}

fn level(name: &str, vocabulary: usize) -> InputFeature {
    InputFeature::column(name, 1, Some(vocabulary))
}

fn parameters(network: &Network, file: &SafeTensors<'_>) -> Vec<f32> {
    let mut values = vec![0.0; network.parameter_count()];
    for parameter in network.parameters() {
        let stored = file.tensor(&parameter.name).unwrap();
        assert_eq!(stored.shape(), parameter.shape, "{}", parameter.name);
        values[parameter.range.clone()].copy_from_slice(&tensor(file, &parameter.name));
    }
    values
}

#[test]
fn a_wide_and_deep_network_agrees_with_pytorch() {
    let text = r#"{"layers": [
        {"type": "input", "name": "colour_level", "features": ["colour"]},
        {"type": "Embedding", "name": "colour", "units": 3},
        {"type": "input", "name": "city_level", "features": ["city"]},
        {"type": "Embedding", "name": "city", "units": 2},
        {"type": "input", "name": "numbers"},
        {"type": "Concatenate", "name": "columns", "input": ["numbers", "colour", "city"]},
        {"type": "Linear", "name": "deep1", "units": 8, "activation": "gelu"},
        {"type": "Dense", "name": "deep2", "units": 8, "activation": "tanh"},
        {"type": "add", "name": "residual", "input": ["deep1", "deep2"]},
        {"type": "dense", "name": "gate", "units": 8, "use_bias": false, "activation": "sigmoid"},
        {"type": "multiply", "name": "gated", "input": ["residual", "gate"]},
        {"type": "dense", "name": "wide", "units": 2, "input": "numbers"},
        {"type": "concat", "input": ["gated", "wide"]},
        {"type": "output", "name": "out"}
    ]}"#;
    let features = [
        number("a", 2),
        level("colour", 5),
        number("b", 2),
        level("city", 9),
    ];
    let architecture = Architecture::parse(text).unwrap();
    let head = Head::Multiclass { classes: 3 };
    let network = Network::build(&architecture, &features, head, None).unwrap();
    let file = SafeTensors::deserialize(NETWORK).unwrap();
    let p = parameters(&network, &file);
    let (x, y) = (tensor(&file, "x"), tensor(&file, "y"));
    // A workspace for more rows than are asked for.
    let mut workspace = network.workspace(ROWS + 3);
    let logits = network.forward(&p, &x, ROWS, &mut workspace, None).to_vec();
    close("logits", &logits, &tensor(&file, "logits"));
    let loss = Loss::from_spec(&LossSpec::CategoricalCrossentropy, &network, None, 0.0).unwrap();
    let mut dlogits = vec![0.0; logits.len()];
    let value = loss.value_and_gradient(&logits, &y, None, ROWS, &mut dlogits);
    close("loss", &[value as f32], &tensor(&file, "loss"));
    let mut gradients = vec![0.0; p.len()];
    network.backward(&p, &x, ROWS, &dlogits, &mut gradients, &mut workspace);
    for parameter in network.parameters() {
        let name = format!("grad.{}", parameter.name);
        close(
            &name,
            &gradients[parameter.range.clone()],
            &tensor(&file, &name),
        );
    }
}

#[test]
fn every_activation_agrees_with_pytorch_forward_and_backward() {
    let file = SafeTensors::deserialize(LAYERS).unwrap();
    let (x, seed) = (tensor(&file, "x"), tensor(&file, "seed"));
    for activation in Activation::ALL {
        let name = activation.name();
        let fused =
            format!(r#"{{"type": "dense", "name": "hidden", "units": 6, "activation": "{name}"}}"#);
        let apart = format!(
            r#"{{"type": "dense", "name": "hidden", "units": 6}},
               {{"type": "activation", "activation": "{name}"}}"#
        );
        for layers in [fused, apart] {
            let text = format!(r#"{{"layers": [{layers}, {{"type": "output", "name": "out"}}]}}"#);
            let architecture = Architecture::parse(&text).unwrap();
            let head = Head::Regression { outputs: 2 };
            let network = Network::build(&architecture, &[number("x", 5)], head, None).unwrap();
            let p = parameters(&network, &file);
            let mut workspace = network.workspace(ROWS);
            let logits = network.forward(&p, &x, ROWS, &mut workspace, None);
            close(name, logits, &tensor(&file, &format!("{name}.logits")));
            let mut gradients = vec![0.0; p.len()];
            network.backward(&p, &x, ROWS, &seed, &mut gradients, &mut workspace);
            for parameter in network.parameters() {
                let name = format!("{name}.grad.{}", parameter.name);
                close(
                    &name,
                    &gradients[parameter.range.clone()],
                    &tensor(&file, &name),
                );
            }
        }
    }
}

fn head_of(units: usize, head: Head) -> Network {
    let text = format!(r#"{{"layers": [{{"type": "dense", "units": {units}}}]}}"#);
    let architecture = Architecture::parse(&text).unwrap();
    Network::build(&architecture, &[number("x", 1)], head, None).unwrap()
}

fn check_loss(file: &SafeTensors<'_>, name: &str, loss: &Loss) {
    let get = |part: &str| tensor(file, &format!("{name}.{part}"));
    let (p, y, weight) = (get("p"), get("y"), get("weight"));
    let mut gradient = vec![f32::NAN; p.len()];
    let value = loss.value_and_gradient(&p, &y, Some(&weight), ROWS, &mut gradient);
    close(name, &[value as f32], &get("loss"));
    close(name, &gradient, &get("gradient"));
    assert_eq!(value, loss.value(&p, &y, Some(&weight), ROWS), "{name}");
    close(
        name,
        &[loss.weight_sum(&y, Some(&weight), ROWS) as f32],
        &get("weight_sum"),
    );
}

#[test]
fn every_loss_agrees_with_pytorch_with_weights_and_smoothing() {
    let file = SafeTensors::deserialize(LOSSES).unwrap();
    let huber = LossSpec::Huber { delta: 0.75 };
    for outputs in [1, 3] {
        let network = head_of(outputs, Head::Regression { outputs });
        for (name, spec) in [
            ("mse", &LossSpec::Mse),
            ("mae", &LossSpec::Mae),
            ("huber", &huber),
        ] {
            let loss = Loss::from_spec(spec, &network, None, 0.0).unwrap();
            check_loss(&file, &format!("{name}{outputs}"), &loss);
        }
    }
    let network = head_of(3, Head::Regression { outputs: 3 });
    let spec = LossSpec::Quantile {
        quantiles: vec![0.125, 0.5, 0.875],
    };
    check_loss(
        &file,
        "quantile",
        &Loss::from_spec(&spec, &network, None, 0.0).unwrap(),
    );

    for (classes, head) in [(2, Head::Binary), (4, Head::Multiclass { classes: 4 })] {
        let network = head_of(classes, head);
        let weights = tensor(&file, &format!("class_weights{classes}"));
        for (suffix, weights, smoothing) in [
            ("", None, 0.0),
            ("_smooth", None, 0.125),
            ("_weights", Some(weights.as_slice()), 0.0),
            ("_both", Some(weights.as_slice()), 0.125),
        ] {
            let spec = LossSpec::CategoricalCrossentropy;
            let loss = Loss::from_spec(&spec, &network, weights, smoothing).unwrap();
            check_loss(&file, &format!("categorical{classes}{suffix}"), &loss);
        }
    }
    let network = head_of(3, Head::MultiLabel { labels: 3 });
    let weights = tensor(&file, "label_weights");
    for (suffix, weights, smoothing) in [
        ("", None, 0.0),
        ("_smooth", None, 0.125),
        ("_weights", Some(weights.as_slice()), 0.0),
        ("_both", Some(weights.as_slice()), 0.125),
    ] {
        let spec = LossSpec::BinaryCrossentropy;
        let loss = Loss::from_spec(&spec, &network, weights, smoothing).unwrap();
        assert_eq!(loss.targets(), 3);
        check_loss(&file, &format!("labels{suffix}"), &loss);
    }

    let network = head_of(1, Head::Binary);
    let weights = tensor(&file, "class_weights2");
    for (suffix, smoothing) in [("", 0.0), ("_smooth", 0.125)] {
        let spec = LossSpec::BinaryCrossentropy;
        let plain = Loss::from_spec(&spec, &network, None, smoothing).unwrap();
        check_loss(&file, &format!("binary{suffix}"), &plain);
        let weighted = Loss::from_spec(&spec, &network, Some(&weights), smoothing).unwrap();
        check_loss(&file, &format!("binary{suffix}_weights"), &weighted);
    }
}

#[test]
fn the_loss_of_extreme_logits_is_finite_and_exact() {
    let network = head_of(1, Head::Binary);
    let loss = Loss::from_spec(&LossSpec::BinaryCrossentropy, &network, None, 0.0).unwrap();
    let mut gradient = [0.0; 2];
    let value = loss.value_and_gradient(&[1000.0, -1000.0], &[0.0, 0.0], None, 2, &mut gradient);
    assert_eq!((value, gradient), (1000.0, [1.0, 0.0]));
    let network = head_of(3, Head::Multiclass { classes: 3 });
    let loss = Loss::from_spec(&LossSpec::CategoricalCrossentropy, &network, None, 0.0).unwrap();
    let mut gradient = [0.0; 3];
    let value = loss.value_and_gradient(&[1e4, 0.0, -1e4], &[2.0], None, 1, &mut gradient);
    assert_eq!((value, gradient), (2e4, [1.0, 0.0, -1.0]));
}

#[test]
fn a_seed_starts_the_same_parameters_within_their_bounds() {
    let text = r#"{"layers": [
        {"type": "dense", "units": 400},
        {"type": "dense", "units": 300, "kernel_initializer": "zeros", "bias_initializer": "ones"}
    ]}"#;
    let architecture = Architecture::parse(text).unwrap();
    let network = Network::build(&architecture, &[number("x", 200)], Head::Binary, None).unwrap();
    let first = network.initialise(5, Initializer::HeNormal);
    assert_eq!(first, network.initialise(5, Initializer::HeNormal));
    assert_ne!(first, network.initialise(6, Initializer::HeNormal));
    let at = |name: &str, values: &[f32]| {
        let parameter = network
            .parameters()
            .iter()
            .find(|p| p.name == name)
            .unwrap();
        values[parameter.range.clone()].to_vec()
    };
    let variance =
        |values: &[f32]| values.iter().map(|v| f64::from(v * v)).sum::<f64>() / values.len() as f64;
    let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.02;
    assert!(near(variance(&at("dense1.weight", &first)), 2.0 / 200.0));
    assert!(at("dense1.bias", &first).iter().all(|b| *b == 0.0));
    assert!(at("dense2.weight", &first).iter().all(|b| *b == 0.0));
    assert!(at("dense2.bias", &first).iter().all(|b| *b == 1.0));
    let glorot = at(
        "dense1.weight",
        &network.initialise(5, Initializer::GlorotUniform),
    );
    assert!(near(variance(&glorot), 2.0 / 600.0));
    assert!(glorot.iter().all(|w| w.abs() <= (6.0_f32 / 600.0).sqrt()));
}
