//! Where the browser keeps bytes.

/// What keeps the bytes of a recording until the server has acknowledged them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpoolStorage {
    /// The origin's private file system.
    Opfs,
    /// IndexedDB, where the browser has no usable private file system.
    IndexedDb,
    /// Memory: a crash of the page loses what is not acknowledged.
    #[default]
    Memory,
}

impl SpoolStorage {
    /// A stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Opfs => "opfs",
            Self::IndexedDb => "indexeddb",
            Self::Memory => "memory",
        }
    }
}
