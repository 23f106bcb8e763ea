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

    /// Changes the line. What is not understood changes nothing else.
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
            Err(mistake) => self.mistake = Some(mistake),
        }
    }
}
