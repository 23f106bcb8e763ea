//! The right word nearest to a wrong one.

/// Words less alike than this are different words. At 0.8, `blocked` is near `blocked-worker`, and `reason` is not near `statement`.
const NEAR: f64 = 0.8;

/// The candidate that a misspelled word most likely stands for, if one is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |text: &str| text.to_lowercase().replace('_', "-");
    let word = folded(word);
    let rated = candidates.into_iter().map(|it| (it, strsim::jaro_winkler(&word, &folded(it))));
    let best = rated.filter(|(_, likeness)| *likeness >= NEAR).max_by(|one, other| one.1.total_cmp(&other.1));
    best.map(|(candidate, _)| candidate)
}

/// The end of a sentence about a word that is not among the right ones: the nearest of them, or otherwise what there is.
pub fn hint<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match nearest(word, candidates) {
        Some(right) => format!("; did you mean `{right}`?"),
        None => format!("; {}", otherwise()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let words = ["blocked-worker", "critical", "start-up", "warning", "deadlock", "statement"];
        for (wrong, right) in [
            ("blocked", Some("blocked-worker")),
            ("criticl", Some("critical")),
            ("CRITICAL", Some("critical")),
            ("start_up", Some("start-up")),
            ("warn", Some("warning")),
            ("deadlok", Some("deadlock")),
            ("reason", None),
            ("mutex", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, words), right, "{wrong}");
        }
    }

    #[test]
    fn a_hint_names_the_nearest_word_or_what_there_is() {
        let words = || "it has critical, enabled".to_owned();
        assert_eq!(hint("critcal", ["critical", "enabled"], words), "; did you mean `critical`?");
        assert_eq!(hint("limit", ["critical", "enabled"], words), "; it has critical, enabled");
    }
}
