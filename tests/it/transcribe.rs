//! `bedel transcribe`: a local file, without a database.

use std::path::{Path, PathBuf};

use bedel_speech::models;
use bedel_speech::wer::word_error_rate;

use super::program::Project;

const SPOKEN: &str = "The sun warms the sea, and water rises into the air as vapor. High above the ground the vapor cools and \
     forms clouds. When the clouds become heavy, rain falls on the mountains and on the fields.";

fn project() -> Project {
    let models = models::default_dir().unwrap();
    if let Err(error) = models::resolve(models::DEFAULT_MODEL, &models) {
        panic!("{error}\nThese tests need the speech model. Type: script/setup");
    }
    Project::new().set("BEDEL_MODEL_DIR", models.to_str().unwrap())
}

/// A recording that ffmpeg makes from a filter.
fn recording(project: &Project, filter: &str) -> PathBuf {
    let path = project.path().join("recording.m4a");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", filter, "-c:a", "aac"])
        .arg(&path)
        .status()
        .expect("ffmpeg; script/setup says how to install it");
    assert!(made.success(), "{filter}");
    path
}

/// The directory's files, except outputs of the runs.
fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".log")).collect();
    names.sort();
    names
}

#[test]
fn a_file_becomes_text_captions_and_a_payload() {
    let project = project();
    std::fs::write(project.path().join("words.txt"), SPOKEN).unwrap();
    let words = project.path().join("words.txt");
    let file = recording(&project, &format!("flite=textfile={}:voice=slt", words.display()));
    let file = file.to_str().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let project = project.set("TMPDIR", temporary.path().to_str().unwrap());

    let text = project.run(&["transcribe", file]).ok();
    let rate = word_error_rate(SPOKEN, &text);
    assert!(rate <= 0.10, "{rate}: {text}");
    let captions = project.run(&["transcribe", file, "--format", "vtt"]).ok();
    assert!(captions.starts_with("WEBVTT\n\n00:00:"), "{captions}");

    std::fs::write(project.path().join("out.json"), "before").unwrap();
    let arguments = ["transcribe", file, "--format", "json", "--output", "out.json"];
    assert_eq!(project.run(&arguments).ok(), "");
    let written = std::fs::read(project.path().join("out.json")).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(payload["text"].as_str().unwrap(), text.trim_end());
    assert_eq!((&payload["model"], &payload["language"]), (&"tiny.en".into(), &"en".into()));
    assert_eq!(files(temporary.path()), Vec::<String>::new());
    assert_eq!(files(project.path()), ["out.json", "recording.m4a", "words.txt"]);
}

#[test]
fn a_file_that_cannot_be_transcribed_is_named_and_nothing_is_written() {
    let project = project();
    let missing = project.run(&["transcribe", "no.mp4"]).refused(2);
    assert!(missing.contains("FILE: no.mp4 is not a file"), "{missing}");
    std::fs::write(project.path().join("notes.txt"), "These are notes.").unwrap();
    let notes = project.run(&["transcribe", "notes.txt", "--output", "out.txt"]).refused(1);
    assert!(notes.contains("not a recording"), "{notes}");
    recording(&project, "anullsrc=r=16000:cl=mono:d=3");
    let silent = project.run(&["transcribe", "recording.m4a", "--output", "out.txt"]).refused(1);
    assert!(silent.contains("no speech was found"), "{silent}");
    let model = project.run(&["transcribe", "recording.m4a", "--model", "large"]).refused(2);
    assert!(model.contains("bedel model install"), "{model}");
    assert_eq!(files(project.path()), ["notes.txt", "recording.m4a"]);
}
