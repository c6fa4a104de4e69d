//! Several networks side by side in one: built, trained each without its own fold, averaged.

use pg_neural::nn::{
    self, Architecture, Head, Initializer, InputFeature, Loaded, LossSpec, Network, Never,
    OptimizerSpec, Predictor, Random, RowSource, TrainOptions, Trained,
};

use crate::memory_rows::Quiet;

const WIDTH: usize = 6;

fn features() -> Vec<InputFeature> {
    [("a", 3, None), ("c", 1, Some(4)), ("b", 2, None)]
        .map(|(name, width, vocabulary)| InputFeature::column(name, width, vocabulary))
        .into()
}

/// An embedding, a scale, and a path beside the hidden layers.
const GRAPH: &str = r#"{"type": "input", "name": "level", "features": ["c"]},
    {"type": "embedding", "name": "vector", "units": 2},
    {"type": "input", "name": "numbers", "features": ["a", "b"]},
    {"type": "scale", "name": "scaled", "factor": 2},
    {"type": "concat", "name": "all", "input": ["scaled", "vector"]},
    {"type": "dense", "name": "deep", "units": 7, "activation": "silu"},
    {"type": "concat", "input": ["numbers", "deep"]}"#;
/// Its output layer reads a dropout layer.
const CHAIN: &str = r#"{"type": "input", "features": ["b", "a"]},
    {"type": "dense", "units": 7, "activation": "tanh"}, {"type": "dropout", "rate": 0.3}"#;

fn network(layers: &str, members: usize, head: Head) -> Network {
    let text = format!("{{\"members\": {members}, \"layers\": [{layers}]}}");
    let architecture = Architecture::parse(&text).expect("an architecture");
    Network::build(&architecture, &features(), head, None).expect("a network")
}

/// Parameters of which none is zero.
fn parameters(network: &Network) -> Vec<f32> {
    let mut random = Random::new(9, 0);
    let mut parameters = network.initialise(5, Initializer::Pytorch);
    let each = |p: &mut f32| *p += 0.1 * random.normal_f32();
    parameters.iter_mut().for_each(each);
    parameters
}

struct Rows {
    x: Vec<f32>,
    y: Vec<f32>,
    weight: Option<Vec<f32>>,
    fold: Option<Vec<u8>>,
}

impl Rows {
    /// Rows of the classes 0 and 1, the folds taking turns.
    fn new(count: usize, folds: u8) -> Rows {
        let mut random = Random::new(3, 0);
        let mut x = Vec::new();
        for _ in 0..count {
            x.extend((0..3).map(|_| random.normal_f32()));
            x.push(random.below(4) as f32);
            x.extend((0..2).map(|_| random.normal_f32()));
        }
        let y = x
            .chunks_exact(WIDTH)
            .map(|x| f32::from(u8::from(x[0] * x[4] + x[3] > 1.0)));
        Rows {
            y: y.collect(),
            x,
            weight: None,
            fold: Some((0..folds).cycle().take(count).collect()),
        }
    }
}

impl RowSource for Rows {
    fn rows(&self) -> usize {
        self.y.len()
    }

    fn capacity(&self) -> usize {
        usize::MAX
    }

    fn has_folds(&self) -> bool {
        self.fold.is_some()
    }

    fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, nn::Error> {
        Ok(Loaded {
            x: &self.x,
            y: &self.y,
            weight: self.weight.as_deref(),
            fold: self.fold.as_deref(),
            index: rows,
        })
    }
}

fn train(network: &Network, start: &[f32], rows: &mut Rows, options: &TrainOptions) -> Trained {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .build()
        .expect("threads");
    nn::train(
        network,
        start.to_vec(),
        rows,
        None,
        options,
        &pool,
        &mut Quiet,
    )
    .expect("trained")
}

fn options() -> TrainOptions {
    TrainOptions {
        epochs: 1,
        batch_size: 1000,
        optimizer: OptimizerSpec::Sgd {
            momentum: 0.0,
            nesterov: false,
        },
        loss: LossSpec::BinaryCrossentropy,
        learning_rate: 0.5,
        ..TrainOptions::default()
    }
}

