//! How the terminal looks.

use super::word::Word;
use crate::detect::settings::Setting;

/// The background that colours are chosen for.
pub static THEME: Setting<Appearance> = Setting::new(
    "theme",
    Appearance::Auto,
    "background that the colours of the terminal are chosen for: `auto` reads COLORFGBG and takes dark where that is unset",
);

/// The background that colours are chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appearance {
    /// As the environment says.
    Auto,
    /// Black, or nearly so.
    Dark,
    /// White, or nearly so.
    Light,
}

impl Word for Appearance {
    const NOUN: &'static str = "a theme";
    const ALL: &'static [Self] = &[Self::Auto, Self::Dark, Self::Light];

    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dark => "dark",
            Self::Light => "light",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Auto => "As COLORFGBG says; dark where that is unset",
            Self::Dark => "For a dark background",
            Self::Light => "For a light background",
        }
    }
}
