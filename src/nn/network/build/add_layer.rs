//! From a layer's description and what it reads to the layer and the shape it gives.

use std::sync::Arc;

use super::{Builder, Slot};
use crate::nn::architecture::LayerSpec;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::Lengths;
use crate::nn::base::shape::Shape;
use crate::nn::layer::head::Head;
use crate::nn::layer::spec::{Built, Site, Spec};
use crate::nn::layer::{Operation, Source};
use crate::nn::layers::InputSpec;

impl Builder<'_> {
    /// Adds a layer that reads `read`; the first may read the columns. What the layer leaves open is
    /// settled.
    pub(super) fn add(
        &mut self,
        spec: &mut LayerSpec,
        mut read: Vec<Slot>,
        first: bool,
        head: Option<Head>,
    ) -> Result<Slot, Error> {
        if let Some(input) = spec.get::<InputSpec>() {
            return self.columns(spec, input.features.as_deref());
        }
        if first {
            read.push(self.columns(spec, None)?);
        }
        if !spec.kind.reads_levels() {
            if read.iter().any(|slot| slot.level.is_some()) {
                return Err(Error::layer(
                    spec.label(),
                    "reads a level's index, which only an embedding can",
                    "A feature that an embedding reads is encoded as its level's index; read the \
                     embedding instead.",
                ));
            }
            if spec.kind.skips_empty() {
                read.retain(|slot| slot.width() > 0);
            }
            if read.iter().any(|slot| slot.width() == 0) || read.is_empty() {
                return Err(Error::layer(
                    spec.label(),
                    "has no columns to read, as all features are embedded",
                    "Read the embeddings, or leave a feature that is not embedded.",
                ));
            }
        }
        if spec.kind.reads_columns() && read.iter().any(|slot| !self.is_columns(slot)) {
            return Err(Error::layer(
                spec.label(),
                "reads another layer, but is fitted to the columns' values before training",
                "Let it read the columns: put {\"type\": \"input\"} before it, with the names of \
                 \"features\" if not all are meant.",
            ));
        }
        let (slot, settled) = self.build(spec, &read, head)?;
        if let Some(settled) = settled {
            spec.kind = settled;
        }
        Ok(slot)
    }

    /// Whether these are columns of the network's input.
    fn is_columns(&self, slot: &Slot) -> bool {
        match slot.source {
            Source::Columns { .. } => true,
            Source::Node(node) => {
                matches!(self.nodes[node].operation(), Operation::Select { .. })
            }
        }
    }

    /// Adds a layer over these inputs; also its settings where what it reads decides them.
    pub(super) fn build(
        &mut self,
        spec: &LayerSpec,
        read: &[Slot],
        head: Option<Head>,
    ) -> Result<(Slot, Option<Arc<dyn Spec>>), Error> {
        let shapes: Vec<Shape> = read.iter().map(|slot| slot.shape).collect();
        let varying: Vec<bool> = read.iter().map(|slot| slot.lengths.is_some()).collect();
        let levels: Vec<Option<usize>> = read.iter().map(|slot| slot.level).collect();
        let site = Site {
            label: &spec.label(),
            shapes: &shapes,
            varying: &varying,
            levels: &levels,
            head,
        };
        let slot = match spec.kind.build(&site)? {
            Built::Layer {
                layer,
                shape,
                lengths: rule,
            } => {
                let lengths = Lengths::joined(read.iter().map(|slot| slot.lengths.as_ref()));
                let lengths = lengths.and_then(|lengths| lengths.after(rule));
                self.push(spec, layer, read, shape, lengths)?
            }
            Built::View(shape) => Slot {
                source: read[0].source,
                shape,
                level: None,
                lengths: None,
            },
        };
        Ok((slot, spec.kind.settled(&site)))
    }
}
