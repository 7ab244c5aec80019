//! Transcription of 17 minutes of human speech with known words, beside whisper.cpp's own command line and faster-whisper; what
//! cuts it; and what kills and stops cost.

mod contenders;
mod cuts;
mod lecture;
mod options;
mod survival;

use bedel_speech::transcript::Segment;
use bedel_speech::wer::{SpokenSentence, offsets, word_error_rate};

use self::contenders::{Contender, Measured};
use self::lecture::Lecture;
use self::options::Part;
use self::survival::Survival;
use crate::directory::Directory;
use crate::error::{BenchError, Result};
use crate::page::{self, Row};
use crate::report::{Machine, figure};
use crate::server;

pub use self::options::SpeechArgs;

/// The models, small ones first.
const MODELS: [&str; 2] = ["tiny.en", "base"];

/// Edges of sentences that are so near count as right, in seconds.
const NEAR: f64 = 0.5;

/// What one contender heard with one model.
struct Heard {
    name: &'static str,
    model: &'static str,
    measured: Measured,
    /// Share of the words that are wrong.
    wrong: f64,
    /// Share of the sentences' edges that are no more than [`NEAR`] from where they are.
    near: f64,
}

/// Measures and tells.
pub async fn run(args: &SpeechArgs) -> Result<()> {
    let lecture = Lecture::open(args)?;
    let cluster = server::start().await?;
    let machine = Machine::look(&cluster).await?;
    let directory = Directory::create("speech-")?;
    let mut sections = Vec::new();
    // First, as it fails where a promise is broken.
    let survival = match args.only.contains(&Part::Survival) {
        true => Some(survived(&survival::measure(args, &cluster, &lecture).await?)),
        false => None,
    };
    if args.only.contains(&Part::Words) {
        sections.push(words(args, &lecture, &directory).await?);
    }
    if args.only.contains(&Part::Cuts) {
        sections.push(cuts::compare(args, &lecture, &directory).await?);
    }
    sections.extend(survival);
    cluster.stop().await;
    println!("\n{}", sections.join("\n"));
    if args.publish {
        if args.only.len() < 3 {
            return Err(BenchError::Usage("--publish takes all parts: leave --only away".to_owned()));
        }
        let page = args.docs.join("benchmarks-speech.md");
        page::publish(&page, &document(&machine, &lecture, &sections))?;
    }
    Ok(())
}

async fn words(args: &SpeechArgs, lecture: &Lecture, directory: &Directory) -> Result<String> {
    let mut results = Vec::new();
    for model in MODELS {
        for contender in Contender::ALL {
            let (measured, segments) = contender.run(args, lecture, model, directory.path()).await?;
            let text: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
            let wrong = word_error_rate(&lecture.words(), &text.join(" "));
            let near = share_near(&lecture.spoken, &segments);
            println!(
                "{model:8} {:38} {} % of the words wrong, {} % of the edges near, {} x real time, {} MB",
                contender.name(),
                figure(wrong * 100.0),
                figure(near * 100.0),
                figure(lecture.seconds / measured.cpu),
                figure(measured.memory / 1e6),
            );
            results.push(Heard { name: contender.name(), model, measured, wrong, near });
        }
    }
    Ok(words_section(lecture, &results))
}

fn share_near(spoken: &[SpokenSentence], segments: &[Segment]) -> f64 {
    let offsets = offsets(spoken, segments);
    offsets.iter().filter(|offset| **offset <= NEAR).count() as f64 / offsets.len().max(1) as f64
}

