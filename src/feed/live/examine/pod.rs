//! The way to a console in a pod, which leads through the API server of its cluster.

use crate::feed::kubernetes::{Allowed, Reach};
use crate::feed::live::connect::{Channel, Headers, line_over};
use crate::feed::live::probe::what_closes_in;
use crate::feed::live::stranger::{Failure, Stranger};
use crate::feed::live::subscribe::subscribe_over;
use crate::feed::pod_target::PodTarget;

use super::{End, Outcome, Stage, Way, at};

impl Way<'_> {
    /// The channel to a pod, and what holds the way to it open.
    pub(super) async fn to_pod(&self, pod: &PodTarget) -> Result<(Channel, Reach), End> {
        let limit = self.options.connect_timeout;
        let mut reach = Reach::new(pod.clone(), self.options.clusters.clone());
        self.good(Stage::Kubeconfig, reach.access().await.map_err(at(Stage::Kubeconfig))?);
        self.good(Stage::Cluster, reach.greet(limit).await.map_err(at(Stage::Cluster))?);
        let rights = match reach.rights(limit).await.map_err(at(Stage::Rights))? {
            Allowed::Everything(fact) => Outcome::Good(fact),
            Allowed::Perhaps(sentences) => Outcome::Doubtful(sentences),
        };
        self.note(Stage::Rights, rights);
        let choice = reach.find(limit).await.map_err(at(Stage::Pod))?;
        self.good(Stage::Pod, format!("Chosen: {}.", choice.place));
        let headers = Headers::of(&self.options.access, self.address).await.map_err(at(Stage::Console))?;
        let stream = reach.dial(limit).await.map_err(at(Stage::Port))?;
        let forwards =
            || self.good(Stage::Port, "The API server forwards connections to the port of the pod.".to_owned());
        let answer = match line_over(stream, self.address, headers).await {
            Ok(line) => subscribe_over(line, self.address, self.options).await,
            Err(failure) => Err(failure),
        };
        match answer {
            Ok((channel, _)) => {
                forwards();
                self.answers();
                Ok((channel, reach))
            }
            Err(Failure::Stranger(stranger)) if stranger.is_certain() => {
                forwards();
                Err((Stage::Console, self.sentence(Failure::Stranger(stranger))))
            }
            // That nothing listens in the pod is heard only after the connection to the API server is there.
            Err(failure) => {
                let mut said = reach.explain().await;
                if said.is_none() && matches!(failure, Failure::Stranger(Stranger::Closes)) {
                    said = reach.hear(limit).await;
                }
                if let Some(sentence) = said {
                    return Err((Stage::Port, sentence));
                }
                forwards();
                let failure = match failure {
                    Failure::Stranger(Stranger::Closes) => Failure::Stranger(what_closes_in(&mut reach, limit).await),
                    failure => failure,
                };
                Err((Stage::Console, self.sentence(failure)))
            }
        }
    }
}
