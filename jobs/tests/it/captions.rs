//! Captions before the judgement of others: W3C's WebVTT validator, a strict SubRip parser, and ffmpeg.

use std::path::{Path, PathBuf};
use std::process::Command;

use bedel_speech::captions::{Cue, cues};
use bedel_speech::{Transcript, srt, vtt};
use serde_json::{Value, json};

/// Prints the errors, then the cues: start and end in seconds and text without tags.
const VALIDATE_VTT: &str = r#"
const { WebVTTParser } = require("webvtt-parser");
const { errors, cues } = new WebVTTParser().parse(require("fs").readFileSync(process.argv[1], "utf8"), "metadata");
const inner = new WebVTTParser().parse(require("fs").readFileSync(process.argv[1], "utf8"));
console.log(JSON.stringify({
  errors: errors.concat(inner.errors).map((error) => `${error.line}: ${error.message}`),
  cues: cues.map((cue) => [cue.startTime, cue.endTime, cue.text]),
}));
"#;

const VALIDATE_SRT: &str = r#"
import json, srt, sys
cues = list(srt.parse(open(sys.argv[1], encoding="utf-8", newline="").read(), ignore_errors=False))
assert [cue.index for cue in cues] == list(range(1, len(cues) + 1)), "the numbers"
assert cues == sorted(cues), "the order"
print(json.dumps([[cue.start.total_seconds(), cue.end.total_seconds(), cue.content] for cue in cues]))
"#;

/// The directory that `script/captions` fills.
fn validators() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("a home directory")).join(".cache"),
        PathBuf::from,
    );
    let directory = cache.join("bedel/captions-1");
    assert!(
        directory.join(".complete").exists(),
        "the validators of captions are missing. Type: script/captions"
    );
    directory
}

fn output(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}. Type: script/captions"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Cues as the validator for WebVTT reads them; panics at its first complaint.
fn read_vtt(file: &Path) -> Vec<(f64, f64, String)> {
    let tools = validators();
    let printed = output(Command::new("node").current_dir(&tools).args(["-e", VALIDATE_VTT, "--"]).arg(file));
    let read: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(read["errors"], json!([]), "{}", std::fs::read_to_string(file).unwrap());
    serde_json::from_value(read["cues"].clone()).expect("cues")
}

/// Cues as the parser for SubRip reads them.
fn read_srt(file: &Path) -> Vec<(f64, f64, String)> {
    let tools = validators();
    let printed = output(
        Command::new("python3").env("PYTHONPATH", tools.join("python")).args(["-c", VALIDATE_SRT]).arg(file),
    );
    serde_json::from_str(&printed).expect("cues")
}

/// Number of cues that ffmpeg's demuxer finds.
fn counted_by_ffmpeg(file: &Path) -> usize {
    let args = ["-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"];
    output(Command::new("ffprobe").args(args).arg(file)).trim().parse().expect("a count")
}

fn transcripts() -> Vec<Transcript> {
    let long = "Heat flows from warm to cold, and never back by itself. ".repeat(20);
    let texts: [&[(f64, f64, &str)]; 5] = [
        &[(0.0, 1.5, "One."), (1.5, 3.0, "Two.")],
        &[
            (0.0, 60.0, &long),
            (60.0, 60.1, "Yes."),
            (60.1, 60.2, "No."),
            (3599.9, 3700.0, "Over an hour & <on>."),
        ],
        &[
            (0.0, 2.0, "x --> y"),
            (2.0, 4.0, "00:00:01.000 --> 00:00:02.000"),
            (4.0, 6.0, "<v Bob>hi</v> &amp; &lt; <b"),
            (6.0, 8.0, "one\n\n2\n00:00:00,000 --> 00:00:01,000\nforged\r\n\u{0}\u{2028}end"),
            (8.0, 10.0, "NOTE this STYLE is WEBVTT"),
            (10.0, 12.0, "{\\an8} 42"),
        ],
        &[
            (0.0, 9.0, "今天我们学习傅里叶变换，它把一个函数分解成不同频率的正弦波。"),
            (9.0, 12.0, "العربية من اليمين"),
        ],
        &[(2.0, 1.0, "Late."), (2.0, 2.0, "Same."), (2.1, 90.0, "Long.")],
    ];
    let made = texts.map(|said| {
        let segments: Vec<Value> = said
            .iter()
            .map(|(start, end, text)| json!({ "start": start, "end": end, "text": text }))
            .collect();
        serde_json::from_value(json!({ "segments": segments })).expect("a transcript")
    });
    made.into()
}

#[test]
fn validators_accept_the_captions_and_read_the_same_cues() {
    let directory = tempfile::tempdir().unwrap();
    for (number, transcript) in transcripts().iter().enumerate() {
        let expected: Vec<Cue> = cues(transcript);
        #[expect(clippy::cast_precision_loss, reason = "a few hours")]
        let times: Vec<(f64, f64)> =
            expected.iter().map(|cue| (cue.start as f64 / 1000.0, cue.end as f64 / 1000.0)).collect();
        let (vtt_file, srt_file) =
            (directory.path().join(format!("{number}.vtt")), directory.path().join(format!("{number}.srt")));
        std::fs::write(&vtt_file, vtt::render(transcript)).unwrap();
        std::fs::write(&srt_file, srt::render(transcript)).unwrap();
        for (name, read) in [("WebVTT", read_vtt(&vtt_file)), ("SubRip", read_srt(&srt_file))] {
            let read_times: Vec<(f64, f64)> = read.iter().map(|(start, end, _)| (*start, *end)).collect();
            assert_eq!(read_times, times, "{name} {number}");
            for ((.., text), cue) in read.iter().zip(&expected) {
                let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
                let said = cue.lines.join("\n");
                let said = if name == "SubRip" { said.replace("-->", "->") } else { said };
                assert!(
                    name == "SubRip" && text == said.replace("&lt;", "<").replace("&amp;", "&")
                        || text == said,
                    "{name} {number}: {text:?}, {said:?}"
                );
            }
        }
        for file in [&vtt_file, &srt_file] {
            assert_eq!(counted_by_ffmpeg(file), expected.len(), "{}", file.display());
        }
    }
}

#[test]
fn the_validators_refuse_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong");
    for wrong in ["WEBVTT\n\n00:02.000 --> 00:01.000\nback\n", "WEBVTT\n\n00:00.000 --> 00:01.000\n<b>open\n"]
    {
        std::fs::write(&file, wrong).unwrap();
        assert!(std::panic::catch_unwind(|| read_vtt(&file)).is_err(), "{wrong}");
    }
    std::fs::write(&file, "1\n00:00:00,000 --> 00:00:01,000\none\n\nlost\n\n2\n00:00:02,000 --> soon\ntwo\n")
        .unwrap();
    assert!(std::panic::catch_unwind(|| read_srt(&file)).is_err());
}
