//! Sequences and images in networks: shapes that meet, steps that are not there, views.

use pg_neural::nn::{
    Architecture, Error, Head, Initializer, InputFeature, InputForm, Network, Predictor, Random,
    Rank,
};

const STEPS: usize = 4;
const FEATURES: usize = 3;

/// A sequence `s` of up to 4 steps × 3, tokens `t` (0..5) of up to 4 steps, an image `i` of 2×2×3
/// and a number `n`.
fn features() -> Vec<InputFeature> {
    let feature = |name: &str, form| InputFeature {
        name: name.to_owned(),
        form,
    };
    vec![
        feature("n", InputForm::Numbers(1)),
        feature(
            "s",
            InputForm::Sequence {
                steps: STEPS,
                features: FEATURES,
                vocabulary: None,
            },
        ),
        feature(
            "t",
            InputForm::Sequence {
                steps: STEPS,
                features: 1,
                vocabulary: Some(5),
            },
        ),
        feature(
            "i",
            InputForm::Image {
                channels: 2,
                height: 2,
                width: 3,
            },
        ),
    ]
}

fn build(layers: &str, features: &[InputFeature]) -> Result<Network, Error> {
    let architecture = Architecture::parse(&format!("{{\"layers\": [{layers}]}}"))?;
    Network::build(
        &architecture,
        features,
        Head::Regression { outputs: 2 },
        None,
    )
}

/// A row with so many steps in both sequences.
fn row(steps: usize, random: &mut Random) -> Vec<f32> {
    let mut x = vec![random.normal_f32()];
    x.push(steps as f32);
    let there = |step: usize, value: f32| if step < steps { value } else { 0.0 };
    x.extend((0..STEPS * FEATURES).map(|i| there(i / FEATURES, random.normal_f32())));
    x.push(steps as f32);
    x.extend((0..STEPS).map(|i| there(i, random.below(5) as f32)));
    x.extend((0..12).map(|_| random.normal_f32()));
    x
}

const EVERYTHING: &str = r#"
    {"type": "input", "name": "s", "features": ["s"]},
    {"type": "dense", "name": "per_step", "units": 5, "activation": "tanh"},
    {"type": "input", "name": "t", "features": ["t"]},
    {"type": "embedding", "name": "vectors", "units": 2},
    {"type": "concat", "name": "steps", "input": ["per_step", "vectors", "s"]},
    {"type": "activation", "name": "shares", "activation": "softmax"},
    {"type": "add", "name": "sum", "input": ["steps", "shares"]},
    {"type": "flatten", "name": "flat"},
    {"type": "input", "name": "i", "features": ["i"]},
    {"type": "concat", "name": "channels", "input": ["i", "i"]},
    {"type": "flatten", "name": "pixels"},
    {"type": "input", "name": "n", "features": ["n"]},
    {"type": "concat", "name": "all", "input": ["n", "flat", "pixels"]},
    {"type": "output"}"#;

#[test]
fn the_predictor_gives_what_the_network_gives() {
    let network = build(EVERYTHING, &features()).unwrap();
    let mut random = Random::new(5, 0);
    let parameters = network.initialise(1, Initializer::Pytorch);
    let rows = 9;
    let x: Vec<f32> = (0..rows)
        .flat_map(|i| row(i % (STEPS + 1), &mut random))
        .collect();
    let mut workspace = network.workspace(rows);
    let expected = network.forward(&parameters, &x, rows, &mut workspace, None);
    let predictor = Predictor::new(&network, &parameters).unwrap();
    let mut scratch = predictor.scratch();
    let mut out = vec![0.0; rows * 2];
    predictor.forward(&x, rows, &mut out, &mut scratch);
    for (found, expected) in out.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
    // One by one, the same bits.
    let width = network.input_width();
    for (i, out) in out.chunks_exact(2).enumerate() {
        let mut one = [0.0; 2];
        predictor.forward(&x[i * width..][..width], 1, &mut one, &mut scratch);
        assert_eq!(one, out);
    }
}

#[test]
fn steps_that_are_not_there_give_no_gradient() {
    let network = build(EVERYTHING, &features()).unwrap();
    let mut random = Random::new(6, 0);
    let mut parameters = network.initialise(1, Initializer::Pytorch);
    let rows = 5;
    let x: Vec<f32> = (0..rows).flat_map(|i| row(i, &mut random)).collect();
    let weights: Vec<f32> = (0..rows * 2).map(|_| random.normal_f32()).collect();
    let mut workspace = network.workspace(rows);
    let mut gradients = vec![0.0; parameters.len()];
    network.forward(&parameters, &x, rows, &mut workspace, None);
    network.backward(
        &parameters,
        &x,
        rows,
        &weights,
        &mut gradients,
        &mut workspace,
    );
    for i in 0..parameters.len() {
        let kept = parameters[i];
        let mut side = |value| {
            parameters[i] = value;
            let out = network.forward(&parameters, &x, rows, &mut workspace, None);
            let terms = out.iter().zip(&weights);
            terms
                .map(|(y, w)| f64::from(*y) * f64::from(*w))
                .sum::<f64>()
        };
        let expected = (side(kept + 1e-2) - side(kept - 1e-2)) / 2e-2;
        parameters[i] = kept;
        let found = f64::from(gradients[i]);
        assert!(
            (found - expected).abs() < 2e-3 * (1.0 + expected.abs()),
            "parameter {i}: {found} instead of {expected}"
        );
    }
}

