//! Answers of servers, and what is read from them.

use serde_json::json;

use super::*;

/// The language, and each segment as `start-end text`.
fn shown(answer: Value) -> Option<(String, Vec<String>)> {
    let parsed = transcript(answer.clone(), 60.0, |_| true).ok()?;
    assert_eq!(parsed.raw, answer, "the whole answer is kept");
    let segments = parsed.segments.iter().map(|each| format!("{}-{}{}", each.start, each.end, each.text));
    Some((parsed.language, segments.collect()))
}

#[test]
fn known_formats_are_read() {
    let one = json!([{ "id": 0, "start": 0.5, "end": 2.0, "text": " One.", "avg_logprob": -0.2 }]);
    for (answer, language) in [
        (
            json!({ "task": "transcribe", "language": "english", "duration": 60.0, "text": " One.", "segments": one }),
            "en",
        ),
        (json!({ "language": "de", "segments": [], "result": { "segments": one } }), "de"),
        (json!({ "status": "done", "result": { "text": " One.", "segments": one, "language": "fr" } }), "fr"),
        (json!({ "status": "COMPLETED", "output": { "segments": one, "detected_language": "en" } }), "en"),
        (
            json!({ "result": { "language": "en" }, "transcription": [{ "offsets": { "from": 500, "to": 2000 }, "text": " One." }] }),
            "en",
        ),
        (
            json!({ "segments": [{ "start": "0.5", "end": " 2.0 ", "text": " One." }, { "start": 1, "end": 2, "text": " " }] }),
            "",
        ),
        (json!({ "chunks": [{ "timestamp": [0.5, 2.0], "text": " One." }], "text": " One." }), ""),
        (json!({ "output": [{ "segments": one }] }), ""),
    ] {
        assert_eq!(
            shown(answer.clone()),
            Some((language.to_owned(), vec!["0.5-2 One.".to_owned()])),
            "{answer}"
        );
    }
}

#[test]
fn captions_and_then_text_replace_missing_segments() {
    let vtt = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nOne.\n";
    for (answer, expected) in [
        (json!({ "transcript": "One.", "vtt_content": vtt }), "1-2 One."),
        (json!({ "result": { "vtt_content": vtt } }), "1-2 One."),
        (json!({ "transcript": " One." }), "0-60 One."),
        (json!({ "text": " One." }), "0-60 One."),
        (json!({ "result": " One." }), "0-60 One."),
        (json!({ "result": { "text": " One." } }), "0-60 One."),
        (json!({ "output": { "transcription": " One." } }), "0-60 One."),
        (json!({ "text": " One.", "segments": [{ "id": 1 }] }), "0-60 One."),
        (json!({ "transcript": " ", "result": { "text": " One." } }), "0-60 One."),
        (json!({ "text": " One.", "vtt_content": "WEBVTT\n\n00:01.000 --> 00:02.000\n\n" }), "0-60 One."),
    ] {
        assert_eq!(shown(answer.clone()).expect("a transcript").1, [expected], "{answer}");
    }
}

#[test]
fn reversed_times_are_fixed_and_missing_ones_lie_between_their_neighbours() {
    let segment = |start: Value, end: Value, text| json!({ "start": start, "end": end, "text": text });
    let answer = json!({ "segments": [
        segment(json!(2), json!(1), "a"), segment(json!("inf"), json!("nan"), "b"),
        segment(json!(4), json!(null), "c"), segment(json!(5), json!(6), "d"), segment(json!(null), json!(null), "e"),
    ] });
    assert_eq!(shown(answer).expect("a transcript").1, ["2-2a", "2-4b", "4-5c", "5-6d", "6-60e"]);
}

#[test]
fn times_are_read_in_any_unit() {
    let answer = |time: &dyn Fn(u32) -> Value| {
        let segment =
            |second: u32, text| json!({ "start": time(second), "end": time(second + 3), "text": text });
        json!({ "text": "a b c", "segments": [segment(0, "a"), segment(20, "b"), segment(40, "c")] })
    };
    let nanoseconds = |second| json!(u64::from(second) * 1_000_000_000);
    for (number, answer) in [
        answer(&|second| json!(second)),
        answer(&|second| json!(u64::from(second) * 1000)),
        answer(&|second| json!(u64::from(second) * 1_000_000)),
        answer(&nanoseconds),
        answer(&|second| json!(second.to_string())),
        answer(&|second| json!(format!("{second}s"))),
        answer(&|second| json!(format!("{second}000ms"))),
        answer(&|second| json!(format!("00:00:{second:02}.000"))),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(shown(answer).expect("a transcript").1, ["0-3a", "20-23b", "40-43c"], "{number}");
    }
}

