//! Listens to the channels of a recording: how loud each is, and where it sounds like a voice.
//!
//! Loudness alone finds no voice: hum, tones and music are louder. Three numbers identify a voice for each
//! second, above 300 Hz (measured on 7 minutes of six voices, clean, by telephone and in AAC, and on 18
//! minutes of music on hold):
//!
//! | | voice | noise at 8 dB below | room echo | music | noise, tone, hum, clicks |
//! | --- | --- | --- | --- | --- | --- |
//! | seconds that count as voice | 69-100 % | 32 % | 38 % | 0-17 % | 0-2 % |

use std::f32::consts::{FRAC_1_SQRT_2, TAU};
use std::io::{Error, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

use crate::sound::{FRAME_SAMPLES, SAMPLE_RATE};

/// Frames of a window, one second.
const WINDOW_FRAMES: usize = 50;

/// Most channels that are examined; a file with more is mixed.
pub(super) const MAX_CHANNELS: usize = 8;

/// Below this frequency in hertz are hum and rumble, above it is most of what makes speech intelligible.
const BAND_HERTZ: f32 = 300.0;

/// Syllables, in beats per second.
const SYLLABLES: std::ops::RangeInclusive<usize> = 2..=8;

/// Least strength of the syllables' beat, as a share of the mean amplitude. Median of voices 0.54-0.77, of
/// music 0.2-0.45, of noise 0.01.
const MIN_BEAT: f32 = 0.4;

/// Least change of the spectrum within a window: standard deviation of log10 of its slope. Vowels and
/// consonants differ by a factor of ten. Median of voices 0.36-0.75, of music 0.13-0.26, of a tone 0.
const MIN_CHANGE: f32 = 0.25;

/// Frames quieter than this share of the window's mean amplitude have no spectrum.
const FAINT: f32 = 0.1;

/// A window counts as sound from this share of the power of the loudest on (-30 dB).
pub(super) const WITH_SOUND: f32 = 1e-3;

/// Least share of voice in the windows with sound of a channel that speaks. Voices have 0.69 and more, one in
/// noise 8 dB below it 0.32, music on hold 0 to 0.17.
pub(super) const VOICE_SHARE: f32 = 0.3;

/// Least number of windows that count as words.
pub(super) const MIN_VOICE: usize = 2;

/// Largest header of Sun audio, in bytes.
const MAX_HEADER: u32 = 4096;

/// One second of a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Window {
    /// Mean power of everything above [`BAND_HERTZ`].
    pub(super) band: f32,
    /// True if it sounds like a voice.
    pub(super) is_voice: bool,
}

/// One channel, or the mix of several.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Signal {
    /// Mean power of each full frame.
    pub(super) frames: Vec<f32>,
    /// Each second. The last one may be shorter.
    pub(super) windows: Vec<Window>,
}

impl Signal {
    /// Number of windows that sound like a voice.
    pub(super) fn voice_windows(&self) -> usize {
        self.windows.iter().filter(|window| window.is_voice).count()
    }

    /// True if it speaks.
    pub(super) fn speaks(&self) -> bool {
        self.voice_windows() >= MIN_VOICE && self.voice_share() >= VOICE_SHARE
    }

    /// Share of voice in the windows with sound.
    pub(super) fn voice_share(&self) -> f32 {
        let loudest = self.windows.iter().map(|window| window.band).fold(0.0, f32::max);
        let with_sound = |window: &&Window| window.band > 0.0 && window.band >= loudest * WITH_SOUND;
        self.voice_windows() as f32 / self.windows.iter().filter(with_sound).count().max(1) as f32
    }
}

/// The channels of a file, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Listening {
    pub(super) channels: Vec<Signal>,
    /// Power above [`BAND_HERTZ`] of the mean of all channels, for each window.
    pub(super) mix: Vec<f32>,
}

