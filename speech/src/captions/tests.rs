use super::*;
use crate::transcript::Segment;

fn transcript(duration: f64, segments: &[(f64, f64, &str)]) -> Transcript {
    let segments = (0..).zip(segments).map(|(id, (start, end, text))| Segment {
        id,
        start: *start,
        end: *end,
        text: (*text).to_owned(),
    });
    Transcript {
        version: 1,
        text: String::new(),
        language: String::new(),
        duration,
        model: String::new(),
        engine: String::new(),
        segments: segments.collect(),
        sound: None,
        gaps: Vec::new(),
        raw: serde_json::Value::Null,
    }
}

fn shown(transcript: &Transcript) -> Vec<(i64, i64, String)> {
    cues(transcript).into_iter().map(|cue| (cue.start, cue.end, cue.lines.join("|"))).collect()
}

#[test]
fn a_long_segment_is_cut_where_a_sentence_ends() {
    let text = "Good morning and welcome to the course. Today we talk about heat, about waves and about light. \
                Please stop me whenever something is unclear to you.";
    let made = shown(&transcript(20.0, &[(1.0, 13.0, text)]));
    let texts: Vec<&str> = made.iter().map(|(.., text)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "Good morning and welcome to the course.",
            "Today we talk about heat,|about waves and about light.",
            "Please stop me whenever|something is unclear to you.",
        ]
    );
    assert_eq!(made[0].0, 1000);
    assert!(made.windows(2).all(|pair| pair[0].1 + GAP_MILLISECONDS == pair[1].0), "{made:?}");
}

#[test]
fn short_cues_are_joined_or_stay_longer() {
    let made =
        shown(&transcript(20.0, &[(1.0, 1.3, "Yes."), (1.4, 3.0, "That is right."), (10.0, 10.2, "No.")]));
    assert_eq!(made, [(1000, 3000, "Yes. That is right.".to_owned()), (10_000, 10_834, "No.".to_owned())]);
}

#[test]
fn a_cue_stays_until_it_is_read_but_never_into_the_next() {
    let text = "Forty characters are read in two seconds";
    let made = shown(&transcript(20.0, &[(1.0, 2.0, text), (9.0, 10.0, text), (10.5, 12.5, text)]));
    assert_eq!(
        made.iter().map(|cue| (cue.0, cue.1)).collect::<Vec<_>>(),
        [(1000, 3000), (9000, 10_416), (10_500, 12_500)]
    );
}

#[test]
fn chinese_has_sixteen_characters_a_line_and_no_line_begins_with_punctuation() {
    let text = "今天我们学习傅里叶变换，它把一个函数分解成不同频率的正弦波。这个方法在信号处理中非常重要，在物理学里也是如此。";
    let made = cues(&transcript(20.0, &[(0.0, 14.0, text)]));
    let lines: Vec<&String> = made.iter().flat_map(|cue| &cue.lines).collect();
    assert!(lines.iter().all(|line| line.chars().count() <= MAX_WIDE_LINE_CHARS), "{lines:?}");
    assert!(lines.iter().all(|line| !line.starts_with(['，', '。'])), "{lines:?}");
    assert_eq!(lines.into_iter().cloned().collect::<String>(), text);
}

#[test]
fn times_that_overlap_or_end_late_give_cues_in_order() {
    let made = shown(&transcript(
        6.0,
        &[(0.0, 4.0, "One two three."), (2.0, 3.0, "Four."), (2.0, 5.0, "Five."), (5.9, 6.0, "Six.")],
    ));
    assert_eq!(
        made,
        [
            (0, 1916, "One two three.".to_owned()),
            (2000, 5000, "Four. Five.".to_owned()),
            (5166, 6000, "Six.".to_owned()),
        ]
    );
}

/// A small generator of random numbers; the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn word(&mut self) -> String {
        let longest = if self.below(50) == 0 { 60 } else { 12 };
        let mut word: String = (0..=self.below(longest))
            .map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap()))
            .collect();
        if self.below(25) == 0 {
            word =
                "学习傅里叶变换今天我们".chars().take(1 + usize::try_from(self.below(11)).unwrap()).collect();
        }
        match self.below(12) {
            0 => word + ".",
            1 => word + ",",
            _ => word,
        }
    }
}

