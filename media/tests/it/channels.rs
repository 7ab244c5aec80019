//! Which channels are taken.

use super::*;

const SECONDS: u32 = 12;

/// Two channels, each made by a filter.
async fn stereo(directory: &Path, left: &str, right: &str) -> (Vec<usize>, ChannelReason, Vec<f32>) {
    let graph = format!("{left}[l];{right}[r];[l][r]join=inputs=2:channel_layout=stereo[a]");
    let (choice, samples) = decode(&record(directory, "stereo.m4a", &graph, 1)).await;
    assert_eq!((choice.track, choice.of, choice.gain_db), (0, 2, 0), "{graph}");
    (choice.channels, choice.reason, samples)
}

#[tokio::test]
async fn a_voice_is_taken_without_the_channel_that_spoils_it() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let voice = voice("slt", SECONDS);
    let made = |text: &str| formula(text, SECONDS);
    let hum = "0.3*sin(2*PI*50*t)+0.1*sin(2*PI*100*t)+0.1*sin(2*PI*150*t)";
    let chords = "0.2*(sin(2*PI*440*t)+sin(2*PI*554*t)+sin(2*PI*659*t))*exp(-3*mod(t,0.5))";
    for (other, reason) in [
        (noise("white", 0.3, SECONDS), ChannelReason::OtherNoise),
        (made(hum), ChannelReason::OtherNoise),
        (made("0.05*sin(2*PI*60*t)"), ChannelReason::OtherNoise),
        (made("0.3*sin(2*PI*1000*t)"), ChannelReason::OtherNoise),
        (made("0"), ChannelReason::OtherSilent),
        (made("0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.3)"), ChannelReason::OtherNoVoice),
        (made("0.9*lt(mod(t,0.25),0.001)"), ChannelReason::OtherNoVoice),
        (made(chords), ChannelReason::OtherNoVoice),
        (noise("brown", 0.9, SECONDS) + ",tremolo=f=1:d=0.9", ChannelReason::OtherNoVoice),
    ] {
        let (channels, why, _) = stereo(directory, &voice, &other).await;
        assert_eq!((channels, why), (vec![0], reason), "{other}");
    }
    let (channels, why, _) = stereo(directory, &noise("white", 0.3, SECONDS), &voice).await;
    assert_eq!((channels, why), (vec![1], ChannelReason::OtherNoise));
}

#[tokio::test]
async fn two_voices_and_what_does_no_harm_are_mixed() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (one, other) = (voice("slt", SECONDS), voice("rms", SECONDS));
    let half = |voice: &str, when: &str| format!("{voice},volume='{when}(t,6)':eval=frame");
    let question =
        format!("{other},volume='between(t,4,7)':eval=frame[q];{};[q][n]amix=inputs=2:normalize=0", {
            formula("0.015*sin(2*PI*400*t)", SECONDS) + "[n]"
        });
    for (left, right) in [
        (one.clone(), one.clone()),
        (one.clone(), other.clone()),
        // The microphone that is used changes half-way.
        (half(&one, "lt"), half(&one, "gte")),
        // A rare question on a channel with a tone.
        (format!("{one},volume='not(between(t,4,7))':eval=frame"), question),
        // Faint hiss.
        (one.clone(), noise("white", 0.001, SECONDS)),
        (noise("white", 0.1, SECONDS), formula("0.3*sin(2*PI*1000*t)", SECONDS)),
    ] {
        let (channels, why, _) = stereo(directory, &left, &right).await;
        assert_eq!((channels, why), (vec![0, 1], ChannelReason::Mix), "{left} {right}");
    }
}

#[tokio::test]
async fn a_channel_upside_down_does_not_cancel_the_voice() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let voice = voice("slt", SECONDS);
    let alone = level(&decode(&record(directory, "mono.m4a", &format!("{voice}[a]"), 1)).await.1);
    let hum = formula("0.3*sin(2*PI*50*t)", SECONDS);
    let with = |right: &str| {
        format!("{voice},asplit[l][s];[s]{right}[r];[l][r]join=inputs=2:channel_layout=stereo[a]")
    };
    let turned = "volume=-1";
    for (graph, channel) in [
        (with(turned), 0),
        (with("volume=-0.997"), 0),
        (with("volume=-0.5"), 0),
        (with("volume=-2"), 1),
        // It turns half-way.
        (with("volume='if(lt(t,6),1,-1)':eval=frame"), 0),
        // The mix is loud: it is the hum of both.
        (
            format!(
                "{voice},asplit[v][s];[s]{turned}[t];{hum},asplit[h][g];[v][h]amix=inputs=2:normalize=0[l];\
                 [t][g]amix=inputs=2:normalize=0[r];[l][r]join=inputs=2:channel_layout=stereo[a]"
            ),
            0,
        ),
    ] {
        let file = record(directory, "turned.m4a", &graph, 1);
        let (choice, samples) = decode(&file).await;
        assert_eq!(
            (choice.channels, choice.reason),
            (vec![channel], ChannelReason::OppositePhase),
            "{graph}"
        );
        assert!(level(&samples) > 0.9 * alone, "{graph}");
        let audible = tools().measure_sound(&file).await.unwrap();
        assert!(audible.audible_share > 0.3, "{audible:?}: {graph}");
        assert!((audible.seconds - f64::from(SECONDS)).abs() < 0.1, "{audible:?}");
    }
}

#[tokio::test]
async fn of_many_channels_those_with_a_voice_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (one, other) = (voice("slt", SECONDS), voice("rms", SECONDS));
    for (layout, count, channel) in
        [("5.1", 6, 0), ("5.1", 6, 2), ("5.1", 6, 3), ("5.1", 6, 5), ("quad", 4, 1), ("7.1", 8, 6)]
    {
        let graph = format!("{one},pan={layout}|c{channel}=c0[a]");
        let (choice, samples) = decode(&record(directory, "one.wav", &graph, 1)).await;
        assert_eq!((choice.channels, choice.of, choice.reason), (vec![channel], count, ChannelReason::Voice));
        assert!(level(&samples) > 0.05, "{layout}");
    }
    // Music around the voice, and noise on the bass channel.
    let chords = formula("0.4*(sin(2*PI*440*t)+sin(2*PI*554*t))*exp(-3*mod(t,0.5))", SECONDS);
    let film = format!(
        "{one}[v];{chords}[m];{}[n];[v][m][n]join=inputs=3:channel_layout=2.1,\
         pan=5.1|c0=c1|c1=c1|c2=c0|c3=c2|c4=c1|c5=c1[a]",
        noise("brown", 0.5, SECONDS)
    );
    let (choice, _) = decode(&record(directory, "film.m4a", &film, 1)).await;
    assert_eq!((choice.channels, choice.reason), (vec![2], ChannelReason::Voice));
    // Two microphones, each with the other voice in the distance, and two channels without.
    let talk = format!(
        "{one},volume='lt(t,6)':eval=frame[x];{other},volume='gte(t,6)':eval=frame[y];\
         [x][y]join=inputs=2:channel_layout=stereo,pan=quad|c0=c0+0.1*c1|c3=0.1*c0+c1[a]"
    );
    let (choice, samples) = decode(&record(directory, "talk.wav", &talk, 1)).await;
    assert_eq!((choice.channels, choice.reason), (vec![0, 3], ChannelReason::Voice));
    let (begin, end) = samples.split_at(samples.len() / 2);
    assert!(level(begin) > 0.03 && level(end) > 0.01, "{} {}", level(begin), level(end));
}
