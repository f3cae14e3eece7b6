use sortie_api::{Role, TokenScope};

use super::row::Scopes;
use super::*;
use crate::http::extract::caller::{Caller, Via};

/// Formats the table like `docs/access.md`.
fn markdown() -> String {
    let mut text = String::from("| Method | Path | Who | API token's scope |\n|---|---|---|---|\n");
    for row in TABLE {
        let who = format!("{:?}", row.who).to_lowercase();
        let scopes = match row.scopes {
            AnyScope => "any".to_owned(),
            SignInOnly => "none: sign in".to_owned(),
            Recorder => "record, recording token".to_owned(),
            Only(scopes) => names(scopes),
        };
        let Row { method, path, .. } = row;
        text += &format!("| {method} | `{path}` | {who} | {scopes} |\n");
    }
    text
}

/// Writes the document with `UPDATE_DOCS=1`.
#[test]
fn access_document_matches_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/access.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- table -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->\n").unwrap();
    let expected = format!(
        "{before}<!-- table -->\n{}<!-- end -->\n{after}",
        markdown()
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &expected).unwrap();
    } else {
        assert_eq!(
            page, expected,
            "run: UPDATE_DOCS=1 cargo test -p sortie-server --lib"
        );
    }
}

#[test]
fn admin_paths_require_an_administrator_and_rows_are_unique() {
    for (at, row) in TABLE.iter().enumerate() {
        if row.path.starts_with("/api/admin/") {
            assert_eq!(row.who, Admin, "{}", row.path);
        }
        let is_same = |other: &Row| (other.method, other.path) == (row.method, row.path);
        assert!(!TABLE[..at].iter().any(is_same), "{}", row.path);
    }
}

#[test]
fn scopes_restrict_tokens_and_not_sign_ins() {
    let caller = |via, roles: &[Role], scopes: Option<&[TokenScope]>| Caller {
        user_id: "1".to_owned(),
        username: "ann".to_owned(),
        roles: roles.to_vec(),
        via,
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        scopes: scopes.map(<[_]>::to_vec),
        sign_in: None,
        credential: crate::accounts::Credential::Platform,
        session: None,
        recording: None,
        must_change_password: false,
    };
    let (user, admin) = (&[Role::User][..], &[Role::User, Role::Admin][..]);
    let ann = caller(Via::Bearer, user, None);
    let recorder = caller(Via::Token, user, Some(&[Record]));
    let reader = caller(Via::Token, user, Some(&[Read]));
    let root = caller(Via::Cookie, admin, None);
    let robot = caller(Via::Token, admin, Some(&[AdminScope]));
    let platform = caller(Via::Jwt, admin, None);
    let page = Caller {
        session: Some("s1".to_owned()),
        ..caller(Via::Token, user, None)
    };
    let row = |who, scopes: Scopes| route("", "", who, scopes, "", "", &[]);
    for (row, expected) in [
        (
            row(User, AnyScope),
            [true, true, true, true, true, true, false],
        ),
        (
            row(User, Only(&[Record])),
            [true, true, false, true, true, true, false],
        ),
        (
            row(Owner, Only(&[Read])),
            [true, false, true, true, true, true, false],
        ),
        (
            row(User, SignInOnly),
            [true, false, false, true, false, false, false],
        ),
        (
            row(Admin, Only(&[AdminScope])),
            [false, false, false, true, true, true, false],
        ),
        (
            row(Owner, Recorder),
            [true, true, false, true, true, true, true],
        ),
    ] {
        let allowed = [&ann, &recorder, &reader, &root, &robot, &platform, &page]
            .map(|caller| check(&row, caller).is_ok());
        assert_eq!(allowed, expected, "{:?} {:?}", row.who, row.scopes);
    }
}
