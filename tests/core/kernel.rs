use pg_neural::nn::kernel::PackedDense;
use pg_neural::nn::processor::Processor;
use pg_neural::nn::{Activation, Random};

struct Case {
    n: usize,
    k: usize,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    activation: Activation,
}

impl Case {
    fn random(random: &mut Random, n: usize, k: usize) -> Self {
        let mut values = |count| {
            (0..count)
                .map(|_| random.normal_f32())
                .collect::<Vec<f32>>()
        };
        let weight = values(n * k);
        let bias = values(n);
        let activation = Activation::ALL[random.below(12) as usize];
        Self {
            n,
            k,
            weight,
            bias: (random.below(4) > 0).then_some(bias),
            activation,
        }
    }

    fn pack(&self) -> PackedDense {
        PackedDense::new(
            &self.weight,
            self.bias.as_deref(),
            self.n,
            self.k,
            self.activation,
        )
    }

    /// Of one row, in f64.
    fn exact(&self, x: &[f32]) -> Vec<f64> {
        (0..self.n)
            .map(|j| {
                let weight = &self.weight[j * self.k..][..self.k];
                let sum: f64 = x
                    .iter()
                    .zip(weight)
                    .map(|(&x, &w)| f64::from(x) * f64::from(w))
                    .sum();
                sum + self.bias.as_ref().map_or(0.0, |b| f64::from(b[j]))
            })
            .collect()
    }
}

fn shapes(random: &mut Random) -> Vec<(usize, usize)> {
    let edges = [1, 2, 4, 5, 15, 16, 17, 32, 48, 64, 65, 100, 128, 192];
    let mut shapes: Vec<_> = edges
        .iter()
        .map(|&n| (n, 1 + random.below(200) as usize))
        .collect();
    shapes.extend(edges.iter().map(|&k| (1 + random.below(200) as usize, k)));
    shapes.extend([
        (64, 20),
        (64, 64),
        (1, 64),
        (16, 128),
        (3, 0),
        (20, 0),
        (7, 1100),
        (70, 1100),
    ]);
    shapes
}

#[test]
fn results_are_the_products() {
    let mut random = Random::new(1, 0);
    for (n, k) in shapes(&mut random) {
        let mut case = Case::random(&mut random, n, k);
        if case.activation != Activation::Relu {
            case.activation = Activation::Linear;
        }
        let rows = 23;
        let x: Vec<f32> = (0..rows * k).map(|_| random.normal_f32()).collect();
        let mut out = vec![f32::NAN; rows * n];
        case.pack().forward(&x, k, rows, &mut out, n);
        for r in 0..rows {
            for (got, want) in out[r * n..][..n].iter().zip(case.exact(&x[r * k..][..k])) {
                let want = if case.activation == Activation::Relu {
                    want.max(0.0)
                } else {
                    want
                };
                let error = (f64::from(*got) - want).abs();
                assert!(
                    error < 3e-7 * (k as f64 + 10.0),
                    "{n} by {k}: {got}, not {want}"
                );
            }
        }
    }
}

#[test]
fn a_rows_bits_depend_neither_on_its_batch_nor_on_the_processor() {
    let mut random = Random::new(2, 0);
    for (n, k) in shapes(&mut random) {
        let case = Case::random(&mut random, n, k);
        let rows = if n * k < 3000 { 1000 } else { 64 };
        let x: Vec<f32> = (0..rows * k).map(|_| random.normal_f32()).collect();
        let mut want = vec![f32::NAN; rows * n];
        let layer = case.pack();
        for r in 0..rows {
            layer.forward(&x[r * k..], k, 1, &mut want[r * n..], n);
        }
        for processor in Processor::available() {
            let layer = case.pack().on(processor);
            for batch in [1, 2, 3, 7, 20, 64, 1000] {
                // The baseline's fused multiply-adds are calls on x86-64.
                if batch > rows || (layer.inputs() > 500 && batch % 7 != 0) {
                    continue;
                }
                let mut got = vec![f32::NAN; batch * n];
                let first = random.below((rows - batch + 1) as u64) as usize;
                layer.forward(&x[first * k..], k, batch, &mut got, n);
                let want = &want[first * n..][..batch * n];
                let same = got
                    .iter()
                    .zip(want)
                    .all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(
                    same,
                    "{n} by {k}, {batch} rows, {:?} on {processor:?}",
                    case.activation
                );
            }
        }
    }
}

#[test]
fn strides_are_kept_and_nothing_beside_the_outputs_is_written() {
    let mut random = Random::new(3, 0);
    for (n, k) in [(1, 7), (3, 20), (18, 9), (64, 64), (70, 33)] {
        let case = Case::random(&mut random, n, k);
        let layer = case.pack();
        let (rows, stride, out_stride) = (9, k + 3, n + 5);
        let x: Vec<f32> = (0..rows * stride).map(|_| random.normal_f32()).collect();
        let mut out = vec![-77.0; rows * out_stride];
        layer.forward(&x, stride, rows, &mut out, out_stride);
        for r in 0..rows {
            let mut want = vec![0.0; n];
            layer.forward(&x[r * stride..][..k], k, 1, &mut want, n);
            assert_eq!(out[r * out_stride..][..n], want);
            assert!(out[r * out_stride + n..][..5].iter().all(|&v| v == -77.0));
        }
        // The same row for all: what a broadcast input or an overlapping window needs.
        layer.forward(&x, 0, rows, &mut out, out_stride);
        assert!((1..rows).all(|r| out[r * out_stride..][..n] == out[..n]));
    }
}

#[test]
fn nan_and_infinity_come_through() {
    let layer = PackedDense::new(&[1.0; 20 * 8], None, 8, 20, Activation::Relu);
    let mut x = [1.0; 40];
    x[3] = f32::NAN;
    x[25] = f32::INFINITY;
    let mut out = [0.0; 16];
    layer.forward(&x, 20, 2, &mut out, 8);
    assert!(out[..8].iter().all(|v| v.is_nan()));
    assert!(out[8..].iter().all(|&v| v == f32::INFINITY));
}
