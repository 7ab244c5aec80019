//! Downloads beside curl and ffmpeg, all over loopback and from one server.

mod materials;
mod pair;
mod peers;
mod transfer;
mod worker;

use std::path::PathBuf;

use bedel_media::MediaTools;
use bedel_test_support::Cluster;
use bedel_upstream::{Fault, Upstream};
use tokio::time::Instant;

use self::materials::{FILE_BYTES, LATENCY, Materials, RECORDING_SECONDS, SEGMENTS};
use self::pair::{Pair, wrong};
use self::worker::{AT_ONCE, Worker};
use crate::error::{Result, peer};
use crate::page::{self, Row, median};
use crate::report::{Machine, figure};
use crate::server;

pub use self::transfer::{FetchArgs, fetch};

/// Share of the file after which the cut download loses its connection.
const CUT_AT: f64 = 0.9;

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct DownloadArgs {
    /// Path of the bedel program.
    #[arg(long)]
    bedel: PathBuf,
    /// Rounds; each measures everything once. Reports medians.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Write docs/reference/benchmarks-download.md.
    #[arg(long)]
    publish: bool,
    /// Directory of published results.
    #[arg(long, default_value = "../../docs", hide = true)]
    docs: PathBuf,
}

/// One round.
struct Round {
    file: Pair,
    stream: Pair,
    /// Highest resident memory of a worker process, in bytes.
    memory_of_files: f64,
    memory_of_streams: f64,
    /// Body bytes sent for a file whose download was cut once, divided by its size.
    wire: f64,
    extraction: Pair,
}

/// Measures and prints.
pub async fn run(args: &DownloadArgs) -> Result<()> {
    println!("making {RECORDING_SECONDS} seconds of sound and picture, and of sound in {SEGMENTS} segments");
    let materials = Materials::make().await?;
    let cluster = server::start().await?;
    let machine = Machine::look(&cluster).await?;
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        let round = round(args, &cluster, &materials, number).await?;
        println!(
            "{number}  file {} s, curl {}  stream {} s, ffmpeg {}  memory {} and {} MB  wire {}  extraction {} s, ffmpeg {}",
            figure(round.file.bedel),
            figure(round.file.other),
            figure(round.stream.bedel),
            figure(round.stream.other),
            figure(round.memory_of_files / 1e6),
            figure(round.memory_of_streams / 1e6),
            figure(round.wire),
            figure(round.extraction.bedel),
            figure(round.extraction.other),
        );
        rounds.push(round);
    }
    cluster.stop().await;
    let table = page::table(&rows(&rounds));
    println!("\n{table}");
    if args.publish {
        let page = args.docs.join("benchmarks-download.md");
        page::publish(&page, &document(&machine, args, &table))?;
    }
    Ok(())
}

async fn round(args: &DownloadArgs, cluster: &Cluster, materials: &Materials, number: u32) -> Result<Round> {
    // The order alternates, because earlier writes slow the disk down.
    let bedel_first = number.is_multiple_of(2);
    let file = transfer::compare(materials, bedel_first).await?;
    let stream = stream(args, cluster, materials, bedel_first).await?;
    Ok(Round {
        file,
        stream,
        memory_of_files: memory(args, cluster, |upstream, number| {
            materials.serve_file(upstream, &format!("/{number}.mp4"))
        })
        .await?,
        memory_of_streams: memory(args, cluster, |upstream, number| {
            materials.serve_stream(upstream, &format!("/{number}"))
        })
        .await?,
        wire: wire(args, cluster, materials).await?,
        extraction: extraction(materials, bedel_first).await?,
    })
}

/// The whole download job, from its claim to its commit, beside ffmpeg that reads the same playlist.
async fn stream(
    args: &DownloadArgs,
    cluster: &Cluster,
    materials: &Materials,
    bedel_first: bool,
) -> Result<Pair> {
    let upstream = Upstream::start().await;
    let url = materials.serve_stream(&upstream, "/0");
    let worker = Worker::start(&args.bedel, cluster, &upstream.host()).await?;
    let bedel = async || worker.bring_in(std::slice::from_ref(&url)).await;
    let other = async || peers::ffmpeg(&url, &materials.path("stream.m4a")).await;
    let pair = Pair::measure(bedel_first, bedel, other).await?;
    worker.stop().await?;
    upstream.stop().await;
    Ok(pair)
}

/// Highest resident memory of a worker that downloads all files of `serve` at once.
async fn memory(
    args: &DownloadArgs,
    cluster: &Cluster,
    serve: impl Fn(&Upstream, usize) -> String,
) -> Result<f64> {
    let upstream = Upstream::start().await;
    let urls: Vec<String> = (0..AT_ONCE).map(|number| serve(&upstream, number)).collect();
    let worker = Worker::start(&args.bedel, cluster, &upstream.host()).await?;
    worker.bring_in(&urls).await?;
    let peak = worker.peak()?;
    worker.stop().await?;
    let at_once = upstream.max_in_flight();
    upstream.stop().await;
    // A file is one request.
    if at_once < AT_ONCE {
        return Err(wrong(format!("at most {at_once} of {AT_ONCE} downloads ran at a time")));
    }
    Ok(peak)
}

