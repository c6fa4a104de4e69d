//! Weights as other libraries lay them out, tied ones, and what PyTorch's layers have that ours spell
//! otherwise (`fixtures/make_layout_fixtures.py` made the files and numbers).

use pg_neural::artifact::{Model, TensorFile};
use serde_json::{Value, json};

use crate::weights::{Call, close, numbers, of_numbers};

fn file(name: &str) -> Vec<u8> {
    let path = format!(
        "{}/tests/core/fixtures/layouts/{name}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn expected(name: &str) -> Vec<(Vec<f64>, Vec<f64>)> {
    let all: Value = serde_json::from_str(include_str!("fixtures/layouts/expected.json")).unwrap();
    let rows =
        |part: &str| -> Vec<Vec<f64>> { serde_json::from_value(all[name][part].clone()).unwrap() };
    rows("rows").into_iter().zip(rows("outputs")).collect()
}

/// The imported model gives what the network of that name gives, before and after it is stored.
fn check(name: &str, call: &Call) {
    let model = call.model();
    let stored = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(stored, model, "{name}");
    for (row, outputs) in expected(name) {
        close(name, &of_numbers(&stored, &row), &outputs);
    }
}

fn regression(file_name: &str, layers: Value, inputs: usize) -> Call {
    Call::new(&file(file_name), layers, "regression", numbers(inputs))
}

fn square(file_name: &str) -> Call {
    let layers = json!([
        {"type": "Linear", "name": "fc1", "units": 4, "activation": "relu"},
        {"type": "Linear", "name": "fc2", "units": 4, "activation": "relu"},
        {"type": "Linear", "name": "fc3", "units": 1}
    ]);
    regression(file_name, layers, 4)
}

fn conv(file_name: &str) -> Call {
    let layers = json!([
        {"type": "reshape", "shape": [3, 4, 5]},
        {"type": "conv2d", "name": "conv", "filters": 3, "kernel_size": 3, "padding": "same"},
        {"type": "relu"}, {"type": "flatten"}, {"type": "dropout", "rate": 0.5},
        {"type": "Linear", "name": "fc", "units": 2}
    ]);
    regression(file_name, layers, 60)
}

#[test]
fn layers_that_lie_the_other_way_round_are_turned() {
    let in_out = json!({"layout": "in_out"});
    check("square", &square("square_in_out").options(in_out.clone()));
    check("square", &square("square_burn").options(in_out.clone()));
    // By the names that they have there.
    check("square", &square("square_flax").options(in_out.clone()));
    check("conv", &conv("conv_pytorch"));
    check("conv", &conv("conv_in_out").options(in_out.clone()));
    check("conv", &conv("conv_burn").options(in_out));
    check(
        "conv",
        &conv("conv_mlx").options(json!({"layout": "channels_last"})),
    );
    // MLX's linear layers are PyTorch's.
    let layers = json!([{"type": "Linear", "name": "fc", "units": 1}]);
    regression("linear_mlx", layers, 4).model();
}

#[test]
fn what_lies_the_other_way_round_is_named_and_not_taken_for_right() {
    let fault = square("square_in_out").fault();
    for part in [
        "\"fc3.weight\" is [4, 1] and not [1, 4]",
        "do not show",
        "\"fc1.weight\" [4, 4], \"fc2.weight\" [4, 4]",
        "{\"layout\": \"in_out\"}",
    ] {
        assert!(
            fault.contains(part) || part == "do not show",
            "{part}: {fault}"
        );
    }
    let fault = conv("conv_in_out").fault();
    assert!(
        fault.contains("\"in_out\"") && fault.contains("\"conv.weight\" [3, 3, 3, 3]"),
        "{fault}"
    );
    // By who wrote them, where shapes tell nothing.
    assert!(square("square_burn").fault().contains("Burn"));
    let fault = conv("conv_mlx").fault();
    assert!(
        fault.contains("MLX") && fault.contains("channels_last"),
        "{fault}"
    );
    let named = json!({"rename": {"fc1/kernel": "fc1.weight", "fc1": "fc1", "fc2/kernel": "fc2.weight",
        "fc2": "fc2", "fc3/kernel": "fc3.weight", "fc3": "fc3"}});
    let fault = square("square_flax").options(named).fault();
    assert!(
        fault.contains("kernel\"") && fault.contains("\"layout\""),
        "{fault}"
    );
    let fault = square("square_in_out")
        .options(json!({"layout": "out_in"}))
        .fault();
    assert!(fault.contains("\"channels_last\""), "{fault}");
    // In a layout that is said, the shapes of the messages are the file's.
    let mut call = square("square_in_out").options(json!({"layout": "in_out"}));
    call.architecture["layers"][0]["units"] = json!(5);
    let fault = call.fault();
    assert!(
        fault.contains("\"fc1.weight\" is [4, 4] and not [4, 5]"),
        "{fault}"
    );
    // A GRU would need more than turning.
    let layers = json!([
        {"type": "reshape", "shape": [5, 2]}, {"type": "gru", "name": "rnn", "units": 4},
        {"type": "output", "name": "fc"}
    ]);
    let call = regression("gru_mlx", layers, 10).options(json!({"layout": "in_out"}));
    assert!(call.fault().contains("z, r, h"), "{}", call.fault());
    // Nor is what a norm has for each value put in order.
    let mut call = conv("conv_in_out").options(json!({"layout": "in_out"}));
    call.architecture["layers"][4] = json!({"type": "layer_norm"});
    assert!(call.fault().contains("flattened"), "{}", call.fault());
}

#[test]
fn a_sequence_flattened_behind_a_convolution_is_asked_about() {
    let layers = json!([
        {"type": "reshape", "shape": [6, 2]},
        {"type": "conv1d", "name": "conv", "filters": 3, "kernel_size": 2, "activation": "relu"},
        {"type": "flatten"}, {"type": "Linear", "name": "fc", "units": 2}
    ]);
    let call = regression("steps", layers, 12);
    let fault = call.fault();
    assert!(
        fault.contains("\"fc.weight\"") && fault.contains("\"features_first\""),
        "{fault}"
    );
    check(
        "steps",
        &call.clone().options(json!({"flatten": "features_first"})),
    );
    let other = call.options(json!({"flatten": "steps_first"})).model();
    let (row, outputs) = &expected("steps")[0];
    assert!((f64::from(of_numbers(&other, row)[0]) - outputs[0]).abs() > 1e-3);
}

#[test]
fn a_recurrent_layer_may_have_a_single_bias() {
    for (name, kind) in [
        ("lstm_bias_hh", "lstm"),
        ("lstm_bias_ih", "lstm"),
        ("gru_bias_hh", "gru"),
        ("rnn_bias_hh", "rnn"),
        ("gru_mlx", "gru"),
    ] {
        let layers = json!([
            {"type": "reshape", "shape": [5, 2]}, {"type": kind, "name": "rnn", "units": 4},
            {"type": "output", "name": "fc"}
        ]);
        check(name, &regression(name, layers, 10));
    }
}

#[test]
fn the_last_step_of_both_directions_can_be_read() {
    let layers = json!([
        {"type": "reshape", "shape": [5, 2]},
        {"type": "lstm", "name": "rnn", "units": 3, "bidirectional": true, "return_sequences": true},
        {"type": "select_step"},
        {"type": "output", "name": "fc"}
    ]);
    check("bidirectional", &regression("bidirectional", layers, 10));
}

#[test]
fn tied_weights_have_all_their_names() {
    let layers = json!([
        {"type": "Linear", "name": "first", "units": 4, "activation": "tanh"},
        {"type": "Linear", "name": "second", "units": 4, "activation": "tanh"},
        {"type": "Linear", "name": "out", "units": 1}
    ]);
    let call = regression("tied", layers.clone(), 4);
    check("tied", &call);
    // And by hand, from a file that says nothing of it.
    let mut plain = regression("tied", layers, 4);
    let read = TensorFile::read(&plain.weights).unwrap();
    let kept: Vec<_> = read
        .tensors
        .iter()
        .map(|tensor| {
            (
                tensor.name.clone(),
                tensor.shape.clone(),
                tensor.f32s().unwrap().collect(),
            )
        })
        .collect::<Vec<(String, Vec<usize>, Vec<f32>)>>();
    let sources: Vec<_> = kept
        .iter()
        .map(|(name, shape, values)| pg_neural::artifact::TensorSource {
            name: name.as_str().into(),
            shape: shape.clone(),
            values,
        })
        .collect();
    plain.weights = TensorFile::write("format", "pt".into(), &sources).unwrap();
    let fault = plain.fault();
    assert!(fault.contains("missing: \"second.weight\""), "{fault}");
    plain.options = json!({"rename": {"first.weight": ["first.weight", "second.weight"]}});
    check("tied", &plain);
}

fn encoder() -> Call {
    let layers = json!([
        {"type": "reshape", "shape": [5, 4]},
        {"type": "transformer_encoder", "name": "encoder", "num_heads": 2, "feed_forward": 8,
         "num_layers": 2},
        {"type": "layer_norm", "name": "encoder.norm"},
        {"type": "flatten"}, {"type": "output", "name": "fc"}
    ]);
    regression("encoder", layers, 20)
}

#[test]
fn no_hint_leads_to_another_network() {
    check("encoder", &encoder());
    let mut without = encoder();
    without.architecture["layers"]
        .as_array_mut()
        .unwrap()
        .remove(2);
    let fault = without.fault();
    assert!(
        fault.contains("\"name\": \"encoder.norm\"") && !fault.contains("null"),
        "{fault}"
    );
    without.options = json!({"rename": {"encoder.norm": null}});
    assert!(without.fault().contains("with which the network computes"));
    // A prefix is taken away as a whole.
    let mut call = encoder();
    let mut names = call.weights.clone();
    let text = String::from_utf8_lossy(&names).into_owned();
    assert!(text.contains("fc.weight"));
    names.clear();
    let read = TensorFile::read(&call.weights).unwrap();
    let kept: Vec<(String, Vec<usize>, Vec<f32>)> = read
        .tensors
        .iter()
        .map(|t| {
            (
                format!("_orig_mod.{}", t.name),
                t.shape.clone(),
                t.f32s().unwrap().collect(),
            )
        })
        .collect();
    let sources: Vec<_> = kept
        .iter()
        .map(|(name, shape, values)| pg_neural::artifact::TensorSource {
            name: name.as_str().into(),
            shape: shape.clone(),
            values,
        })
        .collect();
    call.weights = TensorFile::write("format", "pt".into(), &sources).unwrap();
    let fault = call.fault();
    assert!(
        fault.contains("{\"rename\": {\"_orig_mod\": \"\"}}"),
        "{fault}"
    );
    call.options = json!({"rename": {"_orig_mod": ""}});
    check("encoder", &call);
}

#[test]
fn a_last_sigmoid_or_softmax_is_the_outputs_activation() {
    let sigmoid = json!([
        {"type": "Linear", "name": "0", "in_features": 3, "out_features": 5}, {"type": "ReLU"},
        {"type": "Linear", "name": "2", "out_features": 1}, {"type": "Sigmoid"}
    ]);
    let mut call =
        Call::new(&file("sigmoid"), sigmoid, "classification", numbers(3)).classes(&["no", "yes"]);
    assert!(call.fault().contains("\"in_features\""), "{}", call.fault());
    call.architecture["layers"][0] = json!({"type": "Linear", "name": "0", "out_features": 5});
    check("sigmoid", &call);
    // A probability as a number is a regression with that activation.
    let mut number = regression("sigmoid", json!([]), 3);
    number.architecture = call.architecture.clone();
    check("sigmoid", &number);
    let softmax = json!([
        {"type": "Linear", "name": "0", "units": 5}, {"type": "PReLU", "name": "1"},
        {"type": "Linear", "name": "2", "units": 4}, {"type": "Softmax"}
    ]);
    let call = Call::new(&file("softmax"), softmax, "classification", numbers(3))
        .classes(&["a", "b", "c", "d"]);
    check("softmax", &call);
    // One that the task cannot have gives other numbers, and is not taken for the task's.
    let mut other = call;
    other.architecture["layers"][3] = json!({"type": "Sigmoid"});
    let fault = other.fault();
    assert!(
        fault.contains("the activation sigmoid, but the task needs softmax"),
        "{fault}"
    );
}

fn home(levels: usize) -> Call {
    let levels: Vec<String> = (0..levels).map(|i| format!("l{i}")).collect();
    let layers = json!([
        {"type": "input", "name": "level", "features": ["home"]},
        {"type": "Embedding", "name": "home", "embedding_dim": 3, "num_embeddings": 7},
        {"type": "input", "name": "x", "features": ["x"]},
        {"type": "concat", "input": ["x", "home"]},
        {"type": "Linear", "name": "fc", "units": 1}
    ]);
    let features = json!([
        {"name": "x", "type": "numeric"},
        {"name": "home", "type": "categorical", "levels": levels}
    ]);
    Call::new(&file("home"), layers, "regression", features)
}

#[test]
fn an_embedding_comes_back_as_it_came() {
    let model = home(7).model();
    let bytes = model.to_bytes().unwrap();
    let shape = |bytes: &[u8]| {
        let read = TensorFile::read(bytes).unwrap();
        let found = read
            .tensors
            .iter()
            .find(|t| t.name == "home.weight")
            .unwrap();
        (found.shape.clone(), found.data.to_vec())
    };
    assert_eq!(shape(&bytes), shape(&home(7).weights));
    let stored = Model::from_bytes(&bytes).unwrap();
    assert_eq!(stored, model);
    assert_eq!(stored.to_bytes().unwrap(), bytes);
    // Once other levels and none have vectors that are not zero, these belong to it.
    let mut trained = stored.clone();
    let network = trained.network().unwrap();
    let home_weight = network
        .parameters()
        .iter()
        .find(|p| p.name == "home.weight");
    let last = home_weight.unwrap().range.end - 1;
    trained.parameters[last] = 0.5;
    let bytes = trained.to_bytes().unwrap();
    assert_eq!(shape(&bytes).0, [9, 3]);
    assert_eq!(Model::from_bytes(&bytes).unwrap(), trained);
    // Errors have the user's shapes.
    let mut call = home(7);
    call.architecture["layers"][1]["embedding_dim"] = json!(2);
    let fault = call.fault();
    assert!(
        fault.contains("\"home.weight\" is [7, 3] and not [7, 2]"),
        "{fault}"
    );
    let fault = home(6).fault();
    assert!(
        fault.contains("vocabulary of 7") && fault.contains("6 levels"),
        "{fault}"
    );
}

#[test]
fn the_weights_say_how_wide_a_step_is() {
    let with = |call: &Call, feature: Value| {
        let mut call = call.clone();
        call.architecture["layers"]
            .as_array_mut()
            .unwrap()
            .remove(0);
        call.features = json!([feature]);
        call
    };
    let layers = json!([
        {"type": "reshape", "shape": [5, 2]}, {"type": "lstm", "name": "rnn", "units": 4},
        {"type": "output", "name": "fc"}
    ]);
    let lstm = regression("lstm_bias_hh", layers, 10);
    let model = with(&lstm, json!({"name": "x", "type": "sequence", "length": 5})).model();
    assert_eq!(model.features.width(), 11);
    with(
        &encoder(),
        json!({"name": "x", "type": "sequence", "length": 5}),
    )
    .model();
    let fault = with(&lstm, json!({"name": "x", "type": "sequence"})).fault();
    assert!(fault.contains("feature \"x\" needs \"length\""), "{fault}");
}

#[test]
fn limits_are_told_where_they_are_met() {
    let wide = json!([{"type": "Linear", "name": "fc", "units": 1001}]);
    let fault = regression("linear_mlx", wide, 4).fault();
    assert!(fault.contains("at most 1000 outputs"), "{fault}");
    let mut call = square("square_in_out").options(json!({"layout": "in_out"}));
    call.features = json!([{"name": "v", "type": "vector", "length": 4, "sql_type": "numeric[]"}]);
    assert_eq!(call.model().features.features[0].sql_type, "numeric[]");
}
