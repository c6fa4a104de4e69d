//! PReLU, RMSNorm, and the activations that have a setting or several definitions, against PyTorch's
//! (`fixtures/make_elementwise_fixtures.py` made the numbers).

use pg_neural::nn::{Activation, Architecture, Error, Shape};
use safetensors::SafeTensors;

use crate::layer_case::LayerCase;

const ELEMENTWISE: &[u8] = include_bytes!("fixtures/elementwise.safetensors");
const SEQUENCE: Shape = Shape::Sequence {
    steps: 5,
    features: 6,
};
const IMAGE: Shape = Shape::Image {
    channels: 3,
    height: 4,
    width: 5,
};

fn check(name: &str, layer: &str, shape: Shape, rows: usize) {
    let file = SafeTensors::deserialize(ELEMENTWISE).unwrap();
    LayerCase::new(&file, name, layer, shape, rows).check();
}

#[test]
fn activations_with_a_setting_agree_with_pytorch() {
    let wide = Shape::Vector(40);
    for layer in [
        r#""type": "LeakyReLU", "negative_slope": 0.3"#,
        r#""type": "leaky_relu", "alpha": 0.3"#,
        r#""type": "activation", "activation": "leaky_relu", "negative_slope": 0.3"#,
    ] {
        check("leaky_relu", layer, wide, 6);
    }
    check("leaky_relu_default", r#""type": "leaky_relu""#, wide, 6);
    for layer in [
        r#""type": "GELU", "approximate": "tanh""#,
        r#""type": "gelu_tanh""#,
        r#""type": "activation", "activation": "gelu_pytorch_tanh""#,
    ] {
        check("gelu_tanh", layer, wide, 6);
    }
    check("hard_sigmoid", r#""type": "Hardsigmoid""#, wide, 6);
}

#[test]
fn prelu_agrees_with_pytorch() {
    check("prelu_vector", r#""type": "PReLU""#, Shape::Vector(40), 6);
    let layer = r#""type": "prelu", "num_parameters": 9"#;
    check("prelu_vector_each", layer, Shape::Vector(9), 6);
    let layer = r#""type": "prelu", "num_parameters": 6"#;
    check("prelu_sequence", layer, SEQUENCE, 4);
    let layer = r#""type": "prelu", "num_parameters": 3"#;
    check("prelu_image", layer, IMAGE, 4);
    check("prelu_image_one", r#""type": "prelu""#, IMAGE, 4);
}

#[test]
fn rms_norm_agrees_with_pytorch() {
    check(
        "rms_norm_vector",
        r#""type": "RMSNorm""#,
        Shape::Vector(7),
        5,
    );
    let layer = r#""type": "rms_norm", "eps": 0.001"#;
    check("rms_norm_wide", layer, Shape::Vector(1037), 2);
    // Keras's name brings Keras's epsilon.
    let layer = r#""type": "RMSNormalization", "scale": false"#;
    check("rms_norm_plain", layer, Shape::Vector(16), 4);
    check("rms_norm_sequence", r#""type": "rms_norm""#, SEQUENCE, 4);
    check("rms_norm_image", r#""type": "rms_norm""#, IMAGE, 4);
}

fn layers(text: &str) -> Result<Architecture, Error> {
    Architecture::parse(&format!(r#"{{"layers": [{text}]}}"#))
}

/// The first layer as it is stored.
fn stored(text: &str) -> String {
    let architecture = layers(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let json = architecture.to_json();
    assert_eq!(Architecture::from_json(&json).unwrap(), architecture);
    json["layers"][0].to_string()
}

#[test]
fn a_slope_is_kept_wherever_an_activation_is() {
    for layer in [
        r#"{"type":"dense","units":3"#,
        r#"{"type":"conv1d","filters":3,"kernel_size":2"#,
        r#"{"type":"conv2d","filters":3,"kernel_size":2"#,
        r#"{"type":"lstm","units":3"#,
        r#"{"type":"activation""#,
    ] {
        let given = format!(r#"{layer},"activation":"leaky_relu","negative_slope":0.2}}"#);
        assert!(
            stored(&given).contains(r#""negative_slope":0.2"#),
            "{given}"
        );
        // As versions are stored that have PyTorch's.
        let given = format!(r#"{layer},"activation":"leaky_relu"}}"#);
        assert!(!stored(&given).contains("slope"), "{given}");
        let given = format!(r#"{layer},"activation":"relu","negative_slope":0.2}}"#);
        let error = layers(&given).unwrap_err();
        assert!(
            error.to_string().contains("goes with the activation"),
            "{error}"
        );
    }
    let error = layers(r#"{"type": "leaky_relu", "negative_slope": -1}"#).unwrap_err();
    assert!(error.to_string().contains("from 0 on"), "{error}");
    assert_eq!(
        Activation::parse("leaky_relu"),
        Ok(Activation::LeakyRelu(0.01))
    );
}

#[test]
fn kerass_names_bring_kerass_defaults_or_are_asked_about() {
    for (layer, wanted) in [
        (r#"{"type":"LayerNormalization"}"#, r#""epsilon":0.001"#),
        (r#"{"type":"GroupNormalization"}"#, r#""epsilon":0.001"#),
        (r#"{"type":"RMSNormalization"}"#, r#""epsilon":1e-6"#),
        (r#"{"type":"BatchNormalization"}"#, r#""epsilon":0.001"#),
        (r#"{"type":"BatchNormalization"}"#, r#""momentum":0.01"#),
        (
            r#"{"type":"BatchNormalization","momentum":0.8}"#,
            r#""momentum":0.2"#,
        ),
        (
            r#"{"type":"BatchNormalization","epsilon":0.5}"#,
            r#""epsilon":0.5"#,
        ),
        (r#"{"type":"BatchNorm1d"}"#, r#""type":"batch_norm"}"#),
        (r#"{"type":"LayerNorm"}"#, r#""type":"layer_norm"}"#),
        (r#"{"type":"rms_norm"}"#, r#""type":"rms_norm"}"#),
    ] {
        let found = stored(layer);
        assert!(found.contains(wanted), "{layer}: {found}");
    }
    for layer in [
        r#"{"type": "LeakyReLU"}"#,
        r#"{"type": "Dense", "units": 2, "activation": "leaky_relu"}"#,
        r#"{"type": "Conv2D", "filters": 2, "kernel_size": 3, "activation": "leaky_relu"}"#,
        r#"{"type": "Activation", "activation": "leaky_relu"}"#,
    ] {
        let error = layers(layer).unwrap_err();
        assert!(error.to_string().contains("in Keras"), "{layer}: {error}");
        assert!(error.hint().unwrap().contains("\"negative_slope\": 0.01"));
    }
}

#[test]
fn pytorchs_names_of_settings_are_taken() {
    for (theirs, ours) in [
        (
            r#"{"type": "Linear", "out_features": 3, "bias": false}"#,
            r#"{"type": "dense", "units": 3, "use_bias": false}"#,
        ),
        (
            r#"{"type": "Dropout", "p": 0.5}"#,
            r#"{"type": "dropout", "rate": 0.5}"#,
        ),
        (
            r#"{"type": "Conv2d", "out_channels": 3, "kernel_size": 3, "stride": 2}"#,
            r#"{"type": "conv2d", "filters": 3, "kernel_size": 3, "strides": 2}"#,
        ),
        (
            r#"{"type": "MaxPool2d", "kernel_size": 3, "stride": 2}"#,
            r#"{"type": "max_pool2d", "pool_size": 3, "strides": 2}"#,
        ),
        (
            r#"{"type": "LSTM", "hidden_size": 4, "bias": false}"#,
            r#"{"type": "lstm", "units": 4, "use_bias": false}"#,
        ),
        (
            r#"{"type": "LayerNorm", "eps": 0.5, "bias": false}"#,
            r#"{"type": "layer_norm", "epsilon": 0.5, "center": false}"#,
        ),
        (
            r#"{"type": "Embedding", "num_embeddings": 4, "embedding_dim": 2}"#,
            r#"{"type": "embedding", "vocabulary": 4, "units": 2}"#,
        ),
    ] {
        assert_eq!(layers(theirs).unwrap(), layers(ours).unwrap());
    }
    for (layer, part) in [
        (
            r#"{"type": "Linear", "in_features": 2, "out_features": 3}"#,
            "follows from what the layer reads",
        ),
        (
            r#"{"type": "dense", "units": 2, "out_features": 3}"#,
            "given twice",
        ),
        (
            r#"{"type": "relu", "negative_slope": 0.1}"#,
            "unknown setting \"negative_slope\"",
        ),
        (
            r#"{"type": "dense", "units": 2, "unit": 3}"#,
            "unknown setting \"unit\"",
        ),
    ] {
        let error = layers(layer).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
