//! Manual pages and shell completions for the package.

use std::process::Command;

fn agent() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"))
}

#[test]
fn manual_has_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let made = agent().arg("man").arg(folder.path()).status().unwrap();
    assert!(made.success());
    for command in ["", "-serve", "-record", "-probe", "-certificate"] {
        let path = folder
            .path()
            .join(format!("sortie-capture-agent{command}.1"));
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.contains(".SH NAME"), "{command}: {page}");
    }
    let page = std::fs::read_to_string(folder.path().join("sortie-capture-agent-serve.1")).unwrap();
    assert!(page.contains("SORTIE_CAPTURE_SOURCE"), "{page}");

    let failed = agent().args(["man", "/nowhere"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let text = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(text.contains("/nowhere"), "{text}");
}

#[test]
fn completions_are_accepted_by_bash() {
    for shell in ["bash", "zsh", "fish"] {
        let made = agent().args(["completions", shell]).output().unwrap();
        assert!(made.status.success());
        let script = String::from_utf8(made.stdout).unwrap();
        assert!(script.contains("certificate"), "{shell}");
        if shell == "bash" {
            let checked = Command::new("bash").args(["-n", "-c", &script]).status();
            assert!(checked.unwrap().success());
        }
    }
}
