use leptos::prelude::*;

/// Icons, drawn on a 20 × 20 grid with a stroke width of 1.5.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Glyph {
    Alert,
    Back,
    Camera,
    Close,
    Download,
    FastForward,
    Film,
    Flag,
    Fullscreen,
    Grid,
    Help,
    Info,
    Key,
    Link,
    List,
    Lock,
    Microphone,
    More,
    Muted,
    Next,
    Pause,
    Pencil,
    Play,
    Previous,
    Record,
    RefreshButton,
    Screen,
    Shield,
    SignOut,
    SkipBack,
    SkipForward,
    Sliders,
    Sound,
    Stop,
    Theatre,
    Trash,
    Undo,
    Unplugged,
}

impl Glyph {
    /// Path data (SVG 2, section 9.3).
    fn path(self) -> &'static str {
        match self {
            Self::Alert => {
                "M10 6.5v4.25M10 13.75v.01M8.6 3.4 2.2 14.5A1.6 1.6 0 0 0 3.6 17h12.8a1.6 1.6 0 0 0 1.4-2.5L11.4 3.4a1.6 1.6 0 0 0-2.8 0Z"
            }
            Self::Back => "M15.5 10h-11M9 4.5 3.5 10 9 15.5",
            Self::Camera => {
                "M3.5 5.5h8a1.5 1.5 0 0 1 1.5 1.5v6a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 2 13V7a1.5 1.5 0 0 1 1.5-1.5ZM13 9l5-2.75v7.5L13 11"
            }
            Self::Close => "m5 5 10 10M15 5 5 15",
            Self::Download => "M10 3v9.5M5.75 8.5 10 12.75l4.25-4.25M3.5 16.5h13",
            Self::FastForward => "M3 5v10l6.5-5ZM10.5 5v10l6.5-5Z",
            Self::Film => {
                "M4 3.5h12A1.5 1.5 0 0 1 17.5 5v10a1.5 1.5 0 0 1-1.5 1.5H4A1.5 1.5 0 0 1 2.5 15V5A1.5 1.5 0 0 1 4 3.5ZM8.25 7.25v5.5l4.5-2.75Z"
            }
            Self::Flag => "M5 17.5v-14M5 4h10l-2.25 3.25L15 10.5H5",
            Self::Fullscreen => "M3.5 7.5v-4h4M12.5 3.5h4v4M16.5 12.5v4h-4M7.5 16.5h-4v-4",
            Self::Grid => "M3.5 3.5h5v5h-5ZM11.5 3.5h5v5h-5ZM3.5 11.5h5v5h-5ZM11.5 11.5h5v5h-5Z",
            Self::Help => {
                "M7.6 7.75a2.4 2.4 0 1 1 3.5 2.1c-.75.4-1.1.9-1.1 1.65M10 14v.01M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15Z"
            }
            Self::Info => "M10 9.25v4.25M10 6.5v.01M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15Z",
            Self::Key => "M7 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM10.5 10H18M15 10v3",
            Self::Link => {
                "M8.5 11.5a3 3 0 0 0 4.25 0l2.5-2.5A3 3 0 0 0 11 4.75l-1 1M11.5 8.5a3 3 0 0 0-4.25 0l-2.5 2.5A3 3 0 0 0 9 15.25l1-1"
            }
            Self::List => "M7.5 5h9M7.5 10h9M7.5 15h9M3.75 5v.01M3.75 10v.01M3.75 15v.01",
            Self::Lock => "M5 9h10v7.5H5ZM7 9V6.5a3 3 0 0 1 6 0V9",
            Self::Microphone => {
                "M10 2.5A2.5 2.5 0 0 1 12.5 5v4.5a2.5 2.5 0 0 1-5 0V5A2.5 2.5 0 0 1 10 2.5ZM4.75 9.25a5.25 5.25 0 0 0 10.5 0M10 14.5v3"
            }
            Self::More => "M4.5 10v.01M10 10v.01M15.5 10v.01",
            Self::Muted => "M9.5 4 5.75 7.25H3v5.5h2.75L9.5 16ZM12.75 8l4 4M16.75 8l-4 4",
            Self::Next => "m8 5 5 5-5 5",
            Self::Pause => "M7 4.5v11M13 4.5v11",
            Self::Pencil => "m4 16 .75-3.25L13 4.5 15.5 7l-8.25 8.25ZM11.25 6.25l2.5 2.5",
            Self::Play => "M6.5 4v12l9.5-6Z",
            Self::Previous => "m12 5-5 5 5 5",
            Self::Record => "M10 16a6 6 0 1 0 0-12 6 6 0 0 0 0 12Z",
            Self::RefreshButton => "M16.5 10a6.5 6.5 0 1 1-1.9-4.6M16.75 2.5v3.75H13",
            Self::Screen => {
                "M3.5 3.5h13A1.5 1.5 0 0 1 18 5v7a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 2 12V5a1.5 1.5 0 0 1 1.5-1.5ZM7 17h6M10 13.5V17"
            }
            Self::Shield => {
                "M10 2.5 4 4.75v4.5c0 3.75 2.5 6.75 6 8.25 3.5-1.5 6-4.5 6-8.25v-4.5ZM7.25 9.75l2 2 3.5-3.75"
            }
            Self::SignOut => {
                "M8 3.5H5A1.5 1.5 0 0 0 3.5 5v10A1.5 1.5 0 0 0 5 16.5h3M13 6l4 4-4 4M17 10H8"
            }
            Self::SkipBack => "m9 5-5 5 5 5M15.5 5l-5 5 5 5",
            Self::SkipForward => "m11 5 5 5-5 5M4.5 5l5 5-5 5",
            Self::Sliders => {
                "M3 6h6m4 0h4M3 14h3m4 0h7M11 8a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM8 16a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z"
            }
            Self::Sound => {
                "M9.5 4 5.75 7.25H3v5.5h2.75L9.5 16ZM12.75 7.5a3.5 3.5 0 0 1 0 5M15 5.25a6.75 6.75 0 0 1 0 9.5"
            }
            Self::Stop => "M5.5 5.5h9v9h-9Z",
            Self::Theatre => {
                "M3.5 5h13A1.5 1.5 0 0 1 18 6.5v7a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 2 13.5v-7A1.5 1.5 0 0 1 3.5 5Z"
            }
            Self::Trash => {
                "M3.5 5.5h13M8 5.5v-2h4v2M5 5.5l.75 11h8.5l.75-11M8.5 8.75v4.75M11.5 8.75v4.75"
            }
            Self::Undo => "M7.5 4 4 7.5 7.5 11M4 7.5h8a4 4 0 0 1 0 8H8",
            Self::Unplugged => {
                "M2.5 10h3M5.5 6.5v7h2a3.5 3.5 0 0 0 0-7ZM7.5 8.5h2.5M7.5 11.5h2.5M17.5 10h-2M15.5 6.5v7h-1a2.5 2.5 0 0 1-2.5-2.5V9a2.5 2.5 0 0 1 2.5-2.5Z"
            }
        }
    }

    fn is_solid(self) -> bool {
        matches!(
            self,
            Self::FastForward | Self::Record | Self::Stop | Self::Play
        )
    }
}

/// Decorative icon, hidden from screen readers.
#[component]
pub(in crate::web) fn Icon(glyph: Glyph) -> impl IntoView {
    view! {
        <svg
            class="icon"
            class:icon-solid=glyph.is_solid()
            viewBox="0 0 20 20"
            aria-hidden="true"
            focusable="false"
        >
            <path d=glyph.path() />
        </svg>
    }
}
