//! Networks of PyTorch's, from state_dicts that fixtures/make_weights_fixtures.py saved, and back.

use pg_neural::artifact::{Model, TensorFile, TensorSource};
use pg_neural::features::{Encoder, Target};
use pg_neural::nn::{Never, Predictor, Random};
use pg_neural::weights::{Error, Imported, Source, import};
use safetensors::SafeTensors;
use serde_json::{Value, json};

const IMAGE: &[u8] = include_bytes!("fixtures/weights/image.safetensors");
const SEQUENCE: &[u8] = include_bytes!("fixtures/weights/sequence.safetensors");
const ATTENTION: &[u8] = include_bytes!("fixtures/weights/attention.safetensors");
const TABLE: &[u8] = include_bytes!("fixtures/weights/table.safetensors");
const MLP: &[u8] = include_bytes!("fixtures/weights/mlp.safetensors");

/// A call of `neural.import_weights`.
#[derive(Clone)]
pub struct Call {
    pub weights: Vec<u8>,
    pub architecture: Value,
    task: &'static str,
    pub features: Value,
    classes: Option<Vec<String>>,
    pub options: Value,
}

impl Call {
    pub fn new(weights: &[u8], layers: Value, task: &'static str, features: Value) -> Call {
        Call {
            weights: weights.to_vec(),
            architecture: json!({"layers": layers}),
            task,
            features,
            classes: None,
            options: json!({}),
        }
    }

    pub fn classes(mut self, classes: &[&str]) -> Call {
        self.classes = Some(classes.iter().map(|class| (*class).to_owned()).collect());
        self
    }

    pub fn options(mut self, options: Value) -> Call {
        self.options = options;
        self
    }

    fn import(&self) -> Result<Imported, Error> {
        import(&Source {
            weights: &self.weights,
            architecture: &self.architecture.to_string(),
            task: self.task,
            features: &self.features,
            classes: self.classes.as_deref(),
            options: &self.options,
            memory: 16 << 20,
            stop: &Never,
        })
    }

    pub fn model(&self) -> Model {
        self.import().unwrap_or_else(|e| panic!("{e}")).model
    }

    /// What is said of what is wrong, with the hint.
    pub fn fault(&self) -> String {
        match self.import() {
            Ok(_) => panic!("it went through"),
            Err(error) => format!("{error} {}", error.hint().expect("a hint")),
        }
    }
}

pub fn numbers(count: usize) -> Value {
    (1..=count)
        .map(|i| json!({"name": format!("x{i}"), "type": "numeric"}))
        .collect()
}

fn image() -> Call {
    let layers = json!([
        {"type": "reshape", "shape": [1, 4, 4]},
        {"type": "Conv2d", "name": "conv1", "filters": 3, "kernel_size": 3, "padding": "same"},
        {"type": "batch_norm", "name": "bn1"},
        {"type": "ReLU"},
        {"type": "max_pool2d", "pool_size": 2},
        {"type": "flatten"},
        {"type": "output", "name": "fc1"}
    ]);
    Call::new(IMAGE, layers, "classification", numbers(16)).classes(&["a", "b", "c", "d"])
}

fn sequence() -> Call {
    let layers = json!([
        {"type": "reshape", "shape": [5, 2]},
        {"type": "lstm", "name": "rnn", "units": 4, "bidirectional": true},
        {"type": "output", "name": "head"}
    ]);
    Call::new(SEQUENCE, layers, "regression", numbers(10))
}

fn attention() -> Call {
    let layers = json!([
        {"type": "reshape", "shape": [4, 4]},
        {"type": "transformer_encoder", "name": "encoder", "num_heads": 2, "feed_forward": 8},
        {"type": "flatten"},
        {"type": "output", "name": "fc"}
    ]);
    Call::new(ATTENTION, layers, "classification", numbers(16))
        .classes(&["red", "green", "blue"])
        .options(json!({"multi_label": true}))
}

fn table() -> Call {
    let layers = json!([
        {"type": "input", "name": "level", "features": ["purpose"]},
        {"type": "embedding", "name": "purpose", "units": 2},
        {"type": "input", "name": "columns", "features": ["age", "grade"]},
        {"type": "concat", "input": ["columns", "purpose"]},
        {"type": "dense", "name": "fc1", "units": 4, "activation": "tanh"},
        {"type": "dense", "name": "fc2", "units": 2}
    ]);
    let features = json!([
        {"name": "age", "type": "numeric", "mean": 40, "std": 10, "sql_type": "int"},
        {"name": "purpose", "type": "categorical", "levels": ["car", "house", "boat"]},
        {"name": "grade", "type": "categorical", "levels": ["low", "high"]}
    ]);
    Call::new(TABLE, layers, "classification", features).classes(&["no", "yes"])
}

