//! Keys of a list of recordings.

use crate::player::key_map::Focus;

/// Action of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Moves the focus to the search field.
    Search,
    /// Moves the focus to the next recording.
    Next,
    /// Moves the focus to the previous recording.
    Previous,
    /// Selects the focused recording, or removes it from the selection.
    Select,
    /// Edits the title of the focused recording.
    Rename,
    /// Asks whether to delete the selected recordings, or the focused one.
    Delete,
    /// Opens the list of keys.
    Help,
}

/// Keys for the help dialog, with their meaning.
pub const HELP: [(&[&str], &str); 7] = [
    (&["/"], "Search"),
    (&["J", "K"], "Next or previous recording"),
    (&["Enter"], "Open"),
    (&["X"], "Select"),
    (&["E", "F2"], "Rename"),
    (&["#"], "Delete"),
    (&["?"], "Show these keys"),
];

/// Returns the action of a key (UI Events, `KeyboardEvent.key`) without Ctrl, Alt and Meta.
pub fn action(key: &str, focus: Focus) -> Option<Action> {
    if focus == Focus::Text {
        return None;
    }
    Some(match key {
        "/" => Action::Search,
        "j" | "J" => Action::Next,
        "k" | "K" => Action::Previous,
        "x" | "X" => Action::Select,
        "e" | "E" | "F2" => Action::Rename,
        "#" => Action::Delete,
        "?" => Action::Help,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fields_keep_their_keys() {
        for (key, expected) in [
            ("/", Some(Action::Search)),
            ("J", Some(Action::Next)),
            ("F2", Some(Action::Rename)),
            ("#", Some(Action::Delete)),
            ("Enter", None),
            ("Escape", None),
        ] {
            assert_eq!(action(key, Focus::Page), expected, "{key}");
            assert_eq!(action(key, Focus::Button), expected, "{key}");
            assert_eq!(action(key, Focus::Text), None, "{key}");
        }
    }
}
