//! The backend of ratatui: a frame without changes writes nothing to the terminal.

use std::io;

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

use super::writer::Frames;

/// Crossterm's backend, for a terminal whose cursor is hidden, without the escape sequences that surround each frame.
#[derive(Debug)]
pub(super) struct ChangesOnly(CrosstermBackend<Frames>);

impl ChangesOnly {
    /// A backend that writes to these frames.
    pub(super) fn new(frames: Frames) -> Self {
        Self(CrosstermBackend::new(frames))
    }

    /// What writes to the terminal.
    pub(super) fn writer(&mut self) -> &mut impl io::Write {
        &mut self.0
    }
}

impl Backend for ChangesOnly {
    type Error = io::Error;

    /// Crossterm's backend resets the colours after every frame, even an empty one.
    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        self.0.draw(content)
    }

    /// Ratatui hides the cursor after every frame. It has been hidden since the terminal was taken.
    fn hide_cursor(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.0.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.0.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.0.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.0.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.0.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        self.0.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.0.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
