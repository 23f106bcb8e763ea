//! Which pods a target stands for.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ReplicationController, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::{Metadata, NamespaceResourceScope};
use kube::api::{Api, ListParams, ObjectMeta};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::Cluster;
use super::refusal::{self, Asked, Refusal, RefusalKind};
use crate::feed::pod_target::{Kind, PodPort, PodTarget};
use crate::feed::quote::quote;

/// The label by which the controller of a Deployment tells the pods of its ReplicaSets apart.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// The same of Argo Rollouts.
const ROLLOUT_HASH: &str = "rollouts-pod-template-hash";

/// The annotation by which a Deployment numbers its ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The pods that are meant, and the port of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) namespace: String,
    /// The name of the one pod.
    pub(super) name: Option<String>,
    /// A selector of labels.
    pub(super) labels: Option<String>,
    /// The generation of pods that is preferred: the value of its hash.
    pub(super) newest: Option<String>,
    pub(super) port: Option<PodPort>,
}

impl Scope {
    /// Finds out which pods a target means now.
    ///
    /// # Errors
    /// The API server says no, or knows nothing of it.
    pub(super) async fn of(cluster: &Cluster, target: &PodTarget) -> Result<Self, Refusal> {
        let namespace = target.namespace.clone().unwrap_or_else(|| cluster.client.default_namespace().to_owned());
        let mut scope = Self { namespace, port: target.port.clone(), ..Self::default() };
        let mut labels = Vec::new();
        match &target.object {
            Some((Kind::Pod, name)) => scope.name = Some(name.clone()),
            Some((kind, name)) => labels.push(scope.labels_of(cluster, *kind, name).await?),
            None => {}
        }
        if let Some(rollout) = &target.rollout {
            labels.push(scope.labels_of_canary(cluster, rollout).await?);
        }
        labels.extend(target.selector.clone());
        scope.labels = (!labels.is_empty()).then(|| labels.join(","));
        Ok(scope)
    }

    /// Whether a pod is of the preferred generation.
    pub(super) fn prefers(&self, pod: &Pod) -> bool {
        self.newest.as_ref().is_none_or(|hash| pod.labels().get(TEMPLATE_HASH) == Some(hash))
    }

    async fn labels_of(&mut self, cluster: &Cluster, kind: Kind, name: &str) -> Result<String, Refusal> {
        let selector = match kind {
            Kind::Pod => String::new(),
            Kind::Deployment => {
                let deployment: Deployment = self.get(cluster, kind, name).await?;
                let selector = deployment.spec.as_ref().map(|spec| written(&spec.selector)).unwrap_or_default();
                self.newest = self.newest_of(cluster, &deployment, &selector).await;
                selector
            }
            Kind::StatefulSet => {
                let set: StatefulSet = self.get(cluster, kind, name).await?;
                set.spec.map(|spec| written(&spec.selector)).unwrap_or_default()
            }
            Kind::DaemonSet => {
                let set: DaemonSet = self.get(cluster, kind, name).await?;
                set.spec.map(|spec| written(&spec.selector)).unwrap_or_default()
            }
            Kind::ReplicaSet => {
                let set: ReplicaSet = self.get(cluster, kind, name).await?;
                set.spec.map(|spec| written(&spec.selector)).unwrap_or_default()
            }
            Kind::ReplicationController => {
                let controller: ReplicationController = self.get(cluster, kind, name).await?;
                pairs(controller.spec.and_then(|spec| spec.selector).as_ref())
            }
            Kind::Job => {
                let job: Job = self.get(cluster, kind, name).await?;
                job.spec.and_then(|spec| spec.selector).map(|selector| written(&selector)).unwrap_or_default()
            }
            Kind::Service => {
                let service: Service = self.get(cluster, kind, name).await?;
                let spec = service.spec.unwrap_or_default();
                let ports = spec.ports.unwrap_or_default();
                self.port = self.port.take().map(|port| behind(&port, &ports, name)).transpose()?;
                pairs(spec.selector.as_ref())
            }
        };
        if selector.is_empty() {
            let noun = kind.resource().trim_end_matches('s');
            return Err(other(format!(
                "The {noun} `{name}` in namespace `{}` selects no pods by labels. Name a pod, or use a selector.",
                self.namespace
            )));
        }
        Ok(selector)
    }

    /// The hash of the newest ReplicaSet of a Deployment, if one may list them.
    async fn newest_of(&self, cluster: &Cluster, deployment: &Deployment, selector: &str) -> Option<String> {
        let revision = deployment.metadata.annotations.as_ref()?.get(REVISION)?;
        let sets: Api<ReplicaSet> = Api::namespaced(cluster.client.clone(), &self.namespace);
        let sets = sets.list(&ListParams::default().labels(selector)).await.ok()?;
        let uid = deployment.metadata.uid.as_ref();
        let is_newest = |set: &&ReplicaSet| {
            set.owner_references().iter().any(|owner| Some(&owner.uid) == uid)
                && set.annotations().get(REVISION) == Some(revision)
        };
        sets.items.iter().find(is_newest).and_then(|set| set.labels().get(TEMPLATE_HASH).cloned())
    }

