//! What a target is called on the command line.
