//! Attention, transformer encoders and positions against PyTorch's
//! (`fixtures/make_attention_fixtures.py` made the numbers).

use pg_neural::nn::{
    Architecture, Error, Head, Initializer, InputFeature, InputForm, Network, Random, Shape,
};
use safetensors::SafeTensors;

use crate::layer_case::LayerCase;

const ATTENTION: &[u8] = include_bytes!("fixtures/attention.safetensors");

fn check(name: &str, layer: &str, rows: usize, steps: usize, features: usize) {
    let file = SafeTensors::deserialize(ATTENTION).unwrap();
    let shape = Shape::Sequence { steps, features };
    LayerCase::new(&file, name, layer, shape, rows).check();
}

#[test]
fn multi_head_attention_agrees_with_pytorch_with_and_without_padding() {
    let layer = r#""type": "multi_head_attention", "num_heads": 3"#;
    check("attention", layer, 4, 7, 12);
    check("attention_masked", layer, 4, 7, 12);
    let layer = r#""type": "MultiheadAttention", "num_heads": 1, "use_bias": false"#;
    check("attention_no_bias", layer, 4, 7, 10);
    let layer = r#""type": "MultiHeadAttention", "num_heads": 5"#;
    check("attention_odd", layer, 2, 19, 15);
}

#[test]
fn attention_over_several_blocks_of_queries_agrees_with_pytorch() {
    let layer = r#""type": "multi_head_attention", "num_heads": 2"#;
    check("attention_long", layer, 2, 150, 36);
}

#[test]
fn a_transformer_encoder_agrees_with_pytorch_in_each_form() {
    let layer = r#""type": "transformer_encoder", "num_heads": 2, "feed_forward": 9"#;
    check("encoder_post_relu", layer, 4, 7, 10);
    check("encoder_post_relu_masked", layer, 4, 7, 10);
    let layer = r#""type": "TransformerEncoderLayer", "num_heads": 3, "feed_forward": 17,
                   "activation": "gelu", "epsilon": 1e-3"#;
    check("encoder_post_gelu", layer, 4, 7, 12);
    let layer = r#""type": "transformer_encoder", "num_heads": 1, "feed_forward": 20,
                   "norm_first": true"#;
    check("encoder_pre_relu", layer, 4, 7, 6);
    let layer = r#""type": "transformer_encoder", "num_heads": 4, "feed_forward": 24,
                   "norm_first": true, "activation": "gelu""#;
    check("encoder_pre_gelu", layer, 3, 9, 16);
    let layer = r#""type": "transformer_encoder", "num_heads": 2, "feed_forward": 9,
                   "use_bias": false"#;
    check("encoder_no_bias", layer, 4, 7, 10);
}

#[test]
fn stacked_transformer_encoders_agree_with_pytorch() {
    let layer = r#""type": "TransformerEncoder", "num_layers": 3, "num_heads": 2,
                   "feed_forward": 9"#;
    check("encoder_stack_post", layer, 4, 7, 10);
    let layer = r#""type": "TransformerEncoder", "num_layers": 2, "num_heads": 2,
                   "feed_forward": 9, "norm_first": true"#;
    check("encoder_stack_pre", layer, 4, 7, 10);
}

#[test]
fn positions_agree_with_pytorch() {
    let layer = r#""type": "positional_encoding""#;
    check("positions_sinusoidal", layer, 3, 40, 7);
    let layer = r#""type": "positional_encoding", "kind": "learned""#;
    check("positions_learned", layer, 4, 7, 5);
}

const STEPS: usize = 6;
const FEATURES: usize = 8;

fn build(layers: &str) -> Result<Network, Error> {
    let architecture = Architecture::parse(&format!("{{\"layers\": [{layers}]}}"))?;
    let features = [InputFeature {
        name: "s".to_owned(),
        form: InputForm::Sequence {
            steps: STEPS,
            features: FEATURES,
            vocabulary: None,
        },
    }];
    Network::build(
        &architecture,
        &features,
        Head::Regression { outputs: 2 },
        None,
    )
}

const DROPPING: &str = r#"{"type": "positional_encoding", "kind": "learned"},
    {"type": "transformer_encoder", "num_layers": 2, "num_heads": 2, "feed_forward": 12,
     "dropout": 0.3, "activation": "gelu", "norm_first": NORM_FIRST},
    {"type": "multi_head_attention", "num_heads": 4, "dropout": 0.4},
    {"type": "flatten"}"#;

