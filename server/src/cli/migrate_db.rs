//! `migrate-db`: copies a database to another kind.

use std::path::PathBuf;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use sortie_server::{CopyError, DatabaseConfig, Settings, copy_database};

use super::{Failure, print_text, wrong_values};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The file named by SORTIE_DB or --sqlite.
    Sqlite,
    /// The database named by SORTIE_DB_DSN, or by SORTIE_DB_HOST and the related variables.
    Postgres,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Source database.
    #[arg(long, value_enum)]
    from: Kind,
    /// Target database; must be empty.
    #[arg(long, value_enum)]
    to: Kind,
    /// SQLite file to use instead of SORTIE_DB.
    #[arg(long, value_name = "FILE")]
    sqlite: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, file: Option<PathBuf>) -> Result<(), Failure> {
    if arguments.from == arguments.to {
        return Err(Failure::Usage(
            "--from and --to must be two kinds: sqlite and postgres".to_owned(),
        ));
    }
    let database = |kind: Kind| -> Result<DatabaseConfig, Failure> {
        let name = match kind {
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgres",
        };
        let mut settings = Settings::from_env(file.clone()).with("SORTIE_DB_TYPE", name);
        if let Some(path) = &arguments.sqlite {
            settings = settings.with("SORTIE_DB", &path.display().to_string());
        }
        let config = settings.config().map_err(|errors| {
            wrong_values("The databases cannot be found", &errors);
            Failure::Usage("nothing was copied".to_owned())
        })?;
        Ok(config.database)
    };
    let (from, to) = (database(arguments.from)?, database(arguments.to)?);
    print_text(&format!(
        "Copying {from} to {to}.\nNo server may use either of them meanwhile.\n"
    ))?;
    let bar = ProgressBar::no_length().with_style(
        ProgressStyle::with_template("{msg:14} {bar:30} {human_pos}/{human_len} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut progress = |table: &str, done: u64, all: u64| {
        bar.set_message(table.to_owned());
        bar.set_length(all);
        bar.set_position(done);
    };
    let failed = |error: &dyn std::error::Error| {
        Failure::File(
            "cannot copy".to_owned(),
            std::io::Error::other(error.to_string()),
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    let copied = runtime.block_on(copy_database(&from, &to, &mut progress));
    bar.finish_and_clear();
    let copied = copied.map_err(|error: CopyError| {
        let error = anyhow::Error::from(error);
        Failure::File(
            "cannot copy".to_owned(),
            std::io::Error::other(format!("{error:#}")),
        )
    })?;
    let mut text = String::new();
    for (table, rows) in &copied.tables {
        text += &format!("{table:14} {rows:>12} rows\n");
    }
    if let Some(seq) = copied.audit_broken_at {
        text += &format!("The audit log was broken at row {seq} before the copy, and still is.\n");
    }
    if copied.unfinished > 0 {
        text += &format!(
            "{} recordings are not finished; they go on when the server runs with the new database.\n",
            copied.unfinished
        );
    }
    text += "Everything was copied and counted. Set SORTIE_DB_TYPE and start the server; keep the old database until it runs.\n";
    print_text(&text)
}