fn mlp() -> Call {
    let layers = json!([
        {"type": "dense", "name": "hidden", "units": 5, "activation": "relu"},
        {"type": "dense", "name": "out", "units": 2}
    ]);
    Call::new(MLP, layers, "regression", numbers(3))
        .options(json!({"rename": {"0": "hidden", "2": "out"}}))
}

/// The same networks, whose numbers come as one array.
fn of_arrays() -> [(&'static str, Call); 3] {
    let one = |mut call: Call, feature: Value| {
        call.architecture["layers"]
            .as_array_mut()
            .unwrap()
            .remove(0);
        call.features = json!([feature]);
        call
    };
    let x = |treatment: &str| json!({"name": "x", "type": treatment});
    let mut picture = x("image");
    picture["shape"] = json!([1, 4, 4]);
    let steps = |length: usize, features: usize| {
        let mut sequence = x("sequence");
        sequence["length"] = length.into();
        sequence["features"] = features.into();
        sequence
    };
    [
        ("image", one(image(), picture)),
        ("sequence", one(sequence(), steps(5, 2))),
        ("attention", one(attention(), steps(4, 4))),
    ]
}

/// The network's outputs for a row that `encode` writes.
fn outputs(model: &Model, encode: impl Fn(&Encoder, &mut [f32])) -> Vec<f32> {
    let network = model.network().unwrap();
    let predictor = Predictor::new(&network, &model.parameters).unwrap();
    let mut x = vec![0.0; model.features.width()];
    encode(&model.features.encoder(), &mut x);
    let mut out = vec![0.0; network.output_units()];
    predictor.forward(&x, 1, &mut out, &mut predictor.scratch());
    out
}

pub fn of_numbers(model: &Model, row: &[f64]) -> Vec<f32> {
    outputs(model, |encoder, x| {
        for (i, value) in row.iter().enumerate() {
            encoder.number(i, *value, x);
        }
    })
}

fn of_table(model: &Model, age: f64, purpose: Option<&str>, grade: Option<&str>) -> Vec<f32> {
    outputs(model, |encoder, x| {
        encoder.number(0, age, x);
        encoder.category(1, purpose, x);
        encoder.category(2, grade, x);
    })
}

/// Rows of a network and what PyTorch gave for them.
fn expected(name: &str) -> Vec<(Vec<f64>, Vec<f64>)> {
    let all: Value = serde_json::from_str(include_str!("fixtures/weights/expected.json")).unwrap();
    let rows =
        |part: &str| -> Vec<Vec<f64>> { serde_json::from_value(all[name][part].clone()).unwrap() };
    rows("rows").into_iter().zip(rows("outputs")).collect()
}

pub fn close(name: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        let error = (f64::from(*found) - expected).abs();
        assert!(
            error <= 1e-5 * expected.abs().max(1.0),
            "{name}: {found} for {expected}"
        );
    }
}

#[test]
fn every_network_gives_what_it_gives_in_pytorch() {
    for (name, call) in [
        ("image", image()),
        ("sequence", sequence()),
        ("attention", attention()),
        ("mlp", mlp()),
    ] {
        let model = call.model();
        // As it is stored and read again.
        let stored = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(stored, model, "{name}");
        for (row, outputs) in expected(name) {
            close(name, &of_numbers(&stored, &row), &outputs);
        }
    }
}

#[test]
fn images_and_sequences_may_be_one_feature() {
    for (name, call) in of_arrays() {
        let model = call.model();
        let stored = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(stored, model, "{name}");
        let network = stored.network().unwrap();
        let predictor = Predictor::new(&network, &stored.parameters).unwrap();
        let mut out = vec![0.0; network.output_units()];
        for (row, outputs) in expected(name) {
            // What the encoder writes of values that are not scaled; a sequence's count comes first.
            let steps = match name {
                "sequence" => Some(5.0),
                "attention" => Some(4.0),
                _ => None,
            };
            let values = row.iter().map(|value| *value as f32);
            let x: Vec<f32> = steps.into_iter().chain(values).collect();
            assert_eq!(x.len(), stored.features.width(), "{name}");
            predictor.forward(&x, 1, &mut out, &mut predictor.scratch());
            close(name, &out, &outputs);
        }
    }
}

