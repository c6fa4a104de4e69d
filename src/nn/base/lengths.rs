//! Sequences shorter than the longest: how many steps of a row are there.
//!
//! Short sequences stand at the start, with zeros behind. Each layer treats one as if it had
//! just its own steps, and the values of the steps behind stay zero throughout the network, so that
//! padding never changes a result.

/// A window that moves along a sequence: of a convolution or of pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Steps it looks at.
    pub size: usize,
    /// Steps it moves by, at least 1.
    pub stride: usize,
    /// Distance between two steps it looks at, at least 1.
    pub dilation: usize,
    /// What stands in front of the first step and behind the last.
    pub padding: Padding,
}

/// What a window sees beyond the ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// So many steps before and after.
    Fixed(usize, usize),
    /// As many as give one output a `stride` steps, the smaller half before (Keras's `same`).
    Same,
}

impl Window {
    /// Steps from the first one it looks at to the last, both included.
    pub fn reach(&self) -> usize {
        (self.size - 1) * self.dilation + 1
    }

    /// Outputs over `steps` steps that all are there; none where the window does not fit in.
    pub fn outputs(&self, steps: usize) -> usize {
        match self.padding {
            Padding::Same => steps.div_ceil(self.stride),
            Padding::Fixed(before, after) => {
                let padded = steps.saturating_add(before).saturating_add(after);
                match padded.checked_sub(self.reach()) {
                    Some(room) => room / self.stride + 1,
                    None => 0,
                }
            }
        }
    }

    /// Outputs over a row's `steps` steps: at least one where there are any, as a sequence too short
    /// for the window is seen with zeros behind it.
    pub fn row_outputs(&self, steps: usize) -> usize {
        self.outputs(steps).max(usize::from(steps > 0))
    }

    /// Steps of padding before the first of `steps` steps.
    pub fn before(&self, steps: usize) -> usize {
        match self.padding {
            Padding::Fixed(before, _) => before,
            Padding::Same => {
                let outputs = self.outputs(steps);
                let needed = outputs.saturating_sub(1) * self.stride + self.reach();
                needed.saturating_sub(steps) / 2
            }
        }
    }
}

/// What becomes of a row's length in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthRule {
    /// The output is no sequence, or always a whole one.
    Drop,
    /// The output has as many steps as the input.
    Keep,
    /// The output has a step a place of the window.
    Window(Window),
}

/// Where a node's rows tell how many of its steps are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::nn) enum Lengths {
    /// A column of the network's input.
    Column(usize),
    /// As many as a window gives over these.
    Window(Box<Lengths>, Window),
    /// The longest of several.
    Longest(Vec<Lengths>),
}

impl Lengths {
    /// The steps that are there, at most `most`, of a row of the network's input.
    pub fn steps(&self, row: &[f32], most: usize) -> usize {
        let steps = match self {
            // A float's conversion saturates and takes NaN to 0.
            Lengths::Column(column) => row[*column] as usize,
            Lengths::Window(inner, window) => window.row_outputs(inner.steps(row, usize::MAX)),
            Lengths::Longest(all) => all
                .iter()
                .map(|one| one.steps(row, most))
                .max()
                .unwrap_or(0),
        };
        steps.min(most)
    }

    /// The lengths behind a layer.
    pub fn after(&self, rule: LengthRule) -> Option<Lengths> {
        match rule {
            LengthRule::Drop => None,
            LengthRule::Keep => Some(self.clone()),
            LengthRule::Window(window) => Some(Lengths::Window(Box::new(self.clone()), window)),
        }
    }

    /// The lengths of several sequences joined step by step: where one is always whole, so are all.
    pub fn joined<'a>(all: impl Iterator<Item = Option<&'a Lengths>>) -> Option<Lengths> {
        let mut distinct: Vec<Lengths> = Vec::new();
        for lengths in all {
            let lengths = lengths?;
            if !distinct.contains(lengths) {
                distinct.push(lengths.clone());
            }
        }
        match distinct.len() {
            0 | 1 => distinct.pop(),
            _ => Some(Lengths::Longest(distinct)),
        }
    }
}

/// How a node's steps are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::nn) struct Steps {
    /// The most there can be.
    pub most: usize,
    /// Values of a step.
    pub size: usize,
    /// How many are there; `None`: always all.
    pub lengths: Option<Lengths>,
}

impl Steps {
    /// How many steps of a row are there; of what is no sequence, one. `x` are the rows of the
    /// network's input.
    #[inline]
    pub fn there(&self, x: &[f32], x_width: usize, row: usize) -> usize {
        match &self.lengths {
            None => self.most,
            Some(lengths) => lengths.steps(&x[row * x_width..][..x_width], self.most),
        }
    }

    /// Sets the values of the steps that are not there to zero, in rows `stride` apart. `x` are the
    /// rows of the network's input.
    pub fn mask(&self, x: &[f32], x_width: usize, values: &mut [f32], stride: usize, rows: usize) {
        if self.lengths.is_none() {
            return;
        }
        for row in 0..rows {
            let steps = self.there(x, x_width, row);
            values[row * stride..][steps * self.size..self.most * self.size].fill(0.0);
        }
    }
}
