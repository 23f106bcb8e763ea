//! Which key does what: one table that the keyboard, the footer and the help all read.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::state::{Context, UiState};
use super::widgets::line::Edit;

/// What the user can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Leave.
    Quit,
    /// Stop until the shell continues us.
    Suspend,
    /// Redraw the screen.
    Redraw,
    /// Show or hide the help.
    Help,
    /// Show the overview.
    Overview,
    /// Show the comparison.
    Comparison,
    /// Show the findings.
    Findings,
    /// Show the tasks by spawn site, or from there one by one.
    Tasks,
    /// Show the tasks one by one.
    AllTasks,
    /// Show the resources.
    Resources,
    /// Show the timeline.
    Timeline,
    /// Show the next target.
    NextTarget,
    /// Show the previous target.
    PreviousTarget,
    /// Open what is selected.
    Open,
    /// Go back to where we came from.
    Back,
    /// Go forward to where we came back from.
    Forward,
    /// Open the next finding.
    NextFinding,
    /// Open the previous finding.
    PreviousFinding,
    /// One row down.
    Down,
    /// One row up.
    Up,
    /// One screen down.
    PageDown,
    /// One screen up.
    PageUp,
    /// To the beginning.
    First,
    /// To the end.
    Last,
    /// The first half of a command of two keys.
    Prefix,
    /// Sort by the column to the left.
    SortLeft,
    /// Sort by the column to the right.
    SortRight,
    /// Reverse the order.
    Invert,
    /// Show the rows that are hidden by default, or hide them again.
    All,
    /// Stop or resume changing what is shown.
    Freeze,
    /// Write a witness of the finding that is looked at.
    Witness,
    /// Explain the detector of the finding that is looked at.
    Explain,
    /// Copy the finding that is looked at as Markdown.
    Copy,
    /// Open the place of what is looked at in an editor.
    OpenEditor,
    /// Pause or continue a recording.
    PlayOrPause,
    /// Play the next update of a recording.
    Step,
    /// Play a recording more slowly.
    Slower,
    /// Play a recording faster.
    Faster,
    /// Seek back in a recording.
    SeekBack,
    /// Seek forward in a recording.
    SeekForward,
    /// Seek back to where a finding opened.
    PreviousOpening,
    /// Seek forward to where a finding opens.
    NextOpening,
    /// Save the last minutes as a recording.
    Save,
    /// Begin to type a filter.
    Filter,
    /// Change the filter.
    Edit(Edit),
    /// Take up the filter that was typed before.
    OlderFilter,
    /// Take up the filter that was typed after it.
    NewerFilter,
    /// Done with typing.
    Accept,
    /// Done with typing, and no filter.
    Discard,
}

/// One key, or the same key twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A key without Ctrl.
    Plain(KeyCode),
    /// A key with Ctrl.
    Ctrl(char),
    /// A character typed twice.
    Twice(char),
}

const fn char(character: char) -> Key {
    Key::Plain(KeyCode::Char(character))
}

/// One row of the keymap.
#[derive(Debug)]
pub struct Binding {
    /// The keys.
    pub keys: &'static [Key],
    /// How they are written in the help.
    pub label: &'static str,
    /// What they do.
    pub action: Action,
    /// Where they do it.
    pub contexts: &'static [Context],
    /// What that is, in a few words.
    pub help: &'static str,
    /// The word for it in the footer, where it is worth a place there.
    pub hint: Option<&'static str>,
}

const LIST: &[Context] = &[Context::List];
const HELP: &[Context] = &[Context::Help];
const PROMPT: &[Context] = &[Context::Prompt];
const VIEWS: &[Context] = &[Context::List, Context::Page];
const READING: &[Context] = &[Context::List, Context::Page, Context::Help];

const fn binding(
    label: &'static str,
    keys: &'static [Key],
    action: Action,
    contexts: &'static [Context],
    help: &'static str,
) -> Binding {
    Binding { keys, label, action, contexts, help, hint: None }
}

