//! The commands in docs/start/first-lecture.md work when pasted, in order, on a fresh `bedel dev`.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::dev::{started, state_of, stop};
use crate::extension::models;
use crate::program::Project;

const PAGE: &str = include_str!("../../docs/start/first-lecture.md");

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_for_curl_work_when_they_are_pasted() {
    let project = Project::new()
        .set("BEDEL_MODEL_DIR", &models())
        // Nothing that leaves this machine.
        .set("CDCS_URL", "http://127.0.0.1:9/");
    let dev = started(&project, project.command(&["dev", "--listen", "127.0.0.1:0"]));
    let (_, block) = PAGE.split_once("```sh\nAPI=http://127.0.0.1:8080\n").expect("the lines are there");
    let (lines, _) = block.split_once("```").expect("they end");
    let state = state_of(&project).unwrap();
    let script = format!("set -e\nAPI={}\n{lines}", state["api_url"].as_str().unwrap().trim_end_matches('/'));
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), project.path().join("examples")).unwrap();
    let ran = Command::new("bash")
        .args(["-c", &script])
        .current_dir(project.path())
        .env("no_proxy", "*")
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{complained}");
    assert!(said.contains("\"status\":\"completed\"") && said.contains("tides"), "{said}");
    assert_eq!(std::fs::metadata(project.path().join(".data/first-kilobyte.m4a")).unwrap().len(), 1024);
    stop(dev);
}
