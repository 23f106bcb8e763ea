//! One pod: whether it can be dialled, at which port, and what keeps it from running.

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::{Container, ContainerPort, ContainerStateTerminated, ContainerStatus, Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;

use crate::feed::endpoint::DEFAULT_PORT;
use crate::feed::pod_target::PodPort;
use crate::feed::quote::quote;
use crate::words;

/// What a container may call the port of its console.
const PORT_NAMES: [&str; 2] = ["tokio-canary", "tokio-console"];

/// The annotation of a pod that names the port of its console.
const PORT_ANNOTATION: &str = "tokio-canary/port";

/// The annotation of a pod that names its main container, as kubectl knows it.
const CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";

/// Which process of a pod: what tells it from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: String,
    pub(super) container_id: Option<String>,
    pub(super) started_at: Option<Timestamp>,
}

impl Identity {
    /// Whether it is known to be another process. What has not been reported yet proves nothing.
    pub(super) fn is_other_than(&self, before: &Self) -> bool {
        let differ = |one: &Option<String>, other: &Option<String>| matches!((one, other), (Some(one), Some(other)) if one != other);
        self.uid != before.uid
            || differ(&self.container_id, &before.container_id)
            || matches!((self.started_at, before.started_at), (Some(one), Some(other)) if one != other)
    }
}

/// The port of a pod, and the container that listens there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) port: u16,
    pub(super) container: String,
}

/// Which port of which container: as asked for, by its usual name, by annotation, or the default.
///
/// # Errors
/// A sentence for the user.
pub(super) fn place(pod: &Pod, port: Option<&PodPort>, container: Option<&str>) -> Result<Place, String> {
    let named = container.map(|name| find_container(pod, name)).transpose()?;
    let ports = || containers(pod).filter(|it| named.is_none_or(|named| named.name == it.name)).flat_map(ports_of);
    let declared = |name: &str| ports().find(|(_, port)| port.name.as_deref() == Some(name));
    let default = || named.or_else(|| main_container(pod)).map(|it| it.name.clone()).unwrap_or_default();
    let at = |(container, port): (&Container, &ContainerPort)| {
        let number = u16::try_from(port.container_port).ok().filter(|number| *number != 0)?;
        Some(Place { port: number, container: container.name.clone() })
    };
    let numbered = |number: u16| {
        let owner = ports().find(|(_, port)| port.container_port == i32::from(number));
        Place { port: number, container: owner.map_or_else(default, |(container, _)| container.name.clone()) }
    };
    match port {
        Some(PodPort::Number(number)) => return Ok(numbered(*number)),
        Some(PodPort::Name(name)) => {
            return declared(name).and_then(at).ok_or_else(|| {
                format!(
                    "Pod `{}` has no port `{}`; it declares {}. Name one of these, or the number of the port.",
                    name_of(pod),
                    quote(name),
                    declared_ports(pod)
                )
            });
        }
        None => {}
    }
    if let Some(place) = PORT_NAMES.iter().find_map(|name| declared(name)).and_then(at) {
        return Ok(place);
    }
    let annotation = pod.metadata.annotations.as_ref().and_then(|all| all.get(PORT_ANNOTATION));
    match annotation.map(|text| (text, text.parse::<PodPort>())) {
        Some((_, Ok(PodPort::Number(number)))) => Ok(numbered(number)),
        Some((_, Ok(PodPort::Name(name)))) if declared(&name).is_some() => {
            Ok(declared(&name).and_then(at).unwrap_or_else(|| numbered(DEFAULT_PORT)))
        }
        Some((text, _)) => Err(format!(
            "The annotation {PORT_ANNOTATION} of pod `{}` is not a port of it: `{}`. Correct it, or name the port as POD:PORT.",
            name_of(pod),
            quote(text)
        )),
        None => Ok(numbered(DEFAULT_PORT)),
    }
}

/// The ports that a pod says it has, in words.
pub(super) fn declared_ports(pod: &Pod) -> String {
    let word = |(container, port): (&Container, &ContainerPort)| {
        let name = port.name.as_deref().map(|name| format!(" `{}`", quote(name))).unwrap_or_default();
        format!("{}{name} of container `{}`", port.container_port, quote(&container.name))
    };
    let ports: Vec<_> = containers(pod).flat_map(ports_of).take(8).map(word).collect();
    if ports.is_empty() { "none".to_owned() } else { ports.join(", ") }
}

