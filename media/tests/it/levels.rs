//! Levels that an engine cannot work with are corrected, all others are left alone.

use super::*;

const SECONDS: u32 = 12;

fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
}

#[tokio::test]
async fn a_very_quiet_voice_is_made_louder_and_noise_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let voice = voice("slt", SECONDS);
    let (_, loud) = decode(&record(directory, "loud.m4a", &format!("{voice}[a]"), 1)).await;
    for (decibels, is_raised) in [(0, false), (-15, false), (-45, true), (-60, true)] {
        let graph = format!("{voice},volume={decibels}dB[a]");
        let (choice, samples) = decode(&record(directory, "quiet.m4a", &graph, 1)).await;
        assert_eq!(choice.gain_db > 0, is_raised, "{decibels} dB: {choice:?}");
        assert!(!is_raised || (0.05..1.0).contains(&peak(&samples)), "{decibels} dB: {}", peak(&samples));
        assert_eq!(samples.len(), loud.len());
    }
    let hiss = noise("white", 0.0005, SECONDS) + "[a]";
    let (choice, samples) = decode(&record(directory, "hiss.m4a", &hiss, 1)).await;
    assert!(choice.gain_db == 0 && peak(&samples) < 0.001, "{choice:?}");
}

#[tokio::test]
async fn sound_beyond_full_scale_is_made_quieter() {
    let directory = tempfile::tempdir().unwrap();
    let voice = voice("slt", SECONDS);
    let graph = format!("{voice},volume=20dB[a]");
    // AAC holds it, 16 bits do not.
    let (choice, samples) = decode(&record(directory.path(), "hot.m4a", &graph, 1)).await;
    assert!((-20..=-5).contains(&choice.gain_db), "{choice:?}");
    assert!((0.8..=1.0).contains(&peak(&samples)), "{}", peak(&samples));
    let (choice, _) = decode(&record(directory.path(), "clipped.wav", &graph, 1)).await;
    // Resampling overshoots a little.
    assert!((-3..=0).contains(&choice.gain_db), "{choice:?}");
}

#[tokio::test]
async fn telephone_sound_is_decoded_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let graph = format!("{},aresample=8000[a]", voice("slt", SECONDS));
    for name in ["phone.wav", "phone.m4a", "phone.mp3"] {
        let (choice, samples) = decode(&record(directory.path(), name, &graph, 1)).await;
        assert_eq!((choice.reason, choice.gain_db), (ChannelReason::OnlyChannel, 0), "{name}");
        assert!(level(&samples) > 0.03, "{name}: {}", level(&samples));
        let seconds = samples.len() as f64 / 16_000.0;
        assert!((seconds - f64::from(SECONDS)).abs() < 0.2, "{name}: {seconds}");
    }
}
