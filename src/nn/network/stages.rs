//! The stages of passes through a network whose nodes couple the rows of a batch.

use std::ops::Range;

use super::graph::{Network, Node};
use crate::nn::layer::Coupled;

/// Nodes of a member that a part of a batch goes through by itself: up to one that couples rows, from
/// the one before on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::nn) struct Stage {
    nodes: Range<usize>,
    /// Those of its member.
    member: Range<usize>,
    is_first: bool,
}

impl Stage {
    /// Its nodes; none, where the member begins with a node that couples rows.
    pub fn nodes(&self) -> Range<usize> {
        self.nodes.clone()
    }

    /// The node behind it, which couples rows.
    pub fn behind(&self) -> Option<usize> {
        (self.nodes.end < self.member.end).then_some(self.nodes.end)
    }

    /// The node that it begins with, if that couples rows.
    pub fn coupled(&self) -> Option<usize> {
        (!self.is_first).then_some(self.nodes.start)
    }
}

impl Node {
    /// How it couples the rows of a batch; not where training leaves it as it is.
    pub(in crate::nn) fn coupled(&self) -> Option<&dyn Coupled> {
        self.trainable.then(|| self.layer.coupled()).flatten()
    }
}

impl Network {
    /// Whether a row's result depends, in training, on the others of its batch.
    pub fn couples_rows(&self) -> bool {
        self.nodes.iter().any(|node| node.coupled().is_some())
    }

    /// The next node of a range that couples rows, or the range's end.
    fn coupling(&self, nodes: Range<usize>) -> usize {
        let end = nodes.end;
        let mut nodes = nodes;
        nodes
            .find(|&i| self.nodes[i].coupled().is_some())
            .unwrap_or(end)
    }

    /// The first stage of a member, by its nodes.
    pub(in crate::nn) fn first_stage(&self, member: Range<usize>) -> Stage {
        Stage {
            nodes: member.start..self.coupling(member.clone()),
            member,
            is_first: true,
        }
    }

    /// The stage that comes next in a forward pass.
    pub(in crate::nn) fn stage_after(&self, stage: &Stage) -> Option<Stage> {
        let (start, member) = (stage.behind()?, stage.member.clone());
        Some(Stage {
            nodes: start..self.coupling(start + 1..member.end),
            member,
            is_first: false,
        })
    }

    /// The last stage of a member, by its nodes.
    pub(in crate::nn) fn last_stage(&self, member: Range<usize>) -> Stage {
        self.stage_until(member.end, member)
    }

    /// The stage that comes next in a backward pass.
    pub(in crate::nn) fn stage_before(&self, stage: &Stage) -> Option<Stage> {
        let end = stage.coupled()?;
        Some(self.stage_until(end, stage.member.clone()))
    }

    fn stage_until(&self, end: usize, member: Range<usize>) -> Stage {
        let mut before = member.start..end;
        let start = before.rfind(|&i| self.nodes[i].coupled().is_some());
        Stage {
            nodes: start.unwrap_or(member.start)..end,
            member,
            is_first: start.is_none(),
        }
    }
}