/// Reads the header of Sun audio (`-f au`) and returns the number of channels: 0 if the stream is empty.
pub(super) async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<usize> {
    let mut header = [0; 24];
    match stream.read_exact(&mut header).await {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
        read => read?,
    };
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (offset, channels) = (number(4), number(20));
    if !header.starts_with(b".snd") || !(24..=MAX_HEADER).contains(&offset) || channels == 0 {
        return Err(Error::new(ErrorKind::InvalidData, "not the header of Sun audio"));
    }
    let mut rest = vec![0; offset as usize - header.len()];
    stream.read_exact(&mut rest).await?;
    Ok(channels as usize)
}

/// Listens to a stream of Sun audio: [`SAMPLE_RATE`] samples of 16 bits per second and channel. Channels
/// after [`MAX_CHANNELS`] are skipped.
pub(super) async fn listen(stream: impl AsyncRead + Unpin) -> std::io::Result<Listening> {
    let mut stream = BufReader::with_capacity(256 * 1024, stream);
    let channels = read_header(&mut stream).await?;
    let mut listener = Listener::new(channels.min(MAX_CHANNELS));
    if channels == 0 {
        return Ok(listener.finish());
    }
    let mut frame = vec![0; FRAME_SAMPLES * channels * 2];
    loop {
        let mut filled = 0;
        while filled < frame.len() {
            match stream.read(&mut frame[filled..]).await? {
                // A last frame that is not full is dropped.
                0 => return Ok(listener.finish()),
                read => filled += read,
            }
        }
        for (index, sample) in frame.as_chunks::<2>().0.iter().enumerate() {
            let channel = index % channels;
            if channel < MAX_CHANNELS {
                listener.samples[channel][index / channels] =
                    f32::from(i16::from_be_bytes(*sample)) / 32768.0;
            }
        }
        listener.end_frame();
    }
}

/// Measures frame by frame.
pub(super) struct Listener {
    /// The current frame of each channel.
    pub(super) samples: Vec<[f32; FRAME_SAMPLES]>,
    meters: Vec<Meter>,
    mix_power: f32,
    frames: usize,
    listening: Listening,
}

impl Listener {
    pub(super) fn new(channels: usize) -> Self {
        Self {
            samples: vec![[0.0; FRAME_SAMPLES]; channels],
            meters: vec![Meter::default(); channels],
            mix_power: 0.0,
            frames: 0,
            listening: Listening { channels: vec![Signal::default(); channels], mix: Vec::new() },
        }
    }

    /// Measures the frame in `samples`.
    pub(super) fn end_frame(&mut self) {
        let mut mix = [0.0_f32; FRAME_SAMPLES];
        for ((samples, meter), signal) in
            self.samples.iter_mut().zip(&mut self.meters).zip(&mut self.listening.channels)
        {
            signal.frames.push(power(samples));
            meter.measure(samples);
            for (sum, sample) in mix.iter_mut().zip(samples.iter()) {
                *sum += sample;
            }
        }
        let channels = self.samples.len().max(1) as f32;
        self.mix_power += power(&mix) / (channels * channels);
        self.frames += 1;
        if self.frames == WINDOW_FRAMES {
            self.end_window();
        }
    }

    fn end_window(&mut self) {
        for (meter, signal) in self.meters.iter_mut().zip(&mut self.listening.channels) {
            signal.windows.push(meter.end_window());
        }
        self.listening.mix.push(self.mix_power / self.frames as f32);
        (self.mix_power, self.frames) = (0.0, 0);
    }

    pub(super) fn finish(mut self) -> Listening {
        if self.frames > 0 {
            self.end_window();
        }
        self.listening
    }
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
}

/// Measures one channel.
#[derive(Debug, Clone, Default)]
struct Meter {
    filter: HighPass,
    /// The last sample, filtered.
    last: f32,
    /// The current window: root mean square of each frame, filtered.
    amplitudes: Vec<f32>,
    /// The current window: log10 of each frame's slope, which grows with the square of its frequency.
    slopes: Vec<f32>,
}