#[test]
fn timed_words_replace_missing_segments() {
    let words = json!([
        { "word": "Good", "start": 0.5, "end": 1.0 }, { "word": "morning", "start": 1.0, "end": 2.0 },
        { "word": "Bye", "start": 50.0, "end": 51.0 },
    ]);
    let expected = vec!["0.5-2Good morning.", "50-51Bye."];
    for answer in [
        json!({ "text": "Good morning. Bye.", "segments": [], "words": words }),
        json!({ "result": { "text": "Good morning. Bye.", "segments": [], "words": words } }),
        json!({ "output": { "transcription": "Good morning. Bye.", "words": words } }),
        json!({ "text": "Good morning. Bye.", "segments": [{ "text": "", "words": words }] }),
    ] {
        assert_eq!(shown(answer.clone()).expect("a transcript").1, expected, "{answer}");
    }
    let mixed =
        json!({ "segments": [{ "text": " Hi.", "start": 30, "end": 31 }, { "text": "", "words": words }] });
    let starts: Vec<String> = shown(mixed).expect("a transcript").1;
    assert_eq!(starts, ["30-31 Hi.", "0.5-2Good morning", "50-51Bye"]);
}

#[test]
fn words_of_the_text_that_no_segment_has_are_kept() {
    let answer = json!({ "text": "One two three. Four five six.", "segments": [{ "start": 0, "end": 5, "text": "One two three." }] });
    let parsed = transcript(answer, 60.0, |_| true).expect("a transcript");
    assert_eq!((parsed.segments.len(), parsed.segments[1].text.as_str()), (2, "Four five six."));
    assert_eq!((parsed.gaps.len(), parsed.gaps[0].start, parsed.gaps[0].end), (1, 5.0, 60.0));
}

#[test]
fn a_server_that_heard_less_than_it_was_sent_is_an_error() {
    let answer = |duration: Value, last: f64| json!({ "duration": duration, "text": "a", "segments": [{ "start": last - 1.0, "end": last, "text": "a" }] });
    let heard = |duration: Value, last| transcript(answer(duration, last), 96.0, |_| true).map(|_| ());
    let short = Err(PayloadError::HeardLess { sent: 96.0, heard: 30.0 });
    for duration in [
        json!(30.0),
        json!("30.0"),
        json!("30s"),
        json!(30_000),
        json!(30_000_000_000_u64),
        json!("00:00:30"),
    ] {
        assert_eq!(heard(duration.clone(), 26.5), short, "{duration}");
    }
    assert_eq!(heard(json!(94.1), 26.5), Ok(()));
    assert!(heard(json!(93.9), 26.5).is_err());
    for unknown in
        [json!(null), json!(0), json!("0"), json!("?"), json!(-1), json!(96), json!(120), json!(96_000)]
    {
        assert_eq!(heard(unknown.clone(), 26.5), Ok(()), "{unknown}");
    }
    // The server's own time: words lie behind it.
    assert_eq!(heard(json!(30.0), 95.0), Ok(()));
    let nested = json!({ "status": "done", "result": answer(json!(30), 26.5) });
    assert_eq!(transcript(nested, 96.0, |_| true).map(|_| ()), short);
    // 2 % of ten minutes.
    let long = |duration: f64| transcript(answer(json!(duration), 500.0), 600.0, |_| true).is_ok();
    assert_eq!((long(588.1), long(587.9)), (true, false));
}

#[test]
fn a_length_that_is_the_end_of_the_last_segment_may_precede_silence() {
    let answer = |duration: Value, last: f64| json!({ "duration": duration, "text": "a", "segments": [{ "start": last - 1.0, "end": last, "text": "a" }] });
    let short = |heard| Err(PayloadError::HeardLess { sent: 96.0, heard });
    for (duration, last, is_end) in [(26.5, 26.5, true), (27.0, 26.5, true), (30.0, 26.5, false)] {
        for speaks in [true, false] {
            let heard = transcript(answer(json!(duration), last), 96.0, |behind| {
                assert_eq!(behind, duration);
                speaks
            });
            let expected = if is_end && !speaks { Ok(()) } else { short(duration) };
            assert_eq!(heard.map(|_| ()), expected, "{duration} {speaks}");
        }
    }
    // The largest of several.
    let mut both = answer(json!(26.5), 26.5);
    both["audio_duration"] = json!("96.0");
    assert_eq!(transcript(both, 96.0, |_| true).map(|_| ()), Ok(()));
    let nested = json!({ "duration": 96, "result": answer(json!(26.5), 26.5) });
    assert_eq!(transcript(nested, 96.0, |_| true).map(|_| ()), Ok(()));
    let nested = json!({ "duration": 1.5, "result": answer(json!(30), 26.5) });
    assert_eq!(transcript(nested, 96.0, |_| false).map(|_| ()), short(30.0));
}

