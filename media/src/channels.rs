//! Picks the channels that carry the voice, by listening to each.
//!
//! Two channels are mixed, as ever, unless listening says that the mix loses the voice:
//!
//! - One channel is noise, a tone, hum, clicks or music, or dead, and the other one is a voice. Mixed, a
//!   recognizer makes out little (measured by others: an average log probability of -4 instead of -0.1).
//! - One channel is the other one upside down, so their sum is silence or residue.
//!
//! Of more channels, the clearest voice is taken, and every channel that has separate words. A downmix would
//! add the rest and leave out the bass channel.
//!
//! The choice holds for the whole file. A voice that moves to the other channel half-way is mixed: each
//! channel alone loses half. A phase that flips half-way gives one channel: the mix loses half.

use std::cmp::Ordering;

use crate::levels::PowerLevels;
use crate::listening::{Listening, MIN_VOICE, Signal, WITH_SOUND, Window};
use crate::sound::ChannelReason;

/// Most power of noise in its loudest places, as a multiple of its background: 5 dB. A frame holds 1.2 periods
/// of a hum of 60 Hz, whose power so differs by up to 4 dB.
const NOISE_RATIO: f32 = 3.0;

/// Noise below this share of the speech's power (-30 dB) does no harm in the mix.
const HARMLESS: f32 = 1e-3;

/// A channel is dead if no frame of it has this share of the speech's power (-60 dB).
const DEAD: f32 = 1e-6;

/// Most share of voice in a channel of music, clicks or beeps. Music on hold has up to 0.17.
const OTHER_SHARE: f32 = 0.2;

/// Music and clicks below this share of the voice's power (-20 dB) do little harm, and a recognizer is trained
/// with them.
const FAINT: f32 = 1e-2;

/// Least share of the voice's windows that another channel spoils.
const SPOILT_SHARE: f32 = 0.3;

/// A window is lost on a channel with less than this share of the power of the loudest one (-10 dB). The mix
/// of a voice with silence has 0.25.
const LOST: f32 = 0.1;

/// Least number and share of windows that the mix loses.
const LOST_WINDOWS: usize = 2;
const LOST_SHARE: f32 = 0.01;

/// Of two channels that lose as much, the right one is taken if it is louder by this factor: 1 dB.
const LOUDER: f32 = 1.26;

/// Words that another channel has are louder there by this factor: 6 dB.
const CLOSER: f32 = 4.0;

/// A question on a channel of noise or music stands out from it by this factor: 6 dB.
const STANDS_OUT: f32 = 4.0;

/// Windows with less voice than the clearest channel's by this share are as clear.
const AS_CLEAR: f32 = 0.95;

/// The channels to take, by index; at least one. All of them are mixed as ffmpeg does for
/// [`ChannelReason::Mix`].
pub(super) fn choose(listening: &Listening) -> (Vec<usize>, ChannelReason) {
    let channels: Vec<Channel<'_>> = listening.channels.iter().map(Channel::of).collect();
    let all = (0..channels.len()).collect();
    match &channels[..] {
        [left, right] => {
            for (index, voice, other) in [(0, left, right), (1, right, left)] {
                if let Some(reason) = spoils(other, voice) {
                    return (vec![index], reason);
                }
            }
            match least_loss(&listening.mix, left, right) {
                Some(index) => (vec![index], ChannelReason::OppositePhase),
                None => (all, ChannelReason::Mix),
            }
        }
        more if more.len() > 2 => match voices(more) {
            some if some.is_empty() => (all, ChannelReason::Mix),
            some => (some, ChannelReason::Voice),
        },
        _ => (all, ChannelReason::OnlyChannel),
    }
}

/// What a channel carries.
struct Channel<'a> {
    windows: &'a [Window],
    levels: PowerLevels,
    /// Power of the loudest frame.
    peak: f32,
    voice_windows: usize,
    /// Share of voice in the windows with sound.
    voice_share: f32,
    speaks: bool,
    /// Power above which a window stands out.
    outstanding: f32,
}

impl<'a> Channel<'a> {
    fn of(signal: &'a Signal) -> Self {
        let mut powers: Vec<f32> = signal.windows.iter().map(|window| window.band).collect();
        powers.sort_unstable_by(f32::total_cmp);
        Self {
            windows: &signal.windows,
            levels: PowerLevels::of(signal.frames.clone()),
            peak: signal.frames.iter().copied().fold(0.0, f32::max),
            voice_windows: signal.voice_windows(),
            voice_share: signal.voice_share(),
            speaks: signal.speaks(),
            outstanding: powers.get(powers.len() / 2).map_or(0.0, |median| median * STANDS_OUT),
        }
    }

