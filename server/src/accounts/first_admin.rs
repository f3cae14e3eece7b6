//! First administrator of an empty database.

use sortie_api::{Role, UserSource};
use uuid::Uuid;

use super::passwords::Passwords;
use super::random;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Action, Actor, AuditEvent, Database, DatabaseError, UserRow};

/// The administrator created in an empty database.
#[derive(Clone)]
pub struct FirstAdmin {
    /// User name for the first sign-in.
    pub username: String,
    /// Generated password, shown once and stored nowhere; `None` if it was given in `SORTIE_ADMIN_PASSWORD`.
    pub generated_password: Option<String>,
}

impl FirstAdmin {
    /// Creates the first administrator in an empty database.
    pub(super) async fn create(
        database: &Database,
        clock: &dyn Clock,
        passwords: &Passwords,
        config: &Config,
        is_appliance: bool,
    ) -> anyhow::Result<Option<Self>> {
        if database.users().exist().await? {
            return Ok(None);
        }
        let (password, generated_password) = match &config.admin_password {
            Some(password) => (password.expose().to_owned(), None),
            None => {
                let password = random::readable_password()?;
                (password.clone(), Some(password))
            }
        };
        let row = UserRow {
            id: Uuid::now_v7().to_string(),
            username: config.admin_username.clone(),
            password_hash: passwords.hash(password).await?,
            email: None,
            display_name: None,
            roles: vec![Role::User, Role::Admin],
            disabled: false,
            source: UserSource::Local,
            external_key: None,
            created_ms: clock.now_ms(),
            last_seen_ms: None,
            generation: 0,
            // An appliance's log, which has the generated password, is kept on the device and often copied from it.
            must_change_password: is_appliance && generated_password.is_some(),
            labels: crate::labels::Labels::default(),
        };
        match database.users().insert(&row).await {
            Ok(()) => {
                let actor = Actor::system();
                let detail = format!("{} (admin)", row.username);
                let event = AuditEvent::done(&actor, Action::UserCreate, &row.id).detail(&detail);
                database.audit().append(row.created_ms, &event).await?;
                Ok(Some(Self {
                    username: row.username,
                    generated_password,
                }))
            }
            // A replica that started at the same time has created the administrator and shows the password.
            Err(DatabaseError::Taken) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns instructions for the first sign-in. `variable`: the variable for the password.
    pub fn greeting(&self, variable: &str) -> String {
        let username = &self.username;
        match &self.generated_password {
            Some(password) => format!(
                "First sign-in (shown only now):\n  user name  {username}\n  password   {password}\n"
            ),
            None => format!("First sign-in: {username} with the password of {variable}\n"),
        }
    }
}
