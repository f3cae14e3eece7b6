//! Statement that is built piece by piece.

use sqlx::Arguments as _;
use sqlx::any::AnyArguments;

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

impl Statement {
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
