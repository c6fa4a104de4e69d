//! One layer against PyTorch's: `x → layer → flatten → dense out`. `x` is an embedding whose table
//! holds the values that the layer reads, so that its gradient is the one with respect to them; of
//! images, which no embedding gives, it is a scale, whose gradient is the one with respect to the
//! image times the image, over all rows. The fixtures' scripts tell how the tensors are named.

use pg_neural::nn::{
    Architecture, Head, InputFeature, InputForm, Network, ParameterKind, Predictor, Random, Shape,
};
use safetensors::SafeTensors;

/// A network around one layer, its parameters and its input's rows.
pub struct LayerCase<'f> {
    file: &'f SafeTensors<'f>,
    name: String,
    image: bool,
    pub network: Network,
    pub parameters: Vec<f32>,
    pub x: Vec<f32>,
}

impl<'f> LayerCase<'f> {
    /// The layer of this JSON, reading so many rows of this shape.
    pub fn new(
        file: &'f SafeTensors<'f>,
        name: &str,
        layer: &str,
        shape: Shape,
        rows: usize,
    ) -> LayerCase<'f> {
        let (steps, units) = match shape {
            Shape::Sequence { steps, features } => (steps, features),
            other => (1, other.size()),
        };
        let vocabulary = rows * steps;
        let form = match shape {
            Shape::Vector(_) => InputForm::Level { vocabulary },
            Shape::Sequence { .. } => InputForm::Sequence {
                steps,
                features: 1,
                vocabulary: Some(vocabulary),
            },
            Shape::Image {
                channels,
                height,
                width,
            } => InputForm::Image {
                channels,
                height,
                width,
            },
        };
        let image = matches!(shape, Shape::Image { .. });
        let x = match image {
            true => r#""type": "scale""#.to_owned(),
            false => format!(r#""type": "embedding", "units": {units}"#),
        };
        let text = format!(
            r#"{{"layers": [{{"type": "input", "features": ["values"]}},
                {{"name": "x", {x}}}, {{"name": "layer", {layer}}}, {{"type": "flatten"}},
                {{"type": "output", "name": "out"}}]}}"#
        );
        let architecture = Architecture::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let features = [InputFeature {
            name: "values".to_owned(),
            form,
        }];
        let outputs = tensor(file, &format!("{name}.out.bias")).len();
        let head = Head::Regression { outputs };
        let network = Network::build(&architecture, &features, head, None)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut parameters = vec![0.0; network.parameter_count()];
        for parameter in network.parameters() {
            if image && parameter.name == "x.weight" {
                continue;
            }
            let name = format!("{name}.{}", parameter.name);
            let stored = file.tensor(&name).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(stored.shape(), parameter.shape, "{name}");
            parameters[parameter.range.clone()].copy_from_slice(&tensor(file, &name));
        }
        let tensors: Vec<String> = file
            .names()
            .into_iter()
            .filter_map(|tensor| tensor.strip_prefix(&format!("{name}.layer.")))
            .map(|tensor| format!("layer.{tensor}"))
            .collect();
        for tensor in tensors {
            let known = network.parameters().iter().any(|p| p.name == tensor);
            assert!(known, "{name} has no {tensor}");
        }
        let x = match shape {
            Shape::Sequence { .. } => {
                let lengths = tensor(file, &format!("{name}.lengths"));
                assert_eq!(lengths.len(), rows);
                let row = |(row, length): (usize, &f32)| {
                    let id = |step| match step < *length as usize {
                        true => (row * steps + step) as f32,
                        false => 0.0,
                    };
                    let ids: Vec<f32> = (0..steps).map(id).collect();
                    [vec![*length], ids].concat()
                };
                lengths.iter().enumerate().flat_map(row).collect()
            }
            Shape::Vector(_) => (0..rows).map(|row| row as f32).collect(),
            Shape::Image { .. } => tensor(file, &format!("{name}.x.weight")),
        };
        LayerCase {
            file,
            name: name.to_owned(),
            image,
            network,
            parameters,
            x,
        }
    }

    /// Logits and all gradients are PyTorch's, outside training, and the predictor agrees.
    pub fn check(&self) {
        let rows = self.x.len() / self.network.input_width();
        let prefix = self.name.clone();
        let statistics = self.check_pass(&prefix, 0..rows, None);
        for (name, value) in statistics {
            let kept = tensor(self.file, &format!("{prefix}.{name}"));
            assert_eq!(value, kept, "{prefix}: {name}");
        }
        self.check_predictor();
    }

    /// A pass over some of the rows against the tensors with that prefix; the new values of the
    /// layer's statistics.
    pub fn check_pass(
        &self,
        prefix: &str,
        rows: std::ops::Range<usize>,
        random: Option<&mut Random>,
    ) -> Vec<(String, Vec<f32>)> {
        let network = &self.network;
        let width = network.input_width();
        let x = &self.x[rows.start * width..rows.end * width];
        let count = rows.len();
        // A workspace for more rows, with values of an earlier pass.
        let mut workspace = network.workspace(count + 2);
        let all = self.x.len() / width;
        network.forward(
            &self.parameters,
            &self.x,
            all.min(count + 2),
            &mut workspace,
            None,
        );
        let logits = network.forward(&self.parameters, x, count, &mut workspace, random);
        close(
            &format!("{prefix}.logits"),
            logits,
            &tensor(self.file, &format!("{prefix}.logits")),
        );
        let seed = tensor(self.file, &format!("{prefix}.seed"));
        let mut gradients = vec![0.0; self.parameters.len()];
        network.backward(
            &self.parameters,
            x,
            count,
            &seed,
            &mut gradients,
            &mut workspace,
        );
        let mut statistics = Vec::new();
        for parameter in network.parameters() {
            let found = &gradients[parameter.range.clone()];
            if parameter.kind == ParameterKind::Statistic {
                statistics.push((parameter.name.clone(), found.to_vec()));
                continue;
            }
            let name = format!("{prefix}.grad.{}", parameter.name);
            let expected = tensor(self.file, &name);
            match parameter.name.as_str() {
                "x.weight" if self.image => {
                    let mut sum = vec![0.0; found.len()];
                    for (i, (x, gradient)) in x.iter().zip(&expected).enumerate() {
                        sum[i % found.len()] += x * gradient;
                    }
                    close(&name, found, &sum);
                }
                "x.weight" => {
                    // Only these rows of the embedding's table are read.
                    let start = rows.start * found.len() / all;
                    close(&name, &found[start..start + expected.len()], &expected);
                }
                _ => close(&name, found, &expected),
            }
        }
        statistics
    }

    /// The predictor gives what the network gives, with the same bits in any batch.
    pub fn check_predictor(&self) {
        let (network, name) = (&self.network, &self.name);
        let (width, units) = (network.input_width(), network.output_units());
        let rows = self.x.len() / width;
        let mut workspace = network.workspace(rows);
        let expected = network.forward(&self.parameters, &self.x, rows, &mut workspace, None);
        let predictor = Predictor::new(network, &self.parameters).expect("a predictor");
        let mut scratch = predictor.scratch();
        // More rows than a tile, in another order.
        let order: Vec<usize> = (0..203).map(|i| i * 5 % rows).collect();
        let x: Vec<f32> = order
            .iter()
            .flat_map(|row| self.x[row * width..][..width].to_vec())
            .collect();
        let mut all = vec![f32::NAN; order.len() * units];
        predictor.forward(&x, order.len(), &mut all, &mut scratch);
        let wanted: Vec<f32> = order
            .iter()
            .flat_map(|row| expected[row * units..][..units].to_vec())
            .collect();
        close(&format!("{name}, predicted"), &all, &wanted);
        for row in 0..rows {
            let mut one = vec![f32::NAN; units];
            predictor.forward(&self.x[row * width..], 1, &mut one, &mut scratch);
            for (place, _) in order.iter().enumerate().filter(|(_, other)| **other == row) {
                for (a, b) in one.iter().zip(&all[place * units..]) {
                    assert_eq!(a.to_bits(), b.to_bits(), "{name}: row {row} alone");
                }
            }
        }
    }
}

/// A tensor's values.
pub fn tensor(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    tensor
        .data()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

/// Agreement to 1e-5 of the larger of the value and the tensor's typical size.
#[track_caller]
pub fn close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let square: f64 = expected.iter().map(|e| f64::from(e * e)).sum();
    let typical = (square / expected.len() as f64).sqrt() as f32;
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let scale = e.abs().max(typical);
        assert!(
            (f - e).abs() <= 1e-5 * scale,
            "{what}[{i}]: {f} instead of {e}"
        );
    }
}
