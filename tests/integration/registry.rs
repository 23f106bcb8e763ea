//! The registry of detectors, and the files that they are written in.

use std::collections::BTreeSet;

use tokio_canary::detect::detectors::DETECTORS;

use crate::source::{in_repository, read_sources};

#[test]
fn detectors_are_named_like_their_files() {
    let ids: BTreeSet<&str> = DETECTORS.iter().map(|detector| detector.id).collect();
    assert_eq!(ids.len(), DETECTORS.len(), "two detectors share an id");
    let folder = in_repository("src/detect/detectors");
    let files = read_sources(&folder).into_iter().filter_map(|source| {
        let module = source.module();
        let [family, detector] = module.as_slice() else { return None };
        Some((detector.replace('_', "-"), (*family).to_owned()))
    });
    let rows = DETECTORS.iter().map(|row| (row.id.to_owned(), row.family.as_str().to_owned()));
    assert_eq!(
        files.collect::<BTreeSet<_>>(),
        rows.collect(),
        "a detector is called otherwise, or in another family's folder"
    );
    for id in ids {
        let words_are_lower_case =
            id.split('-').all(|word| !word.is_empty() && word.chars().all(|it| it.is_ascii_lowercase()));
        assert!(words_are_lower_case, "{id} is not in kebab case");
    }
}
