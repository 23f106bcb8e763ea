//! The stream itself in a file (MCAP): written while it is watched, played back as a target.
