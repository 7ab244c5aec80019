//! What can go wrong with ffmpeg and ffprobe.

use std::io;

use bedel_queue::JobError;

/// What went wrong with ffmpeg or ffprobe. The texts hold no path.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The program is not installed on this host.
    #[error(
        "{tool} is not installed on this host; install the package ffmpeg (Debian: apt-get install ffmpeg, \
         Fedora: dnf install ffmpeg-free, macOS: brew install ffmpeg)"
    )]
    ToolMissing {
        /// Its name.
        tool: &'static str,
    },
    /// The file to read is not there.
    #[error("the media file is missing")]
    SourceMissing,
    /// The file holds no sound.
    #[error("the recording has no audio track; submit the stream that carries the sound")]
    NoAudio,
    /// The file cannot be decoded.
    #[error("the file is not a recording that can be decoded: {detail}")]
    NotMedia {
        /// The tool's last words.
        detail: String,
    },
    /// No space is left for the output.
    #[error("no disk space is left for work in progress")]
    DiskFull,
    /// Something killed the tool, such as the kernel for want of memory.
    #[error("{tool} was killed by the system; the host may be short of memory")]
    Killed {
        /// Its name.
        tool: &'static str,
    },
    /// The tool could not be started, or its pipes failed.
    #[error("{tool} could not be run: {reason}")]
    Io {
        /// Its name.
        tool: &'static str,
        /// The operating system's reason.
        reason: String,
    },
}

impl MediaError {
    /// Trouble with a tool or the disk, by the kind of the operating system's error.
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
            MediaError::DiskFull => JobError::disk_full(),
            MediaError::Killed { .. } | MediaError::Io { .. } => Self::retry("media-tool", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_lacks_spends_no_attempt() {
        for (error, class) in [
            (MediaError::ToolMissing { tool: "ffmpeg" }, "tool-missing"),
            (MediaError::DiskFull, "disk-full"),
        ] {
            let error = JobError::from(error);
            assert_eq!((error.class(), error.wait_delay()), (class, Some(JobError::HOST_FAULT_PAUSE)));
        }
    }
}