    /// True if this channel has words that the others do not have, or have much quieter. Moments at which
    /// music sounds like a voice are no louder than the rest of it.
    fn has_own_words(&self, others: &[&Channel<'_>]) -> bool {
        let own = |at: usize, window: &Window| {
            window.is_voice && others.iter().all(|other| window.band > CLOSER * other.windows[at].band)
        };
        let own = self.windows.iter().enumerate().filter(|(at, window)| own(*at, window));
        let least = if self.speaks { 0.0 } else { self.outstanding };
        own.filter(|(_, window)| window.band > least).count() >= MIN_VOICE
    }
}

/// Why `other` would spoil `voice` in the mix, if it would.
fn spoils(other: &Channel<'_>, voice: &Channel<'_>) -> Option<ChannelReason> {
    if (voice.levels.has_speech() || voice.speaks) && other.peak < voice.levels.loud * DEAD {
        return Some(ChannelReason::OtherSilent);
    }
    if is_noise(other.levels, voice.levels) {
        return Some(ChannelReason::OtherNoise);
    }
    let is_other = voice.speaks && other.voice_share < OTHER_SHARE && !other.has_own_words(&[voice]);
    (is_other && is_loud(other, voice)).then_some(ChannelReason::OtherNoVoice)
}

/// True if `noise` is steady and loud enough to spoil `speech` in the mix. The loudest 0.1 % count, so a rare
/// speaker is no noise.
fn is_noise(noise: PowerLevels, speech: PowerLevels) -> bool {
    speech.has_speech()
        && noise.background > speech.loud * HARMLESS
        && noise.loudest < noise.background * NOISE_RATIO
}

/// True if `other` sounds while `voice` speaks.
fn is_loud(other: &Channel<'_>, voice: &Channel<'_>) -> bool {
    let spoken = voice.windows.iter().zip(other.windows).filter(|(voice, _)| voice.is_voice);
    let spoilt = spoken.filter(|(voice, other)| other.band > voice.band * FAINT).count();
    spoilt as f32 >= voice.voice_windows as f32 * SPOILT_SHARE
}

/// The channel that loses least, if the mix loses more. Counts windows.
fn least_loss(mix: &[f32], left: &Channel<'_>, right: &Channel<'_>) -> Option<usize> {
    let best: Vec<f32> =
        left.windows.iter().zip(right.windows).map(|(left, right)| left.band.max(right.band)).collect();
    let loudest = best.iter().copied().fold(0.0, f32::max);
    let lost = |power: &dyn Fn(usize) -> f32| {
        let active =
            best.iter().enumerate().filter(|(_, best)| **best > 0.0 && **best >= loudest * WITH_SOUND);
        active.filter(|(at, best)| power(*at) < **best * LOST).count()
    };
    let by_mix = lost(&|at| mix[at]);
    // A recording of a second has one window.
    let least = LOST_WINDOWS.min(best.len());
    if by_mix < least || (by_mix as f32) < best.len() as f32 * LOST_SHARE {
        return None;
    }
    let by_channel = [left, right].map(|channel| lost(&|at| channel.windows[at].band));
    let power = [left, right].map(|channel| channel.windows.iter().map(|window| window.band).sum::<f32>());
    let is_right = match by_channel[1].cmp(&by_channel[0]) {
        Ordering::Less => true,
        Ordering::Equal => power[1] > power[0] * LOUDER,
        Ordering::Greater => false,
    };
    let index = usize::from(is_right);
    (by_channel[index] < by_mix).then_some(index)
}

/// The clearest voice, and the channels with words of their own, in order of their index.
fn voices(channels: &[Channel<'_>]) -> Vec<usize> {
    let most = channels.iter().map(|channel| channel.voice_windows).max().unwrap_or_default();
    let power = |index: &usize| channels[*index].windows.iter().map(|window| window.band).sum::<f32>();
    let clear = (0..channels.len())
        .filter(|index| channels[*index].speaks)
        .filter(|index| channels[*index].voice_windows as f32 >= most as f32 * AS_CLEAR);
    let Some(best) = clear.max_by(|one, other| power(one).total_cmp(&power(other)).then(other.cmp(one)))
    else {
        return Vec::new();
    };
    let mut taken = vec![best];
    for (index, channel) in channels.iter().enumerate() {
        let others: Vec<&Channel<'_>> = taken.iter().map(|taken| &channels[*taken]).collect();
        if !taken.contains(&index) && channel.has_own_words(&others) {
            taken.push(index);
        }
    }
    taken.sort_unstable();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_steady_loud_noise_is_noise() {
        let of = |quiet: f32, loud: f32| PowerLevels::of([vec![quiet; 500], vec![loud; 500]].concat());
        let (noise, speech) = (of(0.01, 0.013), of(1e-5, 0.01));
        assert!(is_noise(noise, speech));
        assert!(!is_noise(speech, noise) && !is_noise(speech, speech) && !is_noise(noise, noise));
        // Silence, inaudible hiss, and hiss with a question now and then.
        let questions = PowerLevels::of([vec![0.01; 980], vec![0.05; 20]].concat());
        for harmless in [of(0.0, 0.0), of(1e-6, 1.1e-6), questions, PowerLevels::of(Vec::new())] {
            assert!(!is_noise(harmless, speech) && !is_noise(noise, harmless), "{harmless:?}");
        }
    }
}
