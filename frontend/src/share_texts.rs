//! Texts of share links.

use sortie_api::Share;

use crate::format::clock;

/// Lifetimes in seconds that the dialog offers.
pub const LIVES: [(u32, &str); 5] = [
    (60 * 60, "1 hour"),
    (24 * 60 * 60, "1 day"),
    (LIFE_DEFAULT, "1 week"),
    (30 * 24 * 60 * 60, "30 days"),
    (365 * 24 * 60 * 60, "1 year"),
];

/// A week.
pub const LIFE_DEFAULT: u32 = 7 * 24 * 60 * 60;

/// Name of a link.
pub fn name(share: &Share) -> String {
    match share.label.as_str() {
        "" => format!("Link by {}", share.created_by),
        label => label.to_owned(),
    }
}

/// Facts about a link, after its expiry.
pub fn facts(share: &Share) -> String {
    let range = match (share.start_ms, share.end_ms) {
        (Some(start_ms), Some(end_ms)) => {
            let part = share.part.filter(|part| *part > 1);
            let part = part.map_or_else(String::new, |part| format!(" of part {part}"));
            format!(" · {}–{}{part}", clock(start_ms), clock(end_ms))
        }
        _ => String::new(),
    };
    let password = if share.has_password {
        " · password"
    } else {
        ""
    };
    let views = match share.views {
        0 => "not viewed yet".to_owned(),
        1 => "1 view".to_owned(),
        views => format!("{views} views"),
    };
    format!("{range}{password} · {views}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_is_described_by_label_password_and_views() {
        let mut share = Share {
            id: String::new(),
            recording_id: String::new(),
            label: String::new(),
            part: None,
            start_ms: None,
            end_ms: None,
            created_by: "ann".to_owned(),
            created_at: String::new(),
            expires_at: String::new(),
            has_password: false,
            views: 0,
            last_viewed_at: None,
        };
        assert_eq!(name(&share), "Link by ann");
        assert_eq!(facts(&share), " · not viewed yet");
        share.label = "Board".to_owned();
        (share.has_password, share.views) = (true, 1);
        assert_eq!(name(&share), "Board");
        assert_eq!(facts(&share), " · password · 1 view");
        share.views = 12;
        assert_eq!(facts(&share), " · password · 12 views");
        (share.part, share.start_ms, share.end_ms) = (Some(2), Some(20_000), Some(95_400));
        assert_eq!(
            facts(&share),
            " · 0:20–1:35 of part 2 · password · 12 views"
        );
        share.part = Some(1);
        assert_eq!(facts(&share), " · 0:20–1:35 · password · 12 views");
    }
}
