//! Labels of the actions in the audit log.

/// Actions and their labels.
pub const ACTIONS: [(&str, &str); 44] = [
    ("recording.start", "Recording started"),
    ("recording.stop", "Recording stopped"),
    ("recording.upload", "Upload complete"),
    ("recording.ready", "Recording ready"),
    ("recording.fail", "Recording failed"),
    ("recording.view", "Recording watched"),
    ("recording.download", "Recording downloaded"),
    ("recording.change", "Recording changed"),
    ("recording.delete", "Recording deleted"),
    ("recording.trash", "Recording moved to the trash"),
    ("recording.restore", "Recording restored from the trash"),
    ("recording.gone", "Recording missing from storage"),
    ("recording.access", "Recording of another user requested"),
    ("recording.sweep", "Storage swept"),
    ("recording.missing", "Required recording missing"),
    ("recording.resumed", "Required recording resumed"),
    ("session.create", "Session created"),
    ("session.change", "Session changed"),
    ("session.delete", "Session deleted"),
    ("session.access", "Session of another user requested"),
    ("settings.change", "Settings changed"),
    ("storage.clean_up", "Storage cleaned up"),
    ("audit.export", "Audit log exported"),
    ("audit.omit", "Refusals not listed"),
    ("sign_in", "Sign-in"),
    ("sign_in.end", "Sign-in ended"),
    ("sign_in.reuse", "Used refresh token reused"),
    ("user.password", "Password change"),
    ("user.create", "User added"),
    ("user.change", "User changed"),
    ("user.delete", "User deleted"),
    ("user.erase", "User erased"),
    ("audit.erase", "Audit log pseudonymised"),
    ("token.create", "API token created"),
    ("token.revoke", "API token revoked"),
    ("playback_url.create", "Playback URL created"),
    ("share.create", "Share link created"),
    ("share.revoke", "Share link revoked"),
    ("webhook.create", "Webhook created"),
    ("webhook.change", "Webhook changed"),
    ("webhook.delete", "Webhook deleted"),
    ("webhook.rotate", "Secret of webhook rotated"),
    ("webhook.test", "Webhook tested"),
    ("webhook.resend", "Webhook event sent again"),
];

/// Returns the label of an action; `None` for an action of a newer server.
pub fn label(action: &str) -> Option<&'static str> {
    let found = ACTIONS.iter().find(|(name, _)| *name == action);
    found.map(|(_, label)| *label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_actions_are_unique() {
        let names: std::collections::BTreeSet<_> = ACTIONS.map(|(name, _)| name).into();
        let all: std::collections::BTreeSet<_> = ACTIONS.map(|(_, label)| label).into();
        assert_eq!((names.len(), all.len()), (ACTIONS.len(), ACTIONS.len()));
        assert_eq!(label("settings.change"), Some("Settings changed"));
        assert_eq!(label("from.the.future"), None);
    }
}
