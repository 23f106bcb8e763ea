//! Text in lines of a given width.

use textwrap::{WordSeparator, WordSplitter};

/// Wraps a text; the first line begins with one indent, the others with another.
pub(super) fn wrap(text: &str, width: usize, first: &str, others: &str) -> String {
    let options = textwrap::Options::new(width)
        .initial_indent(first)
        .subsequent_indent(others)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}