#[test]
fn members_are_written_and_read_and_bounded() {
    let written = network(GRAPH, 3, Head::Binary).architecture().to_json();
    assert_eq!(written["members"], 3);
    let read = Architecture::from_json(&written).expect("what was written");
    assert_eq!(read.to_json(), written);
    let one = Architecture::parse(r#"{"layers": [], "members": 1}"#).expect("one member");
    assert_eq!(one, Architecture::default());
    assert!(one.to_json().get("members").is_none());
    for bad in ["0", "65", "-1", "1.5", "\"2\"", "null", "1e300"] {
        let text = format!("{{\"layers\": [], \"members\": {bad}}}");
        let error = Architecture::parse(&text).expect_err(bad);
        assert!(error.to_string().contains("members"), "{error}");
    }
    let layer = r#"{"type": "dense", "units": 1},"#.repeat(40);
    let text = format!(
        "{{\"members\": 64, \"layers\": [{}]}}",
        layer.trim_end_matches(',')
    );
    let architecture = Architecture::parse(&text).expect("an architecture");
    assert!(Network::build(&architecture, &features(), Head::Binary, None).is_err());
}

#[test]
fn each_member_has_parameters_of_its_own() {
    let one = network(GRAPH, 1, Head::Multiclass { classes: 3 });
    let three = network(GRAPH, 3, Head::Multiclass { classes: 3 });
    assert_eq!(three.parameter_count(), 3 * one.parameter_count());
    assert_eq!((three.output_units(), three.logits()), (3, 9));
    let names = |network: &Network| -> Vec<String> {
        let parameters = network.parameters().iter();
        parameters.map(|parameter| parameter.name.clone()).collect()
    };
    let of_all: Vec<String> = (1..=3)
        .flat_map(|m| {
            names(&one)
                .into_iter()
                .map(move |name| format!("member{m}.{name}"))
        })
        .collect();
    assert_eq!(names(&three), of_all);
    let start = three.initialise(1, Initializer::Pytorch);
    let (first, rest) = start.split_at(one.parameter_count());
    assert_ne!(first, &rest[..first.len()]);
}

/// The mean of the members' results, each computed by a network of its own; with the bits of a row
/// alone.
#[test]
fn the_predictor_takes_the_mean() {
    for (layers, head) in [
        (GRAPH, Head::Binary),
        (GRAPH, Head::Multiclass { classes: 3 }),
        (CHAIN, Head::Binary),
        (CHAIN, Head::Regression { outputs: 2 }),
        ("", Head::Multiclass { classes: 4 }),
    ] {
        let layers = match layers {
            "" => r#"{"type": "input", "features": ["a"]}"#,
            layers => layers,
        };
        let (one, five) = (network(layers, 1, head), network(layers, 5, head));
        let (all, units) = (parameters(&five), five.output_units());
        let predictor = Predictor::new(&five, &all).expect("a predictor");
        assert_eq!((predictor.members(), predictor.output_units()), (5, units));
        let rows = Rows::new(150, 5);
        let folds = rows.fold.as_deref().expect("folds");
        let mut want = vec![0.0_f64; 150 * units];
        let mut held_out = vec![0.0; 150 * units];
        for (member, own) in all.chunks_exact(one.parameter_count()).enumerate() {
            let single = Predictor::new(&one, own).expect("a predictor");
            let mut out = vec![0.0; 150 * units];
            single.forward(&rows.x, 150, &mut out, &mut single.scratch());
            want.iter_mut()
                .zip(&out)
                .for_each(|(sum, out)| *sum += f64::from(*out));
            for row in (0..150).filter(|&row| usize::from(folds[row]) == member) {
                let here = row * units..(row + 1) * units;
                held_out[here.clone()].copy_from_slice(&out[here]);
            }
        }
        let want: Vec<f32> = want.iter().map(|sum| (sum / 5.0) as f32).collect();
        let mut scratch = predictor.scratch();
        let mut got = vec![f32::NAN; 150 * units];
        predictor.forward(&rows.x, 150, &mut got, &mut scratch);
        assert_eq!(got, want, "{layers}");
        for (row, want) in want.chunks_exact(units).enumerate() {
            let mut alone = vec![f32::NAN; units];
            predictor.forward(&rows.x[row * WIDTH..], 1, &mut alone, &mut scratch);
            assert_eq!(alone, want, "row {row} alone");
        }
        predictor.forward_held_out(&Never, &rows.x, folds, &mut got, &mut scratch);
        assert_eq!(got, held_out, "{layers}");
    }
}

#[test]
fn a_step_is_that_of_as_many_trainings_apart() {
    let (one, four) = (
        network(GRAPH, 1, Head::Binary),
        network(GRAPH, 4, Head::Binary),
    );
    let start = parameters(&four);
    // The last of the folds is smaller.
    let mut rows = Rows::new(203, 4);
    let together = train(&four, &start, &mut rows, &options());
    let (mut losses, mut weights) = (0.0, 0.0);
    for member in 0..4 {
        let folds = rows.fold.take().expect("folds");
        let counts = |fold: &u8| f32::from(u8::from(usize::from(*fold) != member));
        rows.weight = Some(folds.iter().map(counts).collect());
        let own = member * one.parameter_count()..(member + 1) * one.parameter_count();
        let apart = train(&one, &start[own.clone()], &mut rows, &options());
        rows.fold = Some(folds);
        rows.weight = None;
        let weight = if member < 3 { 152.0 } else { 153.0 };
        losses += weight * apart.history[0].train_loss;
        weights += weight;
        for (together, apart) in together.parameters[own].iter().zip(&apart.parameters) {
            assert!((together - apart).abs() < 1e-5, "{together}, alone {apart}");
        }
    }
    let found = together.history[0].train_loss;
    assert!(
        (found - losses / weights).abs() < 1e-6,
        "{found} of {losses}"
    );
}

#[test]
fn the_validation_loss_is_that_of_the_member_held_out() {
    let network = network(GRAPH, 4, Head::Binary);
    let mut rows = Rows::new(203, 4);
    let trained = train(&network, &parameters(&network), &mut rows, &options());
    let predictor = Predictor::new(&network, &trained.parameters).expect("a predictor");
    let folds = rows.fold.as_deref().expect("folds");
    let mut p = vec![0.0; 203];
    predictor.forward_held_out(&Never, &rows.x, folds, &mut p, &mut predictor.scratch());
    let nll = |(p, y): (&f32, &f32)| -f64::from(if *y > 0.5 { *p } else { 1.0 - p }).ln();
    let want = p.iter().zip(&rows.y).map(nll).sum::<f64>() / 203.0;
    let found = trained.history[0]
        .validation_loss
        .expect("a validation loss");
    assert!((found - want).abs() < 1e-5, "{found}, not {want}");
}

#[test]
fn the_bits_depend_on_neither_threads_nor_the_kind_of_source() {
    let network = network(CHAIN, 3, Head::Binary);
    let start = parameters(&network);
    let options = |threads| TrainOptions {
        epochs: 4,
        batch_size: 96,
        restore_best: true,
        optimizer: OptimizerSpec::default(),
        learning_rate: 0.01,
        threads,
        ..options()
    };
    let one = train(&network, &start, &mut Rows::new(500, 3), &options(1));
    let two = train(&network, &start, &mut Rows::new(500, 3), &options(2));
    assert_eq!(one.parameters, two.parameters);
    let losses = |trained: &Trained| -> Vec<_> {
        let reports = trained.history.iter();
        reports
            .map(|r| (r.train_loss.to_bits(), r.validation_loss.map(f64::to_bits)))
            .collect()
    };
    assert_eq!(losses(&one), losses(&two));
}

#[test]
fn a_batch_without_rows_for_a_member_leaves_its_statistics() {
    let layers = r#"{"type": "input", "features": ["b", "a"]}, {"type": "batch_norm"},
        {"type": "dense", "units": 3}, {"type": "batch_norm"}"#;
    let network = network(layers, 2, Head::Binary);
    let mut rows = Rows::new(80, 2);
    // Batches of one fold: the member that is not trained on it has no rows.
    rows.fold = Some((0..80).map(|row| u8::from(row >= 40)).collect());
    let options = TrainOptions {
        batch_size: 40,
        shuffle: false,
        ..options()
    };
    let start = network.initialise(1, Initializer::Pytorch);
    let trained = train(&network, &start, &mut rows, &options);
    for parameter in network.parameters() {
        if parameter.name.ends_with("running_var") {
            let values = &trained.parameters[parameter.range.clone()];
            assert!(values.iter().all(|v| *v > 0.9), "{}", parameter.name);
            assert!(values.iter().all(|v| *v != 1.0), "{}", parameter.name);
        }
    }
}

#[test]
fn folds_need_members_and_nothing_else_to_validate_on() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("threads");
    for (members, beside) in [(1, false), (3, true)] {
        let network = network(CHAIN, members, Head::Binary);
        let start = parameters(&network);
        let (mut rows, mut others) = (Rows::new(50, 3), Rows::new(50, 3));
        let others = beside.then_some(&mut others as &mut dyn RowSource);
        let ended = nn::train(
            &network,
            start,
            &mut rows,
            others,
            &options(),
            &pool,
            &mut Quiet,
        );
        assert!(
            matches!(ended, Err(nn::Error::Misused { .. })),
            "{members} members"
        );
    }
}
