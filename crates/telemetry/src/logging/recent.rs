//! The newest lines of the log, kept for whoever has to say what went before something.

use std::{
    fmt,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many lines are kept.
pub const LINES: usize = 200;

/// The longest line that is kept, in bytes; of a longer one the beginning is. All lines together take at most 200 KiB.
pub const LONGEST_KEPT: usize = 1024;

/// What ends a line that was cut.
const CUT: &str = "…";

/// The last 200 lines of the log, as the log has them: escaped, one record each, cut to 1 KiB. Clones share them.
///
/// Neither reading nor writing ever waits for more than a pointer to be copied: each line has a place with a lock of its own, and
/// a reader goes from place to place.
#[derive(Clone)]
pub struct Recent(Arc<Ring>);

struct Ring {
    /// Lines so far; the next one takes the place of this number, modulo [`LINES`].
    next: AtomicU64,
    places: [Mutex<Option<Line>>; LINES],
}

/// A line and its number in the log.
type Line = (u64, Arc<str>);

/// The lines of this process's log.
pub(super) static OF_PROCESS: LazyLock<Recent> = LazyLock::new(Recent::default);

impl Recent {
    /// The lines, oldest first. Lines that are written meanwhile may be among them or not.
    #[must_use]
    pub fn lines(&self) -> Vec<Arc<str>> {
        let mut lines: Vec<Line> = self.0.places.iter().filter_map(|place| lock(place).clone()).collect();
        lines.sort_unstable_by_key(|(number, _)| *number);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// Keeps a line and forgets the oldest when there are too many.
    pub(super) fn push(&self, line: &str) {
        let line = shortened(line.trim_end_matches('\n'));
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        // cannot fail: it is less than 200
        let place = usize::try_from(number % LINES as u64).unwrap_or(0);
        let mut place = lock(&self.0.places[place]);
        // Who was overtaken by 200 others in between has nothing new to say.
        if place.as_ref().is_none_or(|(before, _)| *before < number) {
            *place = Some((number, line));
        }
    }
}

fn shortened(line: &str) -> Arc<str> {
    if line.len() <= LONGEST_KEPT {
        return line.into();
    }
    let end = line.floor_char_boundary(LONGEST_KEPT - CUT.len());
    format!("{}{CUT}", &line[..end]).into()
}

impl Default for Recent {
    fn default() -> Self {
        Self(Arc::new(Ring { next: AtomicU64::new(0), places: [const { Mutex::new(None) }; LINES] }))
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent")
            .field("written", &self.0.next.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

/// A line is whole or not there, so a panic elsewhere leaves nothing half done.
fn lock(place: &Mutex<Option<Line>>) -> MutexGuard<'_, Option<Line>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(recent: &Recent) -> Vec<String> {
        recent.lines().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_newest_lines_are_kept_in_their_order() {
        let recent = Recent::default();
        assert_eq!(recent.lines().len(), 0);
        for n in 0..LINES + 50 {
            recent.push(&format!("line {n}\n"));
        }
        let expected: Vec<_> = (50..LINES + 50).map(|n| format!("line {n}")).collect();
        assert_eq!(texts(&recent), expected);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let recent = Recent::default();
        recent.push(&"é".repeat(LONGEST_KEPT));
        recent.push(&"x".repeat(LONGEST_KEPT));
        let lines = texts(&recent);
        assert!(lines[0].len() <= LONGEST_KEPT && lines[0].ends_with("é…"), "{}", lines[0].len());
        assert_eq!(lines[1].len(), LONGEST_KEPT);
        assert!(!lines[1].ends_with(CUT));
    }

    #[test]
    fn a_slow_reader_keeps_nobody_from_logging() {
        let recent = Recent::default();
        recent.push("first");
        let slow = lock(&recent.0.places[0]);
        // All other places are free: whoever writes 199 lines meanwhile waits for nobody.
        for n in 1..LINES {
            recent.push(&n.to_string());
        }
        drop(slow);
        assert_eq!(recent.lines().len(), LINES);
    }

    #[test]
    fn many_writers_and_a_reader_lose_no_line() {
        let recent = Recent::default();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let recent = recent.clone();
                scope.spawn(move || (0..LINES / 4).for_each(|n| recent.push(&format!("{writer} {n}"))));
            }
            for _ in 0..100 {
                assert!(recent.lines().len() <= LINES);
            }
        });
        let mut lines = texts(&recent);
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), LINES);
    }
}
