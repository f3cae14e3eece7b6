//! Watcher of a source's tracks.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use gloo_events::EventListener;
use web_sys::{MediaStream, MediaStreamTrack};

use super::{is_live, tracks};
use crate::StopReason;

/// Event of an open source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::browser) enum SourceEvent {
    /// The source has ended.
    Ended(StopReason),
    /// Audio has ended; the picture continues.
    AudioEnded,
    /// A composed source has a problem that does not end it.
    #[cfg(feature = "compose")]
    Warning(crate::Warning),
}

/// Watches the tracks of a source. A track that a script stops fires no event.
pub(super) struct TrackWatcher {
    state: Rc<State>,
    _listeners: Vec<EventListener>,
}

type Listener = Rc<dyn Fn(SourceEvent)>;

struct State {
    end: StopReason,
    /// Tracks without which the source has ended.
    vital: Rc<[MediaStreamTrack]>,
    ended: Cell<bool>,
    listener: RefCell<Option<Listener>>,
}

impl TrackWatcher {
    /// Watches a source that ends for the reason `end`.
    pub(super) fn new(
        source: &MediaStream,
        microphone: Option<&MediaStream>,
        end: StopReason,
    ) -> Self {
        let video = tracks(&source.get_video_tracks());
        let mut audio = tracks(&source.get_audio_tracks());
        audio.extend(
            microphone
                .into_iter()
                .flat_map(|stream| tracks(&stream.get_audio_tracks())),
        );
        // A source without pictures ends with its audio.
        let (vital, other) = if video.is_empty() {
            (audio, video)
        } else {
            (video, audio)
        };
        let vital: Rc<[MediaStreamTrack]> = vital.into();
        let state = Rc::new(State {
            end,
            vital: Rc::clone(&vital),
            ended: Cell::default(),
            listener: RefCell::default(),
        });
        let mut listeners = Vec::new();
        for track in vital.iter() {
            let (state, vital) = (Rc::clone(&state), Rc::clone(&vital));
            listeners.push(EventListener::new(track, "ended", move |_| {
                if !vital.iter().any(is_live) && !state.ended.replace(true) {
                    state.tell(SourceEvent::Ended(state.end));
                }
            }));
        }
        for track in &other {
            let state = Rc::clone(&state);
            listeners.push(EventListener::new(track, "ended", move |_| {
                state.tell(SourceEvent::AudioEnded);
            }));
        }
        Self {
            state,
            _listeners: listeners,
        }
    }

    pub(super) fn listen(&self, listener: impl Fn(SourceEvent) + 'static) {
        *self.state.listener.borrow_mut() = Some(Rc::new(listener));
    }

    /// Returns a function that passes events to the listener.
    #[cfg(feature = "compose")]
    pub(super) fn sender(&self) -> Box<dyn Fn(SourceEvent)> {
        let state = Rc::clone(&self.state);
        Box::new(move |event| state.tell(event))
    }

    pub(super) fn ended(&self) -> Option<StopReason> {
        self.state.ended.get().then_some(self.state.end)
    }

    pub(super) fn end_reason(&self) -> StopReason {
        self.state.end
    }

    /// Returns whether a script has stopped all vital tracks, once.
    pub(super) fn look(&self) -> bool {
        let has_ended = !self.state.vital.iter().any(is_live);
        has_ended && !self.state.ended.replace(true)
    }
}

impl State {
    fn tell(&self, event: SourceEvent) {
        // A copy, because the listener may drop the source or replace the listener.
        let listener = self.listener.borrow().clone();
        if let Some(listener) = listener {
            listener(event);
        }
    }
}

impl fmt::Debug for TrackWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackWatcher")
            .field("end", &self.state.end)
            .field("ended", &self.state.ended)
            .finish()
    }
}
