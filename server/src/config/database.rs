//! The variables of the database.

use std::path::PathBuf;

use super::Reader;

/// Where people, sessions and recordings are written down.
#[derive(Clone, Debug)]
pub enum DatabaseConfig {
    /// `sqlite`: in one file, for one server.
    Sqlite {
        /// `SORTIE_DB`.
        file: PathBuf,
    },
    /// `postgres`: in a PostgreSQL database, for one server or several.
    #[cfg(feature = "postgres")]
    Postgres(super::PostgresConfig),
}

#[cfg(feature = "postgres")]
const KINDS: &str = "sqlite or postgres";
#[cfg(not(feature = "postgres"))]
const KINDS: &str = "sqlite (this program was built without postgres)";

impl DatabaseConfig {
    /// `file` is what `SORTIE_DB` says, or its default.
    pub(super) fn read(reader: &mut Reader<'_>, file: PathBuf) -> Self {
        match reader.text("SORTIE_DB_TYPE").as_deref() {
            None | Some("sqlite") => {}
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => {
                if let Some(postgres) = super::PostgresConfig::read(reader) {
                    return Self::Postgres(postgres);
                }
            }
            Some(other) => reader.wrong(
                "SORTIE_DB_TYPE",
                format!("{other:?} is not available; allowed: {KINDS}"),
            ),
        }
        Self::Sqlite { file }
    }

    /// The variable to look at when it does not work.
    pub fn variable(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SORTIE_DB",
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.variable(),
        }
    }
}

/// For a person; without a password.
impl std::fmt::Display for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite { file } => file.display().fmt(f),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.fmt(f),
        }
    }
}