#[test]
fn half_and_double_precision_are_taken() {
    for (name, weights) in [
        (
            "mlp_float16",
            include_bytes!("fixtures/weights/mlp_float16.safetensors").as_slice(),
        ),
        (
            "mlp_bfloat16",
            include_bytes!("fixtures/weights/mlp_bfloat16.safetensors"),
        ),
        (
            "mlp_float64",
            include_bytes!("fixtures/weights/mlp_float64.safetensors"),
        ),
    ] {
        let mut call = mlp();
        call.weights = weights.to_vec();
        let model = call.model();
        for (row, outputs) in expected(name) {
            close(name, &of_numbers(&model, &row), &outputs);
        }
    }
}

#[test]
fn columns_of_a_table_are_treated_as_told() {
    let model = table().model();
    let purposes = ["car", "house", "boat"];
    let grades = ["low", "high"];
    for (row, outputs) in expected("table") {
        let (purpose, grade) = (purposes[row[1] as usize], grades[row[2] as usize]);
        let found = of_table(&model, row[0], Some(purpose), Some(grade));
        close("table", &found, &outputs);
    }
    // The mean stands for a missing number; another level and none are zeros alike.
    let found = of_table(&model, f64::NAN, None, None);
    assert_eq!(found, of_table(&model, 40.0, Some("plane"), Some("middle")));
    assert!(
        of_table(&model, f64::INFINITY, None, None)
            .iter()
            .all(|p| p.is_finite())
    );
    let types: Vec<&str> = model
        .features
        .features
        .iter()
        .map(|f| f.sql_type.as_str())
        .collect();
    assert_eq!(types, ["integer", "text", "text"]);
}

#[test]
fn the_positive_class_may_be_the_first() {
    let (second, first) = (table(), table().options(json!({"positive_class": "no"})));
    let (second, first) = (second.model(), first.model());
    assert_eq!(second.target.positive_class(), Some("yes"));
    assert_eq!(first.target.positive_class(), Some("no"));
    let a = of_table(&second, 30.0, Some("car"), Some("low"));
    let b = of_table(&first, 30.0, Some("car"), Some("low"));
    // The last output is the positive class's.
    assert_eq!((a[0], a[1]), (b[1], b[0]));
    let named = table().classes(&["true", "false"]).model();
    assert_eq!(named.target.positive_class(), Some("true"));
}

#[test]
fn how_the_output_layer_is_written_does_not_matter() {
    let plain = image().model();
    let rows = expected("image");
    for last in [
        json!({"type": "dense", "name": "fc1", "units": 4}),
        json!({"type": "Linear", "name": "fc1", "units": 4, "activation": "softmax"}),
        json!({"type": "output", "name": "fc1", "activation": "linear"}),
    ] {
        let mut call = image();
        call.architecture["layers"][6] = last;
        let model = call.model();
        for (row, _) in &rows {
            assert_eq!(of_numbers(&model, row), of_numbers(&plain, row));
        }
    }
}

#[test]
fn outputs_of_a_regression_come_in_the_targets_unit() {
    let options = json!({
        "rename": {"0": "hidden", "2": "out"}, "target_mean": [100, 200], "target_std": 10
    });
    let model = mlp().options(options).model();
    let (row, raw) = &expected("mlp")[0];
    let found = of_numbers(&model, row);
    let decoded: Vec<f64> = (0..2).map(|i| model.target.decode(i, found[i])).collect();
    for (i, mean) in [100.0, 200.0].into_iter().enumerate() {
        assert!((decoded[i] - (mean + 10.0 * raw[i])).abs() < 1e-3);
    }
    assert!(model.target.is_array());
    assert!(matches!(
        sequence().model().target,
        Target::Regression { array: false, .. }
    ));
}

#[test]
fn what_is_exported_is_the_state_dict_again() {
    for (name, weights, call) in [
        ("image", IMAGE, image()),
        ("sequence", SEQUENCE, sequence()),
        ("attention", ATTENTION, attention()),
    ] {
        let exported = call.model().to_bytes().unwrap();
        // By the reader that Python's is made of.
        let (ours, theirs) = (
            SafeTensors::deserialize(&exported).unwrap(),
            SafeTensors::deserialize(weights).unwrap(),
        );
        let names = |file: &SafeTensors<'_>| {
            let mut names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
            names.retain(|name| !name.ends_with("num_batches_tracked"));
            names.sort();
            names
        };
        assert_eq!(names(&ours), names(&theirs), "{name}");
        for tensor in names(&ours) {
            let (a, b) = (
                ours.tensor(&tensor).unwrap(),
                theirs.tensor(&tensor).unwrap(),
            );
            assert_eq!(
                (a.dtype(), a.shape()),
                (b.dtype(), b.shape()),
                "{name}: {tensor}"
            );
            assert_eq!(a.data(), b.data(), "{name}: {tensor}");
        }
        // And is taken as one.
        let mut again = call;
        let model = again.model();
        again.weights = exported;
        assert_eq!(again.model(), model, "{name}");
    }
}

