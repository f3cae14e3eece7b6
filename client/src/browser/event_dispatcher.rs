//! Delivery of events to listeners.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::spawn;
use crate::Event;

type Listener = dyn Fn(Event);

/// Listeners and queued events. Events are delivered from a microtask, so that a listener may call the recorder: the
/// recorder is never in the middle of a change then.
#[derive(Default)]
pub(super) struct EventDispatcher {
    listeners: RefCell<Vec<Weak<Listener>>>,
    queue: RefCell<Vec<Event>>,
}

/// Keeps a listener registered, as `gloo` does; dropping it removes the listener.
#[must_use = "dropping it takes the listener off; `forget` keeps it as long as the page lives"]
pub struct EventListener {
    listener: Rc<Listener>,
}

impl EventDispatcher {
    pub(super) fn listen(&self, listener: impl Fn(Event) + 'static) -> EventListener {
        let listener: Rc<Listener> = Rc::new(listener);
        self.listeners.borrow_mut().push(Rc::downgrade(&listener));
        EventListener { listener }
    }

    pub(super) fn dispatch(self: &Rc<Self>, event: Event) {
        let is_first = {
            let mut queue = self.queue.borrow_mut();
            queue.push(event);
            queue.len() == 1
        };
        if is_first {
            let hub = Rc::clone(self);
            spawn(async move { hub.deliver() });
        }
    }

    fn deliver(&self) {
        for event in self.queue.take() {
            self.listeners
                .borrow_mut()
                .retain(|listener| listener.strong_count() > 0);
            // A copy, because a listener may register another one.
            let listeners: Vec<_> = self
                .listeners
                .borrow()
                .iter()
                .filter_map(Weak::upgrade)
                .collect();
            for listener in listeners {
                listener(event.clone());
            }
        }
    }
}

impl EventListener {
    /// Keeps the listener registered permanently.
    pub fn forget(self) {
        std::mem::forget(self.listener);
    }
}
