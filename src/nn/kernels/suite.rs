//! What every kernel that multiplies must give, on every processor.

use super::activation::Activation;
use super::convolution::{Axis, Convolution};
use super::dot_products::DotProducts;
use super::packed_dense::PackedDense;
use super::processor::Processor;
use super::product::{Left, Product, Right, Start};
use super::table_sum::{TableAdd, TableSum, Term};
use crate::nn::base::lengths::{Padding, Window};
use crate::nn::base::stop::Pace;

/// A product `c = relu(a · b + bias)`, whose sums are exact in any order.
struct Case {
    rows: usize,
    inner: usize,
    columns: usize,
    /// `[rows, inner]`.
    a: Vec<f32>,
    /// `[inner, columns]`.
    b: Vec<f32>,
    bias: Vec<f32>,
    relu: bool,
}

impl Case {
    fn new([rows, inner, columns]: [usize; 3], relu: bool) -> Case {
        // Sums of small multiples of 1/64.
        let values = |count: usize, seed: usize| -> Vec<f32> {
            let value = |i: usize| ((i * 37 + seed * 11) % 23) as f32 / 8.0 - 1.25;
            (0..count).map(value).collect()
        };
        Case {
            rows,
            inner,
            columns,
            a: values(rows * inner, 1),
            b: values(inner * columns, 2),
            bias: values(columns, 3),
            relu,
        }
    }

    fn expected(&self) -> Vec<f32> {
        let element = |place: usize| {
            let (r, j) = (place / self.columns, place % self.columns);
            let products =
                (0..self.inner).map(|i| self.a[r * self.inner + i] * self.b[i * self.columns + j]);
            let sum = products.sum::<f32>() + self.bias[j];
            if self.relu { sum.max(0.0) } else { sum }
        };
        (0..self.rows * self.columns).map(element).collect()
    }

    /// `[columns, inner]`.
    fn weight(&self) -> Vec<f32> {
        turned(&self.b, self.inner, self.columns)
    }

    fn product(
        &self,
        left: Left<'_>,
        start: Start<'_>,
        mut c: Vec<f32>,
        on: Processor,
    ) -> Vec<f32> {
        let c_row = c.len() / self.rows;
        Product {
            rows: self.rows,
            inner: self.inner,
            columns: self.columns,
            a: left,
            b: Right {
                data: &self.b,
                row: self.columns,
            },
            start,
            relu: self.relu,
            c: &mut c,
            c_row,
        }
        .compute(on, &Pace::endless());
        let rows = c.chunks(c_row).flat_map(|row| &row[..self.columns]);
        rows.copied().collect()
    }

    fn left(&self) -> Left<'_> {
        Left {
            data: &self.a,
            row: self.inner,
            step: 1,
        }
    }

    fn activation(&self) -> Activation {
        match self.relu {
            true => Activation::Relu,
            false => Activation::Linear,
        }
    }

    /// The packed product, so many rows at a time.
    fn packed(&self, rows: usize, on: Processor) -> Vec<f32> {
        let (n, k) = (self.columns, self.inner);
        let layer = PackedDense::new(&self.weight(), Some(&self.bias), n, k, self.activation());
        let layer = layer.on(on);
        let mut c = vec![f32::NAN; self.rows * n];
        for (a, c) in self.a.chunks(rows * k).zip(c.chunks_mut(rows * n)) {
            layer.forward(a, k, c.len() / n, c, n);
        }
        c
    }
}

fn turned(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let places = (0..columns).flat_map(|j| (0..rows).map(move |i| i * columns + j));
    places.map(|place| values[place]).collect()
}

/// A kernel's result; none where it is not made for such a product.
type Kernel = fn(&Case, Processor) -> Option<Vec<f32>>;

