//! Rules: each row names the test that holds the server to it, and fails when that test is gone.

use crate::file;

#[rustfmt::skip]
const ROWS: [(&str, &str, &str); 12] = [
    ("auto-record is in force at once, without a restart", "server/tests/policy/settings.rs", "auto_record_is_in_force_at_once_survives_a_restart_and_is_audited"),
    ("auto-record reaches pages that are open", "server/tests/policy/events.rs", "a_page_hears_of_the_setting_and_of_its_session_and_of_nobody_elses"),
    ("a Stop by hand sticks in its session", "server/tests/policy/sessions.rs", "a_users_stop_sticks_in_its_session_and_in_no_other"),
    ("retention runs hourly", "server/tests/policy/retention.rs", "it_runs_by_itself_a_minute_after_the_start_and_then_every_hour"),
    ("retention deletes only what is ready and too old", "server/tests/policy/retention.rs", "what_is_ready_and_too_old_goes_and_the_preview_says_so_before"),
    ("retention never deletes what is in progress or protected", "server/src/retention/planner.rs", "proptest!"),
    ("a user reaches only their own", "server/tests/recordings.rs", "nobody_reaches_what_is_not_theirs"),
    ("an administrator reaches everything, and every route knows who may", "server/tests/access.rs", "every_route_lets_in_whom_the_table_says_and_nobody_else"),
    ("whatever is done to a recording is in the audit log", "server/tests/policy/audit.rs", "what_is_done_to_a_recording_is_written_down_and_so_is_who_may_not"),
    ("the audit log cannot be changed unnoticed", "server/tests/policy/audit.rs", "whatever_is_done_to_the_rows_shows"),
    ("with Kubernetes and local storage a volume is mounted at the storage path", "tests/deploy/chart_test.py", "mountPath"),
    ("without recording the pages show no controls", "tests/browser/disabled.test.mjs", "record"),
];

#[test]
fn every_rule_has_its_test() {
    for (rule, path, test) in ROWS {
        assert!(file(path).contains(test), "{rule}: {path} has no {test}");
    }
}