#[test]
fn every_tensor_that_does_not_fit_is_named() {
    let fault = mlp().options(json!({})).fault();
    for part in [
        "missing: \"hidden.weight\" [5, 3]",
        "\"out.bias\" [2]",
        "surplus: \"0.",
        "\"rename\": {\"0\": \"hidden\", \"2\": \"out\"}",
    ] {
        assert!(fault.contains(part), "{part}: {fault}");
    }
    let mut wider = image();
    wider.architecture["layers"][1]["filters"] = json!(5);
    let fault = wider.fault();
    for part in [
        "\"conv1.weight\" is [3, 1, 3, 3] and not [5, 1, 3, 3]",
        "\"bn1.running_mean\" is [3] and not [5]",
        "\"fc1.weight\" is [4, 12] and not [4, 20]",
    ] {
        assert!(fault.contains(part), "{part}: {fault}");
    }
    let mut fewer = image();
    fewer.architecture["layers"]
        .as_array_mut()
        .unwrap()
        .remove(2);
    let fault = fewer.fault();
    assert!(
        fault.contains("surplus:") && fault.contains("\"bn1.running_var\" [3]"),
        "{fault}"
    );
    fewer.options = json!({"rename": {"bn1": null}});
    fewer.model();
    // However many there are, the message stays short.
    let many: Vec<TensorSource<'_>> = (0..500)
        .map(|i| TensorSource {
            name: format!("layer{i}.weight").into(),
            shape: vec![1],
            values: &[0.0],
        })
        .collect();
    let mut call = mlp().options(json!({}));
    call.weights = TensorFile::write("format", "pt".into(), &many).unwrap();
    let fault = call.fault();
    assert!(
        fault.contains("and 492 more") && fault.len() < 2000,
        "{fault}"
    );
}

#[test]
fn tensors_of_other_types_or_without_finite_values_are_refused() {
    let values = [f32::NAN; 15];
    let of = |shape: Vec<usize>, count: usize, name: &'static str| TensorSource {
        name: name.into(),
        shape,
        values: &values[..count],
    };
    let tensors = [
        of(vec![5, 3], 15, "hidden.weight"),
        of(vec![5], 5, "hidden.bias"),
        of(vec![2, 5], 10, "out.weight"),
        of(vec![2], 2, "out.bias"),
    ];
    let mut call = mlp().options(json!({}));
    call.weights = TensorFile::write("format", "pt".into(), &tensors).unwrap();
    assert!(call.fault().contains("not finite"));
    // The same bytes as whole numbers.
    let text = String::from_utf8_lossy(&call.weights).replace("\"F32\"", "\"I32\"");
    let header = text.find('}').expect("a header");
    assert!(header > 0);
    let mut bytes = call.weights.clone();
    while let Some(at) = bytes.windows(5).position(|window| window == b"\"F32\"") {
        bytes[at..at + 5].copy_from_slice(b"\"I32\"");
    }
    call.weights = bytes;
    assert!(call.fault().contains("is of type I32"));
}

