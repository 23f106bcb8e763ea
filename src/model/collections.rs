//! Maps and sets of the model, by who chooses their keys.

use std::collections::{HashMap, HashSet};

use rustc_hash::FxBuildHasher;

/// Hashes what a target chooses, such as ids, names and places: with a seed that is drawn anew for each process, so that no choice of values
/// makes them collide. Iteration is in no order that could be relied on; sort what comes out of it.
pub(in crate::model) type Seeded = foldhash::quality::RandomState;

/// A map whose keys a target chooses.
pub(in crate::model) type SeededMap<K, V> = HashMap<K, V, Seeded>;

/// A set of values that a target chooses.
pub(in crate::model) type SeededSet<T> = HashSet<T, Seeded>;

/// A map by keys that the model hands out: they count upwards, whatever a target does.
pub(in crate::model) type KeyMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// A set of keys that the model hands out.
pub(in crate::model) type KeySet<K> = HashSet<K, FxBuildHasher>;
