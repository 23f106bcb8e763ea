//! What `deploy` holds against what Kubernetes knows, and against what the tool needs.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::fs;

use clap::Parser;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_canary::cli::Cli;
use tokio_canary::feed::kubernetes::rights::RULES;

use crate::source::{files_below, in_repository};

/// The user that the image names.
const USER: i64 = 65_532;

/// The documents of a file.
fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(in_repository("deploy/kubernetes").join(file)).unwrap();
    let documents = text.split("\n---\n").map(|it| serde_saphyr::from_str(it).unwrap());
    documents.collect()
}

/// A document as Kubernetes reads it, which has to be all of it: it ignores what it does not know.
fn read<T: DeserializeOwned + Serialize>(document: &Value) -> T {
    let object: T = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&object).unwrap(), document);
    object
}

/// The pods of all files, with the files they are in.
fn pods() -> Vec<(&'static str, PodSpec)> {
    let [sidecar] = documents("sidecar.yaml").try_into().unwrap();
    let [job] = documents("job.yaml").try_into().unwrap();
    let [deployment] = documents("deployment.yaml").try_into().unwrap();
    let of_deployment = |document| read::<Deployment>(document).spec.unwrap().template.spec.unwrap();
    vec![
        ("sidecar.yaml", of_deployment(&sidecar)),
        ("job.yaml", read::<Job>(&job).spec.unwrap().template.spec.unwrap()),
        ("deployment.yaml", of_deployment(&deployment)),
    ]
}

/// The container that the tool is in.
fn ours(pod: &PodSpec) -> &Container {
    let all = pod.init_containers.iter().flatten().chain(&pod.containers);
    all.into_iter().find(|container| container.name == "tokio-canary").unwrap()
}

#[test]
fn every_file_is_read_as_a_whole_by_kubernetes() {
    assert_eq!(pods().len(), 3);
    let [account, role, binding] = documents("rights.yaml").try_into().unwrap();
    let (account, role, binding): (ServiceAccount, Role, RoleBinding) = (read(&account), read(&role), read(&binding));
    let name = Some("tokio-canary");
    assert_eq!((account.metadata.name.as_deref(), role.metadata.name.as_deref()), (name, name));
    assert_eq!((Some(binding.role_ref.name.as_str()), binding.role_ref.kind.as_str()), (name, "Role"));
    assert_eq!(Some(binding.subjects.unwrap()[0].name.as_str()), name);
    let files = files_below(&in_repository("deploy/kubernetes"), "yaml");
    assert_eq!(files.len(), 4, "a new file has a row in this test");
}

#[test]
fn the_role_grants_what_the_tool_asks_for_and_nothing_else() {
    let role: Role = read(&documents("rights.yaml")[1]);
    let rules = role.rules.unwrap();
    assert!(rules.iter().all(|rule| rule.resources.as_ref().is_some_and(|it| it.len() == 1)), "a resource each");
    let first = |words: &Option<Vec<String>>| words.as_ref().unwrap()[0].clone();
    let granted: Vec<_> =
        rules.iter().map(|rule| (first(&rule.api_groups), first(&rule.resources), rule.verbs.clone())).collect();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let needed: Vec<_> =
        RULES.iter().map(|rule| (rule.group.to_owned(), rule.resource.to_owned(), words(rule.verbs))).collect();
    assert_eq!(granted, needed);
}

#[test]
fn a_container_has_no_privilege_and_a_user_that_is_a_number() {
    for (file, pod) in pods() {
        let (container, shared) = (ours(&pod), pod.security_context.clone().unwrap_or_default());
        let own = container.security_context.clone().unwrap();
        assert_eq!(own.run_as_user.or(shared.run_as_user), Some(USER), "{file}");
        assert_eq!(own.run_as_non_root.or(shared.run_as_non_root), Some(true), "{file}");
        assert_eq!(
            (own.read_only_root_filesystem, own.allow_privilege_escalation),
            (Some(true), Some(false)),
            "{file}"
        );
        assert_eq!(own.capabilities.unwrap().drop.unwrap(), ["ALL"], "{file}");
        assert_eq!(own.seccomp_profile.or(shared.seccomp_profile).unwrap().type_, "RuntimeDefault", "{file}");
        let resources = container.resources.clone().unwrap();
        assert!(
            resources.limits.unwrap().contains_key("memory") && resources.requests.unwrap().contains_key("cpu"),
            "{file}"
        );
        let needs_rights = pod.service_account_name.is_some();
        assert_eq!(needs_rights, file != "sidecar.yaml", "{file}");
        assert!(needs_rights || pod.automount_service_account_token == Some(false), "{file}");
    }
    let image = fs::read_to_string(in_repository("deploy/Containerfile")).unwrap();
    assert!(image.contains(&format!("\nUSER {USER}:{USER}\n")) && image.contains("\nFROM scratch\n"), "{image}");
}

#[test]
fn a_sidecar_starts_before_the_service_and_a_gate_judges_once() {
    let [(_, sidecar), (_, job), _] = pods().try_into().unwrap();
    assert_eq!(ours(&sidecar).restart_policy.as_deref(), Some("Always"), "a native sidecar");
    assert_eq!(job.restart_policy.as_deref(), Some("Never"));
    let job: Job = read(&documents("job.yaml")[0]);
    assert_eq!(job.spec.unwrap().backoff_limit, Some(0));
}

#[test]
fn the_arguments_are_those_of_the_tool() {
    for (file, pod) in pods() {
        let arguments = ours(&pod).args.clone().unwrap();
        let parsed = Cli::try_parse_from(["tokio-canary".to_owned()].iter().chain(&arguments));
        assert!(parsed.is_ok(), "{file}: {:?}", parsed.err());
    }
}