fn words_section(lecture: &Lecture, results: &[Heard]) -> String {
    let mut text = String::from(
        "## Words\n\n| model | program | words wrong, % | edges within 0.5 s, % | audio seconds for a second of processor | for a second | memory, MB |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for Heard { name, model, measured, wrong, near } in results {
        text += &format!(
            "| {model} | {name} | {} | {} | {} | {} | {} |\n",
            figure(wrong * 100.0),
            figure(near * 100.0),
            figure(lecture.seconds / measured.cpu),
            figure(lecture.seconds / measured.wall),
            figure(measured.memory / 1e6),
        );
    }
    let wrong = |contender: Contender, model: &str| {
        let found = results.iter().find(|result| result.model == model && result.name == contender.name());
        found.map_or(f64::NAN, |result| result.wrong * 100.0)
    };
    let near = |model: &str| {
        let found =
            results.iter().find(|result| result.model == model && result.name == Contender::Bedel.name());
        found.map_or(f64::NAN, |result| result.near * 100.0)
    };
    let pieces = |model| wrong(Contender::Bedel, model) - wrong(Contender::InOneCall, model);
    let rows = [
        Row::at_most("words wrong with tiny.en, in %", wrong(Contender::Bedel, "tiny.en"), 5.0),
        Row::at_most("words wrong with base, in %", wrong(Contender::Bedel, "base"), 5.0),
        Row::at_most("more in pieces than in one call with tiny.en, in points", pieces("tiny.en"), 0.5),
        Row::at_most("more in pieces than in one call with base, in points", pieces("base"), 0.5),
        Row::at_least("edges within 0.5 s with tiny.en, in %", near("tiny.en"), 95.0),
        Row::at_least("edges within 0.5 s with base, in %", near("base"), 95.0),
    ];
    format!("{text}\n{}", page::table(&rows))
}

fn survived(survival: &Survival) -> String {
    let rows = [
        Row::plain("length of the recording, in s", survival.seconds),
        Row::plain("kills -9", survival.kills as f64),
        Row::plain("stops for longer than a worker may be silent", survival.stops as f64),
        Row::plain("undisturbed: processor time, in s", survival.undisturbed),
        Row::plain("disturbed: processor time of all workers, in s", survival.disturbed),
        Row::at_most("audio transcribed in all, in s", survival.transcribed(), survival.bound()),
        Row::at_most(
            "audio transcribed in all, per second of the recording",
            survival.transcribed() / survival.seconds,
            survival.bound() / survival.seconds,
        ),
        Row::at_most(
            "words that differ from the undisturbed transcript, in %",
            survival.differs * 100.0,
            0.0,
        ),
    ];
    format!("## Kills and stops\n\n{}", page::table(&rows))
}

fn document(machine: &Machine, lecture: &Lecture, sections: &[String]) -> String {
    format!(
        "# Benchmark of transcription\n\n\
         Made by\n\n```sh\nscript/bench speech --publish\n```\n\n{}\n\n\
         The recording is {} s long: {} prompts of a telephone exchange (Debian's asterisk-core-sounds-en), one human voice, exact words, half a \
         second between them, as AAC of 64 kbit/s. Everything runs by itself, one after the other, on one thread.\n\n{}\n\
         Words are compared without case, punctuation and the spelling of numbers. Edges are those sentence beginnings and ends whose \
         word begins or ends a segment. Processor time and the highest resident memory are those of the program's process, ffmpeg that \
         decodes for it included in the time. Bedel is `bedel transcribe`, which does what a worker does; in one call means that whisper.cpp is handed the \
         whole recording at once, as its own command line does (greedy, `-bs 1 -bo 1`). faster-whisper has int8 weights and searches greedily too.\n\n\
         Cuts: for windows of half a minute, beginning every five seconds, the place where each method would cut; counted are those inside a \
         sentence. The detector of voices is Silero's, as faster-whisper brings it along.\n\n\
         Kills and stops: a recording of half an hour, two workers, and every half minute or so the one that is at work is killed (-9), \
         or stopped until the other has taken over. The total transcribed is measured by the processor time of every worker that took part, \
         in terms of that of one that nobody disturbs. The aim is 1.1 times the recording and one piece (at most ten minutes) for each \
         disturbance.\n",
        machine.sentence(),
        figure(lecture.seconds),
        lecture.spoken.len(),
        sections.join("\n"),
    )
}
