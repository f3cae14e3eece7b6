//! `--help`, `check-config` and a start with wrong values: output and exit status.

use std::process::{Command, Output};

use sortie_server::VARIABLES;

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sortie-server"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn help_lists_every_variable() {
    let output = run(&["--help"], &[]);
    assert!(output.status.success());
    for variable in VARIABLES {
        let line = format!("\n  {}", variable.name);
        assert!(text(&output.stdout).contains(&line), "{}", variable.name);
    }
}

#[test]
fn check_config_prints_sources_and_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, secret) = (folder.path().join("sortie.toml"), folder.path().join("jwt"));
    std::fs::write(&file, "SORTIE_PORT = 81\nSORTIE_HOST = \"::1\"\n").expect("a file");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef\n").expect("a file");
    let (file, secret) = (file.display().to_string(), secret.display().to_string());
    let output = run(
        &["check-config", "--config", &file],
        &[
            ("SORTIE_PORT", "82"),
            ("SORTIE_ADMIN_PASSWORD", "correct horse"),
            ("SORTIE_JWT_SECRET_FILE", &secret),
            ("SORTIE_DBB", "x"),
        ],
    );
    let (shown, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{notes}");
    let line = |name: &str| {
        let of = |line: &&str| line.split_whitespace().next() == Some(name);
        let line = shown.lines().find(of).unwrap_or_default();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("SORTIE_PORT"), "82 [environment]");
    assert_eq!(line("SORTIE_HOST"), format!("::1 [{file}]"));
    assert_eq!(line("SORTIE_DB"), "sortie.db [default]");
    assert_eq!(line("SORTIE_ADMIN_PASSWORD"), "******** [environment]");
    assert_eq!(line("SORTIE_JWT_SECRET"), format!("******** [{secret}]"));
    assert_eq!(line("SORTIE_RECORDING_S3_BUCKET"), "(not set)");
    assert!(notes.contains("did you mean SORTIE_DB?"), "{notes}");
    assert!(
        !shown.contains("horse") && !shown.contains("abcdef"),
        "{shown}"
    );
}

#[test]
fn wrong_configuration_fails_check_and_start() {
    let environment = [("SORTIE_PORT", "x"), ("SORTIE_CONFIG", "/no/such/file")];
    for arguments in [&["check-config"][..], &[][..]] {
        let output = run(arguments, &environment);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("2 values are wrong"), "{errors}");
        assert!(
            errors.contains("SORTIE_PORT: \"x\" is not a whole number"),
            "{errors}"
        );
        assert!(
            errors.contains("SORTIE_CONFIG: /no/such/file: No such file"),
            "{errors}"
        );
    }
}