fn ports_of(container: &Container) -> impl Iterator<Item = (&Container, &ContainerPort)> {
    container.ports.iter().flatten().map(move |port| (container, port))
}

/// Containers that run beside each other: the native sidecars are among the init containers.
fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.as_ref();
    let sidecars = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten();
    let sidecars = sidecars.filter(|it| it.restart_policy.as_deref() == Some("Always"));
    spec.map(|spec| spec.containers.as_slice()).unwrap_or_default().iter().chain(sidecars)
}

fn main_container(pod: &Pod) -> Option<&Container> {
    let named = pod.metadata.annotations.as_ref().and_then(|all| all.get(CONTAINER_ANNOTATION));
    named.and_then(|name| containers(pod).find(|it| it.name == *name)).or_else(|| containers(pod).next())
}

fn find_container<'a>(pod: &'a Pod, name: &str) -> Result<&'a Container, String> {
    containers(pod).find(|it| it.name == name).ok_or_else(|| {
        let names: Vec<_> = containers(pod).map(|it| format!("`{}`", quote(&it.name))).collect();
        format!(
            "Pod `{}` has no container `{}`; it has {}. Name one of these with --container.",
            name_of(pod),
            quote(name),
            names.join(", ")
        )
    })
}

/// The name of a pod, harmless.
pub(super) fn name_of(pod: &Pod) -> String {
    quote(pod.metadata.name.as_deref().unwrap_or_default())
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    all.into_iter().find(|it| it.name == container)
}

/// Which process of the pod it is.
pub(super) fn identity(pod: &Pod, container: &str) -> Identity {
    let status = status_of(pod, container);
    let running = status.and_then(|it| it.state.as_ref()).and_then(|state| state.running.as_ref());
    Identity {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        container_id: status.and_then(|it| it.container_id.clone()).filter(|id| !id.is_empty()),
        started_at: running.and_then(|it| it.started_at.as_ref()).map(|time| time.0),
    }
}

/// How often the container was restarted.
pub(super) fn restarts(pod: &Pod, container: &str) -> i32 {
    status_of(pod, container).map_or(0, |it| it.restart_count)
}

/// What keeps a pod from being dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// It has not begun, or begins again: a sentence.
    Waiting(String),
    /// It has ended for good.
    Finished(String),
}

impl Hindrance {
    /// What it is, and what comes of it.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Waiting(sentence) => format!("{sentence} tokio-canary connects as soon as it runs."),
            Self::Finished(sentence) => {
                format!("{sentence} It does not run again: name its Job or Deployment to attach to the next one.")
            }
        }
    }
}

/// What keeps a pod from being dialled; `None` if nothing does. Being ready is not asked for: a service that is stalled is
/// not, and that is when one attaches.
pub(super) fn hindrance(pod: &Pod, container: &str) -> Option<Hindrance> {
    let name = name_of(pod);
    let status = pod.status.as_ref();
    let phase = status.and_then(|it| it.phase.as_deref()).unwrap_or_default();
    let state = status_of(pod, container).and_then(|it| it.state.as_ref());
    let container_name = quote(container);
    if matches!(phase, "Succeeded" | "Failed") {
        let end = state
            .and_then(|it| it.terminated.as_ref())
            .map(|it| format!("; container `{container_name}` {}", ended(it)));
        return Some(Hindrance::Finished(format!("Pod `{name}` has finished ({phase}{}).", end.unwrap_or_default())));
    }
    not_running(pod, container).map(Hindrance::Waiting)
}

