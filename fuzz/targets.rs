//! What reads bytes of any origin, each with what is done with what it read: none may panic, run out
//! of bounds or take memory that it was not allowed. Shared by the fuzzer's targets and the test
//! that replays their corpus, tests/core/hostile_bytes.rs.

#![allow(dead_code, reason = "each target of the fuzzer uses one")]

use pg_neural::artifact::{Model, Prepared, TensorFile};
use pg_neural::features::{Arrays, Column, FeatureSet, Intake, Origin, parse_requests};
use pg_neural::nn::{Architecture, Head, InputFeature, Network};
use pg_neural::weights::{Source, import};
use serde_json::{Value, json};

/// Memory that a network, an image or a scratch may take.
const MEMORY: usize = 4 << 20;

/// `neural.import_model`, and the first call of what it stored.
pub fn model(bytes: &[u8]) {
    let Ok(model) = Model::from_bytes(bytes) else {
        return;
    };
    let written = model.to_bytes().expect("what was read can be written");
    let again = Model::from_bytes(&written).expect("what was written can be read");
    assert_eq!(again.to_bytes().expect("written again"), written);
    answers(model);
}

/// The tensors of a file.
pub fn container(bytes: &[u8]) {
    let Ok(file) = TensorFile::read(bytes) else {
        return;
    };
    for tensor in &file.tensors {
        let elements: usize = tensor.shape.iter().product();
        if let Some(values) = tensor.f32s() {
            assert_eq!(values.len(), elements);
        }
    }
}

/// `neural.import_weights`: the arguments as a line of JSON, then the file.
pub fn weights(bytes: &[u8]) {
    let line = bytes.iter().position(|&byte| byte == b'\n');
    let (arguments, file) = bytes.split_at(line.unwrap_or(bytes.len()));
    let Ok(arguments) = serde_json::from_slice::<Value>(arguments) else {
        return;
    };
    let classes: Option<Vec<String>> =
        serde_json::from_value(arguments["classes"].clone()).unwrap_or_default();
    let options = match &arguments["options"] {
        Value::Null => json!({}),
        options => options.clone(),
    };
    let imported = import(&Source {
        weights: file.get(1..).unwrap_or_default(),
        architecture: &arguments["architecture"].to_string(),
        task: arguments["task"].as_str().unwrap_or("regression"),
        features: &arguments["features"],
        classes: classes.as_deref(),
        options: &options,
        memory: MEMORY,
        stop: &pg_neural::nn::Never,
    });
    if let Ok(imported) = imported {
        let bytes = imported
            .model
            .to_bytes()
            .expect("what was imported is sound");
        Model::from_bytes(&bytes).expect("what was written can be read");
        answers(imported.model);
    }
}

/// The `architecture` argument.
pub fn architecture(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(architecture) = Architecture::parse(text) else {
        return;
    };
    let again = Architecture::from_json(&architecture.to_json()).expect("as it was written");
    assert_eq!(again.to_json(), architecture.to_json());
    let inputs: Vec<InputFeature> = ["a", "b"]
        .map(|name| InputFeature::column(name, 1, None))
        .into();
    for head in [Head::Binary, Head::Regression { outputs: 3 }] {
        if let Ok(network) = Network::build(&architecture, &inputs, head, Some(MEMORY)) {
            assert!(network.parameter_count() * 4 <= MEMORY);
        }
    }
}

/// The `features` argument of an import, and features as they are stored.
pub fn features(bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let mut sets = Vec::new();
    sets.extend(FeatureSet::told(&json, &|_, _| None));
    sets.extend(serde_json::from_value::<FeatureSet>(json).ok());
    for set in sets {
        if set.validate().is_ok() && set.width() < MEMORY / 4 {
            encode_missing(&set);
        }
    }
}

/// An encoded image, as it is read for training and calls.
pub fn image(bytes: &[u8]) {
    let column = Column::new("picture", "bytea", Origin::Bytes);
    for settings in [
        json!({"picture": {"type": "image"}}),
        json!({"picture": {"type": "image", "resize": [5, 7], "crop": [4, 4], "channels": 3}}),
    ] {
        let Ok(requests) = parse_requests(Some(&settings), std::slice::from_ref(&column)) else {
            continue;
        };
        let mut intake = Intake::new(&requests[0], &column, MEMORY);
        let mut arrays = Arrays::<f32>::new();
        if intake.bytes(bytes, &mut arrays).is_ok() {
            assert!(arrays.len() <= 1);
        }
    }
}

/// Answers for a row without values, where the network is small enough to be run here.
fn answers(model: Model) {
    let Ok(prepared) = Prepared::new(model) else {
        return;
    };
    let predictor = &prepared.predictor;
    if predictor.input_width() > MEMORY / 64 {
        return;
    }
    let Ok(mut scratch) = predictor.scratch_within(MEMORY) else {
        return;
    };
    let row = encode_missing(&prepared.features);
    let mut outputs = vec![0.0; predictor.output_units()];
    predictor.forward(&row, 1, &mut outputs, &mut scratch);
}

/// A row in which every value is missing; of a sequence, one without steps.
fn encode_missing(features: &FeatureSet) -> Vec<f32> {
    let mut row = vec![0.0; features.width()];
    if features.steps.is_some() {
        return row;
    }
    let encoder = features.encoder();
    for feature in 0..encoder.features() {
        // Each does what concerns it.
        encoder.number(feature, f64::NAN, &mut row);
        encoder.category(feature, None, &mut row);
        let _ = encoder.array::<f32>(feature, &[], &mut row);
    }
    row
}
