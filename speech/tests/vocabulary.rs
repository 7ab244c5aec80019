//! Thirty spoken sentences with a term each: a vocabulary finds more terms and costs no other word.
//!
//! Prints what docs/reference/benchmarks-vocabulary.md shows. Type:
//! `cargo test -p bedel-speech --test vocabulary -- --nocapture`

#![cfg(feature = "whisper")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bedel_speech::wer::word_error_rate;
use bedel_speech::whisper::Whisper;
use bedel_speech::{Control, DecodedAudio, Engine, Hints, NoPieceStore, Prompt, models, transcribe_pieces};
use tokio_util::sync::CancellationToken;

/// Sentences with their term between asterisks.
const SENTENCES: [&str; 30] = [
    "The largest *eigenvalue* of this matrix decides how fast the method converges.",
    "We then run *Dijkstra* on the graph to find the shortest path.",
    "Write down the *Lagrangian* and set its derivative to zero.",
    "Most of the energy comes out of the *Krebs cycle*.",
    "The plot of the residuals shows clear *heteroscedasticity*.",
    "A *Bayesian* would begin with a prior and then look at the data.",
    "We take the *Fourier* transform of both sides.",
    "The *Hamiltonian* is the total energy of the system.",
    "Almost all of this happens inside the *mitochondria*.",
    "Check the *stoichiometry* before you mix the two liquids.",
    "This is a question of *epistemology* and not of taste.",
    "Last week we read two chapters of *Kierkegaard*.",
    "Neither player wants to leave the *Nash equilibrium*.",
    "The number of calls in an hour follows a *Poisson* distribution.",
    "The *Laplacian* of this function is zero everywhere.",
    "The same gene can lead to more than one *phenotype*.",
    "This is the formula that *Euler* wrote in a letter.",
    "If no heat is exchanged the process is *adiabatic*.",
    "Every such map is a *homomorphism* of groups.",
    "The proteins are made in the *cytoplasm* of the cell.",
    "The *amortized* cost of an insertion is constant.",
    "We solve the *Schrodinger* equation for a particle in a box.",
    "We add a little *Gaussian* noise to every image.",
    "A single *perceptron* cannot learn this function.",
    "The next slide shows a remark by *Wittgenstein* about games.",
    "Melting ice is an *endothermic* change.",
    "With *memoization* the program runs in linear time.",
    "This is the *Keynesian* view of a recession.",
    "The solver computes a *Cholesky* factorization first.",
    "The two trees are equal up to *isomorphism*.",
];

/// Two of flite's voices.
const VOICES: [&str; 2] = ["slt", "rms"];

fn terms() -> Vec<&'static str> {
    SENTENCES.iter().map(|sentence| sentence.split('*').nth(1).expect("a term")).collect()
}

/// All sentences in one recording, half a second apart.
async fn recording(directory: &Path, voice: &str) -> DecodedAudio {
    let (mut inputs, mut joined) = (String::new(), String::new());
    for (index, sentence) in SENTENCES.iter().enumerate() {
        let words = directory.join(format!("{voice}-{index}.txt"));
        std::fs::write(&words, sentence.replace('*', "")).expect("a text file");
        write!(inputs, "flite=textfile={}:voice={voice},apad=pad_dur=0.5[s{index}];", words.display())
            .expect("a string grows");
        write!(joined, "[s{index}]").expect("a string grows");
    }
    let audio = sound(directory, &format!("{inputs}{joined}concat=n={}:v=0:a=1", SENTENCES.len()));
    let decoded = directory.join("audio.f32");
    bedel_media::MediaTools::find().expect("ffmpeg").decode_pcm(&audio, &decoded).await.expect("sound");
    DecodedAudio::open(&decoded).expect("sound")
}

/// Sound made by ffmpeg from a filter's description.
fn sound(directory: &Path, filter: &str) -> PathBuf {
    let path = directory.join("made.wav");
    let made =
        Command::new("ffmpeg").args(["-v", "error", "-y", "-f", "lavfi", "-i", filter]).arg(&path).status();
    assert!(made.expect("ffmpeg").success(), "{filter}");
    path
}

/// Terms found, and words wrong beside them, as a share of the other words.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    found: usize,
    wrong: f64,
}

