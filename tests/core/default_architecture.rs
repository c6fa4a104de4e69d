//! The networks of trainings that name none.

use pg_neural::nn::{Head, InputFeature, InputForm, Network};
use pg_neural::training::{Reading, default_architecture};

#[test]
fn every_mixture_of_columns_images_and_sequences_has_a_network() {
    let image = InputForm::Image {
        channels: 1,
        height: 8,
        width: 8,
    };
    let sequence = InputForm::Sequence {
        steps: 6,
        features: 2,
        vocabulary: None,
    };
    let all = [
        ("income", Reading::Column, InputForm::Numbers(2)),
        ("the \"photo\"", Reading::Image, image),
        ("logo", Reading::Image, image),
        ("balances", Reading::Sequence, sequence),
        ("age", Reading::Column, InputForm::Numbers(1)),
    ];
    for chosen in 1_u32..1 << all.len() {
        let chosen: Vec<_> = (all.iter().enumerate())
            .filter(|(place, _)| chosen & (1 << place) != 0)
            .map(|(_, feature)| *feature)
            .collect();
        let readings: Vec<_> = chosen.iter().map(|&(name, r, _)| (name, r)).collect();
        let architecture = default_architecture(&readings).expect("an architecture");
        let features: Vec<InputFeature> = (chosen.iter())
            .map(|&(name, _, form)| InputFeature {
                name: name.to_owned(),
                form,
            })
            .collect();
        let network = Network::build(&architecture, &features, Head::Binary, None)
            .unwrap_or_else(|error| panic!("{readings:?}: {error}"));
        assert_eq!(network.output_units(), 1);
    }
}
