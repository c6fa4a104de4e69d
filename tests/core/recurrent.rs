//! Recurrent layers against PyTorch's (`fixtures/make_recurrent_fixtures.py` made the numbers).

use pg_neural::nn::Shape;
use safetensors::SafeTensors;

use crate::layer_case::{LayerCase, tensor};

const RECURRENT: &[u8] = include_bytes!("fixtures/recurrent.safetensors");
const FEATURES: usize = 4;

/// Checks every case whose name begins so; there are that many.
fn check(kind: &str, count: usize) {
    let file = SafeTensors::deserialize(RECURRENT).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(RECURRENT).unwrap();
    let layers = metadata.metadata().as_ref().unwrap();
    let mut checked = 0;
    for (name, layer) in layers {
        let name = name.strip_prefix("layer.").unwrap();
        if name.split('_').next() != Some(kind) {
            continue;
        }
        let rows = tensor(&file, &format!("{name}.lengths")).len();
        let values = tensor(&file, &format!("{name}.x.weight")).len();
        let shape = Shape::Sequence {
            steps: values / FEATURES / rows,
            features: FEATURES,
        };
        LayerCase::new(&file, name, layer, shape, rows).check();
        checked += 1;
    }
    assert_eq!(checked, count, "{kind}");
}

#[test]
fn rnn_agrees_with_pytorch_forward_and_backward() {
    check("rnn", 12);
}

#[test]
fn lstm_agrees_with_pytorch_forward_and_backward() {
    check("lstm", 14);
}

#[test]
fn gru_agrees_with_pytorch_forward_and_backward() {
    check("gru", 12);
}
