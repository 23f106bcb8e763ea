//! What the stand-in knows: pods with their history, and other objects as they are.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::sync::watch;

/// A pod of one container, in the words of a test.
#[derive(Debug, Clone)]
pub(crate) struct PodSketch {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) phase: &'static str,
    pub(crate) is_ready: bool,
    pub(crate) is_assigned: bool,
    pub(crate) is_deleting: bool,
    /// Which process: the number of its container.
    pub(crate) process: u32,
    /// The state of the container instead of one that runs.
    pub(crate) state: Option<Value>,
    pub(crate) last_state: Value,
    /// Ports that the container declares: their names and numbers.
    pub(crate) declared: Vec<(&'static str, u16)>,
    /// What listens at the pod's ports on localhost, which is where the kubelet dials: on the pod's own address alone it would be refused.
    pub(crate) listening: BTreeMap<u16, SocketAddr>,
}

impl PodSketch {
    /// One that runs in the namespace `shop`, with the label `app=web`.
    pub(crate) fn running(name: &str, uid: &str) -> Self {
        Self {
            name: name.to_owned(),
            uid: uid.to_owned(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            annotations: BTreeMap::new(),
            phase: "Running",
            is_ready: true,
            is_assigned: true,
            is_deleting: false,
            process: 1,
            state: None,
            last_state: json!({}),
            declared: Vec::new(),
            listening: BTreeMap::new(),
        }
    }

    /// The same with something that listens at port 6669.
    pub(crate) fn serving(mut self, at: SocketAddr) -> Self {
        self.listening.insert(6669, at);
        self
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    fn object(&self, version: u64) -> Value {
        let Self { name, uid, labels, annotations, process, phase, .. } = self;
        let started = format!("2026-01-01T00:00:{:02}Z", process % 60);
        let mut metadata = json!({
            "name": name, "namespace": "shop", "uid": uid, "labels": labels, "annotations": annotations,
            "resourceVersion": version.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z",
        });
        if self.is_deleting {
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        let ports: Vec<_> =
            self.declared.iter().map(|(name, port)| json!({"name": name, "containerPort": port})).collect();
        let mut spec = json!({"containers": [{"name": "app", "image": "app", "ports": ports}]});
        let mut conditions = vec![json!({"type": "Ready", "status": if self.is_ready { "True" } else { "False" },
            "lastTransitionTime": "2026-01-01T00:00:00Z"})];
        if self.is_assigned {
            spec["nodeName"] = "node".into();
        } else {
            conditions.push(json!({"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}));
        }
        let state = self.state.clone().unwrap_or_else(|| json!({"running": {"startedAt": started}}));
        let statuses = json!([{
            "name": "app", "image": "app", "imageID": "", "ready": self.is_ready, "restartCount": process - 1,
            "containerID": format!("containerd://{process}"), "state": state, "lastState": self.last_state,
        }]);
        let statuses = if self.is_assigned { statuses } else { json!([]) };
        let status = json!({"phase": phase, "conditions": conditions, "containerStatuses": statuses});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
    }
}

/// All objects, all of them in the namespace `shop`.
pub(super) struct Objects {
    pods: BTreeMap<String, (PodSketch, Value)>,
    /// Other objects by their paths.
    pub(super) others: BTreeMap<String, Value>,
    version: watch::Sender<u64>,
    history: Vec<(u64, &'static str, Value)>,
    oldest: u64,
}

impl Default for Objects {
    fn default() -> Self {
        let version = watch::channel(1).0;
        Self { pods: BTreeMap::new(), others: BTreeMap::new(), version, history: Vec::new(), oldest: 1 }
    }
}

impl Objects {
    pub(super) fn set_pod(&mut self, pod: &PodSketch) {
        let version = self.version() + 1;
        let object = pod.object(version);
        let kind = if self.pods.contains_key(&pod.name) { "MODIFIED" } else { "ADDED" };
        self.pods.insert(pod.name.clone(), (pod.clone(), object.clone()));
        self.record(kind, object);
    }

    pub(super) fn delete_pod(&mut self, name: &str) {
        let (_, object) = self.pods.remove(name).expect("it is there");
        self.record("DELETED", object);
    }

    fn record(&mut self, kind: &'static str, object: Value) {
        let version = self.version() + 1;
        self.history.push((version, kind, object));
        self.version.send_replace(version);
    }

    pub(super) fn forget_history(&mut self) {
        self.history.clear();
        self.oldest = self.version() + 1;
        self.version.send_replace(self.oldest);
    }

    pub(super) fn version(&self) -> u64 {
        *self.version.borrow()
    }

    pub(super) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(super) fn pod(&self, name: &str) -> Option<&(PodSketch, Value)> {
        self.pods.get(name)
    }

    pub(super) fn list(&self, selection: &Selection) -> Value {
        let items: Vec<_> = self.pods.values().map(|(_, it)| it).filter(|it| selection.has(it)).collect();
        json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": self.version().to_string()}, "items": items})
    }

    /// What has happened since a version; `None` if that is too long ago.
    pub(super) fn since(&self, version: u64, selection: &Selection) -> Option<Vec<Value>> {
        if version == 0 {
            let there = self.pods.values().map(|(_, it)| it).filter(|it| selection.has(it));
            return Some(there.map(|object| json!({"type": "ADDED", "object": object})).collect());
        }
        let event = |(_, kind, object): &(u64, &str, Value)| json!({"type": kind, "object": object});
        let later = self.history.iter().filter(|(at, _, object)| *at > version && selection.has(object));
        (version >= self.oldest).then(|| later.map(event).collect())
    }
}

/// What a list or a watch is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    pub(super) name: Option<String>,
    pub(super) labels: Vec<(String, String)>,
}

impl Selection {
    fn has(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        self.name.as_ref().is_none_or(|name| metadata["name"] == **name)
            && self.labels.iter().all(|(key, value)| metadata["labels"][key] == **value)
    }
}