/// The gradient of a pass with dropout, against differences of passes that drop the same.
#[test]
fn with_dropout_the_gradient_is_that_of_finite_differences() {
    for norm_first in ["true", "false"] {
        let network = build(&DROPPING.replace("NORM_FIRST", norm_first)).unwrap();
        let mut random = Random::new(3, 0);
        let mut parameters = network.initialise(3, Initializer::Pytorch);
        let rows = 3;
        let mut x = Vec::new();
        for row in 0..rows {
            let there = STEPS - 2 * row;
            x.push(there as f32);
            x.extend((0..STEPS * FEATURES).map(|i| match i < there * FEATURES {
                true => random.normal_f32(),
                false => 0.0,
            }));
        }
        let seed: Vec<f32> = (0..rows * 2).map(|_| random.normal_f32()).collect();
        let mut workspace = network.workspace(rows);
        let mut loss = |parameters: &[f32]| -> f64 {
            let mut dropout = Random::new(5, 0);
            let logits = network.forward(parameters, &x, rows, &mut workspace, Some(&mut dropout));
            let products = logits.iter().zip(&seed);
            products.map(|(y, s)| f64::from(*y) * f64::from(*s)).sum()
        };
        let kept = loss(&parameters);
        let without = {
            let mut workspace = network.workspace(rows);
            let logits = network.forward(&parameters, &x, rows, &mut workspace, None);
            let products = logits.iter().zip(&seed);
            products
                .map(|(y, s)| f64::from(*y) * f64::from(*s))
                .sum::<f64>()
        };
        assert_ne!(kept, without, "nothing was dropped");
        let mut gradients = vec![0.0; parameters.len()];
        {
            let mut workspace = network.workspace(rows);
            let mut dropout = Random::new(5, 0);
            network.forward(&parameters, &x, rows, &mut workspace, Some(&mut dropout));
            network.backward(&parameters, &x, rows, &seed, &mut gradients, &mut workspace);
        }
        let typical =
            (gradients.iter().map(|g| g * g).sum::<f32>() / gradients.len() as f32).sqrt();
        for parameter in network.parameters() {
            for i in parameter.range.clone().step_by(7) {
                let (value, step) = (parameters[i], 4e-3);
                parameters[i] = value + step;
                let above = loss(&parameters);
                parameters[i] = value - step;
                let below = loss(&parameters);
                parameters[i] = value;
                let expected = ((above - below) / (2.0 * f64::from(step))) as f32;
                assert!(
                    (gradients[i] - expected).abs() < 5e-3 * (typical + expected.abs()),
                    "{} at {i}: {} instead of {expected}",
                    parameter.name,
                    gradients[i]
                );
            }
        }
    }
}

#[test]
fn dropout_keeps_the_mean_and_drops_its_share() {
    // Attention over one step has the weight 1, so that its output is dropped or scaled up.
    let layers = r#"{"type": "multi_head_attention", "num_heads": 8, "dropout": 0.25},
                    {"type": "flatten"}"#;
    let network = build(layers).unwrap();
    let mut parameters = vec![0.0; network.parameter_count()];
    // Values and the last projection are the identity, and the output sums up.
    for parameter in network.parameters() {
        let values = &mut parameters[parameter.range.clone()];
        match parameter.name.as_str() {
            "multi_head_attention1.in_proj_weight" => {
                let own = |i: usize| (2 * FEATURES + i) * FEATURES + i;
                (0..FEATURES).for_each(|i| values[own(i)] = 1.0);
            }
            "multi_head_attention1.out_proj.weight" => {
                (0..FEATURES).for_each(|i| values[i * FEATURES + i] = 1.0);
            }
            name if name.ends_with(".weight") => values.fill(1.0),
            _ => {}
        }
    }
    let rows = 2000;
    let mut row = vec![1.0];
    row.extend((0..STEPS * FEATURES).map(|i| if i < FEATURES { 1.0 } else { 0.0 }));
    let x = row.repeat(rows);
    let mut workspace = network.workspace(rows);
    let mut random = Random::new(2, 0);
    let logits = network.forward(&parameters, &x, rows, &mut workspace, Some(&mut random));
    let (mut sum, mut squares) = (0.0, 0.0);
    for logit in logits.iter().step_by(2) {
        sum += f64::from(*logit);
        squares += f64::from(logit * logit);
    }
    let mean = sum / rows as f64;
    // Each of the eight heads gives 0 or 4/3: mean 1, variance 1/3.
    let variance = squares / rows as f64 - mean * mean;
    assert!((mean - 8.0).abs() < 0.15, "mean {mean}");
    assert!((variance - 8.0 / 3.0).abs() < 0.3, "variance {variance}");
}

