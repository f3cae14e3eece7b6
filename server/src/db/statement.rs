//! Statement that is built piece by piece.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{AnyConnection, Arguments as _, AssertSqlSafe};

use super::DatabaseError;

/// Statement with its arguments.
#[derive(Default)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) arguments: AnyArguments,
}

/// Returns `$first, …` for that many values.
pub(super) fn placeholders(first: usize, values: usize) -> String {
    let names: Vec<_> = (first..first + values)
        .map(|place| format!("${place}"))
        .collect();
    names.join(", ")
}

/// Appends a character to a pattern of `LIKE`, which takes it literally; the escape is `!`.
pub(super) fn push_literal(pattern: &mut String, character: char) {
    if matches!(character, '%' | '_' | '!') {
        pattern.push('!');
    }
    pattern.push(character);
}

impl Statement {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    /// Binds values and appends their placeholders, separated by commas; `NULL` without values.
    pub(super) fn bind_all<'t, T>(&mut self, values: impl IntoIterator<Item = T>)
    where
        T: sqlx::Encode<'t, sqlx::Any> + sqlx::Type<sqlx::Any>,
    {
        let names: Vec<_> = values.into_iter().map(|value| self.bind(value)).collect();
        self.text += &if names.is_empty() {
            "NULL".to_owned()
        } else {
            names.join(", ")
        };
    }

    pub(super) async fn fetch_all(
        self,
        connection: &mut AnyConnection,
    ) -> Result<Vec<AnyRow>, DatabaseError> {
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments);
        Ok(query.fetch_all(connection).await?)
    }

    pub(super) async fn execute(self, connection: &mut AnyConnection) -> Result<(), DatabaseError> {
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments);
        query.execute(connection).await?;
        Ok(())
    }

    /// Binds a value; returns its placeholder.
    pub(super) fn bind<'t, T>(&mut self, value: T) -> String
    where
        T: sqlx::Encode<'t, sqlx::Any> + sqlx::Type<sqlx::Any>,
    {
        // Texts and integers always encode.
        let _ = self.arguments.add(value);
        format!("${}", self.arguments.len())
    }
}
