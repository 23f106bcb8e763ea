//! A pod of Kubernetes as it is named on the command line.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// How the URL of a pod begins.
pub(crate) const SCHEME: &str = "k8s://";

/// What is escaped in the value of a query.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'%').add(b'&').add(b'#').add(b'+').add(b'"').add(b'\'').add(b'`').add(b'<').add(b'>');

/// Longest namespace or port name, and longest name of anything else, as Kubernetes has it.
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

/// A pod, or something that has pods, of which one is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PodTarget {
    /// Where it is; that of the context if there is none.
    pub namespace: Option<String>,
    /// What is named; none if pods are only selected by their labels.
    pub object: Option<(Kind, String)>,
    /// Which port; found out from the pod if there is none.
    pub port: Option<PodPort>,
    /// Labels that the pod must have, as a selector of Kubernetes.
    pub selector: Option<String>,
    /// Whose canary pods are meant: a Rollout of Argo.
    pub rollout: Option<String>,
    /// Which container serves the feed.
    pub container: Option<String>,
    /// How the cluster is accessed.
    pub access: Access,
    /// Whether it is one of several pods that are followed as they come and go. It cannot be written on the command line.
    pub is_followed: bool,
}

impl PodTarget {
    /// Whether a single pod is named and labels are given as well, of which one would be ignored.
    pub fn is_named_and_selected(&self) -> bool {
        matches!(self.object, Some((Kind::Pod, _))) && (self.selector.is_some() || self.rollout.is_some())
    }
}

/// How a cluster is accessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// The context in the kubeconfig; the current one if there is none.
    pub context: Option<String>,
    /// The kubeconfig; that of the environment if there is none.
    pub kubeconfig: Option<String>,
    /// Whom to impersonate.
    pub user: Option<String>,
    /// Which groups to impersonate.
    pub groups: Vec<String>,
}

/// Things that have pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A pod itself.
    Pod,
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// A ReplicaSet.
    ReplicaSet,
    /// A ReplicationController.
    ReplicationController,
    /// A Job.
    Job,
    /// A Service.
    Service,
}

impl Kind {
    /// Every one, each with its short name first, and its plural last.
    const NAMES: [(Self, &'static [&'static str]); 8] = [
        (Self::Pod, &["po", "pod", "pods"]),
        (Self::Deployment, &["deploy", "deployment", "deployments"]),
        (Self::StatefulSet, &["sts", "statefulset", "statefulsets"]),
        (Self::DaemonSet, &["ds", "daemonset", "daemonsets"]),
        (Self::ReplicaSet, &["rs", "replicaset", "replicasets"]),
        (Self::ReplicationController, &["rc", "replicationcontroller", "replicationcontrollers"]),
        (Self::Job, &["job", "jobs"]),
        (Self::Service, &["svc", "service", "services"]),
    ];

    /// The kind of a name as kubectl knows it, such as `deploy`, `deployments` or `deployments.apps`.
    pub fn named(name: &str) -> Option<Self> {
        let (name, group) = name.split_once('.').unwrap_or((name, ""));
        let is_group =
            |kind: &Self| group.is_empty() || group == kind.group() || group.strip_prefix("v1.") == Some(kind.group());
        let named = Self::NAMES.iter().find(|(_, names)| names.iter().any(|it| it.eq_ignore_ascii_case(name)));
        named.map(|(kind, _)| *kind).filter(is_group)
    }

    /// Its short name.
    pub fn short(self) -> &'static str {
        self.names().first().copied().unwrap_or_default()
    }

    /// The name of its resource, as rules of access control have it.
    pub fn resource(self) -> &'static str {
        self.names().last().copied().unwrap_or_default()
    }

    /// The group of its resource; the core group is empty.
    pub fn group(self) -> &'static str {
        match self {
            Self::Pod | Self::ReplicationController | Self::Service => "",
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::ReplicaSet => "apps",
            Self::Job => "batch",
        }
    }

    fn names(self) -> &'static [&'static str] {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or(&[], |(_, names)| names)
    }
}

/// A port of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PodPort {
    /// Never 0.
    Number(u16),
    /// As a container or a Service calls it.
    Name(String),
}