/// Segments with `chars_per_second`, some without pauses between them.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn random_transcript(random: &mut Random, chars_per_second: f64) -> Transcript {
    let (mut at, mut segments) = (random.below(3000) as f64 / 1000.0, Vec::new());
    for _ in 0..=random.below(40) {
        let is_long = random.below(8) == 0;
        let words = 1 + random.below(if is_long { 120 } else { 15 });
        let text = (0..words).map(|_| random.word()).collect::<Vec<_>>().join(" ");
        let seconds = text.chars().count() as f64 / chars_per_second;
        segments.push((at, at + seconds, text));
        at += seconds + if random.below(2) == 0 { 0.0 } else { random.below(4000) as f64 / 1000.0 };
    }
    let borrowed: Vec<_> = segments.iter().map(|(start, end, text)| (*start, *end, text.as_str())).collect();
    transcript(at + 1.0, &borrowed)
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn random_speech_keeps_all_limits_and_all_words() {
    let mut random = Random(7);
    for round in 0..400 {
        let transcript = random_transcript(&mut random, [8.0, 12.0, 15.0, 19.0][round % 4]);
        let made = cues(&transcript);
        let said: String = transcript.segments.iter().map(|segment| letters(&segment.text)).collect();
        assert_eq!(letters(&made.iter().flat_map(|cue| cue.lines.clone()).collect::<String>()), said);
        for cue in &made {
            assert!((1..=2).contains(&cue.lines.len()), "{cue:?}");
            for line in &cue.lines {
                let wide = line.chars().filter(|c| width::is_wide(*c)).count();
                let narrow = line.chars().count() - wide;
                assert!(narrow * MAX_WIDE_LINE_CHARS + wide * MAX_LINE_CHARS <= width::LINE, "{line:?}");
                assert!(!line.is_empty() && line.trim() == line, "{line:?}");
            }
            let lasts = cue.end - cue.start;
            assert!((MIN_MILLISECONDS..=MAX_MILLISECONDS).contains(&lasts), "round {round}: {cue:?}");
        }
        for pair in made.windows(2) {
            assert!(pair[1].start - pair[0].end >= GAP_MILLISECONDS, "round {round}: {pair:?}");
        }
        // Each cue starts with its first word, give or take what short cues before it need.
        let first = &transcript.segments[0];
        assert!((made[0].start - tokens::milliseconds(first.start)).abs() < 1, "{made:?}");
    }
}

#[test]
fn no_times_of_an_engine_break_the_order() {
    let mut random = Random(11);
    for round in 0..400 {
        let mut transcript = random_transcript(&mut random, 15.0);
        for segment in &mut transcript.segments {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            match random.below(6) {
                0 => segment.end = segment.start,
                1 => segment.end += random.below(30_000) as f64 / 1000.0,
                2 => segment.start = random.below(60) as f64,
                3 => (segment.start, segment.end) = (f64::NAN, f64::INFINITY),
                _ => {}
            }
        }
        transcript.segments.sort_by(|one, other| one.start.total_cmp(&other.start));
        let said: String = transcript.segments.iter().map(|segment| letters(&segment.text)).collect();
        let made = cues(&transcript);
        assert_eq!(
            letters(&made.iter().flat_map(|cue| cue.lines.clone()).collect::<String>()),
            said,
            "round {round}"
        );
        assert!(made.iter().all(|cue| cue.start >= 0 && cue.start <= cue.end), "round {round}: {made:?}");
        assert!(made.windows(2).all(|pair| pair[0].end <= pair[1].start), "round {round}: {made:?}");
    }
    assert!(cues(&transcript(0.0, &[])).is_empty());
    assert_eq!(cues(&transcript(0.1, &[(0.0, 0.1, "Hi."), (0.05, 0.1, "You.")])).len(), 1);
}