/// Compares a transcript with the sentences. Each term, where it was found in its spelling, and whatever stands
/// in its place otherwise, does not count as a word.
fn score(transcript: &str) -> Score {
    let plain = |text: &str| {
        let clean = text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), " ");
        let words = clean.split_whitespace().map(|word| if word == "0" { "zero" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    let heard = format!(" {} ", plain(transcript));
    let found = terms().iter().filter(|term| heard.contains(&format!(" {} ", plain(term)))).count();
    let spoken: Vec<(String, bool)> = SENTENCES
        .iter()
        .flat_map(|sentence| sentence.split('*').enumerate())
        .flat_map(|(part, text)| {
            plain(text).split_whitespace().map(|word| (word.to_owned(), part == 1)).collect::<Vec<_>>()
        })
        .collect();
    let heard: Vec<&str> = heard.split_whitespace().collect();
    let others = spoken.iter().filter(|(_, is_term)| !is_term).count();
    Score { found, wrong: errors_beside_terms(&spoken, &heard) as f64 / others as f64 }
}

/// Edits between the words spoken and heard, if those at a term are free.
fn errors_beside_terms(spoken: &[(String, bool)], heard: &[&str]) -> usize {
    let is_term = |index: usize| spoken.get(index).is_some_and(|(_, is_term)| *is_term);
    let mut costs: Vec<usize> = (0..=heard.len()).map(|count| if is_term(0) { 0 } else { count }).collect();
    for (row, (word, term)) in spoken.iter().enumerate() {
        let near_term = *term || is_term(row + 1);
        let mut next = vec![costs[0] + usize::from(!term)];
        for (column, found) in heard.iter().enumerate() {
            let replaced = costs[column] + usize::from(!term && word != found);
            let deleted = costs[column + 1] + usize::from(!term);
            let inserted = next[column] + usize::from(!near_term);
            next.push(replaced.min(deleted).min(inserted));
        }
        costs = next;
    }
    costs[heard.len()]
}

async fn transcript(engine: &Arc<dyn Engine>, hints: Hints, audio: &DecodedAudio, scratch: &Path) -> String {
    let engine = hints.apply(Arc::clone(engine));
    let control = Control::new(CancellationToken::new(), |_| ());
    let heard = transcribe_pieces(engine.as_ref(), audio, &control, &NoPieceStore::new(scratch)).await;
    let segments = heard.expect("a transcript").into_raw().segments;
    segments.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vocabulary_finds_terms_and_costs_no_other_word() {
    let directory = models::default_dir().expect("a directory for models");
    let model = std::env::var("BEDEL_VOCABULARY_MODEL").unwrap_or_else(|_| models::DEFAULT_MODEL.to_owned());
    let engine: Arc<dyn Engine> = Arc::new(Whisper::new(&model, directory, None));
    let scratch = tempfile::tempdir().expect("a directory");
    let mut sums = [Score::default(); 2];
    println!("| model | voice | vocabulary | terms found, of 30 | other words wrong, % |");
    for voice in VOICES {
        let audio = recording(scratch.path(), voice).await;
        for (number, with) in [false, true].into_iter().enumerate() {
            let prompt = if with { Prompt::new(terms()) } else { Prompt::default() };
            let text = transcript(&engine, Hints { language: None, prompt }, &audio, scratch.path()).await;
            let score = score(&text);
            let name = if with { "30 terms" } else { "none" };
            println!("| {model} | {voice} | {name} | {} | {:.2} |", score.found, score.wrong * 100.0);
            sums[number].found += score.found;
            sums[number].wrong += score.wrong;
            let whole = SENTENCES.join(" ").replace('*', "");
            assert!(word_error_rate(&whole, &text) < 0.25, "{text}");
        }
    }
    let [without, with] = sums;
    assert!(with.found >= without.found + 5, "{without:?} {with:?}");
    // Sums of the same quotients.
    assert!(with.wrong <= without.wrong + 1e-9, "{without:?} {with:?}");
}

#[test]
fn words_at_a_term_are_free_and_others_count() {
    let right = SENTENCES.join(" ").replace('*', "");
    let perfect = score(&right);
    assert_eq!((perfect.found, perfect.wrong), (30, 0.0));
    let misheard = score(&right.replace("heteroscedasticity", "hetero skid as to city"));
    assert_eq!((misheard.found, misheard.wrong), (29, 0.0));
    let worse = score(&right.replace("residuals", "residue holes"));
    assert_eq!(worse.found, 30);
    assert!((worse.wrong * 241.0 - 2.0).abs() < 0.5, "{worse:?}");
}
