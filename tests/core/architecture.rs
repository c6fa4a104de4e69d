//! Architectures as users write them: what is understood, and what each fault is answered with.

use pg_neural::nn::{
    Activation, Architecture, DenseSpec, DropoutSpec, Error, Head, InputFeature, Network,
    Operation, Source,
};

const BINARY: Head = Head::Binary;

fn features() -> Vec<InputFeature> {
    let feature = |name: &str, width, vocabulary| InputFeature::column(name, width, vocabulary);
    vec![
        feature("age", 2, None),
        feature("purpose", 1, Some(7)),
        feature("amount", 1, None),
    ]
}

fn parse(layers: &str) -> Result<Architecture, Error> {
    Architecture::parse(&format!("{{\"layers\": [{layers}]}}"))
}

fn build_for(layers: &str, head: Head) -> Result<Network, Error> {
    Network::build(&parse(layers)?, &features(), head, None)
}

/// The message and the hint of a fault.
fn fault(layers: &str) -> (String, String) {
    let error = build_for(layers, BINARY).expect_err(layers);
    (error.to_string(), error.hint().unwrap_or_default())
}

fn names(network: &Network) -> Vec<&str> {
    let layers = network.architecture().layers.iter();
    layers.map(|layer| layer.name.as_deref().unwrap()).collect()
}

#[test]
fn types_ignore_case_and_accept_the_class_names_of_keras_and_pytorch() {
    let text = r#"{"type": "Linear", "units": 4}, {"type": "DENSE", "units": 3.0},
                  {"type": "ReLU"}, {"type": "Dropout", "rate": 0.2},
                  {"type": "Concatenate", "input": ["dense1", "dropout1"]},
                  {"type": "activation", "activation": "Swish"}"#;
    let network = build_for(text, BINARY).unwrap();
    let expected = [
        "dense1",
        "dense2",
        "activation1",
        "dropout1",
        "concat1",
        "activation2",
        "output1",
    ];
    assert_eq!(names(&network), expected);
    assert_eq!(network.output_activation(), Activation::Sigmoid);
}

#[test]
fn a_resolved_architecture_reads_back_to_itself() {
    let text = r#"{"type": "input", "name": "p", "features": ["purpose"]},
                  {"type": "embedding", "units": 3},
                  {"type": "input", "features": ["amount", "age"]},
                  {"type": "dense", "units": 4, "trainable": false, "use_bias": false,
                   "kernel_initializer": "he_normal", "bias_initializer": "zeros"},
                  {"type": "dropout", "rate": 0.1},
                  {"type": "concat", "input": ["dropout1", "embedding1"]}"#;
    for head in [
        BINARY,
        Head::Multiclass { classes: 3 },
        Head::Regression { outputs: 2 },
    ] {
        let network = build_for(text, head).unwrap();
        let json = network.architecture().to_json().to_string();
        assert!(
            json.contains("\"vocabulary\":7") && json.contains("\"rate\":0.1}"),
            "{json}"
        );
        let again = Architecture::parse(&json).unwrap();
        assert_eq!(&again, network.architecture());
        let rebuilt = Network::build(&again, &features(), head, None).unwrap();
        assert_eq!(rebuilt.architecture(), network.architecture());
        assert_eq!(rebuilt.parameters(), network.parameters());
    }
}

