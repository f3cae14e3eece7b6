//! Variables of the database.

use std::path::PathBuf;

use super::Reader;

/// Database of users, sessions and recordings.
#[derive(Clone, Debug)]
pub enum DatabaseConfig {
    /// `sqlite`: one file, for one server.
    Sqlite {
        /// Value of `SORTIE_DB`, or its default.
        file: PathBuf,
    },
    /// `postgres`: for one server or several.
    #[cfg(feature = "postgres")]
    Postgres(super::PostgresConfig),
}

#[cfg(feature = "postgres")]
const KINDS: &str = "sqlite or postgres";
#[cfg(not(feature = "postgres"))]
const KINDS: &str = "sqlite (this program was built without postgres)";

impl DatabaseConfig {
    /// `file`: value of `SORTIE_DB`, or its default.
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

    /// Returns the variable to check when the database fails.
    pub fn variable(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SORTIE_DB",
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.variable(),
        }
    }
}

/// Text for users; without a password.
impl std::fmt::Display for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite { file } => file.display().fmt(f),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.fmt(f),
        }
    }
}
