use pg_neural::nn::{
    Architecture, Error, Head, Initializer, InputFeature, Network, Predictor, Random,
};

/// `a` (20 wide), a level index `c` of 4 levels, and `b` (13 wide).
fn features() -> Vec<InputFeature> {
    [("a", 20, None), ("c", 1, Some(4)), ("b", 13, None)]
        .map(|(name, width, vocabulary)| InputFeature::column(name, width, vocabulary))
        .into()
}

fn rows(random: &mut Random, count: usize) -> Vec<f32> {
    let mut x: Vec<f32> = (0..count * 34).map(|_| random.normal_f32()).collect();
    x.chunks_mut(34)
        .for_each(|row| row[20] = random.below(5) as f32);
    x
}

fn network(layers: &str, head: Head) -> (Network, Vec<f32>) {
    let architecture = Architecture::parse(&format!("{{\"layers\": [{layers}]}}")).unwrap();
    let network = Network::build(&architecture, &features(), head, None).unwrap();
    let mut parameters = network.initialise(5, Initializer::Pytorch);
    // Biases and scales that start from zero would hide a mistake.
    let mut random = Random::new(9, 0);
    parameters
        .iter_mut()
        .for_each(|p| *p += 0.1 * random.normal_f32());
    (network, parameters)
}

/// The predictor agrees with the network, and a row's bits do not depend on its batch.
fn check(layers: &str, head: Head) {
    let (network, parameters) = network(layers, head);
    let predictor = Predictor::new(&network, &parameters).unwrap();
    let (count, units) = (333, network.output_units());
    let x = rows(&mut Random::new(1, 0), count);
    let mut workspace = network.workspace(count);
    let mut want = network
        .forward(&parameters, &x, count, &mut workspace, None)
        .to_vec();
    network.output_activation().apply(&mut want, units);
    let mut scratch = predictor.scratch();
    let mut all = vec![f32::INFINITY; count * units];
    predictor.forward(&x, count, &mut all, &mut scratch);
    for (got, want) in all.iter().zip(&want) {
        assert!(
            (got - want).abs() < 1e-5 * (1.0 + want.abs()),
            "{layers}: {got}, not {want}"
        );
    }
    for batch in [1, 2, 7, 65] {
        for first in (0..count - batch).step_by(29) {
            let mut got = vec![f32::INFINITY; batch * units];
            predictor.forward(&x[first * 34..], batch, &mut got, &mut scratch);
            let same = got
                .iter()
                .zip(&all[first * units..])
                .all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{layers}: rows {first} and on in a batch of {batch}");
        }
    }
    // What has room for one row takes several one by one.
    let mut single = predictor.scratch_of_a_row(usize::MAX).unwrap();
    let mut got = vec![f32::INFINITY; 7 * units];
    predictor.forward(&x, 7, &mut got, &mut single);
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&got), bits(&all[..7 * units]), "{layers}");
}

const NUMBERS: &str = r#"{"type": "input", "features": ["a", "b"]}"#;

#[test]
fn dense_networks_of_each_head_agree_with_the_network() {
    let layers = format!(
        r#"{NUMBERS}, {{"type": "dense", "units": 64, "activation": "relu"}},
           {{"type": "dropout", "rate": 0.5}},
           {{"type": "dense", "units": 64, "activation": "gelu"}}"#
    );
    check(&layers, Head::Binary);
    check(&layers, Head::Regression { outputs: 1 });
    check(&layers, Head::Regression { outputs: 20 });
    check(&layers, Head::Multiclass { classes: 3 });
    check(&layers, Head::Multiclass { classes: 10 });
}

#[test]
fn scales_and_activations_of_their_own_agree_with_the_network() {
    check(
        &format!(
            r#"{NUMBERS}, {{"type": "scale", "factor": 6}}, {{"type": "dense", "units": 17}},
               {{"type": "activation", "activation": "softmax"}}, {{"type": "scale"}},
               {{"type": "activation", "name": "x", "activation": "mish"}},
               {{"type": "dense", "name": "y", "units": 17}},
               {{"type": "activation", "name": "z", "activation": "tanh"}},
               {{"type": "concat", "input": ["z", "x"]}}"#
        ),
        Head::Binary,
    );
}

