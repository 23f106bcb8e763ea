//! How the terminal looks, where places are in the repository, and whether a terminal can be drawn on.

use std::env;

use rustix::system::uname;
use supports_hyperlinks::Stream;

use crate::config::Config;
use crate::config::options::{Appearance, HYPERLINKS, Hyperlinks, PATH_PREFIX, REDACT, THEME};
use crate::report::repository::Repository;
use crate::tui::theme::{Background, Theme};
use crate::tui::{Presentation, hyperlinks};

/// How the terminal looks: as its environment says, unless the user says otherwise.
fn theme(config: &Config) -> Theme {
    let theme = Theme::from_env();
    match config.get(&THEME) {
        Appearance::Auto => theme,
        Appearance::Dark => theme.on(Background::Dark),
        Appearance::Light => theme.on(Background::Light),
    }
}

/// What the terminal looks like.
pub(super) fn presentation(config: &Config) -> Presentation {
    Presentation { theme: theme(config), repository: repository(config), hyperlinks: links(config) }
}

/// What makes places lead to their files, where the terminal supports it.
fn links(config: &Config) -> Option<hyperlinks::Hyperlinks> {
    let format = match config.get(&HYPERLINKS) {
        Hyperlinks::Never => return None,
        Hyperlinks::Auto if !supports_hyperlinks::on(Stream::Stdout) => return None,
        Hyperlinks::Auto => Hyperlinks::FILE.to_owned(),
        Hyperlinks::To(format) => format,
    };
    let host = uname().nodename().to_string_lossy().into_owned();
    Some(hyperlinks::Hyperlinks::new(&format, &host, env::current_dir().ok()?))
}

/// Where the places of targets are.
pub(super) fn repository(config: &Config) -> Repository {
    let prefixes = config.get(&PATH_PREFIX).map(|it| it.0).unwrap_or_default();
    Repository::new(&prefixes, config.get(&REDACT))
}

/// What keeps a terminal of this name from being drawn on, as a sentence.
pub(super) fn undrawable(terminal: Option<&str>) -> Option<&'static str> {
    match terminal {
        None | Some("") => Some("TERM is not set, so nothing is known of a terminal to draw on."),
        Some("dumb") => Some("TERM is `dumb`: this terminal cannot be drawn on."),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_name_or_without_a_cursor_is_not_drawn_on() {
        assert_eq!(undrawable(Some("xterm-256color")), None);
        assert!([None, Some(""), Some("dumb")].into_iter().all(|it| undrawable(it).is_some()));
    }
}
