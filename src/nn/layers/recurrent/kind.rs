//! The kinds of recurrent cells, told apart at run time.

use super::cell::{Cell, Piece};

/// The kinds of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `h' = activation(W x + U h)`.
    Rnn,
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit.
    Gru,
}

/// Calls a function that is generic over the cell with the cell of a [`Kind`].
macro_rules! with_cell {
    ($kind:expr, $cell:ident => $call:expr) => {
        match $kind {
            Kind::Rnn => {
                type $cell = super::rnn::Rnn;
                $call
            }
            Kind::Lstm => {
                type $cell = super::lstm::Lstm;
                $call
            }
            Kind::Gru => {
                type $cell = super::gru::Gru;
                $call
            }
        }
    };
}
pub(super) use with_cell;

impl Kind {
    /// See [`Cell::GATES`].
    pub fn gates(self) -> usize {
        with_cell!(self, C => C::GATES)
    }

    /// See [`Cell::COLUMNS`].
    pub fn columns(self) -> usize {
        with_cell!(self, C => C::COLUMNS)
    }

    /// See [`Cell::KEPT`].
    pub fn kept(self) -> usize {
        with_cell!(self, C => C::KEPT)
    }

    /// See [`Cell::PIECES`].
    pub fn pieces(self) -> &'static [Piece] {
        with_cell!(self, C => C::PIECES)
    }

    /// See [`Cell::STATE_COLUMN`].
    pub fn state_column(self) -> usize {
        with_cell!(self, C => C::STATE_COLUMN)
    }
}
