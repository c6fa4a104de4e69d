//! The piecewise-linear layer against `rtdl_num_embeddings` on PyTorch
//! (`fixtures/make_piecewise_fixtures.py` made the numbers), and what it reads.

use pg_neural::artifact::{Model, TensorFile, TensorSource};
use pg_neural::nn::{
    Architecture, Error, Head, Initializer, InputFeature, Loaded, Network, Never, ParameterKind,
    Predictor, Random, RowSource, fit_edges, widen,
};
use safetensors::SafeTensors;
use serde_json::json;

use crate::layer_case::tensor;
use crate::weights::{Call, numbers};

const FIXTURES: &[u8] = include_bytes!("fixtures/piecewise.safetensors");
const COLUMNS: usize = 5;
const UNITS: usize = 21;

fn build(layers: &str, width: usize) -> Result<Network, Error> {
    let architecture = Architecture::parse(&format!(r#"{{"layers": [{layers}]}}"#))?;
    let mut features = vec![InputFeature::column("x", width, None)];
    if layers.contains("level") {
        features.push(InputFeature::column("level", 1, Some(4)));
    }
    Network::build(
        &architecture,
        &features,
        Head::Regression { outputs: UNITS },
        None,
    )
}

/// The layer alone: what is behind it hands its sums on.
fn alone(bins: usize) -> (Network, Vec<f32>) {
    let layers = format!(
        r#"{{"type": "input", "features": ["x"]}},
           {{"type": "piecewise_linear", "name": "layer", "bins": {bins}, "units": {UNITS}}},
           {{"type": "output", "name": "out", "use_bias": false}}"#
    );
    let network = build(&layers, COLUMNS).unwrap();
    let mut parameters = vec![0.0; network.parameter_count()];
    let out = range(&network, "out.weight");
    for unit in 0..UNITS {
        parameters[out.start + unit * (UNITS + 1)] = 1.0;
    }
    (network, parameters)
}

fn range(network: &Network, name: &str) -> std::ops::Range<usize> {
    let mut parameters = network.parameters().iter();
    let found = parameters.find(|parameter| parameter.name == name);
    found.expect("the parameter").range.clone()
}

/// Rows in memory, of which so many are held at a time.
struct Rows {
    x: Vec<f32>,
    width: usize,
    capacity: usize,
    held: Vec<f32>,
    index: Vec<u32>,
}

impl Rows {
    fn new(x: Vec<f32>, width: usize, capacity: usize) -> Rows {
        Rows {
            x,
            width,
            capacity,
            held: Vec::new(),
            index: Vec::new(),
        }
    }
}

impl RowSource for Rows {
    fn rows(&self) -> usize {
        self.x.len() / self.width
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, Error> {
        assert!(rows.len() <= self.capacity);
        self.held.clear();
        for &row in rows {
            let start = row as usize * self.width;
            self.held.extend(&self.x[start..start + self.width]);
        }
        self.index = (0..rows.len() as u32).collect();
        Ok(Loaded {
            x: &self.held,
            y: &[],
            weight: None,
            fold: None,
            index: &self.index,
        })
    }
}

fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
            "{what} at {i}: {found}, not {expected}"
        );
    }
}

#[test]
fn sums_edges_and_gradients_agree_with_pytorch() {
    let file = SafeTensors::deserialize(FIXTURES).unwrap();
    for (name, bins) in [("sixteen", 16), ("three", 3)] {
        let of = |key: &str| tensor(&file, &format!("{name}.{key}"));
        let (network, mut parameters) = alone(bins);
        let mut rows = Rows::new(of("train"), COLUMNS, 37);
        fit_edges(&network, &mut parameters, &mut rows, &mut || false).unwrap();
        let edges = range(&network, "layer.edges");
        assert_close(name, &parameters[edges.clone()], &of("edges"));
        parameters[edges.clone()].copy_from_slice(&of("edges"));
        for key in ["weight", "bias"] {
            let own = range(&network, &format!("layer.{key}"));
            parameters[own].copy_from_slice(&of(key));
        }
        let x = of("x");
        let count = x.len() / COLUMNS;
        let mut workspace = network.workspace(count);
        let sums = network.forward(&parameters, &x, count, &mut workspace, None);
        assert_close(name, sums, &of("sums"));
        let mut gradients = vec![0.0; parameters.len()];
        // The second pass finds the buffers as the first left them, and adds up.
        for _ in 0..2 {
            network.forward(&parameters, &x, count, &mut workspace, None);
            network.backward(
                &parameters,
                &x,
                count,
                &of("seed"),
                &mut gradients,
                &mut workspace,
            );
        }
        gradients.iter_mut().for_each(|g| *g /= 2.0);
        for key in ["weight", "bias"] {
            let own = range(&network, &format!("layer.{key}"));
            assert_close(key, &gradients[own], &of(&format!("grad.{key}")));
        }
        assert!(gradients[edges].iter().all(|g| *g == 0.0), "edges stay");
        let predictor = Predictor::new(&network, &parameters).unwrap();
        let mut all = vec![0.0; count * UNITS];
        predictor.forward(&x, count, &mut all, &mut predictor.scratch());
        assert_close(name, &all, &of("sums"));
    }
}

