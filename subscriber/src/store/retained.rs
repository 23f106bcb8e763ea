//! What has ended, kept for whoever attaches later: encoded, oldest first, limited by age and by bytes.

use std::collections::VecDeque;

use crate::clock::Moment;

/// The size of the pieces that are forgotten at once.
const PIECE: usize = 16 * 1024;

/// Entities of one kind that have ended.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

#[derive(Debug)]
struct Piece {
    frames: Vec<u8>,
    /// The end of the youngest.
    newest: Moment,
}

impl Retained {
    /// Keeps the frames of an entity that ended `now`, and forgets the oldest where there would be more than `limit` bytes.
    pub(crate) fn push(&mut self, frames: &[u8], now: Moment, limit: usize) {
        while self.bytes + frames.len() > limit {
            let Some(oldest) = self.pieces.pop_front() else { return };
            self.bytes -= oldest.frames.len();
        }
        self.bytes += frames.len();
        match self.pieces.back_mut() {
            Some(last) if last.frames.len() + frames.len() <= last.frames.capacity() => {
                last.frames.extend_from_slice(frames);
                last.newest = now;
            }
            _ => {
                let mut piece = Vec::with_capacity(PIECE.min(limit).max(frames.len()));
                piece.extend_from_slice(frames);
                self.pieces.push_back(Piece { frames: piece, newest: now });
            }
        }
    }

    /// Forgets what ended more than `retention` nanoseconds ago.
    pub(crate) fn forget(&mut self, now: Moment, retention: u64) {
        while self.pieces.front().is_some_and(|oldest| now.since(oldest.newest) > retention) {
            if let Some(oldest) = self.pieces.pop_front() {
                self.bytes -= oldest.frames.len();
            }
        }
    }

    /// Appends all of it.
    pub(crate) fn copy_to(&self, out: &mut Vec<u8>) {
        self.pieces.iter().for_each(|piece| out.extend_from_slice(&piece.frames));
    }
}