/// Why a pod that has not finished does not run.
fn not_running(pod: &Pod, container: &str) -> Option<String> {
    let name = name_of(pod);
    let status = pod.status.as_ref();
    let phase = status.and_then(|it| it.phase.as_deref()).unwrap_or_default();
    let state = status_of(pod, container).and_then(|it| it.state.as_ref());
    let container_name = quote(container);
    let last = status_of(pod, container).and_then(|it| it.last_state.as_ref()).and_then(|it| it.terminated.as_ref());
    let restarts = restarts(pod, container);
    if let Some(waiting) = state.and_then(|it| it.waiting.as_ref()) {
        let reason = quote(waiting.reason.as_deref().unwrap_or("not started"));
        let said = waiting
            .message
            .as_deref()
            .filter(|it| !it.is_empty())
            .map(|it| format!(" ({})", quote(it)))
            .unwrap_or_default();
        return Some(match last {
            Some(last) => format!(
                "Container `{container_name}` of pod `{name}` waits to be restarted ({reason}): it {}, and was restarted {} so far. \
                 `kubectl logs {name} -c {container_name} --previous` shows its last words.",
                ended(last),
                words::count(u64::try_from(restarts).unwrap_or_default(), "time"),
            ),
            None => format!("Container `{container_name}` of pod `{name}` has not started: {reason}{said}."),
        });
    }
    if let Some(terminated) = state.and_then(|it| it.terminated.as_ref()) {
        return Some(format!(
            "Container `{container_name}` of pod `{name}` {}; it has not been restarted yet.",
            ended(terminated)
        ));
    }
    let is_assigned =
        pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref().is_some_and(|node| !node.is_empty()));
    if !is_assigned {
        let why = status.and_then(unschedulable).map(|why| format!(" ({})", quote(&why))).unwrap_or_default();
        return Some(format!("Pod `{name}` is not scheduled on a node yet{why}."));
    }
    let is_running = state.is_some_and(|state| state.running.is_some());
    (phase != "Running" && !is_running).then(|| format!("Pod `{name}` does not run yet ({}).", quote(phase)))
}

fn unschedulable(status: &PodStatus) -> Option<String> {
    let conditions = status.conditions.iter().flatten();
    conditions
        .into_iter()
        .find(|it| it.type_ == "PodScheduled" && it.status == "False")
        .and_then(|it| it.message.clone())
}

/// How a container ended, as the rest of a sentence.
fn ended(terminated: &ContainerStateTerminated) -> String {
    let reason = terminated
        .reason
        .as_deref()
        .filter(|it| !it.is_empty())
        .map(|it| format!(" ({})", quote(it)))
        .unwrap_or_default();
    let signal = terminated
        .signal
        .filter(|signal| *signal != 0)
        .map(|signal| format!(" by signal {signal}"))
        .unwrap_or_default();
    format!("ended{signal} with exit code {}{reason}", terminated.exit_code)
}