#[test]
fn the_output_layer_is_appended_unless_the_last_dense_layer_is_one() {
    let head = Head::Multiclass { classes: 3 };
    let cases = [
        ("", BINARY, 1, "sigmoid"),
        (r#"{"type": "dense", "units": 1}"#, BINARY, 1, "sigmoid"),
        (
            r#"{"type": "dense", "units": 2, "activation": "softmax"}"#,
            BINARY,
            2,
            "softmax",
        ),
        (
            r#"{"type": "dense", "units": 3, "activation": "linear"}"#,
            head,
            3,
            "softmax",
        ),
        (r#"{"type": "output"}"#, head, 3, "softmax"),
        (r#"{"type": "output", "units": 2}"#, BINARY, 2, "softmax"),
    ];
    for (text, head, units, activation) in cases {
        let network = build_for(text, head).unwrap();
        assert_eq!(network.architecture().layers.len(), 1, "{text}");
        assert_eq!(network.output_units(), units, "{text}");
        assert_eq!(network.output_activation().name(), activation, "{text}");
    }
    for text in [
        r#"{"type": "dense", "units": 1, "activation": "relu"}"#,
        r#"{"type": "dense", "units": 3}"#,
        r#"{"type": "dense", "units": 1}, {"type": "dropout", "rate": 0.5}"#,
    ] {
        let network = build_for(text, BINARY).unwrap();
        assert_eq!(names(&network).last(), Some(&"output1"), "{text}");
    }
    // A regression's own activation is part of the network: the loss compares what comes out.
    let text = r#"{"type": "dense", "units": 1, "activation": "sigmoid"}"#;
    let network = build_for(text, Head::Regression { outputs: 1 }).unwrap();
    assert_eq!(network.output_activation(), Activation::Linear);
    let output = network.architecture().layers.last().unwrap();
    let output = output.get::<DenseSpec>().unwrap();
    assert_eq!(output.activation, Some(Activation::Sigmoid));
}

#[test]
fn neighbouring_columns_are_read_in_place_and_others_gathered() {
    let wide = |text: &str| build_for(text, BINARY).unwrap();
    let network = wide(r#"{"type": "input", "features": ["age"]}, {"type": "output"}"#);
    assert_eq!(
        network.nodes()[0].sources(),
        [Source::Columns { start: 0, width: 2 }]
    );
    // Without names: all features but the level's index.
    let network = wide(r#"{"type": "dense", "units": 5}"#);
    let ranges = vec![0..2, 3..4];
    assert_eq!(network.nodes()[0].operation(), Operation::Select { ranges });
    assert_eq!(network.parameters()[0].shape, [5, 3]);
}

#[test]
fn embeddings_are_put_in_front_of_all_that_reads_the_columns() {
    let text = r#"{"type": "input", "name": "everything"},
                  {"type": "dense", "name": "deep", "units": 4},
                  {"type": "input", "name": "some", "features": ["age", "purpose"]},
                  {"type": "dense", "name": "narrow", "units": 4},
                  {"type": "dense", "name": "wide", "units": 4, "input": "everything"},
                  {"type": "add", "input": ["deep", "wide", "narrow"]}"#;
    let architecture = parse(text)
        .unwrap()
        .with_embeddings(&[("purpose".into(), 3)])
        .unwrap();
    assert_eq!(architecture.embedded_features(), ["purpose"]);
    let network = Network::build(&architecture, &features(), BINARY, None).unwrap();
    let shape = |name: &str| {
        let parameter = network
            .parameters()
            .iter()
            .find(|p| p.name == name)
            .unwrap();
        parameter.shape.clone()
    };
    assert_eq!(shape("purpose.embedding.weight"), [7, 3]);
    assert_eq!(shape("deep.weight"), [4, 3 + 3]);
    assert_eq!(shape("wide.weight"), [4, 3 + 3]);
    assert_eq!(shape("narrow.weight"), [4, 2 + 3]);
    assert!(names(&network).contains(&"columns"));
    // No layer at all, and no other feature.
    let only = &features()[1..2];
    let architecture = parse("")
        .unwrap()
        .with_embeddings(&[("purpose".into(), 3)])
        .unwrap();
    let network = Network::build(&architecture, only, BINARY, None).unwrap();
    assert_eq!(
        network.parameters().last().unwrap().range.end,
        7 * 3 + 3 + 1
    );
}

#[test]
fn dropout_is_put_behind_hidden_layers_or_its_rate_replaced() {
    let plain = r#"{"type": "dense", "name": "a", "units": 4}, {"type": "dense", "units": 4},
                   {"type": "add", "input": ["a", "dense2"]}"#;
    let resolved = parse(plain).unwrap().resolve(BINARY).unwrap();
    let network = Network::build(
        &resolved.with_dropout(0.3).unwrap(),
        &features(),
        BINARY,
        None,
    )
    .unwrap();
    let expected = [
        "a",
        "a.dropout",
        "dense2",
        "dense2.dropout",
        "add1",
        "output1",
    ];
    assert_eq!(names(&network), expected);
    assert_eq!(
        network.architecture().layers[4].inputs,
        ["a.dropout", "dense2.dropout"]
    );
    let own = parse(r#"{"type": "dense", "units": 4}, {"type": "dropout", "rate": 0.5}"#).unwrap();
    let own = own.resolve(BINARY).unwrap().with_dropout(0.25).unwrap();
    assert_eq!(own.layers.len(), 3);
    assert_eq!(own.layers[1].get::<DropoutSpec>().unwrap().rate, 0.25);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let (message, hint) = fault(r#"{"type": "dens", "units": 4}"#);
    assert_eq!(message, "layer 1: unknown type \"dens\"");
    assert!(hint.starts_with("Perhaps you mean \"dense\". Known types are dense, "));
    assert!(hint.contains("embedding"));
    assert!(
        fault(r#"{"type": "conv3d"}"#)
            .0
            .contains("unknown type \"conv3d\"")
    );
    let (message, hint) = fault(r#"{"type": "dense", "name": "fc", "unit": 4}"#);
    assert_eq!(message, "layer \"fc\": unknown setting \"unit\"");
    assert!(hint.starts_with("Perhaps you mean \"units\"."), "{hint}");
    let (message, _) = fault(r#"{"type": "Linear", "out_feature": 4, "units": 4}"#);
    assert!(
        message.contains("unknown setting \"out_feature\""),
        "{message}"
    );
    let (message, hint) = fault(r#"{"type": "dense", "units": 4, "activation": "rellu"}"#);
    assert!(message.ends_with("unknown activation \"rellu\""));
    assert!(hint.starts_with("Perhaps you mean \"relu\"."), "{hint}");
    let (message, _) = fault(r#"{"type": "dense", "units": 4, "kernel_initializer": "glorot"}"#);
    assert!(message.contains("\"glorot"), "{message}");
    let (message, hint) = fault(r#"{"type": "input", "features": ["agee"]}, {"type": "output"}"#);
    assert!(message.contains("\"agee\""), "{message}");
    assert!(hint.starts_with("Perhaps you mean \"age\"."), "{hint}");
    let (message, _) = fault(
        r#"{"type": "dense", "name": "a", "units": 2}, {"type": "dense", "units": 2, "input": "b"}"#,
    );
    assert!(
        message.contains("reads \"b\", which is no layer"),
        "{message}"
    );
}

#[test]
fn cycles_and_later_layers_are_refused() {
    let (message, _) = fault(
        r#"{"type": "dense", "name": "a", "units": 2},
        {"type": "add", "name": "b", "input": ["a", "c"]},
        {"type": "dense", "name": "c", "units": 2, "input": "b"}"#,
    );
    assert_eq!(
        message,
        "layer \"b\": reads \"c\", which does not come before it"
    );
    let (message, _) = fault(
        r#"{"type": "dense", "name": "a", "units": 2},
        {"type": "dense", "name": "b", "units": 2, "input": "b"}"#,
    );
    assert!(message.contains("does not come before it"), "{message}");
}

#[test]
fn shapes_that_cannot_meet_are_refused() {
    let two = r#"{"type": "dense", "name": "a", "units": 2}, {"type": "dense", "units": 3},"#;
    for (layers, part) in [
        (
            r#"{"type": "add", "input": ["a", "dense2"]}"#,
            "inputs are a vector of 2 numbers and a vector of 3 numbers",
        ),
        (
            r#"{"type": "multiply", "input": ["a", "dense2"]}"#,
            "inputs are a vector of 2 numbers and a vector of 3 numbers",
        ),
        (r#"{"type": "add"}"#, "joins two or more"),
        (
            r#"{"type": "dense", "units": 2, "input": ["a", "dense2"]}"#,
            "takes one",
        ),
        (
            r#"{"type": "embedding", "units": 2}"#,
            "one categorical feature",
        ),
        (
            r#"{"type": "dense", "units": 2, "input": "a"}"#,
            "no other layer reads it",
        ),
        (
            r#"{"type": "output"}, {"type": "dropout", "rate": 0}"#,
            "must be the last",
        ),
        (r#"{"type": "output", "units": 3}"#, "the task needs 1"),
        (
            r#"{"type": "output", "activation": "relu"}"#,
            "the task needs sigmoid",
        ),
        (
            r#"{"type": "dense", "name": "a", "units": 2}"#,
            "two layers are named \"a\"",
        ),
    ] {
        let (message, hint) = fault(&format!("{two}{layers}"));
        assert!(message.contains(part), "{layers}: {message}");
        assert!(
            hint.ends_with('.') || hint.ends_with(']'),
            "{layers}: {hint}"
        );
    }
    for (layers, part) in [
        (
            r#"{"type": "input", "features": ["purpose"]}, {"type": "dense", "units": 2}"#,
            "only an embedding",
        ),
        (
            r#"{"type": "input", "features": ["age", "purpose"]}, {"type": "output"}"#,
            "mixes",
        ),
        (
            r#"{"type": "input", "features": ["age", "age"]}, {"type": "output"}"#,
            "twice",
        ),
        (
            r#"{"type": "input", "features": []}, {"type": "output"}"#,
            "list of names",
        ),
        (
            r#"{"type": "input", "input": "x"}, {"type": "output"}"#,
            "reads columns",
        ),
        (
            r#"{"type": "input", "features": ["purpose"]},
            {"type": "embedding", "vocabulary": 3, "units": 2}"#,
            "7 levels",
        ),
    ] {
        let (message, _) = fault(layers);
        assert!(message.contains(part), "{layers}: {message}");
    }
}

#[test]
fn values_out_of_range_are_refused_before_anything_is_allocated() {
    for layers in [
        r#"{"type": "dense", "units": 1000000000000}"#,
        r#"{"type": "dense", "units": 1e300}"#,
        r#"{"type": "dense", "units": 0}"#,
        r#"{"type": "dense", "units": -3}"#,
        r#"{"type": "dense", "units": 2.5}"#,
        r#"{"type": "dense", "units": "64"}"#,
        r#"{"type": "dense", "units": [64]}"#,
        r#"{"type": "dense"}"#,
        r#"{"type": "dense", "units": 3, "use_bias": "yes"}"#,
        r#"{"type": "dense", "units": 3, "trainable": 0}"#,
        r#"{"type": "dense", "units": 3, "name": ""}"#,
        r#"{"type": "dense", "units": 3, "input": 7}"#,
        r#"{"type": "dropout", "rate": 1}"#,
        r#"{"type": "dropout", "rate": -0.1}"#,
        r#"{"type": "dropout"}"#,
        r#"{"type": "activation"}"#,
        r#"{"type": 7}"#,
        r#"{"units": 7}"#,
        "7",
    ] {
        let (message, hint) = fault(layers);
        assert!(message.starts_with("layer"), "{layers}: {message}");
        assert!(!hint.is_empty(), "{layers}");
    }
    // Each layer is within bounds, their product of 4 TB is not within the memory allowed.
    let layers = r#"{"type": "dense", "units": 1000000}, {"type": "dense", "units": 1000000}"#;
    let architecture = parse(layers).unwrap();
    let error = Network::build(&architecture, &features(), BINARY, Some(1 << 30)).unwrap_err();
    assert!(
        matches!(error, Error::Memory { needed, .. } if needed > 4_000_000_000_000),
        "{error}"
    );
}

#[test]
fn text_that_is_no_architecture_is_refused() {
    let deep = format!(
        "{{\"layers\": {}{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let long = format!(
        "{{\"layers\": [{}]}}",
        "{\"type\": \"add\"},".repeat(100_000)
    );
    let many = format!(
        "{{\"layers\": [{}]}}",
        vec!["{\"type\": \"dropout\", \"rate\": 0}"; 1001].join(",")
    );
    for text in [
        "",
        "{",
        "[]",
        "7",
        "{}",
        "{\"layers\": 7}",
        "{\"layer\": []}",
        &deep,
        &long,
        &many,
    ] {
        let error = Architecture::parse(text).unwrap_err();
        assert!(error.to_string().len() < 300, "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
    assert!(matches!(
        Architecture::parse(&deep),
        Err(Error::Json { .. })
    ));
}

#[test]
fn features_of_no_columns_are_refused() {
    let architecture = parse("").unwrap();
    let error = Network::build(&architecture, &[], BINARY, None).unwrap_err();
    assert!(error.to_string().contains("no features"));
    let error = Network::build(&architecture, &features()[1..2], BINARY, None).unwrap_err();
    assert!(
        error.to_string().contains("all features are embedded"),
        "{error}"
    );
}