#[test]
fn edges_are_fitted_once_and_are_no_learnt_parameters() {
    let (network, mut parameters) = alone(4);
    let edges = network
        .parameters()
        .iter()
        .find(|p| p.name == "layer.edges");
    let edges = edges.expect("edges");
    assert_eq!(
        (edges.kind, edges.shape.as_slice()),
        (ParameterKind::Fitted, [COLUMNS, 5].as_slice())
    );
    let range = edges.range.clone();
    let rows = |sign: f32| {
        let x = (0..50).flat_map(|row| (0..COLUMNS).map(move |at| sign * (row * (at + 1)) as f32));
        Rows::new(x.collect(), COLUMNS, usize::MAX)
    };
    fit_edges(&network, &mut parameters, &mut rows(1.0), &mut || false).unwrap();
    assert_eq!(
        parameters[range.clone()][..5],
        [0.0, 12.25, 24.5, 36.75, 49.0]
    );
    let fitted = parameters.clone();
    fit_edges(&network, &mut parameters, &mut rows(-1.0), &mut || false).unwrap();
    assert_eq!(parameters, fitted);
    // Those of a column that was added are not fitted yet.
    parameters[range.clone()][5..10].fill(0.0);
    fit_edges(&network, &mut parameters, &mut rows(1.0), &mut || false).unwrap();
    assert_eq!(parameters, fitted);
    let stopped = fit_edges(
        &network,
        &mut vec![0.0; parameters.len()],
        &mut rows(1.0),
        &mut || true,
    );
    assert_eq!(stopped, Err(Error::Interrupted));
}

#[test]
fn wild_numbers_and_edges_give_an_answer() {
    let (network, mut parameters) = alone(4);
    let start = range(&network, "layer.edges").start;
    // Constant, almost constant, wide, unsorted as no training leaves them, and no numbers.
    let edges = [
        [3.0; 5],
        [1.0, f32::from_bits(1.0_f32.to_bits() + 1), 5.0, 5.0, 5.0],
        [f32::MIN, f32::MAX, f32::MAX, f32::MAX, f32::MAX],
        [2.0, 1.0, 0.0, -1.0, 3.0],
        [f32::NAN; 5],
    ];
    parameters[start..start + 25].copy_from_slice(edges.as_flattened());
    let weight = range(&network, "layer.weight");
    let mut random = Random::new(4, 0);
    parameters[weight]
        .iter_mut()
        .for_each(|w| *w = random.normal_f32());
    let predictor = Predictor::new(&network, &parameters).unwrap();
    let mut scratch = predictor.scratch();
    let wild = [
        0.0,
        -0.0,
        1.0,
        1e30,
        -1e30,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NAN,
        1e-40,
    ];
    for x in wild {
        let mut out = vec![0.0; UNITS];
        predictor.forward(&[x; COLUMNS], 1, &mut out, &mut scratch);
        assert!(
            out.iter()
                .all(|y| y.is_finite() || x.is_nan() || x.is_infinite()),
            "{x}: {out:?}"
        );
    }
    // No further than by a bin's width beyond the ends.
    let sums = |x: f32| {
        let mut out = vec![0.0; UNITS];
        predictor.forward(
            &[3.0, x, 0.0, 0.0, 0.0],
            1,
            &mut out,
            &mut predictor.scratch(),
        );
        out
    };
    assert_eq!(sums(9.0), sums(1e30));
    assert_ne!(sums(8.9), sums(9.0));
}

#[test]
fn it_reads_columns_alone() {
    for (layers, what) in [
        (
            r#"{"type": "input", "features": ["x"]}, {"type": "scale"}, {"type": "piecewise_linear", "units": 3}"#,
            "reads another layer",
        ),
        (
            r#"{"type": "input", "features": ["x"]}, {"type": "piecewise_linear", "units": 3, "bins": 2000}"#,
            "from 1 to 1024",
        ),
        (
            r#"{"type": "input", "features": ["x"]}, {"type": "piecewise_linear"}"#,
            "needs \"units\"",
        ),
        (
            r#"{"type": "input", "features": ["level"]}, {"type": "piecewise_linear", "units": 3}"#,
            "reads a level's index",
        ),
        (
            r#"{"type": "input", "features": ["x"]}, {"type": "piecewise_linear", "units": 1000000, "bins": 1024}"#,
            "more parameters than can be addressed",
        ),
    ] {
        let error = build(layers, COLUMNS).expect_err(layers).to_string();
        assert!(error.contains(what), "{layers}: {error}");
    }
}