/// Whether a pod is on its way out.
pub(super) fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// What pods are chosen by: the first is the one to take, as kubectl has it. On top of that, one that can be dialled wins.
pub(super) fn rank(pod: &Pod, is_dialable: bool) -> impl Ord + use<> {
    let status = pod.status.as_ref();
    let is_assigned =
        pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref().is_some_and(|node| !node.is_empty()));
    let phase = match status.and_then(|it| it.phase.as_deref()) {
        Some("Running") => 0,
        Some("Pending") => 2,
        _ => 1,
    };
    let ready = status
        .and_then(|it| it.conditions.as_ref())
        .into_iter()
        .flatten()
        .find(|it| it.type_ == "Ready" && it.status == "True");
    let ready_since = ready.and_then(|it| it.last_transition_time.as_ref()).map(|time| time.0);
    let restarts =
        status.and_then(|it| it.container_statuses.as_ref()).into_iter().flatten().map(|it| it.restart_count).max();
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (
        Reverse(is_dialable),
        Reverse(is_assigned),
        phase,
        Reverse(ready.is_some()),
        is_deleting(pod),
        // Longest ready first; of one that is ready since nobody knows when, nothing is known.
        (ready_since.is_none(), ready_since),
        restarts.unwrap_or_default(),
        (created.is_none(), created),
        // Anything that does not change, so that the choice is the same the next time.
        pod.metadata.name.clone(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, status: &Value) -> Pod {
        let ports = json!([{"containerPort": 8080, "name": "http"}, {"containerPort": 7000, "name": "tokio-console"}]);
        let spec = json!({"nodeName": "node", "containers": [{"name": "app", "ports": ports}, {"name": "proxy"}]});
        let metadata = json!({"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).expect("a pod")
    }

    fn container(state: &Value) -> Value {
        json!({"phase": "Running", "containerStatuses": [{
            "name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 3, "containerID": "c1",
            "state": state,
            "lastState": {"terminated": {"exitCode": 101, "reason": "Error"}},
        }]})
    }

    #[test]
    fn ports_are_found_in_their_order() {
        let pod_with = |annotation: &str| {
            let mut pod = pod("web", &json!({}));
            pod.spec.as_mut().unwrap().containers[0].ports = None;
            pod.metadata.annotations = Some([(PORT_ANNOTATION.to_owned(), annotation.to_owned())].into());
            pod
        };
        let web = pod("web", &json!({}));
        let at = |pod: &Pod, port: Option<&str>| {
            place(pod, port.map(|it| it.parse().unwrap()).as_ref(), None).map(|it| it.port)
        };
        assert_eq!(at(&web, Some("9")), Ok(9));
        assert_eq!(at(&web, Some("http")), Ok(8080));
        assert_eq!(at(&web, None), Ok(7000));
        assert_eq!(at(&pod_with("7100"), None), Ok(7100));
        let mut plain = pod_with("");
        plain.metadata.annotations = None;
        assert_eq!(at(&plain, None), Ok(DEFAULT_PORT));
        assert!(at(&pod_with("x\u{1b}"), None).unwrap_err().contains(PORT_ANNOTATION));
        assert!(at(&web, Some("grpc")).unwrap_err().contains("8080 `http` of container `app`"));
        let proxy = place(&web, None, Some("proxy")).unwrap();
        assert_eq!(proxy, Place { port: DEFAULT_PORT, container: "proxy".to_owned() });
        assert!(place(&web, None, Some("db")).unwrap_err().contains("it has `app`, `proxy`"));
    }

    #[test]
    fn what_keeps_a_pod_from_running_is_told_apart() {
        for (status, expected) in [
            (container(&json!({"running": {}})), None),
            (
                container(&json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}})),
                Some("(CrashLoopBackOff): it ended with exit code 101 (Error), and was restarted 3 times"),
            ),
            (
                container(&json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})),
                Some("ended with exit code 137 (OOMKilled); it has not been restarted yet"),
            ),
            (json!({"phase": "Succeeded"}), Some("has finished (Succeeded)")),
            (json!({"phase": "Pending"}), Some("does not run yet (Pending)")),
        ] {
            let hindrance = hindrance(&pod("web", &status), "app").map(|it| it.advice());
            match expected {
                None => assert_eq!(hindrance, None),
                Some(part) => assert!(hindrance.as_ref().is_some_and(|it| it.contains(part)), "{hindrance:?}"),
            }
        }
        let conditions = json!([{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]);
        let mut unscheduled = pod("web", &json!({"phase": "Pending", "conditions": conditions}));
        unscheduled.spec.as_mut().unwrap().node_name = None;
        assert_eq!(
            hindrance(&unscheduled, "app"),
            Some(Hindrance::Waiting("Pod `web` is not scheduled on a node yet (0/3 nodes are available).".to_owned()))
        );
    }

    #[test]
    fn pods_rank_as_kubectl_has_it() {
        let ready = |since: &str| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]});
        let mut deleting = pod("deleting", &ready("2026-01-01T00:00:00Z"));
        deleting.metadata.deletion_timestamp = deleting.metadata.creation_timestamp.clone();
        let mut pods = [
            pod("pending", &json!({"phase": "Pending"})),
            pod("not-ready", &json!({"phase": "Running"})),
            deleting,
            pod("young", &ready("2026-01-03T00:00:00Z")),
            pod("old", &ready("2026-01-02T00:00:00Z")),
        ];
        pods.sort_by_key(|pod| rank(pod, true));
        let names: Vec<_> = pods.iter().map(name_of).collect();
        assert_eq!(names, ["old", "young", "deleting", "not-ready", "pending"]);
    }

    #[test]
    fn another_process_has_another_identity() {
        let running = |id: &str, since: &str| {
            let mut status = container(&json!({"running": {"startedAt": since}}));
            status["containerStatuses"][0]["containerID"] = id.into();
            identity(&pod("web", &status), "app")
        };
        let first = running("c1", "2026-01-01T00:00:00Z");
        assert!(!first.is_other_than(&first));
        assert!(running("c2", "2026-01-01T00:00:00Z").is_other_than(&first));
        assert!(running("c1", "2026-01-01T00:00:01Z").is_other_than(&first));
        assert!(!identity(&pod("web", &json!({})), "app").is_other_than(&first), "not reported yet");
        assert!(identity(&pod("other", &json!({})), "app").is_other_than(&first));
    }
}