#[test]
fn bad_arguments_are_told() {
    let with = |change: &dyn Fn(&mut Call)| {
        let mut call = table();
        change(&mut call);
        call.fault()
    };
    let feature = |feature: Value| with(&move |call: &mut Call| call.features[0] = feature.clone());
    for (fault, part) in [
        (with(&|c| c.task = "ranking"), "task \"ranking\""),
        (
            with(&|c| c.features = json!({"age": "numeric"})),
            "not a JSON array",
        ),
        (with(&|c| c.features = json!([])), "lists 0 columns"),
        (
            with(&|c| c.features[1] = json!({"name": "age", "type": "numeric"})),
            "\"age\" twice",
        ),
        (feature(json!("age")), "feature 1 is no JSON object"),
        (feature(json!({"name": "age"})), "needs a \"type\""),
        (
            feature(json!({"name": "age", "type": "numerical"})),
            "numeric",
        ),
        (
            feature(json!({"name": "age", "type": "numeric", "men": 3})),
            "mean",
        ),
        (
            feature(json!({"name": "age", "type": "numeric", "std": 0})),
            "above 0",
        ),
        (
            feature(json!({"name": "age", "type": "numeric", "mean": "x"})),
            "\"mean\"",
        ),
        (
            feature(json!({"name": "age", "type": "numeric", "sql_type": "txet"})),
            "text",
        ),
        (
            feature(json!({"name": "age", "type": "numeric", "sql_type": "text"})),
            "not a number",
        ),
        (
            feature(json!({"name": "age", "type": "categorical"})),
            "\"levels\"",
        ),
        (with(&|c| c.classes = None), "0 classes are given"),
        (table().classes(&["a"]).fault(), "1 classes are given"),
        (table().classes(&["a", "a"]).fault(), "given twice"),
        (table().classes(&["a", "b", "c"]).fault(), "fc2"),
        (table().options(json!([])).fault(), "JSON object"),
        (table().options(json!({"renam": {}})).fault(), "\"rename\""),
        (
            table().options(json!({"rename": {"fc1": 3}})).fault(),
            "names to names",
        ),
        (
            table().options(json!({"rename": {"fc9": "fc1"}})).fault(),
            "no tensor begins with",
        ),
        (
            table().options(json!({"positive_class": "maybe"})).fault(),
            "no class",
        ),
        (
            table().options(json!({"threshold": 2})).fault(),
            "threshold",
        ),
        (table().options(json!({"deploy": "no"})).fault(), "deploy"),
        (table().options(json!({"outputs": 2})).fault(), "regression"),
        (sequence().classes(&["a", "b"]).fault(), "classification"),
        (
            sequence().options(json!({"threshold": 0.5})).fault(),
            "classification",
        ),
        (
            mlp().options(json!({"target_mean": [1, 2, 3]})).fault(),
            "3 numbers for 2 outputs",
        ),
        (
            image().options(json!({"positive_class": "a"})).fault(),
            "two classes",
        ),
        (
            with(&|c| c.weights = b"PK\x03\x04 a pickle".to_vec()),
            "ZIP archive",
        ),
        (with(&|c| c.weights.clear()), "shorter than 8 bytes"),
        (
            with(&|c| c.architecture = json!({"layers": [{"type": "dens"}]})),
            "dense",
        ),
    ] {
        assert!(fault.contains(part), "{part}: {fault}");
    }
    let named = Source {
        weights: TABLE,
        architecture: "lenet6",
        task: "regression",
        features: &numbers(2),
        classes: None,
        options: &json!({}),
        memory: 1 << 20,
        stop: &Never,
    };
    assert!(
        import(&named)
            .unwrap_err()
            .to_string()
            .contains("does not exist")
    );
    let large = json!([{"type": "dense", "units": 1_000_000}, {"type": "output"}]);
    let call = Call::new(MLP, large, "regression", numbers(500));
    assert!(call.fault().contains("memory"), "{}", call.fault());
    let kept = table().options(json!({"deploy": false})).import().unwrap();
    assert!(!kept.deploy);
}

#[test]
fn damaged_bytes_give_an_error_or_a_model_and_nothing_else() {
    let mut random = Random::new(3, 0);
    let calls = [image(), sequence(), attention(), table(), mlp()];
    let mut taken = 0;
    for round in 0..5000 {
        let mut call = calls[round % calls.len()].clone();
        let length = call.weights.len();
        let at = |random: &mut Random| random.below(length as u64) as usize;
        match random.below(5) {
            0 => call.weights.truncate(at(&mut random)),
            1 => {
                let (from, to) = (at(&mut random), at(&mut random));
                call.weights[from] = call.weights[to];
            }
            2 => {
                for _ in 0..random.below(20) {
                    let at = at(&mut random);
                    call.weights[at] = random.below(256) as u8;
                }
            }
            3 => {
                // Digits of the header: shapes, offsets, its length.
                let header = 8 + call.weights[0] as usize + 256 * call.weights[1] as usize;
                for _ in 0..1 + random.below(4) {
                    let at = random.below(header.min(length) as u64) as usize;
                    if call.weights[at].is_ascii_digit() || at < 8 {
                        call.weights[at] = b"0123456789"[random.below(10) as usize];
                    }
                }
            }
            _ => {
                let (at, more) = (at(&mut random), random.below(64) as usize);
                let piece: Vec<u8> = (0..more).map(|_| random.below(256) as u8).collect();
                call.weights.splice(at..at, piece);
            }
        }
        match call.import() {
            Ok(imported) => {
                taken += 1;
                imported
                    .model
                    .to_bytes()
                    .expect("a model that can be stored");
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(error.hint().is_some(), "no hint: {error}");
                assert!(error.to_string().len() < 4000);
            }
        }
    }
    // Bytes of the weights themselves may be any.
    assert!((100..4000).contains(&taken), "{taken}");
}