#[test]
fn embeddings_in_front_leave_it_the_other_columns() {
    let text = r#"{"layers": [{"type": "input", "name": "columns"},
        {"type": "piecewise_linear", "name": "bent", "units": 4},
        {"type": "dense", "name": "straight", "input": "columns", "units": 4},
        {"type": "add", "input": ["bent", "straight"]}, {"type": "output"}]}"#;
    let architecture = Architecture::parse(text).unwrap();
    let architecture = architecture
        .with_embeddings(&[("level".to_owned(), 2)])
        .unwrap();
    let features = [
        InputFeature::column("x", 3, None),
        InputFeature::column("level", 1, Some(4)),
    ];
    let network = Network::build(&architecture, &features, Head::Binary, None).unwrap();
    let shape = |name: &str| {
        let found = network.parameters().iter().find(|p| p.name == name);
        found.expect("the parameter").shape.clone()
    };
    assert_eq!(shape("bent.weight"), [3, 16, 4]);
    assert_eq!(shape("straight.weight"), [4, 5]);
}

#[test]
fn more_columns_leave_what_it_computes() {
    let layers = r#"{"type": "input", "features": ["x"]},
        {"type": "piecewise_linear", "name": "layer", "bins": 3, "units": 4, "activation": "silu"},
        {"type": "output"}"#;
    let (narrow, wide) = (build(layers, 2).unwrap(), build(layers, 3).unwrap());
    let mut values = narrow.initialise(1, Initializer::HeNormal);
    let x: Vec<f32> = (0..40).map(|i| (i as f32).sin()).collect();
    let mut rows = Rows::new(x, 2, usize::MAX);
    fit_edges(&narrow, &mut values, &mut rows, &mut || false).unwrap();
    let mut into = wide.initialise(2, Initializer::HeNormal);
    widen((&narrow, &values), (&wide, &mut into)).unwrap();
    let outputs = |network: &Network, parameters: &[f32], x: &[f32]| {
        let predictor = Predictor::new(network, parameters).unwrap();
        let mut out = vec![0.0; UNITS];
        predictor.forward(x, 1, &mut out, &mut predictor.scratch());
        out
    };
    let old = outputs(&narrow, &values, &[0.3, -0.4]);
    assert_eq!(old, outputs(&wide, &into, &[0.3, -0.4, 7.0]));
    let weight = range(&wide, "layer.weight");
    assert!(into[weight][2 * 3 * 4..].iter().all(|w| *w == 0.0));
}

fn source<'a>(name: &'a str, shape: &[usize], values: &'a [f32]) -> TensorSource<'a> {
    TensorSource {
        name: name.into(),
        shape: shape.to_vec(),
        values,
    }
}

/// Edges come from elsewhere only where they ascend.
#[test]
fn edges_that_descend_are_refused() {
    let layers = json!([
        {"type": "piecewise_linear", "name": "bends", "bins": 2, "units": 1, "use_bias": false},
        {"type": "output", "name": "out"}
    ]);
    let call = |edges: &[f32]| {
        let tensors = [
            source("bends.edges", &[1, 3], edges),
            source("bends.weight", &[1, 2, 1], &[1.0, 2.0]),
            source("out.weight", &[1, 1], &[1.0]),
            source("out.bias", &[1], &[0.0]),
        ];
        let file = TensorFile::write("other", "software".into(), &tensors).unwrap();
        Call::new(&file, layers.clone(), "regression", numbers(1))
    };
    let told = "the edges of a number's bins do not ascend";
    let fault = call(&[0.0, 2.0, 1.0]).fault();
    assert!(
        fault.contains("\"bends.edges\"") && fault.contains(told),
        "{fault}"
    );
    // Fewer quantiles than bins: the last one is repeated.
    let model = call(&[0.0, 1.0, 1.0]).model();
    let mut bytes = model.to_bytes().unwrap();
    assert!(Model::from_bytes(&bytes).is_ok());
    let ascending: Vec<u8> = [0.0_f32, 1.0, 1.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let at = bytes
        .windows(12)
        .position(|window| window == ascending)
        .unwrap();
    bytes[at + 4..at + 8].copy_from_slice(&3.0_f32.to_le_bytes());
    let error = Model::from_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains(told), "{error}");
    // Where the parameters are not kept, too.
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let error = Model::check(&bytes[..header], &bytes[header..], &Never).unwrap_err();
    assert!(error.to_string().contains(told), "{error}");
}
