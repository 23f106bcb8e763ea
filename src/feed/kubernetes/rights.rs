//! What a user must be allowed to do in a cluster, and how that is written in a Role.

use crate::feed::pod_target::{Kind, PodTarget};

/// The connection to a port of a pod.
pub(super) const FORWARD: &str = "pods/portforward";

/// Something that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The group of the resource; that of the core is empty.
    pub group: &'static str,
    /// The resource.
    pub resource: &'static str,
    /// What may be done with it.
    pub verbs: &'static [&'static str],
}

/// Everything that this tool may ask of a cluster. Which of it is asked depends on how a target is named.
pub const RULES: [Rule; 10] = [
    Rule { group: "", resource: "pods", verbs: &["get", "list", "watch"] },
    // An upgrade to a WebSocket is a GET. Since Kubernetes 1.35 it needs `create` as well.
    Rule { group: "", resource: FORWARD, verbs: &["get", "create"] },
    Rule { group: "", resource: "services", verbs: &["get"] },
    Rule { group: "", resource: "replicationcontrollers", verbs: &["get"] },
    Rule { group: "apps", resource: "deployments", verbs: &["get"] },
    Rule { group: "apps", resource: "replicasets", verbs: &["get", "list"] },
    Rule { group: "apps", resource: "statefulsets", verbs: &["get"] },
    Rule { group: "apps", resource: "daemonsets", verbs: &["get"] },
    Rule { group: "batch", resource: "jobs", verbs: &["get"] },
    Rule { group: "argoproj.io", resource: "rollouts", verbs: &["get"] },
];

/// The rule that allows something, as an element of `rules` in a Role, on one line.
pub fn yaml(group: &str, resource: &str, verbs: &[&str]) -> String {
    let verbs: Vec<_> = verbs.iter().map(|verb| format!("\"{verb}\"")).collect();
    format!("- {{apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [{}]}}", verbs.join(", "))
}

/// Something that is asked of a cluster for a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need<'a> {
    pub(super) rule: Rule,
    /// Of what it is asked, where that is known by name: a rule may be for some names only.
    pub(super) name: Option<&'a str>,
    /// What is worse without it, as a sentence; none of what cannot be done without.
    pub(super) otherwise: Option<&'static str>,
}

/// What is asked of a cluster for a target, what cannot be done without first.
pub(super) fn needed(target: &PodTarget) -> Vec<Need<'_>> {
    let object = target.object.as_ref().map(|(kind, name)| (*kind, name.as_str()));
    let pod = object.filter(|(kind, _)| *kind == Kind::Pod).map(|(_, name)| name);
    let of = |group, resource, verbs, name| Need { rule: Rule { group, resource, verbs }, name, otherwise: None };
    let mut needed = vec![of("", "pods", if pod.is_some() { &["get"] } else { &["list"] }, pod)];
    if let Some((kind, name)) = object.filter(|(kind, _)| *kind != Kind::Pod) {
        needed.push(of(kind.group(), kind.resource(), &["get"], Some(name)));
    }
    if let Some(name) = target.rollout.as_deref() {
        needed.push(of("argoproj.io", "rollouts", &["get"], Some(name)));
    }
    needed.push(of("", FORWARD, &["get", "create"], pod));
    let watch = "Without `watch`, a pod that comes is noticed up to 10 s later.";
    needed.push(Need { otherwise: Some(watch), ..of("", "pods", &["watch"], pod) });
    if object.is_some_and(|(kind, _)| kind == Kind::Deployment) {
        let list = "Without `list` of ReplicaSets, a pod of an older generation may be chosen.";
        needed.push(Need { otherwise: Some(list), ..of("apps", "replicasets", &["list"], None) });
    }
    needed
}

/// The verbs that are needed of a resource.
pub(super) fn verbs(group: &str, resource: &str) -> Option<&'static [&'static str]> {
    RULES.iter().find(|rule| rule.group == group && rule.resource == resource).map(|rule| rule.verbs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_one_line_of_yaml() {
        assert_eq!(
            yaml("", FORWARD, &["get", "create"]),
            r#"- {apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"]}"#
        );
    }
}
