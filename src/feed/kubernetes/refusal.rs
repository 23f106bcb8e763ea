//! What an API server refuses, or why it cannot be asked, and what to do about it, as sentences for the user.

use std::error::Error as _;
use std::io;

use kube::client::AuthError;
use kube::config::KubeconfigError;
use kube::core::Status;
use kube::{Config, Error};
use rustls::CertificateError;

use super::rights::{FORWARD, verbs, yaml};
use crate::feed::quote::quote;

/// There is no kubeconfig, and no pod around us.
pub(super) const NO_KUBECONFIG: &str = "There is no kubeconfig: neither $KUBECONFIG nor ~/.kube/config can be read, and this is not a pod with \
                                        a service account. Name one with --kubeconfig FILE.";

/// What to do about a kubeconfig that makes no sense.
pub(super) const COMPARE: &str =
    "Name another one with --kubeconfig FILE, or see what kubectl makes of it: `kubectl config view`.";

/// What was asked of an API server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) verb: &'static str,
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) namespace: &'a str,
    /// Empty for a list.
    pub(super) name: &'a str,
}

/// Why something that was asked for did not come.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) sentence: String,
    pub(super) kind: RefusalKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalKind {
    /// The credentials are not accepted, or not any more.
    Credentials,
    /// The user may not do it.
    Forbidden,
    /// It is not there.
    Missing,
    /// A Rollout tries nothing out at present.
    NoCanary,
    /// The API server cannot be reached.
    Unreachable,
    /// Anything else.
    Other,
}

/// What an error means for what was asked.
pub(super) fn of(error: &Error, server: &str, asked: Asked<'_>) -> Refusal {
    let server = quote(server.trim_end_matches('/'));
    let (kind, sentence) = match error {
        Error::Api(status) if status.code == 401 => (
            RefusalKind::Credentials,
            format!(
                "The Kubernetes API server {server} does not accept the credentials of the kubeconfig: they are wrong or have expired. Log in \
                 again (`kubectl get pods` shows whether that worked); tokio-canary reads the kubeconfig again at every attempt."
            ),
        ),
        Error::Api(status) if status.code == 403 => (RefusalKind::Forbidden, forbidden(status, asked)),
        Error::Api(status) if status.code == 404 => (RefusalKind::Missing, missing(asked)),
        Error::Api(status) => (
            RefusalKind::Other,
            format!(
                "The Kubernetes API server {server} answered with status {}: {}. Check the nodes and the control plane of the cluster (`kubectl \
                 get nodes`), or ask whoever runs it.",
                status.code,
                quote(status.message.trim().trim_end_matches('.'))
            ),
        ),
        Error::Auth(auth) => (RefusalKind::Credentials, no_credentials(&without_secrets(auth))),
        Error::Service(source) => match source.downcast_ref::<AuthError>() {
            Some(auth) => (RefusalKind::Credentials, no_credentials(&without_secrets(auth))),
            None => (RefusalKind::Unreachable, unreachable(&server, error)),
        },
        _ => (RefusalKind::Unreachable, unreachable(&server, error)),
    };
    Refusal { sentence, kind }
}

/// What is behind missing credentials. The program that provides them may have secrets among its arguments and in its environment, and
/// prints one.
fn without_secrets(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => format!("the program that provides them failed: {}", out.status),
        AuthError::AuthExecParse(_) => "the program that provides them printed something else".to_owned(),
        other => other.to_string(),
    }
}

/// The API server took too long.
pub(super) fn no_answer(server: &str, limit: &str) -> String {
    format!(
        "The Kubernetes API server {} did not answer within {limit}. Check the network to it (a VPN?), and that it is up: `kubectl version`.",
        quote(server.trim_end_matches('/'))
    )
}