#[test]
fn numbers_that_bend_agree_with_the_network() {
    for units in [3, 64] {
        let bent = format!(r#""type": "piecewise_linear", "units": {units}, "bins": 5"#);
        check(
            &format!(r#"{NUMBERS}, {{{bent}, "activation": "silu"}}"#),
            Head::Binary,
        );
        check(
            &format!(
                r#"{NUMBERS}, {{{bent}, "name": "bent", "use_bias": false}},
                   {{"type": "input", "name": "b", "features": ["b"]}},
                   {{"type": "dense", "name": "straight", "units": {units}}},
                   {{"type": "add", "input": ["bent", "straight"]}}"#
            ),
            Head::Multiclass { classes: 3 },
        );
    }
}

#[test]
fn waves_of_numbers_agree_with_the_network() {
    check(
        &format!(r#"{NUMBERS}, {{"type": "periodic"}}, {{"type": "dense", "units": 9}}"#),
        Head::Binary,
    );
}

#[test]
fn graphs_agree_with_the_network() {
    let inputs = r#"{"type": "input", "name": "level", "features": ["c"]},
        {"type": "embedding", "name": "vector", "units": 3},
        {"type": "input", "name": "a", "features": ["a"]},
        {"type": "input", "name": "b", "features": ["b"]}"#;
    // A node read twice by a concat, concats of concats, a step that reads and writes what one
    // concat joins, dropout in between.
    for rest in [
        r#"{"type": "concat", "input": ["b", "vector", "a"]}, {"type": "dense", "units": 8}"#,
        r#"{"type": "concat", "name": "inner", "input": ["vector", "a", "vector"]},
           {"type": "dense", "name": "d", "units": 9, "activation": "relu"},
           {"type": "concat", "name": "outer", "input": ["d", "inner", "b", "vector"]},
           {"type": "dense", "name": "e", "units": 9},
           {"type": "add", "name": "sum", "input": ["d", "e", "d"]},
           {"type": "multiply", "name": "product", "input": ["sum", "d", "e"]},
           {"type": "concat", "name": "end", "input": ["product", "outer", "sum", "d"]}"#,
        r#"{"type": "dense", "name": "d", "input": "a", "units": 6, "activation": "silu"},
           {"type": "dropout", "name": "drop", "rate": 0.3},
           {"type": "dense", "name": "e", "units": 6},
           {"type": "concat", "name": "all", "input": ["drop", "e", "d", "vector"]},
           {"type": "dropout", "name": "drop2", "rate": 0.3},
           {"type": "concat", "name": "more", "input": ["all", "drop2", "b"]}"#,
        r#"{"type": "dense", "name": "d", "input": "a", "units": 5},
           {"type": "scale", "name": "s"},
           {"type": "concat", "name": "one", "input": ["s", "d"]},
           {"type": "concat", "name": "two", "input": ["one", "s"]},
           {"type": "activation", "name": "act", "activation": "elu", "input": "one"},
           {"type": "concat", "name": "three", "input": ["act", "two", "b", "one", "vector"]}"#,
    ] {
        check(
            &format!("{inputs}, {rest}"),
            Head::Multiclass { classes: 4 },
        );
        check(
            &format!("{inputs}, {rest}"),
            Head::Regression { outputs: 1 },
        );
    }
}

#[test]
fn missing_numbers_give_one_nan_and_wild_levels_an_entry() {
    let layers = format!(r#"{NUMBERS}, {{"type": "dense", "units": 8}}"#);
    let (network, parameters) = network(&layers, Head::Regression { outputs: 1 });
    let predictor = Predictor::new(&network, &parameters).unwrap();
    let mut x = rows(&mut Random::new(1, 0), 1);
    (x[0], x[1]) = (f32::INFINITY, f32::NEG_INFINITY);
    x[2] = -f32::NAN;
    let mut out = [0.0];
    predictor.forward(&x, 1, &mut out, &mut predictor.scratch());
    assert_eq!(out[0].to_bits(), f32::NAN.to_bits());
    predictor.forward(&x, 0, &mut [], &mut predictor.scratch());
}

#[test]
fn parameters_of_another_network_are_refused_and_sizes_told() {
    let (network, parameters) = network(NUMBERS, Head::Binary);
    let error = Predictor::new(&network, &parameters[1..]).unwrap_err();
    assert!(matches!(error, Error::ParameterCount { .. }));
    let predictor = Predictor::new(&network, &parameters).unwrap();
    assert!(predictor.size_bytes() >= parameters.len() * 4);
    assert_eq!((predictor.input_width(), predictor.output_units()), (34, 1));
}
