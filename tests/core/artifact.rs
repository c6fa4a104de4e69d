//! Models as bytes: nothing is lost, and nothing in damaged bytes does harm.

use pg_neural::artifact::{Error, InPassing, Model, TensorFile, TensorSource};
use pg_neural::features::{
    Feature, FeatureSet, Ignored, Index, Numeric, OneHot, Origin, OutputScale, Profile, Scale,
    Target,
};
use pg_neural::nn::{
    Architecture, Head, Initializer, InputFeature, Network, Never, OptimizerSpec, OptimizerState,
    Random,
};
use serde_json::json;

fn features() -> FeatureSet {
    let feature = |name: &str, origin, treatment, profile| Feature {
        name: name.into(),
        sql_type: "text".into(),
        origin,
        treatment,
        profile,
    };
    let numeric = Numeric {
        scale: Scale::Standard,
        center: 0.1 + 0.2,
        divisor: 1.0 / 3.0,
        missing: 0.3,
        low: -1e-300,
        high: 1e300,
        indicator: true,
        clip: Some(4.0),
    }
    .into();
    let deciles = Profile::Deciles {
        deciles: (0..11).map(|i| f64::from(i) / 7.0).collect(),
        missing: 3,
        rows: 100,
    };
    let levels = || vec!["kitchen \"set\"".into(), "auto, new".into(), "ä".into()];
    FeatureSet::new(vec![
        feature("amount", Origin::Float, numeric, deciles),
        feature(
            "purpose",
            Origin::Text,
            OneHot {
                levels: levels(),
                exact: false,
            }
            .into(),
            Profile::None,
        ),
        feature(
            "branch",
            Origin::Text,
            Index {
                levels: levels(),
                units: Some(2),
                exact: false,
            }
            .into(),
            Profile::Levels(vec![1, 2, 3, 4, 5]),
        ),
        feature(
            "id",
            Origin::Uuid,
            Ignored {
                reason: "unique".into(),
            }
            .into(),
            Profile::None,
        ),
    ])
    .unwrap()
}

pub fn model(classes: usize, keep_optimizer: bool) -> Model {
    let features = features();
    let inputs = [
        InputFeature::column("amount", 2, None),
        InputFeature::column("purpose", 5, None),
        InputFeature::column("branch", 1, Some(5)),
    ];
    let (target, head) = match classes {
        0 => {
            let outputs = vec![OutputScale {
                center: 1e9 / 3.0,
                divisor: 0.7,
            }];
            let target = Target::Regression {
                column: "y".into(),
                sql_type: "double precision".into(),
                origin: Origin::Float,
                scale: Scale::Standard,
                array: false,
                quantiles: Vec::new(),
                family: None,
                outputs,
            };
            (target, Head::Regression { outputs: 1 })
        }
        _ => {
            let target = Target::Classes {
                column: "y".into(),
                sql_type: "text".into(),
                origin: Origin::Text,
                classes: (0..classes).map(|c| format!("class {c}")).collect(),
                positive: (classes == 2).then_some(1),
                threshold: 0.5,
                counts: vec![10; classes],
                outputs_as_classes: false,
                ordered: false,
            };
            let multi = Head::Multiclass { classes };
            (target, if classes == 2 { Head::Binary } else { multi })
        }
    };
    let text = r#"{"layers": [{"type": "dense", "units": 3, "activation": "relu"}]}"#;
    let architecture = Architecture::parse(text)
        .unwrap()
        .with_embeddings(&[("branch".to_owned(), 2)])
        .unwrap();
    let network = Network::build(&architecture, &inputs, head, None).unwrap();
    let parameters = network.initialise(7, Initializer::default());
    let optimizer = OptimizerSpec::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
    };
    let optimizer_state = keep_optimizer.then(|| {
        let mut state = OptimizerState::new(optimizer, parameters.len());
        state.step = u64::MAX;
        state.buffers[1].fill(0.25);
        state
    });
    Model {
        architecture: network.architecture().clone(),
        features,
        target,
        parameters,
        training: json!({"seed": 42, "options": {"epochs": 3}, "train_loss": 0.1 + 0.2}),
        scores: match classes {
            0 => Profile::None,
            2 => Profile::Deciles {
                deciles: vec![0.5; 11],
                missing: 0,
                rows: 10,
            },
            _ => Profile::Levels(vec![1; classes]),
        },
        optimizer_state,
        quantization: None,
    }
}

#[test]
fn a_model_read_back_is_the_same() {
    for classes in [0, 2, 4] {
        for keep_optimizer in [false, true] {
            let model = model(classes, keep_optimizer);
            let bytes = model.to_bytes().unwrap();
            let read = Model::from_bytes(&bytes).unwrap();
            assert_eq!(read, model);
            assert_eq!(read.to_bytes().unwrap(), bytes);
            assert_eq!(read.network().unwrap().architecture(), &model.architecture);
        }
    }
}

