//! First administrator of an empty database.

/// The administrator created in an empty database.
#[derive(Clone)]
pub struct FirstAdmin {
    /// User name for the first sign-in.
    pub username: String,
    /// Generated password, shown once and stored nowhere; `None` if it was given in `SORTIE_ADMIN_PASSWORD`.
    pub generated_password: Option<String>,
}

impl FirstAdmin {
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
