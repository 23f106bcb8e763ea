//! How the terminal looks.

use super::word::Word;
use crate::detect::settings::{Setting, Type};

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

/// Where places lead.
pub static HYPERLINKS: Setting<Hyperlinks> = Setting::new(
    "hyperlinks",
    Hyperlinks::Auto,
    "hyperlinks (OSC 8) on places in the terminal: `auto` links to the file where the terminal is known to support that, `never` to nothing, and a format such as `vscode://file{path}:{line}:{column}` in any terminal",
);

/// Where the places in the terminal lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hyperlinks {
    /// To their file, where the terminal is known to support it.
    Auto,
    /// Nowhere.
    Never,
    /// To what this format makes of them, in any terminal.
    To(String),
}

impl Hyperlinks {
    /// What leads to a file in most terminals.
    pub const FILE: &'static str = "file://{host}{path}";

    /// What a format may name.
    const NAMES: [&'static str; 4] = ["host", "path", "line", "column"];
}

impl Type for Hyperlinks {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "never" => return Ok(Self::Never),
            _ => {}
        }
        if !text.contains("://") || !text.contains("{path}") {
            return Err(format!(
                "`{text}` is not `auto`, `never` or a format with {{path}}, such as vscode://file{{path}}:{{line}}:{{column}}"
            ));
        }
        if text.chars().any(|it| !it.is_ascii_graphic()) {
            return Err(format!("`{text}` contains what no address may contain; write it as %20 and the like"));
        }
        for part in text.split('{').skip(1) {
            let name = part.split('}').next().unwrap_or_default();
            if !Self::NAMES.contains(&name) {
                return Err(format!("`{{{name}}}` is not one of {{host}}, {{path}}, {{line}} and {{column}}"));
            }
        }
        Ok(Self::To(text.to_owned()))
    }

    fn written(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Never => "never".to_owned(),
            Self::To(format) => format.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_of_hyperlinks_names_the_path_and_nothing_unknown() {
        let format = "vscode://file{path}:{line}:{column}";
        assert_eq!(Hyperlinks::parse(format), Ok(Hyperlinks::To(format.to_owned())));
        assert_eq!(Hyperlinks::parse("never"), Ok(Hyperlinks::Never));
        for (wrong, says) in [
            ("always", "`always` is not `auto`, `never` or a format"),
            ("file://{host}", "a format with {path}"),
            ("file://{path}{row}", "`{row}` is not one of"),
            ("file://{path}\u{1b}", "contains what no address may contain"),
        ] {
            assert!(Hyperlinks::parse(wrong).is_err_and(|error| error.contains(says)), "{wrong}");
        }
    }
}