fn unreachable(server: &str, error: &Error) -> String {
    let cause = quote(&cause(error));
    if let Some(fault) = fault_of_certificate(error) {
        let what = match fault {
            // What TLS says of it has the time of the attempt in it, and would be another reason at each.
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "has expired. Have whoever runs the cluster renew it, and check the clock of this machine.".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet. Check the clock of this machine.".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "is for another name ({cause}). Correct `server` of the cluster in the kubeconfig, or say in `tls-server-name` there which name \
                 it is for."
            ),
            _ => format!("is not accepted ({cause}). Check `certificate-authority` of the cluster in the kubeconfig."),
        };
        return format!("The certificate of the Kubernetes API server {server} {what}");
    }
    format!(
        "The Kubernetes API server {server} cannot be reached ({cause}). The service behind it may be well. Check the network (a VPN?), and that the \
         server is up: `kubectl version`."
    )
}

fn missing(asked: Asked<'_>) -> String {
    let Asked { resource, namespace, name, .. } = asked;
    let resource = resource.split('/').next().unwrap_or_default();
    let noun = resource.strip_suffix('s').unwrap_or(resource);
    format!(
        "There is no {noun} `{name}` in namespace `{namespace}`. `kubectl get {resource} -n {namespace}` lists what there is."
    )
}

/// The rule that is missing. What the server says of it wins over what was asked: it may be about impersonation.
fn forbidden(status: &Status, asked: Asked<'_>) -> String {
    let Asked { verb, group, resource, namespace, name } = asked;
    let (verb, group, resource) = match named(&status.message) {
        Some((verb, resource, group)) => (verb, group, resource),
        // Kubernetes 1.35 and later check `create` after `get`, and give no reason.
        None if resource == FORWARD && status.message.trim_end().ends_with("is forbidden:") => {
            ("create", group, resource)
        }
        None if status.message.contains(" cannot ") => (verb, group, resource),
        // Something other than the rights of the user, such as admission control.
        None => {
            return format!(
                "The Kubernetes API server refuses to {verb} {resource} `{name}` in namespace `{namespace}`: {}. That is a policy of the \
                 cluster, and no Role changes it: ask whoever runs the cluster for an exception, or watch from a sidecar.",
                quote(status.message.trim().trim_end_matches('.'))
            );
        }
    };
    let needed = verbs(group, resource).filter(|verbs| verbs.contains(&verb));
    let rule = yaml(&quote(group), &quote(resource), needed.unwrap_or(&[&quote(verb)]));
    let why = if resource == FORWARD {
        " A WebSocket is opened by a GET, so `get` is needed, and since Kubernetes 1.35 `create` as well; kubectl may get along with less."
    } else {
        ""
    };
    // Users and groups are not in a namespace.
    let (place, role) = if status.message.contains("at the cluster scope") {
        (String::new(), "ClusterRole")
    } else {
        (format!(" in namespace `{namespace}`"), "Role")
    };
    let (verb, resource) = (quote(verb), quote(resource));
    format!(
        "Not allowed to {verb} {resource}{place}: the verb `{verb}` is missing.{why} Have this rule added to a {role} that you are bound to: {rule}"
    )
}

/// The verb, the resource and its group in `… cannot VERB resource "RESOURCE" in API group "GROUP" …`.
fn named(message: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = message.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let group =
        rest.split_once("API group \"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(group, _)| group);
    Some((verb, resource, group))
}

/// No client can be made of a kubeconfig.
pub(super) fn unprepared(config: &Config, error: &Error) -> String {
    let cause = cause(error);
    let Some(exec) = config.auth_info.exec.as_ref().filter(|_| matches!(error, Error::Auth(_))) else {
        return match error {
            Error::Auth(auth) => no_credentials(&without_secrets(auth)),
            _ => format!("The kubeconfig cannot be used ({}). {COMPARE}", quote(&cause)),
        };
    };
    let command = quote(exec.command.as_deref().unwrap_or_default());
    let hint = exec.install_hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty()).map(quote);
    let hint = hint.unwrap_or_else(|| "Install it, or correct `command` of the user in the kubeconfig.".to_owned());
    match error {
        Error::Auth(AuthError::AuthExecStart(_)) => {
            format!(
                "The kubeconfig takes its credentials from the program `{command}`, which cannot be run ({}). {hint}",
                quote(&cause)
            )
        }
        Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
            format!(
                "The program `{command}`, from which the kubeconfig takes its credentials, failed ({}: {}). Log in with it first: it cannot ask \
                 anything here.",
                out.status,
                quote(said)
            )
        }
        Error::Auth(auth) => no_credentials(&without_secrets(auth)),
        _ => no_credentials(&cause),
    }
}

