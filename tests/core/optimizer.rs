//! Ten steps of every optimizer against PyTorch's
//! (`fixtures/make_optimizer_fixtures.py` made the numbers).

use pg_neural::nn::update::{Update, add_penalties};
use pg_neural::nn::{LossSpec, OptimizerSpec, OptimizerState, ScheduleSpec};
use safetensors::SafeTensors;

const FIXTURES: &[u8] = include_bytes!("fixtures/optimizer.safetensors");

struct Case {
    name: &'static str,
    spec: OptimizerSpec,
    learning_rate: f64,
    weight_decay: f64,
    l2: f64,
}

fn cases() -> Vec<Case> {
    let case = |name, spec, learning_rate| Case {
        name,
        spec,
        learning_rate,
        weight_decay: 0.0,
        l2: 0.0,
    };
    let sgd = |momentum, nesterov| OptimizerSpec::Sgd { momentum, nesterov };
    let rms_prop = |rho, momentum| OptimizerSpec::RmsProp {
        rho,
        momentum,
        epsilon: 1e-8,
    };
    let adam = OptimizerSpec::default();
    vec![
        case("sgd", sgd(0.0, false), 0.1),
        case("sgd_momentum", sgd(0.9, false), 0.05),
        case("sgd_nesterov", sgd(0.9, true), 0.05),
        Case {
            l2: 0.1,
            ..case("sgd_l2", sgd(0.0, false), 0.1)
        },
        Case {
            l2: 0.1,
            ..case("adam_l2", adam, 0.01)
        },
        case("rmsprop", rms_prop(0.99, 0.0), 0.01),
        case("rmsprop_momentum", rms_prop(0.9, 0.8), 0.01),
        case("adagrad", OptimizerSpec::Adagrad { epsilon: 1e-10 }, 0.1),
        case("adam", adam, 0.01),
        case(
            "adam_betas",
            OptimizerSpec::Adam {
                beta1: 0.8,
                beta2: 0.95,
                epsilon: 1e-4,
            },
            0.01,
        ),
        Case {
            weight_decay: 0.1,
            ..case(
                "adamw",
                OptimizerSpec::AdamW {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                },
                0.01,
            )
        },
    ]
}

fn tensor(file: &SafeTensors, name: &str) -> Vec<f32> {
    let view = file.tensor(name).expect(name);
    view.data()
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}

#[test]
fn ten_steps_of_every_optimizer_agree_with_pytorch() {
    let file = SafeTensors::deserialize(FIXTURES).expect("a safetensors file");
    let start = tensor(&file, "start");
    let gradients = tensor(&file, "gradients");
    for case in cases() {
        let mut found = start.clone();
        let mut state = OptimizerState::new(case.spec, start.len());
        for (step, gradient) in (1..).zip(gradients.chunks_exact(start.len())) {
            let mut gradient = gradient.to_vec();
            add_penalties(&found, &mut gradient, 0.0, case.l2);
            let update = Update::new(&case.spec, step, case.learning_rate, case.weight_decay);
            let mut buffers: Vec<&mut [f32]> = state
                .buffers
                .iter_mut()
                .map(|buffer| &mut buffer[..])
                .collect();
            update.apply(&mut found, &gradient, &mut buffers);
        }
        for (i, (found, expected)) in found.iter().zip(tensor(&file, case.name)).enumerate() {
            let error = (found - expected).abs();
            assert!(
                error <= 1e-5 * expected.abs().max(1e-2),
                "{} parameter {i}: {found} instead of {expected}",
                case.name
            );
        }
    }
}

#[test]
fn optimizers_schedules_and_losses_are_found_by_their_names() {
    for spec in OptimizerSpec::ALL {
        let written = serde_json::to_value(spec).unwrap();
        assert_eq!(written["name"], spec.name());
        assert_eq!(
            OptimizerSpec::parse(&spec.name().to_uppercase()),
            Some(spec)
        );
        assert_eq!(spec.out_of_range(), None);
    }
    for spec in ScheduleSpec::ALL {
        assert_eq!(ScheduleSpec::parse(spec.name()), Some(spec));
        assert_eq!(spec.out_of_range(), None);
    }
    for spec in LossSpec::all() {
        assert_eq!(LossSpec::parse(spec.name()), Some(spec));
    }
}