const KERNELS: &[(&str, Kernel)] = &[
    ("product", |case, on| {
        let c = vec![f32::NAN; case.rows * case.columns];
        Some(case.product(case.left(), Start::Bias(&case.bias), c, on))
    }),
    ("product with rows of the result apart", |case, on| {
        let c = vec![f32::NAN; case.rows * (case.columns + 3)];
        Some(case.product(case.left(), Start::Bias(&case.bias), c, on))
    }),
    ("product of a left factor read by columns", |case, on| {
        let data = &turned(&case.a, case.rows, case.inner);
        let left = Left {
            data,
            row: 1,
            step: case.rows,
        };
        let c = vec![f32::NAN; case.rows * case.columns];
        Some(case.product(left, Start::Bias(&case.bias), c, on))
    }),
    ("product that goes on from its result", |case, on| {
        let c = case.bias.repeat(case.rows);
        Some(case.product(case.left(), Start::Result, c, on))
    }),
    ("dot products", |case, on| {
        let mut c = vec![f32::NAN; case.rows * case.columns];
        DotProducts {
            rows: case.rows,
            inner: case.inner,
            outputs: case.columns,
            x: &case.a,
            stride: case.inner,
            w: &case.weight(),
            bias: &case.bias,
            c: &mut c,
        }
        .compute(on, &Pace::endless());
        (!case.relu).then_some(c)
    }),
    ("packed", |case, on| Some(case.packed(case.rows, on))),
    ("packed, row by row", |case, on| Some(case.packed(1, on))),
    ("convolution by a kernel of one place", |case, on| {
        let window = Window {
            size: 1,
            stride: 1,
            dilation: 1,
            padding: Padding::Fixed(0, 0),
        };
        let (rows, columns) = (Axis::new(window, 1), Axis::new(window, case.rows));
        let convolution = Convolution::new(case.inner, case.columns, rows, columns);
        let image = turned(&case.a, case.rows, case.inner);
        let mut unfolded = vec![0.0; convolution.unfolded()];
        convolution.unfold(on, &image, &mut unfolded);
        let mut c = vec![f32::NAN; case.rows * case.columns];
        let (weight, bias) = (case.weight(), Some(&case.bias[..]));
        let pace = Pace::endless();
        convolution.forward(on, &unfolded, &weight, bias, case.relu, &mut c, &pace);
        Some(turned(&c, case.columns, case.rows))
    }),
];

#[test]
fn every_kernel_multiplies_as_a_plain_loop_does_on_every_processor() {
    let sizes = [1, 2, 3, 5, 8, 9, 16, 17, 20, 31, 33, 48, 64, 79];
    let mut shapes = vec![
        [64, 64, 64],
        [13, 64, 20],
        [7, 9, 48],
        [64, 700, 3],
        [9, 600, 130],
    ];
    shapes.extend(sizes.map(|size| [size, 20, 64]));
    shapes.extend(sizes.map(|size| [7, size, 20]));
    shapes.extend(sizes.map(|size| [13, 33, size]));
    for shape in shapes {
        for relu in [false, true] {
            let case = Case::new(shape, relu);
            let expected = case.expected();
            for processor in Processor::available() {
                for (name, kernel) in KERNELS {
                    if let Some(found) = kernel(&case, processor) {
                        assert_eq!(found, expected, "{name} of {shape:?} on {processor:?}");
                    }
                }
            }
        }
    }
}

/// Rows of a table, added up with factors and back.
#[test]
fn sums_of_table_rows_are_the_same_on_every_processor() {
    let value = |i: usize| ((i * 37) % 23) as f32 / 7.0 - 1.25;
    for units in [1, 15, 16, 17, 40, 64, 100] {
        let table: Vec<f32> = (0..9 * units).map(value).collect();
        let start: Vec<f32> = (0..units).map(|i| value(i + 5)).collect();
        let terms: Vec<Term> = [(0, 1.0), (8, 0.3), (3, -1.7), (3, 2.0)]
            .map(|(row, factor)| Term {
                at: (row * units) as u32,
                factor,
            })
            .into();
        let of = |on: Processor| {
            let mut y = vec![f32::NAN; units];
            on.run_vectors(TableSum {
                terms: &terms,
                table: &table,
                start: &start,
                y: &mut y,
            });
            let mut back = table.clone();
            on.run_vectors(TableAdd {
                terms: &terms,
                x: &start,
                table: &mut back,
            });
            (y, back)
        };
        let (y, back) = of(Processor::detect());
        for unit in 0..units {
            let row = |term: &Term| table[term.at as usize + unit];
            let sum = |sum: f32, term: &Term| row(term).mul_add(term.factor, sum);
            assert_eq!(y[unit], terms.iter().fold(start[unit], sum));
            let third =
                start[unit].mul_add(2.0, start[unit].mul_add(-1.7, table[3 * units + unit]));
            assert_eq!(back[3 * units + unit], third);
            assert_eq!(back[units + unit], table[units + unit], "of no term");
        }
        for on in Processor::available() {
            assert_eq!(of(on), (y.clone(), back.clone()), "{on:?}, {units} units");
        }
    }
}
