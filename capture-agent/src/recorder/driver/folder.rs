//! The folder that recordings go to: made ready, cleared up, and looked at now and then.

use std::io;

use super::super::controller::Input;
use super::super::{Event, hook};
use super::Driver;
use crate::problem::Problem;
use crate::writer::{self, Folder, Leftover};

impl<E: FnMut(Event) + Send + 'static> Driver<E> {
    /// Nothing may be under way that it could take for left.
    pub(super) fn finish_leftovers(&mut self) {
        self.left = false;
        match writer::finish_leftovers(&Folder::new(&self.setup.folder)) {
            Ok(leftovers) => {
                for leftover in leftovers {
                    self.left |= matches!(leftover, Leftover::Stays(..));
                    (self.on_event)(Event::Leftover(leftover));
                }
            }
            Err(error) => self.disk_problem(&error),
        }
    }

    pub(super) fn disk_problem(&mut self, error: &io::Error) {
        self.folder_problem = Some(Problem::disk(self.setup.folder.display(), error));
    }

    /// Runs the hook, and makes the folder if it is not there.
    pub(super) fn prepare_folder(&mut self) {
        let hook = self.setup.hook.as_ref();
        let failed = hook.and_then(|hook| hook::run(hook, self.setup.hook_limit).err());
        self.folder_problem = failed.map(Problem::other);
        if let Err(error) = std::fs::create_dir_all(&self.setup.folder) {
            self.disk_problem(&error);
        }
    }

    pub(super) fn look_at_disk(&mut self) {
        match rustix::fs::statvfs(&self.setup.folder) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                self.tell(Input::Room(free >= self.setup.reserve_bytes));
            }
            // Writing says what is wrong with it.
            Err(_) => self.tell(Input::Room(true)),
        }
        self.look_for_file();
    }

    /// A file that somebody has deleted can be written on, and nobody will ever see it: an alarm, and another file.
    fn look_for_file(&mut self) {
        let name = self.progress().name.filter(|name| {
            let path = self.setup.folder.join(format!("{name}{}", writer::GROWING));
            matches!(path.try_exists(), Ok(false))
        });
        // Once may be the moment in which it was finished.
        let again = name.is_some() && name == self.missing;
        self.missing = name;
        if let Some(name) = self.missing.take_if(|_| again) {
            let words = format!("{name} was deleted while it was recorded");
            self.broken(Problem::other(words), false);
        }
    }
}
