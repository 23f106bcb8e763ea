//! What can be said of the way to a pod before it is gone: the kubeconfig, the API server, and what the user may do there.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::{Api, PostParams};

use super::client::Cluster;
use super::pace::within;
use super::refusal::{self, Asked, RefusalKind};
use super::rights::{FORWARD, Need, needed, yaml};
use super::{Reach, quote};
use crate::words;

/// The sentence for an API server that does not answer the question.
const UNSAID: &str =
    "The API server does not say what is allowed. The next steps show it: what is refused is named there.";

/// What a user may do of what is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::feed) enum Allowed {
    /// Everything: the fact.
    Everything(String),
    /// Perhaps not everything: the fact, and what to do.
    Perhaps(String),
}

impl Reach {
    /// Reads the kubeconfig, and says what is in force.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(in crate::feed) async fn access(&self) -> Result<String, String> {
        let cluster = self.clusters.cluster(&self.target.access).await?;
        let server = quote(cluster.server.trim_end_matches('/'));
        Ok(match &cluster.context {
            Some(context) => format!("Context `{}`: the API server is {server}.", quote(context)),
            None => format!("The service account of this pod: the API server is {server}."),
        })
    }

    /// Asks the API server for its version.
    ///
    /// # Errors
    /// It cannot be reached, or does not accept the credentials: a sentence for the user.
    pub(in crate::feed) async fn greet(&self, limit: Duration) -> Result<String, String> {
        let cluster = self.clusters.cluster(&self.target.access).await?;
        let asked = Asked { verb: "get", group: "", resource: "version", namespace: "", name: "" };
        match within(limit, cluster.client.apiserver_version()).await {
            Some(Ok(version)) => Ok(format!("The API server answers: Kubernetes {}.", quote(&version.git_version))),
            Some(Err(error)) => {
                let refusal = refusal::of(&error, &cluster.server, asked);
                match refusal.kind {
                    RefusalKind::Credentials | RefusalKind::Unreachable => Err(refusal.sentence),
                    // Not everybody is given the version; who says so is there.
                    RefusalKind::Forbidden | RefusalKind::Missing | RefusalKind::NoCanary | RefusalKind::Other => {
                        Ok("The API server answers.".to_owned())
                    }
                }
            }
            None => Err(refusal::no_answer(&cluster.server, &words::limit(limit))),
        }
    }

    /// Asks the API server what the user may do.
    ///
    /// # Errors
    /// Something that is needed is not allowed: a sentence for the user, with every rule that is missing.
    pub(in crate::feed) async fn rights(&self, limit: Duration) -> Result<Allowed, String> {
        let cluster = self.clusters.cluster(&self.target.access).await?;
        let namespace = self.target.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| cluster.client.default_namespace().to_owned());
        let mut missing = Vec::new();
        for need in needed(&self.target) {
            for verb in need.rule.verbs {
                match within(limit, is_allowed(&cluster, &namespace, &need, verb)).await {
                    Some(Some(true)) => {}
                    Some(Some(false)) => missing.push((need, *verb)),
                    Some(None) | None => return Ok(Allowed::Perhaps(UNSAID.to_owned())),
                }
            }
        }
        if missing.is_empty() {
            return Ok(Allowed::Everything(format!(
                "Everything that is needed is allowed in namespace `{namespace}`."
            )));
        }
        let named: Vec<_> = missing.iter().map(|(need, verb)| format!("{verb} {}", need.rule.resource)).collect();
        let rule = |Need { rule, .. }: &Need<'_>| yaml(rule.group, rule.resource, rule.verbs);
        let mut rules: Vec<_> = missing.iter().map(|(need, _)| rule(need)).collect();
        rules.dedup();
        let sentences = format!(
            "Not allowed in namespace `{namespace}`: {}. Have {} added to a Role that you are bound to: {}",
            named.join(", "),
            words::agree(rules.len(), "this rule", "these rules"),
            rules.join(" ")
        );
        let otherwise = missing.iter().map(|(need, verb)| match need.otherwise {
            None if need.rule.resource == FORWARD && *verb == "create" => {
                Some("Kubernetes before 1.35 does not ask for `create`.")
            }
            otherwise => otherwise,
        });
        match otherwise.collect::<Option<Vec<_>>>() {
            Some(otherwise) => Ok(Allowed::Perhaps(format!("{sentences} {}", otherwise.join(" ")))),
            None => Err(sentences),
        }
    }
}

/// Whether the user may do something; `None` where the API server does not say.
async fn is_allowed(
    cluster: &Cluster,
    namespace: &str,
    Need { rule, name, .. }: &Need<'_>,
    verb: &str,
) -> Option<bool> {
    let (resource, part) = rule.resource.split_once('/').map_or((rule.resource, None), |(of, part)| (of, Some(part)));
    let attributes = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        group: Some(rule.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: part.map(str::to_owned),
        verb: Some(verb.to_owned()),
        name: name.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.ok()?;
    answer.status.map(|SubjectAccessReviewStatus { allowed, .. }| allowed)
}
