//! The classes of errors: stable words that stand in a job's history, each with what follows and the remedy.
//!
//! A few are the queue's; the others come from the crates that fetch, decode, store and transcribe. A test compares this
//! list with the classes in their code and with docs/reference/jobs.md.

macro_rules! error_classes {
    ($($(#[$doc:meta])* $variant:ident $name:literal, $follows:literal, $remedy:literal;)*) => {
        /// A class of errors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each has its remedy")]
        pub enum ErrorClass {
            $($variant,)*
        }

        impl ErrorClass {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in the job's history.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What follows for the job, in Markdown.
            #[must_use]
            pub const fn follows(self) -> &'static str {
                match self { $(Self::$variant => $follows,)* }
            }

            /// When it happens and what to do, in Markdown.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

error_classes! {
    // Every kind: the queue's own.
    Database "database", "the same step again; a refused statement: retry",
        "PostgreSQL is away, failing over or refusing; nothing to do. A refused statement is a defect: see the worker's log";
    Refused "refused", "retry", "PostgreSQL refused to record how the attempt ended: see the worker's log";
    AttemptTimeout "attempt-timeout", "retry", "the attempt exceeded its kind's timeout; look at the host's load";
    Panic "panic", "retry", "a defect: see the worker's log";
    Internal "internal", "retry", "a defect: see the worker's log";
    Crashed "crashed", "again, up to the kind's crashes, then give up",
        "the worker process died; look for the kernel's out-of-memory killer";
    Undecodable "undecodable", "give up", "the args were written by another version or by hand: enqueue the job again";
    Checkpoint "checkpoint", "give up", "a defect: the checkpoint is no JSON that PostgreSQL takes";
    NoSubject "no-subject", "give up", "a defect: the kind needs a subject, and the job was enqueued without one";
    GroupDown "group-down", "the end", "its host was down until its time was over: retry once the host is up";
    Cancelled "cancelled", "the end", "a person cancelled it (`bedel jobs cancel`)";
    LostLease "lost-lease", "nothing is written", "another attempt has the job; nothing to do";
    // This host.
    Disk "disk", "retry", "look at the disk";
    DiskFull "disk-full", "wait", "make room";
    ToolMissing "tool-missing", "wait", "ffmpeg is missing on this host: `bedel doctor`";
    MediaTool "media-tool", "retry", "ffmpeg was killed";
    // The storage.
    Storage "storage", "retry", "look at the storage";
    StorageMissing "storage-missing", "give up", "the storage does not hold what it should: `bedel doctor`";
    StorageKey "storage-key", "give up", "a defect: the key is not one of ours";
    StorageTooLarge "storage-too-large", "give up", "the object is larger than it may be";
    WrongStorage "wrong-storage", "give up", "the storage is another installation's: `bedel doctor`";
    // Asking a server.
    Network "network", "retry", "no connection; nothing to do";
    Stalled "stalled", "retry", "silence or near silence (`BEDEL_STALL_SECONDS`); nothing to do";
    Truncated "truncated", "retry", "less than was announced; nothing to do";
    Timeout "timeout", "retry", "the server did not finish in time; look at the network";
    UpstreamError "upstream-error", "retry", "status 408, 425 or 5xx; nothing to do";
    RateLimited "rate-limited", "wait as long as the server says, else a minute", "status 429";
    UpstreamBusy "upstream-busy", "wait as long as the server says", "status 503 with a time to come back";
    LoginRequired "login-required", "give up",
        "only people who sign in may see it: send it from the page it plays on, or ask its owner to share it";
    AccessDenied "access-denied", "give up", "the stream's address has expired: open the recording and send it again";
    NotFound "not-found", "`download`: retry twice, then give up", "status 404 or 410: check that the recording still plays";
    UrlRefused "url-refused", "give up",
        "the address, or one that it or a playlist leads to, breaks a rule: only https, only Panopto's hosts, its CDN's, the tenants and `BEDEL_FETCH_HOSTS`, and never a private network. For development list the host in `BEDEL_ALLOWED_PRIVATE_HOSTS`";
    Redirects "redirects", "give up", "six redirects: send it again from its Panopto page";
    UpstreamRefused "upstream-refused", "give up",
        "another status, a compressed body, or other bytes than were asked for: send it again from its Panopto page";
    HttpClient "http-client", "give up", "the HTTP client cannot be set up on this host: see the message";
    // Panopto.
    Encoding "encoding", "wait: 10, 20, 40 minutes, then an hour each", "Panopto still processes the recording; nothing to do";
    PanoptoError "panopto-error", "retry", "Panopto reports an unknown error";
    PanoptoAnswer "panopto-answer", "retry", "Panopto's answer cannot be read";
    Deleted "deleted", "give up", "Panopto says that the recording is gone: ask the lecturer";
    Archived "archived", "give up", "Panopto has archived it: have it restored, and send it again";
    NoStream "no-stream", "give up", "nothing to download from: check that it plays, and send it again";
    NotPanopto "not-panopto", "give up", "the host does not answer like Panopto: check `PANOPTO_TENANTS`";
    BadLink "no-id", "give up", "the stored link names no recording: send it again. Other words for a bad link follow here";
    LinkInvalid "url-invalid", "give up", "the link is no URL";
    LinkTooLong "url-too-long", "give up", "the link is too long";
    LinkControlCharacters "url-control-characters", "give up", "the link holds control characters";
    LinkScheme "url-scheme", "give up", "the link is neither http nor https";
    LinkCredentials "url-credentials", "give up", "the link holds a user name or a password";
    LinkIpHost "url-ip-host", "give up", "the link names an address instead of a host";
    LinkForeignHost "host-not-panopto", "give up", "the link's host is not Panopto's and no tenant";
    LinkFolder "folder", "give up", "the link leads to a folder";
    LinkLoginPage "login-page", "give up", "the link leads to a login page";
    LinkOtherId "tid-only", "give up", "the link names another kind of id";
    LinkNotAGuid "id-not-guid", "give up", "the link's id is no GUID";
    LinkIdsDiffer "ids-differ", "give up", "the link names two different ids";
    ClientIdNotAGuid "session-id-not-guid", "give up", "the client's session id is no GUID";
    // Recordings.
    NotMedia "not-media", "give up; `probe` drops the audio", "a page, a feed, a DASH manifest, or another file: check that the recording plays";
    NoAudio "no-audio", "give up; `probe` drops the audio", "a stream without sound: send the one that carries it";
    Live "live", "wait: two minutes each", "the playlist has no end yet: the recording is still being made";
    Playlist "playlist", "`download`: retry; `submit`: give up", "the playlist cannot be read, or the link leads to a Panopto playlist";
    PlaylistRefused "playlist-refused", "give up", "more than 20,000 parts, 48 hours, 500 breaks or 1,000 streams, or streams within streams";
    SegmentMissing "segment-missing", "retry twice, then give up", "a part of the recording is missing after four tries: no hole is ever skipped";
    SegmentDamaged "segment-damaged", "retry", "a part is not media";
    Key "key", "retry", "the key of the encryption is not 16 bytes long";
    Incomplete "incomplete", "give up; `probe` and `transcribe` drop the audio",
        "the playlist itself says that a part is missing, less can be played than was announced, or samples and time stamps have different lengths: retry downloads it again";
    Protected "protected", "give up", "encrypted otherwise than by AES-128 with a key from the server";
    ScratchFull "scratch-full", "wait", "downloads in flight fill `BEDEL_MAX_DOWNLOADS_MIB`";
    TooLarge "too-large", "give up", "larger than `BEDEL_MAX_SOURCE_MIB`";
    UploadMissing "upload-missing", "give up", "the upload is gone: send it again";
    Silent "silent", "give up; the audio is dropped", "nothing louder than -60 dB from end to end: send the stream that carries the sound";
    AudioMissing "audio-missing", "give up", "the stored audio is gone: retry downloads it again";
    // Speech.
    EngineMissing "engine-missing", "wait",
        "this worker has no engine, or not the one that the job asks for: `BEDEL_ENGINE=embedded`, or no transcribe slots";
    ModelMissing "model-missing", "wait", "`bedel model install NAME` on this host";
    Engine "engine", "retry; give up after six calls that may have been paid and returned nothing; wait where `BEDEL_LANGUAGE` does not fit the model",
        "the engine failed, its server's answer was unusable, it heard less than it was sent, its task was in an unknown state for ten minutes, or it took longer than `BEDEL_ENGINE_PATIENCE` allows: see the log";
    EngineAway "engine-away", "wait",
        "the speech server cannot be reached (30 s), or did not answer a request (30 s, 2 min, 8 min, … 1 h): check it, and the time limit of proxies in front of it";
    EngineBusy "engine-busy", "wait", "the speech server is busy (429, 503: as long as it says, else 30 s), or a task is still running (2 min)";
    EngineChoice "engine-choice", "give up", "the job asks for a model that its engine cannot use";
    Language "language", "give up", "the lecture's model does not know its language: transcribe it again with another `language` or `model`";
    EngineRefused "engine-refused", "wait 5 min",
        "a setting: the server's address or key (`BEDEL_OPENAI_URL`, `_KEY`, `BEDEL_TASK_…`), or `BEDEL_ENGINE_MAX_UPLOAD_MIB`";
    GoesOn "goes-on", "wait 1 s", "after four hours an attempt ends with its current piece";
    NoSpeech "no-speech", "give up", "nothing was said in the recording";
    TooLong "too-long", "give up", "longer than 12 hours: split it";
    // Webhooks.
    ReceiverError "receiver-error", "retry", "the receiver answered 5xx; look at the receiver";
    ReceiverBusy "receiver-busy", "retry as late as the receiver says", "the receiver answered 429 or 5xx with `Retry-After`";
    ReceiverRefused "receiver-refused", "retry", "the receiver answered another status than 2xx: check its address and its check of signatures";
    ReceiverGone "receiver-gone", "give up; the subscription is disabled", "the receiver answered 410: enable the subscription if it should get messages again";
    ReceiverForbidden "receiver-forbidden", "give up",
        "the address, or one that its name resolves to, is not public: `BEDEL_WEBHOOK_ALLOW` lists exceptions";
    WebhookDisabled "webhook-disabled", "give up", "the subscription is disabled: enable it, then redeliver";
    // The catalogue.
    Catalogue "catalogue", "retry", "no term could be read; nothing was changed";
    BadTerm "bad-term", "give up", "correct `CDCS_TERMS`";
    Configuration "configuration", "give up", "correct `CDCS_URL`";
}

/// Classes of the queue's own errors, which every kind may have.
pub const OF_EVERY_KIND: [ErrorClass; 12] = [
    ErrorClass::Database,
    ErrorClass::Refused,
    ErrorClass::AttemptTimeout,
    ErrorClass::Panic,
    ErrorClass::Internal,
    ErrorClass::Crashed,
    ErrorClass::Undecodable,
    ErrorClass::Checkpoint,
    ErrorClass::NoSubject,
    ErrorClass::GroupDown,
    ErrorClass::Cancelled,
    ErrorClass::LostLease,
];

/// Classes of every kind that asks a server.
pub const OF_SERVERS: [ErrorClass; 13] = [
    ErrorClass::Network,
    ErrorClass::Stalled,
    ErrorClass::Truncated,
    ErrorClass::Timeout,
    ErrorClass::UpstreamError,
    ErrorClass::RateLimited,
    ErrorClass::UpstreamBusy,
    ErrorClass::LoginRequired,
    ErrorClass::AccessDenied,
    ErrorClass::NotFound,
    ErrorClass::UrlRefused,
    ErrorClass::Redirects,
    ErrorClass::UpstreamRefused,
];

/// Classes of every kind that uses the storage and the local disk.
pub const OF_STORAGE: [ErrorClass; 7] = [
    ErrorClass::Disk,
    ErrorClass::DiskFull,
    ErrorClass::Storage,
    ErrorClass::StorageMissing,
    ErrorClass::StorageKey,
    ErrorClass::StorageTooLarge,
    ErrorClass::WrongStorage,
];

/// The names of all classes in `groups`, for a [`Policy`](bedel_queue::Policy). There must be `N` of them.
#[must_use]
pub const fn names<const N: usize>(groups: &[&[ErrorClass]]) -> [&'static str; N] {
    let mut names = [""; N];
    let (mut group, mut filled) = (0, 0);
    while group < groups.len() {
        let mut at = 0;
        while at < groups[group].len() {
            names[filled] = groups[group][at].name();
            filled += 1;
            at += 1;
        }
        group += 1;
    }
    assert!(filled == N, "the length of a list of error classes");
    names
}
