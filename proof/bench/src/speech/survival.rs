//! Half an hour of transcription under kill -9 and SIGSTOP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bedel_jobs::pipeline::unique_key;
use bedel_jobs::transcribe::Transcribe;
use bedel_queue::{NewJob, Queue, enqueue};
use bedel_speech::Transcript;
use bedel_speech::wer::word_error_rate;
use bedel_test_support::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::lecture::Lecture;
use super::options::SpeechArgs;
use crate::clock;
use crate::error::{BenchError, Result, io};
use crate::program::{Program, cpu_seconds, ended_badly};

/// Length of the recording, in seconds.
const SECONDS: u32 = 1800;

/// Longest piece, in seconds.
const PIECE: f64 = 600.0;

/// Signals to the working worker, each after a share of the undisturbed time. Between some of them a piece
/// finishes, between others none does.
const DISTURBANCES: [(Signal, f64); 6] = [
    (Signal::KILL, 0.1),
    (Signal::STOP, 0.25),
    (Signal::KILL, 0.15),
    (Signal::STOP, 0.3),
    (Signal::KILL, 0.12),
    (Signal::STOP, 0.22),
];

/// Longest wait for a transcript, and for a rescue.
const LONGEST: Duration = Duration::from_secs(1800);
const TAKEN_OVER: Duration = Duration::from_secs(60);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Results.
#[derive(Debug)]
pub(super) struct Survival {
    pub seconds: f64,
    pub kills: usize,
    pub stops: usize,
    /// Processor seconds of the workers.
    pub undisturbed: f64,
    pub disturbed: f64,
    /// Share of words that differ from the undisturbed transcript.
    pub differs: f64,
}

impl Survival {
    /// Seconds of audio per processor second.
    pub(super) fn transcribed(&self) -> f64 {
        self.seconds * self.disturbed / self.undisturbed
    }

    pub(super) fn bound(&self) -> f64 {
        1.1 * self.seconds + PIECE * (self.kills + self.stops) as f64
    }
}

/// Once undisturbed, once not.
pub(super) async fn measure(args: &SpeechArgs, cluster: &Cluster, lecture: &Lecture) -> Result<Survival> {
    let half_an_hour = recording(lecture).await?;
    println!("survival: {SECONDS} s, undisturbed");
    let calm = Run::start(args, cluster, &half_an_hour, 1).await?.undisturbed().await?;
    println!(
        "survival: {} s of processor time; now disturbed {} times",
        calm.cpu.round(),
        DISTURBANCES.len()
    );
    let run = Run::start(args, cluster, &half_an_hour, 2).await?;
    let stormy = run.disturbed(calm.cpu).await?;
    let _ = std::fs::remove_file(&half_an_hour);
    let (kills, stops) = (stormy.signals.0, stormy.signals.1);
    println!("survival: {kills} kills, {stops} stops, {} s of processor time", stormy.cpu.round());
    Ok(Survival {
        seconds: f64::from(SECONDS),
        kills,
        stops,
        undisturbed: calm.cpu,
        disturbed: stormy.cpu,
        differs: word_error_rate(&calm.text, &stormy.text),
    })
}

/// The lecture repeated to half an hour.
async fn recording(lecture: &Lecture) -> Result<PathBuf> {
    let target = std::env::temp_dir().join(format!("bedel-bench-half-an-hour-{}.m4a", std::process::id()));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-stream_loop", "-1", "-i"]).arg(&lecture.m4a);
    ffmpeg.args(["-t", &SECONDS.to_string(), "-c:a", "aac", "-b:a", "64k"]).arg(&target);
    let made = ffmpeg.output().await.map_err(io("start ffmpeg"))?;
    if made.status.success() { Ok(target) } else { Err(ended_badly("ffmpeg", &made)) }
}

/// Results of a run.
struct Ended {
    cpu: f64,
    text: String,
    signals: (usize, usize),
}

/// Workers, and one lecture whose audio is stored.
struct Run {
    program: Program,
    pool: PgPool,
    workers: Vec<Child>,
    lecture: Uuid,
    /// Processor seconds of ended workers.
    spent: f64,
    signals: (usize, usize),
}

impl Run {
    async fn start(args: &SpeechArgs, cluster: &Cluster, audio: &Path, workers: usize) -> Result<Self> {
        let database = format!("survival_{}", clock::now());
        cluster.create(&database).await?;
        let url = cluster.url(&database);
        let program = Program::new(&args.bedel, &url).await?;
        let pool = PgPool::connect(&url).await?;
        let lecture = Uuid::new_v4();
        let mut run = Self { program, pool, workers: Vec::new(), lecture, spent: 0.0, signals: (0, 0) };
        for _ in 0..workers {
            run.hire()?;
        }
        run.until("the workers are there", TAKEN_OVER, async |run| {
            let there: i64 = sqlx::query_scalar("-- survival::start\nSELECT count(*) FROM queue.workers")
                .fetch_one(&run.pool)
                .await?;
            Ok(there >= workers as i64)
        })
        .await?;
        let stored = run.program.directory().join(".data/storage/audio");
        std::fs::create_dir_all(&stored).map_err(io("make a directory"))?;
        std::fs::copy(audio, stored.join(format!("{lecture}.m4a"))).map_err(io("store the audio"))?;
        let mut tx = run.pool.begin().await?;
        sqlx::query(
            "-- survival::start
             INSERT INTO lectures (id, course_id, panopto_url, stream_url, audio_storage_key, duration_seconds, status)
             VALUES ($1, gen_random_uuid(), 'https://bench.hosted.panopto.com/', '', 'audio/' || $1 || '.m4a', $2, 'downloading')",
        )
        .bind(lecture)
        .bind(SECONDS as i32)
        .execute(&mut *tx)
        .await?;
        let job = NewJob::new(&Transcribe::new(lecture)).subject(lecture).unique_key(unique_key(lecture));
        enqueue(&mut tx, &job).await?;
        tx.commit().await?;
        Queue::new(run.pool.clone()).wake_now().await?;
        Ok(run)
    }