const fn edit(label: &'static str, keys: &'static [Key], edit: Edit, help: &'static str) -> Binding {
    binding(label, keys, Action::Edit(edit), PROMPT, help)
}

impl Binding {
    const fn hinted(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// All keys there are. In the order of the help; the footer shows those with a hint as far as there is room.
pub const KEYMAP: &[Binding] = &[
    binding("Enter", &[Key::Plain(KeyCode::Enter)], Action::Open, VIEWS, "open the selected row or link")
        .hinted("open"),
    binding(
        "Esc [ Backspace",
        &[Key::Plain(KeyCode::Esc), char('['), Key::Plain(KeyCode::Backspace)],
        Action::Back,
        VIEWS,
        "go back; in a list, clear the filter, then to the overview or comparison",
    )
    .hinted("back"),
    binding("]", &[char(']')], Action::Forward, VIEWS, "go forward again"),
    binding("o 0", &[char('o'), char('0')], Action::Overview, VIEWS, "show the overview").hinted("overview"),
    binding("c", &[char('c')], Action::Comparison, VIEWS, "show the comparison (`compare --tui`)").hinted("comparison"),
    binding("f 1", &[char('f'), char('1')], Action::Findings, VIEWS, "show findings").hinted("findings"),
    binding("t 2", &[char('t'), char('2')], Action::Tasks, VIEWS, "show tasks by spawn site; again, one by one")
        .hinted("tasks"),
    binding("T", &[char('T')], Action::AllTasks, VIEWS, "show tasks one by one"),
    binding("r 3", &[char('r'), char('3')], Action::Resources, VIEWS, "show resources").hinted("resources"),
    binding("v 5", &[char('v'), char('5')], Action::Timeline, VIEWS, "show the timeline").hinted("timeline"),
    binding("n", &[char('n')], Action::NextFinding, VIEWS, "open the next finding, from anywhere"),
    binding("N", &[char('N')], Action::PreviousFinding, VIEWS, "open the previous finding, from anywhere"),
    binding("/", &[char('/')], Action::Filter, VIEWS, "filter the list; the terms are below").hinted("filter"),
    binding("Space", &[char(' ')], Action::Freeze, VIEWS, "freeze the view, or continue; watching does not stop")
        .hinted("freeze"),
    binding("W", &[char('W')], Action::Witness, VIEWS, "write a small recording that shows this finding anywhere")
        .hinted("witness"),
    binding("x", &[char('x')], Action::Explain, VIEWS, "explain this finding: what it means, and when it is wrong")
        .hinted("explain"),
    binding("y", &[char('y')], Action::Copy, VIEWS, "copy this finding as Markdown to the clipboard and to a file"),
    binding("e", &[char('e')], Action::OpenEditor, VIEWS, "open the place of this in $VISUAL or $EDITOR"),
    binding("?", &[char('?')], Action::Help, VIEWS, "show this help").hinted("help"),
    binding("q", &[char('q'), Key::Ctrl('c'), Key::Ctrl('d')], Action::Quit, VIEWS, "quit; also Ctrl-C and Ctrl-D")
        .hinted("quit"),
    binding("Tab", &[Key::Plain(KeyCode::Tab)], Action::NextTarget, VIEWS, "next target"),
    binding("Shift-Tab", &[Key::Plain(KeyCode::BackTab)], Action::PreviousTarget, VIEWS, "previous target"),
    binding("j Down", &[char('j'), Key::Plain(KeyCode::Down)], Action::Down, READING, "next row"),
    binding("k Up", &[char('k'), Key::Plain(KeyCode::Up)], Action::Up, READING, "previous row"),
    binding("PageDown", &[Key::Plain(KeyCode::PageDown), Key::Ctrl('f')], Action::PageDown, READING, "one screen down"),
    binding("PageUp", &[Key::Plain(KeyCode::PageUp), Key::Ctrl('b')], Action::PageUp, READING, "one screen up"),
    binding("gg Home", &[Key::Twice('g'), Key::Plain(KeyCode::Home)], Action::First, READING, "first row"),
    binding("G End", &[char('G'), Key::Plain(KeyCode::End)], Action::Last, READING, "last row"),
    binding(
        "h Left",
        &[char('h'), Key::Plain(KeyCode::Left)],
        Action::SortLeft,
        VIEWS,
        "sort by the column to the left",
    ),
    binding(
        "l Right",
        &[char('l'), Key::Plain(KeyCode::Right)],
        Action::SortRight,
        VIEWS,
        "sort by the column to the right",
    ),
    binding("p", &[char('p')], Action::PlayOrPause, VIEWS, "pause a recording, or continue"),
    binding(".", &[char('.')], Action::Step, VIEWS, "play the next update of a recording"),
    binding("<", &[char('<')], Action::SeekBack, VIEWS, "go back 10 s in a recording"),
    binding(">", &[char('>')], Action::SeekForward, VIEWS, "go forward 10 s in a recording"),
    binding("{", &[char('{')], Action::PreviousOpening, VIEWS, "go back to where a finding opened in a recording"),
    binding("}", &[char('}')], Action::NextOpening, VIEWS, "go forward to where a finding opens in a recording"),
    binding("-", &[char('-')], Action::Slower, VIEWS, "play a recording more slowly"),
    binding("+ =", &[char('+'), char('=')], Action::Faster, VIEWS, "play a recording faster"),
    binding("w", &[char('w')], Action::Save, VIEWS, "save the last minutes as a recording"),
    binding("i", &[char('i')], Action::Invert, VIEWS, "reverse the order"),
    binding(
        "a",
        &[char('a')],
        Action::All,
        LIST,
        "show what is hidden: parts of the runtime, and timers that are over",
    ),
    binding("Ctrl-L", &[Key::Ctrl('l')], Action::Redraw, READING, "redraw the screen"),
    binding("Ctrl-Z", &[Key::Ctrl('z')], Action::Suspend, &Context::ALL, "suspend"),
    binding(
        "Esc ? q",
        &[Key::Plain(KeyCode::Esc), char('?'), char('q'), Key::Ctrl('c'), Key::Ctrl('d')],
        Action::Help,
        HELP,
        "close the help; also Ctrl-C and Ctrl-D",
    )
    .hinted("close"),
    binding("Enter", &[Key::Plain(KeyCode::Enter)], Action::Accept, PROMPT, "keep the filter").hinted("keep"),
    binding(
        "Esc",
        &[Key::Plain(KeyCode::Esc), Key::Ctrl('c'), Key::Ctrl('d')],
        Action::Discard,
        PROMPT,
        "clear the filter; also Ctrl-C and Ctrl-D",
    )
    .hinted("clear"),
    binding("Up", &[Key::Plain(KeyCode::Up), Key::Ctrl('p')], Action::OlderFilter, PROMPT, "the filter before"),
    binding("Down", &[Key::Plain(KeyCode::Down), Key::Ctrl('n')], Action::NewerFilter, PROMPT, "the filter after"),
    edit("Left", &[Key::Plain(KeyCode::Left), Key::Ctrl('b')], Edit::Left, "one character to the left"),
    edit("Right", &[Key::Plain(KeyCode::Right), Key::Ctrl('f')], Edit::Right, "one character to the right"),
    edit("Home", &[Key::Plain(KeyCode::Home), Key::Ctrl('a')], Edit::Home, "to the beginning of the line"),
    edit("End", &[Key::Plain(KeyCode::End), Key::Ctrl('e')], Edit::End, "to the end of the line"),
    edit("Backspace", &[Key::Plain(KeyCode::Backspace), Key::Ctrl('h')], Edit::Erase, "delete the character before"),
    edit("Delete", &[Key::Plain(KeyCode::Delete)], Edit::Delete, "delete the character at the cursor"),
    edit("Ctrl-W", &[Key::Ctrl('w')], Edit::EraseWord, "delete the word before"),
    edit("Ctrl-U", &[Key::Ctrl('u')], Edit::EraseAll, "delete everything before"),
];

/// What a key means in the present state.
pub fn resolve(key: KeyEvent, state: &UiState) -> Option<Action> {
    let context = state.context();
    let pressed = match key.code {
        KeyCode::Char(character) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Key::Ctrl(character.to_ascii_lowercase())
        }
        KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::ALT) => return None,
        code => Key::Plain(code),
    };
    if context == Context::Prompt
        && let Key::Plain(KeyCode::Char(character)) = pressed
    {
        return Some(Action::Edit(Edit::Insert(character)));
    }
    let here = || KEYMAP.iter().filter(|binding| binding.contexts.contains(&context));
    if let Key::Plain(KeyCode::Char(character)) = pressed {
        let twice = Key::Twice(character);
        if let Some(binding) = here().find(|binding| binding.keys.contains(&twice)) {
            return Some(if state.prefix == Some(character) { binding.action } else { Action::Prefix });
        }
    }
    here().find(|binding| binding.keys.contains(&pressed)).map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_in_one_context() {
        for context in Context::ALL {
            let keys: Vec<&Key> =
                KEYMAP.iter().filter(|it| it.contexts.contains(&context)).flat_map(|it| it.keys).collect();
            for (index, key) in keys.iter().enumerate() {
                assert!(!keys[..index].contains(key), "{key:?} is bound twice in {context:?}");
                let half = |other: &&Key| matches!((key, other), (Key::Twice(one), Key::Plain(KeyCode::Char(two))) if one == two);
                assert!(!keys.iter().any(half), "{key:?} is half of another key in {context:?}");
            }
        }
    }