#[test]
fn the_file_is_one_that_the_safetensors_crate_reads() {
    let model = model(2, true);
    let bytes = model.to_bytes().unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let network = model.network().unwrap();
    for parameter in network.parameters() {
        let tensor = file.tensor(&parameter.name).unwrap();
        assert_eq!(tensor.shape(), parameter.shape);
        let want: Vec<u8> = model.parameters[parameter.range.clone()]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(tensor.data(), want);
    }
    assert_eq!(file.len(), network.parameters().len() + 2);
    assert!(file.tensor("pg_neural.optimizer.exp_avg").is_ok());
}

/// Bytes with another header text.
fn with_header(bytes: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = change(String::from_utf8(bytes[8..8 + length].to_vec()).unwrap());
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend(header.as_bytes());
    changed.extend(&bytes[8 + length..]);
    changed
}

fn refused(bytes: &[u8]) -> String {
    let error = Model::from_bytes(bytes).unwrap_err();
    assert!(error.hint().is_some());
    error.to_string()
}

#[test]
fn each_fault_is_named() {
    let bytes = model(2, false).to_bytes().unwrap();
    let swap = |from: &'static str, to: &'static str| {
        let changed = with_header(&bytes, |header| {
            assert!(header.contains(from), "{from} in {header}");
            header.replacen(from, to, 1)
        });
        refused(&changed)
    };
    for (from, to, message) in [
        (
            "\\\"format\\\":1,",
            "\\\"format\\\":3,",
            "the model has format 3",
        ),
        ("\\\"format\\\":1,", "\\\"format\\\":0,", "never existed"),
        ("\"pg_neural\":", "\"other\":", "no description"),
        (
            "\"dense1.bias\"",
            "\"dense9.bias\"",
            "tensor \"dense1.bias\" is damaged: it is missing",
        ),
        (
            "\"F32\",\"shape\":[3]",
            "\"U32\",\"shape\":[3]",
            "type is U32",
        ),
        (
            "\"F32\",\"shape\":[3]",
            "\"F32\",\"shape\":[3,1]",
            "shape is [3, 1] and not [3]",
        ),
        (
            "\"F32\",\"shape\":[3]",
            "\"F32\",\"shape\":[4]",
            "size does not follow",
        ),
        (
            "\"shape\":[3]",
            "\"shape\":[1,1,1,1,1,1,1,1,3]",
            "too many dimensions",
        ),
        ("\"dense1.bias\"", "\"dense1.weight\"", "comes twice"),
        (
            "\\\"divisor\\\":",
            "\\\"divisor\\\":-",
            "the features is damaged",
        ),
        (
            "\\\"threshold\\\":0",
            "\\\"threshold\\\":7",
            "the target is damaged",
        ),
        (
            "\\\"units\\\":3",
            "\\\"units\\\":999999",
            "the architecture is damaged",
        ),
        ("\\\"units\\\":3", "\\\"units\\\":4", "shape is"),
        (
            "\\\"training\\\":{",
            "\\\"strange\\\":1,\\\"training\\\":{",
            "unknown field",
        ),
    ] {
        let found = swap(from, to);
        assert!(found.contains(message), "{from} -> {to}: {found}");
    }

    let mut infinite = bytes.clone();
    let end = infinite.len();
    infinite[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(refused(&infinite).contains("not finite"));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(refused(&longer).contains("belong to no tensor"));
    assert!(refused(b"").contains("shorter than 8 bytes"));
    assert!(refused(&[0xff; 64]).contains("header would be"));

    let one = [1.0];
    let tensor = |name: &'static str| TensorSource {
        name: name.into(),
        shape: vec![1],
        values: &one,
    };
    assert!(TensorFile::write("k", "v".into(), &[tensor("a"), tensor("a")]).is_err());
    assert!(TensorFile::write("k", "v".into(), &[tensor("__metadata__")]).is_err());
    let surplus = TensorFile::write("pg_neural", "{\"format\":3}".into(), &[tensor("a")]).unwrap();
    assert_eq!(
        Model::from_bytes(&surplus),
        Err(Error::Newer {
            format: 3,
            known: 2
        })
    );
}

#[test]
fn a_surplus_tensor_is_refused() {
    let bytes = model(2, false).to_bytes().unwrap();
    let with_empty = with_header(&bytes, |header| {
        let at = header.find("\"dense1.bias\"").unwrap();
        let entry = "\"extra\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},";
        format!("{}{entry}{}", &header[..at], &header[at..])
    });
    assert!(refused(&with_empty).contains("tensor \"extra\""));
}

