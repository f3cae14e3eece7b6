//! Storage of the spool.

/// Storage of the bytes that the server has not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpoolStorage {
    /// The origin private file system.
    Opfs,
    /// IndexedDB, for browsers without a usable private file system.
    IndexedDb,
    /// Memory: a crash of the page loses the bytes that are not acknowledged.
    #[default]
    Memory,
}

impl SpoolStorage {
    /// Returns a stable identifier for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Opfs => "opfs",
            Self::IndexedDb => "indexeddb",
            Self::Memory => "memory",
        }
    }
}
