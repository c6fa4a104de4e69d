//! Networks over fitted features, with their first parameters.

use super::choose_target::start_at_the_prior;
use super::error::Error;
use super::job::Job;
use crate::features::{FeatureSet, Target};
use crate::nn::{Architecture, Network, parallel};

/// A network with its first parameters.
pub(super) struct Start {
    pub(super) network: Network,
    pub(super) parameters: Vec<f32>,
}

/// Builds networks over fitted features.
#[derive(Clone, Copy)]
pub(super) struct Builder<'a> {
    pub(super) features: &'a FeatureSet,
    pub(super) target: &'a Target,
    /// Bytes that a network may take.
    pub(super) limit: usize,
}

impl Builder<'_> {
    /// The network of an architecture in which nothing but the embeddings is open.
    ///
    /// # Errors
    /// One that cannot be built over the features.
    pub(super) fn network(
        self,
        job: &Job<'_>,
        architecture: Architecture,
    ) -> Result<Network, Error> {
        let architecture = match (job.previous, job.warm_start()) {
            (Some(_), true) => architecture,
            _ => architecture.with_embeddings(&self.features.embeddings())?,
        };
        let (inputs, head) = (self.features.inputs(), self.target.head());
        Ok(Network::build(
            &architecture,
            &inputs,
            head,
            Some(self.limit),
        )?)
    }

    /// A network's first parameters; the outputs begin at what is known before any row.
    ///
    /// # Errors
    /// [`Interrupted`](crate::nn::Error::Interrupted).
    pub(super) fn initialised(
        self,
        job: &Job<'_>,
        network: &Network,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<f32>, Error> {
        let stop = parallel::Asking::new(stop);
        let initializer = job.options.initializer.unwrap_or_default();
        let mut parameters = network.initialise_until(job.arguments.seed, initializer, &stop)?;
        start_at_the_prior(network, self.target, &mut parameters);
        Ok(parameters)
    }

    /// An architecture's network of so many members, with its first parameters.
    ///
    /// # Errors
    /// As of both.
    pub(super) fn start(
        self,
        job: &Job<'_>,
        architecture: &Architecture,
        members: usize,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Start, Error> {
        let mut architecture = architecture.clone();
        architecture.members = members;
        let network = self.network(job, architecture)?;
        let parameters = self.initialised(job, &network, stop)?;
        Ok(Start {
            network,
            parameters,
        })
    }
}