impl fmt::Display for PodPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl FromStr for PodPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| *number != 0);
            return number
                .map(Self::Number)
                .ok_or_else(|| format!("`{}` is not a port (1 to 65535)", text.escape_debug()));
        }
        let is_name = text.len() <= LONGEST_LABEL
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        is_name
            .then(|| Self::Name(text.to_owned()))
            .ok_or_else(|| format!("`{}` is not the number or name of a port", text.escape_debug()))
    }
}

/// What the flags of kubectl say, for targets that do not say it themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodFlags {
    /// `-n`.
    pub namespace: Option<String>,
    /// `-l`.
    pub selector: Option<String>,
    /// `--rollout`.
    pub rollout: Option<String>,
    /// `-c`.
    pub container: Option<String>,
    /// `--context`, `--kubeconfig`, `--as` and `--as-group`.
    pub access: Access,
}

impl PodFlags {
    /// The first flag that was given, with its name.
    pub fn given(&self) -> Option<&'static str> {
        let Self { namespace, selector, rollout, container, access: Access { context, kubeconfig, user, groups } } =
            self;
        let given = [
            (namespace.is_some(), "--namespace"),
            (selector.is_some(), "--selector"),
            (rollout.is_some(), "--rollout"),
            (container.is_some(), "--container"),
            (context.is_some(), "--context"),
            (kubeconfig.is_some(), "--kubeconfig"),
            (user.is_some(), "--as"),
            (!groups.is_empty(), "--as-group"),
        ];
        given.into_iter().find(|(is_given, _)| *is_given).map(|(_, flag)| flag)
    }

    /// The target that they mean by themselves.
    pub fn target(&self) -> Option<PodTarget> {
        (self.selector.is_some() || self.rollout.is_some()).then(|| {
            let mut target = PodTarget::default();
            self.fill(&mut target);
            target
        })
    }

    /// Says what a target leaves open.
    pub fn fill(&self, target: &mut PodTarget) {
        let fill = |given: &mut Option<String>, flag: &Option<String>| {
            if given.is_none() {
                given.clone_from(flag);
            }
        };
        fill(&mut target.namespace, &self.namespace);
        fill(&mut target.selector, &self.selector);
        fill(&mut target.rollout, &self.rollout);
        fill(&mut target.container, &self.container);
        fill(&mut target.access.context, &self.access.context);
        fill(&mut target.access.kubeconfig, &self.access.kubeconfig);
        fill(&mut target.access.user, &self.access.user);
        if target.access.groups.is_empty() {
            target.access.groups.clone_from(&self.access.groups);
        }
    }
}

impl PodTarget {
    /// Reads what follows `k8s://`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_url(rest: &str) -> Result<Self, String> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (namespace, object) = path.split_once('/').unwrap_or((path, ""));
        let mut target = Self::default();
        if !namespace.is_empty() {
            target.namespace = Some(label(namespace, "namespace")?);
        }
        if !object.is_empty() {
            target.set_object(object)?;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            target.set_parameter(pair)?;
        }
        if target.object.is_none() && target.selector.is_none() && target.rollout.is_none() {
            return Err("the name of the pod is missing, as in k8s://NAMESPACE/POD; k8s:///POD takes the namespace of the context".to_owned());
        }
        Ok(target)
    }

    /// Reads kubectl's own spelling, such as `deploy/web`; none if it is not that.
    pub fn of_kubectl(text: &str) -> Option<Result<Self, String>> {
        let (kind, _) = text.split_once('/')?;
        Kind::named(kind)?;
        let mut target = Self::default();
        Some(target.set_object(text).map(|()| target))
    }

    /// `POD[:PORT]` or `KIND/NAME[:PORT]`.
    fn set_object(&mut self, text: &str) -> Result<(), String> {
        let (object, port) = text.split_once(':').map_or((text, None), |(object, port)| (object, Some(port)));
        let (kind, name) = match object.split_once('/') {
            Some((kind, name)) => {
                let unknown = || {
                    let kinds: Vec<_> = Kind::NAMES.iter().map(|(kind, _)| kind.short()).collect();
                    format!("`{}` has no pods; there are {}", kind.escape_debug(), kinds.join(", "))
                };
                (Kind::named(kind).ok_or_else(unknown)?, name)
            }
            None => (Kind::Pod, object),
        };
        self.object = Some((kind, object_name(name)?));
        self.port = port.map(PodPort::from_str).transpose()?;
        Ok(())
    }

    fn set_parameter(&mut self, pair: &str) -> Result<(), String> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value)
            .decode_utf8()
            .map_err(|_| format!("the value of `{}` is not UTF-8", key.escape_debug()))?;
        if value.is_empty() || value.contains(char::is_control) {
            return Err(format!("`{}` has no value", key.escape_debug()));
        }
        let value = value.into_owned();
        let place = match key {
            "selector" => &mut self.selector,
            "rollout" => {
                object_name(&value)?;
                &mut self.rollout
            }
            "container" => {
                label(&value, "container")?;
                &mut self.container
            }
            "context" => &mut self.access.context,
            "kubeconfig" => &mut self.access.kubeconfig,
            "as" => &mut self.access.user,
            "as-group" => {
                self.access.groups.push(value);
                return Ok(());
            }
            "port" => {
                self.port = Some(value.parse()?);
                return Ok(());
            }
            other => {
                return Err(format!(
                    "`{}` is unknown; there are selector, rollout, port, container, context, kubeconfig, as and as-group",
                    other.escape_debug()
                ));
            }
        };
        *place = Some(value);
        Ok(())
    }
}

