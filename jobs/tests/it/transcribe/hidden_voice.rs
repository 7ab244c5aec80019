//! Recordings whose voice a mix of all channels would lose: the words are right, and the result says what was
//! taken.

use bedel_jobs::probe;
use bedel_media::sound::{ChannelReason, SoundChoice};
use bedel_speech::Transcript;
use bedel_speech::wer::word_error_rate;

use super::with_the_model::{SPOKEN, env, stored};
use super::*;
use crate::recordings::ffmpeg;

/// Transcribes a recording whose sound a filter makes of the voice `[v]`, and checks the words.
async fn taken(env: &TranscribeEnv, directory: &Path, filter: &str) -> SoundChoice {
    let words = directory.join("words.txt");
    std::fs::write(&words, SPOKEN).expect("a text file");
    let voice = format!(
        "flite=textfile={}:voice=slt,aresample=44100,aformat=sample_fmts=fltp:channel_layouts=mono[v]",
        words.display()
    );
    let graph = format!("{voice};{filter}[out]");
    let args = ["-filter_complex", &graph, "-map", "[out]", "-c:a", "aac", "-b:a", "192k"];
    let file = ffmpeg(&args, &directory.join("hidden.m4a"));
    let probed = probe::measure(&env.ctx.media, &file, None).await;
    assert!(probed.is_ok(), "{filter}: {probed:?}");

    let id = env.lecture(&file).await;
    let output = env.run(id).await.expect(filter).expect("a lecture");
    env.commit(id, Some(output.clone())).await;
    let json = stored(env, &keys::transcript_json(id)).await;
    let transcript: Transcript = serde_json::from_slice(&json).expect("the payload");
    let rate = word_error_rate(SPOKEN, &transcript.text);
    assert!(rate <= 0.15, "{filter}: {rate}: {}", transcript.text);
    assert_eq!(transcript.sound.as_ref(), Some(&output.sound));
    env.base.execute("-- transcribe::clear\nDELETE FROM lectures WHERE id = $1", id).await;
    output.sound
}

#[tokio::test]
async fn a_voice_is_heard_wherever_it_hides() {
    let env = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let tone = "aevalsrc='0.5*sin(2*PI*700*t)*lt(mod(t,1),0.6)':s=44100,aformat=sample_fmts=fltp:channel_layouts=mono";
    for (filter, channels, reason) in [
        ("[v]pan=stereo|c0=c0|c1=-1*c0".to_owned(), vec![0], ChannelReason::OppositePhase),
        (
            format!("{tone}[t];[t][v]join=inputs=2:channel_layout=stereo,atrim=duration=22"),
            vec![1],
            ChannelReason::OtherNoVoice,
        ),
        ("[v]pan=5.1|c4=c0".to_owned(), vec![4], ChannelReason::Voice),
    ] {
        let sound = taken(&env, directory.path(), &filter).await;
        assert_eq!((sound.track, sound.channels, sound.reason, sound.gain_db), (0, channels, reason, 0));
    }
    let sound = taken(&env, directory.path(), "[v]volume=-50dB").await;
    assert_eq!(sound.reason, ChannelReason::OnlyChannel);
    assert!((20..60).contains(&sound.gain_db), "{sound:?}");
}