    /// The labels of the pods that a Rollout of Argo is trying out.
    async fn labels_of_canary(&self, cluster: &Cluster, name: &str) -> Result<String, Refusal> {
        let path = format!("/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts/{name}", self.namespace);
        let asked = Asked { verb: "get", group: "argoproj.io", resource: "rollouts", namespace: &self.namespace, name };
        let request = http::Request::get(path).body(Vec::new()).map_err(|error| other(error.to_string()))?;
        let rollout: Value =
            cluster.client.request(request).await.map_err(|error| refusal::of(&error, &cluster.server, asked))?;
        let hash = |pointer: &str| rollout.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (current, stable) = (hash("/status/currentPodHash"), hash("/status/stableRS"));
        if current.is_empty() || current == stable {
            let sentence = format!(
                "Rollout `{name}` in namespace `{}` has no canary at present: all of its pods are of the stable version. tokio-canary attaches \
                 when there is one.",
                self.namespace
            );
            return Err(Refusal { sentence, kind: RefusalKind::NoCanary });
        }
        let selector = rollout.pointer("/spec/selector").cloned().unwrap_or_default();
        let selector = serde_json::from_value::<LabelSelector>(selector).map(|it| written(&it)).unwrap_or_default();
        let hash = format!("{ROLLOUT_HASH}={current}");
        Ok(if selector.is_empty() { hash } else { format!("{selector},{hash}") })
    }

    async fn get<K>(&self, cluster: &Cluster, kind: Kind, name: &str) -> Result<K, Refusal>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Metadata<Ty = ObjectMeta> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let asked =
            Asked { verb: "get", group: kind.group(), resource: kind.resource(), namespace: &self.namespace, name };
        let api: Api<K> = Api::namespaced(cluster.client.clone(), &self.namespace);
        api.get(name).await.map_err(|error| refusal::of(&error, &cluster.server, asked))
    }
}

fn other(sentence: String) -> Refusal {
    Refusal { sentence, kind: RefusalKind::Other }
}

/// The port of the pods behind a port of a Service.
fn behind(port: &PodPort, ports: &[ServicePort], service: &str) -> Result<PodPort, Refusal> {
    let is_it = |it: &&ServicePort| match port {
        PodPort::Number(number) => it.port == i32::from(*number),
        PodPort::Name(name) => it.name.as_deref() == Some(name),
    };
    let found = ports.iter().find(is_it).ok_or_else(|| {
        let word = |it: &ServicePort| match &it.name {
            Some(name) => format!("{} `{}`", it.port, quote(name)),
            None => it.port.to_string(),
        };
        let known = ports.iter().take(8).map(word).collect::<Vec<_>>().join(", ");
        other(format!("The service `{service}` has no port {port}; it has {known}. Name a pod to use a port that the service does not expose."))
    })?;
    let target = match &found.target_port {
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::String(name)) => name.clone(),
        None => found.port.to_string(),
    };
    target.parse().map_err(other)
}

/// A selector as a parameter of a request.
fn written(selector: &LabelSelector) -> String {
    let expressions = selector.match_expressions.iter().flatten().map(|it| {
        let values = || it.values.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(",");
        match it.operator.as_str() {
            "In" => format!("{} in ({})", it.key, values()),
            "NotIn" => format!("{} notin ({})", it.key, values()),
            "DoesNotExist" => format!("!{}", it.key),
            _ => it.key.clone(),
        }
    });
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

fn pairs(labels: Option<&BTreeMap<String, String>>) -> String {
    labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_written_as_requests_have_it() {
        let selector: LabelSelector = serde_json::from_value(json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "track", "operator": "Exists"},
                {"key": "zone", "operator": "NotIn", "values": ["x"]},
            ],
        }))
        .unwrap();
        assert_eq!(written(&selector), "app=web,tier in (a,b),!old,track,zone notin (x)");
    }

    #[test]
    fn the_port_of_a_service_leads_to_that_of_its_pods() {
        let ports: Vec<ServicePort> = serde_json::from_value(json!([
            {"port": 80, "targetPort": "http", "name": "web"},
            {"port": 81, "targetPort": 6669},
            {"port": 82},
        ]))
        .unwrap();
        let to = |port: &str| {
            behind(&port.parse().unwrap(), &ports, "web").map(|it| it.to_string()).map_err(|it| it.sentence)
        };
        assert_eq!(to("80"), Ok("http".to_owned()));
        assert_eq!(to("web"), Ok("http".to_owned()));
        assert_eq!(to("81"), Ok("6669".to_owned()));
        assert_eq!(to("82"), Ok("82".to_owned()));
        assert!(to("6669").unwrap_err().contains("it has 80 `web`, 81, 82"));
    }
}
