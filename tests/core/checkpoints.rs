//! Trainings that are broken off and gone on with: the same bits as if nothing had happened.

use pg_neural::nn::EpochReport;
use pg_neural::training::{Error, Outcome};
use serde_json::{Value, json};

use crate::training::{Training, bits, loans};

fn training<'a>(options: &Value, architecture: Option<&'a str>) -> Training<'a> {
    let mut training = Training::of("bad");
    training.architecture = architecture;
    training.arguments.epochs = Some(7);
    training.arguments.batch_size = Some(32);
    training.arguments.validation = Some(0.2);
    training.options(options.clone())
}

fn losses(history: &[EpochReport]) -> Vec<(u64, Option<u64>, u64)> {
    let bits = |report: &EpochReport| {
        (
            report.train_loss.to_bits(),
            report.validation_loss.map(f64::to_bits),
            report.learning_rate.to_bits(),
        )
    };
    history.iter().map(bits).collect()
}

fn assert_same(one: &Outcome, other: &Outcome, what: &str) {
    assert_eq!(bits(one), bits(other), "{what}");
    assert_eq!(losses(&one.history), losses(&other.history), "{what}");
    assert_eq!(one.metrics, other.metrics, "{what}");
    assert!(
        one.model.optimizer_state == other.model.optimizer_state,
        "{what}"
    );
}

#[test]
fn a_training_that_is_gone_on_with_has_the_same_bits() {
    let query = loans(300).select(&["age", "income", "purpose", "amount", "bad"]);
    let normed = r#"{"layers": [{"type": "dense", "units": 8}, {"type": "batch_norm"},
                               {"type": "activation", "activation": "relu"}, {"type": "dropout", "rate": 0.3}]}"#;
    let cases = [
        (json!({"keep_optimizer": true}), Some(normed), "adam"),
        (
            json!({"momentum": 0.9, "nesterov": true, "schedule": "cosine", "warmup": 2}),
            Some(normed),
            "sgd",
        ),
        (
            json!({"restore_best": true, "early_stopping": 2}),
            None,
            "rmsprop",
        ),
        (
            json!({"schedule": "reduce_on_plateau", "step_size": 1, "gamma": 0.3, "restore_best": true}),
            Some("mlp_10_10"),
            "adagrad",
        ),
        (
            json!({"members": 3, "weight_decay": 0.1, "gradient_clip": 0.5}),
            None,
            "adamw",
        ),
    ];
    for (options, architecture, optimizer) in cases {
        let plain = {
            let mut training = training(&options, architecture);
            training.arguments.optimizer = Some(optimizer.into());
            training.run(&query).unwrap()
        };
        let mut options = options;
        options["checkpoint"] = json!(1);
        let with = |resume, threads| {
            let mut training = training(&options, architecture);
            training.arguments.optimizer = Some(optimizer.into());
            training.arguments.learning_rate = None;
            training.resume = resume;
            training.threads = threads;
            let outcome = training.run(&query).unwrap();
            (outcome, training.log.kept)
        };
        let (whole, kept) = with(None, 1);
        assert_same(&plain, &whole, "keeping changes nothing");
        assert!(kept.len() >= whole.history.len() - 1, "{optimizer}");
        for (epochs, bytes) in (1..).zip(&kept) {
            let (resumed, again) = with(Some(bytes), 1 + epochs % 2);
            assert_same(
                &whole,
                &resumed,
                &format!("{optimizer} after {epochs} epochs"),
            );
            assert_eq!(again.len(), kept.len() - epochs, "{optimizer}");
        }
    }
}

#[test]
fn what_is_kept_of_another_training_is_refused() {
    let query = loans(200).select(&["age", "income", "bad"]);
    let options = json!({"checkpoint": 2});
    let mut whole = training(&options, Some("logistic"));
    whole.run(&query).unwrap();
    let kept = whole.log.kept;
    assert_eq!(kept.len(), 3);

    let resumed = |bytes: &[u8], rows: usize, seed: u64| {
        let mut training = Training::of("bad");
        training.architecture = Some("logistic");
        training.arguments.epochs = Some(7);
        training.arguments.batch_size = Some(32);
        training.arguments.validation = Some(0.2);
        training.arguments.seed = seed;
        let mut training = training.options(json!({"checkpoint": 2}));
        // The bytes live as long as the training does.
        let bytes: &'static [u8] = Box::leak(bytes.to_vec().into_boxed_slice());
        training.resume = Some(bytes);
        let query = loans(rows).select(&["age", "income", "bad"]);
        training.run(&query).map(|_| ())
    };
    assert!(resumed(&kept[0], 200, 3).is_ok());
    for (rows, seed) in [(201, 3), (200, 4)] {
        let outcome = resumed(&kept[0], rows, seed);
        assert!(matches!(outcome, Err(Error::Checkpoint)), "{outcome:?}");
    }
    for place in (0..kept[0].len()).step_by(7) {
        let mut bytes = kept[0].clone();
        bytes[place] ^= 4;
        let outcome = resumed(&bytes, 200, 3);
        assert!(matches!(outcome, Err(Error::DamagedCheckpoint)), "{place}");
    }
    for length in [0, 7, 31, 40, kept[0].len() - 1] {
        let outcome = resumed(&kept[0][..length], 200, 3);
        assert!(matches!(outcome, Err(Error::DamagedCheckpoint)), "{length}");
    }
}
