//! Keys of the player's page.

/// Element that has the keyboard focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// No interactive element, or one that uses no keys.
    Page,
    /// A button or link, which Space and Enter activate.
    Button,
    /// A list of choices or a slider, which Space, arrows and digits change.
    Choice,
    /// A text field, or anything inside a dialog.
    Text,
}

/// Action of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Starts or pauses the playback.
    TogglePlayback,
    /// Seeks forward by milliseconds; back if negative.
    SeekBy(i64),
    /// Pauses and steps by frames.
    StepFrame(i8),
    /// Seeks to this many tenths of the duration.
    SeekToTenth(u8),
    /// Seeks to the next marker.
    NextMarker,
    /// Seeks to the previous marker.
    PreviousMarker,
    /// Adds a marker at the position.
    AddMarker,
    /// Sets the start of the clip.
    StartClip,
    /// Sets the end of the clip.
    EndClip,
    /// Chooses the next slower speed.
    Slower,
    /// Chooses the next faster speed.
    Faster,
    /// Enters or leaves fullscreen.
    ToggleFullscreen,
    /// Enters or leaves the theatre view.
    ToggleTheatre,
    /// Copies a link to the position.
    CopyLink,
    /// Opens the list of keys.
    Help,
}

impl Action {
    /// Whether a held key repeats the action.
    pub fn repeats(self) -> bool {
        matches!(self, Self::SeekBy(_) | Self::StepFrame(_))
    }
}

/// Keys for the help dialog, with their meaning.
pub const HELP: [(&[&str], &str); 13] = [
    (&["Space", "K"], "Play or pause"),
    (&["J", "L"], "10 seconds back or forward"),
    (&["←", "→"], "5 seconds back or forward"),
    (&[",", "."], "One frame back or forward"),
    (&["0", "–", "9"], "Jump to 0 % – 90 %"),
    (&["N", "P"], "Next or previous marker"),
    (&["M"], "Add a marker"),
    (&["I", "O"], "Start or end of a clip (or Shift and drag)"),
    (&["[", "]"], "Slower or faster"),
    (&["F"], "Fullscreen"),
    (&["T"], "Theatre view"),
    (&["C"], "Copy a link to this moment"),
    (&["?"], "Show these keys"),
];

/// Returns the action of a key (UI Events, `KeyboardEvent.key`) without Ctrl, Alt and Meta.
pub fn action(key: &str, focus: Focus) -> Option<Action> {
    let is_left_to_focus = match focus {
        Focus::Page => false,
        Focus::Button => key == " ",
        Focus::Choice => {
            key == " "
                || key.starts_with("Arrow")
                || key.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        }
        Focus::Text => true,
    };
    if is_left_to_focus {
        return None;
    }
    let mut letters = key.chars();
    let letter = letters.next()?.to_ascii_lowercase();
    if letters.next().is_some() {
        return match key {
            "ArrowLeft" => Some(Action::SeekBy(-5_000)),
            "ArrowRight" => Some(Action::SeekBy(5_000)),
            _ => None,
        };
    }
    let action = match letter {
        ' ' | 'k' => Action::TogglePlayback,
        'j' => Action::SeekBy(-10_000),
        'l' => Action::SeekBy(10_000),
        ',' => Action::StepFrame(-1),
        '.' => Action::StepFrame(1),
        'n' => Action::NextMarker,
        'p' => Action::PreviousMarker,
        'm' => Action::AddMarker,
        'i' => Action::StartClip,
        'o' => Action::EndClip,
        '[' => Action::Slower,
        ']' => Action::Faster,
        'f' => Action::ToggleFullscreen,
        't' => Action::ToggleTheatre,
        'c' => Action::CopyLink,
        '?' => Action::Help,
        digit => Action::SeekToTenth(u8::try_from(digit.to_digit(10)?).ok()?),
    };
    Some(action)
}

/// Returns the action of a further key while the timeline has the focus (ARIA Authoring Practices, slider).
pub fn timeline_action(key: &str) -> Option<Action> {
    match key {
        "Home" => Some(Action::SeekToTenth(0)),
        "End" => Some(Action::SeekToTenth(10)),
        "ArrowDown" => Some(Action::SeekBy(-5_000)),
        "ArrowUp" => Some(Action::SeekBy(5_000)),
        "PageDown" => Some(Action::SeekBy(-60_000)),
        "PageUp" => Some(Action::SeekBy(60_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_page_have_their_actions() {
        for (key, expected) in [
            (" ", Action::TogglePlayback),
            ("k", Action::TogglePlayback),
            ("K", Action::TogglePlayback),
            ("j", Action::SeekBy(-10_000)),
            ("ArrowRight", Action::SeekBy(5_000)),
            (".", Action::StepFrame(1)),
            ("0", Action::SeekToTenth(0)),
            ("9", Action::SeekToTenth(9)),
            ("m", Action::AddMarker),
            ("P", Action::PreviousMarker),
            ("i", Action::StartClip),
            ("O", Action::EndClip),
            ("]", Action::Faster),
            ("?", Action::Help),
        ] {
            assert_eq!(action(key, Focus::Page), Some(expected), "{key:?}");
        }
        for key in ["", "x", "Enter", "Escape", "ArrowUp", "F5", "é", "Tab"] {
            assert_eq!(action(key, Focus::Page), None, "{key:?}");
        }
    }

    #[test]
    fn keys_of_the_focused_element_are_left_to_it() {
        assert_eq!(action(" ", Focus::Button), None);
        assert_eq!(action("k", Focus::Button), Some(Action::TogglePlayback));
        for key in [" ", "ArrowLeft", "1", "."] {
            assert_eq!(action(key, Focus::Choice), None, "{key:?}");
        }
        assert_eq!(action("f", Focus::Choice), Some(Action::ToggleFullscreen));
        for key in [" ", "k", "m", "?", "ArrowLeft"] {
            assert_eq!(action(key, Focus::Text), None, "{key:?}");
        }
    }

    #[test]
    fn only_steps_repeat() {
        assert!(Action::SeekBy(5_000).repeats() && Action::StepFrame(1).repeats());
        assert!(!Action::TogglePlayback.repeats() && !Action::AddMarker.repeats());
    }

    #[test]
    fn timeline_has_the_keys_of_a_slider() {
        assert_eq!(timeline_action("End"), Some(Action::SeekToTenth(10)));
        assert_eq!(timeline_action("PageDown"), Some(Action::SeekBy(-60_000)));
        assert_eq!(timeline_action("k"), None);
    }
}