    fn hire(&mut self) -> Result<()> {
        let mut command = self.program.command(&["worker"]);
        command.env("BEDEL_SLOTS", "transcribe=1").env("BEDEL_LANGUAGE", "en");
        self.workers.push(command.spawn().map_err(io("start bedel worker"))?);
        Ok(())
    }

    async fn undisturbed(mut self) -> Result<Ended> {
        self.finish().await
    }

    /// `undisturbed` is the undisturbed time in seconds.
    async fn disturbed(mut self, undisturbed: f64) -> Result<Ended> {
        for (signal, after) in DISTURBANCES {
            let worker = match self.worker_at_it().await? {
                Some(worker) => worker,
                None => break,
            };
            // Never longer than there is work.
            let begun = Instant::now();
            while begun.elapsed().as_secs_f64() < after * undisturbed && !self.is_done().await? {
                sleep(LOOK_EVERY).await;
            }
            if self.is_done().await? {
                break;
            }
            let pid =
                Pid::from_raw(worker as i32).ok_or_else(|| BenchError::Peer("no process".to_owned()))?;
            let send =
                |signal| kill_process(pid, signal).map_err(|error| io("signal a worker")(error.into()));
            if signal == Signal::KILL {
                self.spent += cpu_seconds(worker)?;
                send(signal)?;
                self.signals.0 += 1;
                self.workers.retain(|child| child.id() != Some(worker));
                self.hire()?;
            } else {
                send(signal)?;
                self.signals.1 += 1;
            }
            let taken = self
                .until("another worker takes over", TAKEN_OVER, async |run| {
                    Ok(run.worker_now().await?.is_some_and(|now| now != worker) || run.is_done().await?)
                })
                .await;
            if signal == Signal::STOP {
                send(Signal::CONT)?;
            }
            taken?;
        }
        self.finish().await
    }

    /// The process that runs the job, once there is one; `None` if the job is done.
    async fn worker_at_it(&self) -> Result<Option<u32>> {
        self.until("somebody is at it", TAKEN_OVER, async |run| {
            Ok(run.worker_now().await?.is_some() || run.is_done().await?)
        })
        .await?;
        self.worker_now().await
    }

    async fn worker_now(&self) -> Result<Option<u32>> {
        let name: Option<String> = sqlx::query_scalar(
            "-- survival::worker_now
             SELECT workers.name FROM queue.jobs JOIN queue.workers ON workers.id = jobs.worker_id
             WHERE jobs.subject = $1 AND jobs.state = 'running'",
        )
        .bind(self.lecture)
        .fetch_optional(&self.pool)
        .await?;
        Ok(name.and_then(|name| name.rsplit(':').next()?.parse().ok()))
    }

    async fn is_done(&self) -> Result<bool> {
        let state: String = sqlx::query_scalar(
            "-- survival::is_done\nSELECT state::text FROM queue.jobs WHERE subject = $1 AND kind = 'transcribe'",
        )
        .bind(self.lecture)
        .fetch_one(&self.pool)
        .await?;
        match state.as_str() {
            "completed" => Ok(true),
            "available" | "running" => Ok(false),
            ended => Err(BenchError::Peer(format!("the transcription is {ended}"))),
        }
    }

    async fn finish(&mut self) -> Result<Ended> {
        self.until("the transcript", LONGEST, async |run| run.is_done().await).await?;
        let running: Vec<u32> = self.workers.iter().filter_map(Child::id).collect();
        let mut cpu = self.spent;
        for pid in running {
            cpu += cpu_seconds(pid)?;
        }
        let transcripts = self.program.directory().join(".data/storage/transcripts");
        let json = std::fs::read(transcripts.join(format!("{}.json", self.lecture)))
            .map_err(io("read the transcript"))?;
        let transcript: Transcript = serde_json::from_slice(&json)?;
        Ok(Ended { cpu, text: transcript.text, signals: self.signals })
    }

    async fn until(
        &self,
        what: &str,
        limit: Duration,
        holds: impl AsyncFn(&Self) -> Result<bool>,
    ) -> Result<()> {
        let begun = Instant::now();
        while !holds(self).await? {
            if begun.elapsed() > limit {
                return Err(BenchError::Late {
                    contender: "bedel",
                    what: what.to_owned(),
                    seconds: limit.as_secs(),
                });
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
