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

/// What has to be allowed for a target and is asked of a cluster at each attempt, and of what by name, where that is known: a rule may be for
/// some names only. What merely makes it better (to watch pods, to list ReplicaSets) is left out.
pub(super) fn needed(target: &PodTarget) -> Vec<(Rule, Option<&str>)> {
    let object = target.object.as_ref().map(|(kind, name)| (*kind, name.as_str()));
    let pod = object.filter(|(kind, _)| *kind == Kind::Pod).map(|(_, name)| name);
    let pods: &[&str] = if pod.is_some() { &["get"] } else { &["list"] };
    let mut needed = vec![(Rule { group: "", resource: "pods", verbs: pods }, pod)];
    let of_kind = |(kind, name): (Kind, _)| {
        (Rule { group: kind.group(), resource: kind.resource(), verbs: &["get"] }, Some(name))
    };
    needed.extend(object.filter(|(kind, _)| *kind != Kind::Pod).map(of_kind));
    let listed = |resource: &str| RULES.into_iter().find(|rule| rule.resource == resource);
    let rollout = target.rollout.as_deref().and_then(|name| Some((listed("rollouts")?, Some(name))));
    needed.extend(rollout);
    needed.extend(listed(FORWARD).map(|rule| (rule, pod)));
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