#[test]
fn segments_without_times_of_their_own_are_text() {
    let list = |times: [Value; 3]| {
        let texts = ["One.", "Two.", "Three."].into_iter().zip(times);
        texts.map(|(text, time)| json!({ "text": text, "start": time, "end": time })).collect::<Vec<_>>()
    };
    let whole = vec!["0-60One. Two. Three.".to_owned()];
    for time in [json!(null), json!(0), json!("0.0"), json!(7)] {
        let segments = list([time.clone(), time.clone(), time.clone()]);
        for answer in [
            json!({ "segments": segments }),
            json!({ "text": "One. Two. Three.", "segments": segments }),
            json!({ "words": segments }),
        ] {
            assert_eq!(shown(answer.clone()).expect("a transcript").1, whole, "{answer}");
        }
    }
    let timed = json!({ "segments": list([json!(1), json!(20), json!(40)]) });
    assert_eq!(shown(timed).expect("a transcript").1, ["1-1One.", "20-20Two.", "40-40Three."]);
    let one = json!({ "segments": [{ "text": "Hello.", "start": 30, "end": 30 }] });
    assert_eq!(shown(one).expect("a transcript").1, ["30-30Hello."]);
    // Times elsewhere in the answer.
    let words = json!([{ "word": "One", "start": 5, "end": 6 }, { "word": "two", "start": 6, "end": 7 }]);
    for answer in [
        json!({ "text": "One two.", "segments": [{ "text": "One two." }], "words": words }),
        json!({ "text": "One two.", "segments": [{ "text": "One two.", "start": 0, "end": 0, "words": words }] }),
    ] {
        assert_eq!(shown(answer.clone()).expect("a transcript").1, ["5-7One two."], "{answer}");
    }
}

#[test]
fn words_behind_the_end_are_never_moved_in_front_of_others_nor_dropped_unmarked() {
    let segment = |start: f64, text: &str| json!({ "start": start, "end": start + 2.0, "text": text });
    let fast = json!({ "segments": [segment(2.0, "One."), segment(49.7, "Two."), segment(50.5, "Three."), segment(51.0, "Four.")] });
    let made = transcript(fast, 50.0, |_| true).expect("a transcript");
    let times: Vec<_> = made.segments.iter().map(|segment| (segment.start, segment.end)).collect();
    assert_eq!(times[1..], [(49.7, 51.7), (49.7, 50.0), (49.7, 50.0)]);
    assert_eq!(made.gaps, []);

    // One word of forty, far behind.
    let said = "one two three four five six seven eight nine ten ".repeat(4);
    let far = json!({ "segments": [segment(0.0, &said), segment(70.0, "Goodbye.")] });
    let made = transcript(far, 50.0, |_| true).expect("a transcript");
    let last = made.segments.last().expect("two");
    assert_eq!((last.start, last.end, last.text.as_str()), (49.0, 50.0, "Goodbye."));
    assert_eq!(made.gaps, [Gap { start: 49.0, end: 50.0, reason: GapReason::LostWords }]);
}

#[test]
fn millions_of_segments_are_read_in_time_or_refused() {
    let many = json!({ "text": "a", "segments": vec![json!({ "end": 1, "text": "a" }); 200_000] });
    let begun = std::time::Instant::now();
    assert!(matches!(transcript(many.clone(), 600.0, |_| true), Err(PayloadError::NoTranscript(_))));
    // Any number is allowed here.
    assert!(has_words(&many));
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_transcript_of_silence_is_told_from_none() {
    for (answer, is_transcript, is_bare) in [
        (json!({ "text": "", "segments": [] }), true, true),
        (json!({ "result": { "text": "", "segments": [] } }), true, true),
        (json!({ "text": "" }), true, false),
        (json!({ "text": "a" }), true, true),
        (json!({ "segments": [] }), true, false),
        (json!({ "text": null, "segments": null }), false, false),
        (json!({ "result": null }), false, false),
    ] {
        assert_eq!(
            (has_transcript(&answer), is_bare_transcript(&answer)),
            (is_transcript, is_bare),
            "{answer}"
        );
    }
}

#[test]
fn words_behind_the_end_are_moved_in_dropped_or_an_error() {
    let said = "one two three four five six seven eight nine ten";
    let answer = |start: f64, text: &str| json!({ "segments": [{ "start": 0, "end": 9, "text": said }, { "start": start, "end": start + 2.0, "text": text }] });
    let heard = |start, text| {
        let segments = transcript(answer(start, text), 50.0, |_| true)?.segments;
        Ok::<_, PayloadError>(segments.iter().map(|segment| (segment.start, segment.end)).collect::<Vec<_>>())
    };
    assert_eq!(heard(51.0, said), Ok(vec![(0.0, 9.0), (49.0, 50.0)]), "a clock that runs fast");
    assert_eq!(heard(53.0, "Thank you."), Ok(vec![(0.0, 9.0)]), "padding");
    assert_eq!(heard(53.0, said), Err(PayloadError::BehindEnd { sent: 50.0, last: 53.0 }));
    assert_eq!(heard(80.0, "Thank you."), Err(PayloadError::BehindEnd { sent: 50.0, last: 80.0 }));
}

#[test]
fn silence_is_a_transcript_and_an_unknown_answer_is_not() {
    for silent in [json!({ "text": "" }), json!({ "text": " ", "segments": [] }), json!({ "segments": [] })] {
        assert_eq!(shown(silent.clone()), Some((String::new(), Vec::new())), "{silent}");
    }
    let many = json!({ "segments": vec![json!({ "start": 0, "end": 1, "text": "a" }); 1201] });
    for strange in [
        json!({}),
        json!([]),
        json!({ "status": "done" }),
        json!({ "result": { "ok": true } }),
        json!(null),
        json!("ok"),
        many,
    ] {
        assert_eq!(shown(strange.clone()), None, "{strange}");
    }
}
