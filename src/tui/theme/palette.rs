//! The colours: for dark and light backgrounds, for terminals with 256 colours and with sixteen.
//!
//! Every colour has a contrast of at least 4.5:1 (WCAG 2.1, success criterion 1.4.3) on the backgrounds that the tests list. No colour
//! carries a meaning alone: a word or a sign always says the same.

use ratatui::style::Color;

/// How many colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// None are wanted.
    None,
    /// The sixteen whose looks the terminal decides.
    Sixteen,
    /// 256, of which those from 16 on look the same everywhere.
    Full,
}

/// What the terminal writes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// Black, or nearly so.
    Dark,
    /// White, or nearly so.
    Light,
}

impl Background {
    /// The background that `COLORFGBG` tells, such as `15;0`: a number of the sixteen colours comes last.
    pub(super) fn of_colors(colors: &str) -> Self {
        match colors.rsplit(';').next() {
            Some("7" | "15") => Self::Light,
            _ => Self::Dark,
        }
    }
}

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Critical,
    Warning,
    Info,
    Good,
    Heading,
    Key,
    Dim,
}

/// The colour for a role; nothing where the terminal's own is best.
pub(super) fn color(depth: Depth, background: Background, role: Role) -> Option<Color> {
    match (depth, background) {
        (Depth::None, _) => None,
        (Depth::Full, Background::Dark) => Some(Color::Indexed(match role {
            Role::Critical => 209,
            Role::Warning | Role::Key => 221,
            Role::Info => 117,
            Role::Good => 115,
            Role::Heading => 159,
            Role::Dim => 248,
        })),
        (Depth::Full, Background::Light) => Some(Color::Indexed(match role {
            Role::Critical => 124,
            Role::Warning | Role::Key => 94,
            Role::Info | Role::Heading => 25,
            Role::Good => 23,
            Role::Dim => 240,
        })),
        (Depth::Sixteen, Background::Dark) => match role {
            Role::Critical => Some(Color::LightRed),
            Role::Warning | Role::Key => Some(Color::LightYellow),
            Role::Info | Role::Heading => Some(Color::LightCyan),
            Role::Good => Some(Color::LightGreen),
            // Bright black is too dark in most palettes.
            Role::Dim => None,
        },
        // Of the dark colours most palettes make only these dark enough for white.
        (Depth::Sixteen, Background::Light) => match role {
            Role::Critical => Some(Color::Red),
            Role::Warning | Role::Key | Role::Heading => Some(Color::Blue),
            Role::Info | Role::Good | Role::Dim => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 7] =
        [Role::Critical, Role::Warning, Role::Info, Role::Good, Role::Heading, Role::Key, Role::Dim];
    /// The least contrast of text, by WCAG 2.1.
    const LEAST: f64 = 4.5;

    type Rgb = [u8; 3];

    /// Usual backgrounds: plain ones, and those of Solarized, Dracula, Nord, Gruvbox and One.
    const DARK: [Rgb; 6] = [[0, 0, 0], [0, 43, 54], [40, 42, 54], [46, 52, 64], [40, 40, 40], [40, 44, 52]];
    const LIGHT: [Rgb; 4] = [[255, 255, 255], [253, 246, 227], [251, 241, 199], [250, 250, 250]];

    /// The palettes of xterm, VGA, the Windows console, `Terminal.app` and `PuTTY`: red, blue, and the bright red, green, yellow and cyan; black
    /// and white as backgrounds.
    const SIXTEEN: [([Rgb; 6], Rgb, Rgb); 5] = [
        (
            [[205, 0, 0], [0, 0, 238], [255, 0, 0], [0, 255, 0], [255, 255, 0], [0, 255, 255]],
            [0, 0, 0],
            [255, 255, 255],
        ),
        (
            [[170, 0, 0], [0, 0, 170], [255, 85, 85], [85, 255, 85], [255, 255, 85], [85, 255, 255]],
            [0, 0, 0],
            [255, 255, 255],
        ),
        (
            [[197, 15, 31], [0, 55, 218], [231, 72, 86], [22, 198, 12], [249, 241, 165], [97, 214, 214]],
            [12, 12, 12],
            [242, 242, 242],
        ),
        (
            [[194, 54, 33], [73, 46, 225], [252, 57, 31], [49, 231, 34], [234, 236, 35], [20, 240, 240]],
            [0, 0, 0],
            [255, 255, 255],
        ),
        (
            [[187, 0, 0], [0, 0, 187], [255, 85, 85], [85, 255, 85], [255, 255, 85], [85, 255, 255]],
            [0, 0, 0],
            [255, 255, 255],
        ),
    ];

    /// Relative luminance, by WCAG 2.1.
    fn luminance(color: Rgb) -> f64 {
        let linear = color.map(|channel| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    fn contrast(one: Rgb, other: Rgb) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// A colour of the cube or the greys of 256 colours, as xterm defines them.
    fn indexed(index: u8) -> Rgb {
        let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
        match index {
            16..=231 => [(index - 16) / 36, (index - 16) / 6 % 6, (index - 16) % 6].map(level),
            _ => [8 + 10 * index.saturating_sub(232); 3],
        }
    }

    #[test]
    fn every_colour_can_be_read_on_the_usual_backgrounds() {
        for (background, on) in [(Background::Dark, &DARK[..]), (Background::Light, &LIGHT[..])] {
            for role in ROLES {
                let Some(Color::Indexed(index)) = color(Depth::Full, background, role) else {
                    panic!("{role:?} has no colour of its own on {background:?}");
                };
                for on in on {
                    let contrast = contrast(indexed(index), *on);
                    assert!(contrast >= LEAST, "{role:?} ({index}) on {on:?}: {contrast:.2}");
                }
            }
        }
    }

    #[test]
    fn every_one_of_sixteen_colours_can_be_read_in_the_usual_palettes() {
        for (palette, black, white) in SIXTEEN {
            for (background, on) in [(Background::Dark, black), (Background::Light, white)] {
                for role in ROLES {
                    let index = match color(Depth::Sixteen, background, role) {
                        None => continue,
                        Some(Color::Red) => 0,
                        Some(Color::Blue) => 1,
                        Some(Color::LightRed) => 2,
                        Some(Color::LightGreen) => 3,
                        Some(Color::LightYellow) => 4,
                        Some(Color::LightCyan) => 5,
                        Some(other) => panic!("{other:?} is not in the table"),
                    };
                    let contrast = contrast(palette[index], on);
                    assert!(contrast >= LEAST, "{role:?} {:?} on {on:?}: {contrast:.2}", palette[index]);
                }
            }
        }
    }

    /// What a colour looks like to somebody who sees no red, or no green (Viénot, Brettel and Mollon 1999).
    fn without(color: Rgb, matrix: [[f64; 3]; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(color).map(|(weight, channel)| weight * f64::from(channel)).sum())
    }

    #[test]
    fn severities_differ_for_those_who_see_no_red_or_no_green() {
        let protanope = [[0.1124, 0.8876, 0.0], [0.1124, 0.8876, 0.0], [0.004, -0.004, 1.0]];
        let deuteranope = [[0.2928, 0.7072, 0.0], [0.2928, 0.7072, 0.0], [-0.0223, 0.0223, 1.0]];
        for background in [Background::Dark, Background::Light] {
            let seen = |role, matrix| match color(Depth::Full, background, role) {
                Some(Color::Indexed(index)) => without(indexed(index), matrix),
                other => panic!("{other:?}"),
            };
            for matrix in [protanope, deuteranope] {
                for (one, other) in
                    [(Role::Critical, Role::Warning), (Role::Critical, Role::Good), (Role::Warning, Role::Info)]
                {
                    let (one_seen, other_seen) = (seen(one, matrix), seen(other, matrix));
                    let distance: f64 =
                        one_seen.iter().zip(other_seen).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    assert!(distance > 35.0, "{one:?} and {other:?} on {background:?}: {distance:.0}");
                }
            }
        }
    }
}
