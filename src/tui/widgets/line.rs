//! A line of text that is being typed.

/// A text and the place in it at which keys act.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextLine {
    text: String,
    /// In bytes, between two characters.
    cursor: usize,
}

/// What a key does to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Adds a character.
    Insert(char),
    /// Deletes the character before the cursor.
    Erase,
    /// Deletes the character at the cursor.
    Delete,
    /// Deletes the word before the cursor.
    EraseWord,
    /// Deletes everything before the cursor.
    EraseAll,
    /// One character to the left.
    Left,
    /// One character to the right.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
}

impl TextLine {
    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor, and the text from there on.
    pub fn halves(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// Replaces the text. The cursor is at its end.
    pub fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.cursor = self.text.len();
    }

    /// Does what a key does.
    pub fn edit(&mut self, edit: Edit) {
        let (before, after) = self.halves();
        let left = before.char_indices().next_back().map_or(0, |(at, _)| at);
        let right = self.cursor + after.chars().next().map_or(0, char::len_utf8);
        match edit {
            Edit::Insert(character) => {
                self.text.insert(self.cursor, character);
                self.cursor += character.len_utf8();
            }
            Edit::Erase => self.erase_from(left),
            Edit::Delete => drop(self.text.drain(self.cursor..right)),
            Edit::EraseWord => {
                let word = before.trim_end();
                self.erase_from(
                    word.rfind(char::is_whitespace)
                        .map_or(0, |at| at + word[at..].chars().next().map_or(0, char::len_utf8)),
                );
            }
            Edit::EraseAll => self.erase_from(0),
            Edit::Left => self.cursor = left,
            Edit::Right => self.cursor = right,
            Edit::Home => self.cursor = 0,
            Edit::End => self.cursor = self.text.len(),
        }
    }

    fn erase_from(&mut self, start: usize) {
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, edits: &[Edit]) -> String {
        let mut line = TextLine::default();
        line.set(text);
        edits.iter().for_each(|edit| line.edit(*edit));
        let (before, after) = line.halves();
        format!("{before}|{after}")
    }

    #[test]
    fn keys_act_at_the_cursor() {
        for (text, edits, result) in [
            ("ab", &[Edit::Left, Edit::Insert('x')][..], "ax|b"),
            ("ab", &[Edit::Home, Edit::Delete, Edit::End], "b|"),
            ("größe", &[Edit::Left, Edit::Erase], "grö|e"),
            ("größe", &[Edit::Home, Edit::Right, Edit::Right, Edit::Delete], "gr|ße"),
            ("state:idle name:bank ", &[Edit::EraseWord], "state:idle |"),
            ("one\u{3000}two", &[Edit::EraseWord], "one\u{3000}|"),
            ("one two", &[Edit::Left, Edit::EraseAll], "|o"),
            ("", &[Edit::Erase, Edit::Delete, Edit::EraseWord, Edit::Left, Edit::Right], "|"),
        ] {
            assert_eq!(after(text, edits), result, "{text} {edits:?}");
        }
    }
}
