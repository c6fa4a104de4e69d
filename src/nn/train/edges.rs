//! The edges of bins, from the rows that are trained on.

use super::rows::RowSource;
use crate::memory;
use crate::nn::base::error::Error;
use crate::nn::layer::{Operation, Source};
use crate::nn::network::{Network, Node};

/// Rows of which quantiles are taken: an edge then lies within half a percent of the rows of its
/// place, and what a column takes to sort does not grow with the table.
const SAMPLE: usize = 1 << 14;
/// Values that are held at a time, at most.
const VALUES: usize = 1 << 24;

/// Fills the edges of every layer that cuts its inputs into bins with the quantiles of evenly spread
/// rows: of each input as many, equally far apart, as it has edges, without those that are the same.
/// Edges that were fitted before, which are not all zero, stay.
///
/// # Errors
/// Those of the source, too little memory, and [`Error::Interrupted`].
pub fn fit_edges(
    network: &Network,
    parameters: &mut [f32],
    source: &mut dyn RowSource,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    let binned: Vec<(&Node, usize)> = network
        .nodes()
        .iter()
        .filter_map(|node| Some((node, node.layer().bins()?)))
        .collect();
    if binned.is_empty() || source.rows() == 0 {
        return Ok(());
    }
    let width = network.input_width();
    let wanted = source
        .rows()
        .min(SAMPLE)
        .min((VALUES / width.max(1)).max(1));
    memory::ask_for_many(wanted.saturating_mul((width + 2) * size_of::<f32>()))?;
    let sample = sample(source, wanted, width, interrupted)?;
    let mut values = Vec::with_capacity(wanted);
    for (node, bins) in binned {
        let edges = &mut parameters[node.parameters()];
        for (edges, column) in edges.chunks_exact_mut(bins + 1).zip(columns(network, node)) {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            if edges.iter().any(|edge| *edge != 0.0) {
                continue;
            }
            values.clear();
            values.extend(sample.iter().skip(column).step_by(width));
            quantiles(&mut values, edges);
        }
    }
    Ok(())
}

/// Evenly spread rows side by side.
fn sample(
    source: &mut dyn RowSource,
    wanted: usize,
    width: usize,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<f32>, Error> {
    let rows = source.rows();
    let places: Vec<u32> = (0..wanted).map(|i| (i * rows / wanted) as u32).collect();
    let mut sample = Vec::with_capacity(wanted * width);
    for places in places.chunks(source.capacity().clamp(1, wanted)) {
        if interrupted() {
            return Err(Error::Interrupted);
        }
        let loaded = source.load(places)?;
        for &place in loaded.index {
            sample.extend_from_slice(&loaded.x[place as usize * width..][..width]);
        }
    }
    Ok(sample)
}

/// The columns of the network's input that a node reads, in its order.
fn columns(network: &Network, node: &Node) -> Vec<usize> {
    let mut found = Vec::new();
    for source in node.sources() {
        match *source {
            Source::Columns { start, width } => found.extend(start..start + width),
            Source::Node(place) => {
                // No network is built in which such a layer reads another one.
                if let Operation::Select { ranges } = network.nodes()[place].operation() {
                    found.extend(ranges.into_iter().flatten());
                }
            }
        }
    }
    found
}

/// The quantiles of the values, which are sorted for it, from the least to the largest: linear between
/// two neighbours, as NumPy's and PyTorch's are by default. Those that are the same are one; the
/// largest then stands several times at the end.
fn quantiles(values: &mut [f32], edges: &mut [f32]) {
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len() - 1;
    let bins = edges.len() - 1;
    let mut count = 0;
    for edge in 0..=bins {
        let place = edge as f64 * last as f64 / bins as f64;
        let (below, above) = (
            values[place as usize],
            values[(place as usize + 1).min(last)],
        );
        let share = place.fract();
        let value = (f64::from(below) + share * (f64::from(above) - f64::from(below))) as f32;
        if count == 0 || value > edges[count - 1] {
            edges[count] = value;
            count += 1;
        }
    }
    let largest = edges[count - 1];
    edges[count..].fill(largest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numpys_and_each_stands_once() {
        let of = |values: &[f32], bins: usize| {
            let mut edges = vec![0.0; bins + 1];
            quantiles(&mut values.to_vec(), &mut edges);
            edges
        };
        // numpy.quantile([3, 1, 4, 1, 5, 9, 2, 6], [0, .25, .5, .75, 1])
        let edges = of(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], 4);
        assert_eq!(edges, [1.0, 1.75, 3.5, 5.25, 9.0]);
        assert_eq!(of(&[0.0, 0.0, 0.0, 1.0, 0.0], 4), [0.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(of(&[2.5; 7], 3), [2.5; 4]);
        assert_eq!(of(&[7.0], 2), [7.0; 3]);
        assert_eq!(
            of(&[f32::MIN, f32::MAX], 2),
            [f32::MIN, 0.0, f32::MAX],
            "without an overflow"
        );
    }
}