impl fmt::Display for PodTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/", self.namespace.as_deref().unwrap_or_default())?;
        let mut in_query = self.port.as_ref();
        if let Some((kind, name)) = &self.object {
            if *kind != Kind::Pod {
                write!(f, "{}/", kind.short())?;
            }
            f.write_str(name)?;
            if let Some(port) = in_query.take() {
                write!(f, ":{port}")?;
            }
        }
        let Access { context, kubeconfig, user, groups } = &self.access;
        let port = in_query.map(ToString::to_string);
        let values = [
            ("selector", &self.selector),
            ("rollout", &self.rollout),
            ("port", &port),
            ("container", &self.container),
            ("context", context),
            ("kubeconfig", kubeconfig),
            ("as", user),
        ];
        let values = values.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?)));
        let values = values.chain(groups.iter().map(|group| ("as-group", group.as_str())));
        for (n, (key, value)) in values.enumerate() {
            let mark = if n == 0 { '?' } else { '&' };
            write!(f, "{mark}{key}={}", utf8_percent_encode(value, ESCAPED))?;
        }
        Ok(())
    }
}

/// A name of at most 63 letters, digits and dashes.
///
/// # Errors
/// It is something else.
pub fn label(text: &str, what: &str) -> Result<String, String> {
    let is_label = text.len() <= LONGEST_LABEL && is_name(text) && !text.contains('.');
    is_label.then(|| text.to_owned()).ok_or_else(|| format!("`{}` is not the name of a {what}", text.escape_debug()))
}

/// The name of a thing in a namespace.
///
/// # Errors
/// It is something else.
pub fn object_name(text: &str) -> Result<String, String> {
    let is_object = text.len() <= LONGEST_NAME && is_name(text);
    is_object
        .then(|| text.to_owned())
        .ok_or_else(|| format!("`{}` is not a name of Kubernetes (a to z, 0 to 9, `-` and `.`)", text.escape_debug()))
}

