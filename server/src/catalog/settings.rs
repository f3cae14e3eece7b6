//! Settings that are changed while the server runs.

use super::{Catalog, CatalogError};

impl Catalog {
    /// Sets a setting unless it is set already; answers the value in force. Two servers that start
    /// together agree on one value.
    pub(crate) async fn setting_or_insert(
        &self,
        name: &str,
        value: &str,
    ) -> Result<String, CatalogError> {
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(value)
        .execute(&self.pool)
        .await?;
        Ok(
            sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
                .bind(name)
                .fetch_one(&self.pool)
                .await?,
        )
    }
}
