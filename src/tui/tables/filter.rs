//! The filter of a list: what is typed, and what was last understood of it.

use crate::report::columns::Column;
use crate::report::filter::{Mistake, Query};
use crate::tui::widgets::line::{Edit, TextLine};

/// The filter of a list.
#[derive(Debug, Clone)]
pub struct Filter<C> {
    line: TextLine,
    /// The last text that was understood.
    valid: String,
    query: Query<C>,
    mistake: Option<Mistake>,
}

impl<C> Default for Filter<C> {
    fn default() -> Self {
        Self { line: TextLine::default(), valid: String::new(), query: Query::default(), mistake: None }
    }
}

impl<C: Column> Filter<C> {
    /// The line as typed.
    pub fn line(&self) -> &TextLine {
        &self.line
    }

    /// The filter that holds, as text.
    pub fn text(&self) -> &str {
        &self.valid
    }

    /// The filter that holds.
    pub fn query(&self) -> &Query<C> {
        &self.query
    }

    /// What is wrong with the line.
    pub fn mistake(&self) -> Option<&Mistake> {
        self.mistake.as_ref()
    }

    /// Changes the line. A term that is not understood changes nothing else.
    pub fn edit(&mut self, edit: Edit) {
        self.line.edit(edit);
        self.read();
    }

    /// Replaces the line.
    pub fn set(&mut self, text: &str) {
        self.line.set(text);
        self.read();
    }

    fn read(&mut self) {
        match Query::parse(self.line.text()) {
            Ok(query) => {
                (self.query, self.mistake) = (query, None);
                self.line.text().clone_into(&mut self.valid);
            }
            Err(mistake) => {
                // The beginning of a term that is being typed was a word of its own and has matched nothing.
                let before = self.line.text().strip_suffix(&mistake.term);
                if let Some((before, query)) = before.and_then(|it| Some((it.to_owned(), Query::parse(it).ok()?))) {
                    (self.valid, self.query) = (before, query);
                }
                self.mistake = Some(mistake);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tasks::TaskColumn;

    fn after(texts: &[&str]) -> (String, bool) {
        let mut filter: Filter<TaskColumn> = Filter::default();
        for text in texts {
            filter.set(text);
        }
        assert_eq!(&Query::parse(filter.text()).expect("it was understood"), filter.query());
        (filter.text().to_owned(), filter.mistake().is_some())
    }

    #[test]
    fn what_is_not_understood_changes_nothing() {
        for (texts, holds, is_mistaken) in [
            (&["state:idle", "state:idle a", "state:idle age", "state:idle age>"][..], "state:idle ", true),
            (&["age", "age>", "age>3", "age>3s"], "age>3s", false),
            (&["a", "age>"], "", true),
            (&["idle bank", "idle age> bank"], "idle bank", true),
            (&["age>", ""], "", false),
        ] {
            assert_eq!(after(texts), (holds.to_owned(), is_mistaken), "{texts:?}");
        }
    }
}
