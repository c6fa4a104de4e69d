//! The periodic layer against `rtdl_num_embeddings` and a copy of it with phases on PyTorch
//! (`fixtures/make_periodic_fixtures.py` made the numbers).

use pg_neural::nn::{Architecture, Head, Initializer, InputFeature, Network, Shape};
use safetensors::SafeTensors;

use crate::layer_case::LayerCase;

const FIXTURES: &[u8] = include_bytes!("fixtures/periodic.safetensors");

fn check(name: &str, layer: &str, width: usize) {
    let file = SafeTensors::deserialize(FIXTURES).unwrap();
    LayerCase::new(&file, name, layer, Shape::Vector(width), 7).check();
}

#[test]
fn waves_and_their_gradients_agree_with_pytorch() {
    check("pbld", r#""type": "periodic""#, 5);
    let layer = r#""type": "periodic", "frequencies": 10, "units": 7, "frequency_scale": 1"#;
    check("rtdl", layer, 3);
}

#[test]
fn its_settings_are_checked_and_kept() {
    let layers = |layer: &str| Architecture::parse(&format!(r#"{{"layers": [{layer}]}}"#));
    let written = layers(r#"{"type": "PeriodicEmbeddings"}"#)
        .unwrap()
        .to_json();
    let expected = r#"{"type":"periodic","frequencies":16,"frequency_scale":0.1,"units":4}"#;
    assert_eq!(written["layers"][0].to_string(), expected);
    let refused = [
        (r#"{"type": "periodic", "units": 1}"#, "from 2 to"),
        (r#"{"type": "periodic", "frequency_scale": 0}"#, "above 0"),
        (r#"{"type": "periodic", "bins": 3}"#, "bins"),
    ];
    for (layer, what) in refused {
        let error = layers(layer).expect_err(layer).to_string();
        assert!(error.contains(what), "{layer}: {error}");
    }
}

#[test]
fn waves_begin_spread_out() {
    let text = r#"{"layers": [{"type": "periodic", "name": "waves"}, {"type": "output"}]}"#;
    let architecture = Architecture::parse(text).unwrap();
    let features = [InputFeature::column("x", 200, None)];
    let network = Network::build(&architecture, &features, Head::Binary, None).unwrap();
    let values = network.initialise(1, Initializer::GlorotUniform);
    for name in ["waves.frequency", "waves.phase"] {
        let mut parameters = network.parameters().iter();
        let own = parameters.find(|parameter| parameter.name == name).unwrap();
        let own = &values[own.range.clone()];
        let mean = own.iter().sum::<f32>() / own.len() as f32;
        let variance = own.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / own.len() as f32;
        assert!(
            mean.abs() < 0.06 && (variance - 1.0).abs() < 0.08,
            "{name}: {mean} {variance}"
        );
    }
}