#[test]
fn offsets_that_overflow_are_refused() {
    let huge = usize::MAX / 4;
    let header = format!(
        "{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{huge}],\"data_offsets\":[0,{}]}},\
          \"b\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{},3]}}}}",
        huge * 4,
        huge * 4
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    assert!(refused(&bytes).contains("tensor \"a\" is damaged: it is cut off"));
}

#[test]
fn deep_and_wide_json_is_refused() {
    let deep = format!("{{\"format\":1,\"training\":{}", "[".repeat(1_000_000));
    let bytes = TensorFile::write("pg_neural", deep, &[]).unwrap();
    assert!(refused(&bytes).contains("the model's description is damaged"));
    let wide = format!(
        "{{\"format\":1,\"training\":[0{}]}}",
        ",0".repeat(4_000_000)
    );
    let bytes = TensorFile::write("pg_neural", wide, &[]).unwrap();
    assert!(refused(&bytes).contains("more than 4000000 values"));
}

#[test]
fn a_model_that_could_not_be_read_is_not_written() {
    let mut short = model(2, false);
    short.parameters.pop();
    assert!(short.to_bytes().is_err());
    let mut infinite = model(2, false);
    infinite.parameters[3] = f32::NAN;
    assert!(infinite.to_bytes().is_err());
    let mut state = model(2, true);
    state.optimizer_state.as_mut().unwrap().buffers[0].pop();
    assert!(state.to_bytes().is_err());
}

/// Whatever these bytes are, they give an error or a model that can be written again.
fn survives(bytes: &[u8]) {
    let sound = Model::from_bytes(bytes).is_ok();
    assert_eq!(sound_in_passing(bytes, 1000), sound);
    if let Ok(model) = Model::from_bytes(bytes) {
        model.network().unwrap();
        model.to_bytes().unwrap();
    }
}

/// Whether bytes are a model that are seen once, in pieces of so many.
fn sound_in_passing(bytes: &[u8], piece: usize) -> bool {
    let mut passing = InPassing::default();
    for piece in bytes.chunks(piece) {
        passing.take(piece).unwrap();
    }
    passing.finish(&Never).is_ok()
}

#[test]
fn bytes_are_checked_as_they_pass_by() {
    for keep_optimizer in [false, true] {
        let bytes = model(4, keep_optimizer).to_bytes().unwrap();
        for piece in [1, 3, 7, 64, 1001, bytes.len()] {
            assert!(sound_in_passing(&bytes, piece), "{piece}");
            assert!(
                !sound_in_passing(&bytes[..bytes.len() - 4], piece),
                "{piece}"
            );
        }
        // The last value, not a number, over the border of two pieces as well.
        let mut broken = bytes.clone();
        let end = broken.len();
        broken[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        for piece in [1, 3, end - 2, end] {
            assert!(!sound_in_passing(&broken, piece), "{piece}");
        }
    }
    assert!(!sound_in_passing(&[0xff; 100], 10));
    assert!(!sound_in_passing(b"1234", 10));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = model(2, true).to_bytes().unwrap();
    for length in 0..bytes.len() {
        assert!(
            Model::from_bytes(&bytes[..length]).is_err() && !sound_in_passing(&bytes[..length], 99),
            "cut at {length}"
        );
    }
}

#[test]
fn no_changed_byte_of_the_header_does_harm() {
    let mut bytes = model(4, true).to_bytes().unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for place in 0..8 + length {
        let right = bytes[place];
        for flip in [0x01, 0x02, 0x10, 0x80, 0xff] {
            bytes[place] = right ^ flip;
            survives(&bytes);
        }
        for byte in *b"09-\"{}[],:e" {
            bytes[place] = byte;
            survives(&bytes);
        }
        bytes[place] = right;
    }
}

#[test]
fn no_random_damage_does_harm() {
    let sound = [
        model(0, true).to_bytes().unwrap(),
        model(2, false).to_bytes().unwrap(),
    ];
    let mut random = Random::new(11, 0);
    for round in 0..20_000 {
        let mut bytes = sound[round % 2].clone();
        for _ in 0..=random.below(6) {
            let place = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes[place] = random.next_u32() as u8,
                1 => drop(bytes.remove(place)),
                2 => bytes.insert(place, random.next_u32() as u8),
                _ => {
                    // A piece of the file in another place.
                    let from = random.below(bytes.len() as u64) as usize;
                    let piece = bytes[from..bytes.len().min(from + 40)].to_vec();
                    let end = bytes.len().min(place + piece.len());
                    bytes.splice(place..end, piece);
                }
            }
        }
        survives(&bytes);
    }
}
