//! How the terminal looks, and where the places of a target are in the repository.

use clap::Args;

use super::help::help;
use super::one_of::one_of;
use crate::config::Flags;
use crate::config::options::{Appearance, HYPERLINKS, Hyperlinks, PATH_PREFIX, PathPrefixes, THEME};
use crate::detect::settings::Type;

/// Where the places of a target are in the repository.
#[derive(Debug, Clone, Default, Args)]
pub struct Places {
    /// Beginnings of paths and what stands for them.
    #[arg(long = "path-prefix", value_name = "FROM=TO", value_parser = <PathPrefixes as Type>::parse)]
    #[arg(help = format!("{}; repeatable", help(&PATH_PREFIX)))]
    pub path_prefixes: Vec<PathPrefixes>,
}

impl Places {
    /// Puts what they say into the flags.
    pub(super) fn apply(&self, flags: &mut Flags) {
        let rules: Vec<_> = self.path_prefixes.iter().flat_map(|it| it.0.clone()).collect();
        flags.option("--path-prefix", &PATH_PREFIX, (!rules.is_empty()).then_some(Some(PathPrefixes(rules))));
    }
}

/// What the terminal is drawn with.
#[derive(Debug, Clone, Default, Args)]
pub struct Drawing {
    /// The background that its colours are for.
    #[arg(long, value_parser = one_of::<Appearance>(), help = help(&THEME))]
    pub theme: Option<Appearance>,
    /// Where the places in it lead.
    #[arg(long, value_name = "FORMAT", value_parser = <Hyperlinks as Type>::parse, help = help(&HYPERLINKS))]
    pub hyperlinks: Option<Hyperlinks>,
}

impl Drawing {
    /// Puts what they say into the flags.
    pub(super) fn apply(&self, flags: &mut Flags) {
        flags.option("--theme", &THEME, self.theme);
        flags.option("--hyperlinks", &HYPERLINKS, self.hyperlinks.clone());
    }

    /// The first of them that was given.
    pub fn given(&self) -> Option<&'static str> {
        let theme = self.theme.map(|_| "--theme");
        theme.or_else(|| self.hyperlinks.as_ref().map(|_| "--hyperlinks"))
    }
}

/// How the terminal looks.
#[derive(Debug, Clone, Default, Args)]
pub struct Looks {
    /// What it is drawn with.
    #[command(flatten)]
    pub drawing: Drawing,
    /// Where the places of a target are in the repository.
    #[command(flatten)]
    pub places: Places,
}

impl Looks {
    /// Puts what they say into the flags.
    pub(super) fn apply(&self, flags: &mut Flags) {
        self.drawing.apply(flags);
        self.places.apply(flags);
    }
}
