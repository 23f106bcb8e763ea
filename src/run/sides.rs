//! The two sides of a comparison: the targets that are named, and every pod that they mean while it lasts.

use super::exit::UsageError;
use super::opener::Opener;
use super::roster::Roster;
use crate::cli::Compare;
use crate::compare::Side;
use crate::config::Config;
use crate::config::options::MAX_TARGETS;
use crate::feed::discovery::all_of;
use crate::feed::endpoint::{Address, Target};
use crate::feed::kubernetes::discover;
use crate::feed::pod_target::PodTarget;
use crate::feed::recording::Speed;

/// The sides in the order in which their targets are named.
pub(super) const SIDES: [Side; 2] = [Side::Canary, Side::Stable];

/// The targets of a comparison.
pub(super) struct Sides {
    /// Those that are named, the canary's first.
    pub(super) targets: Vec<Target>,
    /// How many of them are the canary.
    pub(super) canaries: usize,
    /// What finds the others of each side.
    pub(super) rosters: [Option<Roster>; 2],
}

impl Sides {
    /// The targets of a comparison.
    ///
    /// # Errors
    /// Every pod is asked for, and no target is one; or a suppression cannot be applied to stand-ins.
    pub(super) fn of(args: &Compare, config: &Config) -> Result<Self, UsageError> {
        let (targets, canaries) = (config.targets(), args.canary.len());
        if !args.all_pods {
            return Ok(Self { targets: targets.to_vec(), canaries, rosters: [None, None] });
        }
        if !targets.iter().any(|target| pod(target).is_some()) {
            let why = "--all-pods is for pods of Kubernetes, and no target is one. Name one, as in `deploy/NAME -n NAMESPACE`.";
            return Err(UsageError(why.to_owned()));
        }
        let (canary, stable) = targets.split_at(canaries.min(targets.len()));
        let named = |side: &[Target]| side.iter().filter(|it| pod(it).is_none()).cloned().collect::<Vec<_>>();
        let named = [named(canary), named(stable)];
        let (canaries, targets) = (named[0].len(), named.concat());
        let clusters = config.pods().clusters();
        let most = config.get(&MAX_TARGETS);
        let roster = |side: &[Target], before: usize, of: &'static str| {
            let pods = side.iter().filter_map(pod);
            let discovery = all_of(pods.map(|pod| discover(pod.clone(), clusters.clone())).collect());
            let opener = Opener::new(config, Speed::Max).map_err(anyhow::Error::from)?;
            let opener = opener.sharing(clusters.clone()).after(before);
            Ok::<_, UsageError>(discovery.map(|it| Roster::following(it, opener, most, of)))
        };
        // Stand-ins of the two sides are apart.
        let rosters =
            [roster(canary, targets.len(), " of the canary")?, roster(stable, targets.len() + most, " of stable")?];
        Ok(Self { targets, canaries, rosters })
    }
}

/// The pods that a target means, if it means some.
fn pod(target: &Target) -> Option<&PodTarget> {
    match target {
        Target::Live(Address::Pod(pod)) => Some(pod),
        _ => None,
    }
}