    #[test]
    fn every_context_can_be_left_and_every_binding_is_explained() {
        for context in Context::ALL {
            let leaves = [Key::Ctrl('c'), Key::Ctrl('d')].map(|key| {
                KEYMAP.iter().find(|it| it.contexts.contains(&context) && it.keys.contains(&key)).map(|it| it.action)
            });
            let expected = match context {
                Context::List | Context::Page => Action::Quit,
                Context::Help => Action::Help,
                Context::Prompt => Action::Discard,
            };
            assert_eq!(leaves, [Some(expected); 2], "{context:?}");
        }
        assert!(KEYMAP.iter().all(|it| !it.help.is_empty() && !it.keys.is_empty() && !it.contexts.is_empty()));
    }

    #[test]
    fn keys_are_resolved_by_context() {
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let mut state = UiState::default();
        assert_eq!(resolve(plain(KeyCode::Char('g')), &state), Some(Action::Prefix));
        state.prefix = Some('g');
        assert_eq!(resolve(plain(KeyCode::Char('g')), &state), Some(Action::First));
        assert_eq!(resolve(plain(KeyCode::Char('#')), &state), None);
        assert_eq!(resolve(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL), &state), Some(Action::Quit));
        for (key, action) in [
            ('t', Action::Tasks),
            ('T', Action::AllTasks),
            ('n', Action::NextFinding),
            ('N', Action::PreviousFinding),
            ('[', Action::Back),
            (']', Action::Forward),
            ('a', Action::All),
        ] {
            assert_eq!(resolve(plain(KeyCode::Char(key)), &state), Some(action), "{key}");
        }
        assert_eq!(resolve(plain(KeyCode::Backspace), &state), Some(Action::Back));
        state.prompt = true;
        assert_eq!(resolve(plain(KeyCode::Char('q')), &state), Some(Action::Edit(Edit::Insert('q'))));
        assert_eq!(resolve(plain(KeyCode::Backspace), &state), Some(Action::Edit(Edit::Erase)));
        assert_eq!(resolve(plain(KeyCode::Up), &state), Some(Action::OlderFilter));
        assert_eq!(resolve(plain(KeyCode::Esc), &state), Some(Action::Discard));
    }
}