#[test]
fn what_stands_behind_a_short_sequence_never_matters() {
    let layers = DROPPING.replace("NORM_FIRST", "true");
    let network = build(&layers).unwrap();
    let parameters = network.initialise(4, Initializer::GlorotUniform);
    let mut random = Random::new(8, 0);
    let clean: Vec<f32> = std::iter::once(2.0)
        .chain((0..STEPS * FEATURES).map(|i| match i < 2 * FEATURES {
            true => random.normal_f32(),
            false => 0.0,
        }))
        .collect();
    let mut workspace = network.workspace(1);
    let expected = network
        .forward(&parameters, &clean, 1, &mut workspace, None)
        .to_vec();
    // The same two steps, seen before through longer rows of the same workspace.
    let full: Vec<f32> = std::iter::once(STEPS as f32)
        .chain((0..STEPS * FEATURES).map(|_| 100.0 * random.normal_f32()))
        .collect();
    network.forward(&parameters, &full, 1, &mut workspace, None);
    let again = network.forward(&parameters, &clean, 1, &mut workspace, None);
    assert_eq!(expected, again);
}

#[test]
fn parameters_start_as_pytorch_s() {
    let layers = r#"{"type": "transformer_encoder", "num_heads": 2}, {"type": "flatten"}"#;
    let network = build(layers).unwrap();
    let values = network.initialise(1, Initializer::Pytorch);
    let of = |name: &str| {
        let name = format!("transformer_encoder1.{name}");
        let mut all = network.parameters().iter();
        let parameter = all.find(|p| p.name == name).expect("a parameter");
        values[parameter.range.clone()].to_vec()
    };
    let largest = |name: &str| of(name).iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let near = |found: f32, bound: f32| found <= bound && found > 0.9 * bound;
    // Xavier over [3 · 8, 8], 1 / √inputs for the rest.
    assert!(near(
        largest("self_attn.in_proj_weight"),
        (6.0_f32 / 32.0).sqrt()
    ));
    assert!(near(
        largest("self_attn.out_proj.weight"),
        1.0 / 8.0_f32.sqrt()
    ));
    assert!(near(largest("linear2.weight"), 1.0 / 32.0_f32.sqrt()));
    assert_eq!(largest("self_attn.in_proj_bias"), 0.0);
    assert_eq!(largest("self_attn.out_proj.bias"), 0.0);
    assert!(largest("linear1.bias") > 0.0);
    // Four times the features, where nothing is said.
    assert_eq!(of("linear1.bias").len(), 4 * FEATURES);
}

#[test]
fn settings_are_written_as_they_are_read() {
    for layer in [
        r#"{"type":"multi_head_attention","num_heads":2,"dropout":0.1,"use_bias":false}"#,
        r#"{"type":"transformer_encoder","num_heads":2}"#,
        concat!(
            r#"{"type":"transformer_encoder","num_heads":2,"feed_forward":64,"num_layers":3,"#,
            r#""activation":"gelu","norm_first":true,"dropout":0.1,"use_bias":false,"epsilon":0.001}"#
        ),
        r#"{"type":"positional_encoding"}"#,
        r#"{"type":"positional_encoding","kind":"learned"}"#,
    ] {
        let text = format!(r#"{{"layers":[{layer}]}}"#);
        let architecture = Architecture::parse(&text).unwrap();
        assert_eq!(serde_json::to_string(&architecture).unwrap(), text);
    }
}

#[test]
fn what_cannot_attend_is_refused_by_name() {
    let attention = "layer 1 (multi_head_attention)";
    let encoder = "layer 1 (transformer_encoder)";
    for (layers, message) in [
        (
            r#"{"type": "multi_head_attention", "num_heads": 3}"#,
            "layer \"multi_head_attention1\": cannot divide 8 features among 3 heads".to_owned(),
        ),
        (
            r#"{"type": "transformer_encoder", "num_heads": 16}"#,
            "layer \"transformer_encoder1\": cannot divide 8 features among 16 heads".to_owned(),
        ),
        (
            r#"{"type": "multi_head_attention"}"#,
            format!("{attention}: needs \"num_heads\""),
        ),
        (
            r#"{"type": "multi_head_attention", "num_heads": 2, "dropout": 1}"#,
            format!("{attention}: \"dropout\" must be a number from 0 to below 1"),
        ),
        (
            r#"{"type": "transformer_encoder", "num_heads": 2, "activation": "tanh"}"#,
            format!("{encoder}: \"activation\" must be relu, gelu or gelu_tanh, not tanh"),
        ),
        (
            r#"{"type": "transformer_encoder", "num_heads": 2, "num_layers": 101}"#,
            format!("{encoder}: \"num_layers\" must be a whole number from 1 to 100"),
        ),
        (
            r#"{"type": "transformer_encoder", "num_head": 2}"#,
            format!("{encoder}: unknown setting \"num_head\""),
        ),
        (
            r#"{"type": "positional_encoding", "kind": "sinusoid"}"#,
            "layer 1 (positional_encoding): unknown kind \"sinusoid\"".to_owned(),
        ),
    ] {
        let error = build(layers).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let error = build(r#"{"type": "flatten"}, {"type": "multi_head_attention", "num_heads": 2}"#);
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("takes a sequence of steps × features"),
        "{message}"
    );
}
