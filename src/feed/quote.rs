//! Text of others in sentences for the user.

/// A target's own words are cut at this length: they are a hint, not the message.
const MAX_QUOTE: usize = 200;

/// Text of others: it may contain escape sequences and line breaks, and be long.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == MAX_QUOTE {
            quoted.push('…');
            break;
        }
        if c == '"' || c == '\'' {
            quoted.push(c);
        } else {
            quoted.extend(c.escape_debug());
        }
    }
    quoted
}
