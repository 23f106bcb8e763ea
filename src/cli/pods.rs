//! Which pod of which cluster: options that are spelled as those of kubectl.

use clap::Args;
use clap::builder::StringValueParser;

use crate::config::Pods;
use crate::feed::kubernetes::Rate;
use crate::feed::pod_target::{Access, PodFlags, label, object_name};

/// Options that name a target by themselves.
pub(super) const SELECTING: [&str; 2] = ["selector", "rollout"];

/// Which pods are meant, where the target does not say it itself.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct PodArgs {
    /// Namespace of the pods [default: that of the context].
    #[arg(short, long, value_name = "NAMESPACE", value_parser = |text: &str| label(text, "namespace"))]
    namespace: Option<String>,
    /// Labels of the pods, such as app=web,track=canary; without TARGET, they name the target.
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = not_empty)]
    selector: Option<String>,
    /// Rollout of Argo whose canary pods are meant; without TARGET, it names the target.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    rollout: Option<String>,
    /// Container that serves the feed [default: the one that declares the port].
    #[arg(short, long, value_name = "CONTAINER", value_parser = |text: &str| label(text, "container"))]
    container: Option<String>,
    /// Context in the kubeconfig [default: the current one].
    #[arg(long, value_name = "CONTEXT", value_parser = StringValueParser::new())]
    context: Option<String>,
    /// Kubeconfig to read [default: $KUBECONFIG, or ~/.kube/config].
    #[arg(long, value_name = "FILE", value_parser = not_empty)]
    kubeconfig: Option<String>,
    /// User to impersonate.
    #[arg(long = "as", value_name = "USER", value_parser = not_empty)]
    user: Option<String>,
    /// Group to impersonate; repeatable.
    #[arg(long = "as-group", value_name = "GROUP", value_parser = not_empty)]
    groups: Vec<String>,
    /// Requests a second to each API server, over time [default: 50].
    #[arg(long, value_name = "RATE", value_parser = rate)]
    qps: Option<f64>,
    /// Requests to an API server that need not wait for one another [default: 300].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    burst: Option<u32>,
}

impl PodArgs {
    /// What they say.
    pub(super) fn pods(&self) -> Pods {
        let Self { namespace, selector, rollout, container, context, kubeconfig, user, groups, qps, burst } =
            self.clone();
        let usual = Rate::default();
        Pods {
            flags: PodFlags {
                namespace,
                selector,
                rollout,
                container,
                access: Access { context, kubeconfig, user, groups },
            },
            are_all: false,
            rate: (qps.is_some() || burst.is_some())
                .then(|| Rate { qps: qps.unwrap_or(usual.qps), burst: burst.unwrap_or(usual.burst) }),
        }
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err("it is empty, or has characters that cannot be printed".to_owned());
    }
    Ok(text.to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.1);
    rate.ok_or_else(|| "not a number of 0.1 or more".to_owned())
}