impl Meter {
    /// Filters the samples of a frame in place and measures them.
    fn measure(&mut self, samples: &mut [f32]) {
        let mut change = 0.0;
        for sample in samples.iter_mut() {
            *sample = self.filter.apply(*sample);
            change += (*sample - self.last).powi(2);
            self.last = *sample;
        }
        self.filter.forget_inaudible();
        let power = power(samples);
        self.amplitudes.push(power.sqrt());
        self.slopes.push((change / samples.len() as f32 / power.max(1e-12)).max(1e-3).log10());
    }

    fn end_window(&mut self) -> Window {
        let frames = self.amplitudes.len() as f32;
        let window = Window {
            band: self.amplitudes.iter().map(|amplitude| amplitude * amplitude).sum::<f32>() / frames,
            is_voice: self.amplitudes.len() == WINDOW_FRAMES && self.is_voice(),
        };
        self.amplitudes.clear();
        self.slopes.clear();
        window
    }

    fn is_voice(&self) -> bool {
        let frames = WINDOW_FRAMES as f32;
        let mean = self.amplitudes.iter().sum::<f32>() / frames;
        if mean <= 0.0 {
            return false;
        }
        let beats: Vec<f32> = (1..=*SYLLABLES.end()).map(|rate| self.beat(rate)).collect();
        let syllables: f32 = SYLLABLES.map(|rate| beats[rate - 1]).sum();
        // Parseval: all beats together. A click has as much in the fast ones.
        let all =
            frames * self.amplitudes.iter().map(|amplitude| (amplitude - mean).powi(2)).sum::<f32>() / 2.0;
        let fast = all - beats.iter().sum::<f32>();
        (2.0 * syllables).sqrt() >= MIN_BEAT * frames * mean
            && syllables > fast
            && self.spectral_change(mean) >= MIN_CHANGE
    }

    /// Power of the amplitude's changes at `rate` per window: one term of its Fourier series.
    fn beat(&self, rate: usize) -> f32 {
        let (sine, cosine) =
            self.amplitudes.iter().enumerate().fold((0.0, 0.0), |(sine, cosine), (frame, amplitude)| {
                let angle = TAU * ((rate * frame) % WINDOW_FRAMES) as f32 / WINDOW_FRAMES as f32;
                (sine + amplitude * angle.sin(), cosine + amplitude * angle.cos())
            });
        sine * sine + cosine * cosine
    }

    fn spectral_change(&self, mean: f32) -> f32 {
        let audible =
            self.amplitudes.iter().zip(&self.slopes).filter(|(amplitude, _)| **amplitude > FAINT * mean);
        let slopes: Vec<f32> = audible.map(|(_, slope)| *slope).collect();
        let count = slopes.len().max(1) as f32;
        let mean = slopes.iter().sum::<f32>() / count;
        (slopes.iter().map(|slope| (slope - mean).powi(2)).sum::<f32>() / count).sqrt()
    }
}

/// A Butterworth filter of second order that keeps what is above [`BAND_HERTZ`].
#[derive(Debug, Clone)]
struct HighPass {
    input: [f32; 3],
    output: [f32; 2],
    state: [f32; 2],
}

impl Default for HighPass {
    fn default() -> Self {
        let (sine, cosine) = (TAU * BAND_HERTZ / SAMPLE_RATE as f32).sin_cos();
        let alpha = sine * FRAC_1_SQRT_2;
        let (half, all) = ((1.0 + cosine) / 2.0, 1.0 + alpha);
        Self {
            input: [half / all, -2.0 * half / all, half / all],
            output: [-2.0 * cosine / all, (1.0 - alpha) / all],
            state: [0.0; 2],
        }
    }
}

impl HighPass {
    fn apply(&mut self, sample: f32) -> f32 {
        let filtered = self.input[0] * sample + self.state[0];
        self.state[0] = self.input[1] * sample - self.output[0] * filtered + self.state[1];
        self.state[1] = self.input[2] * sample - self.output[1] * filtered;
        filtered
    }

    /// In silence the state decays to numbers so small that processors take a hundred times as long.
    fn forget_inaudible(&mut self) {
        for state in &mut self.state {
            if state.abs() < 1e-20 {
                *state = 0.0;
            }
        }
    }
}