fn is_name(text: &str) -> bool {
    let ends_well = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    ends_well(text.bytes().next())
        && ends_well(text.bytes().last())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> PodTarget {
        PodTarget::of_url(text.strip_prefix(SCHEME).unwrap()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_documented_form_is_understood() {
        let web = |kind, port| PodTarget {
            namespace: Some("shop".to_owned()),
            object: Some((kind, "web".to_owned())),
            port,
            ..PodTarget::default()
        };
        for (text, target) in [
            ("k8s://shop/web", web(Kind::Pod, None)),
            ("k8s://shop/po/web", web(Kind::Pod, None)),
            ("k8s://shop/web:6669", web(Kind::Pod, Some(PodPort::Number(6669)))),
            ("k8s://shop/deploy/web:console", web(Kind::Deployment, Some(PodPort::Name("console".to_owned())))),
            ("k8s://shop/deployments.apps/web", web(Kind::Deployment, None)),
            ("k8s://shop/StatefulSet/web", web(Kind::StatefulSet, None)),
            ("k8s://shop/svc/web:80", web(Kind::Service, Some(PodPort::Number(80)))),
            ("k8s:///web", PodTarget { namespace: None, ..web(Kind::Pod, None) }),
        ] {
            assert_eq!(parsed(text), target, "{text}");
        }
        let selected = parsed("k8s://shop/?selector=app%3Dweb,track%3Dcanary&context=arn:aws:eks:eu:1:cluster/a@b");
        assert_eq!(selected.selector.as_deref(), Some("app=web,track=canary"));
        assert_eq!(selected.access.context.as_deref(), Some("arn:aws:eks:eu:1:cluster/a@b"));
        assert_eq!(parsed("k8s:///?rollout=web").rollout.as_deref(), Some("web"));
        assert_eq!(parsed("k8s:///web?as=eve&as-group=a&as-group=b").access.groups, ["a", "b"]);
    }

    #[test]
    fn a_wrong_form_says_what_is_wrong() {
        for (rest, problem) in [
            ("shop", "the name of the pod is missing"),
            ("shop/", "the name of the pod is missing"),
            ("Shop/web", "`Shop` is not the name of a namespace"),
            ("shop/cronjob/web", "`cronjob` has no pods"),
            ("shop/deploy/", "is not a name"),
            ("shop/web:0", "`0` is not a port"),
            ("shop/web:", "is not a port"),
            ("shop/web:A b", "not the number or name of a port"),
            ("shop/?selector=", "`selector` has no value"),
            ("shop/web?label=a", "`label` is unknown"),
            ("shop/web?container=A", "`A` is not the name of a container"),
        ] {
            let error = PodTarget::of_url(rest).unwrap_err();
            assert!(error.contains(problem), "{rest}: {error}");
        }
    }

    #[test]
    fn kubectls_spelling_needs_a_known_kind() {
        assert_eq!(PodTarget::of_kubectl("deploy/web").unwrap().unwrap().to_string(), "k8s:///deploy/web");
        assert!(PodTarget::of_kubectl("src/web").is_none());
        assert!(PodTarget::of_kubectl("deploy/Web").unwrap().is_err());
    }

    #[test]
    fn flags_say_what_a_target_leaves_open_and_no_more() {
        let flags =
            PodFlags { namespace: Some("other".to_owned()), container: Some("app".to_owned()), ..PodFlags::default() };
        let (mut named, mut open) = (parsed("k8s://shop/web"), parsed("k8s:///web?container=proxy"));
        flags.fill(&mut named);
        flags.fill(&mut open);
        assert_eq!(named.to_string(), "k8s://shop/web?container=app");
        assert_eq!(open.to_string(), "k8s://other/web?container=proxy");
        assert_eq!((flags.given(), flags.target()), (Some("--namespace"), None));
        let selecting = PodFlags { selector: Some("app=web".to_owned()), ..flags };
        assert_eq!(selecting.target().unwrap().to_string(), "k8s://other/?selector=app=web&container=app");
    }

    pub(crate) fn any_pod() -> impl Strategy<Value = PodTarget> {
        let name = || "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?";
        let text = || proptest::option::of("[^\\p{Cc}]{1,20}");
        let kind = proptest::sample::select(Kind::NAMES.map(|(kind, _)| kind).to_vec());
        let port =
            prop_oneof![(1..=u16::MAX).prop_map(PodPort::Number), "[a-z][a-z0-9-]{0,10}".prop_map(PodPort::Name)];
        let object = proptest::option::of((kind, name()));
        let place = (proptest::option::of(name()), object, proptest::option::of(port));
        let which = ("[^\\p{Cc}]{1,20}", proptest::option::of(name()), proptest::option::of(name()));
        let access = (text(), text(), text(), proptest::collection::vec("[^\\p{Cc}]{1,9}", 0..3));
        (place, which, access).prop_map(|((namespace, object, port), (selector, rollout, container), access)| {
            let (context, kubeconfig, user, groups) = access;
            let access = Access { context, kubeconfig, user, groups };
            PodTarget {
                namespace,
                object,
                port,
                selector: Some(selector),
                rollout,
                container,
                access,
                ..PodTarget::default()
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_typed(target in any_pod()) {
            let shown = target.to_string();
            prop_assert_eq!(PodTarget::of_url(shown.strip_prefix(SCHEME).unwrap()), Ok(target));
        }

        #[test]
        fn no_text_panics(text in "[a-z]{0,3}/?[a-z]{0,6}/?\\PC{0,20}") {
            let _ = PodTarget::of_url(&text);
            let _ = PodTarget::of_kubectl(&text);
        }
    }
}
