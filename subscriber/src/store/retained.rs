//! What has ended, kept for whoever attaches later: encoded, oldest first, limited by age and by bytes.

use std::collections::VecDeque;

use crate::clock::Moment;

/// The size of the pieces that are forgotten at once.
const PIECE: usize = 16 * 1024;

/// The fewest pieces, or all would be forgotten at once where there is little room.
const PIECES: usize = 8;

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
                let mut piece = Vec::with_capacity(PIECE.min(limit / PIECES).max(frames.len()));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    fn copied(retained: &Retained) -> Vec<u8> {
        let mut out = Vec::new();
        retained.copy_to(&mut out);
        out
    }

    #[test]
    fn the_oldest_is_forgotten_first_and_the_limit_holds() {
        let (mut retained, now) = (Retained::default(), Clock::start().now());
        let limit = 10 * PIECE;
        for number in 0..=255 {
            retained.push(&[number; PIECE / 4], now, limit);
            assert!(retained.bytes <= limit, "{} bytes", retained.bytes);
        }
        let copied = copied(&retained);
        assert_eq!(copied.len(), retained.bytes);
        assert!(copied.is_sorted(), "oldest first");
        assert_eq!(copied.last(), Some(&255));
    }

    #[test]
    fn little_is_forgotten_at_once_where_there_is_little_room() {
        let (mut retained, now, limit) = (Retained::default(), Clock::start().now(), PIECE);
        let mut least = limit;
        for number in 0..1_000_u32 {
            retained.push(&[0; 100], now, limit);
            least = if number > 200 { least.min(retained.bytes) } else { least };
        }
        assert!(least >= limit - limit / PIECES - 200, "{least} of {limit} bytes");
    }

    #[test]
    fn what_is_larger_than_all_there_is_room_for_is_not_kept() {
        let (mut retained, now) = (Retained::default(), Clock::start().now());
        retained.push(&[1; 100], now, 50);
        assert_eq!(copied(&retained), []);
    }

    #[test]
    fn what_ended_before_the_retention_is_forgotten() {
        let clock = Clock::start();
        let (mut retained, ended) = (Retained::default(), clock.now());
        retained.push(b"ended", ended, 100);
        retained.forget(ended, 0);
        assert_eq!(copied(&retained), b"ended");
        std::thread::sleep(Duration::from_millis(2));
        retained.forget(clock.now(), 1_000_000);
        assert_eq!(copied(&retained), []);
        assert_eq!(retained.bytes, 0);
    }
}
