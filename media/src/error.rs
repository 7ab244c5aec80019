//! Errors of ffmpeg and ffprobe.

use std::io;

use bedel_queue::JobError;

/// Why ffmpeg or ffprobe failed. The texts contain no path.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The program is not installed on this host.
    #[error(
        "{tool} is not installed on this host; install the package ffmpeg (Debian: apt-get install ffmpeg, \
         Fedora: dnf install ffmpeg-free, macOS: brew install ffmpeg)"
    )]
    ToolMissing {
        /// The program.
        tool: &'static str,
    },
    /// The input file does not exist.
    #[error("the media file is missing")]
    SourceMissing,
    /// The file has no audio stream.
    #[error("the recording has no audio track; submit the stream that carries the sound")]
    NoAudio,
    /// The file cannot be decoded.
    #[error("the file is not a recording that can be decoded: {detail}")]
    NotMedia {
        /// The end of the tool's stderr.
        detail: String,
    },
    /// Sound is missing: the clock, or the source, says that there is more than there is.
    #[error(
        "the recording is incomplete: it should be {announced:.0} seconds long, but it has only {sound:.0} seconds of \
         sound; use retry to download it again"
    )]
    Incomplete {
        /// Seconds announced.
        announced: f64,
        /// Seconds of sound.
        sound: f64,
    },
    /// The disk is full.
    #[error("no disk space is left for work in progress")]
    DiskFull,
    /// A signal killed the tool; often the kernel, when memory runs out.
    #[error("{tool} was killed by the system; the host may be short of memory")]
    Killed {
        /// The program.
        tool: &'static str,
    },
    /// The tool could not start, or its pipes failed.
    #[error("{tool} could not be run: {reason}")]
    Io {
        /// The program.
        tool: &'static str,
        /// The operating system's reason.
        reason: String,
    },
}

impl MediaError {
    /// Maps an I/O error of the operating system.
    #[must_use]
    pub fn io(tool: &'static str, source: &io::Error) -> Self {
        match source.kind() {
            _ if JobError::is_disk_full(source) => Self::DiskFull,
            io::ErrorKind::NotFound => Self::ToolMissing { tool },
            kind => Self::Io { tool, reason: kind.to_string() },
        }
    }
}

impl From<MediaError> for JobError {
    fn from(error: MediaError) -> Self {
        let message = error.to_string();
        match error {
            MediaError::ToolMissing { .. } => JobError::host_fault("tool-missing", message),
            MediaError::SourceMissing => Self::retry("storage", message),
            MediaError::NoAudio => Self::fatal("no-audio", message),
            MediaError::NotMedia { .. } => Self::fatal("not-media", message),
            MediaError::Incomplete { .. } => Self::fatal("incomplete", message),
            MediaError::DiskFull => JobError::disk_full(),
            MediaError::Killed { .. } | MediaError::Io { .. } => Self::retry("media-tool", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_faults_spend_no_attempt() {
        for (error, class) in [
            (MediaError::ToolMissing { tool: "ffmpeg" }, "tool-missing"),
            (MediaError::DiskFull, "disk-full"),
        ] {
            let error = JobError::from(error);
            assert_eq!((error.class(), error.wait_delay()), (class, Some(JobError::HOST_FAULT_PAUSE)));
        }
    }
}