/// The first connection breaks; the job resumes.
async fn wire(args: &DownloadArgs, cluster: &Cluster, materials: &Materials) -> Result<f64> {
    let upstream = Upstream::start().await;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "about there")]
    let cut = (FILE_BYTES as f64 * CUT_AT) as usize;
    upstream.serve("/cut.mp4", materials.file().first(1, Fault::CutAt(cut)));
    let worker = Worker::start(&args.bedel, cluster, &upstream.host()).await?;
    worker.bring_in(&[upstream.url("/cut.mp4")]).await?;
    worker.stop().await?;
    let (cuts, sent) = (upstream.abort_count("/cut.mp4"), upstream.total_bytes_sent());
    upstream.stop().await;
    if cuts != 1 {
        return Err(wrong(format!("the download was cut {cuts} times")));
    }
    Ok(sent as f64 / FILE_BYTES as f64)
}

/// Extraction of the audio by a download job, beside ffmpeg's copy.
async fn extraction(materials: &Materials, bedel_first: bool) -> Result<Pair> {
    let tools = MediaTools::find().map_err(peer)?;
    let bedel = async || {
        let began = Instant::now();
        tools.extract_audio(&materials.recording(), &materials.path("bedel.m4a")).await.map_err(peer)?;
        Ok(began.elapsed().as_secs_f64())
    };
    let recording = materials.recording();
    let recording = recording.to_str().ok_or_else(|| wrong("the temporary directory's name".to_owned()))?;
    let other = async || peers::ffmpeg(recording, &materials.path("ffmpeg.m4a")).await;
    Pair::measure(bedel_first, bedel, other).await
}

/// Medians, with the aims.
fn rows(rounds: &[Round]) -> Vec<Row> {
    let of = |value: fn(&Round) -> f64| median(rounds, value);
    let megabytes = FILE_BYTES as f64 / 1e6;
    vec![
        Row::plain("a file of 500 MB with curl, MB per second", megabytes / of(|round| round.file.other)),
        Row::plain("with Bedel, MB per second", megabytes / of(|round| round.file.bedel)),
        Row::at_least("their ratio", of(|round| round.file.other / round.file.bedel), 0.5),
        Row::plain("720 segments, each 50 ms late, with ffmpeg, in s", of(|round| round.stream.other)),
        Row::plain("with Bedel, in s", of(|round| round.stream.bedel)),
        Row::at_least("times as fast", of(|round| round.stream.other / round.stream.bedel), 5.0),
        Row::less_than(
            "a worker's memory while four files arrive, in MB",
            of(|round| round.memory_of_files / 1e6),
            80.0,
        ),
        Row::less_than("while four streams arrive, in MB", of(|round| round.memory_of_streams / 1e6), 80.0),
        Row::at_most("sent for a file that was cut at 90 %, in %", of(|round| round.wire * 100.0), 102.0),
        Row::plain("60 minutes of AAC from mp4 to m4a with ffmpeg, in s", of(|round| round.extraction.other)),
        Row::plain("with Bedel, in s", of(|round| round.extraction.bedel)),
        Row::at_most("times as long", of(|round| round.extraction.bedel / round.extraction.other), 3.0),
    ]
}

fn document(machine: &Machine, args: &DownloadArgs, table: &str) -> String {
    format!(
        "# Benchmark of downloads\n\n\
         Made by\n\n```sh\nscript/bench download --publish\n```\n\n\
         {} {}; {}.\n\n{table}\n\
         Medians of {} rounds. Everything comes over loopback, unencrypted, from one HTTP server in the benchmark's own process, \
         which shares the processors with the client; the order changes from round to round, and the disk is synced \
         before each measurement. The file is an mp4 of {} MB, fetched by `curl --output` and by the fetcher of download jobs, \
         each a separate process. The stream has {SEGMENTS} segments of MPEG-TS, {} s of sound; the server waits {} ms before each answer. \
         ffmpeg reads it with its default settings and copies the sound to an m4a; Bedel's time is that of the whole download job of a \
         worker process, from its claim to its commit, and covers the same, the stored object and the rows besides. Memory is the \
         highest resident memory of the worker process (`VmHWM`), without its children and without a speech model, with {AT_ONCE} downloads at a \
         time. The download that is cut loses its connection once; counted are the bytes of bodies that the server sent. Extraction is \
         what a download job does with a recording with a picture and AAC: `ffprobe`, then a copy whose index stands in front; ffmpeg's copy is \
         `ffmpeg -i … -vn -c:a copy`.\n",
        machine.sentence(),
        peers::version("curl", "--version"),
        peers::version("ffmpeg", "-version"),
        args.rounds,
        figure(FILE_BYTES as f64 / 1e6),
        RECORDING_SECONDS,
        LATENCY.as_millis(),
    )
}