fn no_credentials(cause: &str) -> String {
    format!(
        "There are no credentials for the cluster ({}). `kubectl get pods` shows whether kubectl has any.",
        quote(cause)
    )
}

/// A context that the kubeconfig does not have.
pub(super) fn no_such_context(name: &str, contexts: &[String]) -> String {
    let (known, remedy) = match contexts {
        [] => ("none at all".to_owned(), "Name another kubeconfig with --kubeconfig FILE."),
        contexts => {
            let known = contexts.iter().map(|it| format!("`{}`", quote(it))).collect::<Vec<_>>().join(", ");
            (known, "Name one of its own with --context NAME.")
        }
    };
    format!("The kubeconfig has no context `{}`; it has {known}. {remedy}", quote(name))
}

/// A kubeconfig that makes no sense.
pub(super) fn unreadable(error: &KubeconfigError) -> String {
    let hint = match error {
        KubeconfigError::CurrentContextNotSet => "Name a context with --context NAME.",
        _ => COMPARE,
    };
    let cause = match error {
        // The line in question may hold a token.
        KubeconfigError::Parse(fault) => fault.without_snippet().to_string(),
        other => other.to_string(),
    };
    format!("The kubeconfig cannot be used ({}). {hint}", quote(&cause))
}

/// What is wrong with the certificate of the API server, if that is behind an error.
fn fault_of_certificate(error: &Error) -> Option<&CertificateError> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(fault)) = error.downcast_ref() {
            return Some(fault);
        }
        // An error of I/O is not the source of the one inside it.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// What is behind an error.
fn cause(error: &Error) -> String {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTFORWARD: Asked<'_> =
        Asked { verb: "get", group: "", resource: "pods/portforward", namespace: "shop", name: "web-1" };

    fn said(message: &str, asked: Asked<'_>) -> String {
        forbidden(&Status { message: message.to_owned(), code: 403, ..Status::default() }, asked)
    }

    #[test]
    fn both_refusals_of_a_port_forward_name_the_verb_that_is_missing_and_the_rule() {
        let rule = r#"- {apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"]}"#;
        let without_create = said("pods \"web-1\" is forbidden: ", PORTFORWARD);
        assert!(
            without_create.contains("the verb `create` is missing") && without_create.ends_with(rule),
            "{without_create}"
        );
        let without_get = said(
            "pods \"web-1\" is forbidden: User \"u\" cannot get resource \"pods/portforward\" in API group \"\" in the namespace \"shop\"",
            PORTFORWARD,
        );
        assert!(without_get.contains("the verb `get` is missing") && without_get.ends_with(rule), "{without_get}");
    }

    #[test]
    fn other_refusals_name_their_resource() {
        let asked = Asked { verb: "list", resource: "pods", name: "", ..PORTFORWARD };
        let list = said(
            "pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\" in the namespace \"shop\"",
            asked,
        );
        assert!(list.ends_with(r#"resources: ["pods"], verbs: ["get", "list", "watch"]}"#), "{list}");
        let other = said(
            "users \"eve\" is forbidden: User \"u\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            asked,
        );
        assert!(other.contains("`impersonate`") && other.contains("\"users\""), "{other}");
        assert!(other.contains("a ClusterRole") && !other.contains("namespace"), "{other}");
        let admission = said("admission webhook \"x\" denied the request: no\u{1b}[2J", asked);
        assert!(admission.contains("denied the request") && !admission.contains('\u{1b}'), "{admission:?}");
        let forward = said("admission webhook \"x\" denied the request: no debugging here", PORTFORWARD);
        assert!(forward.contains("no debugging here") && !forward.contains("`create`"), "{forward}");
    }
}
