//! Which audio track is taken.

use super::*;

const SECONDS: u32 = 12;

#[tokio::test]
async fn the_track_that_speaks_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (voice("slt", SECONDS), voice("rms", SECONDS));
    let made = |text: &str| formula(text, SECONDS);
    let (silence, tone) = (made("0"), made("0.3*sin(2*PI*1000*t)"));
    let (hum, beeps) = (made("0.3*sin(2*PI*50*t)"), made("0.3*sin(2*PI*1000*t)*lt(mod(t,2),0.5)"));
    let turned = format!("{one},asplit[x][y];[y]volume=-1[z];[x][z]join=inputs=2:channel_layout=stereo");
    for (tracks, expected) in [
        (vec![&silence, &one], 1),
        (vec![&hum, &one], 1),
        (vec![&beeps, &one], 1),
        (vec![&tone, &silence, &one], 2),
        (vec![&one, &silence], 0),
        // Two languages.
        (vec![&one, &other], 0),
        (vec![&silence, &turned], 1),
        // Nobody speaks.
        (vec![&silence, &tone], 1),
        (vec![&tone, &beeps], 1),
        (vec![&tone, &tone], 0),
        (vec![&silence, &silence], 0),
    ] {
        let graph: Vec<String> = tracks
            .iter()
            .zip(["[a]", "[b]", "[c]"])
            .map(|(track, output)| format!("{track}{output}"))
            .collect();
        let file = record(directory.path(), "tracks.mp4", &graph.join(";"), tracks.len());
        let (choice, samples) = decode(&file).await;
        assert_eq!(choice.track, expected, "{tracks:?}");
        let is_heard = tracks[expected] != &silence;
        assert_eq!(level(&samples) > 0.01, is_heard, "{tracks:?}");
    }
}