#[test]
fn shapes_that_cannot_meet_are_errors_that_name_the_layer() {
    let fails = |layers: &str, expected: &str| {
        let error = build(layers, &features()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().is_some(), "{error}");
    };
    fails(
        r#"{"type": "input", "name": "d", "features": ["n", "s"]}, {"type": "dense", "units": 3}"#,
        "layer \"d\": reads feature \"n\", one number, and feature \"s\", a sequence of 4 steps × 3",
    );
    fails(
        r#"{"type": "dense", "name": "d", "units": 3}"#,
        "layer \"d\": mixes the embedded feature \"t\"",
    );
    fails(
        r#"{"type": "input", "features": ["i"]}, {"type": "dense", "name": "d", "units": 3}"#,
        "layer \"d\": reads an image of 2 channels × 2 high × 3 wide, but takes a vector",
    );
    fails(
        r#"{"type": "input", "features": ["s"]}, {"type": "output", "name": "o"}"#,
        "layer \"o\": is the output and reads a sequence of 4 steps × 3 features",
    );
    fails(
        r#"{"type": "input", "name": "a", "features": ["s"]},
           {"type": "input", "name": "b", "features": ["i"]},
           {"type": "concat", "name": "both", "input": ["a", "b"]}"#,
        "layer \"both\": cannot join a sequence of 4 steps × 3 features and an image",
    );
    fails(
        r#"{"type": "input", "name": "a", "features": ["s"]},
           {"type": "dense", "name": "b", "units": 2},
           {"type": "add", "name": "both", "input": ["a", "b"]}"#,
        "layer \"both\": its inputs are a sequence of 4 steps × 3 features and",
    );
    fails(
        r#"{"type": "input", "features": ["t"]}, {"type": "flatten", "name": "f"}"#,
        "layer \"f\": reads a level's index",
    );
}

#[test]
fn an_input_layer_without_names_leaves_out_images_and_sequences_that_others_name() {
    let network = build(
        r#"{"type": "input", "name": "s", "features": ["s"]},
           {"type": "flatten", "name": "steps"},
           {"type": "input", "name": "i", "features": ["i"]},
           {"type": "flatten", "name": "pixels"},
           {"type": "input", "name": "t", "features": ["t"]},
           {"type": "embedding", "name": "vectors", "units": 2},
           {"type": "flatten", "name": "tokens"},
           {"type": "input", "name": "columns"},
           {"type": "concat", "input": ["columns", "steps", "pixels", "tokens"]},
           {"type": "output"}"#,
        &features(),
    )
    .unwrap();
    let output = network
        .parameters()
        .iter()
        .find(|p| p.name == "output1.weight");
    assert_eq!(output.unwrap().shape, [2, 1 + 12 + 12 + 8]);
}

#[test]
fn the_first_layer_that_cares_says_as_what_a_column_is_read() {
    let rank = |layers: &str, feature: &str| {
        let text = format!("{{\"layers\": [{layers}]}}");
        Architecture::parse(&text).unwrap().input_rank(feature)
    };
    assert_eq!(rank(r#"{"type": "dense", "units": 3}"#, "s"), Rank::Any);
    assert_eq!(
        rank(
            r#"{"type": "embedding", "units": 3}, {"type": "flatten"}"#,
            "s"
        ),
        Rank::Sequence
    );
    assert_eq!(
        rank(
            r#"{"type": "dense", "units": 3}, {"type": "embedding", "units": 3}"#,
            "s"
        ),
        Rank::Sequence
    );
    assert_eq!(
        rank(
            r#"{"type": "flatten"}, {"type": "embedding", "units": 3}"#,
            "s"
        ),
        Rank::Any
    );
    assert_eq!(
        rank(
            r#"{"type": "input", "name": "a", "features": ["s"]},
               {"type": "dropout", "rate": 0.1},
               {"type": "embedding", "name": "e", "units": 3},
               {"type": "flatten", "name": "f"},
               {"type": "input", "name": "b", "features": ["n"]},
               {"type": "concat", "input": ["f", "b"]}"#,
            "n"
        ),
        Rank::Any
    );
}
