//! Databases for the unit tests of the catalog.

use std::path::Path;

use super::{Catalog, CatalogError};
use crate::config::DatabaseConfig;

/// Nothing in it, not even a schema: PostgreSQL with `SORTIE_TEST_DB=postgres`, else SQLite in this folder.
pub(super) fn empty(folder: &Path) -> DatabaseConfig {
    #[cfg(feature = "postgres")]
    if crate::test_postgres::wanted() {
        let dsn = crate::test_postgres::cluster().database();
        let config = crate::config::PostgresConfig::from_dsn(&dsn);
        return DatabaseConfig::Postgres(config.unwrap_or_else(|message| panic!("{message}")));
    }
    DatabaseConfig::Sqlite {
        file: folder.join("sortie.db"),
    }
}

/// With the schema of today.
pub(super) async fn catalog(folder: &Path) -> Result<Catalog, CatalogError> {
    Catalog::open(&empty(folder)).await
}
